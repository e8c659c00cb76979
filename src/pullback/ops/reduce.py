"""Reductions: sums, products, extremes and what is made of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.aval import Aval
from pullback.core.dispatch import implements, reductions
from pullback.core.errors import NotDifferentiableError
from pullback.ops.axes import Axes, all_axes, flag, one_axis, reduced_shape, restore_axes
from pullback.ops.families import general, linear

_NOT_GIVEN = np._NoValue


def _samples(rng: np.random.Generator) -> Any:
    return [
        ((rng.normal(size=shape),), {"axis": axes, "keepdims": keepdims})
        for shape, axes in (((3, 4), (0, 1)), ((3, 4), (1,)), ((2, 3, 2), (0, 2)), ((), ()))
        for keepdims in (False, True)
    ]


def _sum_samples(rng: np.random.Generator) -> Any:
    return [*_samples(rng), ((np.zeros((0, 3)),), {"axis": (0,), "keepdims": False})]


def _infer(x: Aval, axis: Axes, keepdims: bool) -> Aval:
    return Aval(reduced_shape(x.shape, axis, keepdims), x.dtype)


def _sum_infer(x: Aval, axis: Axes, keepdims: bool) -> Aval:
    dtype = np.add.reduce(np.empty(0, x.dtype)).dtype
    return Aval(reduced_shape(x.shape, axis, keepdims), dtype)


def _spread(i: int, ct: Any, args: Any, params: Any) -> Any:
    (x,), axes = args, params["axis"]
    return np.broadcast_to(restore_axes(ct, x.shape, axes, params["keepdims"]), x.shape)


sum_op = linear("sum", np.add.reduce, _spread, infer=_sum_infer, samples=_sum_samples)


def _apply_where(a: Any, where: Any, fill: Any) -> Any:
    return a if where is _NOT_GIVEN or where is True else np.where(where, a, fill)


def _no_initial(name: str, initial: Any) -> None:
    if initial is not _NOT_GIVEN and initial is not None:
        raise NotDifferentiableError(
            f"np.{name}(..., initial=) has no rule: combine the initial value with the result"
        )


def _finish(result: Any, out: Any) -> Any:
    if out is None:
        return result
    out[...] = result
    return out


@implements(np.sum)
def sum(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False,
    initial: Any = _NOT_GIVEN, where: Any = _NOT_GIVEN,
) -> Any:  # fmt: skip
    """Sum over `axis`."""
    a = _apply_where(a, where, 0)
    if dtype is not None:
        a = np.astype(a, dtype)
    result = sum_op(a, axis=all_axes(axis, a.ndim), keepdims=flag(keepdims))
    if initial is not _NOT_GIVEN:
        result = result + initial
    return _finish(result, out)


def _count(a: Any, axes: Axes, where: Any) -> Any:
    if where is not _NOT_GIVEN and where is not True:
        return np.sum(np.broadcast_to(where, a.shape), axis=axes, keepdims=True)
    count = 1
    for i in axes:
        count *= a.shape[i]
    return count


@implements(np.mean)
def mean(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False,
    *, where: Any = _NOT_GIVEN,
) -> Any:  # fmt: skip
    """Mean over `axis`; integers are averaged as float64."""
    axes = all_axes(axis, a.ndim)
    if dtype is None and a.dtype.kind not in "fc":
        dtype = np.float64
    total = np.sum(a, axis=axes, dtype=dtype, keepdims=True, where=where)
    result = total / _count(a, axes, where)
    return _finish(_drop(result, axes, flag(keepdims)), out)


def _drop(x: Any, axes: Axes, keepdims: bool) -> Any:
    return x if keepdims else np.reshape(x, reduced_shape(x.shape, axes, False))


@implements(np.var)
def var(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0,
    keepdims: Any = False, *, where: Any = _NOT_GIVEN, mean: Any = _NOT_GIVEN,
    correction: Any = _NOT_GIVEN,
) -> Any:  # fmt: skip
    """Variance over `axis`, divided by the count less `ddof`."""
    axes = all_axes(axis, a.ndim)
    if correction is not _NOT_GIVEN:
        ddof = correction
    if dtype is not None:
        a = np.astype(a, dtype)
    center = np.mean(a, axis=axes, keepdims=True, where=where) if mean is _NOT_GIVEN else mean
    deviation = a - center
    squares = np.real(deviation * np.conjugate(deviation))
    total = np.sum(squares, axis=axes, keepdims=True, where=where)
    result = total / (_count(a, axes, where) - ddof)
    return _finish(_drop(result, axes, flag(keepdims)), out)


@implements(np.std)
def std(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0,
    keepdims: Any = False, **options: Any,
) -> Any:  # fmt: skip
    """Standard deviation over `axis`; its gradient where all values are equal is 0."""
    variance = np.var(a, axis, dtype, None, ddof, flag(keepdims), **options)
    return _finish(_root(variance), out)


def _root(x: Any) -> Any:
    """Return the square root with derivative 0 at 0."""
    zero = x == 0
    return np.where(zero, 0, np.sqrt(np.where(zero, 1, x)))


# products


def _prod_others(x: Any, axes: Axes) -> Any:
    """Return, for each element, the product of the others along `axes`, right also with zeros."""
    kept = [i for i in range(x.ndim) if i not in axes]
    order = (*kept, *axes)
    rows = np.reshape(np.transpose(x, order), (*[x.shape[i] for i in kept], -1))
    ones = np.ones((*rows.shape[:-1], 1), x.dtype)
    before = np.cumprod(np.concatenate([ones, rows[..., :-1]], axis=-1), axis=-1)
    after = np.cumprod(np.concatenate([ones, rows[..., :0:-1]], axis=-1), axis=-1)[..., ::-1]
    others = np.reshape(before * after, [x.shape[i] for i in order])
    return np.transpose(others, np.argsort(order))


def _prod_vjp(i: int, ct: Any, out: Any, args: Any, params: Any) -> Any:
    (x,), axes = args, params["axis"]
    if x.size == 0:
        return np.zeros_like(x)
    return restore_axes(ct, x.shape, axes, params["keepdims"]) * _prod_others(x, axes)


def _prod_jvp(tangents: Any, out: Any, args: Any, params: Any) -> Any:
    (x,), axes = args, params["axis"]
    if x.size == 0:
        return None
    return np.sum(tangents[0] * _prod_others(x, axes), axis=axes, keepdims=params["keepdims"])


prod_op = general(
    "prod", np.multiply.reduce, vjp=_prod_vjp, jvp=_prod_jvp, infer=_sum_infer, samples=_samples
)


@implements(np.prod)
def prod(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False,
    initial: Any = _NOT_GIVEN, where: Any = _NOT_GIVEN,
) -> Any:  # fmt: skip
    """Product over `axis`; the gradient is right where elements are zero, too."""
    a = _apply_where(a, where, 1)
    if dtype is not None:
        a = np.astype(a, dtype)
    result = prod_op(a, axis=all_axes(axis, a.ndim), keepdims=flag(keepdims))
    if initial is not _NOT_GIVEN:
        result = result * initial
    return _finish(result, out)


# extremes


def _chosen(out: Any, x: Any, params: Any) -> Any:
    """Return each element's share in the extreme: equal for ties, adding up to one."""
    axes, keepdims = params["axis"], params["keepdims"]
    hits = (x == restore_axes(out, x.shape, axes, keepdims)).astype(x.dtype)
    return hits / np.add.reduce(hits, axis=axes, keepdims=True)


