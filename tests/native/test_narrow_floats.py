"""float16 and bfloat16 compiled: every bit pattern is read, and results rounded, as by NumPy."""

import numpy as np
import pytest

import pullback as pb

ml_dtypes = pytest.importorskip("ml_dtypes")
KINDS = [np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)]
ALL_BITS = np.arange(1 << 16, dtype=np.uint16)


def same(found, wanted):
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    found, wanted = found.astype("f4"), wanted.astype("f4")
    np.testing.assert_array_equal(found, wanted)
    known = ~np.isnan(wanted)
    np.testing.assert_array_equal(np.signbit(found[known]), np.signbit(wanted[known]))


@pytest.mark.parametrize("dtype", KINDS, ids=str)
@pytest.mark.filterwarnings("ignore")
def test_every_number_is_widened_and_rounded_as_by_numpy(dtype):
    every = ALL_BITS.view(dtype)
    same(pb.compile(lambda x: x.astype(np.float32))(every), every.astype("f4"))
    same(pb.compile(lambda x: x.astype(np.float64))(every), every.astype("f8"))
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 1 << 32, 200_000, np.uint32)
    singles = np.concatenate([bits, (ALL_BITS.astype("u4") << 16) + 0x8000]).view("f4")
    near = np.nextafter(every.astype("f4"), np.float32(np.inf))
    halfway = (near + every.astype("f4")) / 2
    for x in (singles, near, halfway):
        same(pb.compile(lambda x: x.astype(dtype))(x), x.astype(dtype))


@pytest.mark.parametrize("dtype", KINDS, ids=str)
@pytest.mark.filterwarnings("ignore")
def test_each_result_is_rounded(dtype):
    rng = np.random.default_rng(1)
    x, y = (rng.choice(ALL_BITS, 5000).view(dtype) for _ in range(2))

    def f(x, y):
        return [x + y, x * y + x, x / y, -x, np.abs(x), np.maximum(x, y), np.where(x > y, x, y),
                np.sqrt(x), x < y, np.isnan(x), np.concatenate([x, y])[::-1]]  # fmt: skip

    compiled = pb.compile(f)
    for found, wanted in zip(compiled(x, y), f(x, y), strict=True):
        same(found, wanted)
    assert "by NumPy    nothing" in compiled.report()


@pytest.mark.parametrize("dtype", KINDS, ids=str)
def test_sums_are_added_up_in_single_precision(dtype):
    x = np.full(3000, 0.1).astype(dtype)
    found = pb.compile(np.sum)(x)
    assert found.dtype == dtype
    np.testing.assert_allclose(float(found), np.sum(x.astype("f8")), rtol=1e-2)


def test_a_layer_computes_with_weights_that_are_rounded():
    rng = np.random.default_rng(2)
    w, x = rng.normal(size=(8, 6)).astype("f4"), rng.normal(size=(4, 8)).astype("f4")

    def loss(w, x):
        y = x.astype(ml_dtypes.bfloat16) @ w.astype(ml_dtypes.bfloat16)
        return np.sum(np.tanh(y) ** 2)

    compiled = pb.compile(pb.grad(loss))
    found, wanted = compiled(w, x), pb.grad(loss)(w, x)
    assert np.any(wanted)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=1e-2, atol=1e-2)
    assert "by NumPy    nothing" in compiled.report()


def test_stored_weights_of_16_bits_have_gradients_of_16_bits():
    w = np.arange(6).astype(ml_dtypes.bfloat16)
    for differentiate in (pb.grad, lambda f: pb.compile(pb.grad(f))):
        got = differentiate(lambda w: np.sum(w.astype(np.float32) ** 2))(w)
        assert got.dtype == ml_dtypes.bfloat16
        np.testing.assert_array_equal(got.astype("f4"), 2 * w.astype("f4"))
