"""Factors, inverses and spectra of matrices, by the loops of numpy.linalg, which call LAPACK.

As NumPy does, everything is computed in double precision; a failure is told after the call, as the
error that NumPy would raise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core.aval import DType
from pullback.core.graph import Node
from pullback.native import complexes, faults, library
from pullback.native.library import Operand
from pullback.native.loops import (
    Apply,
    Buffer,
    Count,
    Expr,
    Kernel,
    Parts,
    Place,
    identity,
    linear,
    literal,
    loads,
    part_of,
    stores,
)

if TYPE_CHECKING:
    from pullback.native.lower import Lowering, Unit

BOOL = np.dtype(bool)


def lowering_of(node: Node) -> Callable[[Lowering, Node, Unit], None] | None:
    """Return what lowers `node`, if it is an operation on matrices that a routine computes."""
    assert node.op is not None
    known = LOWERINGS.get(node.op.name)
    if known is None or not all(i.dtype in library.DTYPES for i in node.inputs):
        return None
    lower, names = known
    return lower if all(isinstance(_gufunc(name), np.ufunc) for name in names) else None


def _gufunc(name: str) -> Any:
    """Return a universal function of NumPy's on matrices; None where NumPy has none so named."""
    from numpy.linalg import _umath_linalg  # what numpy.linalg itself calls, in its own words

    return getattr(_umath_linalg, name, None)


def _working(node: Node) -> DType:
    return np.dtype("c16" if any(i.dtype.kind == "c" for i in node.inputs) else "f8")


def _run(
    unit: Unit, name: str, batch: Sequence[int], inputs: Sequence[Operand],
    outs: Sequence[Operand], fault: int = 0,
) -> None:  # fmt: skip
    dtypes = tuple(o.buffer.dtype for o in (*inputs, *outs))
    found = library.routine(_gufunc(name), dtypes)
    assert found is not None
    unit.steps.append(library.call(found, math.prod(batch), [*inputs, *outs], len(outs), fault))


def _deliver(
    lowering: Lowering, node: Node, unit: Unit, batch: Sequence[int],
    compute: Callable[[list[Operand]], None],
) -> None:  # fmt: skip
    """Let `compute` write the results of `node` in double precision; cast them where needed."""
    avals = node.aval if isinstance(node.aval, tuple) else (node.aval,)
    rooms = lowering.make_rooms(node)
    double = [np.dtype("c16" if a.dtype.kind == "c" else "f8") for a in avals]
    scratch = [
        room if room.dtype == d else Buffer(f"{room.name}.double", d, room.size, "arena")
        for room, d in zip(rooms, double, strict=True)
    ]
    compute([Operand(b, a.shape[len(batch) :]) for b, a in zip(scratch, avals, strict=True)])
    for room, wide, aval in zip(rooms, scratch, avals, strict=True):
        if room is not wide:
            at = linear(identity(aval.shape), aval.shape)
            narrow = complexes.cast(loads(wide, at), wide.dtype, room.dtype)
            unit.steps.append(Kernel(aval.shape, stores(room, at, narrow)))


def _of_one(name: str, fault: int = 0, hermitian: bool = False) -> Any:
    """A routine on one matrix, or on its Hermitian part."""

    def lower(lowering: Lowering, node: Node, unit: Unit) -> None:
        (a,), dtype, batch = node.inputs, _working(node), node.inputs[0].shape[:-2]
        if hermitian:
            whole = library.written(unit, _hermitian_part(lowering, a, dtype), a.shape, dtype)
            matrix = Operand(whole, a.shape[-2:])
        else:
            matrix = library.operand(lowering, unit, a, dtype, batch, 2)

        def compute(outs: list[Operand]) -> None:
            _run(unit, name, batch, [matrix], outs, fault)

        _deliver(lowering, node, unit, batch, compute)

    return lower, (name,)


def _turned(place: Place) -> Place:
    return (*place[:-2], place[-1], place[-2])


def _conjugate(x: Parts) -> Parts:
    return (x[0], *[Apply("negative", (part,), part.dtype, part.dtype) for part in x[1:]])


