"""Einstein summation: multilinear, and each transpose is an Einstein summation again."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core.arrays import array_of
from pullback.core.aval import Aval, result_type
from pullback.core.dispatch import implements
from pullback.core.errors import ShapeError
from pullback.core.op import Op, call, define
from pullback.ops.families import match
from pullback.ops.index import setitem
from pullback.ops.shape import as_view


def parse(subscripts: str, ndims: Sequence[int]) -> tuple[list[str], str]:
    """Return the letters of each operand and of the result, with every ellipsis spelled out."""
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    operands = left.split(",")
    if len(operands) != len(ndims):
        raise ShapeError(f"einsum: {subscripts!r} names {len(operands)} operands, got {len(ndims)}")
    free = [c for c in string.ascii_letters if c not in text]
    width = max(
        (n - len(o.replace("...", "")) for o, n in zip(operands, ndims, strict=True) if "..." in o),
        default=0,
    )
    batch = "".join(free[:width])
    spelled = []
    for operand, ndim in zip(operands, ndims, strict=True):
        if "..." in operand:
            own = ndim - len(operand.replace("...", ""))
            operand = operand.replace("...", batch[width - own :])
        if len(operand) != ndim:
            raise ShapeError(
                f"einsum: operand {operand!r} of {subscripts!r} names {len(operand)} axes, the "
                f"array has {ndim}"
            )
        spelled.append(operand)
    if arrow:
        return spelled, right.replace("...", batch)
    counts = Counter("".join(o.replace("...", "") for o in operands))
    return spelled, batch + "".join(sorted(c for c, n in counts.items() if n == 1))


def _lengths(operands: Sequence[str], shapes: Sequence[tuple[int, ...]]) -> dict[str, int]:
    lengths: dict[str, int] = {}
    for letters, shape in zip(operands, shapes, strict=True):
        for letter, n in zip(letters, shape, strict=True):
            if lengths.setdefault(letter, n) not in (n, 1) and n != 1:
                raise ShapeError(
                    f"einsum: index {letter!r} has length {lengths[letter]} and {n} in operands "
                    f"of shapes {list(shapes)}"
                )
            if lengths[letter] == 1:  # stretches, to 0 too
                lengths[letter] = n
    return lengths


def _infer(*avals: Aval, operands: tuple[str, ...], result: str) -> Aval:
    lengths = _lengths(operands, [a.shape for a in avals])
    return Aval([lengths[c] for c in result], result_type(*avals))


def _forward(*arrays: Any, operands: tuple[str, ...], result: str) -> Any:
    return np.einsum(",".join(operands) + "->" + result, *arrays, optimize=len(arrays) > 2)


def _vjp(i: int, ct: Any, out: Any, args: Any, params: Any) -> Any:
    operands, result, x = params["operands"], params["result"], args[i]
    letters = operands[i]
    unique = "".join(dict.fromkeys(letters))
    others = [(o, a) for k, (o, a) in enumerate(zip(operands, args, strict=True)) if k != i]
    lengths = _lengths(operands, [np.shape(a) for a in args])
    known = set(result).union(*[set(o) for o, _ in others])
    missing = "".join(c for c in unique if c not in known)  # summed in this operand alone
    ones = [(missing, np.ones([lengths[c] for c in missing], x.dtype))] if missing else []
    factors = [(result, ct), *others, *ones]
    gradient = np.einsum(",".join(o for o, _ in factors) + "->" + unique, *[a for _, a in factors])
    if unique != letters:  # a repeated index reads a diagonal; the gradient is zero beside it
        grid = np.meshgrid(*[np.arange(lengths[c]) for c in unique], indexing="ij")
        places = dict(zip(unique, grid, strict=True))
        full = np.zeros([lengths[c] for c in letters], gradient.dtype)
        from pullback.ops.index import HOLE, Template, scatter_op

        gradient = scatter_op(
            gradient, *[places[c] for c in letters], shape=full.shape,
            index=Template((HOLE,) * len(letters)),
        )  # fmt: skip
        return match(gradient, x)
    stretched = tuple(k for k, c in enumerate(letters) if x.shape[k] == 1 != lengths[c])
    if stretched:
        gradient = np.sum(gradient, axis=stretched, keepdims=True)
    return match(gradient, x)


def _jvp(tangents: Any, out: Any, args: Any, params: Any) -> Any:
    total = None
    for i, tangent in enumerate(tangents):
        if tangent is not None:
            term = einsum_op(*args[:i], tangent, *args[i + 1 :], **params)
            total = term if total is None else total + term
    return total


def _batch(args: Any, batched: Any, params: Any) -> Any:
    operands, result = params["operands"], params["result"]
    new = next(c for c in string.ascii_letters if c not in "".join((*operands, result)))
    grown = tuple(new + o if b else o for o, b in zip(operands, batched, strict=True))
    return einsum_op(*args, operands=grown, result=new + result)


def _samples(rng: np.random.Generator) -> Any:
    cases: list[tuple[tuple[str, ...], str, list[tuple[int, ...]]]] = [
        (("ij", "jk"), "ik", [(2, 3), (3, 4)]),
        (("ij", "jk", "kl"), "il", [(2, 3), (3, 4), (4, 2)]),
        (("ij",), "", [(2, 3)]),
        (("ii",), "i", [(3, 3)]),
        (("ii",), "", [(3, 3)]),
        (("bij", "bjk"), "bik", [(5, 2, 3), (5, 3, 2)]),
        (("i", "j"), "ij", [(2,), (3,)]),
    ]
    return [
        (tuple(rng.normal(size=s) for s in shapes), {"operands": operands, "result": result})
        for operands, result, shapes in cases
    ]


einsum_op = define(
    Op("einsum", "general", _forward, _infer, _vjp, _jvp, _batch, call("einsum"), _samples, "")
)


@implements(np.einsum)
def einsum(
    *operands: Any, out: Any = None, optimize: Any = False, dtype: Any = None, **options: Any
) -> Any:
    """Sum products by Einstein's convention, e.g. "ij,jk->ik"; operands follow the subscripts.

    Or each operand is followed by the list of its axes' numbers: einsum(a, [0, 1], b, [1, 2]).
    A transpose or a diagonal is a view, so that `einsum("ii->i", a)[:] = 0` changes `a`.
    """
    subscripts, *values = _as_subscripts(operands)
    arrays = [array_of(v) for v in values]
    if dtype is not None:
        arrays = [np.astype(a, dtype) for a in arrays]
    spelled, result = parse(subscripts, [a.ndim for a in arrays])
    total = einsum_op(*arrays, operands=tuple(spelled), result=result)
    if out is not None:
        out[...] = total
        return out
    if len(spelled) > 1 or set(spelled[0]) != set(result) or dtype is not None:
        return total
    return as_view(
        total, arrays[0], lambda base: einsum_op(base, operands=tuple(spelled), result=result),
        lambda base, new: setitem(base, _places(spelled[0], result, new.shape), new),
    )  # fmt: skip


def _places(operand: str, result: str, shape: Sequence[int]) -> tuple[Any, ...]:
    """Return the index of the elements of an operand that make a result of `shape`."""
    grids = np.ix_(*map(np.arange, shape))
    return tuple(grids[result.index(letter)] for letter in operand)


def _as_subscripts(operands: Sequence[Any]) -> Sequence[Any]:
    """Return the operands after their subscripts, also where they were given as lists of axes."""
    if not operands:
        raise ShapeError("einsum: expected subscripts and operands, e.g. einsum('ij,jk', a, b)")
    if isinstance(operands[0], str):
        return operands
    pairs = len(operands) // 2 * 2
    left = ",".join(map(_letters, operands[1:pairs:2]))
    arrow = "->" + _letters(operands[-1]) if len(operands) > pairs else ""
    return [left + arrow, *operands[0:pairs:2]]


def _letters(axes: Any) -> str:
    return "".join("..." if i is Ellipsis else string.ascii_letters[i] for i in axes)


@implements(np.einsum_path)
def einsum_path(*operands: Any, **options: Any) -> Any:
    """Return the order of contraction that costs least: it depends on the shapes alone."""
    subscripts, *values = _as_subscripts(operands)
    blanks = [np.broadcast_to(np.empty((), np.float64), np.shape(v)) for v in values]
    return np.einsum_path(subscripts, *blanks, **options)
