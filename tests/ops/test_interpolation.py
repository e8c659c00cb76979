"""Interpolation, slopes, areas and phases: values as NumPy's and derivatives."""

import numpy as np
import pytest

import pullback as pb
from pullback.core.errors import ShapeError

RNG = np.random.default_rng(1)
X = np.array([-0.5, 0.3, 0.9, 1.7, 2.4, 3.9, 4.6])
KNOTS = np.array([0.0, 1.0, 1.5, 3.0, 4.0])
HEIGHTS = np.array([1.0, -1.0, 2.0, 0.5, 3.0])
FIELD = RNG.normal(size=(4, 5))
PLACES = np.array([0.0, 0.5, 0.7, 1.6, 2.0])


def same_value_and_derivatives(function, *args):
    out, _ = pb.vjp(function, *args)
    expected = function(*args)
    np.testing.assert_allclose(out, expected, rtol=1e-14, atol=1e-15)
    assert np.asarray(out).dtype == np.asarray(expected).dtype
    pb.check_grads(function, args, order=2)
    np.testing.assert_allclose(pb.trace(function, *args)(*args), expected, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(
    "options",
    [{}, {"left": -7.0}, {"right": 9.0}, {"period": 3.3}],
    ids=["plain", "left", "right", "period"],
)
def test_interp_moves_with_places_knots_and_heights(options):
    same_value_and_derivatives(lambda x, xp, fp: np.interp(x, xp, fp, **options), X, KNOTS, HEIGHTS)


def test_interp_takes_complex_heights_one_knot_and_a_number():
    same_value_and_derivatives(lambda fp: np.interp(X, KNOTS, fp), HEIGHTS * (1 - 0.5j))
    same_value_and_derivatives(lambda fp: np.interp(X, [1.0], fp), np.array([2.0]))
    same_value_and_derivatives(lambda x: np.interp(x, KNOTS, HEIGHTS), np.float64(1.2))


def test_interp_at_a_knot_has_the_slope_on_its_right():
    assert pb.grad(lambda x: np.interp(x, KNOTS, HEIGHTS))(1.0) == 6.0
    assert pb.grad(lambda x: np.interp(x, KNOTS, HEIGHTS))(-1.0) == 0.0


def test_interp_between_equal_knots_has_a_finite_gradient():
    steps = np.array([0.0, 1.0, 1.0, 2.0])
    gradient = pb.grad(lambda x, fp: np.interp(x, steps, fp).sum(), (0, 1))
    dx, dfp = gradient(np.array([0.5, 1.0, 1.5]), np.array([0.0, 1.0, 5.0, 6.0]))
    np.testing.assert_array_equal(dx, [1.0, 1.0, 1.0])
    np.testing.assert_array_equal(dfp, [0.5, 0.5, 1.5, 0.5])


def test_interp_of_single_precision_has_single_gradients():
    args = [a.astype(np.float32) for a in (X, KNOTS, HEIGHTS)]
    gradients = pb.grad(lambda x, xp, fp: np.interp(x, xp, fp).sum(), (0, 1, 2))(*args)
    assert {g.dtype for g in gradients} == {np.dtype(np.float32)}


def test_interp_equals_jax(jax):
    def total(module, x, xp, fp):
        return module.sum(module.sin(module.interp(x, xp, fp)))

    found = pb.grad(lambda *a: total(np, *a), (0, 1, 2))(X, KNOTS, HEIGHTS)
    expected = jax.grad(lambda *a: total(jax.numpy, *a), (0, 1, 2))(X, KNOTS, HEIGHTS)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_interp_works_under_vmap_with_knots_of_each_example():
    knots = np.sort(RNG.normal(size=(3, 5)))
    heights, x = RNG.normal(size=(3, 5)), RNG.normal(size=(3, 4))
    expected = np.stack([np.interp(*row) for row in zip(x, knots, heights, strict=True)])
    np.testing.assert_allclose(pb.vmap(np.interp)(x, knots, heights), expected)


@pytest.mark.parametrize("edge_order", [1, 2])
def test_gradient_on_even_and_uneven_samples(edge_order):
    def even(f, h):
        return np.stack(np.gradient(f, h, edge_order=edge_order))

    def uneven(f, places):
        return np.gradient(f, places, axis=1, edge_order=edge_order)

    same_value_and_derivatives(even, FIELD, np.float64(0.3))
    same_value_and_derivatives(uneven, FIELD, PLACES)
    mixed = np.gradient(FIELD, 2.0, PLACES, edge_order=edge_order)
    _, pull = pb.vjp(lambda f: np.gradient(f, 2.0, PLACES, edge_order=edge_order)[1], FIELD)
    assert pull(mixed[1])[0].shape == FIELD.shape


def test_gradient_takes_the_axes_in_the_order_they_are_named():
    def slopes(f):
        return np.gradient(f, 0.5, 2.0, axis=(1, 0))[0]

    same_value_and_derivatives(slopes, FIELD)


@pytest.mark.parametrize(
    "options",
    [{}, {"dx": 0.5}, {"x": PLACES}, {"axis": 0}, {"x": FIELD}],
    ids=["plain", "dx", "x", "axis", "grid"],
)
def test_trapezoid(options):
    same_value_and_derivatives(lambda y: np.trapezoid(y, **options), FIELD)


def test_trapezoid_moves_with_its_places():
    same_value_and_derivatives(np.trapezoid, FIELD, PLACES)


def test_unwrap_adds_constants_to_phases():
    phases = np.array([0.1, 2.9, -2.8, -0.4, 2.9, -3.0, 0.2])
    same_value_and_derivatives(np.unwrap, phases)
    same_value_and_derivatives(lambda p: np.unwrap(p, period=4.0), phases)
    same_value_and_derivatives(lambda p: np.unwrap(p, discont=4.0), phases)
    same_value_and_derivatives(lambda p: np.unwrap(p, axis=0), FIELD * 5)
    np.testing.assert_array_equal(pb.jacobian(np.unwrap)(phases), np.eye(7))


def test_searchsorted_and_digitize_are_constants_that_trace():
    for side in ("left", "right"):
        graph = pb.trace(lambda x, side=side: np.searchsorted(KNOTS, x, side) * 1.0, X)
        np.testing.assert_array_equal(graph(X), np.searchsorted(KNOTS, X, side))
    for bins in (KNOTS, KNOTS[::-1]):
        for right in (False, True):
            graph = pb.trace(lambda x, b=bins, r=right: np.digitize(x, b, r) * 1.0, KNOTS)
            np.testing.assert_array_equal(graph(KNOTS), np.digitize(KNOTS, bins, right))


def test_wrong_shapes_are_named():
    with pytest.raises(ShapeError, match="xp and fp as sequences of one length"):
        pb.grad(lambda x: np.interp(x, KNOTS, HEIGHTS[:3]).sum())(X)
    with pytest.raises(ShapeError, match="expected at least 3 samples"):
        pb.grad(lambda x: np.gradient(x, edge_order=2).sum())(X[:2])
    with pytest.raises(ShapeError, match="one place for each of the 7 samples"):
        pb.grad(lambda x: np.gradient(x, KNOTS).sum())(X)
