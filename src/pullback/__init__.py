"""pullback: gradients for the NumPy code people already have.

A NumPy function goes in; a graph comes out; its derivative is another graph.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pullback import ops as _ops  # noqa: F401  fills the dispatch tables
from pullback.core import dispatch as _dispatch
from pullback.core import errors
from pullback.core import pytree as tree
from pullback.core.aval import Aval
from pullback.core.graph import Graph, Node
from pullback.native.compile import compile
from pullback.numpy.buffers import traced_buffers
from pullback.passes import simplify
from pullback.transform import (
    GradientTable,
    Tensor,
    argmin,
    associative_scan,
    backward,
    check_grads,
    checkpoint,
    checkpointed_loop,
    cond,
    custom_jvp,
    custom_linear_solve,
    custom_root,
    custom_vjp,
    fisher_vp,
    fixed_point,
    fori_loop,
    gnvp,
    grad,
    hessian,
    hessian_operator,
    hvp,
    jacobian,
    jacobian_operator,
    jet,
    jvp,
    linear_transpose,
    linearize,
    map,
    pure_callback,
    register,
    scan,
    stop_gradient,
    switch,
    trace,
    value_and_grad,
    vjp,
    vmap,
    while_loop,
)

if TYPE_CHECKING:
    from pullback import explain, interchange, nn, numpy, optim, scipy, train
    from pullback.explain import diagnose
    from pullback.explain.derivation import derive
    from pullback.numpy import random
    from pullback.transform.sparse import (
        hessian_pattern,
        jacobian_pattern,
        sparse_hessian,
        sparse_jacobian,
    )

__version__ = "0.1.0"

__all__ = [
    "Aval",
    "GradientTable",
    "Graph",
    "Node",
    "Tensor",
    "argmin",
    "associative_scan",
    "backward",
    "check_grads",
    "checkpoint",
    "checkpointed_loop",
    "compile",
    "cond",
    "custom_jvp",
    "custom_linear_solve",
    "custom_root",
    "custom_vjp",
    "derive",
    "diagnose",
    "errors",
    "explain",
    "fisher_vp",
    "fixed_point",
    "fori_loop",
    "gnvp",
    "grad",
    "hessian",
    "hessian_operator",
    "hessian_pattern",
    "hvp",
    "interchange",
    "jacobian",
    "jacobian_operator",
    "jacobian_pattern",
    "jet",
    "jvp",
    "linear_transpose",
    "linearize",
    "map",
    "nn",
    "numpy",
    "optim",
    "pure_callback",
    "random",
    "register",
    "scan",
    "scipy",
    "simplify",
    "sparse_hessian",
    "sparse_jacobian",
    "stop_gradient",
    "switch",
    "trace",
    "traced_buffers",
    "train",
    "tree",
    "value_and_grad",
    "vjp",
    "vmap",
    "while_loop",
]

_dispatch.deferred.append("pullback.ops.special")

_LAZY = {
    "explain": "pullback.explain",
    "interchange": "pullback.interchange",
    "nn": "pullback.nn",
    "numpy": "pullback.numpy",
    "optim": "pullback.optim",
    "random": "pullback.numpy.random",
    "scipy": "pullback.scipy",
    "sklearn": "pullback.sklearn",
    "train": "pullback.train",
}
_LAZY_FUNCTIONS = dict.fromkeys(
    ("hessian_pattern", "jacobian_pattern", "sparse_hessian", "sparse_jacobian"),
    "pullback.transform.sparse",
)
_LAZY_FUNCTIONS |= dict.fromkeys(("derive", "diagnose"), "pullback.explain")


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return importlib.import_module(_LAZY[name])
    if name in _LAZY_FUNCTIONS:
        return getattr(importlib.import_module(_LAZY_FUNCTIONS[name]), name)
    raise AttributeError(f"module 'pullback' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY, *_LAZY_FUNCTIONS])
