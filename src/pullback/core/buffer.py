"""Buffers: arrays made by pullback.numpy.zeros and its like, which take traced values in place.

A plain `numpy.zeros(3)` cannot notice that a traced value is assigned into it. A buffer can: it
holds an array until the first traced value arrives, and the traced result from then on.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core import dispatch
from pullback.core.tracer import Trace, Tracer, View

if TYPE_CHECKING:
    from pullback.core.op import Op


class Buffer(Tracer):
    """An array that may be assigned traced values; otherwise as the ndarray it holds."""

    __slots__ = ()

    def __init__(self, value: Any) -> None:
        super().__init__(_BUFFERS, value)

    def rebind(self, new: Any) -> None:
        """Hold `new` from now on."""
        self.hold(new)

    def hold(self, new: Any) -> None:
        """Hold what `new` is, or holds."""
        self.value = unwrap(new)
        self.version += 1

    def __getitem__(self, index: Any) -> Any:
        self.refresh()
        value = self.value[index]
        if not _is_basic(index) or value.shape == ():
            return value
        result = Buffer(value)
        result.origin = View(
            self,
            lambda base: base.value[index],
            lambda base, new: dispatch.functions[operator.setitem](base.value, index, new),
        )
        return result

    def __setitem__(self, index: Any, value: Any) -> None:
        self.refresh()
        if isinstance(value, Buffer):
            value = unwrap(value)
        if isinstance(self.value, Tracer) or isinstance(value, Tracer):
            self.assign(dispatch.functions[operator.setitem](self.value, index, value))
        else:
            new = self.value.copy() if self.origin is not None else self.value
            new[index] = value
            self.assign(new)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        self.refresh()
        if isinstance(self.value, Tracer):
            return super().__array__(*args, **kwargs)
        return np.array(self.value, *args, **kwargs)


class _Buffers(Trace):
    """Runs operations on what buffers hold; goes before every other trace."""

    def __init__(self) -> None:
        super().__init__()
        self.level = float("inf")

    def wrap(self, value: Any) -> Tracer:
        return Buffer(value)

    def process(self, op: Op, args: tuple[Any, ...], params: Mapping[str, Any]) -> Any:
        values = [unwrap(a) for a in args]
        out = op(*values, **params)
        if isinstance(out, np.ndarray) and any(
            isinstance(v, np.ndarray) and np.may_share_memory(out, v) for v in values
        ):
            out = out.copy()  # the buffer may be written later, and the result must not follow;
            out.flags.writeable = False  # nor may writing here be lost without a word
        return out


_BUFFERS = _Buffers()


def unwrap(x: Any) -> Any:
    """Return what a buffer holds; anything else as it is."""
    if isinstance(x, Buffer):
        x.refresh()
        return x.value
    return x


def _is_basic(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return all(p is None or p is Ellipsis or isinstance(p, (int, slice, np.integer)) for p in parts)
