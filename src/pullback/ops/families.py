"""Constructors of operations: from what an operation states, the family derives the rest.

A rule is a plain NumPy expression, so it runs on arrays and on tracers alike and higher
derivatives need nothing more.
"""

from __future__ import annotations

import functools
from cmath import isfinite
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pullback.core.aval import (
    Aval,
    DType,
    aval_of,
    is_differentiable,
    promotion_key,
    result_type,
)
from pullback.core.dispatch import ufuncs
from pullback.core.errors import DTypeError, ShapeError
from pullback.core.op import Batch, Jvp, Notation, Op, Samples, Vjp, VjpAll, call, define, infix
from pullback.core.tracer import Tracer
from pullback.ops.batching import pointwise
from pullback.ops.chain import annihilating, is_finite, needs_no_care

Derivative = Callable[..., Any] | float | None
Interval = tuple[float, float]

RULES_KEPT = 1024
"""For so many signatures an operation remembers the shape and dtype of its result."""
REAL: Interval = (-2.0, 2.0)
POSITIVE: Interval = (0.3, 3.0)


def elementwise(
    function: Any,
    *derivatives: Derivative,
    name: str | None = None,
    notation: Notation | None = None,
    domain: Interval | Sequence[Interval] = REAL,
    undefined_at: str = "",
    bounded: bool = False,
    selects: bool = False,
    dtype: Callable[..., DType] | None = None,
    samples: Samples | None = None,
) -> Op:
    """Define an operation that acts on each element, with NumPy's broadcasting.

    `derivatives` has one entry per argument: an expression of (output, *inputs), a number, or None
    where the function is piecewise constant. `domain` is the interval samples are drawn from, one
    for all arguments or one each. `bounded` says that the derivatives are finite wherever the
    inputs are, `selects` that they are shares: what has none counts for nothing. `dtype` gives
    the result's dtype where `function` is no ufunc, `samples` the arguments to test with where
    intervals do not describe them.
    """
    op_name = name or function.__name__
    count = len(derivatives)
    scalings = [_scaling(derivative, bounded, selects) for derivative in derivatives]
    intervals = [domain] * count if isinstance(domain[0], (int, float)) else list(domain)

    def vjp(i: int, ct: Any, out: Any, args: Sequence[Any], params: Mapping[str, Any]) -> Any:
        scaled = scalings[i]
        return None if scaled is None else match(scaled(ct, out, args), args[i])

    def jvp(tangents: Sequence[Any], out: Any, args: Any, params: Mapping[str, Any]) -> Any:
        total = None
        for tangent, scaled in zip(tangents, scalings, strict=True):
            if tangent is not None and scaled is not None:
                term = scaled(tangent, out, args)
                total = term if total is None else total + term
        return None if total is None else expand(total, out)

    @functools.lru_cache(RULES_KEPT)
    def infer(*avals: Aval) -> Aval:
        shape = broadcast_shapes(op_name, *[a.shape for a in avals])
        keys = tuple(map(promotion_key, avals))
        found = dtype(*avals) if dtype else _resolve(function, keys, op_name)
        return Aval(shape, found)

    def from_domain(rng: np.random.Generator) -> Any:
        def draw(shape: tuple[int, ...], interval: Any) -> Any:
            return rng.uniform(interval[0], interval[1], shape)

        shapes: list[list[tuple[int, ...]]] = [[(3, 4)] * count, [()] * count, [(0, 2)] * count]
        if count > 1:
            shapes += [[(3, 1), (4,), (2, 3, 4)][:count], [(4,), (3, 1), (2, 1, 4)][:count]]
        return [(tuple(map(draw, group, intervals)), {}) for group in shapes]

    constant = all(d is None for d in derivatives)
    op = Op(
        name=op_name,
        kind="elementwise",
        forward=function,
        infer=infer,
        vjp=None if constant else vjp,
        jvp=None if constant else jvp,
        batch=pointwise(op_name),
        notation=notation or call(op_name),
        samples=samples or from_domain,
        undefined_at=undefined_at,
    )
    if isinstance(function, np.ufunc):
        ufuncs[function] = op
    return define(op)


