"""Writing fetches: some of what lies ahead in each turn of loops."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from pullback.native.code import Code
from pullback.native.loops import Fetch
from pullback.native.memory import LINE

NEAR, DATA = 3, 1
"""Into all caches; no instructions."""


def write(
    code: Code,
    fetches: Iterable[tuple[Fetch, str]],
    counters: Sequence[str],
    sizes: Sequence[int],
) -> None:
    """Write what one turn of loops of these sizes fetches: its share of each buffer, by address.

    The last share may go beyond the end, as no fetch fails.
    """
    name = code.module.declare(
        "llvm.prefetch.p0", "declare void @llvm.prefetch.p0(ptr, i32, i32, i32)"
    )
    turn = "0"
    for counter, size in zip(counters, sizes, strict=True):
        turn = code.let(f"add i64 {code.let(f'mul i64 {turn}, {size}')}, {counter}")
    for fetch, address in fetches:
        share = LINE * math.ceil(fetch.buffer.nbytes / (LINE * math.prod(sizes)))
        first = code.let(f"mul i64 {turn}, {share}")
        for line in range(0, share, LINE):
            place = code.let(f"add i64 {first}, {line}")
            at = code.let(f"getelementptr i8, ptr {address}, i64 {place}")
            code.line(f"call void @{name}(ptr {at}, i32 {fetch.writes:d}, i32 {NEAR}, i32 {DATA})")
