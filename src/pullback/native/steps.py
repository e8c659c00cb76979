"""The steps that a program runs in order: kernels of loops, matrix products, calls of NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pullback.native.loops import Affine, Buffer, Kernel, Product, Statement, texts


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

    As Matmul; `body` counts in the loops of the batch, then the rows, then the columns.
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
        head = f"for {loops}, with {a} @ {b} over {self.k}:"
        return "\n".join([head, *texts(self.body)])


Step = Kernel | Matmul | Tiles | Python
