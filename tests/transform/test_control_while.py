"""while_loop: differentiable in both modes and both styles, to any order, alone and in batches."""

import numpy as np
import pytest

import pullback as pb
from pullback.core.errors import ConfigError, DTypeError, ShapeError, TreeError


def root(a):
    """The square root by Newton's method, from a fixed start."""
    return pb.while_loop(
        lambda x: np.abs(x * x - a) > 1e-13 * a, lambda x: (x + a / x) / 2, 1.5, max_iterations=50
    )


def growth(x):
    """Doubling with a nonlinear step, until a bound: a carry of several leaves."""

    def body(state):
        return {"n": state["n"] + 1, "y": state["y"] * x + np.sin(state["y"])}

    return pb.while_loop(lambda s: np.sum(s["y"]) < 20.0, body, {"n": 0, "y": x})


def growth_unrolled(x):
    n, y = 0, x
    while np.sum(y) < 20.0:
        n, y = n + 1, y * x + np.sin(y)
    return {"n": n, "y": y}


X = np.array([1.5, 2.0])


def test_values_are_those_of_a_python_loop():
    graph = pb.trace(growth, X)
    assert [node.op.name for node in graph.nodes if node.op] == ["while_loop", "item", "item"]
    for function in (growth, graph):
        for x in (X, X * 1.7, X * 100):
            expected = growth_unrolled(x)
            found = function(x)
            assert found["n"] == expected["n"]
            np.testing.assert_array_equal(found["y"], expected["y"])


def test_reverse_and_forward_derivatives_are_those_of_the_unrolled_loop():
    def total(function):
        return lambda x: np.sum(np.cos(function(x)["y"]))

    graph = pb.trace(growth, X)
    gradient, hessian = pb.grad(total(growth_unrolled)), pb.hessian(total(growth_unrolled))
    for function in (total(growth), total(graph), pb.trace(total(growth), X)):
        np.testing.assert_allclose(pb.grad(function)(X), gradient(X), rtol=1e-12)
        np.testing.assert_allclose(pb.jvp(function, (X,), (X,))[1], gradient(X) @ X, rtol=1e-12)
        np.testing.assert_allclose(pb.hessian(function)(X), hessian(X), rtol=1e-10)
        reverse = pb.jacobian(pb.grad(function), mode="reverse")
        np.testing.assert_allclose(reverse(X), hessian(X), rtol=1e-10)
        forward = pb.jacobian(pb.jacobian(function, mode="forward"), mode="forward")
        np.testing.assert_allclose(forward(X), hessian(X), rtol=1e-10)


@pytest.mark.parametrize("a", [0.5, 2.0, 90.0])
def test_derivatives_through_newtons_method_are_those_of_the_root(a):
    graph = pb.trace(root, 1.0)
    slope, curvature = 0.5 / np.sqrt(a), -0.25 * a**-1.5
    for function in (root, graph):
        assert function(a) == pytest.approx(np.sqrt(a))
        assert pb.grad(function)(a) == pytest.approx(slope, rel=1e-6)
        assert pb.grad(pb.grad(function))(a) == pytest.approx(curvature, rel=1e-3)
    gradient = pb.grad(pb.trace(root, 1.0))
    assert isinstance(gradient, pb.Graph)
    assert gradient(a) == pytest.approx(slope, rel=1e-6)  # as many steps as this a needs
    assert pb.grad(gradient)(a) == pytest.approx(curvature, rel=1e-3)


def test_derivatives_pass_the_check_to_third_order():
    def power(x):
        return pb.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] * np.sin(x)), (0, x))[1]

    pb.check_grads(pb.trace(power, 0.7), (np.float64(0.7),), order=3, modes=("rev",))
    pb.check_grads(pb.trace(power, 0.7), (np.float64(0.7),), order=2)


