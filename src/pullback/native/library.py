"""What a library computes: the C loops of NumPy's and SciPy's universal functions.

A universal function is a C structure whose layout NumPy documents for extension modules
(PyUFuncObject); its loops take pointers, lengths and strides, and no interpreter. So machine code
gets the very numbers that the interpreter gets. Where the layout is another one, `supported` says
so, and the interpreter is asked.
"""

from __future__ import annotations

import ctypes
import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pullback.core.aval import Aval, DType, promotion_key
from pullback.core.graph import Node
from pullback.native import complexes, places
from pullback.native.code import Code
from pullback.native.emit import COUNT
from pullback.native.loops import Buffer, Kernel, Parts, Place, identity, linear, stores
from pullback.native.narrow import is_narrow
from pullback.native.steps import Call, Routine

if TYPE_CHECKING:
    from pullback.native.lower import Lowering, Unit

DTYPES = set(map(np.dtype, "?bhilBHILfdFD"))
FE_INVALID = 1  # on x86 as on Arm
COUNTS, LOOPS, DATA, LOOP_COUNT, NAME = 16, 32, 40, 48, 56


def knows(dtype: DType) -> bool:
    """Whether machine code computes with numbers of `dtype`."""
    return dtype in DTYPES or is_narrow(dtype)


def _word(ufunc: Any, offset: int, kind: Any = ctypes.c_size_t) -> int:
    return int(kind.from_address(id(ufunc) + offset).value or 0)


def address(routine: Routine, what: Literal["loop", "data"]) -> int:
    """Return where the loop of `routine`, or the data that it takes, is."""
    table = _word(routine.ufunc, LOOPS if what == "loop" else DATA)
    if not table:
        return 0
    return ctypes.c_size_t.from_address(table + 8 * routine.number).value


@functools.cache
def supported(ufunc: np.ufunc) -> bool:
    """Whether `ufunc` lies in memory as expected."""
    counts = [_word(ufunc, COUNTS + 4 * k, ctypes.c_int32) for k in range(3)]
    if ctypes.sizeof(ctypes.c_size_t) != 8 or counts != [ufunc.nin, ufunc.nout, ufunc.nargs]:
        return False
    if _word(ufunc, LOOP_COUNT, ctypes.c_int32) != len(ufunc.types):
        return False
    return ctypes.string_at(_word(ufunc, NAME)) == ufunc.__name__.encode()


@functools.cache
def routine(ufunc: np.ufunc, dtypes: tuple[DType, ...]) -> Routine | None:
    """Return the loop of `ufunc` for inputs and outputs of these dtypes, if there is one."""
    if supported(ufunc):
        for number, letters in enumerate(ufunc.types):
            if tuple(np.dtype(c) for c in letters.replace("->", "")) == dtypes:
                return Routine(ufunc, number, dtypes)
    return None


def lowering_of(node: Node) -> Callable[[Lowering, Node, Unit], None] | None:
    """Return what lowers `node`, if it acts on each element and a library has a loop for it."""
    return lower if routine_of(node) else None


def routine_of(node: Node) -> Routine | None:
    """Return the loop that computes `node`, if that acts on each element; None if there is none."""
    if node.op is None or node.op.kind == "general" or not isinstance(node.aval, Aval):
        return None
    ufunc = node.op.forward
    if not isinstance(ufunc, np.ufunc) or ufunc.nout != 1:
        return None
    found = _resolved(ufunc, tuple(promotion_key(i.aval) for i in node.inputs))
    return found if found and all(map(_fits, node.inputs, found.dtypes)) else None


def _fits(x: Node, dtype: DType) -> bool:
    """Whether `x` can be had as `dtype`: not so some large numbers of Python's."""
    if not knows(x.dtype) or not (x.is_constant and x.aval.weak and dtype.kind in "iu"):
        return knows(x.dtype)
    limits = np.iinfo(dtype)
    return bool(limits.min <= x.value <= limits.max)


@functools.cache
def _resolved(ufunc: np.ufunc, keys: tuple[Any, ...]) -> Routine | None:
    try:
        dtypes = tuple(np.dtype(d) for d in ufunc.resolve_dtypes((*keys, None)))
    except TypeError:
        return None
    return routine(ufunc, dtypes) if all(map(knows, dtypes)) else None


@dataclass(frozen=True, slots=True)
class Operand:
    """An array that a routine works on: `shape` is that of one turn of its loop."""

    buffer: Buffer
    shape: tuple[int, ...] = ()
    moves: bool = True  # else every turn works on the same

    @property
    def stride(self) -> int:
        """How many bytes each turn goes on."""
        return math.prod(self.shape) * self.buffer.dtype.itemsize * self.moves


