"""Whether an operation was called where its derivative is not unique, infinite or undefined.

The slope at the arguments is compared with the slopes at their nearest neighbours among the
floating-point numbers: a jump is a kink or a tie, infinity and NaN a singularity.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core.arrays import is_floating
from pullback.core.tape import TapeNode

_JUMP = 1e-3
"""Relative change of a slope between neighbours that no smooth function shows."""
_SMALL = 1e-6
"""Relative step at which equal values have parted, but a smooth function has hardly changed."""


def singular_entries(node: TapeNode, position: int) -> np.ndarray[Any, Any] | None:
    """Return where the slope in argument `position` is infinite or NaN, in the result's shape.

    None for operations that are not elementwise.
    """
    slope = _slope(node, node.args, position)
    return None if slope is None else ~np.isfinite(slope)


def undefined_entries(node: TapeNode, position: int) -> np.ndarray[Any, Any] | None:
    """Return where the slope in argument `position` is not unique, in the result's shape.

    For operations that are not elementwise one entry says whether it is so anywhere.
    """
    if node.op is None or not node.op.undefined_at or not is_floating(node.args[position]):
        return None
    return _undefined(node, position)


def has_undefined_entries(node: TapeNode, position: int) -> bool:
    """Whether the slope in argument `position` is not unique, stated by the operation or not."""
    return bool(_undefined(node, position).any())


def _undefined(node: TapeNode, position: int) -> np.ndarray[Any, Any]:
    slopes = [_slope(node, args, position) for args in _neighbours(node)]
    if slopes[0] is None:
        return np.asarray(_differ_somewhere(node, position))
    here, *around = slopes
    bad = ~np.isfinite(here)
    with np.errstate(all="ignore"):
        scale = 1 + np.abs(here)
        jumps = [np.abs(slope - here) > _JUMP * scale for slope in around]
    return np.any([bad, *jumps], axis=0)  # type: ignore[no-any-return]


def flat_entries(node: TapeNode, position: int) -> np.ndarray[Any, Any] | None:
    """Return where the slope in argument `position` is 0 all around, in the result's shape.

    None for operations that are not elementwise.
    """
    slopes = [_slope(node, args, position) for args in _neighbours(node)]
    return None if slopes[0] is None else np.all([slope == 0 for slope in slopes], axis=0)


def _neighbours(node: TapeNode) -> list[list[Any]]:
    """Return the arguments, and again with each that varies moved up and down by the least step."""
    args = node.args
    varies = [p is not None for p in node.parents] or [True] * len(args)
    moved = [list(args)]
    for i, a in enumerate(args):
        if varies[i] and is_floating(a):
            for way in (np.inf, -np.inf):
                moved.append([*args[:i], _stepped(np.asarray(a), way), *args[i + 1 :]])
    return moved


def _stepped(x: Any, way: float) -> Any:
    if x.dtype.kind == "c":
        return x + np.spacing(np.abs(x)) * np.sign(way)
    return np.nextafter(x, x.dtype.type(way))


def _slope(node: TapeNode, args: Sequence[Any], position: int) -> Any:
    """Return the derivative of each entry of an elementwise result; None for other operations."""
    op = node.op
    if op is None or op.kind != "elementwise" or op.vjp is None:
        return None
    shape = np.shape(node.out)
    spread = [np.broadcast_to(a, shape) if hasattr(a, "shape") else a for a in args]
    with np.errstate(all="ignore"):
        out = op.forward(*spread, **node.params)
        slope = op.vjp(position, np.ones(shape, np.asarray(out).dtype), out, spread, node.params)
    return np.zeros(shape) if slope is None else np.broadcast_to(slope, shape)


def _differ_somewhere(node: TapeNode, position: int) -> bool:
    """Whether what is pulled back jumps when the entries are moved apart a little.

    With one result the least steps show a tie or a kink. Several results (vectors of a matrix) are
    unique only up to a sign or a phase, so there it is looked for a slope that grows beyond bounds
    at a small distance from equal values.
    """
    x = np.asarray(node.args[position])
    several = isinstance(node.out, tuple)
    step = _SMALL * (1 + np.abs(x)) if several else _least_step(x)
    here, *around = (
        _pulled_from(node, position, x + step * np.reshape(steps, x.shape))
        for steps in (np.zeros(x.size), np.arange(x.size), np.arange(x.size)[::-1])
    )
    if here is None or not np.isfinite(here).all():
        return True
    size = 1 + np.max(np.abs(here), initial=0)
    if several:
        return any(other is None or np.max(np.abs(other)) > size / _JUMP for other in around)
    return not all(bool((np.abs(other - here) <= _JUMP * size).all()) for other in around)


def _pulled_from(node: TapeNode, position: int, x: Any) -> Any:
    """Return the cotangent of argument `position` were it `x`; None where there is none."""
    op, args, params = node.op, list(node.args), node.params
    assert op is not None
    args[position] = x
    try:
        with np.errstate(all="ignore"):
            out = op.forward(*args, **params)
            ones = tuple(map(np.ones_like, out)) if isinstance(out, tuple) else np.ones_like(out)
            if op.vjp_all is not None:
                pulled = op.vjp_all(ones, out, args, params)[position]
            else:
                assert op.vjp is not None
                pulled = op.vjp(position, ones, out, args, params)
    except np.linalg.LinAlgError:
        return None
    return np.zeros(x.shape) if pulled is None else pulled


def _least_step(x: np.ndarray[Any, Any]) -> Any:
    """Return the distance to the neighbours of the entries, without those too small to divide."""
    limits = np.finfo(x.dtype)
    return np.maximum(np.spacing(np.abs(x)), limits.tiny / limits.eps)
