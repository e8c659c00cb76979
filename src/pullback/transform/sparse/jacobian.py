"""Sparse Jacobians and Hessians: detect the pattern once, colour it, and take few products."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from pullback.core.errors import ConfigError, GradientError, NotDifferentiableError, ShapeError
from pullback.core.graph import Graph
from pullback.core.tables import keep
from pullback.core.tracing import trace
from pullback.native.program import NativeProgram
from pullback.passes.simplify import simplify
from pullback.transform.batching import vmap
from pullback.transform.forward import jvp
from pullback.transform.reverse import vjp
from pullback.transform.sparse.compression import (
    Compression,
    Mode,
    compress,
    compress_symmetric,
    seeds,
)
from pullback.transform.sparse.inputs import Call
from pullback.transform.sparse.pattern import gradient_pattern, graph_pattern

_BATCH = 1 << 18
"""Seeds are pushed through in batches of at most so many elements, or one by one."""

_KEPT = 16
"""So many signatures are remembered, the latest ones."""


class SparseDerivative:
    """A function that gives a sparse matrix; what it finds out is kept for each signature.

    `pattern(*args)` is the pattern used for these arguments, `colors(*args)` the number of
    products with vectors that one evaluation takes.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        argnums: int | Sequence[int],
        prepare: Callable[[Call], _Plan],
    ) -> None:
        functools.update_wrapper(self, function, ("__name__", "__doc__"), updated=())
        self._function, self._argnums, self._prepare = function, argnums, prepare
        self._plans: dict[Any, _Plan] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the matrix at the arguments, a `scipy.sparse.csr_array`."""
        call = Call(self._function, self._argnums, args, kwargs)
        return self._plan(call).evaluate(call.arrays)

    def pattern(self, *args: Any, **kwargs: Any) -> Any:
        """Return the boolean pattern, a `scipy.sparse.csr_array`."""
        plan = self._plan(Call(self._function, self._argnums, args, kwargs))
        return plan.compression.pattern.copy()

    def colors(self, *args: Any, **kwargs: Any) -> int:
        """Return the number of products that an evaluation takes, all modes together."""
        plan = self._plan(Call(self._function, self._argnums, args, kwargs))
        return plan.compression.products

    def _plan(self, call: Call) -> _Plan:
        signature = call.signature()
        if signature not in self._plans:
            keep(self._plans, signature, self._prepare(call), _KEPT)
        return self._plans[signature]


def sparse_jacobian(
    function: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    mode: Mode = "auto",
    pattern: Any = None,
) -> SparseDerivative:
    """Return the function that gives the Jacobian of `function` as a `scipy.sparse.csr_array`.

    Rows are the elements of the result, columns those of the arguments at `argnums`, flattened and
    joined in order. The first call for a signature traces the function, detects the pattern (see
    `jacobian_pattern`) and colours it; each call then takes a few products in one batch: J S in
    mode "forward", R J in "reverse", of each some in "bidirectional", the fewest in "auto".
    `pattern` overrides detection: a matrix whose non-zeros cover those of the Jacobian; at the
    first arguments one product tells whether they do, and GradientError is raised if not.
    What the function closes over is frozen by the first call: pass as an argument what changes.
    Raises TracerError where the function branches on a traced value in Python, ShapeError for a
    pattern that does not fit, DTypeError for integer or complex arguments.

    >>> import numpy as np, pullback as pb
    >>> jacobian = pb.sparse_jacobian(lambda x: x[1:] ** 2 - x[:-1])
    >>> jacobian(np.array([1.0, 2.0, 3.0])).toarray()
    array([[-1.,  4.,  0.],
           [ 0., -1.,  6.]])
    >>> jacobian.colors(np.ones(1000))
    2
    """
    if mode not in ("auto", "forward", "reverse", "bidirectional"):
        raise ConfigError(
            f"mode: expected 'auto', 'forward', 'reverse' or 'bidirectional', got {mode!r}"
        )

    modes: list[Mode] = ["auto", "reverse"] if mode == "auto" else [mode]

    def prepare(call: Call) -> _Plan:
        graph, moving = call.graph(), len(call.moving)
        if pattern is None:
            found = graph_pattern(graph, moving)
        else:
            rows = sum(node.aval.size for node in graph.results)
            found = _given(pattern, (rows, sum(x.size for x in call.moving)))
        ways = [functools.partial(compress, found, m) for m in modes]
        plan = _first_with_rules(graph, moving, ways)
        if pattern is not None:
            plan.check(call.arrays)
        return plan

    return SparseDerivative(function, argnums, prepare)


def sparse_hessian(
    function: Callable[..., Any], argnums: int | Sequence[int] = 0, pattern: Any = None
) -> SparseDerivative:
    """Return the function that gives the Hessian of a scalar function as a `csr_array`.

    Rows and columns are the elements of the arguments at `argnums`, flattened and joined in order.
    The pattern of the gradient's graph gets a star colouring, and each call takes one
    Hessian-vector product per colour in one batch, forward over reverse. The result is symmetric
    to the last bit. `pattern` overrides detection. Otherwise as `sparse_jacobian`.

    >>> import numpy as np, pullback as pb
    >>> hessian = pb.sparse_hessian(lambda x: np.sum((x[1:] - x[:-1] ** 2) ** 2))
    >>> hessian(np.array([1.0, 1.0, 1.0])).toarray()
    array([[ 8., -4.,  0.],
           [-4., 10., -4.],
           [ 0., -4.,  2.]])
    """

    def prepare(call: Call) -> _Plan:
        gradient, moving = call.gradient(), len(call.moving)
        if pattern is None:
            found = gradient_pattern(gradient, moving)
        else:
            size = sum(x.size for x in call.moving)
            given = _given(pattern, (size, size))
            found = csr_array(given + given.T)
        compression = compress_symmetric(found)
        ways = [lambda: compression, lambda: compression.transposed()]
        plan = _first_with_rules(gradient, moving, ways)
        if pattern is not None:
            plan.check(call.arrays)
        return plan

    return SparseDerivative(function, argnums, prepare)


def _given(pattern: Any, shape: tuple[int, int]) -> Any:
    found = csr_array(pattern, dtype=bool)
    if found.shape != shape:
        raise ShapeError(f"pattern: expected shape {shape}, got {found.shape}")
    found.sum_duplicates()
    found.eliminate_zeros()
    return found


def _first_with_rules(
    graph: Graph, moving: int, ways: Sequence[Callable[[], Compression]]
) -> _Plan:
    """Return the plan of the first way whose mode all operations have a rule for."""
    for way in ways[:-1]:
        with contextlib.suppress(NotDifferentiableError):
            return _Plan(graph, moving, way())
    return _Plan(graph, moving, ways[-1]())


class _Plan:
    """The graph of a function, its compression, and the graphs of the products."""

    def __init__(self, graph: Graph, moving: int, compression: Compression) -> None:
        self.graph, self.moving, self.compression = graph, moving, compression
        inputs = [node.aval for node in graph.arguments[:moving]]
        results = [node.aval for node in graph.results]
        self._forward = _Products(graph, self._push, inputs, seeds(compression.column_colors))
        self._reverse = _Products(graph, self._pull, results, seeds(compression.row_colors))

    def evaluate(self, arrays: Sequence[Any]) -> Any:
        """Return the sparse matrix at `arrays`, the arguments of the graph."""
        products = [*self._forward(arrays), *self._reverse(arrays)]
        dtype = np.result_type(*[n.dtype for n in self.graph.results]) if products else float
        flat = np.concatenate([p.ravel() for p in products]) if products else np.zeros(0)
        return self.compression.expand(flat.astype(dtype, copy=False))

    def check(self, arrays: Sequence[Any]) -> None:
        """Raise GradientError where the pattern misses derivatives; one product tells."""
        matrix = self.evaluate(arrays)
        weights = np.random.default_rng(0).uniform(1, 2, matrix.shape[0])
        results = [node.aval for node in self.graph.results]
        cotangents = _blocks(weights[None], results)
        pulled = self._pull(arrays, [c[0] for c in cotangents])
        expected = np.concatenate([np.ravel(x) for x in pulled])
        tolerance = np.sqrt(np.finfo(matrix.dtype).eps)
        if not np.allclose(weights @ matrix, expected, rtol=tolerance, atol=tolerance):
            raise GradientError(
                "pattern: it misses derivatives that are not zero, so that the matrix would be "
                "wrong. Leave it out to have it detected, or compare it with pb.jacobian_pattern "
                "or pb.hessian_pattern."
            )

    def _push(self, arrays: Sequence[Any], tangents: Sequence[Any]) -> Any:
        function, primals = self._by_moving(arrays)
        return jvp(function, primals, tuple(tangents))[1]

    def _pull(self, arrays: Sequence[Any], cotangents: Sequence[Any]) -> Any:
        function, primals = self._by_moving(arrays)
        return list(vjp(function, *primals)[1](list(cotangents)))

    def _by_moving(self, arrays: Sequence[Any]) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        passive = list(arrays[self.moving :])
        return lambda *moving: self.graph.run([*moving, *passive]), tuple(arrays[: self.moving])


class _Products:
    """Products of a derivative with the rows of a seed matrix, in batches of one size."""

    def __init__(
        self, graph: Graph, product: Callable[..., Any], avals: Sequence[Any], matrix: Any
    ) -> None:
        self._batches: list[list[Any]] = []
        if not len(matrix):
            return
        largest = max(1, _BATCH // max(1, matrix.shape[1]))
        count = -(-len(matrix) // largest)
        size = -(-len(matrix) // count)
        padded = np.zeros((count * size, matrix.shape[1]))
        padded[: len(matrix)] = matrix
        self._total = len(matrix)
        self._batches = [_blocks(rows, avals) for rows in np.split(padded, count)]
        arrays = [node.aval for node in graph.arguments]

        def batched(*given: Any) -> Any:
            fixed, directions = given[: len(arrays)], given[len(arrays) :]
            return vmap(lambda *seed: product(fixed, seed))(*directions)

        self._graph = simplify(trace(batched, *arrays, *self._batches[0])).run_by(NativeProgram)

    def __call__(self, arrays: Sequence[Any]) -> list[Any]:
        """Return the products, one matrix of as many rows as the seeds have."""
        if not self._batches:
            return []
        found = []
        for directions in self._batches:
            out = self._graph(*arrays, *directions)
            found.append(_joined([np.reshape(x, (len(x), -1)) for x in out], axis=1))
        return [_joined(found, axis=0)[: self._total]]


def _blocks(rows: Any, avals: Sequence[Any]) -> list[Any]:
    """Return the parts of each row, in the shapes and dtypes of `avals`."""
    parts = np.split(rows, np.cumsum([a.size for a in avals])[:-1], axis=1)
    return [
        part.reshape(len(rows), *a.shape).astype(a.dtype)
        for a, part in zip(avals, parts, strict=True)
    ]


def _joined(parts: Sequence[Any], axis: int) -> Any:
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=axis)
