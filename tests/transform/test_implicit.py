"""Roots, fixed points, minima and linear systems: derivatives through any solver."""

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
import scipy.sparse.linalg as sla

import pullback as pb

RNG = np.random.default_rng(0)
A = RNG.normal(size=(3, 3)) + 4 * np.eye(3)
S = A @ A.T
B = RNG.normal(size=3)


def cubic(x, a):
    return x**3 + x - a


def newton(x, a):
    x = np.asarray(x, float)
    for _ in range(50):
        x = x - cubic(x, a) / (3 * x**2 + 1)
    return x


root = pb.custom_root(cubic, newton)


def test_the_derivative_of_a_root_is_that_of_the_implicit_function():
    a = np.array([0.5, 2.0, -3.0])
    x = root(np.zeros(3), a)
    np.testing.assert_allclose(x**3 + x, a, atol=1e-12)
    expected = np.diag(1 / (3 * x**2 + 1))
    for mode in ("forward", "reverse"):
        np.testing.assert_allclose(
            pb.jacobian(lambda a: root(np.zeros(3), a), mode=mode)(a), expected, atol=1e-14
        )


def test_both_modes_to_second_order():
    pb.check_grads(lambda a: root(np.zeros(2), np.sin(a)) ** 2, (np.array([0.5, 1.1]),), order=2)


def test_third_derivative_of_a_root_equals_the_closed_form():
    square_root = pb.custom_root(lambda x, a: x * x - a, lambda x0, a: np.sqrt(a))
    d = lambda a: square_root(1.0, a)  # noqa: E731
    for k in range(3):
        d = pb.grad(d)
        expected = np.prod([0.5 - i for i in range(k + 1)]) * 2.0 ** (0.5 - k - 1)
        np.testing.assert_allclose(d(2.0), expected)
    _, series = pb.jet(lambda a: square_root(1.0, a), (2.0,), ([1.0, 0.0, 0.0],))
    np.testing.assert_allclose(series[2], 3 / 8 * 2.0**-2.5)


def test_a_solver_of_scipy_on_several_unknowns_and_parameters():
    def equation(x, p):
        return pb.numpy.array([x[0] ** 2 + p["a"] * x[1] - 2.0, x[0] - x[1] ** 2 * p["b"][0]])

    def solve(x0, p):
        found = scipy.optimize.root(equation, x0, args=(p,), jac=pb.jacobian(equation), tol=1e-12)
        assert found.success
        return found.x

    solution = pb.custom_root(equation, solve)
    p = {"a": np.float64(1.0), "b": np.array([0.8])}
    pb.check_grads(lambda p: solution(np.ones(2), p), (p,), order=2, eps=1e-4, atol=1e-5)


def test_solutions_and_parameters_may_be_pytrees():
    def equation(x, a, b):
        return {"u": x["u"] * 2.0 - a, "v": (x["v"][0] + x["u"] @ b - 1.0,)}

    def solve(x0, a, b):
        return {"u": a / 2, "v": (1.0 - a @ b / 2,)}

    solution = pb.custom_root(equation, solve)
    x0 = {"u": np.zeros(2), "v": (np.float64(0.0),)}
    a, b = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    ga, gb = pb.grad(lambda a, b: solution(x0, a, b)["v"][0], argnums=(0, 1))(a, b)
    np.testing.assert_allclose(ga, -b / 2)
    np.testing.assert_allclose(gb, -a / 2)


def test_the_solver_sees_plain_arrays_and_runs_once_for_a_gradient():
    seen = []

    def solve(x0, a):
        seen.append((type(x0), type(a)))
        return newton(x0, a)

    f = pb.custom_root(cubic, solve)
    pb.grad(lambda a: np.sum(f(np.zeros(2), a)))(np.ones(2))
    assert seen == [(np.ndarray, np.ndarray)]


def test_branches_on_values_in_the_equation_are_followed():
    def equation(x, a):
        return x * 2.0 - a if a > 0 else x * 4.0 - a

    f = pb.custom_root(equation, lambda x0, a: a / 2 if a > 0 else a / 4)
    assert pb.grad(f, argnums=1)(1.0, 3.0) == 0.5
    assert pb.grad(f, argnums=1)(1.0, -3.0) == 0.25
    assert pb.jvp(lambda a: f(1.0, a), (3.0,), (1.0,))[1] == 0.5


def test_the_guess_has_no_derivative_and_integers_are_constants():
    f = pb.custom_root(lambda x, a, n: x * n - a, lambda x0, a, n: a / n)
    gradient = pb.grad(lambda x0, a: f(x0, a, np.array(4)), argnums=(0, 1))(1.0, 3.0)
    assert gradient == (0.0, 0.25)
    assert pb.jvp(lambda x0: f(x0, 3.0, 4), (1.0,), (1.0,)) == (0.75, 0.0)


