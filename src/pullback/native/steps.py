"""The steps that a program runs in order: kernels, matrix products, loops around steps, NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pullback.native.loops import Affine, Buffer, Kernel, Product, Statement, Store, texts
from pullback.native.memory import ALIGNMENT, Plan


@dataclass(frozen=True, slots=True)
class Matmul:
    """out (m, n) = a (m, k) @ b (k, n) for each entry of `batch`, by a library's routine.

    `a_transposed` says that the memory of `a` is (k, m); likewise for `b`. The offsets count in
    the loops of the batch.
    """

    out: Buffer
    a: Buffer
    b: Buffer
    m: int
    n: int
    k: int
    a_transposed: bool
    b_transposed: bool
    batch: tuple[int, ...]
    offsets: tuple[Affine, Affine, Affine]
    scale: float = 1.0
    add: bool = False
    rounded: bool = False

    def buffers(self) -> list[Buffer]:
        """Return the buffers that are read or written."""
        return list(dict.fromkeys((self.out, self.a, self.b)))

    def written(self) -> list[Buffer]:
        """Return the buffer that is written."""
        return [self.out]

    def __str__(self) -> str:
        a, b = (
            f"{x}{'.T' if t else ''}"
            for x, t in ((self.a, self.a_transposed), (self.b, self.b_transposed))
        )
        scale = "" if self.scale == 1 else f"{self.scale} * "
        sizes = f"({self.m}, {self.k}, {self.n})"
        text = f"{self.out} {'+=' if self.add else '='} {scale}{a} @ {b}  {sizes}"
        return f"for each of {self.batch}: {text}" if self.batch else text


@dataclass(frozen=True, slots=True)
class Routine:
    """A loop of a universal function: the one at `number`, for arrays of `dtypes`."""

    ufunc: Any
    number: int
    dtypes: tuple[Any, ...]

    def __str__(self) -> str:
        return str(self.ufunc.__name__)


@dataclass(frozen=True, slots=True)
class Call:
    """A routine of a library over arrays in memory, of which the last `outs` are written.

    `lengths` are the number of turns of its loop and the lengths that its signature names;
    `strides`, in bytes, those of the turns and then those of each array. `fault` is what to tell
    where it fails.
    """

    routine: Routine
    operands: tuple[Buffer, ...]
    outs: int
    lengths: tuple[int, ...]
    strides: tuple[int, ...]
    fault: int = 0

    def buffers(self) -> list[Buffer]:
        """Return the buffers that are read or written."""
        return list(dict.fromkeys(self.operands))

    def written(self) -> list[Buffer]:
        """Return the buffers that are written."""
        return list(self.operands[-self.outs :])

    def __str__(self) -> str:
        names = [str(b) for b in self.operands]
        outs, ins = (", ".join(group) for group in (names[-self.outs :], names[: -self.outs]))
        return f"for each of {self.lengths[0]}: {outs} = {self.routine}({ins})"


@dataclass(frozen=True, slots=True)
class Python:
    """An operation that NumPy runs: what the compiler has no loops for."""

    node: Any
    out: tuple[Buffer, ...]
    inputs: tuple[tuple[Buffer, tuple[int, ...]], ...]

    def buffers(self) -> list[Buffer]:
        """Return the buffers that are read or written."""
        return list(dict.fromkeys((*self.out, *[buffer for buffer, _ in self.inputs])))

    def written(self) -> list[Buffer]:
        """Return the buffers that are written."""
        return list(self.out)

    def __str__(self) -> str:
        outs, ins = (
            ", ".join(map(str, group)) for group in (self.out, [b for b, _ in self.inputs])
        )
        return f"{outs} = python {self.node.op.name}({ins})"


@dataclass(frozen=True, slots=True)
class Tiles:
    """Matrix products by loops of our own, and what is done with each element of them.

    As Matmul; `body` counts in the loops of the batch, then the rows, then the columns. The
    rows in memory are `a_step` and `b_step` apart. Where `a` is packed, it holds the rows of one
    tile after those of another, each column by column; where the product is `rounded`, `b` holds
    panels likewise, and both were rounded to bfloat16.
    """

    a: Buffer
    b: Buffer
    m: int
    n: int
    k: int
    a_transposed: bool
    b_transposed: bool
    batch: tuple[int, ...]
    offsets: tuple[Affine, Affine]
    product: Product
    body: tuple[Statement, ...]
    a_step: int
    b_step: int
    packed: bool = False
    rounded: bool = False

    @property
    def sizes(self) -> tuple[int, ...]:
        """The loops of the body."""
        return (*self.batch, self.m, self.n)

    def buffers(self) -> list[Buffer]:
        """Return the buffers that are read or written."""
        return list(dict.fromkeys((self.a, self.b, *Kernel((), self.body).buffers())))

    def written(self) -> list[Buffer]:
        """Return the buffers that are written."""
        return list(dict.fromkeys(s.buffer for s in self.body))

    def __str__(self) -> str:
        a, b = (
            f"{x}{'.T' if t else ''}"
            for x, t in ((self.a, self.a_transposed), (self.b, self.b_transposed))
        )
        loops = ", ".join(f"i{k} < {n}" for k, n in enumerate(self.sizes))
        how = " in bfloat16" if self.rounded else ""
        head = f"for {loops}, with {a} @ {b} over {self.k}{how}:"
        return "\n".join([head, *texts(self.body)])


@dataclass(frozen=True, slots=True)
class Contraction:
    """Sums of products of elements of `a` and `b`, and what is done with each sum.

    The offsets count in the loops of `sizes`, then in those of `summed`; the body in the first
    alone, whose last one is that of vectors. A body that adds to memory may be given the sums in
    parts, one for each turn of the first of the `summed` loops.
    """

    a: Buffer
    b: Buffer
    sizes: tuple[int, ...]
    summed: tuple[int, ...]
    offsets: tuple[Affine, Affine]
    product: Product
    body: tuple[Statement, ...]

    @property
    def adds(self) -> bool:
        """Whether the sums are added to memory."""
        return any(isinstance(s, Store) and s.add for s in self.body)

    def buffers(self) -> list[Buffer]:
        """Return the buffers that are read or written."""
        return list(dict.fromkeys((self.a, self.b, *Kernel((), self.body).buffers())))

    def written(self) -> list[Buffer]:
        """Return the buffers that are written."""
        return list(dict.fromkeys(s.buffer for s in self.body))

    def __str__(self) -> str:
        loops = [f"i{k} < {n}" for k, n in enumerate((*self.sizes, *self.summed))]
        kept, summed = (", ".join(part) for part in (loops[: len(self.sizes)],
                                                     loops[len(self.sizes) :]))  # fmt: skip
        x, y = self.offsets
        head = f"for {kept}, with a @ b = {self.a}[{x}] * {self.b}[{y}] summed over {summed}:"
        return "\n".join([head, *texts(self.body)])


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Steps with room for their temporaries: a program, or what a loop or a choice runs.

    Where `arguments` and `results` lie is said by what runs the block.
    """

    steps: tuple[Step, ...]
    plan: Plan
    arguments: tuple[Buffer, ...]
    results: tuple[Buffer, ...]

    def outside(self) -> list[Buffer]:
        """Return the buffers that it works on which are not its own."""
        own = {*self.plan.offsets, *self.arguments, *self.results}
        found = dict.fromkeys(b for step in self.steps for b in step.buffers())
        return [b for b in found if b not in own]

    def __str__(self) -> str:
        return "\n".join(map(str, self.steps))


