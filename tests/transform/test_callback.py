"""pure_callback: untraceable code in every transformation, with rules of the user's."""

import math

import numpy as np
import pytest

import pullback as pb


def math_sin(x):
    """The sine by the math module, which refuses traced arrays."""
    return np.array([math.sin(v) for v in np.ravel(x)]).reshape(np.shape(x))


def sine(x):
    return pb.pure_callback(
        math_sin,
        x,
        x,
        vjp=lambda ct, out, x: (ct * np.cos(x),),
        jvp=lambda t, out, x: t[0] * np.cos(x),
    )


X = np.array([0.3, -1.2, 2.0])


def test_values_and_both_modes_to_second_order():
    np.testing.assert_array_equal(sine(X), np.sin(X))
    pb.check_grads(sine, (X,), order=2)


def test_the_function_sees_plain_arrays_only():
    seen = []

    def f(x):
        seen.append(type(x))
        return x * 2

    def call(x):
        return np.sum(pb.pure_callback(f, x, x, vjp=lambda ct, out, x: (2 * ct,)))

    pb.grad(call)(X)
    pb.trace(pb.grad(call), X)(X)
    pb.vmap(pb.grad(call))(np.stack([X, X]))
    assert set(seen) == {np.ndarray}


def test_it_is_one_operation_of_a_graph():
    graph = pb.trace(lambda x: np.sum(sine(x) ** 2), X)
    assert "math_sin" in str(graph)
    np.testing.assert_allclose(graph(X), np.sum(np.sin(X) ** 2))
    np.testing.assert_allclose(pb.grad(graph)(X), np.sin(2 * X))
    np.testing.assert_allclose(pb.simplify(graph)(X), graph(X))


def test_vmap_and_jet():
    rows = np.stack([X, 2 * X])
    np.testing.assert_allclose(pb.vmap(sine)(rows), np.sin(rows))
    np.testing.assert_allclose(pb.vmap(pb.grad(lambda x: np.sum(sine(x))))(rows), np.cos(rows))
    assert pb.vmap(sine)(np.zeros((0, 3))).shape == (0, 3)
    _, (first, second) = pb.jet(sine, (X,), ([np.ones(3), np.zeros(3)],))
    np.testing.assert_allclose(first, np.cos(X))
    np.testing.assert_allclose(second, -np.sin(X))


def test_pytrees_of_arguments_and_results_and_static_arguments():
    def f(p, power):
        return {"y": p["a"] ** power * p["b"], "n": np.int64(7)}

    def vjp(ct, out, p, power):
        return (
            {
                "a": ct["y"] * power * p["a"] ** (power - 1) * p["b"],
                "b": np.sum(ct["y"] * p["a"] ** power),
            },
            None,
        )

    def call(p):
        result = {"y": p["a"], "n": pb.Aval((), np.int64)}
        return pb.pure_callback(f, result, p, 3, vjp=vjp)

    p = {"a": np.array([1.0, 2.0]), "b": np.float64(0.5)}
    assert call(p)["n"] == 7
    gradient = pb.grad(lambda p: np.sum(call(p)["y"]))(p)
    np.testing.assert_allclose(gradient["a"], [1.5, 6.0])
    np.testing.assert_allclose(gradient["b"], 9.0)


def test_a_jvp_rule_alone_serves_reverse_mode_by_transposition():
    def f(x, y):
        return pb.pure_callback(
            lambda x, y: x @ y, pb.Aval((2,), float), x, y,
            jvp=lambda t, out, x, y: t[0] @ y + x @ t[1],
        )  # fmt: skip

    rng = np.random.default_rng(0)
    pb.check_grads(f, (rng.normal(size=(2, 3)), rng.normal(size=3)), order=2)


def test_integer_arguments_have_no_cotangent():
    def f(x, n):
        return pb.pure_callback(
            lambda x, n: x**n, x, x, n, vjp=lambda ct, out, x, n: (ct * n * x ** (n - 1.0), None)
        )

    np.testing.assert_allclose(pb.grad(lambda x: np.sum(f(x, np.array(3))))(X), 3 * X**2)


def test_a_buffer_that_the_function_reuses_is_copied():
    buffer = np.zeros(3)

    def f(x):
        buffer[:] = 2 * x
        return buffer

    first = pb.pure_callback(f, X, X)
    pb.pure_callback(f, X, 10 * X)
    np.testing.assert_array_equal(first, 2 * X)


def test_without_a_rule_it_runs_but_is_not_differentiated():
    def f(x):
        return pb.pure_callback(math_sin, x, x)

    np.testing.assert_array_equal(f(X), np.sin(X))
    np.testing.assert_array_equal(pb.trace(f, X)(X), np.sin(X))
    with pytest.raises(pb.errors.NotDifferentiableError, match=r"math_sin.*vjp="):
        pb.grad(lambda x: np.sum(f(x)))(X)
    with pytest.raises(pb.errors.NotDifferentiableError, match=r"math_sin.*jvp="):
        pb.jvp(f, (X,), (X,))
    constant = pb.grad(lambda x: np.sum(x * f(pb.stop_gradient(x))))
    np.testing.assert_allclose(constant(X), np.sin(X))


def test_a_vjp_rule_alone_is_refused_in_forward_mode():
    def f(x):
        return pb.pure_callback(math_sin, x, x, vjp=lambda ct, out, x: (ct * np.cos(x),))

    with pytest.raises(pb.errors.NotDifferentiableError, match="a vjp rule only"):
        pb.jvp(f, (X,), (X,))


def test_float32_stays_float32():
    x = X.astype(np.float32)
    call = lambda x: np.sum(  # noqa: E731
        pb.pure_callback(np.sin, x, x, vjp=lambda ct, out, x: (ct * np.cos(np.float64(x)),))
    )
    assert pb.grad(call)(x).dtype == np.float32


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (lambda x: x[:2], pb.errors.ShapeError),
        (lambda x: x.astype(np.float32), pb.errors.DTypeError),
        (lambda x: (x, x), pb.errors.TreeError),
    ],
)
def test_results_that_differ_from_what_was_promised_are_refused(function, error):
    with pytest.raises(error):
        pb.pure_callback(function, X, X)


@pytest.mark.parametrize(
    ("rule", "error"),
    [
        (lambda ct, out, x: ct, pb.errors.TreeError),
        (lambda ct, out, x: (ct, ct), pb.errors.TreeError),
        (lambda ct, out, x: (ct[:2],), pb.errors.ShapeError),
        (lambda ct, out, x: ({"x": ct},), pb.errors.TreeError),
    ],
)
def test_cotangents_that_do_not_fit_are_refused(rule, error):
    with pytest.raises(error):
        pb.grad(lambda x: np.sum(pb.pure_callback(math_sin, x, x, vjp=rule)))(X)
