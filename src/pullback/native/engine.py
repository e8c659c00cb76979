"""LLVM: from assembly to an object file, and from that to machine code in memory.

Code is made for this processor with all it can do; `PULLBACK_CPU` names one that can do less, for
code that is to be the same on several machines.
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from typing import Any

import llvmlite.binding as llvm
from llvmlite.binding.newpassmanagers import NewPassManager

from pullback.core.errors import ConfigError

_lock = llvm.ffi.lib._lock  # LLVM's global state is not for several threads at once ...
if hasattr(os, "register_at_fork"):  # ... nor for a child made while another thread is in LLVM
    os.register_at_fork(
        before=_lock.__enter__, after_in_parent=_lock.__exit__, after_in_child=_lock.__exit__
    )

_V2 = ("cx16", "popcnt", "sse3", "sse4.1", "sse4.2", "ssse3")
_V3 = (*_V2, "avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe")
_V4 = (*_V3, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")
LEVELS = {"x86-64": (), "x86-64-v2": _V2, "x86-64-v3": _V3, "x86-64-v4": _V4}
"""What the levels of the x86-64 psABI can do, by the names that LLVM has for them."""


@dataclass(frozen=True)
class Target:
    """A processor that code is made for, and what it has ("+") or lacks ("-"), in LLVM's names."""

    triple: str
    cpu: str
    features: tuple[str, ...] = ()

    def has(self, feature: str) -> bool:
        """Whether the processor has what LLVM calls `feature`, say "avx2"."""
        return f"+{feature}" in self.features

    @property
    def vector_bytes(self) -> int:
        """Length of the vector registers."""
        return 64 if self.has("avx512f") else 32 if self.has("avx2") else 16

    def machine(self) -> Any:
        """Return LLVM's target machine. An engine takes one for itself."""
        return llvm.Target.from_triple(self.triple).create_target_machine(
            cpu=self.cpu,
            features=",".join(self.features),
            opt=3,
            codemodel="jitdefault",
            jit=True,
        )


def target() -> Target:
    """Return the processor that code is made for, as `PULLBACK_CPU` has it.

    It is "native" or not set, "generic", or a level of x86-64 that this processor has.
    """
    return _target(os.environ.get("PULLBACK_CPU") or "native")


@functools.cache
def _target(name: str) -> Target:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    triple = llvm.get_default_triple()
    here = tuple(llvm.get_host_cpu_features().flatten().split(","))
    if name == "native":
        return Target(triple, llvm.get_host_cpu_name(), here)
    if name == "generic":
        return Target(triple, name)
    known = LEVELS if triple.startswith("x86_64") else {}
    if name not in known:
        raise ConfigError(
            f"PULLBACK_CPU: expected one of {', '.join(['native', 'generic', *known])}, got {name}"
        )
    wanted = tuple(f"+{feature}" for feature in known[name])
    missing = [feature for feature in wanted if feature not in here]
    if missing:
        raise ConfigError(
            f"PULLBACK_CPU: {name} needs {' '.join(missing)}, which this processor has not; "
            "choose a lower level, or native"
        )
    return Target(triple, name, wanted)


def vector_bytes() -> int:
    """Return the length of the vector registers of the processor that code is made for."""
    return target().vector_bytes


class Compilation:
    """A module on its way from assembly to an object file."""

    def __init__(self, assembly: str) -> None:
        with _lock:
            self._machine = target().machine()
            self._module = llvm.parse_assembly(assembly, llvm.create_context())
            self._module.triple = self._machine.triple
            self._module.data_layout = str(self._machine.target_data)
            self._module.verify()
            options = llvm.create_pipeline_tuning_options(speed_level=3)
            options.loop_vectorization = True
            options.slp_vectorization = False
            options.loop_unrolling = False  # short loops would be unrolled before they are vectors
            builder = llvm.create_pass_builder(self._machine, options)
            manager = builder.getModulePassManager()
            manager.run(self._module, builder)
            _free(manager)

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


def _free(manager: Any) -> None:
    """Free a manager of passes with what it knows of a module, which llvmlite 0.50 never does."""
    if type(manager)._dispose is llvm.ffi.ObjectRef._dispose:  # which is empty
        NewPassManager._dispose(manager)


class Loaded:
    """An object file in memory, ready to be called; it lives as long as this object."""

    def __init__(self, object_file: bytes) -> None:
        with _lock:
            empty = llvm.parse_assembly("")
            self._engine = llvm.create_mcjit_compiler(empty, target().machine())
            self._engine.add_object_file(llvm.ObjectFileRef.from_data(object_file))
            self._engine.finalize_object()

    def address(self, name: str) -> int:
        """Return where the function `name` begins."""
        return int(self._engine.get_function_address(name))
