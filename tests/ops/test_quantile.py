"""Quantiles by all of NumPy's methods, which move with the elements and with the levels."""

import numpy as np
import pytest
from against_numpy import compare, same_value_and_derivatives

import pullback as pb
from pullback.core.errors import DTypeError, NotDifferentiableError
from pullback.ops.quantile import CONTINUOUS, DISCRETE

RNG = np.random.default_rng(9)
X = RNG.normal(size=(3, 6))
HOLES = np.where(RNG.random(X.shape) < 0.3, np.nan, 0.0)
LEVELS = np.array([0.0, 0.13, 0.5, 0.77, 1.0])


@pytest.mark.parametrize("method", ["linear", *CONTINUOUS, *DISCRETE])
def test_every_method_of_numpy(method):
    for levels in (0.35, LEVELS):
        for axis in (None, 1):
            same_value_and_derivatives(
                lambda x, q=levels, i=axis: np.quantile(x, q, axis=i, method=method), X
            )
            same_value_and_derivatives(
                lambda x, q=levels, i=axis: np.nanquantile(x + HOLES, q, axis=i, method=method), X
            )
    places = np.arange(9.0)
    for level in np.linspace(0, 1, 33):
        out, _ = pb.vjp(lambda x, q=level: np.quantile(x, q, method=method), places)
        compare(out, np.quantile(places, level, method=method))


@pytest.mark.parametrize("method", ["linear", *CONTINUOUS])
def test_quantiles_move_with_their_levels(method):
    inside = np.array([0.27, 0.53, 0.61])
    same_value_and_derivatives(lambda x, q: np.quantile(x, q, axis=1, method=method), X, inside)
    same_value_and_derivatives(lambda q: np.percentile(X, 100 * q, method=method), inside)


def test_the_dtype_is_numpys():
    single = X.astype(np.float32)
    for q in (0.3, np.array([0.3]), np.float32(0.3)):
        out, pull = pb.vjp(lambda x, q=q: np.quantile(x, q), single)
        assert out.dtype == np.quantile(single, q).dtype
        assert pull(np.ones_like(out))[0].dtype == np.float32


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1)])
def test_order_statistics_leave_nan_out(axis):
    same_value_and_derivatives(lambda x: np.nanmedian(x + HOLES, axis=axis), X)
    for q in (0.3, [0.0, 0.45, 1.0], [[0.2, 0.9]]):
        same_value_and_derivatives(lambda x, q=q: np.nanquantile(x + HOLES, q, axis=axis), X)
    same_value_and_derivatives(
        lambda x: np.nanpercentile(x + HOLES, 35, axis=axis, keepdims=True), X
    )


def test_a_slice_of_nan_alone_gives_nan():
    x = np.where(np.arange(3)[:, None] == 1, np.nan, X)
    out, _ = pb.vjp(lambda x: np.nanmedian(x, axis=1), x)
    assert np.isnan(out).tolist() == [False, True, False]
    with pytest.raises(ValueError, match="in every slice"):
        pb.grad(lambda x: x[0, 0] * np.nanargmax(x, axis=1)[0])(x)


def test_wrong_arguments_are_named():
    for call, error, message in [
        (lambda x: np.nanquantile(x, 1.5), ValueError, "from 0 to 1"),
        (lambda x: np.quantile(x, 0.5, method="best"), ValueError, "method: expected one of"),
        (lambda x: np.quantile(x, 0.5, weights=x), NotDifferentiableError, "weights="),
        (lambda x: np.quantile(x + 1j, 0.5), DTypeError, "which have an order"),
    ]:
        with pytest.raises(error, match=message):
            pb.grad(lambda x, call=call: call(x))(X)
