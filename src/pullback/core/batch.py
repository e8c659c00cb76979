"""Batching: values that stand for one example of many, all computed at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pullback.core.aval import Aval, DType, Shape, aval_of
from pullback.core.errors import TracerError
from pullback.core.op import Op
from pullback.core.tracer import Trace, Tracer


class BatchTracer(Tracer):
    """One example of a batch: `value` has the batch as its first axis where `node` is True."""

    __slots__ = ()

    @property
    def shape(self) -> Shape:
        shape: Shape = aval_of(self.value).shape
        return shape[1:] if self.node else shape

    @property
    def dtype(self) -> DType:
        return aval_of(self.value).dtype

    @property
    def aval(self) -> Aval:
        return Aval(self.shape, self.dtype)

    def concrete(self, purpose: str) -> Any:
        self.refresh()
        if not self.node:
            return self.value.concrete(purpose) if isinstance(self.value, Tracer) else self.value
        raise TracerError(
            f"{purpose} needs one number, but under pb.vmap a value stands for all examples at "
            f"once (here {self.aval} each). Use np.where or pb.cond for a choice between values."
        )


class BatchTrace(Trace):
    """Runs each operation once for all examples, by its batching rule."""

    def wrap(self, value: Any, batched: bool = False) -> BatchTracer:
        return BatchTracer(self, value, batched)

    def process(self, op: Op, args: tuple[Any, ...], params: Mapping[str, Any]) -> Any:
        values, batched = [], []
        for a in args:
            mine = isinstance(a, Tracer) and a.context is self
            if mine:
                a.refresh()
            values.append(a.value if mine else a)
            batched.append(bool(mine and a.node))
        if not any(batched):
            return op(*values, **params)
        out = op.batch(values, batched, params)
        if isinstance(out, tuple):
            return tuple(self.wrap(o, True) for o in out)
        return self.wrap(out, True)
