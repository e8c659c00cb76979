"""Sparse derivatives: detected from the graph, coloured, and evaluated by a few products."""

from pullback.transform.sparse.jacobian import SparseDerivative, sparse_hessian, sparse_jacobian
from pullback.transform.sparse.pattern import hessian_pattern, jacobian_pattern

__all__ = [
    "SparseDerivative",
    "hessian_pattern",
    "jacobian_pattern",
    "sparse_hessian",
    "sparse_jacobian",
]