def linear(
    name: str,
    forward: Callable[..., Any],
    transpose: Callable[[int, Any, Sequence[Any], Mapping[str, Any]], Any],
    *,
    infer: Callable[..., Aval],
    batch: Batch,
    samples: Samples,
    arguments: Sequence[int] | None = (0,),
    notation: Notation | None = None,
) -> Op:
    """Define an operation that is jointly linear in `arguments` (positions; None means all).

    `transpose(i, ct, args, params)` maps the result's cotangent to that of argument `i`; of `args`
    it may use the shapes and dtypes, and the values of the other, non-linear arguments.
    """

    def is_linear(i: int) -> bool:
        return arguments is None or i in arguments

    def vjp(i: int, ct: Any, out: Any, args: Sequence[Any], params: Mapping[str, Any]) -> Any:
        return match(transpose(i, ct, args, params), args[i]) if is_linear(i) else None

    def jvp(tangents: Any, out: Any, args: Any, params: Mapping[str, Any]) -> Any:
        moving = [is_linear(i) and t is not None for i, t in enumerate(tangents)]
        if not any(moving):
            return None
        pushed = [
            a if not is_linear(i) else (t if moving[i] else _zeros(a))
            for i, (a, t) in enumerate(zip(args, tangents, strict=True))
        ]
        return op(*pushed, **params)

    op = Op(name, "linear", forward, infer, vjp, jvp, batch, notation or call(name), samples, "")
    return define(op)


def _zeros(a: Any) -> Any:
    """Return zeros like `a`; a Python number stays one, which widens no dtype."""
    return np.zeros_like(a) if hasattr(a, "dtype") else type(a)(0)  # 0 * inf is NaN


def bilinear(
    name: str,
    forward: Callable[..., Any],
    transpose_first: Callable[..., Any],
    transpose_second: Callable[..., Any],
    *,
    infer: Callable[..., Aval],
    batch: Batch,
    samples: Samples,
    notation: Notation | None = None,
) -> Op:
    """Define an operation linear in each of two arguments.

    Each transpose is called as `(ct, x, y, **params)` and gives the cotangent of its argument.
    """
    transposes = (transpose_first, transpose_second)

    def vjp(i: int, ct: Any, out: Any, args: Sequence[Any], params: Mapping[str, Any]) -> Any:
        return match(transposes[i](ct, *args, **params), args[i])

    def jvp(tangents: Any, out: Any, args: Any, params: Mapping[str, Any]) -> Any:
        (dx, dy), (x, y) = tangents, args
        first = None if dx is None else op(dx, y, **params)
        second = None if dy is None else op(x, dy, **params)
        if first is None or second is None:
            return second if first is None else first
        return first + second

    op = Op(name, "bilinear", forward, infer, vjp, jvp, batch, notation or call(name), samples, "")
    return define(op)


def general(
    name: str,
    forward: Callable[..., Any],
    *,
    vjp: Vjp | None = None,
    jvp: Jvp | None,
    infer: Callable[..., Aval | tuple[Aval, ...]],
    batch: Batch,
    samples: Samples,
    notation: Notation | None = None,
    undefined_at: str = "",
    vjp_all: VjpAll | None = None,
) -> Op:
    """Define an operation with explicit rules; all None for a piecewise constant one.

    `vjp_all` gives the cotangents of all arguments at once, where they share work; it stands in
    for `vjp`.
    """
    if vjp_all is not None:
        vjp = _one_of(vjp_all)
    if (vjp is None) != (jvp is None):
        raise ValueError(f"operation {name!r}: expected rules of both modes, or of none")
    return define(
        Op(
            name, "general", forward, infer, vjp, jvp, batch, notation or call(name), samples,
            undefined_at, vjp_all,
        )
    )  # fmt: skip


def _one_of(vjp_all: VjpAll) -> Vjp:
    return lambda i, ct, out, args, params: vjp_all(ct, out, args, params)[i]


def match(cotangent: Any, primal: Any) -> Any:
    """Bring a cotangent to the shape and dtype of the primal it belongs to.

    Sums over the axes that broadcasting added or stretched, takes the real part where the primal
    is real, and casts to the primal's dtype, so that gradients never change precision.
    """
    target = primal if hasattr(primal, "shape") else aval_of(primal)
    shape, ct_shape = target.shape, cotangent.shape
    if ct_shape != shape:
        extra = len(ct_shape) - len(shape)
        if extra:
            cotangent = np.add.reduce(cotangent, axis=tuple(range(extra)))
        stretched = tuple(
            i for i, (n, m) in enumerate(zip(shape, cotangent.shape, strict=True)) if n != m
        )
        if stretched:
            cotangent = np.add.reduce(cotangent, axis=stretched, keepdims=True)
    dtype = target.dtype
    if cotangent.dtype is not dtype and cotangent.dtype != dtype:
        if not is_differentiable(dtype):
            return None
        if cotangent.dtype.kind == "c" and dtype.kind != "c":
            cotangent = np.real(cotangent)
        cotangent = cotangent.astype(dtype)
    return cotangent


def expand(tangent: Any, out: Any) -> Any:
    """Bring a tangent to the shape and dtype of the result it belongs to."""
    if tangent.shape != np.shape(out):
        tangent = np.broadcast_to(tangent, np.shape(out))
    if tangent.dtype != out.dtype:
        tangent = tangent.astype(out.dtype)
    return tangent


