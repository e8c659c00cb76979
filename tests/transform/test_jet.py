"""Taylor mode against closed forms, nested derivatives and JAX's jet."""

import math

import numpy as np
import pytest
import scipy.special as sp
from op_samples import DIFFERENTIABLE, closed, samples

import pullback as pb

ORDER = 8
ONE, ZERO = np.float64(1.0), np.float64(0.0)
LINE = [ONE] + [ZERO] * (ORDER - 1)

CHAINS = {
    "sin": lambda m, x: m.sin(x),
    "exp of sin": lambda m, x: m.exp(m.sin(x)),
    "tanh": lambda m, x: m.tanh(x),
    "log": lambda m, x: m.log(1.0 + x * x),
    "power": lambda m, x: x**2.5,
    "whole power": lambda m, x: x**5,
    "power of itself": lambda m, x: x**x,
    "arctan2": lambda m, x: m.arctan2(x, 1.0 + x),
    "quotient": lambda m, x: m.sin(x) / (1.0 + m.exp(x)),
    "absolute": lambda m, x: m.abs(x) ** 3,
    "maximum": lambda m, x: m.maximum(x, x**3),
    "where": lambda m, x: m.where(x > 0, m.sqrt(m.where(x > 0, x, 1.0)), 0.0),
    "running product": lambda m, x: m.sum(m.cumprod(m.stack([x, x * x, m.sin(x)]))),
    "chain": lambda m, x: m.log(1 + m.exp(m.sin(x))) * m.tanh(x) / m.cosh(x),
}


@pytest.mark.parametrize("name", CHAINS)
def test_derivatives_to_order_eight_equal_jax(jax, name):
    from jax.experimental.jet import jet

    f = CHAINS[name]
    _, found = pb.jet(lambda x: f(np, x), (np.float64(0.37),), (LINE,))
    _, expected = jet(lambda x: f(jax.numpy, x), (0.37,), ([float(d) for d in LINE],))
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize(
    ("function", "derivative"),
    [
        (np.exp, lambda k, x: np.exp(x)),
        (np.sin, lambda k, x: np.sin(x + k * np.pi / 2)),
        (np.log, lambda k, x: (-1) ** (k - 1) * math.factorial(k - 1) / x**k),
        (np.reciprocal, lambda k, x: (-1) ** k * math.factorial(k) / x ** (k + 1)),
        (np.sqrt, lambda k, x: math.prod(0.5 - i for i in range(k)) * x ** (0.5 - k)),
        (sp.gammaln, lambda k, x: sp.polygamma(k - 1, x)),
        (
            sp.erf,
            lambda k, x: (-1) ** (k - 1) * sp.eval_hermite(k - 1, x) * np.exp(-x * x)
            * 2 / math.sqrt(math.pi),
        ),
    ],
)  # fmt: skip
def test_derivatives_equal_closed_forms(function, derivative):
    x = np.array([0.4, 1.3])
    zeros = np.zeros(2)
    _, found = pb.jet(function, (x,), ([np.ones(2)] + [zeros] * (ORDER - 1),))
    for k, y in enumerate(found, 1):
        np.testing.assert_allclose(y, derivative(k, x), rtol=1e-10)


@pytest.mark.parametrize(
    ("function", "same"),
    [
        (
            lambda x: np.einsum("i,i,i->", *[np.stack([x, np.sin(x)])] * 3),
            lambda x: x**3 + np.sin(x) ** 3,
        ),
        (lambda x: np.prod(np.stack([x, x * x, np.sin(x)])), lambda x: x**3 * np.sin(x)),
        (lambda x: np.logaddexp(x, x * x), lambda x: np.log(np.exp(x) + np.exp(x * x))),
        (lambda x: np.max(np.stack([x, x**3])), lambda x: x),
        (
            lambda x: np.linalg.det(pb.numpy.array([[x, x * x], [x**3, 2.0]])),
            lambda x: 2 * x - x**5,
        ),
    ],
)
def test_what_jax_lacks_equals_a_formula_of_elementary_functions(function, same):
    _, found = pb.jet(function, (np.float64(0.37),), (LINE,))
    _, expected = pb.jet(same, (np.float64(0.37),), (LINE,))
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-8)