def _extreme(name: str, ufunc: np.ufunc) -> Any:
    def vjp(i: int, ct: Any, out: Any, args: Any, params: Any) -> Any:
        x = args[0]
        spread = restore_axes(ct, x.shape, params["axis"], params["keepdims"])
        return spread * _chosen(out, x, params)

    def jvp(tangents: Any, out: Any, args: Any, params: Any) -> Any:
        return np.sum(tangents[0] * _chosen(out, args[0], params), **params)

    return general(
        name,
        ufunc.reduce,
        vjp=vjp,
        jvp=jvp,
        infer=_infer,
        samples=_samples,
        undefined_at="ties: equal shares to all extreme elements, as in JAX",
    )


max_op = _extreme("max", np.maximum)
min_op = _extreme("min", np.minimum)


def _extreme_of(op: Any, name: str) -> Any:
    def extreme(
        a: Any, axis: Any = None, out: Any = None, keepdims: Any = False,
        initial: Any = _NOT_GIVEN, where: Any = _NOT_GIVEN,
    ) -> Any:  # fmt: skip
        _no_initial(name, initial)
        if where is not _NOT_GIVEN and where is not True:
            raise NotDifferentiableError(f"np.{name}(..., where=) has no rule: use np.where first")
        axes = all_axes(axis, a.ndim)
        if 0 in [a.shape[i] for i in axes]:
            raise ValueError(f"{name}: the axis to reduce has no elements (shape {a.shape})")
        return _finish(op(a, axis=axes, keepdims=flag(keepdims)), out)

    extreme.__name__ = name
    extreme.__doc__ = f"Return the {name}imum over `axis`; ties share the gradient equally."
    return extreme


