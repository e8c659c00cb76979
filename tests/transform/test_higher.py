"""Jacobians, Hessians and Hessian-vector products against closed forms."""

import numpy as np
import pytest

import pullback as pb

A = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
def test_jacobian_of_a_linear_map_is_its_matrix(mode):
    np.testing.assert_allclose(pb.jacobian(lambda x: A @ x, mode=mode)(np.ones(3)), A)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_jacobian_of_pytrees(mode):
    def f(p):
        return {"sum": p["a"].sum() + p["b"], "scaled": p["a"] * p["b"]}

    found = pb.jacobian(f, mode=mode)({"a": np.array([1.0, 2.0]), "b": np.float64(3.0)})
    np.testing.assert_allclose(found["sum"]["a"], [1.0, 1.0])
    np.testing.assert_allclose(found["scaled"]["a"], 3 * np.eye(2))
    np.testing.assert_allclose(found["scaled"]["b"], [1.0, 2.0])


def test_jacobian_of_a_matrix_function_has_the_shapes_joined():
    found = pb.jacobian(lambda x: np.outer(x, x))(np.array([1.0, 2.0, 3.0]))
    assert found.shape == (3, 3, 3)
    np.testing.assert_allclose(found[0, 1], [2.0, 1.0, 0.0])


def test_jacobian_by_several_arguments():
    dx, dy = pb.jacobian(lambda x, y: x * y, argnums=(0, 1))(np.ones(2), np.array([2.0, 3.0]))
    np.testing.assert_allclose(dx, np.diag([2.0, 3.0]))
    np.testing.assert_allclose(dy, np.eye(2))


def test_jacobian_of_zero_sized_arguments_is_empty():
    assert pb.jacobian(lambda x: x * 2.0)(np.zeros(0)).shape == (0, 0)


def test_an_unknown_mode_is_refused():
    with pytest.raises(pb.errors.ConfigError, match="'auto', 'forward' or 'reverse'"):
        pb.jacobian(np.sin, mode="backward")


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def test_hessian_equals_scipys_for_rosenbrock():
    optimize = pytest.importorskip("scipy.optimize")
    x = np.array([1.3, 0.7, 0.8, 1.9, 1.2])
    np.testing.assert_allclose(pb.grad(rosenbrock)(x), optimize.rosen_der(x), rtol=1e-12)
    np.testing.assert_allclose(pb.hessian(rosenbrock)(x), optimize.rosen_hess(x), rtol=1e-12)


def test_hvp_is_the_hessian_times_the_vector():
    x, v = np.array([1.3, 0.7, 0.8]), np.array([1.0, -2.0, 0.5])
    (found,) = pb.hvp(rosenbrock, (x,), (v,))
    np.testing.assert_allclose(found, pb.hessian(rosenbrock)(x) @ v, rtol=1e-12)


def test_hvp_of_several_pytree_arguments():
    def f(p, y):
        return p["a"] ** 2 * y

    found = pb.hvp(f, ({"a": 3.0}, 5.0), ({"a": 1.0}, 0.0))
    assert found == ({"a": 10.0}, 6.0)


def test_hessian_by_two_arguments_is_nested():
    (xx, xy), (yx, yy) = pb.hessian(lambda x, y: x**2 * y, argnums=(0, 1))(3.0, 5.0)
    assert (xx, xy, yx, yy) == (10.0, 6.0, 6.0, 0.0)


def test_third_derivative():
    third = pb.grad(pb.grad(pb.grad(lambda x: x**4)))
    assert third(2.0) == pytest.approx(48.0)
