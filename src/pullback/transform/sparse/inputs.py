"""One call of a function, as sparse derivatives see it: what moves and what is fixed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pullback.core import pytree
from pullback.core.arrays import is_floating
from pullback.core.aval import aval_of
from pullback.core.errors import DTypeError, TracerError
from pullback.core.graph import Graph
from pullback.core.tracer import Tracer
from pullback.core.tracing import trace
from pullback.transform.inputs import argument_positions, flat_arrays
from pullback.transform.reverse import grad


class Call:
    """The arguments of one call, sorted.

    `moving` are the arrays at `argnums`, in order, and `passive` the other floating arrays: a
    graph takes both. Everything else is `fixed`: integers, booleans and options are part of the
    graph, and of its `signature`.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        argnums: int | Sequence[int],
        args: Sequence[Any],
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self.function = function
        leaves, self.structure = pytree.flatten((tuple(args), dict(kwargs or {})))
        numbered = pytree.unflatten(self.structure, range(len(leaves)))[0]
        wanted = tuple(numbered[p] for p in argument_positions(argnums, len(args)))
        places = pytree.leaves(wanted)
        given = pytree.unflatten(pytree.structure(wanted), [leaves[i] for i in places])
        self.moving = flat_arrays(given, "arguments of the sparse derivative")[0]
        for x in self.moving:
            _check_real(x, "the arguments at argnums")
        if any(isinstance(x, Tracer) for x in leaves):
            raise TracerError(
                "sparse derivative: an argument is traced, but a scipy.sparse array holds numbers "
                "only. Inside of another transformation take pb.jacobian, or products with pb.jvp "
                "and pb.vjp."
            )
        dtype = np.result_type(np.float32, *[x.dtype for x in self.moving])
        traced = [i for i, x in enumerate(leaves) if i not in places and is_floating(x)]
        self.passive = [
            np.asarray(x, dtype) if isinstance(x, float) else np.asarray(x)
            for x in (leaves[i] for i in traced)
        ]
        self.places = [*places, *traced]
        self.fixed = [None if i in self.places else x for i, x in enumerate(leaves)]

    @property
    def arrays(self) -> list[Any]:
        """The arguments of the graph: the moving ones, then the passive ones."""
        return [*self.moving, *self.passive]

    def signature(self) -> Any:
        """Return what the graph holds for, to be compared."""
        avals = tuple((x.shape, x.dtype) for x in self.arrays)
        return self.structure, tuple(self.places), avals, tuple(map(_fingerprint, self.fixed))

    def graph(self) -> Graph:
        """Trace the function to a graph whose results are the floating leaves of its result."""
        return trace(lambda *arrays: _floating(self._apply(arrays)), *self.arrays)

    def gradient(self) -> Graph:
        """Trace the gradient by the moving arrays."""
        moving = tuple(range(len(self.moving)))
        return trace(grad(lambda *arrays: self._apply(arrays), moving), *self.arrays)

    def _apply(self, arrays: Sequence[Any]) -> Any:
        leaves = list(self.fixed)
        for place, x in zip(self.places, arrays, strict=True):
            leaves[place] = x
        args, kwargs = pytree.unflatten(self.structure, leaves)
        return self.function(*args, **kwargs)


def _check_real(x: Any, name: str) -> None:
    if x.dtype.kind == "c":
        raise DTypeError(
            f"sparse derivative: {name} have a complex dtype ({x.dtype}), expected real ones. "
            "Take the real and the imaginary part as two real arrays, or use pb.jacobian."
        )


def _floating(out: Any) -> list[Any]:
    """Return the leaves of a result; those of integers are constant, so their rows are zero."""
    found = []
    for x in pytree.leaves(out):
        aval = aval_of(x)
        _check_real(aval, "the results")
        found.append(x if aval.dtype.kind == "f" else np.zeros(aval.shape))
    return found


def _fingerprint(x: Any) -> Any:
    if isinstance(x, (np.ndarray, np.generic)):
        return x.shape, x.dtype.str, x.tobytes()
    try:
        hash(x)
    except TypeError:
        raise DTypeError(
            f"sparse derivative: an argument is of type {type(x).__name__}, expected arrays, "
            "numbers, or options that are hashable; close over it, as in lambda x: f(x, thing)"
        ) from None
    return type(x), x
