"""Reductions: sums, products, extremes and what is made of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.aval import Aval
from pullback.core.dispatch import implements, reductions
from pullback.core.errors import ShapeError
from pullback.core.op import OPS
from pullback.ops.axes import Axes, all_axes, flag, one_axis, reduced_shape, restore_axes
from pullback.ops.batching import along
from pullback.ops.families import chain, general, linear

NOT_GIVEN = np._NoValue


def _samples(rng: np.random.Generator) -> Any:
    return [
        ((rng.normal(size=shape),), {"axis": axes, "keepdims": keepdims})
        for shape, axes in (((3, 4), (0, 1)), ((3, 4), (1,)), ((2, 3, 2), (0, 2)), ((), ()))
        for keepdims in (False, True)
    ]


def _sum_samples(rng: np.random.Generator) -> Any:
    return [*_samples(rng), ((np.zeros((0, 3)),), {"axis": (0,), "keepdims": False})]


def _prod_samples(rng: np.random.Generator) -> Any:
    zeros = np.array([[2.0, 0.0, -1.5], [0.0, 0.5, 0.0]])
    some = [((zeros,), {"axis": axes, "keepdims": False}) for axes in ((1,), (0, 1))]
    return [*_sum_samples(rng), *some]


def _infer(x: Aval, axis: Axes, keepdims: bool) -> Aval:
    return Aval(reduced_shape(x.shape, axis, keepdims), x.dtype)


def _sum_infer(x: Aval, axis: Axes, keepdims: bool) -> Aval:
    dtype = np.add.reduce(np.empty(0, x.dtype)).dtype
    return Aval(reduced_shape(x.shape, axis, keepdims), dtype)


def _spread(i: int, ct: Any, args: Any, params: Any) -> Any:
    (x,), axes = args, params["axis"]
    return np.broadcast_to(restore_axes(ct, x.shape, axes, params["keepdims"]), x.shape)


sum_op = linear(
    "sum",
    np.add.reduce,
    _spread,
    infer=_sum_infer,
    batch=along("sum", "axis"),
    samples=_sum_samples,
)


def is_masked(where: Any) -> bool:
    """Whether NumPy's where argument is a mask."""
    return where is not NOT_GIVEN and where is not True


def apply_where(a: Any, where: Any, fill: Any) -> Any:
    """Return `a` with `fill`, which the reduction does not notice, where the mask is off."""
    if not is_masked(where):
        return a
    mask = np.shape(where)
    if np.broadcast_shapes(mask, a.shape) != a.shape:
        raise ShapeError(
            f"where: expected a mask that broadcasts to the array's shape {a.shape}, got one of "
            f"shape {mask}; broadcast the array first, with np.broadcast_to"
        )
    return np.where(where, a, fill)


def is_given(initial: Any) -> bool:
    """Whether NumPy's initial argument is a value."""
    return initial is not NOT_GIVEN and initial is not None


def _as(dtype: Any, initial: Any) -> Any:
    """Return `initial` in the dtype of the result, which it does not change in NumPy either."""
    return initial.astype(dtype) if hasattr(initial, "astype") else dtype.type(initial)


def finish(result: Any, out: Any) -> Any:
    """Write the result where NumPy's out argument asks for it."""
    if out is None:
        return result
    out[...] = result
    return out


def _folded(op: Any, neutral: int, pair: np.ufunc, doc: str) -> Any:
    def fold(
        a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False,
        initial: Any = NOT_GIVEN, where: Any = NOT_GIVEN,
    ) -> Any:  # fmt: skip
        a = apply_where(a, where, neutral)
        if dtype is not None:
            a = np.astype(a, dtype)
        result = op(a, axis=all_axes(axis, a.ndim), keepdims=flag(keepdims))
        if is_given(initial):
            result = pair(result, _as(result.dtype, initial))
        return finish(result, out)

    fold.__name__, fold.__doc__ = op.name, doc
    return fold


sum = implements(np.sum)(_folded(sum_op, 0, np.add, "Sum over `axis`."))


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
    spread = restore_axes(ct, x.shape, axes, params["keepdims"])
    return chain(spread, _prod_others(x, axes))


def _prod_jvp(tangents: Any, out: Any, args: Any, params: Any) -> Any:
    (x,), axes = args, params["axis"]
    if x.size == 0:
        return None
    return np.sum(chain(tangents[0], _prod_others(x, axes)), axis=axes, keepdims=params["keepdims"])


prod_op = general(
    "prod",
    np.multiply.reduce,
    vjp=_prod_vjp,
    jvp=_prod_jvp,
    infer=_sum_infer,
    batch=along("prod", "axis"),
    samples=_prod_samples,
)


prod = implements(np.prod)(
    _folded(
        prod_op,
        1,
        np.multiply,
        "Product over `axis`; the gradient is right where elements are zero, too.",
    )
)


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
        return chain(_chosen(out, x, params), spread)

    def jvp(tangents: Any, out: Any, args: Any, params: Any) -> Any:
        shares = _chosen(out, args[0], params)
        return np.sum(chain(shares, tangents[0]), **params)

    return general(
        name,
        ufunc.reduce,
        vjp=vjp,
        jvp=jvp,
        infer=_infer,
        batch=along(name, "axis"),
        samples=_samples,
        undefined_at="ties: equal shares to all extreme elements, as in JAX; NaN: NaN",
    )


max_op = _extreme("max", np.maximum)
min_op = _extreme("min", np.minimum)


