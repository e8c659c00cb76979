"""associative_scan: running combinations against cumulative functions, loops and JAX."""

import numpy as np
import pytest

import pullback as pb
from pullback.core.errors import ConfigError, ShapeError, TreeError

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 8, 13])
def test_running_sums_and_products_are_numpys(n):
    x = RNG.normal(size=(n, 2))
    np.testing.assert_allclose(pb.associative_scan(np.add, x), np.cumsum(x, 0))
    np.testing.assert_allclose(pb.associative_scan(np.multiply, x), np.cumprod(x, 0))
    np.testing.assert_allclose(
        pb.associative_scan(np.maximum, x, reverse=True), np.maximum.accumulate(x[::-1], 0)[::-1]
    )
    np.testing.assert_allclose(pb.associative_scan(np.add, x.T, axis=1), np.cumsum(x.T, 1))
    np.testing.assert_allclose(pb.associative_scan(np.add, x.T, axis=-1), np.cumsum(x.T, 1))


def affine(first, second):
    """Compose x -> a x + b, in order."""
    (a, b), (c, d) = first, second
    return a * c, c * b + d


def recurrence(a, b):
    return pb.associative_scan(affine, (a, b))[1]


def test_a_linear_recurrence_is_that_of_scan_with_its_derivatives():
    a, b = RNG.normal(size=(2, 7))

    def stepwise(a, b):
        return pb.scan(lambda x, ab: (ab[0] * x + ab[1],) * 2, 0.0, (a, b))[1]

    np.testing.assert_allclose(recurrence(a, b), stepwise(a, b), rtol=1e-12)
    graph = pb.trace(recurrence, a, b)
    np.testing.assert_allclose(graph(a, b), stepwise(a, b), rtol=1e-12)
    for argnum in (0, 1):
        expected = pb.jacobian(stepwise, argnum)(a, b)
        np.testing.assert_allclose(pb.jacobian(recurrence, argnum)(a, b), expected, atol=1e-12)
        np.testing.assert_allclose(pb.jacobian(graph, argnum)(a, b), expected, atol=1e-12)
    pb.check_grads(recurrence, (a, b), order=2)


@pytest.mark.parametrize("reverse", [False, True])
def test_products_of_matrices_are_combined_in_the_order_of_jax(jax, reverse):
    m = RNG.normal(size=(6, 2, 2))
    expected = jax.lax.associative_scan(jax.numpy.matmul, m, reverse=reverse)
    np.testing.assert_allclose(
        pb.associative_scan(np.matmul, m, reverse=reverse), expected, rtol=1e-12
    )


def test_the_trace_grows_with_the_logarithm_of_the_length():
    sizes = [
        len(pb.trace(lambda x: pb.associative_scan(np.add, x), np.zeros(n)).nodes)
        for n in (16, 256, 4096)
    ]
    assert sizes[1] - sizes[0] == sizes[2] - sizes[1]


def test_vmap_is_a_loop_over_the_examples():
    a, b = RNG.normal(size=(2, 3, 5))
    expected = [recurrence(*pair) for pair in zip(a, b, strict=True)]
    np.testing.assert_allclose(pb.vmap(recurrence)(a, b), expected)


def test_lengths_and_axes_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match="the same length along axis 0 of all"):
        pb.associative_scan(affine, (np.ones(3), np.ones(4)))
    with pytest.raises(ShapeError, match="expected an axis 1 in all"):
        pb.associative_scan(np.add, np.ones(3), axis=1)
    with pytest.raises(ConfigError, match="at least one array"):
        pb.associative_scan(np.add, ())
    with pytest.raises(TreeError, match="the result of fn of associative_scan"):
        pb.associative_scan(lambda a, b: (a, b), np.ones(3))
