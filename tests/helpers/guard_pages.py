"""A plugin of pytest: compiled code works between pages that no one may touch.

Arguments, constants, results and every temporary end (or, with GUARD=before, begin) where a page
does, and the next one is protected: a stray read or write ends the process. All memory that the
code has to write first holds NaN. `python -m pytest -p guard_pages tests/native`
"""

import ctypes
import mmap
import os

import numpy as np

from pullback.native import memory, program

PAGE = mmap.PAGESIZE
BEFORE = os.environ.get("GUARD") == "before"
PROT_NONE = 0
_mprotect = ctypes.CDLL(None, use_errno=True).mprotect
_mprotect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int


def pages(nbytes):
    """The bytes of the pages that hold `nbytes`."""
    return -(-nbytes // PAGE) * PAGE


def place(nbytes):
    """Where in its pages an array of `nbytes` lies."""
    return 0 if BEFORE else pages(nbytes) - nbytes


def protect(region, start):
    """Let nobody touch the page at `start` in a mapped region."""
    address = np.frombuffer(region, np.uint8).ctypes.data + start
    if _mprotect(address, PAGE, PROT_NONE):
        raise OSError(ctypes.get_errno(), "mprotect")


def empty(shape, dtype):
    """An array between protected pages, full of NaN."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape))
    nbytes = size * dtype.itemsize
    region = mmap.mmap(-1, pages(nbytes) + 2 * PAGE)
    region[PAGE : PAGE + pages(nbytes)] = b"\xff" * pages(nbytes)
    for start in (0, PAGE + pages(nbytes)):
        protect(region, start)
    return np.frombuffer(region, dtype, size, PAGE + place(nbytes)).reshape(shape)


def guarded(x):
    """A copy of an array between protected pages; what is no array in C order stays as it is."""
    if type(x) is not np.ndarray or not x.flags.c_contiguous or x.dtype.hasobject:
        return x
    copy = empty(x.shape, x.dtype)
    copy[...] = x
    return copy


def plan(steps, given=()):
    """A plan of the arena in which each temporary has pages of its own, and one after them."""
    offsets, size = {}, PAGE
    for step in steps:
        for buffer in step.buffers():
            if buffer.kind == "arena" and buffer not in {*offsets, *given}:
                offsets[buffer] = size + place(buffer.nbytes)
                size += pages(buffer.nbytes) + PAGE
    return memory.Plan(offsets, size)


class GuardedNumPy:
    """NumPy, whose `empty` arrays are guarded."""

    empty = staticmethod(empty)

    def __getattr__(self, name):
        return getattr(np, name)


class Frame(program._Frame):
    """The memory of a call, guarded."""

    def __init__(self, compiled):
        compiled.constants = {b: guarded(x) for b, x in compiled.constants.items()}
        super().__init__(compiled)
        self.region = mmap.mmap(-1, compiled.plan.size)
        self.region[:] = b"\xff" * compiled.plan.size
        protect(self.region, 0)
        for buffer, offset in compiled.plan.offsets.items():
            protect(self.region, offset - place(buffer.nbytes) + pages(buffer.nbytes))
        self.arena, self.start = np.frombuffer(self.region, np.uint8), 0
        self.table[program.ARENA] = self.arena.ctypes.data

    def run(self, compiled, leaves, converted):
        kept = compiled.donated
        return super().run(
            compiled,
            tuple(x if k in kept else guarded(x) for k, x in enumerate(leaves)),
            converted,
        )


def pytest_configure():
    """Guard all compiled code, where this plugin was asked for: importing it changes nothing."""
    memory.plan = plan
    program.np = GuardedNumPy()
    program.keeps = lambda shape, dtype: False  # no room of one result for another
    program._Frame = Frame