def _scaling(derivative: Derivative, bounded: bool, selects: bool) -> Callable[..., Any] | None:
    """Return the map of (cotangent or tangent, output, inputs) to its product with the slope."""
    if derivative is None or derivative == 1:
        return None if derivative is None else lambda x, out, args: x
    if derivative == -1:
        return lambda x, out, args: -x
    if not callable(derivative):
        return lambda x, out, args: x * derivative

    if selects:
        return lambda x, out, args: chain(derivative(out, *args), x)

    def scaled(x: Any, out: Any, args: Sequence[Any]) -> Any:
        slope = derivative(out, *args)
        if slope.__class__ is np.ndarray is x.__class__ and isfinite(np.vdot(slope, slope)):
            return x * slope  # as chain does, but quicker
        return chain(x, slope, bounded)

    return scaled


def chain(cotangent: Any, slope: Any, bounded: bool = False) -> Any:
    """Return the product of the chain rule, `cotangent * slope`: 0 where the cotangent is 0.

    `bounded` says that the slope is finite wherever what it is computed from is.
    """
    known = not isinstance(slope, Tracer)
    if known and is_finite(slope):
        return cotangent * slope
    if known and not isinstance(cotangent, Tracer):
        return annihilating(cotangent, slope)
    if not known and needs_no_care(cotangent, bounded):
        return cotangent * slope
    return chain_product(cotangent, slope)


def broadcast_shapes(name: str, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the common shape of `shapes`, or raise ShapeError naming the operation."""
    first = shapes[0]
    if all(s == first or s == () for s in shapes):
        return first
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        got = " and ".join(map(str, shapes))
        raise ShapeError(
            f"{name}: the shapes {got} do not broadcast together. Expected equal lengths, or 1, "
            "on each axis counted from the last; reshape one of them, e.g. with x[:, None]."
        ) from None


@functools.cache
def _resolve(ufunc: Any, keys: tuple[Any, ...], name: str) -> DType:
    if all(isinstance(k, type) for k in keys):
        keys = tuple(result_type(aval_of(k(0))) for k in keys)
    try:
        return ufunc.resolve_dtypes((*keys, *[None] * ufunc.nout))[-1]  # type: ignore[no-any-return]
    except TypeError:
        got = ", ".join(str(k.__name__ if isinstance(k, type) else k) for k in keys)
        raise DTypeError(f"{name}: no version of this operation takes {got}") from None


def dtype_of(ufunc: Any) -> Callable[..., DType]:
    """Return the dtype rule of `ufunc`, for a function that is one of its results."""
    return lambda *avals: _resolve(ufunc, tuple(map(promotion_key, avals)), ufunc.__name__)


def same_as_first(*avals: Aval, **params: Any) -> Aval:
    """Shape rule of an operation whose result is like its first argument."""
    return Aval(avals[0].shape, avals[0].dtype)


# the product of the chain rule, as an operation of its own


def _kept(x: Any, factor: Any) -> Any:
    """Return `x` with 0 in place of what is infinite or NaN where its factor is 0."""
    return np.where(np.equal(factor, 0) & ~np.isfinite(x), 0, x)


def _chain_vjp(i: int, ct: Any, out: Any, args: Sequence[Any], params: Any) -> Any:
    x, slope = args
    return match(chain(ct, slope) if i == 0 else chain(_kept(ct, x), x), args[i])


def _chain_jvp(tangents: Sequence[Any], out: Any, args: Sequence[Any], params: Any) -> Any:
    (dx, dslope), (x, slope) = tangents, args
    first = None if dx is None else chain(dx, slope)
    second = None if dslope is None else chain(_kept(dslope, x), x)
    if first is None or second is None:
        return expand(second if first is None else first, out)
    return expand(first + second, out)


@functools.lru_cache(RULES_KEPT)
def _chain_infer(x: Aval, slope: Aval) -> Aval:
    keys = (promotion_key(x), promotion_key(slope))
    shape = broadcast_shapes("chain_product", x.shape, slope.shape)
    return Aval(shape, _resolve(np.multiply, keys, "chain_product"))


chain_product = define(
    Op(
        name="chain_product",
        kind="elementwise",
        forward=annihilating,
        infer=_chain_infer,
        vjp=_chain_vjp,
        jvp=_chain_jvp,
        batch=pointwise("chain_product"),
        notation=infix("*", 20),
        samples=lambda rng: [
            (tuple(rng.uniform(*POSITIVE, shape) for shape in shapes), {})
            for shapes in (((3, 4), (3, 4)), ((), ()), ((3, 1), (2, 1, 4)), ((0, 2), (0, 2)))
        ],
        undefined_at="x = 0: 0, also where the slope is infinite or NaN (a masked branch)",
    )
)
