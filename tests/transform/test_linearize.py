"""linearize against jvp, linear_transpose against the matrix."""

import numpy as np
import pytest
import scipy.special as sp

import pullback as pb

A = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


def test_the_linear_map_equals_jvp():
    def f(p, y):
        return {"a": np.tanh(p["w"] @ y) * p["b"], "b": np.sort(y)[::-1]}

    rng = np.random.default_rng(0)
    p, y = {"w": rng.normal(size=(2, 3)), "b": np.float64(0.7)}, rng.normal(size=3)
    out, f_jvp = pb.linearize(f, p, y)
    for _ in range(3):
        dp, dy = pb.tree.map(lambda x: rng.normal(size=np.shape(x)), (p, y))
        value, tangent = pb.jvp(f, (p, y), (dp, dy))
        for key in ("a", "b"):
            np.testing.assert_array_equal(out[key], value[key])
            np.testing.assert_allclose(f_jvp(dp, dy)[key], tangent[key], rtol=1e-14)


def test_the_function_runs_once():
    runs = []

    def f(x):
        runs.append(1)
        return np.exp(np.sin(x))

    _, f_jvp = pb.linearize(f, np.ones(3))
    for _ in range(5):
        f_jvp(np.ones(3))
    assert len(runs) == 1


def test_python_control_flow_and_assignment_are_recorded():
    def f(x):
        y = x * x
        if x[0] > 0:
            y[1] = np.sin(x[0])
        return y

    x, v = np.array([0.5, 2.0]), np.array([1.0, -3.0])
    _, f_jvp = pb.linearize(f, x)
    np.testing.assert_allclose(f_jvp(v), [1.0, np.cos(0.5)])


def test_operations_of_several_results_are_pushed_through():
    x = np.array([[2.0, 0.3], [0.3, 1.0]])
    _, f_jvp = pb.linearize(lambda x: tuple(np.linalg.eigh(x)), x)
    v = np.array([[0.5, 0.1], [0.1, -1.0]])
    for a, b in zip(
        f_jvp(v), pb.jvp(lambda x: tuple(np.linalg.eigh(x)), (x,), (v,))[1], strict=True
    ):
        np.testing.assert_allclose(a, b)


def test_constant_results_have_zero_tangents():
    out, f_jvp = pb.linearize(lambda x: (np.sign(x), 3.0, x), np.array([1.0, -2.0]))
    assert out[1] == 3.0
    tangents = f_jvp(np.ones(2))
    np.testing.assert_array_equal(tangents[0], 0.0)
    assert tangents[1] == 0.0
    np.testing.assert_array_equal(tangents[2], 1.0)


def test_linearize_a_gradient_gives_hessian_products_and_nests():
    def f(x):
        return np.sum(np.sin(x) * x)

    x, v = np.array([0.3, 1.2]), np.array([1.0, 2.0])
    _, product = pb.linearize(pb.grad(f), x)
    np.testing.assert_allclose(product(v), pb.hvp(f, (x,), (v,))[0])
    third = pb.grad(lambda x: np.sum(pb.linearize(pb.grad(f), x)[1](v)))(x)
    np.testing.assert_allclose(third, (-3 * np.sin(x) - x * np.cos(x)) * v)


def test_the_linear_map_can_be_differentiated_traced_and_mapped():
    _, f_jvp = pb.linearize(np.sin, np.array([0.0, np.pi / 3]))
    np.testing.assert_allclose(pb.grad(lambda v: np.sum(f_jvp(v) ** 2))(np.ones(2)), [2.0, 0.5])
    np.testing.assert_allclose(pb.trace(f_jvp, np.ones(2))(np.ones(2)), [1.0, 0.5])
    np.testing.assert_allclose(pb.vmap(f_jvp)(np.eye(2)), np.diag([1.0, 0.5]), atol=1e-15)


