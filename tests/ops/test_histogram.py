"""Histograms: constant in the data, linear in the weights, with edges that move."""

import numpy as np
import pytest
from against_numpy import compare, same_value_and_derivatives

import pullback as pb
from pullback.core.errors import DTypeError, ShapeError

RNG = np.random.default_rng(6)
DATA = RNG.normal(size=20)
POINTS = RNG.normal(size=(20, 2))
WEIGHTS = RNG.uniform(0.5, 1.5, size=20)
EDGES = np.array([-1.0, 0.0, 0.3, 2.0])


def test_bincount_is_linear_in_the_weights():
    numbers = np.array([0, 3, 3, 1, 0])
    same_value_and_derivatives(lambda w: np.bincount(numbers, w), WEIGHTS[:5])
    same_value_and_derivatives(lambda w: np.bincount(numbers, w, minlength=6), WEIGHTS[:5])
    gradient = pb.grad(lambda w: np.sum(np.bincount(numbers, w) * [1, 2, 3, 4]))(WEIGHTS[:5])
    np.testing.assert_array_equal(gradient, [1.0, 4.0, 4.0, 2.0, 1.0])
    single = WEIGHTS[:5].astype(np.float32)
    assert pb.grad(lambda w: np.bincount(numbers, w).sum())(single).dtype == np.float32


@pytest.mark.parametrize(
    "options",
    [{}, {"bins": 4}, {"bins": EDGES}, {"range": (-1.0, 1.0)}, {"density": True}],
    ids=["plain", "bins", "edges", "range", "density"],
)
def test_histograms_of_one_dimension(options):
    same_value_and_derivatives(lambda w: np.histogram(DATA, weights=w, **options), WEIGHTS)
    same_value_and_derivatives(lambda a: np.histogram(a, **options)[1], DATA)
    counts, edges = np.histogram(DATA, **options)
    found = []
    pb.grad(lambda a: found.extend(np.histogram(a, **options)) or np.sum(a))(DATA)
    np.testing.assert_allclose(pb.jvp(lambda a: np.histogram(a, **options)[1], (DATA,), (DATA,))[0],
                               edges)  # fmt: skip
    if "density" not in options:
        compare(found[0], counts)


def test_a_density_moves_with_the_range_of_the_data():
    same_value_and_derivatives(lambda a: np.histogram(a, 3, density=True), DATA)


def test_bins_by_a_rule_and_of_equal_values():
    same_value_and_derivatives(lambda a: np.histogram_bin_edges(a, "fd"), DATA, graph=False)
    same_value_and_derivatives(lambda a: np.histogram_bin_edges(a, 3), np.full(1, 2.0))
    out, _ = pb.vjp(lambda a: np.histogram_bin_edges(a, 3), np.zeros(0))
    np.testing.assert_array_equal(out, np.histogram_bin_edges(np.zeros(0), 3))


@pytest.mark.parametrize(
    "options",
    [{"bins": 3}, {"bins": [2, 4]}, {"bins": [EDGES, 3]}, {"density": True, "bins": 3},
     {"bins": 2, "range": [(-1, 1), (0, 2)]}],
    ids=["number", "numbers", "edges", "density", "range"],
)  # fmt: skip
def test_histograms_of_several_dimensions(options):
    def grid(points, weights):
        sums, edges = np.histogramdd(points, weights=weights, **options)
        return (sums, *edges)

    def plane(x, y, weights):
        return np.histogram2d(x, y, weights=weights, **options)

    same_value_and_derivatives(grid, POINTS, WEIGHTS)
    same_value_and_derivatives(plane, *POINTS.T, WEIGHTS)


def test_histogram2d_takes_one_set_of_edges_for_both_axes():
    same_value_and_derivatives(lambda w: np.histogram2d(*POINTS.T, EDGES, weights=w), WEIGHTS)


def test_histograms_run_for_a_batch():
    data, weights = DATA.reshape(4, 5), WEIGHTS.reshape(4, 5)
    found, _ = pb.vmap(lambda a, w: np.histogram(a, 3, weights=w))(data, weights)
    expected = [np.histogram(a, 3, weights=w)[0] for a, w in zip(data, weights, strict=True)]
    np.testing.assert_allclose(found, expected)


def test_wrong_arguments_are_named():
    for call, error, message in [
        (lambda w: np.bincount([0.5], w[:1]), DTypeError, "expected whole numbers"),
        (lambda w: np.bincount([0, 1], w[:1]), ShapeError, "weights: expected shape"),
        (lambda w: np.bincount([-1], w[:1]), ValueError, "at least 0"),
        (lambda w: np.histogram(w, 0)[1], ValueError, "at least 1"),
        (lambda w: np.histogram(DATA, [1.0, 0.0], weights=w)[0], ValueError, "increase"),
        (lambda w: np.histogramdd([w, w], [2, 2, 2])[1][0], ShapeError, "one entry for each"),
    ]:
        with pytest.raises(error, match=message):
            pb.grad(lambda w, call=call: np.sum(call(w)))(WEIGHTS)
