"""Bodies of loops on whole vectors: so many turns of the last loop at once."""

from __future__ import annotations

from collections.abc import Sequence

from pullback.core.aval import DType
from pullback.native.code import BOOL, Code, memory_type, number, type_of, vector_type
from pullback.native.emit import COUNT, BodyWriter, combine, start_value
from pullback.native.loops import Buffer, Count, Load, Reduce


class VectorWriter(BodyWriter):
    """Writes the body of loops, of which the last goes over the lanes of a vector.

    Where there is a mask, only its lanes are read or written.
    """

    last: int
    mask: str | None = None

    def load(self, expr: Load) -> str:
        """Write a load: of one number for all lanes, of a vector, or lane by lane."""
        code, step = self.code, expr.offset.step(self.last)
        base, place = self.base(expr.buffer, expr.offset)
        at = code.element(expr.dtype, base, self.offset(place))
        if step == 0:
            return code.splat(expr.dtype, code.load(expr.dtype, at))
        if step == 1:
            return load_vector(code, expr.dtype, at, self.mask)
        return gather(code, expr.dtype, at, step, self.mask)

    def count(self, expr: Count) -> str:
        """Return the numbers of a place, one for each lane."""
        code, step = self.code, expr.offset.step(self.last)
        first = code.splat(COUNT, self.offset(expr.offset))
        return code.binary(
            "add", COUNT, first, _numbers(code, [k * step for k in range(code.lanes)])
        )

    def get(self, buffer: Buffer, place: str) -> str:
        """Write the load of a vector of a buffer that is written too."""
        at = self.code.element(buffer.part, self.pointers[buffer, 0], place)
        return load_vector(self.code, buffer.part, at, self.mask)

    def put(self, buffer: Buffer, place: str, value: str) -> None:
        """Write the store of a vector."""
        at = self.code.element(buffer.part, self.pointers[buffer, 0], place)
        store_vector(self.code, buffer.part, value, at, self.mask)

    def accumulate(self, s: Reduce, register: str) -> None:
        """Combine a vector with those in a register; lanes that are not there do not count."""
        code, dtype = self.code, s.buffer.part
        value = code.cast(self.value(s.value), s.value.dtype, dtype)
        if self.mask is not None:
            t, start = code.type(dtype), code.number(start_value(s), dtype)
            value = code.let(f"select {code.type(BOOL)} {self.mask}, {t} {value}, {t} {start}")
        before = code.let(f"load {code.type(dtype)}, ptr {register}")
        total = combine(code, s.combine, dtype, before, value)
        code.line(f"store {code.type(dtype)} {total}, ptr {register}")

    def merge_lanes(self, s: Reduce, total: str) -> None:
        """Combine the lanes of a vector with one number in memory."""
        code, dtype = self.code, s.buffer.part
        half = code.lanes
        while half > 1:
            half //= 2
            turned = [(k + half) % code.lanes for k in range(code.lanes)]
            total = combine(
                code, s.combine, dtype, total, code.shuffle(dtype, total, total, turned)
            )
        at = code.element(dtype, self.pointers[s.buffer, 0], self.offset(s.offset))
        before = code.splat(dtype, code.load(dtype, at))
        total = combine(code, s.combine, dtype, before, total)
        one = code.let(f"extractelement {code.type(dtype)} {total}, i32 0")
        code.store(dtype, one, at)


def _memory(code: Code, dtype: DType) -> tuple[str, str]:
    """Return LLVM's type of a vector in memory, and the ending of the names of its intrinsics."""
    scalar = memory_type(dtype)
    name = scalar if scalar.startswith("i") else f"f{8 * dtype.itemsize}"
    return vector_type(scalar, code.lanes), f"v{code.lanes}{name}"


def _truths(code: Code, dtype: DType, value: str) -> str:
    if dtype.kind != "b":
        return value
    return code.let(f"icmp ne {_memory(code, dtype)[0]} {value}, zeroinitializer")


