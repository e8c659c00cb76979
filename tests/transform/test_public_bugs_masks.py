"""Masked branches: gradients that other libraries are reported to turn into NaN."""

import numpy as np
import pytest
import scipy.special as sp
from gradient_cases import INF, NAN, Case, array, check, quiet

import pullback as pb
from pullback.scipy.special import softmax

LOG2 = np.log(2.0)

MASKS = {
    "sqrt behind a where": Case(
        lambda x: np.where(x < 1, x, np.sqrt(x - 1)), [array(0, 0.5, 2)], [[1, 1, 0.5]]
    ),
    "sqrt at the very edge of a mask": Case(
        lambda x: np.where(x <= 1, x, np.sqrt(x - 1)), [array(1, 5)], [[1, 0.25]]
    ),
    "square root of a number under a mask": Case(
        lambda x: np.where(x > 0, np.sqrt(x), 0.0), [0.0], [0.0]
    ),
    "p log p": Case(
        lambda p: np.where(p > 0, p * np.log(p), 0.0), [array(0, 0.5)], [[0, 1 - LOG2]]
    ),
    "log of a negative number": Case(
        lambda x: np.where(x > 0, np.log(x), x), [array(-2, 4)], [[1, 0.25]]
    ),
    "quotient with a zero": Case(
        lambda x, y: np.where(y == 0, 0.0, x / y), [array(1, 6), array(0, 2)], [[0, 0.5], [0, -1.5]]
    ),
    "sin x / x": Case(lambda x: np.where(x == 0, 1.0, np.sin(x) / x), [array(0, np.pi)],
                      [[0, -1 / np.pi]]),
    "0 times infinity": Case(lambda x: np.where(x == 0, 1.0, x * (1 / x)), [array(0, 3)],
                             [[0, 0]]),
    "exp that overflows": Case(
        lambda x: np.where(x > 700, x, np.exp(x)), [array(1000, 0)], [[1, 1]]
    ),
    "expm1 that overflows": Case(
        lambda x: np.where(x > 700, 0.0, np.expm1(x)), [array(1000, 0)], [[0, 1]]
    ),
    "sinh and cosh that overflow": Case(
        lambda x: np.where(x > 700, 0.0, np.sinh(x) + np.cosh(x)), [array(1000, 0)], [[0, 1]]
    ),
    "softplus written out": Case(
        lambda x: np.where(x > 30, x, np.log1p(np.exp(x))), [array(1000, 0)], [[1, 0.5]]
    ),
    "arccos outside the unit interval": Case(
        lambda x: np.where(np.abs(x) < 1, np.arccos(x), 0.0), [array(1, 0, -1, 2)],
        [[0, -1, 0, 0]],
    ),
    "arcsin at the edge": Case(
        lambda x: np.where(np.abs(x) < 1, np.arcsin(x), x), [array(1, 0)], [[1, 1]]
    ),
    "arctanh at the edge": Case(
        lambda x: np.where(np.abs(x) < 1, np.arctanh(x), 0.0), [array(-1, 0)], [[0, 1]]
    ),
    "arccosh at the edge": Case(
        lambda x: np.where(x > 1, np.arccosh(x), 0.0), [array(1, np.sqrt(2))], [[0, 1]]
    ),
    "arctan2 at the origin": Case(
        lambda y, x: np.where((x == 0) & (y == 0), 0.0, np.arctan2(y, x)),
        [array(0, 0), array(0, 2)], [[0, 0.5], [0, 0]],
    ),
    "root of a row's square sum": Case(
        lambda x: np.where(np.sum(x**2, 1) > 0.5, np.sqrt(np.sum(x**2, 1)), 1.0),
        [np.array([[3.0, 4.0], [0.0, 0.0]])], [[[0.6, 0.8], [0, 0]]],
    ),
    "norm of a masked row": Case(
        lambda x: np.where(np.array([True, False]), np.linalg.norm(x, axis=1), 0.0),
        [np.array([[3.0, 4.0], [0.0, 0.0]])], [[[0.6, 0.8], [0, 0]]],
    ),
    "fractional power": Case(lambda x: np.where(x > 0, x**0.5, 0.0), [array(-1, 0, 4)],
                             [[0, 0, 0.25]]),
    "power with a traced exponent": Case(
        lambda x, y: np.where(x > 0, x**y, 0.0), [array(0, -1, 2), array(0.5, 0.5, 2)],
        [[0, 0, 4], [0, 0, 4 * LOG2]],
    ),
    "reciprocal": Case(lambda x: np.where(x != 0, np.reciprocal(x), 0.0), [array(0, 2)],
                       [[0, -0.25]]),
    "boolean index instead of where": Case(
        lambda x: (x**0.5)[np.array([False, True])], [array(0, 4)], [[0, 0.25]]
    ),
    "an element beside an overflow": Case(lambda x: np.exp(x)[0], [array(0, 1000)], [[1, 0]]),
    "a slice beside a singularity": Case(lambda x: np.log(x)[1:], [array(0, 2)], [[0, 0.5]]),
    "mask by product with an inner where": Case(
        lambda x: np.where(x > 0, 1.0, 0.0) * np.where(x > 0, np.log(x), 0.0),
        [array(-1, 2)], [[0, 0.5]],
    ),
    "NaN data in a squared error": Case(
        lambda w: np.where(np.isnan(array(NAN, 1)), 0.0, (array(NAN, 1) * w - 3) ** 2),
        [2.0], [-2.0],
    ),
    "NaN argument of a product": Case(
        lambda beta, x: np.where(np.isnan(x), 1.0, beta * x), [2.0, array(NAN, 3)],
        [3, [0, 2]],
    ),
    "NaN through tanh": Case(
        lambda x: np.where(np.isnan(x), 0.0, np.tanh(x)), [array(NAN, 0)], [[0, 1]]
    ),
    "infinity through sine": Case(
        lambda x: np.where(np.isfinite(x), np.sin(x), 0.0), [array(INF, 0)], [[0, 1]]
    ),
    "infinity through a square": Case(
        lambda x: np.where(np.isfinite(x), x**2, 0.0), [array(-INF, 3)], [[0, 6]]
    ),
    "nansum": Case(lambda x: np.nansum(x**2), [array(NAN, 3)], [[0, 6]]),
    "nanmean": Case(lambda x: np.nanmean(x**2), [array(NAN, 3, 1)], [[0, 3, 1]]),
    "nanmax": Case(lambda x: np.nanmax(x), [array(NAN, 3, 1)], [[0, 1, 0]]),
    "nanvar": Case(np.nanvar, [array(NAN, 3, 1)], [[0, 1, -1]]),
    "sum with where": Case(
        lambda x: np.sum(np.log(x), where=x > 0), [array(0, -1, 4)], [[0, 0, 0.25]]
    ),
    "mean with where": Case(
        lambda x: np.mean(np.sqrt(x), where=x > 0), [array(0, 4, 1)], [[0, 0.125, 0.25]]
    ),
    "nan_to_num after a logarithm": Case(
        lambda x: np.nan_to_num(np.log(x), nan=0.0, neginf=0.0), [array(0, -1, 2)], [[0, 0, 0.5]]
    ),
    "minimum that cuts an overflow": Case(
        lambda x: np.minimum(np.exp(x), 5.0), [array(1000, 0)], [[0, 1]]
    ),
    "maximum that cuts a logarithm": Case(
        lambda x: np.maximum(np.log(x), -10.0), [array(0, 1)], [[0, 1]]
    ),
    "clip of a singularity": Case(
        lambda x: np.clip(1 / x, -10, 10), [array(0, 2)], [[0, -0.25]]
    ),
    "root of a rectified number": Case(
        lambda x: np.sqrt(np.maximum(x, 0)), [array(-1, 4)], [[0, 0.25]]
    ),
    "root of a clipped number": Case(
        lambda x: np.sqrt(np.clip(x, 0, 1)), [array(-1, 0.25, 9)], [[0, 1, 0]]
    ),
    "root of the largest of zeros and a negative number": Case(
        lambda x: np.sqrt(np.max(x)), [array(-3, 4)], [[0, 0.25]]
    ),
    "max over a masked overflow": Case(
        lambda x: np.max(np.where(x > 700, 0.0, np.exp(x))), [array(1000, 1)], [[0, np.e]]
    ),
    "hand-written sigmoid far out": Case(
        lambda x: 1 / (1 + np.exp(-x)), [array(-1000, 0, 1000)], [[0, 0.25, 0]], forward=False
    ),
    "tanh of an overflow": Case(
        lambda x: np.tanh(np.exp(x)), [array(1000)], [[0]], forward=False
    ),
    "product along a masked row": Case(
        lambda x: np.where(np.array([True, False]), np.prod(x, axis=1), 0.0),
        [np.array([[2.0, 3.0], [NAN, INF]])], [[[3, 2], [0, 0]]],
    ),
    "running product along a masked row": Case(
        lambda x: np.where(np.array([[True], [False]]), np.cumprod(x, axis=1), 0.0),
        [np.array([[2.0, 3.0], [NAN, INF]])], [[[4, 2], [0, 0]]],
    ),
    "variance of a masked row": Case(
        lambda x: np.where(np.array([True, False]), np.var(x, axis=1), 0.0),
        [np.array([[2.0, 4.0], [NAN, 1.0]])], [[[-1, 1], [0, 0]]],
    ),
    "softmax of masked scores": Case(
        lambda x: softmax(np.where(np.array([True, True, False]), x, -INF))[0],
        [array(0, 0, 7)], [[0.25, -0.25, 0]],
    ),
    "entropy with an empty class": Case(
        lambda p: np.where(p > 0, -p * np.log2(p), 0.0), [array(0, 0.5)], [[0, 1 - 1 / LOG2]]
    ),
    "nested wheres": Case(
        lambda x: np.where(x > 0, np.where(x > 1, np.sqrt(x - 1), x), np.log(-x)),
        [array(-2, 0.5, 5)], [[-0.5, 1, 0.25]],
    ),
    "select among three": Case(
        lambda x: np.select([x < 0, x < 1], [np.sqrt(-x), x], np.log(x)),
        [array(-4, 0.5, 2)], [[-0.25, 1, 0.5]],
    ),
    "matrix norm of a masked matrix": Case(
        lambda x: np.where(np.array([False, True]), np.linalg.norm(x, axis=(1, 2)), 0.0),
        [np.stack([np.zeros((2, 2)), np.eye(2)])],
        [[np.zeros((2, 2)), np.eye(2) / np.sqrt(2)]],
    ),
    "logit at its ends": Case(
        lambda p: np.where((p > 0) & (p < 1), sp.logit(p), 0.0), [array(0, 0.5, 1)], [[0, 4, 0]]
    ),
    "gammaln at a pole": Case(
        lambda x: np.where(x > 0, sp.gammaln(x), 0.0), [array(0, 1)], [[0, -np.euler_gamma]]
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MASKS)
def test_the_gradient_behind_a_mask_is_finite_and_right(name):
    check(MASKS[name])


SECOND = {
    "sqrt": (lambda x: np.where(x > 1, np.sqrt(x - 1), x), array(0, 1, 2), [0, 0, -0.25]),
    "p log p": (lambda p: np.where(p > 0, p * np.log(p), 0.0), array(0, 0.5), [0, 2]),
    "1 / x": (lambda x: np.where(x == 0, 0.0, 1 / x), array(0, 2), [0, 0.25]),
    "overflow": (lambda x: np.where(x > 700, x, np.exp(x)), array(1000, 0), [0, 1]),
    "power": (lambda x: np.where(x > 0, x**1.5, 0.0), array(0, 4), [0, 0.375]),
    "arccos": (
        lambda x: np.where(np.abs(x) < 1, np.arccos(x), 0.0),
        array(1, 0.6, 2),
        [0, -0.6 / 0.8**3, 0],
    ),
    "NaN": (lambda x: np.where(np.isnan(x), 0.0, np.tanh(x) ** 2), array(NAN, 0), [0, 2]),
}


@pytest.mark.parametrize("name", SECOND)
def test_the_hessian_behind_a_mask_is_finite_and_right(name):
    function, x, diagonal = SECOND[name]

    def total(x):
        return np.sum(function(x))

    expected = np.diag(np.array(diagonal, float))
    twice = pb.jacobian(pb.grad(total), mode="reverse")
    graph = pb.trace(pb.hessian(total), x)
    for hessian in (pb.hessian(total), twice, graph, pb.simplify(graph)):
        np.testing.assert_allclose(quiet(hessian, x), expected, rtol=1e-12, atol=1e-14)


def test_a_zero_cotangent_is_as_good_as_a_mask_in_single_precision():
    x = np.array([0.0, 4.0], np.float32)
    found = quiet(pb.grad(lambda x: np.sum(np.where(x > 0, np.sqrt(x), 0))), x)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [0, 0.25])


def test_an_infinite_gradient_that_no_mask_hides_stays():
    assert quiet(pb.grad(np.sqrt), 0.0) == INF
    assert np.isnan(quiet(pb.grad(lambda x: np.sqrt(x**2)), 0.0))
    assert quiet(pb.grad(lambda x: np.sum(np.where(x >= 0, np.sqrt(x), 0))), array(0))[0] == INF


def test_a_computed_zero_annihilates_too_by_the_stated_convention():
    assert quiet(pb.grad(lambda x: np.sqrt(x) ** 2), 0.0) == 0


def test_a_factor_that_passes_through_zero_keeps_its_mixed_derivatives():
    pb.check_grads(lambda x, y: np.sin(x) * np.sinh(x * y) * y, (0.0, 0.0), order=3)
    third = pb.grad(pb.grad(pb.grad(lambda x: x * np.exp(x) * np.square(x))))
    np.testing.assert_allclose(third(0.0), 6.0)
