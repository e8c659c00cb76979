"""Floor 2: from graphs to machine code, by way of loops and LLVM."""
