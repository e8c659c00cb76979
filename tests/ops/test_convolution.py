"""np.convolve and np.correlate: values as NumPy's, derivatives as differences, JAX and shifts."""

import itertools

import numpy as np
import pytest

import pullback as pb
from pullback.core.errors import ShapeError

RNG = np.random.default_rng(2)
LENGTHS = [(5, 3), (3, 5), (4, 4), (6, 1), (1, 1), (2, 7), (7, 2), (5, 4)]


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("function", [np.convolve, np.correlate])
def test_values_and_derivatives_for_all_lengths_and_modes(function, mode):
    for n, m in LENGTHS:
        a, v = RNG.normal(size=n), RNG.normal(size=m)
        out, _ = pb.vjp(lambda a, v: function(a, v, mode), a, v)
        np.testing.assert_allclose(out, function(a, v, mode), rtol=1e-13, atol=1e-14)
        pb.check_grads(lambda a, v: function(a, v, mode), (a, v), order=2)


@pytest.mark.parametrize("function", [np.convolve, np.correlate])
def test_complex_sequences(function):
    a, v = RNG.normal(size=(2, 5)) + 1j * RNG.normal(size=(2, 5))
    for x, y in itertools.permutations([a, v[:3]]):
        out, _ = pb.vjp(lambda x, y: function(x, y, "same"), x, y)
        np.testing.assert_allclose(out, function(x, y, "same"))
        pb.check_grads(lambda x, y: function(x, y, "same"), (x, y), order=2)


def test_gradients_equal_those_of_jax(jax):
    a, v = RNG.normal(size=6), RNG.normal(size=3)

    def loss(module, a, v):
        return module.sum(module.convolve(a, v) ** 2) + module.sum(module.correlate(a, v) ** 3)

    found = pb.grad(lambda a, v: loss(np, a, v), (0, 1))(a, v)
    expected = jax.grad(lambda a, v: loss(jax.numpy, a, v), (0, 1))(a, v)
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-12)


def test_rows_are_convolved_by_vmap():
    a, v = RNG.normal(size=(3, 6)), RNG.normal(size=(3, 2))
    expected = [np.convolve(*row, "same") for row in zip(a, v, strict=True)]
    np.testing.assert_allclose(pb.vmap(lambda a, v: np.convolve(a, v, "same"))(a, v), expected)


def test_convolution_with_single_precision_stays_single():
    a = RNG.normal(size=5).astype(np.float32)
    assert pb.grad(lambda a: np.convolve(a, a).sum())(a).dtype == np.float32


def test_wrong_arguments_are_named():
    with pytest.raises(ShapeError, match=r"pb\.vmap goes over the rows"):
        pb.grad(lambda a: np.convolve(a, np.ones(2)).sum())(np.ones((2, 3)))
    with pytest.raises(ValueError, match="mode: expected 'full', 'same' or 'valid'"):
        pb.grad(lambda a: np.convolve(a, np.ones(2), "circular").sum())(np.ones(3))