@dataclass(frozen=True, slots=True)
class Series:
    """Parts of `buffer`, one for each turn: from `first` on, one every `step` numbers."""

    buffer: Buffer
    first: int
    step: int

    def __str__(self) -> str:
        return f"{self.buffer}{f' from {self.first} on' if self.first else ''}"


@dataclass(frozen=True, slots=True, eq=False)
class Loop:
    """Runs `body` again and again: `length` times, or as long as `condition` tells.

    A carry starts in the first buffer of its pair; each turn reads it from one and writes it to
    the other, unless they are the same. The arguments of the body are the carries and one part of
    each of `xs`, its results the new carries and one part of each of `ys`; those of the condition
    are the carries. A loop with a condition ends with its carries in the first of the pairs, and
    has counted its turns, at most `length` if that is given.
    """

    body: Block
    length: int | None
    carries: tuple[tuple[Buffer, Buffer], ...]
    xs: tuple[Series, ...]
    ys: tuple[Series, ...]
    scratch: Buffer
    reverse: bool = False
    condition: Block | None = None
    holds: Buffer | None = None
    count: Buffer | None = None

    def buffers(self) -> list[Buffer]:
        """Return the buffers that are read or written."""
        found = [*self.written(), *[x.buffer for x in self.xs], *self.body.outside()]
        if self.condition is not None:
            found += self.condition.outside()
        return list(dict.fromkeys(found))

    def written(self) -> list[Buffer]:
        """Return the buffers that are written."""
        own = [b for b in (self.holds, self.count) if b is not None]
        carries = [b for pair in self.carries for b in pair]
        return list(dict.fromkeys([*carries, *[y.buffer for y in self.ys], self.scratch, *own]))

    def __str__(self) -> str:
        turns = "" if self.length is None else f" {self.length} times"
        head = [f"repeat{turns}{' from the last' if self.reverse else ''}:"]
        if self.condition is not None:
            head = [f"while{turns and f' at most{turns}'}:", _inside(self.condition), "do:"]
        inner = iter(zip(self.body.arguments, self.body.results, strict=False))
        for (start, other), (before, after) in zip(self.carries, inner, strict=False):
            head.append(f"  carry {before} -> {after} in {start}, {other}")
        count = len(self.carries)
        for series, parts in ((self.xs, self.body.arguments), (self.ys, self.body.results)):
            for whole, part in zip(series, parts[count:], strict=True):
                head.append(f"  part {part} of {whole}")
        return "\n".join([*head, _inside(self.body)])


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """Runs the block that `index` tells, the first or last where it is too small or large."""

    index: Buffer
    branches: tuple[Block, ...]
    results: tuple[Buffer, ...]
    scratch: Buffer

    def buffers(self) -> list[Buffer]:
        """Return the buffers that are read or written."""
        inside = [b for branch in self.branches for b in branch.outside()]
        return list(dict.fromkeys([self.index, *self.written(), *inside]))

    def written(self) -> list[Buffer]:
        """Return the buffers that are written."""
        return [*self.results, self.scratch]

    def __str__(self) -> str:
        lines = [f"choose by {self.index}:"]
        for k, branch in enumerate(self.branches):
            names = ", ".join(f"{a} as {b}" for a, b in zip(self.results, branch.results,
                                                            strict=True))  # fmt: skip
            lines += [f"  {k}: {names}", _inside(branch)]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True, eq=False)
