"""From Python's arrays to pointers, in machine code: what a call costs besides its work.

A function made here looks at a tuple of arrays as CPython and NumPy lay them out, checks each
against its signature (type, dtype, shape, memory order) and writes their addresses into a table.
`supported` tests these layouts once; where they are others, the same is done in Python.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core.aval import Aval
from pullback.native.code import Code, Module

TUPLE_ITEMS, OBJECT_TYPE = 24, 8
DATA, NDIM, DIMENSIONS, DESCRIPTION, FLAGS = 16, 24, 32, 56, 64
SCALAR = 16
WANTED_FLAGS = 0x0001 | 0x0100  # C order, aligned
WRITEABLE = 0x0400
OVERLAP = -2
ENTER = "enter_"
_PROTOTYPE = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_void_p)


def write(
    module: Module,
    name: str,
    avals: Sequence[Aval],
    first_slot: int,
    slot_of: Callable[[Any], int],
    arguments: int = 0,
    donated: Sequence[int] = (),
) -> None:
    """Write the function `name(tuple, table)`; it returns 0, or -1 where an array does not fit.

    `slot_of(x)` is the entry of the table that holds the address of a Python object: addresses
    differ from process to process, and the code must not. Arrays at positions `donated` must be
    writeable; where one lies in the memory of another of the first `arguments` arrays, the function
    returns OVERLAP.
    """
    code = Code(module, name, "ptr %arrays, ptr %table", "i32")
    known: dict[Any, str] = {}

    def address(x: Any) -> str:
        if x not in known:
            known[x] = _load(code, "ptr", "%table", 8 * slot_of(x))
        return known[x]

    scalars = [aval.dtype.type for aval in avals if aval.ndim == 0]
    for x in (np.ndarray, *[aval.dtype for aval in avals], *scalars):
        address(x)
    for k, aval in enumerate(avals):
        item = _load(code, "ptr", "%arrays", TUPLE_ITEMS + 8 * k)
        slot = code.let(f"getelementptr inbounds ptr, ptr %table, i64 {first_slot + k}")
        bound = code.label("bound")
        if aval.ndim == 0 and aval.dtype.kind in "biufc":
            _bind_scalar(code, item, address(aval.dtype.type), slot, bound)
        _check(code, "ptr", _load(code, "ptr", item, OBJECT_TYPE), address(np.ndarray))
        _check(code, "ptr", _load(code, "ptr", item, DESCRIPTION), address(aval.dtype))
        _check(code, "i32", _load(code, "i32", item, NDIM), str(aval.ndim))
        wanted = WANTED_FLAGS | WRITEABLE * (k in donated)
        flags = code.let(f"and i32 {_load(code, 'i32', item, FLAGS)}, {wanted}")
        _check(code, "i32", flags, str(wanted))
        if aval.ndim:
            dimensions = _load(code, "ptr", item, DIMENSIONS)
            for axis, n in enumerate(aval.shape):
                _check(code, "i64", _load(code, "i64", dimensions, 8 * axis), str(n))
        code.line(f"store ptr {_load(code, 'ptr', item, DATA)}, ptr {slot}")
        code.line(f"br label %{bound}")
        code.begin(bound)
    if donated:
        _check_overlaps(code, avals[:arguments], first_slot, donated)
    code.line("ret i32 0")
    code.begin("misfit")
    code.finish("ret i32 -1")


def _bind_scalar(code: Code, item: str, scalar: str, slot: str, bound: str) -> None:
    """Write the quick way for a scalar of NumPy's, which holds its number itself."""
    same = code.let(f"icmp eq ptr {_load(code, 'ptr', item, OBJECT_TYPE)}, {scalar}")
    inside, other = code.label("scalar"), code.label("array")
    code.line(f"br i1 {same}, label %{inside}, label %{other}")
    code.begin(inside)
    number = code.let(f"getelementptr inbounds i8, ptr {item}, i64 {SCALAR}")
    code.line(f"store ptr {number}, ptr {slot}")
    code.line(f"br label %{bound}")
    code.begin(other)


