"""Manual rematerialisation: a function that is computed again in the backward pass."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from pullback.core.segment import Scope
from pullback.core.tracer import levels

P = ParamSpec("P")
R = TypeVar("R")


def checkpoint(function: Callable[P, R]) -> Callable[P, R]:
    """Return `function` with the same values and derivatives, in less memory under reverse mode.

    Of all that a call computes, the tape keeps the inputs only: the arguments and what the
    function closes over. The backward pass computes the rest again when it comes there. It runs
    the recorded operations and not the Python code, so random draws and branches stay as they
    were. Calls nest, arguments and results are pytrees, and every transformation goes through;
    traced to a graph, the gradient holds the operations twice, and `pullback.simplify` leaves
    them so. An array that a comparison or another piecewise constant operation returns is
    read-only inside. Functions with a rule of `custom_vjp` keep what their rule keeps.

    (Chen, Xu, Zhang, Guestrin, Training Deep Nets with Sublinear Memory Cost, 2016.)

    >>> import numpy as np, pullback as pb
    >>> @pb.checkpoint
    ... def block(x):
    ...     return np.sin(np.exp(x))
    >>> pb.grad(lambda x: block(block(x)))(0.5) == pb.grad(
    ...     lambda x: np.sin(np.exp(np.sin(np.exp(x))))
    ... )(0.5)
    np.True_
    """

    @functools.wraps(function)
    def checkpointed(*args: P.args, **kwargs: P.kwargs) -> R:
        with Scope(next(levels)):
            return function(*args, **kwargs)

    return checkpointed
