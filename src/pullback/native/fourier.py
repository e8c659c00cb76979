"""Fourier transforms, by the loops of numpy.fft, which are those of pocketfft."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core.graph import Node
from pullback.native import complexes, library
from pullback.native.library import Operand
from pullback.native.loops import Buffer, Kernel, Parts, Place, identity, linear, loads, stores
from pullback.native.steps import Routine

if TYPE_CHECKING:
    from pullback.native.lower import Lowering, Unit

INVERSE = {"ifft", "irfft"}


def lowering_of(node: Node) -> Callable[[Lowering, Node, Unit], None] | None:
    """Return what lowers `node`, if it is a transform that a routine computes."""
    return _lower if _routine(node) is not None else None


def _length(node: Node) -> int:
    """Return the number of points of the signal."""
    source = node if node.op is not None and node.op.name == "irfft" else node.inputs[0]
    return int(source.shape[node.params["axis"]])


def _routine(node: Node) -> Routine | None:
    assert node.op is not None
    if node.op.name not in ("fft", "ifft", "rfft", "irfft"):
        return None
    import numpy.fft._pocketfft_umath as pocketfft  # type: ignore[import-not-found]

    name = node.op.name
    if name == "rfft":
        name = "rfft_n_odd" if _length(node) % 2 else "rfft_n_even"
    width = node.dtype.itemsize // (1 if name == "irfft" else 2)
    real, complex_ = np.dtype(f"f{width}"), np.dtype(f"c{2 * width}")
    source = real if name.startswith("rfft") else complex_
    ufunc = getattr(pocketfft, name, None)
    if not isinstance(ufunc, np.ufunc):
        return None
    return library.routine(ufunc, (source, real, node.dtype))


def _scale(node: Node) -> Any:
    """Return what a transform is multiplied by, as numpy.fft does."""
    assert node.op is not None
    n, real = _length(node), np.empty(0, node.dtype).real.dtype
    norm = node.params["norm"] or "backward"
    if norm == "ortho":
        return np.reciprocal(np.sqrt(n, dtype=real), dtype=real)
    scaled = (norm == "backward") == (node.op.name in INVERSE)
    return np.reciprocal(n, dtype=real) if scaled else np.ones((), real)


def _last(place: Place, axis: int) -> Place:
    """Return the place in an array whose `axis` has been moved to the end."""
    return (*place[:axis], *place[axis + 1 :], place[axis])


def _lower(lowering: Lowering, node: Node, unit: Unit) -> None:
    (x,), found = node.inputs, _routine(node)
    assert found is not None
    axis, batch = node.params["axis"], x.aval.size // x.shape[node.params["axis"]]
    points, results = x.shape[axis], node.shape[axis]
    is_last = axis == x.aval.ndim - 1
    if is_last:
        source = library.operand(lowering, unit, x, found.dtypes[0], x.shape[:-1], 1).buffer
    else:
        back = [*range(axis), x.aval.ndim - 1, *range(axis, x.aval.ndim - 1)]

        def element(place: Place) -> Parts:
            parts = lowering.parts(x, tuple(place[k] for k in back))
            return complexes.cast(parts, x.dtype, found.dtypes[0])

        shape = (*x.shape[:axis], *x.shape[axis + 1 :], points)
        source = library.written(unit, element, shape, found.dtypes[0])
    scale = _scale(node)
    factor = Buffer(f"scale.{node.name}", scale.dtype, 1, "constant", scale)
    out = lowering.make_room(node)
    target = out if is_last else Buffer(f"last.{node.name}", node.dtype, out.size, "arena")
    operands = [
        Operand(source, (points,)), Operand(factor, moves=False), Operand(target, (results,)),
    ]  # fmt: skip
    unit.steps.append(library.call(found, batch, operands))
    if not is_last:
        here = identity(node.shape)
        moved = linear(_last(here, axis), _last(node.shape, axis))  # type: ignore[arg-type]
        body = stores(out, linear(here, node.shape), loads(target, moved))
        unit.steps.append(Kernel(node.shape, body))
