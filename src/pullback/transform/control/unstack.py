"""The entries of an array along its first axis, as one operation for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core.aval import Aval
from pullback.core.op import Op, call, define


def _vjp(i: int, ct: Any, out: Any, args: Sequence[Any], params: Any) -> Any:
    # one stack, where n separate gathers would each scatter into an array of n entries
    return np.stack(ct)


unstack: Op = define(
    Op(
        name="unstack",
        kind="linear",
        forward=tuple,
        infer=lambda x: (Aval(x.shape[1:], x.dtype),) * x.shape[0],
        vjp=_vjp,
        jvp=lambda tangents, out, args, params: unstack(tangents[0]),
        batch=lambda args, batched, params: unstack(np.moveaxis(args[0], 1, 0)),
        notation=call("unstack"),
        samples=lambda rng: [((rng.normal(size=(3, 2)),), {}), ((rng.normal(size=(4,)),), {})],
        undefined_at="",
    )
)
