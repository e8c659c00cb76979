"""Cubic splines: values as SciPy's, derivatives in knots, values and points; the system behind."""

import numpy as np
import pytest
import scipy.interpolate

import pullback as pb
from pullback.ops.tridiagonal import solve_tridiagonal
from pullback.scipy.interpolate import CubicSpline

X = np.array([0.0, 0.7, 1.1, 2.0, 3.2])
Y = np.random.default_rng(0).normal(size=(5, 3))
AT = np.array([-0.4, 0.0, 0.3, 1.5, 2.0, 3.2, 3.9])
CONDITIONS = {
    "not-a-knot": "not-a-knot",
    "natural": "natural",
    "clamped": "clamped",
    "mixed": ("natural", "not-a-knot"),
    "slope and curvature": ((1, 0.3), (2, -0.7)),
    "curvature and slope": ((2, -0.7), (1, 0.3)),
}


@pytest.mark.parametrize("count", [2, 3, 4, 5])
@pytest.mark.parametrize("condition", CONDITIONS)
def test_values_and_derivatives_in_the_points_are_scipys(condition, count):
    x, y, ends = X[:count], Y[:count, 0], CONDITIONS[condition]
    theirs = scipy.interpolate.CubicSpline(x, y, bc_type=ends)
    ours = CubicSpline(x, y, bc_type=ends)
    for nu in range(5):
        np.testing.assert_allclose(ours(AT, nu), theirs(AT, nu), rtol=1e-9, atol=1e-10)
    inner = np.array([0.2, 0.5])
    np.testing.assert_allclose(pb.jacobian(ours)(inner), np.diag(theirs(inner, 1)), atol=1e-10)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_spline_differentiates_in_knots_values_and_points(condition):
    points = np.array([0.3, 1.5, 3.5])

    def values(x, y, at):
        return CubicSpline(x, y, bc_type=CONDITIONS[condition])(at)

    pb.check_grads(values, (X, Y[:, 0], points), atol=1e-5, rtol=1e-5)


def test_the_conditions_differentiate_too():
    pb.check_grads(
        lambda slope, bend: CubicSpline(X, Y[:, 0], bc_type=((1, slope), (2, bend)))(AT),
        (0.3, -0.7),
    )


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_values_of_several_axes_go_along_one(axis):
    y = np.moveaxis(np.stack([Y, 2 * Y]), 1, axis)
    at = AT.reshape(7, 1)
    expected = scipy.interpolate.CubicSpline(X, y, axis=axis)(at)
    np.testing.assert_allclose(CubicSpline(X, y, axis=axis)(at), expected, rtol=1e-9, atol=1e-10)


def test_outside_the_knots_it_is_nan_where_that_is_asked_for():
    found = CubicSpline(X, Y, extrapolate=False)(AT)
    np.testing.assert_array_equal(np.isnan(found[:, 0]), [True, *[False] * 5, True])
    gradient = pb.grad(lambda y: np.nansum(CubicSpline(X, y, extrapolate=False)(AT)))(Y)
    assert np.isfinite(gradient).all()


def test_batches_graphs_and_float32():
    each = pb.vmap(lambda y: CubicSpline(X, y)(AT), 1, 1)(Y)
    np.testing.assert_allclose(each, CubicSpline(X, Y)(AT), rtol=1e-12)
    graph = pb.trace(lambda y: CubicSpline(X, y)(AT), Y)
    np.testing.assert_allclose(graph(Y), CubicSpline(X, Y)(AT), rtol=1e-12)
    single = Y.astype(np.float32)
    gradient = pb.grad(lambda y: CubicSpline(X.astype(np.float32), y)(np.float32(0.3)).sum())(
        single
    )
    assert gradient.dtype == np.float32


def test_the_system_with_three_diagonals_is_solved():
    rng = np.random.default_rng(0)
    lower, main, upper = rng.normal(size=3), 4 + rng.normal(size=4), rng.normal(size=3)
    b = rng.normal(size=(2, 4, 3))
    matrix = np.diag(lower, -1) + np.diag(main) + np.diag(upper, 1)
    expected = np.linalg.solve(matrix, b)
    np.testing.assert_allclose(solve_tridiagonal(lower, main, upper, b), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: CubicSpline([0.0], [1.0]), "n at least 2"),
        (lambda: CubicSpline(X, Y[:3]), "length 3"),
        (lambda: CubicSpline(X[::-1], Y), "increasing"),
        (lambda: CubicSpline(X, Y, bc_type="periodic"), "bc_type: expected"),
        (lambda: CubicSpline(X, Y, bc_type=((3, 0.0), (1, 0.0))), "bc_type: expected"),
    ],
)
def test_what_does_not_fit_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
