"""Sorting, searching and running sums compiled: exactly as NumPy does them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pullback as pb
from pullback.native.lower import lower
from pullback.native.program import NativeProgram

DTYPES = ["?", "i1", "u1", "i4", "u8", "i8", "f4", "f8"]
SPECIAL = [np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, -1e-310]


def array(seed, shape, dtype):
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        x = rng.normal(size=shape) * 2
        special = rng.random(shape) < 0.3
        x[special] = rng.choice(SPECIAL, shape)[special]
        return x.astype(dtype)
    info = np.iinfo(dtype) if dtype != "?" else None
    few = rng.integers(0, 2 if info is None else 6, shape)
    if info is None or rng.random() < 0.5:
        return few.astype(dtype)
    return rng.integers(info.min, info.max, shape, dtype, endpoint=True)


def same(function, *args, rtol=0.0):
    graph = pb.trace(function, *args)
    assert not lower(graph).fallbacks or any(a.size == 0 for a in args)  # nothing to pick from
    with np.errstate(all="ignore"):
        wanted, (found,) = np.asarray(function(*args)), NativeProgram(graph)(args)
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    np.testing.assert_allclose(found, wanted, rtol=rtol)


shapes = st.lists(st.sampled_from([0, 1, 2, 3, 7, 65, 100]), min_size=1, max_size=2)


@settings(max_examples=60)
@given(st.integers(0, 999), shapes, st.sampled_from(DTYPES), st.data())
def test_orders_are_those_of_numpy(seed, shape, dtype, data):
    x, axis = array(seed, shape, dtype), data.draw(st.integers(0, len(shape) - 1))
    same(lambda x: np.argsort(x, axis=axis, kind="stable"), x)
    same(lambda x: np.sort(x, axis=axis), x)
    if shape[axis]:
        same(lambda x: np.argmax(x, axis=axis), x)
        same(lambda x: np.argmin(x, axis=axis, keepdims=True), x)
    if x.size:
        same(np.argmax, x)


@settings(max_examples=60)
@given(
    st.integers(0, 999), st.integers(0, 70), shapes, st.sampled_from(DTYPES),
    st.sampled_from(DTYPES), st.sampled_from(["left", "right"]),
)  # fmt: skip
def test_values_go_where_numpy_puts_them(seed, n, shape, first, second, side):
    knots, x = np.sort(array(seed, n, first)), array(seed + 1, shape, second)
    same(lambda knots, x: np.searchsorted(knots, x, side), knots, x)


@settings(max_examples=60)
@given(st.integers(0, 999), shapes, st.sampled_from([*DTYPES, "c8", "c16"]), st.data())
def test_running_sums_and_products_are_those_of_numpy(seed, shape, dtype, data):
    axis = data.draw(st.integers(0, len(shape) - 1))
    if dtype[0] == "c":
        rng = np.random.default_rng(seed)
        x = (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype)
    else:
        x = array(seed, shape, dtype)
    rtol = 2e-5 if dtype in ("f4", "c8") else 1e-12
    same(lambda x: np.cumsum(x, axis=axis), x, rtol=rtol)
    same(lambda x: np.cumprod(x, axis=axis), x, rtol=rtol)


def test_long_rows_are_sorted_by_digits():
    x = array(3, (2, 5000), "f8")
    compiled = pb.compile(lambda x: np.sort(x, axis=1))
    np.testing.assert_array_equal(compiled(x), np.sort(x, axis=1))
    assert "right_shift" in compiled.loops


def test_derivatives_of_running_products_and_sorted_values_compile():
    x = np.random.default_rng(0).normal(size=(4, 9))

    def f(x):
        return np.sum(np.cumprod(x, axis=1) ** 2 + np.sort(np.cumsum(x, axis=0), axis=1) * x)

    compiled = pb.compile(pb.grad(f))
    np.testing.assert_allclose(compiled(x), pb.grad(f)(x), rtol=1e-12)
    assert "by NumPy    nothing" in compiled.report()


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_medians_and_quantiles_compile(dtype):
    x = np.random.default_rng(1).normal(size=(5, 80)).astype(dtype)
    compiled = pb.compile(lambda x: (np.median(x, axis=1), np.quantile(x, 0.3, axis=0)))
    found = compiled(x)
    np.testing.assert_allclose(found[0], np.median(x, axis=1), rtol=1e-6)
    np.testing.assert_allclose(found[1], np.quantile(x, 0.3, axis=0), rtol=1e-5, atol=1e-6)
    assert "by NumPy    nothing" in compiled.report()