def test_a_curve_through_several_arguments_equals_jax(jax):
    from jax.experimental.jet import jet

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 3)), rng.normal(size=(3, 2))
    series = (
        [rng.normal(size=(2, 3)) for _ in range(5)],
        [rng.normal(size=(3, 2)) for _ in range(5)],
    )
    found, found_series = pb.jet(lambda x, y: np.tanh(x @ y) * np.sum(y, 0), (x, y), series)
    expected, expected_series = jet(
        lambda x, y: jax.numpy.tanh(x @ y) * jax.numpy.sum(y, 0), (x, y), series
    )
    np.testing.assert_allclose(found, expected)
    for k in range(5):
        np.testing.assert_allclose(found_series[k], expected_series[k], rtol=1e-10)


def test_solving_a_linear_system_along_a_curve():
    rng = np.random.default_rng(1)
    a, da, b = rng.normal(size=(3, 3)) + 4 * np.eye(3), rng.normal(size=(3, 3)), rng.normal(size=3)
    series = ([da] + [np.zeros((3, 3))] * (ORDER - 1),)
    x, found = pb.jet(lambda a: np.linalg.solve(a, b), (a,), series)
    for k, y in enumerate(found, 1):  # (A + t D)^-1 b = sum of (-t A^-1 D)^k A^-1 b
        step = np.linalg.matrix_power(-np.linalg.solve(a, da), k)
        np.testing.assert_allclose(y, math.factorial(k) * step @ x, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_every_operation_agrees_with_nested_forward_mode(name):
    rng = np.random.default_rng(3)
    args, params = next(iter(samples(name)))
    function, floats = closed(name, args, params)
    directions = tuple(rng.normal(size=np.shape(x)) for x in floats)
    derivative = function
    expected = []
    for _ in range(3):
        derivative = (
            lambda g: lambda *xs: pb.jvp(g, xs, directions)[1]
        )(derivative)  # fmt: skip
        expected.append(derivative(*floats))
    zeros = [0.0 * v for v in directions]
    series = tuple([v, z, z] for v, z in zip(directions, zeros, strict=True))
    value, found = pb.jet(function, floats, series)
    for y, wanted in zip(found, expected, strict=True):
        for a, b in zip(pb.tree.leaves(y), pb.tree.leaves(wanted), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8)
            assert np.asarray(a).dtype == np.asarray(b).dtype
    assert pb.tree.structure(value) == pb.tree.structure(found[0])


def test_values_may_be_pytrees():
    x = {"a": np.array([1.0, 2.0]), "b": np.float64(3.0)}
    v = {"a": np.array([1.0, 0.0]), "b": np.float64(1.0)}
    zero = pb.tree.map(np.zeros_like, v)
    out, (first, second) = pb.jet(
        lambda p: {"cube": p["b"] ** 3, "all": (p["a"] * p["b"], 7.0)}, (x,), ([v, zero],)
    )
    assert out["cube"] == 27.0
    assert first["cube"] == 27.0
    assert second["cube"] == 18.0
    np.testing.assert_allclose(first["all"][0], [4.0, 2.0])
    np.testing.assert_allclose(second["all"][0], [2.0, 0.0])
    assert out["all"][1] == 7.0
    assert first["all"][1] == second["all"][1] == 0.0


def test_the_series_of_a_constant_function_is_zero():
    out, series = pb.jet(lambda x: np.sign(x) + 0.0, (np.array([2.0, -3.0]),), ([np.ones(2)] * 3,))
    np.testing.assert_array_equal(out, [1.0, -1.0])
    np.testing.assert_array_equal(series, np.zeros((3, 2)))


def test_float32_stays_float32():
    x = np.array([0.5, 1.0], np.float32)
    out, series = pb.jet(lambda x: np.tanh(x) ** 2 / 3, (x,), ([x, x, x],))
    assert {out.dtype, *(y.dtype for y in series)} == {np.dtype(np.float32)}


def test_in_place_assignment_carries_the_series():
    def f(x):
        y = x * x
        y[0] = np.sin(x[1])
        y[1:] *= 2.0
        return y

    x, v = np.array([0.3, 0.7]), np.array([1.0, 2.0])
    _, (first, second) = pb.jet(f, (x,), ([v, np.zeros(2)],))
    np.testing.assert_allclose(first, [2 * np.cos(0.7), 4 * 0.7 * 2])
    np.testing.assert_allclose(second, [-4 * np.sin(0.7), 16.0])


def test_jet_of_a_gradient_and_gradient_of_a_jet():
    def f(x):
        return np.sum(np.sin(x) * x)

    def third(x):
        v = np.ones(2)
        return pb.jet(f, (x,), ([v, 0 * v, 0 * v],))[1][2]

    x, v = np.array([0.4, -0.9]), np.ones(2)
    _, (_, _, along) = pb.jet(pb.grad(f), (x,), ([v, 0 * v, 0 * v],))
    np.testing.assert_allclose(along, pb.grad(third)(x), rtol=1e-12)
    np.testing.assert_allclose(along, np.sin(x) * x - 4 * np.cos(x), rtol=1e-12)


def test_jet_traces_to_a_graph_and_maps_over_a_batch():
    def second(x):
        return pb.jet(np.tanh, (x,), ([np.ones_like(x), np.zeros_like(x)],))[1][1]

    x = np.linspace(-1.0, 1.0, 5)
    y = np.tanh(x)
    expected = -2 * y * (1 - y * y)
    np.testing.assert_allclose(pb.trace(second, x)(x), expected, atol=1e-15)
    np.testing.assert_allclose(pb.vmap(second)(x), expected, atol=1e-15)


def test_custom_rules_serve_taylor_mode():
    @pb.custom_jvp
    def cube(x):
        return x**3

    cube.defjvp(lambda primals, tangents: (cube(primals[0]), 3 * primals[0] ** 2 * tangents[0]))
    _, found = pb.jet(cube, (np.float64(2.0),), ([ONE, ZERO, ZERO, ZERO],))
    np.testing.assert_allclose(found, [12.0, 12.0, 6.0, 0.0])

    @pb.custom_vjp
    def square(x):
        return x**2

    square.defvjp(lambda x: (square(x), x), lambda x, ct: (2 * x * ct,))
    with pytest.raises(pb.errors.NotDifferentiableError, match="reverse rule only"):
        pb.jet(square, (ONE,), ([ONE],))


def test_order_zero_is_the_value():
    assert pb.jet(np.sin, (ZERO,), ([],)) == (0.0, [])


def test_the_cost_is_polynomial_in_the_order():
    calls = 0

    @pb.custom_jvp
    def f(x):
        return np.exp(x)

    @f.defjvp
    def rule(primals, tangents):
        nonlocal calls
        calls += 1
        y = f(*primals)
        return y, y * tangents[0]

    _, found = pb.jet(lambda x: f(np.sin(x)) * x, (ONE,), ([ONE] + [ZERO] * 15,))
    assert np.all(np.isfinite(found))
    assert calls <= 16


@pytest.mark.parametrize(
    ("primals", "series", "error"),
    [
        (np.ones(2), ([np.ones(2)],), pb.errors.TreeError),
        ((np.ones(2),), (np.ones(2),), pb.errors.TreeError),
        ((np.ones(2),), ([np.ones(2)], [np.ones(2)]), pb.errors.TreeError),
        ((np.ones(2), np.ones(2)), ([np.ones(2)], []), pb.errors.TreeError),
        ((np.ones(2),), ([np.ones(3)],), pb.errors.ShapeError),
        ((np.ones(2, int),), ([np.ones(2)],), pb.errors.DTypeError),
    ],
)
def test_what_does_not_fit_is_refused(primals, series, error):
    with pytest.raises(error):
        pb.jet(lambda *xs: xs[0], primals, series)