def test_roots_trace_to_a_graph_and_map_over_a_batch():
    a = np.array([0.5, 2.0, -3.0])
    gradient = pb.grad(root, argnums=1)
    x = newton(0.0, a)
    graph = pb.trace(gradient, 0.0, 0.5)
    np.testing.assert_allclose([graph(np.float64(0.0), v) for v in a], 1 / (3 * x**2 + 1))
    np.testing.assert_allclose(pb.vmap(gradient, in_axes=(None, 0))(0.0, a), 1 / (3 * x**2 + 1))


def test_float32_stays_float32():
    a = np.array([0.5, 2.0], np.float32)
    x0 = np.zeros(2, np.float32)
    assert pb.grad(lambda a: np.sum(root(x0, a)))(a).dtype == np.float32


def test_the_derivative_of_a_fixed_point():
    def cosine(x, a):
        return np.cos(a * x)

    def iterate(x, a):
        for _ in range(200):
            x = cosine(x, a)
        return x

    point = pb.fixed_point(cosine, iterate)
    a = 0.9
    x = point(0.5, a)
    slope = -x * np.sin(a * x) / (1 + a * np.sin(a * x))
    np.testing.assert_allclose(pb.grad(point, argnums=1)(0.5, a), slope)
    pb.check_grads(lambda a: point(0.5, a), (np.float64(a),), order=2)


def test_the_derivative_of_a_minimum_is_that_of_ridge_regression():
    X, y = RNG.normal(size=(8, 3)), RNG.normal(size=8)

    def objective(w, penalty):
        return np.sum((X @ w - y) ** 2) + penalty * np.sum(w**2)

    def solve(w0, penalty):
        options = {"gtol": 1e-10}
        return scipy.optimize.minimize(
            objective, w0, args=(penalty,), jac=pb.grad(objective), options=options
        ).x

    def closed(penalty):
        return np.linalg.solve(X.T @ X + penalty * np.eye(3), X.T @ y)

    minimum = pb.argmin(objective, solve)
    np.testing.assert_allclose(minimum(np.zeros(3), 0.7), closed(0.7), rtol=1e-6)
    found = pb.jacobian(lambda p: minimum(np.zeros(3), p))(0.7)
    np.testing.assert_allclose(found, pb.jacobian(closed)(0.7), rtol=1e-5)
    second = pb.grad(pb.grad(lambda p: np.sum(minimum(np.zeros(3), p))))(0.7)
    np.testing.assert_allclose(
        second, pb.grad(pb.grad(lambda p: np.sum(closed(p))))(0.7), rtol=1e-5
    )


def test_a_matrix_free_solver_serves_the_jacobian_and_its_transpose():
    def gmres(matvec, b):
        operator = sla.LinearOperator((b.size, b.size), matvec, dtype=b.dtype)
        return sla.gmres(operator, b, rtol=1e-13)[0]

    f = pb.custom_root(
        lambda x, a: A @ x + 0.1 * x**3 - a,
        lambda x0, a: scipy.optimize.fsolve(lambda x: A @ x + 0.1 * x**3 - a, x0, xtol=1e-12),
        linear_solve=gmres,
    )
    pb.check_grads(lambda a: f(np.zeros(3), a), (B,), order=2)


def test_what_is_captured_is_refused():
    def outer(a):
        return pb.custom_root(lambda x: x - 2 * a, lambda x0: 6.0)(1.0)

    with pytest.raises(pb.errors.NotDifferentiableError, match="pass it as an argument"):
        pb.grad(outer)(3.0)
    with pytest.raises(pb.errors.NotDifferentiableError, match="the solver closes over"):
        pb.grad(lambda a: pb.custom_root(lambda x: x - 2.0, lambda x0: a)(1.0))(3.0)


def test_a_singular_jacobian_is_refused():
    f = pb.custom_root(lambda x, a: x**2 - a, lambda x0, a: np.sqrt(a))
    with pytest.raises(pb.errors.NotDifferentiableError, match="singular"):
        pb.grad(f, argnums=1)(1.0, 0.0)


@pytest.mark.parametrize(
    ("equation", "solve", "error"),
    [
        (lambda x, a: x[:2] - a[:2], lambda x0, a: a, pb.errors.ShapeError),
        (lambda x, a: (x, a), lambda x0, a: a, pb.errors.TreeError),
        (lambda x, a: x - a, lambda x0, a: a[:2], pb.errors.ShapeError),
        (lambda x, a: x - a, lambda x0, a: (a,), pb.errors.TreeError),
    ],
)
def test_equations_and_solutions_unlike_the_guess_are_refused(equation, solve, error):
    with pytest.raises(error):
        pb.custom_root(equation, solve)(np.zeros(3), np.ones(3))


def test_an_integer_guess_is_refused():
    with pytest.raises(pb.errors.DTypeError, match="x0"):
        root(1, 2.0)


# linear systems


def dense(matvec, b):
    return np.linalg.solve(np.stack([matvec(e) for e in np.eye(b.size)], axis=1), b)


def conjugate_gradients(matvec, b):
    return sla.cg(sla.LinearOperator((b.size, b.size), matvec, dtype=b.dtype), b, rtol=1e-13)[0]


