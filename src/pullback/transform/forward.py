"""Forward mode: jvp."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core import pytree
from pullback.core.buffer import unwrap
from pullback.core.errors import TreeError
from pullback.core.forward import Forward, ForwardTracer
from pullback.core.tracer import Tracer
from pullback.transform.inputs import distinct, flat_arrays, matching_leaves


def jvp(
    function: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]
) -> tuple[Any, Any]:
    """Return `(out, tangent_out)`: the value at `primals` and its derivative along `tangents`.

    `primals` and `tangents` are sequences of one pytree per argument, of the same structure and
    shapes; the tangent of the result has the structure, shapes and dtypes of the result.
    Raises TreeError or ShapeError where they differ, DTypeError for integer primals.

    >>> import numpy as np, pullback as pb
    >>> pb.jvp(np.sin, (np.float64(0.0),), (np.float64(2.0),))
    (np.float64(0.0), np.float64(2.0))
    """
    if not isinstance(primals, (tuple, list)) or not isinstance(tangents, (tuple, list)):
        raise TreeError(
            "jvp: primals and tangents must be tuples with one entry per argument; "
            "write pb.jvp(f, (x,), (v,))"
        )
    leaves, structure = flat_arrays(tuple(primals), "primals")
    directions = matching_leaves(structure, tuple(tangents), leaves, "tangents")
    trace = Forward()
    inputs = [ForwardTracer(trace, x, t) for x, t in zip(leaves, directions, strict=True)]
    outputs, out_structure = pytree.flatten(function(*pytree.unflatten(structure, inputs)))
    values, pushed = [], []
    for out in map(unwrap, outputs):
        value, tangent = out, None
        if isinstance(out, Tracer) and out.context is trace:
            out.refresh()
            value, tangent = out.value, out.node
        elif not hasattr(out, "dtype"):
            value = np.asarray(out)[()]
        values.append(value)
        pushed.append(np.zeros_like(value) if tangent is None else tangent)
    tangents_out = pytree.unflatten(out_structure, distinct(pushed, directions))
    return pytree.unflatten(out_structure, values), tangents_out
