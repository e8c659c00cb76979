"""Reductions over any axes: the values, and the digits of long float32 sums."""

import itertools

import numpy as np
import pytest

import pullback as pb
from pullback.native import kernel_writer

RNG = np.random.default_rng(0)
SHAPES = [(7,), (1, 5), (8, 3), (19, 33), (16, 64), (5, 9, 17), (3, 1, 4), (2, 8, 3, 5)]
REDUCTIONS = [np.sum, np.max, np.min, np.prod, np.mean, np.any, np.all]


@pytest.fixture(autouse=True, params=[0, kernel_writer.MANY_ELEMENTS])
def fewest_elements_for_several_rows_at_a_time(request, monkeypatch):
    monkeypatch.setattr(kernel_writer, "MANY_ELEMENTS", request.param)


def axes_of(ndim):
    every = range(ndim)
    return [None, *itertools.chain.from_iterable(
        itertools.combinations(every, r) for r in range(1, ndim + 1))]  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, bool])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_reduction_over_every_choice_of_axes(shape, dtype):
    x = (RNG.normal(size=shape) * 3).astype(dtype)
    functions = [f for f in REDUCTIONS if dtype is not bool or f not in (np.prod, np.mean)]
    cases = [(f, axis) for f in functions for axis in axes_of(len(shape))]
    found = pb.compile(lambda x: [f(x, axis=axis) for f, axis in cases])(x)
    for got, (f, axis) in zip(found, cases, strict=True):
        with np.errstate(over="ignore"):
            wanted = f(x, axis=axis)
        np.testing.assert_allclose(
            got, wanted, rtol=2e-5, atol=1e-5, err_msg=f"{f.__name__} over {axis}"
        )


@pytest.mark.parametrize("shape", [(5, 7), (21, 40), (3, 17, 9)])
def test_sums_of_rows_beside_other_work_on_the_same_elements(shape):
    def several(x):
        return x.sum(axis=-2), (x * x).sum(axis=-2), x.max(axis=-2), x.sum(), 2 * x, x.sum(axis=-1)

    x = RNG.normal(size=shape)
    for got, wanted in zip(pb.compile(several)(x), several(x), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-12)
    for got, wanted in zip(pb.compile(lambda x: several(x)[:5])(x), several(x), strict=False):
        np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-12)


def test_nan_goes_through_the_maximum_of_rows():
    x = RNG.normal(size=(20, 12)).astype(np.float32)
    x[3, 5] = x[17, 0] = np.nan
    found = pb.compile(lambda x: (x.max(axis=0), x.min(axis=0), x.max()))(x)
    for got, wanted in zip(found, (x.max(axis=0), x.min(axis=0), x.max()), strict=True):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("count", [1, 3, 16, 67, 150])
def test_nan_at_any_place_is_the_extreme_of_its_row_alone(count, dtype):
    x = np.resize([-np.inf, 1, np.inf, -2], (count + 1, count)).astype(dtype)
    places = range(count)
    x[places, places] = np.where(np.arange(count) % 2, np.nan, -np.nan)
    for got, f in zip(pb.compile(lambda x: (x.max(1), x.min(1)))(x), (np.max, np.min), strict=True):
        np.testing.assert_array_equal(got, f(x, axis=1))


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_long_float32_sums_keep_their_digits(axis):
    x = RNG.random((1 << 10, 1 << 10), np.float32)
    found = pb.compile(lambda x: x.sum(axis=axis))(x)
    np.testing.assert_allclose(found, x.sum(axis=axis, dtype=np.float64), rtol=1e-6)
