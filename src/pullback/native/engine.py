"""LLVM: from assembly to an object file, and from that to machine code in memory."""

from __future__ import annotations

import functools
import os
from typing import Any

import llvmlite.binding as llvm

_lock = llvm.ffi.lib._lock  # LLVM's global state is not for several threads at once ...
if hasattr(os, "register_at_fork"):  # ... nor for a child made while another thread is in LLVM
    os.register_at_fork(
        before=_lock.__enter__, after_in_parent=_lock.__exit__, after_in_child=_lock.__exit__
    )


def _machine() -> Any:
    """Return a target: this processor, with all it can do. An engine takes one for itself."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        codemodel="jitdefault",
        jit=True,
    )


@functools.cache
def vector_bytes() -> int:
    """Return the length of this processor's vector registers."""
    features = llvm.get_host_cpu_features()
    return 64 if features.get("avx512f") else 32 if features.get("avx2") else 16


class Compilation:
    """A module on its way from assembly to an object file."""

    def __init__(self, assembly: str) -> None:
        with _lock:
            self._machine = _machine()
            self._module = llvm.parse_assembly(assembly)
            self._module.triple = self._machine.triple
            self._module.data_layout = str(self._machine.target_data)
            self._module.verify()
            options = llvm.create_pipeline_tuning_options(speed_level=3)
            options.loop_vectorization = True
            options.slp_vectorization = False
            options.loop_unrolling = False  # short loops would be unrolled before they are vectors
            builder = llvm.create_pass_builder(self._machine, options)
            builder.getModulePassManager().run(self._module, builder)

    def object_file(self) -> bytes:
        """Return the machine code as an object file."""
        with _lock:
            return bytes(self._machine.emit_object(self._module))

    def optimised(self) -> str:
        """Return LLVM's assembly after its passes."""
        return str(self._module)

    def assembly(self) -> str:
        """Return the processor's instructions as text."""
        return str(self._machine.emit_assembly(self._module))


class Loaded:
    """An object file in memory, ready to be called; it lives as long as this object."""

    def __init__(self, object_file: bytes) -> None:
        with _lock:
            empty = llvm.parse_assembly("")
            self._engine = llvm.create_mcjit_compiler(empty, _machine())
            self._engine.add_object_file(llvm.ObjectFileRef.from_data(object_file))
            self._engine.finalize_object()

    def address(self, name: str) -> int:
        """Return where the function `name` begins."""
        return int(self._engine.get_function_address(name))