def _hermitian_part(lowering: Lowering, a: Node, dtype: DType) -> Callable[[Place], Parts]:
    def element(place: Place) -> Parts:
        other = _conjugate(lowering.parts(a, _turned(place)))
        part = part_of(a.dtype)
        half = [
            Apply("multiply", (x, literal(0.5, part)), part, part)
            for x in complexes.total(lowering.parts(a, place), other, a.dtype)
        ]
        return complexes.cast(tuple(half), a.dtype, dtype)

    return element


def _solve(lowering: Lowering, node: Node, unit: Unit) -> None:
    dtype, batch = _working(node), node.shape[:-2]
    a, b = (library.operand(lowering, unit, x, dtype, batch, 2) for x in node.inputs)

    def compute(outs: list[Operand]) -> None:
        _run(unit, "solve", batch, [a, b], outs, faults.SINGULAR)

    _deliver(lowering, node, unit, batch, compute)


def _svd(lowering: Lowering, node: Node, unit: Unit) -> None:
    lower, _ = _of_one("svd_f" if node.params["full_matrices"] else "svd_s", faults.SVD)
    lower(lowering, node, unit)


def _qr(lowering: Lowering, node: Node, unit: Unit) -> None:
    (a,), dtype = node.inputs, _working(node)
    *batch, m, n = a.shape

    def element(place: Place) -> Parts:
        return complexes.cast(lowering.parts(a, place), a.dtype, dtype)

    factored = Operand(library.written(unit, element, a.shape, dtype), (m, n))  # in its own place
    scales = Buffer(f"tau.{node.name}", dtype, math.prod(batch) * min(m, n), "arena")
    tau = Operand(scales, (min(m, n),))
    name = "qr_complete" if node.params["complete"] and m > n else "qr_reduced"

    def compute(outs: list[Operand]) -> None:
        q, r = outs
        _run(unit, "qr_r_raw", batch, [factored], [tau])
        _run(unit, name, batch, [factored, tau], [q])
        shape = (*batch, *r.shape)
        here = identity(shape)
        above = _ordered("less_equal", here)
        parts = tuple(
            Apply("where", (above, x, literal(0, x.dtype)), x.dtype, x.dtype)
            for x in loads(factored.buffer, linear(here, a.shape))
        )
        unit.steps.append(Kernel(shape, stores(r.buffer, linear(here, shape), parts)))

    _deliver(lowering, node, unit, batch, compute)


def _ordered(name: str, place: Place) -> Expr:
    """Return a comparison of the row and the column of a place."""
    row, column = Count(place[-2]), Count(place[-1])
    return Apply(name, (row, column), row.dtype, BOOL)


def _mirrored(lowering: Lowering, node: Node, unit: Unit) -> None:
    """The Hermitian matrix of one triangle; its diagonal is real."""
    (a,) = node.inputs
    here = identity(node.shape)
    kept = "greater" if node.params["lower"] else "less"
    mine, its = lowering.parts(a, here), _conjugate(lowering.parts(a, _turned(here)))
    main = complexes.cast(mine[:1], part_of(a.dtype), a.dtype)
    parts = []
    for x, y, z in zip(mine, its, main, strict=True):
        other = Apply("where", (_ordered("equal", here), z, y), x.dtype, x.dtype)
        parts.append(Apply("where", (_ordered(kept, here), x, other), x.dtype, x.dtype))
    at = linear(here, node.shape)
    unit.steps = [Kernel(node.shape, stores(lowering.make_room(node), at, tuple(parts)))]


LOWERINGS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "inv": _of_one("inv", faults.SINGULAR),
    "det": _of_one("det"),
    "slogdet": _of_one("slogdet"),
    "cholesky": _of_one("cholesky_lo", faults.NOT_DEFINITE, hermitian=True),
    "eigh": _of_one("eigh_lo", faults.EIGENVALUES, hermitian=True),
    "solve": (_solve, ("solve",)),
    "svd": (_svd, ("svd_f", "svd_s")),
    "qr": (_qr, ("qr_r_raw", "qr_reduced", "qr_complete")),
    "hermitian": (_mirrored, ()),
}
"""How operations on matrices are lowered, and the routines that they take."""
