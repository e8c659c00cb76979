"""What each operation takes: a rule for every operation that is not elementwise.

A rule is called as `rule(*avals, **parameters)`, so its signature says how many arrays and which
parameters there are, and tells whether they make sense together. What follows from the shapes alone
the operation's own `infer` checks. Kernels rely on it: a wrong axis or window, believed, would read
outside of arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from pullback.core.aval import Aval
from pullback.core.op import OPS
from pullback.interchange.graph import bodies
from pullback.interchange.graph.values import LARGEST, whole
from pullback.ops.index import HOLE, Template
from pullback.ops.windows import count_windows

MOST_RESULTS = 2**20
"""So many results one operation may have."""


def flag(x: Any) -> bool:
    """Whether `x` is a boolean."""
    return type(x) is bool


def sizes(values: Any, count: int, least: int = 1) -> bool:
    """Whether `values` are `count` integers of `least` or more."""
    return type(values) is tuple and len(values) == count and all(whole(n, least) for n in values)


def pairs(values: Any, count: int) -> bool:
    """Whether `values` are `count` pairs of integers, 0 or more."""
    return type(values) is tuple and len(values) == count and all(sizes(p, 2, 0) for p in values)


def axis_of(axis: Any, x: Aval) -> bool:
    """Whether `axis` is one of x, counted from the first."""
    return whole(axis, 0, x.ndim)


def axes_of(axes: Any, x: Aval) -> bool:
    """Whether `axes` are different axes of x."""
    given = type(axes) is tuple and all(axis_of(axis, x) for axis in axes)
    return given and len(set(axes)) == len(axes)


def broadcasts(shape: Any, to: Any) -> bool:
    """Whether an array of `shape` fits into one of the shape `to`."""
    return len(shape) <= len(to) and np.broadcast_shapes(shape, to) == tuple(to)


def is_square(a: Aval) -> bool:
    """Whether `a` is a matrix, or a stack of them, with as many rows as columns."""
    return a.ndim >= 2 and a.shape[-1] == a.shape[-2]


# rules


def _unary(x: Aval) -> bool:
    return True


def _reduction(x: Aval, *, axis: Any, keepdims: Any) -> bool:
    return axes_of(axis, x) and flag(keepdims)


def _arg(x: Aval, *, axis: Any, keepdims: Any) -> bool:
    return (axis is None or axis_of(axis, x)) and flag(keepdims)


def _argsort(x: Aval, *, axis: Any, kind: Any) -> bool:
    return axis_of(axis, x) and kind in (None, "quicksort", "mergesort", "heapsort", "stable")


def _cumulative(x: Aval, *, axis: Any) -> bool:
    return axis_of(axis, x)


def _astype(x: Aval, *, dtype: Any) -> bool:
    return isinstance(dtype, np.dtype)


def _shape(shape: Any) -> bool:
    return type(shape) is tuple and sizes(shape, len(shape), 0) and math.prod(shape) < LARGEST


def _broadcast_to(x: Aval, *, shape: Any) -> bool:
    return _shape(shape) and broadcasts(x.shape, shape)


def _reshape(x: Aval, *, shape: Any) -> bool:
    return _shape(shape) and math.prod(shape) == x.size


def _transpose(x: Aval, *, axes: Any) -> bool:
    return axes_of(axes, x) and len(axes) == x.ndim


def _flip(x: Aval, *, axis: Any) -> bool:
    return axes_of(axis, x)


def _roll(x: Aval, *, shift: Any, axis: Any) -> bool:
    each = type(axis) is tuple and all(axis_of(a, x) for a in axis)
    return each and sizes(shift, len(axis), -LARGEST)


def _pad(x: Aval, *, width: Any) -> bool:
    return pairs(width, x.ndim)


def _concatenate(first: Aval, *rest: Aval, axis: Any) -> bool:
    return axis_of(axis, first)


def _unstack(x: Aval) -> bool:
    return x.ndim > 0 and x.shape[0] <= MOST_RESULTS


def _where(condition: Aval, x: Aval, y: Aval) -> bool:
    return True


def _binary(x: Aval, y: Aval) -> bool:
    return True


def _einsum(*avals: Aval, operands: Any, result: Any) -> bool:
    words = type(operands) is tuple and all(
        type(w) is str and w.isascii() and (w.isalpha() or not w) for w in (*operands, result)
    )
    letters = set("".join(operands)) if words else set()
    return words and letters.issuperset(result) and len(set(result)) == len(result)


def _conv(x: Aval, w: Aval, *, strides: Any, padding: Any, dilation: Any, groups: Any) -> bool:
    n = x.ndim - 2
    return sizes(strides, n) and pairs(padding, n) and sizes(dilation, n) and whole(groups, 1)


def _conv_input(y: Aval, w: Aval, *, space: Any, **window: Any) -> bool:
    return _conv(y, w, **window) and sizes(space, y.ndim - 2, 0)


def _conv_kernel(x: Aval, y: Aval, *, size: Any, **window: Any) -> bool:
    return _conv(x, y, **window) and sizes(size, x.ndim - 2)


def _window(x: Aval, *, size: Any, strides: Any, padding: Any, dilation: Any) -> bool:
    n = x.ndim - 2
    return n > 0 and sizes(size, n) and sizes(strides, n) and pairs(padding, n) and (
        sizes(dilation, n)
    )  # fmt: skip


def _pick_max(x: Aval, v: Aval, **window: Any) -> bool:
    return _window(x, **window) and v.shape == x.shape


def _place_max(x: Aval, y: Aval, **window: Any) -> bool:
    return _window(x, **window) and y.shape == OPS["max_pool"].infer(x, **window).shape  # type: ignore[union-attr]


def _window_spread(y: Aval, *, space: Any, **window: Any) -> bool:
    return (
        _window(y, **window)
        and sizes(space, y.ndim - 2, 0)
        and count_windows("window_spread", space, **window) == y.shape[1:-1]
    )


def _selected(shape: Any, index: Any, arrays: tuple[Aval, ...]) -> Any:
    """Return the shape that the index selects; None where it is no index."""
    if type(index) is not Template or type(index.parts) is not tuple or not flag(index.unique):
        return None
    holes = sum(part is HOLE for part in index.parts)
    fits = all(
        part is None or part is Ellipsis or part is HOLE or type(part) in (int, slice)
        for part in index.parts
    )
    if not fits or holes != len(arrays) or any(a.dtype.kind not in "iu" for a in arrays):
        return None
    return OPS["getitem"].infer(Aval(shape, np.bool_), *arrays, index=index).shape  # type: ignore[union-attr]


def _getitem(x: Aval, *arrays: Aval, index: Any) -> bool:
    return _selected(x.shape, index, arrays) is not None


def _scatter_add(ct: Aval, *arrays: Aval, shape: Any, index: Any) -> bool:
    selected = _selected(shape, index, arrays) if _shape(shape) else None
    return selected is not None and broadcasts(ct.shape, selected)


def _setitem(x: Aval, value: Aval, *arrays: Aval, index: Any) -> bool:
    selected = _selected(x.shape, index, arrays)
    if selected is None:
        return False
    extra = max(value.ndim - len(selected), 0)  # NumPy lets values have more axes of length 1
    return set(value.shape[:extra]) <= {1} and broadcasts(value.shape[extra:], selected)


def _searchsorted(knots: Aval, x: Aval, *, side: Any) -> bool:
    return knots.ndim == 1 and side in ("left", "right")


def _correlate(x: Aval, w: Aval) -> bool:
    return x.ndim > 0 and w.ndim > 0 and x.shape[-1] >= w.shape[-1] > 0


def _convolve(x: Aval, y: Aval, *, axes: Any, valid: Any, method: Any) -> bool:
    if not whole(axes, 1, min(x.ndim, y.ndim) + 1) or not flag(valid):
        return False
    lengths = list(zip(x.shape[-axes:], y.shape[-axes:], strict=True))
    fits = all(n >= m > 0 for n, m in lengths) if valid else all(n > 0 < m for n, m in lengths)
    return fits and method in ("auto", "direct", "fft")


def _fft(x: Aval, *, axis: Any, norm: Any) -> bool:
    return axis_of(axis, x) and norm in (None, "backward", "ortho", "forward")


def _irfft(x: Aval, *, n: Any, axis: Any, norm: Any) -> bool:
    return _fft(x, axis=axis, norm=norm) and whole(n, 1, LARGEST)


def _square(a: Aval) -> bool:
    return is_square(a)


def _hermitian(a: Aval, *, lower: Any) -> bool:
    return is_square(a) and flag(lower)


def _qr(a: Aval, *, complete: Any) -> bool:
    return a.ndim >= 2 and a.shape[-2] >= a.shape[-1] and flag(complete)


def _svd(a: Aval, *, full_matrices: Any) -> bool:
    return a.ndim >= 2 and flag(full_matrices)


def _pinv(a: Aval, *, rcond: Any) -> bool:
    return a.ndim >= 2 and type(rcond) is float


def _solve(a: Aval, b: Aval) -> bool:
    return is_square(a) and b.ndim >= 2 and b.shape[-2] == a.shape[-1]


def _solve_triangular(a: Aval, b: Aval, *, lower: Any, unit_diagonal: Any) -> bool:
    return _solve(a, b) and flag(lower) and flag(unit_diagonal)


def _solve_sylvester(a: Aval, b: Aval, q: Aval) -> bool:
    return is_square(a) and is_square(b) and q.shape[-2:] == (a.shape[-1], b.shape[-1])


def _solve_tridiagonal(lower: Aval, main: Aval, upper: Aval, b: Aval) -> bool:
    lengths = [d.shape[-1:] for d in (lower, main, upper)]
    n = b.shape[-2] if b.ndim >= 2 else 0
    return lengths == [(n - 1,), (n,), (n - 1,)]


def _roots(p: Aval) -> bool:
    return p.ndim > 0 and p.shape[-1] > 0


def _lambertw(z: Aval, *, k: Any, tol: Any) -> bool:
    return type(k) is int and type(tol) is float


def _polygamma(x: Aval, *, n: Any) -> bool:
    return whole(n, 0, LARGEST)


def _recompute(x: Aval, *, run: Any = 0) -> bool:
    return whole(run, 0)


RULES: dict[str, Callable[..., bool]] = {
    **dict.fromkeys(("all", "any", "max", "min", "prod", "sum"), _reduction),
    **dict.fromkeys(("argmax", "argmin"), _arg),
    **dict.fromkeys(("astype", "discrete_astype"), _astype),
    **dict.fromkeys(("cumprod", "cumsum"), _cumulative),
    **dict.fromkeys(("fft", "ifft", "rfft"), _fft),
    **dict.fromkeys(("max_pool", "window_sum"), _window),
    **dict.fromkeys(("matmul", "chain_product", "complex_of", "ldexp"), _binary),
    **dict.fromkeys(("complex_absolute", "conjugate", "imag", "real", "stop_gradient"), _unary),
    **dict.fromkeys(
        ("cholesky", "cofactor", "det", "eig", "expm", "inv", "slogdet", "sqrtm"), _square
    ),
    "argsort": _argsort,
    "broadcast_to": _broadcast_to,
    "concatenate": _concatenate,
    "conv": _conv,
    "conv_input": _conv_input,
    "conv_kernel": _conv_kernel,
    "convolve": _convolve,
    "correlate": _correlate,
    "eigh": _square,
    "einsum": _einsum,
    "flip": _flip,
    "getitem": _getitem,
    "hermitian": _hermitian,
    "irfft": _irfft,
    "lambertw": _lambertw,
    "pad": _pad,
    "pick_max": _pick_max,
    "pinv": _pinv,
    "place_max": _place_max,
    "polygamma": _polygamma,
    "qr": _qr,
    "recompute": _recompute,
    "repeat_step": bodies.repeat_step,
    "reshape": _reshape,
    "roll": _roll,
    "roots": _roots,
    "scan": bodies.scan,
    "scatter_add": _scatter_add,
    "searchsorted": _searchsorted,
    "setitem": _setitem,
    "solve": _solve,
    "solve_ivp": bodies.solve_ivp,
    "solve_sylvester": _solve_sylvester,
    "solve_triangular": _solve_triangular,
    "solve_tridiagonal": _solve_tridiagonal,
    "svd": _svd,
    "switch": bodies.switch,
    "transpose": _transpose,
    "unstack": _unstack,
    "where": _where,
    "while_loop": bodies.while_loop,
    "window_spread": _window_spread,
}
