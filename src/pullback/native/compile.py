"""pb.compile: a function becomes machine code, once for each signature it is called with."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Literal

import numpy as np

from pullback.core import pytree
from pullback.core.aval import Aval, aval_of, is_bfloat16
from pullback.core.collector import uncollected
from pullback.core.errors import ConfigError, DTypeError
from pullback.core.foreign import refuse
from pullback.core.graph import Graph
from pullback.core.tables import keep
from pullback.core.tracer import Tracer
from pullback.core.tracing import argument_names, trace
from pullback.native.threads import checked
from pullback.passes import optimise

Precision = Literal["float32", "bfloat16"]

MOST_PROGRAMS = 512
"""So many signatures of one function are kept compiled."""


class Compiled:
    """A function that runs as machine code; see `compile`.

    `graph`, `loops`, `llvm` and `asm` show the stages of the signature called last.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        static_argnums: Sequence[int],
        donate_argnums: Sequence[int],
        threads: int | None,
        matmul_precision: Precision = "float32",
    ) -> None:
        functools.update_wrapper(self, function, updated=())  # a graph has attributes of its own
        self.function = function
        self.static_argnums = tuple(static_argnums)
        self.donate_argnums = tuple(donate_argnums)
        self.threads = threads
        self.matmul_precision = matmul_precision
        self._programs: dict[Any, tuple[Any, pytree.Structure]] = {}
        self._last: Any = None
        self._quick: Callable[[tuple[Any, ...]], Any] = _nothing

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not kwargs:
            results = self._quick(args)
            if results is not None:
                return results
        elif self.static_argnums or self.donate_argnums:
            args, kwargs = _by_position(self.function, args, kwargs)
        fixed, moving = self._split(args)
        leaves, structure = pytree.flatten((moving, kwargs))
        if any(isinstance(x, Tracer) for x in leaves):
            return self.function(*args, **kwargs)  # its operations join those of the transformation
        program, out_structure = self._program(fixed, leaves, structure)
        return pytree.unflatten(out_structure, program(leaves))

    @property
    def graph(self) -> Graph:
        """The graph that was compiled, simplified."""
        graph: Graph = self._called().graph
        return graph

    @property
    def loops(self) -> str:
        """The loops that the graph became."""
        return "\n".join(map(str, self._called().steps))

    @property
    def llvm(self) -> str:
        """LLVM's assembly, before its passes."""
        return str(self._called().llvm)

    @property
    def asm(self) -> str:
        """The processor's instructions."""
        from pullback.native.engine import Compilation

        return Compilation(self.llvm).assembly()

    def __reduce__(self) -> Any:
        """Pickle by name where the name leads here; else the function, to be compiled again."""
        found: Any = sys.modules.get(self.__module__)
        for name in getattr(self, "__qualname__", "").split("."):
            found = getattr(found, name, None)
        if found is self:
            return self.__qualname__
        return Compiled, (
            self.function, self.static_argnums, self.donate_argnums, self.threads,
            self.matmul_precision,
        )  # fmt: skip

    def report(self) -> str:
        """Return what was compiled: operations, loops, work, memory, and what NumPy still runs."""
        from pullback.native.report import report

        return report(self._called())

    def _called(self) -> Any:
        if self._last is None:
            raise ConfigError(
                f"{self.function.__name__} has not been called yet: call it once, so that its "
                "signature is known"
            )
        return self._last

    def _split(self, args: tuple[Any, ...]) -> tuple[tuple[Hashable, ...], tuple[Any, ...]]:
        positions = self._static(len(args))
        fixed = tuple(args[p] for p in positions)
        return fixed, tuple(a for p, a in enumerate(args) if p not in positions)

    def _static(self, count: int) -> list[int]:
        """Return the positions of static arguments among `count`; others take their defaults."""
        return _among(self.static_argnums, count)

    def _program(
        self, fixed: tuple[Hashable, ...], leaves: Sequence[Any], structure: pytree.Structure
    ) -> tuple[Any, pytree.Structure]:
        signature = tuple([(x.shape, x.dtype) if x.__class__ is np.ndarray else _signature(x)
                           for x in leaves])  # fmt: skip
        key = (structure, signature, fixed, _apart(fixed))
        try:
            found = self._programs.get(key)
        except TypeError:
            raise DTypeError(
                f"static_argnums: expected values that are hashable, got {fixed!r}; pass arrays at "
                "other positions"
            ) from None
        if found is None:
            found = self._compile(fixed, leaves, structure)
            for program, _ in list(self._programs.values()):
                program.release()  # with ever new signatures their memory would pile up
            keep(self._programs, key, found, MOST_PROGRAMS)
        self._last = found[0]
        self._quick = self._shortcut(found[0], structure, found[1])
        return found

    def _shortcut(
        self, program: Any, structure: pytree.Structure, out_structure: pytree.Structure
    ) -> Callable[[tuple[Any, ...]], Any]:
        """Return the call of the last program for arguments of its signature; None for others."""
        (positional, named) = structure.children()
        numbers = any(node.aval.weak for node in program.graph.arguments)
        if named.num_leaves or self.static_argnums or numbers:  # arrays are no Python numbers
            return _nothing
        flat = all(child.is_leaf() for child in positional.children())
        single = out_structure.is_leaf()

        def call(args: tuple[Any, ...]) -> Any:
            if not flat:
                try:
                    args = tuple(positional.flatten_up_to(args))  # type: ignore[arg-type]
                except ValueError:
                    return None
            results = program.exactly(args)
            if results is None:
                return None
            return results[0] if single else out_structure.unflatten(results)

        return call

    @uncollected()
    def _compile(
        self, fixed: tuple[Hashable, ...], leaves: Sequence[Any], structure: pytree.Structure
    ) -> tuple[Any, pytree.Structure]:
        from pullback.native.program import NativeProgram

        avals = [_native(aval_of(x)) for x in leaves]
        args, kwargs = pytree.unflatten(structure, avals)
        names = sorted(kwargs)
        leaf_names = self._names(args, kwargs, len(fixed))
        for name, aval in zip(leaf_names, avals, strict=True):
            if aval.dtype.kind not in "biufc" and not is_bfloat16(aval.dtype):
                raise DTypeError(
                    f"argument {name!r} of {self.function.__name__}: expected numbers, got "
                    f"{aval.dtype}; name its position in static_argnums if it is an option"
                )

        @functools.wraps(self.function)
        def flat(*given: Any) -> Any:
            positional = list(given[: len(args)])
            for p, value in zip(self._static(len(args) + len(fixed)), fixed, strict=True):
                positional.insert(p, value)
            named = dict(zip(names, given[len(args) :], strict=True))
            return self.function(*positional, **named)

        graph = optimise(trace(flat, *args, *[kwargs[name] for name in names]))
        for node, name in zip(graph.arguments, leaf_names, strict=True):
            node.name = name
        donated, in_bfloat16 = self._donated(args, len(fixed)), self.matmul_precision == "bfloat16"
        return NativeProgram(graph, donated, self.threads, in_bfloat16), graph.out_tree

    def _donated(self, args: Sequence[Any], fixed: int) -> list[int]:
        """Return the positions of the donated arrays among all."""
        count = len(args) + fixed
        positions = _among(self.donate_argnums, count)
        moving = [p for p in range(count) if p not in self._static(count)]
        found: list[int] = []
        start = 0
        for p, arg in zip(moving, args, strict=True):
            leaves = len(pytree.leaves(arg))
            if p in positions:
                found += range(start, start + leaves)
            start += leaves
        return found

    def _names(self, args: Sequence[Any], kwargs: dict[str, Any], fixed: int) -> list[str]:
        """Return the name of each array by the parameter it belongs to."""
        positional = list(args)
        for p in self._static(len(args) + fixed):
            positional.insert(p, ())  # holds no array
        named = [name + path for name in sorted(kwargs) for path in pytree.paths(kwargs[name])]
        return argument_names(self.function, positional) + [n.removesuffix("*") for n in named]