def test_forward_derivatives_are_those_of_jax(jax):
    def theirs(x):
        return jax.lax.while_loop(lambda y: y.sum() < 20.0, lambda y: y * x + jax.numpy.sin(y), x)

    graph = pb.trace(lambda x: growth(x)["y"], X)
    for found, expected in zip(
        pb.jvp(graph, (X,), (np.ones(2),)), jax.jvp(theirs, (X,), (np.ones(2),)), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_max_iterations_ends_the_loop():
    def f(x):
        return pb.while_loop(lambda y: y < 1e9, lambda y: y * x, x, max_iterations=3)

    graph = pb.trace(f, 2.0)
    for function in (f, graph):
        assert function(2.0) == 16.0
        assert pb.grad(function)(2.0) == pytest.approx(32.0)
    np.testing.assert_array_equal(pb.vmap(f)(np.array([2.0, 1e4])), [16.0, 1e12])
    np.testing.assert_array_equal(pb.vmap(graph)(np.array([2.0, 1e4])), [16.0, 1e12])
    assert pb.while_loop(lambda y: True, lambda y: y + 1.0, 0.0, max_iterations=0) == 0.0


def test_a_loop_of_no_steps_is_the_identity():
    graph = pb.trace(lambda x: pb.while_loop(lambda y: y < 0, lambda y: y * 2, x), 1.0)
    assert graph(3.0) == 3.0
    assert pb.grad(graph)(3.0) == 1.0
    assert pb.jvp(graph, (3.0,), (1.0,))[1] == 1.0


def test_in_a_batch_each_example_stops_at_its_own_step():
    a = np.array([0.5, 2.0, 90.0])
    graph = pb.trace(root, 1.0)
    for function in (root, graph):
        np.testing.assert_allclose(pb.vmap(function)(a), np.sqrt(a))
        np.testing.assert_allclose(pb.vmap(pb.grad(function))(a), 0.5 / np.sqrt(a), rtol=1e-6)
        np.testing.assert_allclose(
            pb.grad(lambda a: pb.vmap(function)(a).sum())(a), 0.5 / np.sqrt(a), rtol=1e-6
        )
        np.testing.assert_allclose(
            pb.vmap(pb.grad(pb.grad(function)))(a), -0.25 * a**-1.5, rtol=1e-3
        )


def test_batches_nest_and_are_traced():
    xs = np.array([[1.5, 2.0], [3.0, 0.9], [20.0, 30.0]])

    def both(x, y):
        return pb.while_loop(lambda c: c < y, lambda c: c * x + 0.1, 1.0)

    ys = np.array([5.0, 200.0])
    nested = pb.vmap(pb.vmap(both, (None, 0)), (0, None))
    gradient = pb.vmap(pb.vmap(pb.grad(both), (None, 0)), (0, None))
    x = np.array([1.5, 3.0, 30.0])
    for function in (nested, pb.trace(nested, x, ys)):
        np.testing.assert_allclose(function(x, ys), [[both(a, b) for b in ys] for a in x])
    expected = [[pb.grad(both)(a, b) for b in ys] for a in x]
    np.testing.assert_allclose(gradient(x, ys), expected, rtol=1e-12)
    np.testing.assert_allclose(pb.trace(gradient, x, ys)(x, ys), expected, rtol=1e-12)
    total = pb.grad(lambda x: np.sum(nested(x, ys)))
    np.testing.assert_allclose(total(x), np.sum(expected, 1), rtol=1e-12)
    np.testing.assert_allclose(pb.trace(total, x)(x), np.sum(expected, 1), rtol=1e-12)
    batch = pb.vmap(lambda x: growth(x)["y"])(xs)
    np.testing.assert_array_equal(batch, [growth(x)["y"] for x in xs])


def test_a_loop_inside_a_scan_is_differentiated():
    def f(w, xs):
        def step(c, x):
            new = pb.while_loop(lambda y: y < 3.0 + x, lambda y: y * w + 0.1, c)
            return new - 2.0, new

        final, ys = pb.scan(step, 1.0, xs)
        return final + np.sum(ys**2)

    xs = np.array([0.1, 0.9, 0.3])
    graph = pb.trace(f, 1.4, xs)
    assert graph(1.4, xs) == f(1.4, xs)
    assert pb.grad(graph)(1.4, xs) == pytest.approx(pb.grad(f)(1.4, xs))
    assert pb.hessian(graph)(1.4, xs) == pytest.approx(pb.hessian(f)(1.4, xs))


def test_condition_and_body_capture_traced_values():
    def f(bound, rate):
        return pb.while_loop(lambda y: y < bound, lambda y: y * rate, 1.0)

    graph = pb.trace(f, 10.0, 2.0)
    assert graph(10.0, 2.0) == 16.0
    found = pb.trace(pb.grad(f, (0, 1)), 10.0, 2.0)(10.0, 2.0)
    np.testing.assert_allclose(found, (0.0, 32.0))  # the bound only decides the count


def test_float32_stays_float32():
    x = np.float32(1.5)

    def f(x):
        return pb.while_loop(lambda y: y < 9.0, lambda y: y * x, 1.0)

    for function in (f, pb.trace(f, x)):
        assert function(x).dtype == pb.grad(function)(x).dtype == np.float32
        assert pb.vmap(function)(np.stack([x, x])).dtype == np.float32


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        (
            lambda c: np.ones(3),
            ShapeError,
            r"while_loop returns: expected shape \(2,\)",
        ),
        (lambda c: c.astype(np.float32), DTypeError, "expected dtype float64"),
        (lambda c: [c], TreeError, "the carry that body_fun of while_loop returns"),
    ],
)
@pytest.mark.parametrize("traced", [False, True])
def test_a_carry_unlike_the_start_is_refused(body, error, message, traced):
    def run(x):
        return pb.while_loop(lambda c: np.sum(x) > 0, body, np.zeros(2))

    with pytest.raises(error, match=message):
        pb.trace(run, X) if traced else run(X)


def test_a_condition_of_many_values_is_refused():
    with pytest.raises(ShapeError, match=r"one boolean, got shape \(2,\); .* np.any or np.all"):
        pb.while_loop(lambda c: c < 3, lambda c: c + 1, X)
    with pytest.raises(ConfigError, match="max_iterations: expected at least 0, got -1"):
        pb.while_loop(lambda c: c < 3, lambda c: c + 1, 1.0, max_iterations=-1)
