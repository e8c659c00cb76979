"""Floor 0: avals, ops, graphs, tracers, the interpreter, pytrees and errors."""