class Strips:
    """Runs `body` for `count` strips of arrays, which do not need each other.

    The arguments of the body are the strips of `xs`, its results those of `ys`. What is `late`
    belongs to the strip before the one of this turn; then there are two rooms for temporaries.
    """

    body: Block
    count: int
    xs: tuple[Series, ...]
    ys: tuple[Series, ...]
    late: frozenset[Buffer] = frozenset()

    @property
    def spare(self) -> dict[Buffer, int]:
        """Where in the room results lie of a strip that there is not, if there is such a turn."""
        at, found = 2 * self.body.plan.size, {}
        for buffer in self.body.results if self.late else ():
            found[buffer] = at
            at += -(-buffer.nbytes // ALIGNMENT) * ALIGNMENT
        return found

    @property
    def room(self) -> int:
        """Bytes of the room for temporaries, and what is spare."""
        return max((at + b.nbytes for b, at in self.spare.items()), default=self.body.plan.size)

    def buffers(self) -> list[Buffer]:
        """Return the buffers that are read or written."""
        return list(
            dict.fromkeys([*self.written(), *[x.buffer for x in self.xs], *self.body.outside()])
        )

    def written(self) -> list[Buffer]:
        """Return the buffers that are written."""
        return [y.buffer for y in self.ys]

    def __str__(self) -> str:
        names = ", ".join(dict.fromkeys(str(x.buffer) for x in (*self.xs, *self.ys)))
        late = ", ' is of the one before" if self.late else ""
        return f"in {self.count} strips of {names}{late}:\n{_inside(self.body)}"


def _inside(block: Block) -> str:
    return "\n".join("  " + line for line in str(block).splitlines())


Step = Kernel | Matmul | Tiles | Contraction | Call | Python | Loop | Choice | Strips
"""What a program does next."""