def _check_overlaps(
    code: Code, avals: Sequence[Aval], first_slot: int, donated: Sequence[int]
) -> None:
    """Write the search for an array in the memory of a donated one; it returns OVERLAP if found."""
    tables = {"sizes": [a.size * a.dtype.itemsize for a in avals], "donated": donated}
    for name, numbers in tables.items():
        values = ", ".join(f"i64 {n}" for n in numbers)
        text = f"@{name} = private constant [{len(numbers)} x i64] [{values}]"
        code.module.declare(f"@{name}", text)

    def entry(table: str, k: str) -> str:
        return code.let(f"load i64, ptr {code.let(f'getelementptr i64, ptr {table}, i64 {k}')}")

    def span(k: str) -> tuple[str, str]:
        start = entry("%table", code.let(f"add i64 {k}, {first_slot}"))
        return start, code.let(f"add i64 {start}, {entry('@sizes', k)}")

    def compare(k: str, j: str, found: str) -> str:
        (start, end), (other, other_end) = span(k), span(j)
        before = code.let(f"icmp ult i64 {start}, {other_end}")
        after = code.let(f"icmp ult i64 {other}, {end}")
        both = code.let(f"and i1 {before}, {after}")
        apart = code.let(f"icmp ne i64 {k}, {j}")
        return code.let(f"or i1 {found}, {code.let(f'and i1 {both}, {apart}')}")

    def row(a: str, found: list[str]) -> list[str]:
        k = entry("@donated", a)
        return code.fold(len(avals), "i1", found, lambda j, so_far: [compare(k, j, so_far[0])])

    (found,) = code.fold(len(donated), "i1", ["false"], row)
    alone, overlap = code.label("alone"), code.label("overlap")
    code.line(f"br i1 {found}, label %{overlap}, label %{alone}")
    code.begin(overlap)
    code.line(f"ret i32 {OVERLAP}")
    code.begin(alone)


def _load(code: Code, type_: str, base: str, offset: int) -> str:
    at = code.let(f"getelementptr inbounds i8, ptr {base}, i64 {offset}")
    return code.let(f"load {type_}, ptr {at}")


def _check(code: Code, type_: str, value: str, wanted: str) -> None:
    same = code.let(f"icmp eq {type_} {value}, {wanted}")
    following = code.label("fits")
    code.line(f"br i1 {same}, label %{following}, label %misfit")
    code.begin(following)


def function(address: int) -> Any:
    """Return the function at `address` to be called from Python, the interpreter's lock held."""
    return _PROTOTYPE(address)


def write_enter(module: Module, name: str, threads: int) -> None:
    """Write the function that runs `name` on this thread alone.

    It gives back the interpreter's lock meanwhile. Python calls it as one that holds the lock, and
    so raises the exception that was set in it.
    """
    code = Code(module, ENTER + name, "ptr %table")
    alone = ", i64 0, i64 1, ptr null" if threads > 1 else ""
    state = code.let("call ptr @PyEval_SaveThread()")
    code.line(f"call void @{name}(ptr %table{alone})")
    code.line(f"call void @PyEval_RestoreThread(ptr {state})")
    code.finish()
    module.declare("PyEval_SaveThread", "declare ptr @PyEval_SaveThread()")
    module.declare("PyEval_RestoreThread", "declare void @PyEval_RestoreThread(ptr)")


def locked() -> bool:
    """Whether one thread of Python runs at a time, so that references are counted exactly."""
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


@functools.cache
def supported() -> bool:
    """Whether arrays and tuples lie in memory as expected here."""
    if sys.implementation.name != "cpython" or not locked():
        return False
    array = np.arange(6.0).reshape(2, 3)
    pair, scalar = (array,), np.float64(3)

    def word(address: int, kind: Any) -> int:
        return int(kind.from_address(address).value)

    item = word(id(pair) + TUPLE_ITEMS, ctypes.c_uint64)
    dimensions = word(item + DIMENSIONS, ctypes.c_uint64)
    return (
        item == id(array)
        and word(item + OBJECT_TYPE, ctypes.c_uint64) == id(np.ndarray)
        and word(item + DATA, ctypes.c_uint64) == array.ctypes.data
        and word(item + NDIM, ctypes.c_int32) == 2
        and word(item + DESCRIPTION, ctypes.c_uint64) == id(array.dtype)
        and word(item + FLAGS, ctypes.c_int32) & WANTED_FLAGS == WANTED_FLAGS
        and word(id(scalar) + SCALAR, ctypes.c_double) == 3
        and [word(dimensions + 8 * k, ctypes.c_int64) for k in range(2)] == [2, 3]
    )
