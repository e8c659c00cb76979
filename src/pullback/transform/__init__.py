"""Floor 3: derivatives as functions of functions."""

from pullback.core.tracing import trace
from pullback.transform.batching import vmap
from pullback.transform.callback import pure_callback
from pullback.transform.checking import check_grads
from pullback.transform.checkpoint import checkpoint
from pullback.transform.checkpoint_loop import checkpointed_loop
from pullback.transform.control import (
    associative_scan,
    cond,
    fori_loop,
    map,
    scan,
    switch,
    while_loop,
)
from pullback.transform.curvature import fisher_vp, gnvp
from pullback.transform.custom import custom_jvp, custom_vjp, stop_gradient
from pullback.transform.forward import jvp
from pullback.transform.higher import hessian, hvp, jacobian
from pullback.transform.implicit import argmin, custom_root, fixed_point
from pullback.transform.jet import jet
from pullback.transform.linear_solve import custom_linear_solve
from pullback.transform.linearize import linearize
from pullback.transform.operators import hessian_operator, jacobian_operator
from pullback.transform.register import register
from pullback.transform.reverse import grad, value_and_grad, vjp
from pullback.transform.table import GradientTable, backward
from pullback.transform.tensor import Tensor
from pullback.transform.transpose import linear_transpose

__all__ = [
    "GradientTable",
    "Tensor",
    "argmin",
    "associative_scan",
    "backward",
    "check_grads",
    "checkpoint",
    "checkpointed_loop",
    "cond",
    "custom_jvp",
    "custom_linear_solve",
    "custom_root",
    "custom_vjp",
    "fisher_vp",
    "fixed_point",
    "fori_loop",
    "gnvp",
    "grad",
    "hessian",
    "hessian_operator",
    "hvp",
    "jacobian",
    "jacobian_operator",
    "jet",
    "jvp",
    "linear_transpose",
    "linearize",
    "map",
    "pure_callback",
    "register",
    "scan",
    "stop_gradient",
    "switch",
    "trace",
    "value_and_grad",
    "vjp",
    "vmap",
    "while_loop",
]
