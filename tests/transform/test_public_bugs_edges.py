"""Zeros, infinities, ties and tiny numbers: values where other libraries are reported wrong."""

import numpy as np
import pytest
import scipy.special as sp
from gradient_cases import INF, NAN, Case, array, check, quiet

import pullback as pb
from pullback.scipy.special import log_softmax, logsumexp, softmax

TINY = 1e-20

EDGES = {
    # zeros
    "norm at 0": Case(np.linalg.norm, [np.zeros(3)], [[0, 0, 0]]),
    "squared norm at 0": Case(lambda x: np.linalg.norm(x) ** 2, [np.zeros(2)], [[0, 0]]),
    "distance of equal points": Case(
        lambda x, y: np.linalg.norm(x - y), [np.ones(2), np.ones(2)], [[0, 0], [0, 0]]
    ),
    "pairwise distances with their diagonal": Case(
        lambda x: np.linalg.norm(x[:, None] - x[None], axis=-1), [np.array([[0.0], [3.0]])],
        [[[-2], [2]]],
    ),
    "1-norm at 0": Case(lambda x: np.linalg.norm(x, 1), [array(0, -2)], [[0, -1]]),
    "infinity norm of ties": Case(
        lambda x: np.linalg.norm(x, np.inf), [array(2, -2, 1)], [[0.5, -0.5, 0]]
    ),
    "std of a constant": Case(np.std, [np.full(4, 3.0)], [[0, 0, 0, 0]]),
    "var of one element": Case(np.var, [array(3)], [[0]]),
    "var with ddof": Case(lambda x: np.var(x, ddof=1), [array(1, 3)], [[-2, 2]]),
    "sinc at 0": Case(np.sinc, [array(0, 1)], [[0, -1]]),
    "hypot at 0": Case(np.hypot, [0.0, 0.0], [0.0, 0.0]),
    "hypot beside 0": Case(np.hypot, [array(3, 0), array(4, 2)], [[0.6, 0], [0.8, 1]]),
    "prod with a zero": Case(np.prod, [array(2, 0, 3)], [[0, 6, 0]]),
    "prod with two zeros": Case(np.prod, [array(2, 0, 0)], [[0, 0, 0]]),
    "prod of one zero": Case(np.prod, [array(0)], [[1]]),
    "prod with a zero by rows": Case(
        lambda x: np.prod(x, axis=1), [np.array([[0.0, 2.0], [3.0, 4.0]])], [[[2, 0], [4, 3]]]
    ),
    "cumprod with zeros": Case(np.cumprod, [array(2, 0, 3, 0)], [[1, 8, 0, 0]]),
    "cumprod of a zero": Case(np.cumprod, [array(0)], [[1]]),
    "x**2 at 0": Case(lambda x: x**2, [0.0], [0.0]),
    "x**1 at 0": Case(lambda x: x**1, [0.0], [1.0]),
    "x**0 at 0": Case(lambda x: x**0, [0.0], [0.0]),
    "x**2.0 at 0": Case(lambda x: x ** np.float64(2.0), [0.0], [0.0]),
    "(-x)**3": Case(lambda x: x**3, [-2.0], [12.0]),
    "x**y at 0 and 2": Case(np.power, [0.0, 2.0], [0.0, 0.0]),
    "x**y at 0 and 1": Case(np.power, [0.0, 1.0], [1.0, 0.0]),
    "x**y at 0 and 0": Case(np.power, [0.0, 0.0], [0.0, 0.0]),
    "2**x": Case(lambda x: 2.0**x, [0.0], [np.log(2.0)]),
    "0**x": Case(lambda x: 0.0**x, [2.0], [0.0]),
    "integer base of a power": Case(lambda x: 3**x, [0.0], [np.log(3.0)]),
    "xlogy at 0": Case(sp.xlogy, [0.0, 0.0], [0.0, 0.0]),
    "arctan2 on the axes": Case(
        np.arctan2, [array(0, 1), array(1, 0)], [[1, 0], [0, -1]]
    ),
    "arctan2 behind": Case(np.arctan2, [1.0, -1.0], [-0.5, -0.5]),
    # kinks and ties
    "abs at 0": Case(np.abs, [array(-1, 0, 1)], [[-1, 0, 1]]),
    "sign": Case(lambda x: np.sign(x) * x, [array(-2, 0, 3)], [[-1, 0, 1]]),
    "maximum of equals": Case(np.maximum, [1.0, 1.0], [0.5, 0.5]),
    "relu at 0": Case(lambda x: np.maximum(x, 0), [array(-1, 0, 1)], [[0, 0.5, 1]]),
    "max of ties": Case(np.max, [array(1, 3, 3)], [[0, 0.5, 0.5]]),
    "max of ties by rows": Case(
        lambda x: np.max(x, axis=0), [np.array([[1.0, 2.0], [1.0, 0.0]])], [[[0.5, 1], [0.5, 0]]]
    ),
    "min of all equal": Case(np.min, [np.zeros(4)], [np.full(4, 0.25)]),
    "ptp of a constant": Case(np.ptp, [np.ones(2)], [[0, 0]]),
    "median of an even number": Case(np.median, [array(3, 1, 2, 9)], [[0.5, 0, 0.5, 0]]),
    "median of ties": Case(np.median, [array(2, 2, 2)], [[0, 1, 0]]),
    "quantile between elements": Case(
        lambda x: np.quantile(x, 0.25), [array(4, 0, 2)], [[0, 0.5, 0.5]]
    ),
    "sort of ties": Case(lambda x: np.sort(x) * np.arange(3), [np.ones(3)], [[0, 1, 2]]),
    "sort backwards": Case(
        lambda x: np.sort(x)[::-1] * np.arange(1.0, 4), [array(2, 3, 1)], [[2, 1, 3]]
    ),
    "clip at its bounds": Case(
        lambda x: np.clip(x, -1, 1), [array(-2, -1, 0, 1, 2)], [[0, 0.5, 1, 0.5, 0]]
    ),
    "clip with traced bounds": Case(
        np.clip, [array(-2, 0, 2), -1.0, 1.0], [[0, 1, 0], 1, 1]
    ),
    "clip with one bound": Case(lambda x: np.clip(x, None, 1), [array(0, 2)], [[1, 0]]),
    "mod of a negative number": Case(np.mod, [array(-7, 7), array(3, -3)], [[1, 1], [3, 3]]),
    "fmod of a negative number": Case(np.fmod, [-7.5, 3.0], [1.0, 2.0]),
    "% by a number": Case(lambda x: x % 2, [array(-0.5, 3.5)], [[1, 1]]),
    "floor_divide": Case(lambda x: x // 2 + x, [array(5, -5)], [[1, 1]]),
    "floor, ceil, round": Case(
        lambda x: np.floor(x) + np.ceil(x) + np.round(x, 1) + np.trunc(x), [array(1.2)], [[0]]
    ),
    # infinities and far values
    "logaddexp of -inf": Case(np.logaddexp, [-INF, -INF], [1.0, 1.0]),
    "logaddexp of one -inf": Case(np.logaddexp, [-INF, 0.0], [0.0, 1.0]),
    "logaddexp far apart": Case(np.logaddexp, [1000.0, -1000.0], [1.0, 0.0]),
    "logsumexp with -inf": Case(logsumexp, [array(-INF, 0, 0)], [[0, 0.5, 0.5]]),
    "logsumexp of large numbers": Case(logsumexp, [array(1e4, 1e4)], [[0.5, 0.5]]),
    "softmax of large numbers": Case(
        lambda x: softmax(x)[0], [array(1e4, 1e4, 0)], [[0.25, -0.25, 0]]
    ),
    "log_softmax far away": Case(
        lambda x: log_softmax(x)[1], [array(1e4, 0)], [[-1, 1]]
    ),
    "expit far out": Case(sp.expit, [array(-1e3, 0, 1e3)], [[0, 0.25, 0]]),
    "log_expit far out": Case(sp.log_expit, [array(-1e3, 1e3)], [[1, 0]]),
    "tanh far out": Case(np.tanh, [array(-1e3, 1e3)], [[0, 0]]),
    "exp of -inf": Case(np.exp, [array(-INF, 0)], [[0, 1]]),
    "arctan of infinity": Case(np.arctan, [array(INF, 0)], [[0, 1]]),
    "maximum beside -inf": Case(np.maximum, [-INF, 1.0], [0.0, 1.0]),
    "fmax beside NaN": Case(np.fmax, [NAN, 1.0], [0.0, 1.0]),
    # tiny numbers
    "log1p of a tiny number": Case(lambda x: np.log1p(x) / TINY, [TINY], [1 / TINY]),
    "expm1 of a tiny number": Case(lambda x: np.expm1(x) / TINY, [TINY], [1 / TINY]),
    "norm of tiny numbers": Case(np.linalg.norm, [array(3, 4) * 1e-100], [[0.6, 0.8]]),
    "quotient of tiny numbers": Case(np.divide, [TINY, 2 * TINY], [0.5 / TINY, -0.25 / TINY]),
    # complex numbers
    "abs of a complex number": Case(np.abs, [3 + 4j], [0.6 - 0.8j], forward=False),
    "abs of complex 0": Case(np.abs, [0j], [0.0], forward=False),
    "sign of a real number in a complex program": Case(
        lambda x: np.real((1 + 2j) * np.sign(x) * x), [-3.0], [-1.0]
    ),
    "real of a complex square": Case(lambda z: np.real(z**2), [1 + 2j], [2 + 4j], forward=False),
    "angle of a complex number": Case(np.angle, [1j], [-1.0], forward=False),
    "modulus through conj": Case(
        lambda z: np.real(z * np.conj(z)), [1 + 2j], [2 - 4j], forward=False
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EDGES)
def test_the_gradient_at_an_edge_is_right(name):
    check(EDGES[name])


HESSIANS = {
    "x**2 at 0": (lambda x: x**2, 0.0, 2.0),
    "x**3 at 0": (lambda x: x**3, 0.0, 0.0),
    "x**2.0 of an array at 0": (lambda x: x ** np.float64(2.0), 0.0, 2.0),
    "square at 0": (np.square, 0.0, 2.0),
    "sinc at 0": (np.sinc, 0.0, -(np.pi**2) / 3),
    "prod with a zero": (np.prod, array(0, 2, 3), [[0, 3, 2], [3, 0, 0], [2, 0, 0]]),
    "prod with two zeros": (np.prod, array(0, 0, 3), [[0, 3, 0], [3, 0, 0], [0, 0, 0]]),
    "cumprod with a zero": (
        lambda x: np.cumprod(x)[-1], array(0, 2, 3), [[0, 3, 2], [3, 0, 0], [2, 0, 0]]
    ),
    "squared norm at 0": (lambda x: np.sum(x**2), np.zeros(2), 2 * np.eye(2)),
    "logsumexp of equals": (
        logsumexp, np.zeros(2), [[0.25, -0.25], [-0.25, 0.25]]
    ),
    "x**y in x and y": (
        lambda p: p[0] ** p[1], array(1, 2), [[2, 1], [1, 0]]
    ),
    "abs": (lambda x: np.abs(x) * x, 1.0, 2.0),
    "max": (lambda x: np.max(x) ** 2, array(1, 3), [[0, 0], [0, 2]]),
    "relu squared": (lambda x: np.maximum(x, 0) ** 2, 1.5, 2.0),
    "log1p(x**2) at 0": (lambda x: np.log1p(x**2), 0.0, 2.0),
    "var": (np.var, array(1, 3), [[0.5, -0.5], [-0.5, 0.5]]),
}  # fmt: skip


@pytest.mark.parametrize("name", HESSIANS)
def test_the_hessian_at_an_edge_is_right(name):
    function, x, expected = HESSIANS[name]
    graph = pb.trace(pb.hessian(function), x)
    for hessian in (pb.hessian(function), graph, pb.jacobian(pb.grad(function), mode="reverse")):
        np.testing.assert_allclose(quiet(hessian, x), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("ours", [np.sqrt, np.log, np.cbrt, lambda x: x**0.5, np.reciprocal])
def test_an_infinite_slope_is_infinite_and_not_nan(ours):
    assert abs(quiet(pb.grad(ours), 0.0)) == INF


def test_the_origin_of_arctan2_has_no_gradient():
    assert np.isnan(quiet(pb.grad(np.arctan2), 0.0, 0.0))
