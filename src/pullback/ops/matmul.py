"""Products of matrices and tensors: bilinear, so each transpose is a product again."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pullback.core.arrays import array_of
from pullback.core.aval import Aval, is_bfloat16, result_type
from pullback.core.dispatch import implements, ufuncs
from pullback.core.errors import ShapeError
from pullback.core.op import Op, infix
from pullback.ops.batching import aligned
from pullback.ops.families import bilinear, broadcast_shapes


def _infer(x: Aval, y: Aval) -> Aval:
    if x.ndim == 0 or y.ndim == 0:
        raise ShapeError("matmul: expected arrays of one axis or more, got a scalar; use x * y")
    inner = y.shape[0] if y.ndim == 1 else y.shape[-2]
    if x.shape[-1] != inner:
        raise ShapeError(
            f"matmul: the shapes {x.shape} and {y.shape} do not fit: the last axis of the first "
            f"has length {x.shape[-1]}, expected {inner} as the second; transpose one with .T?"
        )
    batch = broadcast_shapes("matmul", x.shape[:-2], y.shape[:-2])
    rows = x.shape[-2:-1] if x.ndim > 1 else ()
    columns = y.shape[-1:] if y.ndim > 1 else ()
    dtype = result_type(x, y)
    if is_bfloat16(dtype):  # NumPy multiplies such matrices as float32
        dtype = np.dtype(np.float32)
    return Aval((*batch, *rows, *columns), dtype)


def _transpose_first(ct: Any, x: Any, y: Any) -> Any:
    if x.ndim == 2 and y.ndim == 2:
        return ct @ y.T
    if y.ndim == 1:  # (..., n) @ (n,): an outer product
        return ct * y if ct.ndim == 0 else ct[..., None] * y
    if x.ndim == 1:
        return np.matmul(y, ct[..., None])[..., 0]
    return np.matmul(ct, np.swapaxes(y, -1, -2))


def _transpose_second(ct: Any, x: Any, y: Any) -> Any:
    if x.ndim == 2 and y.ndim == 2:
        return x.T @ ct
    if x.ndim == 1:
        return ct * x if y.ndim == 1 else x[:, None] * ct[..., None, :]
    if y.ndim == 1:
        return np.matmul(np.swapaxes(x, -1, -2), ct[..., None])[..., 0]
    return np.matmul(np.swapaxes(x, -1, -2), ct)


def _samples(rng: np.random.Generator) -> Any:
    shapes = [
        ((2, 3), (3, 4)), ((3,), (3, 4)), ((2, 3), (3,)), ((3,), (3,)), ((5, 2, 3), (3, 4)),
        ((5, 2, 3), (3,)), ((3,), (5, 3, 2)), ((2, 1, 2, 3), (5, 3, 2)), ((0, 3), (3, 2)),
    ]  # fmt: skip
    return [((rng.normal(size=a), rng.normal(size=b)), {}) for a, b in shapes]


def _batch(args: Any, batched: Any, params: Any) -> Any:
    (x, y), (x_moves, y_moves) = args, batched
    x_ndim, y_ndim = x.ndim - x_moves, y.ndim - y_moves
    if x_moves and not y_moves and x_ndim == 1 and y_ndim <= 2:
        return matmul(x, y)  # rows of one matrix
    if y_moves and not x_moves and y_ndim == 1 and x_ndim <= 2:
        return matmul(y, x.T)
    # vectors as matrices of one row or column
    x = x[..., None, :] if x_ndim == 1 else x
    y = y[..., None] if y_ndim == 1 else y
    out = matmul(*aligned((x, y), batched, (2, 2)))
    out = out[..., 0] if y_ndim == 1 else out
    return out[..., 0, :] if x_ndim == 1 and y_ndim > 1 else out[..., 0] if x_ndim == 1 else out


matmul: Op = bilinear(
    "matmul",
    np.matmul,
    _transpose_first,
    _transpose_second,
    infer=_infer,
    batch=_batch,
    samples=_samples,
    notation=infix("@", 20),
)


def _checked_matmul(x: Any, y: Any) -> Any:
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[0]:
        _infer(Aval(np.shape(x), x.dtype), Aval(np.shape(y), y.dtype))
    return matmul(x, y)


ufuncs[np.matmul] = _checked_matmul
ufuncs[np.vecdot] = lambda x, y: np.sum(np.conjugate(x) * y, axis=-1)
ufuncs[np.matvec] = lambda a, x: np.matmul(a, x[..., None])[..., 0]
ufuncs[np.vecmat] = lambda x, a: np.matmul(np.conjugate(x)[..., None, :], a)[..., 0, :]


def _arrays(*values: Any) -> list[Any]:
    return [array_of(v) for v in values]


@implements(np.dot)
def dot(a: Any, b: Any, out: Any = None) -> Any:
    """Product of the last axis of `a` and the last but one of `b`."""
    a, b = _arrays(a, b)
    if a.ndim == 0 or b.ndim == 0:
        result = a * b
    elif b.ndim <= 2:
        result = np.matmul(a, b)
    else:
        result = np.tensordot(a, b, axes=(a.ndim - 1, b.ndim - 2))
    if out is not None:
        out[...] = result
        return out
    return result


@implements(np.vdot)
def vdot(a: Any, b: Any, /) -> Any:
    """Inner product of flattened arrays, the first conjugated."""
    a, b = _arrays(a, b)
    return np.dot(np.conjugate(np.ravel(a)), np.ravel(b))


@implements(np.inner)
def inner(a: Any, b: Any, /) -> Any:
    """Product over the last axes of both."""
    a, b = _arrays(a, b)
    return a * b if a.ndim == 0 or b.ndim == 0 else np.tensordot(a, b, axes=(-1, -1))


@implements(np.outer)
def outer(a: Any, b: Any, out: Any = None) -> Any:
    """All products of an element of `a` with one of `b`."""
    a, b = _arrays(a, b)
    result = np.ravel(a)[:, None] * np.ravel(b)[None, :]
    if out is not None:
        out[...] = result
        return out
    return result


@implements(np.tensordot)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """Product over the given axes, as one matrix product."""
    a, b = _arrays(a, b)
    if np.ndim(axes) == 0:
        n = int(axes)
        first, second = list(range(a.ndim - n, a.ndim)), list(range(n))
    else:
        first, second = ([int(i)] if np.ndim(i) == 0 else list(map(int, i)) for i in axes)
    first, second = [i % a.ndim for i in first], [i % b.ndim for i in second]
    lengths = [[x.shape[i] for i in group] for x, group in ((a, first), (b, second))]
    if lengths[0] != lengths[1]:
        raise ShapeError(
            f"tensordot: the axes {first} of {a.shape} and {second} of {b.shape} have different "
            f"lengths, {lengths[0]} and {lengths[1]}"
        )
    rows = [i for i in range(a.ndim) if i not in first]
    columns = [i for i in range(b.ndim) if i not in second]
    size = math.prod(lengths[0])
    outer_a, outer_b = [a.shape[i] for i in rows], [b.shape[i] for i in columns]
    left = np.reshape(np.transpose(a, rows + first), (math.prod(outer_a), size))
    right = np.reshape(np.transpose(b, second + columns), (size, math.prod(outer_b)))
    return np.reshape(left @ right, outer_a + outer_b)


@implements(np.kron)
def kron(a: Any, b: Any) -> Any:
    """Kronecker product."""
    a, b = _arrays(a, b)
    ndim = max(a.ndim, b.ndim)
    first, second = ((1,) * (ndim - x.ndim) + x.shape for x in (a, b))
    pairs = np.reshape(a, [k for n in first for k in (n, 1)]) * np.reshape(
        b, [k for n in second for k in (1, n)]
    )
    return np.reshape(pairs, [n * m for n, m in zip(first, second, strict=True)])


@implements(np.linalg.multi_dot)
def multi_dot(arrays: Any, *, out: Any = None) -> Any:
    """Product of several matrices, in the order given."""
    result = arrays[0]
    for a in arrays[1:]:
        result = np.dot(result, a)
    return result


@implements(np.linalg.outer)
def linalg_outer(x1: Any, x2: Any, /) -> Any:
    """Outer product of two vectors."""
    return np.outer(x1, x2)


@implements(np.cross)
def cross(
    a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: Any = None
) -> Any:
    """Cross product of vectors with three components."""
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = _arrays(a, b)
    a, b = np.moveaxis(a, axisa, -1), np.moveaxis(b, axisb, -1)
    if a.shape[-1] != 3 or b.shape[-1] != 3:
        raise ShapeError(f"cross: expected 3 components, got {a.shape[-1]} and {b.shape[-1]}")
    after, before = np.array([1, 2, 0]), np.array([2, 0, 1])
    result = a[..., after] * b[..., before] - a[..., before] * b[..., after]
    return np.moveaxis(result, -1, axisc)