def call(
    found: Routine, turns: int, operands: Sequence[Operand], outs: int = 1, fault: int = 0
) -> Call:
    """Return the step that runs a routine, on inputs and then `outs` outputs."""
    signature = found.ufunc.signature or ",".join(["()"] * len(operands))
    groups = signature.replace("->", ",").replace(" ", "").replace("?", "")[1:-1].split("),(")
    lengths: dict[str, int] = {}
    inner: list[int] = []
    for group, operand in zip(groups, operands, strict=True):
        lengths.update(zip(filter(None, group.split(",")), operand.shape, strict=True))
        inner += [
            math.prod(operand.shape[k + 1 :]) * operand.buffer.dtype.itemsize
            for k in range(len(operand.shape))
        ]
    return Call(
        found,
        tuple(o.buffer for o in operands),
        outs,
        (turns, *lengths.values()),
        (*[o.stride for o in operands], *inner),
        fault,
    )


def lower(lowering: Lowering, node: Node, unit: Unit) -> None:
    """Let a library compute an operation that acts on each element."""
    found = routine_of(node)
    assert found is not None
    inputs = [
        operand(lowering, unit, x, dtype, node.shape)
        for x, dtype in zip(node.inputs, found.dtypes, strict=False)
    ]
    out = Operand(lowering.make_room(node))
    unit.steps.append(call(found, node.aval.size, [*inputs, out]))


def operand(
    lowering: Lowering, unit: Unit, x: Node, dtype: DType, batch: tuple[int, ...], inner: int = 0
) -> Operand:
    """Return `x` broadcast to `batch`, but for its `inner` last axes, in memory as `dtype`."""
    split = x.aval.ndim - inner
    own, shape = x.shape[:split], x.shape[split:]
    moves = math.prod(own) != 1 or math.prod(batch) == 1
    whole = (*(batch if moves else own), *shape)
    memory = lowering.memory(x)
    if memory is not None and memory.dtype == dtype and math.prod(whole) == x.aval.size:
        return Operand(memory, shape, moves)

    def element(place: Place) -> Parts:
        return complexes.cast(lowering.parts(x, places.broadcast(place, x.shape)), x.dtype, dtype)

    return Operand(written(unit, element, whole, dtype), shape, moves)


def written(unit: Unit, element: Any, shape: tuple[int, ...], dtype: DType) -> Buffer:
    """Return an array in memory whose elements are what `element(place)` says."""
    buffer = Buffer(f"in{len(unit.steps)}.{unit.node.name}", dtype, math.prod(shape), "arena")
    here = identity(shape)
    unit.steps.append(Kernel(shape, stores(buffer, linear(here, shape), element(here))))
    return buffer


def matmul(lowering: Lowering, node: Node, unit: Unit) -> None:
    """Let NumPy's own loop, and so its BLAS, multiply matrices."""
    x, y = node.inputs
    found = routine(np.matmul, (node.dtype,) * 3)
    assert found is not None
    rows, columns = x.shape[-2:-1], y.shape[-1:] if y.aval.ndim > 1 else ()
    batch = node.shape[: node.aval.ndim - len(rows) - len(columns)]
    a = operand(lowering, unit, x, node.dtype, batch, 1 + len(rows))
    b = operand(lowering, unit, y, node.dtype, batch, 1 + len(columns))
    m, k, n = math.prod(rows), x.shape[-1], math.prod(columns)
    operands = [
        Operand(a.buffer, (m, k), a.moves),
        Operand(b.buffer, (k, n), b.moves),
        Operand(lowering.make_room(node), (m, n)),
    ]
    unit.steps.append(call(found, math.prod(batch), operands))


def write_call(
    code: Code, step: Call, loop: str, data: str, operands: Sequence[str], error: str
) -> None:
    """Write the call of a library's loop; one that fails says so by the invalid operation."""
    room = code.room(COUNT, len(operands))
    lengths, strides = (_numbers(code, numbers) for numbers in (step.lengths, step.strides))
    for k, place in enumerate(operands):
        code.line(f"store ptr {place}, ptr {code.element(COUNT, room, str(k))}")
    if step.fault:
        _exceptions(code, "feclearexcept")
    code.line(f"call void {loop}(ptr {room}, ptr {lengths}, ptr {strides}, ptr {data})")
    if step.fault:
        failed = code.let(f"icmp ne i32 {_exceptions(code, 'fetestexcept')}, 0")
        flag = code.let(f"select i1 {failed}, i32 {step.fault}, i32 0")
        flag = code.let(f"or i32 {code.let(f'load i32, ptr {error}')}, {flag}")
        code.line(f"store i32 {flag}, ptr {error}")


def _exceptions(code: Code, name: str) -> str:
    code.module.declare(name, f"declare i32 @{name}(i32)")
    return code.let(f"call i32 @{name}(i32 {FE_INVALID})")


def _numbers(code: Code, numbers: Sequence[int]) -> str:
    name = "@counts_" + "_".join(map(str, numbers))
    values = ", ".join(f"i64 {n}" for n in numbers)
    text = f"{name} = private constant [{len(numbers)} x i64] [{values}]"
    return code.module.declare(name, text)