def test_a_linear_solve_is_differentiable_by_both_sides():
    def f(a, b):
        return pb.custom_linear_solve(lambda x: a @ np.tanh(b) * 0.0 + a @ x, b, dense, dense)

    np.testing.assert_allclose(f(A, B), np.linalg.solve(A, B))
    pb.check_grads(f, (A, B), order=2)


def test_a_symmetric_system_needs_no_transposed_solver():
    def f(d, b):
        return pb.custom_linear_solve(
            lambda x: d * x + np.sum(x), b, conjugate_gradients, symmetric=True
        )

    d = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(f(d, B), np.linalg.solve(np.diag(d) + 1.0, B))
    pb.check_grads(f, (d, B), order=2, atol=1e-5, rtol=1e-5)


def test_without_a_transposed_solver_only_forward_mode_works():
    def f(b):
        return pb.custom_linear_solve(lambda x: A @ x, b, dense)

    np.testing.assert_allclose(pb.jvp(f, (B,), (B,))[1], np.linalg.solve(A, B))
    with pytest.raises(pb.errors.NotDifferentiableError, match="transpose_solve"):
        pb.grad(lambda b: np.sum(f(b)))(B)


def test_a_factored_matrix_of_scipy_and_its_transpose():
    factors = scipy.linalg.lu_factor(A)

    def f(b):
        return pb.custom_linear_solve(
            lambda x: A @ x,
            b,
            lambda _, b: scipy.linalg.lu_solve(factors, b),
            lambda _, b: scipy.linalg.lu_solve(factors, b, trans=1),
        )

    np.testing.assert_allclose(pb.jacobian(f, mode="reverse")(B), np.linalg.inv(A))
    np.testing.assert_allclose(pb.jacobian(f, mode="forward")(B), np.linalg.inv(A))


def test_linear_systems_of_pytrees_trace_and_map():
    def matvec(x):
        return {"u": 2.0 * x["u"] + x["v"], "v": x["v"] - np.sum(x["u"])}

    def solve(matvec, b):
        flat = lambda t: np.concatenate([t["u"], np.ravel(t["v"])])  # noqa: E731
        tree = lambda v: {"u": v[:2], "v": v[2]}  # noqa: E731
        matrix = np.stack([flat(matvec(tree(e))) for e in np.eye(3)], axis=1)
        return tree(np.linalg.solve(matrix, flat(b)))

    def f(u, v):
        return pb.custom_linear_solve(matvec, {"u": u, "v": v}, solve, solve)

    u, v = np.array([1.0, 2.0]), np.float64(0.5)
    solution = f(u, v)
    back = matvec(solution)
    np.testing.assert_allclose(back["u"], u)
    np.testing.assert_allclose(back["v"], v)
    pb.check_grads(f, (u, v), order=2)
    graph = pb.trace(pb.grad(lambda u: f(u, v)["v"]), u)
    np.testing.assert_allclose(graph(u), pb.grad(lambda u: f(u, v)["v"])(u))
    rows = pb.vmap(lambda u: f(u, v)["v"])(np.stack([u, 2 * u]))
    np.testing.assert_allclose(rows, [f(u, v)["v"], f(2 * u, v)["v"]])


def test_gradients_by_a_captured_matrix_under_vmap_and_grad():
    def f(scale):
        return np.sum(pb.custom_linear_solve(lambda x: scale * (S @ x), B, dense, symmetric=True))

    scales = np.array([1.0, 2.0])
    expected = -np.sum(np.linalg.solve(S, B)) / scales**2
    np.testing.assert_allclose(pb.vmap(pb.grad(f))(scales), expected)
    np.testing.assert_allclose(pb.grad(pb.grad(f))(2.0), np.sum(np.linalg.solve(S, B)) / 4)


def test_jax_agrees_on_a_linear_solve(jax):
    def with_jax(d, b):
        return jax.lax.custom_linear_solve(
            lambda x: d * x, b, lambda mv, b: b / d, lambda mv, b: b / d
        )

    def ours(d, b):
        return pb.custom_linear_solve(lambda x: d * x, b, dense, dense)

    d = np.array([1.0, 2.0, 3.0])
    for f, g in zip(
        pb.grad(lambda d, b: np.sum(ours(d, b) ** 2), argnums=(0, 1))(d, B),
        jax.grad(lambda d, b: (with_jax(d, b) ** 2).sum(), argnums=(0, 1))(d, B),
        strict=True,
    ):
        np.testing.assert_allclose(f, g)


@pytest.mark.parametrize(
    ("matvec", "error"),
    [
        (lambda x: x * x, pb.errors.NotDifferentiableError),
        (lambda x: x + 1.0, pb.errors.NotDifferentiableError),
        (lambda x: x[:2], pb.errors.ShapeError),
        (lambda x: (x, x), pb.errors.TreeError),
    ],
)
def test_what_is_no_square_linear_map_is_refused(matvec, error):
    with pytest.raises(error):
        pb.custom_linear_solve(matvec, B, dense, dense)


def test_a_solution_of_another_shape_is_refused():
    with pytest.raises(pb.errors.ShapeError, match="solve"):
        pb.custom_linear_solve(lambda x: A @ x, B, lambda matvec, b: b[:2])
