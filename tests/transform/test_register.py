"""Rules for functions of other libraries: ufuncs, functions of NumPy's protocol, and plain ones."""

import importlib
import math

import numpy as np
import pytest
import scipy.special as sp

import pullback as pb
from pullback.core import dispatch

X = np.array([0.4, 1.3, 2.1])
cube = np.frompyfunc(lambda x: x * x * x, 1, 1)


@pytest.fixture(autouse=True)
def tables_as_before():
    """Forget what a test registers."""
    for name in dispatch.deferred:
        importlib.import_module(name)
    ufuncs, functions = dict(dispatch.ufuncs), dict(dispatch.functions)
    yield
    for table, before in ((dispatch.ufuncs, ufuncs), (dispatch.functions, functions)):
        for key in set(table) - set(before):
            del table[key]


def scaled(x, *, factor=1.0):
    """A function of another library, which follows NumPy's protocol (NEP 18)."""
    if hasattr(x, "__array_function__") and not isinstance(x, np.ndarray):
        return x.__array_function__(scaled, (type(x),), (x,), {"factor": factor})
    return np.array([math.exp(factor * v) for v in x])


def struve_slope(ct, out, v, x):
    """d/dx H_v(x) = (H_{v-1} - H_{v+1}) / 2 + (x/2)^v / (2 sqrt(pi) Gamma(v + 3/2))."""
    extra = (x / 2) ** v / (2 * math.sqrt(math.pi) * sp.gamma(v + 1.5))
    return (None, ct * ((sp.struve(v - 1, x) - sp.struve(v + 1, x)) / 2 + extra))


def test_a_ufunc_gets_a_reverse_rule():
    with pytest.raises(pb.errors.NotDifferentiableError, match=r"pb\.register"):
        pb.grad(lambda x: sp.struve(1.0, x))(0.5)
    pb.register(sp.struve, vjp=struve_slope)
    pb.check_grads(lambda x: sp.struve(1.0, x), (X,), order=2, modes=("rev",))
    graph = pb.trace(lambda x: np.sum(sp.struve(1.0, x)), X)
    np.testing.assert_allclose(graph(X), np.sum(sp.struve(1.0, X)))
    np.testing.assert_allclose(pb.vmap(lambda x: sp.struve(1.0, x))(X), sp.struve(1.0, X))


def test_cotangents_of_a_ufunc_are_summed_over_broadcast_axes():
    pb.register(sp.voigt_profile, vjp=lambda ct, out, x, s, g: (ct * 1.0, ct * 2.0, None))
    rows = np.ones((2, 3))
    gradients = pb.grad(lambda x, s: np.sum(sp.voigt_profile(x, s, 1.0)), argnums=(0, 1))(X, rows)
    np.testing.assert_allclose(gradients[0], 2.0 * np.ones(3))
    np.testing.assert_allclose(gradients[1], 2.0 * rows)


def test_a_jvp_rule_serves_both_modes():
    pb.register(sp.struve, jvp=lambda t, out, v, x: t[1] * struve_slope(1.0, out, v, x)[1])
    pb.check_grads(lambda x: sp.struve(1.0, x), (X,), order=2)


def test_a_rule_in_known_functions_replaces_the_function():
    pb.register(cube, rule=lambda x: x**3)
    np.testing.assert_allclose(pb.jacobian(cube)(X), np.diag(3 * X**2))


def test_a_function_of_numpys_protocol_gets_a_rule():
    pb.register(
        scaled,
        vjp=lambda ct, out, x, factor: (ct * factor * out,),
        results=lambda x, factor: pb.Aval(x.shape, x.dtype),
    )
    gradient = pb.grad(lambda x: np.sum(scaled(x, factor=2.0)))
    np.testing.assert_allclose(gradient(X), 2 * np.exp(2 * X))
    np.testing.assert_allclose(pb.trace(gradient, X)(X), 2 * np.exp(2 * X))


def test_a_plain_function_is_differentiable_by_what_register_returns():
    def halves(x):
        return np.array([v / 2 for v in x.tolist()])

    f = pb.register(halves, vjp=lambda ct, out, x: (ct / 2,))
    np.testing.assert_array_equal(f(X), X / 2)
    np.testing.assert_allclose(pb.grad(lambda x: np.sum(f(x) ** 2))(X), X / 2)
    assert f.__name__ == "halves"
    with pytest.raises(pb.errors.TracerError, match="results="):
        pb.trace(f, X)


def test_registering_again_replaces_the_rule():
    pb.register(cube, rule=lambda x: 0.0 * x)
    pb.register(cube, rule=lambda x: 5.0 * x)
    assert pb.grad(cube)(1.0) == 5.0


@pytest.mark.parametrize("function", [np.sin, np.sum, sp.erf, sp.logsumexp])
def test_pullbacks_own_rules_cannot_be_replaced(function):
    with pytest.raises(pb.errors.ConfigError, match="already"):
        pb.register(function, rule=lambda x: x)


def test_exactly_one_kind_of_rule_is_expected():
    with pytest.raises(pb.errors.ConfigError):
        pb.register(cube)
    with pytest.raises(pb.errors.ConfigError):
        pb.register(cube, rule=np.exp, vjp=lambda ct, out, x: (ct,))
