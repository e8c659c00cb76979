"""A gradient with its closed form, checked in every way a gradient can be asked for."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import pullback as pb

INF, NAN = np.inf, np.nan


@dataclass(frozen=True)
class Case:
    """`function(*args)`, summed, has the gradients `expected`, one for each argument."""

    function: Callable[..., Any]
    args: Sequence[Any]
    expected: Sequence[Any]
    traced: bool = True  # False where the function looks at values
    forward: bool = True  # False where only the reverse mode takes this limit


def array(*values):
    """The numbers as a float64 array."""
    return np.array(values, dtype=np.float64)


def quiet(function, *args):
    """Call with NumPy's warnings off: a NaN that is masked away is part of the cases."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args)


def check(case, rtol=1e-12):
    """Compare define-by-run, the traced and simplified graphs, vmap, and the forward mode."""
    places = tuple(range(len(case.args)))

    def total(*args):
        return np.sum(case.function(*args))

    gradient = pb.grad(total, places)
    ways = {"define by run": quiet(gradient, *case.args)}
    if case.traced:
        graph = pb.grad(pb.trace(total, *case.args), places)
        ways["graph"] = quiet(graph, *case.args)
        ways["simplified graph"] = quiet(pb.simplify(graph), *case.args)
        twice = [np.stack([np.asarray(x)] * 2) for x in case.args]
        ways["vmap"] = [g[1] for g in quiet(pb.vmap(gradient), *twice)]
    if case.forward:
        forward = pb.jacobian(total, places, mode="forward")
        ways["forward mode"] = quiet(forward, *case.args)
    for way, found in ways.items():
        assert len(found) == len(case.expected)
        for x, g, wanted in zip(case.args, found, case.expected, strict=True):
            assert np.shape(g) == np.shape(x), way
            np.testing.assert_allclose(g, wanted, rtol=rtol, atol=1e-13, err_msg=way)
