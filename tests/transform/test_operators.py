"""Hessian and Jacobian operators under SciPy's solvers; Gauss-Newton and Fisher products."""

import numpy as np
import pytest
import scipy.sparse.linalg as sla
import scipy.special as sp

import pullback as pb


def rosenbrock(x):
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


X = np.array([0.9, 1.1, 0.8, 1.2])
TREE = {"w": np.array([[0.3, -0.2], [0.1, 0.5]]), "b": np.float64(0.7)}


def tree_function(p):
    return np.tanh(p["w"] @ np.array([1.0, 2.0])) * p["b"]


def flat_jacobian(f, tree):
    """The Jacobian of a function of a pytree, with the leaves raveled and joined."""
    leaves, structure = pb.tree.flatten(tree)
    sizes = [np.size(x) for x in leaves]

    def of_vector(v):
        parts = np.split(v, np.cumsum(sizes)[:-1])
        reshaped = [np.reshape(p, np.shape(x)) for p, x in zip(parts, leaves, strict=True)]
        return f(pb.tree.unflatten(structure, reshaped))

    flat = np.concatenate([np.ravel(x) for x in leaves])
    return pb.jacobian(of_vector)(flat)


def test_the_hessian_operator_is_the_hessian():
    operator = pb.hessian_operator(rosenbrock, X)
    np.testing.assert_allclose(operator @ np.eye(4), pb.hessian(rosenbrock)(X))
    np.testing.assert_allclose(operator.T @ np.eye(4), pb.hessian(rosenbrock)(X))
    assert operator.shape == (4, 4)
    assert operator.dtype == np.float64


def test_cg_minres_eigsh_and_lobpcg_run_on_it():
    operator, matrix = pb.hessian_operator(rosenbrock, X), pb.hessian(rosenbrock)(X)
    gradient = pb.grad(rosenbrock)(X)
    expected = np.linalg.solve(matrix, gradient)
    for solver in (sla.cg, sla.minres):
        found, failed = solver(operator, gradient, rtol=1e-10)
        assert not failed
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    largest = sla.eigsh(operator, k=2, return_eigenvectors=False)
    np.testing.assert_allclose(np.sort(largest), np.linalg.eigvalsh(matrix)[-2:])


def test_the_gradient_is_computed_once_for_all_products():
    runs = []

    def f(x):
        runs.append(1)
        return np.sum(np.cosh(x))

    operator = pb.hessian_operator(f, np.ones(5))
    for _ in range(4):
        operator @ np.ones(5)
    assert len(runs) == 1


def test_the_jacobian_operator_of_pytrees_has_both_products():
    operator = pb.jacobian_operator(tree_function, TREE)
    matrix = flat_jacobian(tree_function, TREE)
    assert operator.shape == matrix.shape == (2, 5)
    np.testing.assert_allclose(operator @ np.eye(5), matrix)
    np.testing.assert_allclose(operator.T @ np.eye(2), matrix.T)
    np.testing.assert_allclose(
        sla.lsqr(operator, np.ones(2))[0], np.linalg.lstsq(matrix, np.ones(2))[0], rtol=1e-6
    )


def test_float32_operators_stay_float32():
    x = np.array([1.0, 2.0], np.float32)
    operator = pb.jacobian_operator(np.sin, x)
    assert operator.dtype == (operator @ np.ones(2)).dtype == np.float32
    assert pb.hessian_operator(lambda x: np.sum(x**3), x).dtype == np.float32


@pytest.mark.parametrize("x", [np.ones(2, int), np.ones(2, complex)])
def test_operators_of_integers_and_complex_numbers_are_refused(x):
    with pytest.raises(pb.errors.DTypeError):
        pb.jacobian_operator(lambda x: x * 2, x)
    with pytest.raises(pb.errors.DTypeError):
        pb.hessian_operator(lambda x: np.sum(np.abs(x) ** 2), x)


def test_a_hessian_operator_of_a_vector_function_is_refused():
    with pytest.raises(pb.errors.ShapeError):
        pb.hessian_operator(np.sin, X)


