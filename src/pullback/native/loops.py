"""The loop language: what a graph becomes before it becomes machine code.

A kernel is a nest of loops over `sizes` with a few statements in its body; an expression reads
elements of buffers at affine places and computes. All of it prints, so that each stage of the
compiler can be read and tested.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from pullback.core.aval import DType

INDEX = np.dtype(np.int64)
Combine = Literal["sum", "prod", "max", "min", "any", "all"]


def part_of(dtype: DType) -> DType:
    """Return the dtype of the numbers that an element consists of: two, if it is complex."""
    return np.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype


@dataclass(frozen=True, slots=True)
class Affine:
    """A place that depends on the loops: `const` plus, for each (loop, step), step times its count.

    >>> print(Affine(3, ((0, 10), (1, 1))))
    10*i0 + i1 + 3
    """

    const: int = 0
    terms: tuple[tuple[int, int], ...] = ()

    def __add__(self, other: Affine) -> Affine:
        steps = dict(self.terms)
        for loop, step in other.terms:
            steps[loop] = steps.get(loop, 0) + step
        return affine(self.const + other.const, steps)

    def times(self, factor: int) -> Affine:
        """Return this place scaled."""
        return affine(self.const * factor, {loop: step * factor for loop, step in self.terms})

    def step(self, loop: int) -> int:
        """Return how far one turn of `loop` moves."""
        return dict(self.terms).get(loop, 0)

    def __str__(self) -> str:
        parts = [f"i{loop}" if step == 1 else f"{step}*i{loop}" for loop, step in self.terms]
        if self.const or not parts:
            parts.append(str(self.const))
        return " + ".join(parts)


def affine(const: int, steps: dict[int, int]) -> Affine:
    """Return the place with these steps, those of 0 left out."""
    return Affine(const, tuple(sorted((loop, step) for loop, step in steps.items() if step)))


def extent(place: Affine, sizes: Sequence[int], fixed: int) -> tuple[int, int]:
    """Return the first and the last number of a place while the loop `fixed` is at 0.

    >>> extent(affine(5, {0: 10, 1: -1}), (3, 4), 0)
    (2, 5)
    """
    ways = [step * (sizes[loop] - 1) for loop, step in place.terms if loop != fixed]
    return place.const + sum(min(w, 0) for w in ways), place.const + sum(max(w, 0) for w in ways)


Place = tuple[Affine, ...]
"""One affine number per axis of an array."""


def identity(sizes: Sequence[int]) -> Place:
    """Return the place that follows the loops, axis by axis; an axis of length 1 stays at 0."""
    return tuple(Affine() if n == 1 else affine(0, {k: 1}) for k, n in enumerate(sizes))


def strides_of(shape: Sequence[int]) -> list[int]:
    """Return the strides, in elements, of an array of `shape` in C order."""
    return [math.prod(shape[k + 1 :]) for k in range(len(shape))]


def linear(place: Place, shape: Sequence[int]) -> Affine:
    """Return where in the memory of a C-ordered array of `shape` a place is."""
    offset = Affine()
    for p, stride in zip(place, strides_of(shape), strict=True):
        offset = offset + p.times(stride)
    return offset


@dataclass(frozen=True, slots=True, eq=False)
class Buffer:
    """Memory of one array in C order: an argument, a constant, a result, or room in the arena."""

    name: str
    dtype: DType
    size: int
    kind: Literal["argument", "constant", "result", "arena", "python"]
    value: Any = None

    @property
    def nbytes(self) -> int:
        """Number of bytes."""
        return self.size * self.dtype.itemsize

    @property
    def part(self) -> DType:
        """Dtype of its numbers: loads and stores move one, and places count them."""
        return part_of(self.dtype)

    @property
    def numbers(self) -> int:
        """How many numbers lie in it."""
        return self.nbytes // self.part.itemsize

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, eq=False)
class Number:
    """A literal."""

    value: Any
    dtype: DType

    def __str__(self) -> str:
        return f"{self.value}"


@dataclass(frozen=True, slots=True, eq=False)
class Gather:
    """One axis whose place is computed: `index`, from 0 to `length` - 1, counted by `stride`."""

    index: Expr
    length: int
    stride: int


@dataclass(frozen=True, slots=True, eq=False)
class Load:
    """The number in `buffer` at `offset`, moved further by gathers."""

    buffer: Buffer
    offset: Affine
    gathers: tuple[Gather, ...] = ()

    @property
    def dtype(self) -> DType:
        """Dtype of the number."""
        return self.buffer.part


@dataclass(frozen=True, slots=True, eq=False)
class Apply:
    """The scalar operation `name` on `args`, which are cast to `working` first.

    `depth` is how many operations stand inside each other here.
    """

    name: str
    args: tuple[Expr, ...]
    working: DType
    dtype: DType
    depth: int = field(init=False)

    def __post_init__(self) -> None:
        depth = 1 + max([getattr(a, "depth", 0) for a in self.args])
        object.__setattr__(self, "depth", depth)


@dataclass(frozen=True, slots=True, eq=False)
class Count:
    """How far the loops have come: the number of a place."""

    offset: Affine

    @property
    def dtype(self) -> DType:
        """Dtype of the number."""
        return INDEX

    def __str__(self) -> str:
        return str(self.offset)


@dataclass(frozen=True, slots=True, eq=False)
class Product:
    """The element of a matrix product that has just been computed, where its readers run."""

    dtype: DType

    def __str__(self) -> str:
        return "a @ b"


Expr = Number | Load | Apply | Product | Count

Parts = tuple[Expr, ...]
"""An element: one number, or the real and the imaginary part of a complex one."""


@dataclass(frozen=True, slots=True)
class Store:
    """Write `value` to `buffer` at `offset`, moved further by gathers; `add` adds it there."""

    buffer: Buffer
    offset: Affine
    value: Expr
    gathers: tuple[Gather, ...] = ()
    add: bool = False


@dataclass(frozen=True, slots=True)
class Reduce:
    """Combine `value` over the loops that `offset` does not depend on, into `buffer`.

    `kept` are the loops that count in the result.
    """

    buffer: Buffer
    offset: Affine
    value: Expr
    combine: Combine
    kept: tuple[int, ...]


Statement = Store | Reduce


def offsets(dtype: DType, offset: Affine) -> tuple[Affine, ...]:
    """Return where the numbers of the element at `offset` are."""
    if dtype.kind != "c":
        return (offset,)
    twice = offset.times(2)
    return twice, twice + Affine(1)


def _spread(dtype: DType, gathers: Sequence[Gather]) -> tuple[Gather, ...]:
    if dtype.kind != "c":
        return tuple(gathers)
    return tuple([Gather(g.index, g.length, 2 * g.stride) for g in gathers])


def loads(buffer: Buffer, offset: Affine, gathers: Sequence[Gather] = ()) -> Parts:
    """Return the element of `buffer` at `offset`, moved further by gathers."""
    moved = _spread(buffer.dtype, gathers)
    return tuple([Load(buffer, at, moved) for at in offsets(buffer.dtype, offset)])


def stores(
    buffer: Buffer, offset: Affine, parts: Parts, gathers: Sequence[Gather] = (), add: bool = False
) -> tuple[Store, ...]:
    """Return the statements that write an element to `buffer`, as Store does."""
    moved = _spread(buffer.dtype, gathers)
    return tuple([
        Store(buffer, at, part, moved, add)
        for at, part in zip(offsets(buffer.dtype, offset), parts, strict=True)
    ])  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fetch:
    """Bring a buffer into the cache, where it is going to be read, or `writes` say, written."""

    buffer: Buffer
    writes: bool


@dataclass(frozen=True, slots=True)
class Kernel:
    """Statements inside a nest of loops, the last loop innermost; meanwhile fetches for later."""

    sizes: tuple[int, ...]
    body: tuple[Statement, ...]
    ahead: tuple[Fetch, ...] = ()

    def buffers(self) -> list[Buffer]:
        """Return every buffer that is read or written, each once, in order."""
        found: dict[Buffer, None] = {}
        for statement in self.body:
            found[statement.buffer] = None
            for load in loads_of(statement):
                found[load.buffer] = None
        return list(found)

    def written(self) -> list[Buffer]:
        """Return the buffers that are written."""
        return list(dict.fromkeys(s.buffer for s in self.body))

    def __str__(self) -> str:
        head = "for " + ", ".join(f"i{k} < {n}" for k, n in enumerate(self.sizes))
        if self.ahead:
            head += f", fetching {', '.join(str(fetch.buffer) for fetch in self.ahead)}"
        return "\n".join([f"{head if self.sizes else 'once'}:", *texts(self.body)])


def loads_of(statement: Statement) -> Iterator[Load]:
    """Yield every load in a statement."""
    return (e for e in expressions(statement) if isinstance(e, Load))


def expressions(statement: Statement) -> Iterator[Expr]:
    """Yield every expression in a statement, each once."""
    pending: list[Any] = [statement.value]
    pending += [g.index for g in getattr(statement, "gathers", ())]
    seen: set[Any] = set()
    while pending:
        expr = pending.pop()
        if expr in seen:
            continue
        seen.add(expr)
        yield expr
        if isinstance(expr, Load):
            pending.extend(g.index for g in expr.gathers)
        elif isinstance(expr, Apply):
            pending.extend(expr.args)


def operations(body: Sequence[Statement]) -> int:
    """Return how many expressions the statements are made of."""
    seen: set[Any] = set()
    pending: list[Any] = [s.value for s in body]
    while pending:
        expr = pending.pop()
        if expr not in seen:
            seen.add(expr)
            pending.extend(getattr(expr, "args", ()))
    return len(seen)


def reduces(
    buffer: Buffer, offset: Affine, parts: Parts, combine: Combine, kept: tuple[int, ...]
) -> tuple[Reduce, ...]:
    """Return the statements that combine elements into `buffer`, as Reduce does."""
    return tuple([
        Reduce(buffer, at, part, combine, kept)
        for at, part in zip(offsets(buffer.dtype, offset), parts, strict=True)
    ])  # fmt: skip


def literal(value: Any, dtype: Any) -> Number:
    """Return the literal `value` in `dtype`."""
    kind = np.dtype(dtype)
    return Number(kind.type(value).item(), kind)


def texts(body: Sequence[Statement]) -> list[str]:
    """Return the lines of a body: what is used more than once has a name."""
    uses: dict[Any, int] = {}
    pending: list[Any] = [e for s in body for e in (s.value, *_indices(s))]
    while pending:
        expr = pending.pop()
        uses[expr] = uses.get(expr, 0) + 1
        if uses[expr] == 1:
            pending.extend(expr.args if isinstance(expr, Apply) else _indices(expr))
    names: dict[Any, str] = {}
    lines: list[str] = []

    def place(offset: Affine, gathers: Sequence[Gather]) -> str:
        parts = [str(offset)] if offset != Affine() or not gathers else []
        for g in gathers:
            parts.append(f"{'' if g.stride == 1 else f'{g.stride}*'}[{text(g.index)}]")
        return " + ".join(parts)

    def text(expr: Expr) -> str:
        if expr in names:
            return names[expr]
        if isinstance(expr, Load):
            return f"{expr.buffer}[{place(expr.offset, expr.gathers)}]"
        if not isinstance(expr, Apply):
            return str(expr)
        written = f"{expr.name}({', '.join([text(a) for a in expr.args])})"
        if uses[expr] > 1:
            names[expr] = f"v{len(names)}"
            lines.append(f"  {names[expr]} = {written}")
            return names[expr]
        return written

    for s in body:
        value = text(s.value)
        if isinstance(s, Reduce):
            lines.append(f"  {s.buffer}[{s.offset}] {s.combine}= {value}")
        else:
            sign = "+=" if s.add else "="
            lines.append(f"  {s.buffer}[{place(s.offset, s.gathers)}] {sign} {value}")
    return lines


def _indices(x: Any) -> list[Expr]:
    return [g.index for g in getattr(x, "gathers", ())]