def load_vector(code: Code, dtype: DType, pointer: str, mask: str | None) -> str:
    """Write the load of a vector; lanes out of the mask are 0."""
    t, name = _memory(code, dtype)
    if mask is None:
        return _truths(code, dtype, code.let(f"load {t}, ptr {pointer}, align {dtype.alignment}"))
    truths = code.type(BOOL)
    full = f"llvm.masked.load.{name}.p0"
    code.module.declare(full, f"declare {t} @{full}(ptr, i32, {truths}, {t})")
    args = f"ptr {pointer}, i32 {dtype.alignment}, {truths} {mask}, {t} zeroinitializer"
    return _truths(code, dtype, code.let(f"call {t} @{full}({args})"))


def store_vector(code: Code, dtype: DType, value: str, pointer: str, mask: str | None) -> None:
    """Write the store of a vector."""
    t, name = _memory(code, dtype)
    truths = code.type(BOOL)
    if dtype.kind == "b":
        value = code.let(f"zext {truths} {value} to {t}")
    if mask is None:
        code.line(f"store {t} {value}, ptr {pointer}, align {dtype.alignment}")
        return
    full = f"llvm.masked.store.{name}.p0"
    code.module.declare(full, f"declare void @{full}({t}, ptr, i32, {truths})")
    code.line(
        f"call void @{full}({t} {value}, ptr {pointer}, i32 {dtype.alignment}, {truths} {mask})"
    )


def gather(code: Code, dtype: DType, pointer: str, step: int, mask: str | None) -> str:
    """Write the load of elements that lie `step` apart."""
    t, name = _memory(code, dtype)
    truths, pointers = code.type(BOOL), vector_type("ptr", code.lanes)
    places = _numbers(code, [k * step for k in range(code.lanes)])
    at = code.let(
        f"getelementptr inbounds {memory_type(dtype)}, ptr {pointer}, {code.type(COUNT)} {places}"
    )
    full = f"llvm.masked.gather.{name}.v{code.lanes}p0"
    code.module.declare(full, f"declare {t} @{full}({pointers}, i32, {truths}, {t})")
    mask = mask or code.number(True, BOOL)
    args = f"{pointers} {at}, i32 {dtype.alignment}, {truths} {mask}, {t} zeroinitializer"
    return _truths(code, dtype, code.let(f"call {t} @{full}({args})"))


def first_lanes(code: Code, count: int | str) -> str | None:
    """Return the mask of the first `count` lanes; None where these are all."""
    if isinstance(count, int):
        if count >= code.lanes:
            return None
        return f"<{', '.join(f'i1 {str(k < count).lower()}' for k in range(code.lanes))}>"
    order = _numbers(code, range(code.lanes))
    return code.let(f"icmp slt {code.type(COUNT)} {order}, {code.splat(COUNT, count)}")


def column_masks(code: Code, n: int, width: int, column: str) -> list[str | None]:
    """Return, for each vector of `width` columns from `column` on, which of the n columns it has.

    It is None where these are all.
    """
    starts = range(0, width, code.lanes)
    if n % width == 0:
        return [None for _ in starts]
    if n < width:
        return [first_lanes(code, n - start) for start in starts]
    left = code.let(f"sub nuw nsw i64 {n}, {column}")
    counts = [code.let(f"sub nsw i64 {left}, {start}") for start in starts]
    return [first_lanes(code, count) for count in counts]


def _numbers(code: Code, values: Sequence[int]) -> str:
    return f"<{', '.join(f'{type_of(COUNT)} {number(v, COUNT)}' for v in values)}>"


def transposed(code: Code, dtype: DType, rows: list[str]) -> list[str]:
    """Return the columns of a square of as many vectors as they have lanes.

    Each pass interleaves the first half of the vectors with the second, as cards are shuffled;
    after log2(lanes) passes the bits of the lane and those of the row have changed places.
    """
    n = code.lanes
    low = [k // 2 + n * (k % 2) for k in range(n)]
    high = [k + n // 2 for k in low]
    for _ in range(n.bit_length() - 1):
        halves = zip(rows[: n // 2], rows[n // 2 :], strict=True)
        rows = [code.shuffle(dtype, x, y, order) for x, y in halves for order in (low, high)]
    return rows
