"""Floor 3: derivatives as functions of functions."""

from pullback.core.tracing import trace
from pullback.transform.batching import vmap
from pullback.transform.checking import check_grads
from pullback.transform.checkpoint import checkpoint
from pullback.transform.custom import custom_jvp, custom_vjp, stop_gradient
from pullback.transform.forward import jvp
from pullback.transform.higher import hessian, hvp, jacobian
from pullback.transform.linearize import linearize
from pullback.transform.reverse import grad, value_and_grad, vjp
from pullback.transform.table import GradientTable, backward
from pullback.transform.tensor import Tensor

__all__ = [
    "GradientTable",
    "Tensor",
    "backward",
    "check_grads",
    "checkpoint",
    "custom_jvp",
    "custom_vjp",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "linearize",
    "stop_gradient",
    "trace",
    "value_and_grad",
    "vjp",
    "vmap",
]
