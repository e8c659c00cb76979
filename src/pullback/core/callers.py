"""Who asks a traced value for its number: read from the instruction that runs in the caller.

No protocol of Python tells `float(x)`, which takes the number on purpose, from `math.sin(x)` and
`plain_array[i] = x`, which take it in passing and would lose its gradient.
"""

from __future__ import annotations

import dis
import functools
import sys
from types import CodeType, FrameType

from pullback.core.errors import TracerError

_ON_PURPOSE = frozenset({"float", "complex", "__float__", "__complex__"})
_CONSTANT = frozenset({"isfinite", "isnan", "isinf", "isclose", "floor", "ceil", "trunc"})
_ASSIGNMENT = "[...] ="
_LIBRARIES = ("numpy.", "scipy.", "pullback.")


def refuse_losses(assignment: str) -> None:
    """Raise TracerError where the caller of `__float__` would lose a gradient unawares.

    `assignment` is the message for a value that is assigned to an element of a plain array.
    """
    frame = sys._getframe(2)
    asking = _asking(frame.f_code, frame.f_lasti)
    if asking == _ASSIGNMENT:
        raise TracerError(assignment)
    if asking and asking not in _ON_PURPOSE and asking not in _CONSTANT:
        raise TracerError(
            f"{asking}() asked a traced value for its plain number, which would lose the gradient. "
            f"Write a function of NumPy or pullback.scipy in its place, such as np.sin for "
            "math.sin; for a solver or another library see pb.custom_root and pb.pure_callback; "
            "to take the number as a constant, write float(x)"
        )


def asked_by() -> str:
    """Return "name: " of what the user's code calls that asks for an array; "" if it is no call."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_globals.get("__name__", "").startswith(_LIBRARIES):
        frame = frame.f_back
    name = _asking(frame.f_code, frame.f_lasti) if frame is not None else ""
    return f"{name}: " if name.isidentifier() else ""


@functools.lru_cache(maxsize=1024)
def _asking(code: CodeType, at: int) -> str:
    """Return the name of what the instruction at `at` calls, "" where it calls nothing."""
    before: list[dis.Instruction] = []
    for instruction in dis.get_instructions(code):
        if instruction.offset > at:  # `at` may be behind an instruction, where its caches end
            break
        before.append(instruction)
    if not before:
        return ""
    instruction = before.pop()
    if instruction.opname == "STORE_SUBSCR":
        return _ASSIGNMENT
    where = instruction.positions
    if not instruction.opname.startswith("CALL") or where is None or where.lineno is None:
        return ""
    # what is called stands at the beginning of the call, and was loaded last of all that does
    start = where.lineno, where.col_offset
    for earlier in reversed(before):
        there = earlier.positions
        if (
            there is not None
            and (there.lineno, there.col_offset) == start
            and earlier.opname.startswith("LOAD_")
            and isinstance(earlier.argval, str)
        ):
            return earlier.argval
    return ""
