"""Forward mode: values that carry a tangent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pullback.core.op import Op
from pullback.core.tracer import Trace, Tracer


class ForwardTracer(Tracer):
    """An array with the tangent it carries in `node`; None is the zero tangent."""

    __slots__ = ()


class Forward(Trace):
    """Pushes tangents along with the values."""

    def wrap(self, value: Any) -> ForwardTracer:
        return ForwardTracer(self, value)

    def process(self, op: Op, args: tuple[Any, ...], params: Mapping[str, Any]) -> Any:
        values, tangents = self.unwrap(args)
        out = op(*values, **params)
        if op.jvp is None:
            return out  # piecewise constant
        moving = any(t is not None for t in tangents)
        tangent = op.jvp(tangents, out, values, params) if moving else None
        if isinstance(out, tuple):
            pushed = tangent if tangent is not None else (None,) * len(out)
            return tuple(ForwardTracer(self, o, t) for o, t in zip(out, pushed, strict=True))
        return ForwardTracer(self, out, tangent)

    def unwrap(self, args: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Return the values that `args` stand for, and their tangents (None is zero)."""
        values: list[Any] = []
        tangents: list[Any] = []
        for a in args:
            if isinstance(a, Tracer) and a.context is self:
                if a.origin is not None:
                    a.refresh()
                values.append(a.value)
                tangents.append(a.node)
            else:
                values.append(a)
                tangents.append(None)
        return values, tangents
