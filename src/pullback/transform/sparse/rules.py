"""What the result of each operation depends on; an operation without a rule mixes everything.

A rule is called with the dependences of the arguments, their values where they are known (None
where they are not), the parameters and the abstract result. It may only err towards more.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pullback.core.op import OPS, Op
from pullback.transform.sparse.contraction import contract
from pullback.transform.sparse.dependence import (
    CONSTANT,
    ZERO,
    Dependence,
    constant,
    everything,
    group,
    merge_axes,
    share_sets,
    union,
)

Parts = Sequence[Dependence]
Values = Sequence[Any]
Params = Mapping[str, Any]
Rule = Callable[[Op, Parts, Values, Params, Any], Any]


def result_of(op: Op, parts: Parts, values: Values, params: Params, aval: Any) -> Any:
    """Return the dependence of the result of `op`; a tuple of them where it has several."""
    inputs = parts[0].sets.shape[1]
    piecewise_constant = op.vjp is None and op.jvp is None
    if piecewise_constant or not any(p.moves for p in parts):
        return _each(aval, lambda a: constant(a.shape, inputs))
    rule: Rule = pointwise if op.kind == "elementwise" else mix
    if OPS.get(op.name) is op:  # a custom function may have the name of an operation
        rule = RULES.get(op.name, rule)
    return rule(op, parts, values, params, aval)


def _each(aval: Any, make: Callable[[Any], Dependence]) -> Any:
    return tuple(map(make, aval)) if isinstance(aval, tuple) else make(aval)


def mix(op: Op, parts: Parts, values: Values, params: Params, aval: Any) -> Any:
    """Every element depends on every element of every argument."""
    return _each(aval, lambda a: everything(parts, a.shape))


# element by element


def pointwise(op: Op, parts: Parts, values: Values, params: Params, aval: Any) -> Dependence:
    """An element depends on the elements that broadcasting pairs it with."""
    if len(parts) == 1:
        (x,) = parts
        if (x.numbers == ZERO).any() and not _maps_zero_to_zero(op, params, aval.dtype):
            return x.with_numbers(np.maximum(x.numbers, CONSTANT))
        return x
    how: Any = _ZERO.get(op.name, "never")
    return functools.reduce(lambda x, y: union(x, y, how), parts)


_ZERO = {
    "add": "both", "subtract": "both", "multiply": "either", "chain_product": "either",
    "divide": "first",
}  # fmt: skip
"""Which arguments that are 0 make the result 0."""


def _maps_zero_to_zero(op: Op, params: Any, dtype: Any) -> bool:
    with np.errstate(all="ignore"):
        return bool(op.forward(np.zeros((), dtype), **params) == 0)


def choose(op: Op, parts: Parts, values: Values, params: Params, aval: Any) -> Dependence:
    """Where: the chosen element, either if the condition is not known."""
    x, y = parts[1:]
    if values[0] is None:
        both = union(x, y, "both")
        return both.with_numbers(np.broadcast_to(both.numbers, aval.shape))
    x, y = share_sets([x, y])
    return x.with_numbers(np.where(values[0], x.numbers, y.numbers))


# elements moved about


def moving(op: Op, parts: Parts, values: Values, params: Params, aval: Any) -> Dependence:
    """An element is one element of one argument, or 0."""
    shared = share_sets(parts)
    return shared[0].with_numbers(op.forward(*[p.numbers for p in shared], **params))


def unstack(op: Op, parts: Parts, values: Values, params: Params, aval: Any) -> Any:
    """The entries along the first axis."""
    (x,) = parts
    return tuple(map(x.with_numbers, x.numbers))


def gather(op: Op, parts: Parts, values: Values, params: Params, aval: Any) -> Dependence:
    """An element is the one that is named, any along an axis whose index is not known."""
    x, index = parts[0], params["index"]
    axes = _unknown_axes(x.shape, values[1:], index)
    if axes:
        x = _spread(x, axes)
    return x.with_numbers(op.forward(x.numbers, *_or_zero(parts, values), index=index))


def scatter(op: Op, parts: Parts, values: Values, params: Params, aval: Any) -> Dependence:
    """An element is the sum of those that are added to it."""
    ct, index, shape = parts[0], params["index"], params["shape"]
    positions = np.arange(math.prod(shape)).reshape(shape)
    owners = OPS["getitem"].forward(positions, *_or_zero(parts, values), index=index)
    out = group(ct.sets, ct.numbers, owners, shape)
    axes = _unknown_axes(shape, values[1:], index)
    return _spread(out, axes) if axes else out


def assign(op: Op, parts: Parts, values: Values, params: Params, aval: Any) -> Any:
    """An element is the old one, or the one that is assigned to it."""
    if any(v is None for v in values[2:]):
        return mix(op, parts, values, params, aval)
    x, value = share_sets(parts[:2])
    return x.with_numbers(op.forward(x.numbers, value.numbers, *values[2:], **params))


def _or_zero(parts: Parts, values: Values) -> list[Any]:
    """Return the index arrays, 0 in place of those that are not known."""
    pairs = zip(parts[1:], values[1:], strict=True)
    return [np.zeros(p.shape, np.intp) if v is None else v for p, v in pairs]


def _unknown_axes(shape: Any, arrays: Values, index: Any) -> tuple[int, ...]:
    """Return the axes that are indexed by arrays whose values are not known."""
    given = [p for p in index.parts if p is not None]
    source, axis, unknown = iter(arrays), 0, []
    for part in given:
        if part is Ellipsis:
            axis += len(shape) - (len(given) - 1)
            continue
        if not isinstance(part, (int, slice)) and next(source) is None:
            unknown.append(axis)
        axis += 1
    return tuple(unknown)


def _spread(part: Dependence, axes: Sequence[int]) -> Dependence:
    merged = merge_axes(part, axes)
    return merged.with_numbers(np.broadcast_to(merged.numbers, part.shape))


# elements brought together


def reduce(op: Op, parts: Parts, values: Values, params: Params, aval: Any) -> Dependence:
    """An element depends on all elements along the axes."""
    merged = merge_axes(parts[0], params["axis"])
    numbers = merged.numbers.reshape(aval.shape)
    if op.name == "prod":  # of no elements it is 1
        numbers = np.maximum(numbers, CONSTANT)
    return merged.with_numbers(numbers)


def accumulate(op: Op, parts: Parts, values: Values, params: Params, aval: Any) -> Dependence:
    """An element depends on those up to it; each pass doubles how many are joined."""
    (x,), axis = parts, params["axis"]
    steps, length = 1, x.shape[axis]
    while steps < length:
        numbers = np.moveaxis(x.numbers, axis, 0)
        delayed = np.full_like(numbers, ZERO)
        delayed[steps:] = numbers[:-steps]
        x = union(x, x.with_numbers(np.moveaxis(delayed, 0, axis)), "both")
        steps *= 2
    return x


def transform(op: Op, parts: Parts, values: Values, params: Params, aval: Any) -> Dependence:
    """Fourier transforms: an element depends on all elements along one axis."""
    merged = merge_axes(parts[0], (params["axis"],))
    return merged.with_numbers(np.broadcast_to(merged.numbers, aval.shape))


def per_matrix(op: Op, parts: Parts, values: Values, params: Params, aval: Any) -> Any:
    """Functions of a matrix: everything depends on the whole matrix, of its own batch only."""
    (x,) = parts
    merged = merge_axes(x, (len(x.shape) - 2, len(x.shape) - 1))
    batch = np.maximum(merged.numbers[..., 0, 0], CONSTANT)

    def spread(a: Any) -> Dependence:
        numbers = np.reshape(batch, (*batch.shape, *[1] * (len(a.shape) - batch.ndim)))
        return merged.with_numbers(np.broadcast_to(numbers, a.shape))

    return _each(aval, spread)


def solve(op: Op, parts: Parts, values: Values, params: Params, aval: Any) -> Dependence:
    """A column of the solution depends on the matrix and on its own right-hand side."""
    a, b = (merge_axes(p, axes) for p, axes in zip(parts, _solve_axes(parts), strict=True))
    both = union(a, b, "both")
    return both.with_numbers(np.broadcast_to(both.numbers, aval.shape))


def _solve_axes(parts: Parts) -> tuple[tuple[int, ...], tuple[int, ...]]:
    (a, b) = (len(p.shape) for p in parts)
    return (a - 2, a - 1), (b - 2,)


def product(op: Op, parts: Parts, values: Values, params: Params, aval: Any) -> Dependence:
    """Matrix product: the letters of einsum, with broadcast axes in front."""
    letters: list[tuple[Any, ...]] = []
    for own, names in zip(parts, (("row", "inner"), ("inner", "column")), strict=True):
        core = ("inner",) if len(own.shape) == 1 else names
        letters.append((*range(len(core) - len(own.shape), 0), *core))
    batch = max((names[:-2] for names in letters if len(names) > 2), key=len, default=())
    result = (*batch, *[c for c in ("row", "column") if any(c in names for names in letters)])
    return contract(parts, letters, result, aval.shape)


def slide(op: Op, parts: Parts, values: Values, params: Params, aval: Any) -> Dependence:
    """Correlation: the product of every window of `x` with `w`."""
    x, w = parts
    windows = np.lib.stride_tricks.sliding_window_view(x.numbers, w.shape[-1], axis=-1)
    loops = [tuple(range(1 - len(p.shape), 0)) for p in parts]
    letters = [(*loops[0], "place", "offset"), (*loops[1], "offset")]
    batch = max(loops, key=len)
    return contract([x.with_numbers(windows), w], letters, (*batch, "place"), aval.shape)


def einsum(op: Op, parts: Parts, values: Values, params: Params, aval: Any) -> Dependence:
    """Sum of products: an element depends on those whose letters agree with its own."""
    return contract(parts, params["operands"], params["result"], aval.shape)


RULES: dict[str, Rule] = {
    **dict.fromkeys(
        ["real", "imag", "complex_of", "conjugate", "astype", "complex_absolute"], pointwise
    ),
    **dict.fromkeys(["polygamma", "lambertw", "ldexp", "recompute"], pointwise),
    **dict.fromkeys(["reshape", "transpose", "broadcast_to", "flip", "roll"], moving),
    **dict.fromkeys(["concatenate", "pad"], moving),
    **dict.fromkeys(["sum", "prod", "max", "min"], reduce),
    **dict.fromkeys(["cumsum", "cumprod"], accumulate),
    **dict.fromkeys(["fft", "ifft", "rfft", "irfft"], transform),
    **dict.fromkeys(["hermitian", "cofactor", "det", "slogdet", "pinv", "inv"], per_matrix),
    **dict.fromkeys(["cholesky", "qr", "eigh", "eig", "svd"], per_matrix),
    **dict.fromkeys(["expm", "sqrtm"], per_matrix),
    **dict.fromkeys(["solve", "solve_triangular"], solve),
    "unstack": unstack,
    "correlate": slide,
    "where": choose,
    "getitem": gather,
    "scatter_add": scatter,
    "setitem": assign,
    "matmul": product,
    "einsum": einsum,
}
"""Rules by the name of the operation; other elementwise operations are `pointwise`."""