def _by_position(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of a call, those by position that can be."""
    try:
        bound = inspect.signature(function).bind(*args, **kwargs)
    except ValueError:  # it does not tell its signature
        return args, kwargs
    return bound.args, bound.kwargs


def _apart(x: Any) -> Hashable:
    """Return what tells values apart that are equal: 1, 1.0 and True, 0.0 and -0.0."""
    if isinstance(x, tuple):
        return tuple(map(_apart, x))
    return type(x), str(x) if isinstance(x, float) else ""


def _among(numbers: Sequence[int], count: int) -> list[int]:
    """Return the positions that `numbers`, which may be negative, are among `count` arguments."""
    return sorted({p % count for p in numbers if -count <= p < count})


def _nothing(args: tuple[Any, ...]) -> None:
    """Take no short cut."""


def _native(aval: Aval) -> Aval:
    """Return the same in this machine's byte order, and of the one dtype object that NumPy shares.

    The code of `binding` knows that object by its address.
    """
    dtype = aval.dtype
    shared = dtype if dtype.kind == "V" else np.dtype(dtype.newbyteorder("=").str)
    return Aval(aval.shape, shared, aval.weak)


def _signature(x: Any) -> Any:
    if isinstance(x, (bool, int, float, complex)) and not isinstance(x, np.generic):
        return type(x)
    if isinstance(x, (np.ndarray, np.generic)):
        refuse(x.__class__, "argument")
        return x.shape, x.dtype
    aval: Aval = aval_of(x)
    return aval.shape, aval.dtype


def compile(
    function: Callable[..., Any] | None = None,
    *,
    static_argnums: int | Sequence[int] = (),
    donate_argnums: int | Sequence[int] = (),
    threads: int | None = None,
    matmul_precision: Precision = "float32",
) -> Any:
    """Return `function` as machine code for this processor; also a decorator.

    It is traced and compiled once for each signature: the structure, shapes and dtypes of its
    arguments, and the values of those at `static_argnums`, which may be anything hashable. Every
    traceable function can be compiled, derivatives and whole training steps included; operations
    that the compiler has no loops for run through NumPy, and `report()` lists them. Arguments are
    read in any memory order; results are new arrays. Inside another transformation (grad, vmap,
    trace) the function takes part uncompiled: compile the outermost one.

    Arrays at `donate_argnums` are given away: a result of the same shape and dtype may be written
    into one of them, and then that very array is the result (`report()` tells how many are).
    Where there is enough to do, `threads` threads share the work of a call: by default as many as
    PULLBACK_THREADS or OMP_NUM_THREADS says, or as there are cores.
    With `matmul_precision="bfloat16"`, products of float32 matrices round their factors to bfloat16
    (8 bits of fraction) and sum up in float32, which is about twice as fast where the processor
    multiplies pairs of bfloat16; `loops` shows which. Products of a few hundred multiplications,
    or of a matrix and a vector, stay exact.
    Raises TracerError where the function needs a value as a Python number, IndexError where an
    index is out of range, ConfigError where a donated array shares memory with another argument.

    >>> import numpy as np, pullback as pb
    >>> @pb.compile
    ... def energy(x, k):
    ...     return 0.5 * k * np.sum(x * x)
    >>> energy(np.array([1.0, 2.0]), 2.0)
    np.float64(5.0)
    >>> pb.compile(pb.grad(energy))(np.array([1.0, 2.0]), 2.0)
    array([2., 4.])
    >>> move = pb.compile(lambda x, v: x + 0.1 * v, donate_argnums=0)
    >>> x = np.zeros(2)
    >>> move(x, np.ones(2)) is x
    True
    """
    static, donated = (
        (numbers,) if isinstance(numbers, int) else tuple(numbers)
        for numbers in (static_argnums, donate_argnums)
    )
    for name, numbers in (("static_argnums", static), ("donate_argnums", donated)):
        for p in numbers:
            if isinstance(p, bool) or not isinstance(p, int | np.integer):
                raise ConfigError(f"{name}: expected positions of arguments from 0, got {p!r}")
    if set(static) & set(donated):
        raise ConfigError(
            f"donate_argnums: {donated} has positions of static_argnums {static}; values that the "
            "function is compiled for cannot be overwritten"
        )
    check_precision(matmul_precision)
    if threads is not None:
        threads = checked(threads)
    if function is None:
        return lambda f: Compiled(f, static, donated, threads, matmul_precision)
    return Compiled(function, static, donated, threads, matmul_precision)


def check_precision(matmul_precision: str) -> None:
    """Raise ConfigError unless it is one of `Precision`."""
    if matmul_precision not in ("float32", "bfloat16"):
        raise ConfigError(
            f"matmul_precision: expected 'float32' or 'bfloat16', got {matmul_precision!r}"
        )