implements(np.max, np.amax)(_extreme_of(max_op, "max"))
implements(np.min, np.amin)(_extreme_of(min_op, "min"))


@implements(np.ptp)
def ptp(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    """Return maximum minus minimum over `axis`."""
    return _finish(
        np.max(a, axis=axis, keepdims=flag(keepdims))
        - np.min(a, axis=axis, keepdims=flag(keepdims)),
        out,
    )


def _arg_infer(x: Aval, axis: int | None, keepdims: bool) -> Aval:
    axes = all_axes(axis, len(x.shape))
    return Aval(reduced_shape(x.shape, axes, keepdims), np.intp)


def _arg_samples(rng: np.random.Generator) -> Any:
    x = rng.normal(size=(3, 4))
    return [((x,), {"axis": a, "keepdims": k}) for a in (None, 0, 1) for k in (False, True)]


def _constant(name: str, forward: Any, infer: Any, samples: Any) -> Any:
    return general(name, forward, vjp=None, jvp=None, infer=infer, samples=samples)


argmax_op = _constant("argmax", np.argmax, _arg_infer, _arg_samples)
argmin_op = _constant("argmin", np.argmin, _arg_infer, _arg_samples)


@implements(np.argmax)
def argmax(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
    """Return the index of the largest element; piecewise constant."""
    axis = None if axis is None else one_axis(axis, a.ndim)
    return _finish(argmax_op(a, axis=axis, keepdims=flag(keepdims)), out)


@implements(np.argmin)
def argmin(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
    """Return the index of the smallest element; piecewise constant."""
    axis = None if axis is None else one_axis(axis, a.ndim)
    return _finish(argmin_op(a, axis=axis, keepdims=flag(keepdims)), out)


def _bool_infer(x: Aval, axis: Axes, keepdims: bool) -> Aval:
    return Aval(reduced_shape(x.shape, axis, keepdims), np.bool_)


def _all(x: Any, axis: Axes, keepdims: bool) -> Any:
    return np.logical_and.reduce(x, axis=axis, keepdims=keepdims)  # type: ignore[call-overload]


def _any(x: Any, axis: Axes, keepdims: bool) -> Any:
    return np.logical_or.reduce(x, axis=axis, keepdims=keepdims)  # type: ignore[call-overload]


all_op = _constant("all", _all, _bool_infer, _samples)
any_op = _constant("any", _any, _bool_infer, _samples)


@implements(np.all)
def all(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, **options: Any) -> Any:
    """Whether all elements are true; piecewise constant."""
    return _finish(all_op(a, axis=all_axes(axis, a.ndim), keepdims=flag(keepdims)), out)


@implements(np.any)
def any(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, **options: Any) -> Any:
    """Whether any element is true; piecewise constant."""
    return _finish(any_op(a, axis=all_axes(axis, a.ndim), keepdims=flag(keepdims)), out)


@implements(np.count_nonzero)
def count_nonzero(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """Count the elements that are not zero; piecewise constant."""
    return np.sum(a != 0, axis=axis, keepdims=keepdims)


reductions.update(
    {
        np.add: sum,
        np.multiply: prod,
        np.maximum: _extreme_of(max_op, "max"),
        np.minimum: _extreme_of(min_op, "min"),
        np.logical_and: all,
        np.logical_or: any,
    }
)