def _least(dtype: Any, sign: int) -> Any:
    """Return the number of `dtype` that no element is below (sign -1) or above (sign 1)."""
    if dtype.kind in "fc":
        return sign * float("inf")
    if dtype.kind == "b":
        return sign > 0
    return np.iinfo(dtype).max if sign > 0 else np.iinfo(dtype).min


def _extreme_of(op: Any, name: str, pair: np.ufunc, sign: int) -> Any:
    def extreme(
        a: Any, axis: Any = None, out: Any = None, keepdims: Any = False,
        initial: Any = NOT_GIVEN, where: Any = NOT_GIVEN, *, dtype: Any = None,
    ) -> Any:  # fmt: skip
        axes, keepdims = all_axes(axis, a.ndim), flag(keepdims)
        if dtype is not None:
            a = np.astype(a, dtype)
        if is_masked(where):
            if not is_given(initial):
                raise ValueError(
                    f"{name}: where= needs initial=, the result where the mask leaves no element; "
                    f"pass e.g. initial={sign}*np.inf"
                )
            a = apply_where(a, where, _least(a.dtype, sign))
        if 0 in [a.shape[i] for i in axes]:
            if not is_given(initial):
                raise ValueError(
                    f"{name}: expected at least one element along axis {axis}, got an array of "
                    f"shape {a.shape}; pass initial=, the result where there are no elements"
                )
            empty = np.zeros(reduced_shape(a.shape, axes, keepdims), a.dtype)
            return finish(empty + _as(a.dtype, initial), out)
        result = op(a, axis=axes, keepdims=keepdims)
        if is_given(initial):
            result = pair(result, _as(a.dtype, initial))
        return finish(result, out)

    extreme.__name__ = name
    extreme.__doc__ = f"Return the {name}imum over `axis`; ties share the gradient equally."
    return extreme


largest = implements(np.max, np.amax)(_extreme_of(max_op, "max", np.maximum, -1))
smallest = implements(np.min, np.amin)(_extreme_of(min_op, "min", np.minimum, 1))


@implements(np.ptp)
def ptp(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    """Return maximum minus minimum over `axis`."""
    return finish(
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


def _constant(name: str, forward: Any, infer: Any, batch: Any, samples: Any) -> Any:
    return general(name, forward, vjp=None, jvp=None, infer=infer, batch=batch, samples=samples)


def _arg_batch(name: str) -> Any:
    shifted = along(name, "axis")

    def batch(args: Any, batched: Any, params: Any) -> Any:
        if params["axis"] is not None:
            return shifted(args, batched, params)
        (x,) = args
        found = OPS[name](np.reshape(x, (x.shape[0], -1)), axis=1, keepdims=False)
        ones = (1,) * (x.ndim - 1) if params["keepdims"] else ()
        return np.reshape(found, (x.shape[0], *ones))

    return batch


argmax_op = _constant("argmax", np.argmax, _arg_infer, _arg_batch("argmax"), _arg_samples)
argmin_op = _constant("argmin", np.argmin, _arg_infer, _arg_batch("argmin"), _arg_samples)


def _only_axis(axis: Any, ndim: int) -> int | None:
    return None if axis is None or (ndim == 0 and not all_axes(axis, 0)) else one_axis(axis, ndim)


@implements(np.argmax)
def argmax(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
    """Return the index of the largest element; piecewise constant."""
    return finish(argmax_op(a, axis=_only_axis(axis, a.ndim), keepdims=flag(keepdims)), out)


@implements(np.argmin)
def argmin(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
    """Return the index of the smallest element; piecewise constant."""
    return finish(argmin_op(a, axis=_only_axis(axis, a.ndim), keepdims=flag(keepdims)), out)


def _bool_infer(x: Aval, axis: Axes, keepdims: bool) -> Aval:
    return Aval(reduced_shape(x.shape, axis, keepdims), np.bool_)


def _all(x: Any, axis: Axes, keepdims: bool) -> Any:
    return np.logical_and.reduce(x, axis=axis, keepdims=keepdims)  # type: ignore[call-overload]


def _any(x: Any, axis: Axes, keepdims: bool) -> Any:
    return np.logical_or.reduce(x, axis=axis, keepdims=keepdims)  # type: ignore[call-overload]


all_op = _constant("all", _all, _bool_infer, along("all", "axis"), _samples)
any_op = _constant("any", _any, _bool_infer, along("any", "axis"), _samples)


def _test_of(op: Any, pair: np.ufunc, neutral: bool) -> Any:
    def test(
        a: Any, axis: Any = None, out: Any = None, keepdims: Any = False,
        *, where: Any = NOT_GIVEN, initial: Any = NOT_GIVEN, dtype: Any = None,
    ) -> Any:  # fmt: skip
        a = apply_where(a, where, neutral)
        result = op(a, axis=all_axes(axis, a.ndim), keepdims=flag(keepdims))
        return finish(pair(result, bool(initial)) if is_given(initial) else result, out)

    test.__name__ = op.name
    test.__doc__ = f"Whether {op.name} of the elements are true; piecewise constant."
    return test


every = implements(np.all)(_test_of(all_op, np.logical_and, True))
some = implements(np.any)(_test_of(any_op, np.logical_or, False))


@implements(np.count_nonzero)
def count_nonzero(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """Count the elements that are not zero; piecewise constant."""
    return np.sum(a != 0, axis=axis, keepdims=keepdims)


reductions.update(
    {
        np.add: sum,
        np.multiply: prod,
        np.maximum: largest,
        np.minimum: smallest,
        np.logical_and: every,
        np.logical_or: some,
    }
)