INPUTS = np.random.default_rng(0).normal(size=(6, 3))
LABELS = np.array([0, 2, 1, 1, 0, 2])


def logits(w, b):
    return np.tanh(INPUTS @ w) * 2.0 + b


def parameters(outputs):
    rng = np.random.default_rng(1)
    return rng.normal(size=(3, outputs)), rng.normal(size=outputs)


def cross_entropy(eta):
    chosen = eta[np.arange(6), LABELS]
    return np.sum(np.log(np.sum(np.exp(eta), axis=-1)) - chosen)


def test_gnvp_is_the_product_with_jacobian_hessian_jacobian():
    w, b = parameters(3)
    v = tuple(np.random.default_rng(2).normal(size=np.shape(p)) for p in (w, b))
    found = pb.gnvp(logits, cross_entropy, (w, b), v)
    jacobians = pb.jacobian(logits, argnums=(0, 1))(w, b)
    matrix = np.concatenate([np.reshape(j, (18, -1)) for j in jacobians], axis=1)
    hessian = np.reshape(pb.hessian(cross_entropy)(logits(w, b)), (18, 18))
    flat = np.concatenate([np.ravel(x) for x in v])
    expected = matrix.T @ hessian @ matrix @ flat
    np.testing.assert_allclose(np.concatenate([np.ravel(x) for x in found]), expected)


def test_gnvp_equals_the_hessian_where_the_model_is_linear():
    y = np.arange(6.0)
    v = (np.array([1.0, -2.0, 0.5]),)
    found = pb.gnvp(lambda w: INPUTS @ w, lambda z: np.sum((z - y) ** 2), (np.ones(3),), v)
    expected = pb.hvp(lambda w: np.sum((INPUTS @ w - y) ** 2), (np.ones(3),), v)
    np.testing.assert_allclose(found, expected)


NEGATIVE_LOG_LIKELIHOOD = {
    "categorical": cross_entropy,
    "bernoulli": lambda eta: np.sum(
        np.logaddexp(0.0, eta) - eta * (np.arange(18) % 2).reshape(6, 3)
    ),
    "gaussian": lambda eta: np.sum((eta - 1.0) ** 2) / 2,
    "poisson": lambda eta: np.sum(np.exp(eta) - 2.0 * eta),
}


@pytest.mark.parametrize("family", NEGATIVE_LOG_LIKELIHOOD)
def test_the_fisher_product_is_that_of_gauss_newton_for_natural_parameters(family):
    w, b = parameters(3)
    v = tuple(np.random.default_rng(3).normal(size=np.shape(p)) for p in (w, b))
    found = pb.fisher_vp(logits, family, (w, b), v)
    expected = pb.gnvp(logits, NEGATIVE_LOG_LIKELIHOOD[family], (w, b), v)
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, y)


def test_the_categorical_fisher_matrix_is_the_expected_outer_product_of_scores():
    w, b = parameters(3)
    probabilities = sp.softmax(logits(w, b), axis=-1)
    expected = np.zeros((3, 3))
    for n in range(6):
        for c in range(3):
            score = pb.grad(lambda b, n=n, c=c: pb.scipy.special.log_softmax(logits(w, b)[n])[c])(b)
            expected += probabilities[n, c] * np.outer(score, score)
    columns = [
        pb.fisher_vp(lambda b: logits(w, b), "categorical", (b,), (e,))[0] for e in np.eye(3)
    ]
    np.testing.assert_allclose(np.stack(columns), expected)


def test_curvature_products_are_differentiable_and_keep_float32():
    v = (np.ones(3),)

    def squared(w):
        return np.sum(pb.gnvp(lambda w: np.sin(INPUTS @ w), lambda z: np.sum(z**4), (w,), v)[0])

    pb.check_grads(squared, (np.array([0.1, -0.2, 0.3]),), order=1)
    x = np.ones(2, np.float32)
    assert pb.fisher_vp(np.sin, "gaussian", (x,), (x,))[0].dtype == np.float32


def test_an_unknown_family_is_refused():
    with pytest.raises(pb.errors.ConfigError, match="categorical"):
        pb.fisher_vp(np.sin, "cauchy", (X,), (X,))