def test_custom_rules_serve_linearize_and_reverse_only_ones_are_refused():
    @pb.custom_jvp
    def f(x, n):
        return x**n

    f.defjvp(lambda p, t: (f(*p), 10.0 * t[0]))
    assert pb.linearize(lambda x: f(x, 2), 3.0)[1](1.0) == 10.0

    @pb.custom_vjp
    def g(x):
        return x**2

    g.defvjp(lambda x: (g(x), x), lambda x, ct: (2 * x * ct,))
    with pytest.raises(pb.errors.NotDifferentiableError, match="custom_vjp 'g'"):
        pb.linearize(g, 3.0)[1](1.0)


def test_tangents_that_do_not_fit_are_refused():
    _, f_jvp = pb.linearize(np.sin, np.ones(3))
    with pytest.raises(pb.errors.ShapeError):
        f_jvp(np.ones(2))
    with pytest.raises(pb.errors.TreeError):
        f_jvp(np.ones(3), np.ones(3))
    with pytest.raises(pb.errors.DTypeError):
        pb.linearize(np.sin, 1)


def test_the_transpose_of_a_matrix_product_is_that_of_the_matrix():
    transpose = pb.linear_transpose(lambda x: A @ x, pb.Aval((3,), float))
    np.testing.assert_allclose(transpose(np.array([1.0, 10.0]))[0], A.T @ [1.0, 10.0])


LINEAR = {
    "sums": lambda x: np.cumsum(x)[::-1] + np.roll(x, 1) / 3 - np.sum(x),
    "choice": lambda x: np.where(np.array([True, False, True]), 2 * x, 0.0),
    "gather": lambda x: x[np.array([0, 0, 2])] * np.pi,
    "einsum": lambda x: np.einsum("ij,j->i", A, x),
    "assignment": lambda x: _assigned(x),
    "solve": lambda x: np.linalg.solve(np.eye(3) + np.ones((3, 3)), x),
    "fft": lambda x: np.real(np.fft.fft(x)),
    "zero": lambda x: np.zeros(2),
}


def _assigned(x):
    y = np.zeros_like(x)
    y[1:] = x[:-1]
    return y


@pytest.mark.parametrize("name", LINEAR)
def test_the_transpose_of_linear_functions_is_that_of_their_jacobian(name):
    f = LINEAR[name]
    x = np.ones(3)
    matrix = pb.jacobian(f, mode="forward")(x)
    ct = np.arange(1.0, 1.0 + np.shape(f(x))[0])
    np.testing.assert_allclose(pb.linear_transpose(f, x)(ct)[0], matrix.T @ ct, atol=1e-14)


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (np.sin, "sin"),
        (lambda x: x * x, "multiply"),
        (lambda x: 1 / x, "divide"),
        (lambda x: A @ np.abs(x), "absolute"),
        (np.sign, "sign"),
        (np.sort, "argsort"),
        (lambda x: pb.stop_gradient(x) + x, "stop_gradient"),
        (sp.erf, "erf"),
        (lambda x: x + 1.0, "value at 0"),
        (lambda x: np.concatenate([x, np.ones(1)]), "value at 0"),
    ],
)
def test_what_is_not_linear_is_refused_by_name(function, named):
    with pytest.raises(pb.errors.NotDifferentiableError, match=named):
        pb.linear_transpose(function, np.ones(3))


def test_integers_have_no_transpose_and_branches_on_values_are_refused():
    with pytest.raises(pb.errors.DTypeError):
        pb.linear_transpose(lambda x: x, np.ones(3, int))
    with pytest.raises(pb.errors.TracerError):
        pb.linear_transpose(lambda x: x if x[0] > 0 else 2 * x, np.ones(3))


def test_a_product_is_linear_in_one_argument_alone():
    w = np.arange(3.0)
    pb.linear_transpose(lambda x: w * x, np.ones(3))
    with pytest.raises(pb.errors.NotDifferentiableError, match="multiply"):
        pb.linear_transpose(lambda x, w: w * x, np.ones(3), w)


def test_results_are_arrays_of_their_own_that_later_changes_do_not_reach():
    x, v = np.ones(2), np.ones(2)
    out, push = pb.linearize(lambda x: (x, x, x**2), x)
    first, second, _ = push(v)
    assert first is not v
    assert first is not second
    x[...], out[0][...] = 5.0, 6.0
    np.testing.assert_array_equal(push(v)[2], [2.0, 2.0])
