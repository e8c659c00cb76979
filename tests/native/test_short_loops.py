"""Loops of a few turns: short reductions are expressions, short last loops are written out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pullback as pb
from pullback.native.loops import Affine, Buffer, Kernel, Load, Reduce, Store, affine
from pullback.native.unroll import unrolled

REDUCTIONS = {"sum": np.sum, "prod": np.prod, "max": np.max, "min": np.min}
DTYPES = (np.float32, np.float64, np.int32, np.uint8, np.bool_, np.complex128, np.float16)


def values(rng, shape, dtype):
    if np.dtype(dtype).kind in "biu":
        return rng.integers(0, 2 if dtype is np.bool_ else 5, shape).astype(dtype)
    return rng.normal(size=shape).astype(dtype)


@settings(max_examples=30, deadline=None)
@given(
    shape=st.lists(st.integers(0, 5), min_size=1, max_size=3),
    name=st.sampled_from(sorted(REDUCTIONS)),
    dtype=st.sampled_from(DTYPES),
    keepdims=st.booleans(),
    data=st.data(),
)
def test_short_reductions_are_those_of_numpy(shape, name, dtype, keepdims, data):
    axes = tuple(data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1)))
    if 0 in shape and name in ("max", "min"):
        return
    x = values(np.random.default_rng(0), shape, dtype)
    expected = REDUCTIONS[name](x, axis=axes, keepdims=keepdims)
    found = pb.compile(lambda x: REDUCTIONS[name](x, axis=axes, keepdims=keepdims))(x)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=2e-3 if dtype is np.float16 else 1e-6)


def test_a_short_sum_shares_the_loop_of_its_readers():
    compiled = pb.compile(lambda x: np.sum(np.sqrt(np.sum(x * x, axis=-1))))
    x = np.random.default_rng(0).normal(size=(50, 3))
    np.testing.assert_allclose(compiled(x), np.sum(np.sqrt(np.sum(x * x, axis=-1))))
    assert compiled.loops.startswith("for i0 < 50:")
    assert "loops       1" in compiled.report()


@pytest.mark.parametrize("special", [np.nan, np.inf, -0.0])
@pytest.mark.parametrize("name", ["max", "min", "sum"])
def test_special_numbers_go_through_short_reductions(name, special):
    x = np.ones((20, 3))
    x[np.arange(9), np.arange(9) % 3] = special
    expected = REDUCTIONS[name](x, axis=1)
    found = pb.compile(lambda x: REDUCTIONS[name](x, axis=1))(x)
    np.testing.assert_array_equal(found, expected)


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 20), m=st.integers(7, 20), last=st.integers(1, 5))
def test_sums_over_the_loops_around_a_short_one_are_those_of_numpy(n, m, last):
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(n, 1, last)), rng.normal(size=(m, last))

    def sums(x, y):
        both = np.exp(x * y)
        return both.sum(axis=1), both.sum(axis=0), both.max(axis=(0, 1)), both.sum()

    for found, expected in zip(pb.compile(sums)(x, y), sums(x, y), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def kernel(*sizes):
    x = Buffer("x", np.dtype(float), int(np.prod(sizes)), "argument")
    rows = Buffer("rows", np.dtype(float), sizes[-1], "arena")
    total = Buffer("total", np.dtype(float), sizes[0], "arena")
    same = Buffer("same", np.dtype(float), x.size, "result")
    here, last = affine(0, {0: sizes[-1], 1: 1}), affine(0, {1: 1})
    value = Load(x, here)
    body = (
        Reduce(rows, last, value, "sum", (1,)),
        Reduce(total, affine(0, {0: 1}), value, "max", (0,)),
        Store(same, here, value),
    )
    return Kernel(sizes, body)


def test_a_short_last_loop_is_written_out():
    assert str(unrolled(kernel(9, 2))).splitlines() == [
        "for i0 < 9:",
        "  rows[0] sum= x[2*i0]",
        "  rows[1] sum= x[2*i0 + 1]",
        "  total[i0] max= maximum(x[2*i0], x[2*i0 + 1])",
        "  same[2*i0] = x[2*i0]",
        "  same[2*i0 + 1] = x[2*i0 + 1]",
    ]


@pytest.mark.parametrize("sizes", [(9, 5), (7, 3), (9, 1)])
def test_other_loops_stay(sizes):
    whole = kernel(*sizes)
    assert unrolled(whole) is whole


def test_a_kernel_of_one_loop_stays():
    x = Buffer("x", np.dtype(float), 3, "argument")
    alone = Kernel((3,), (Store(x, affine(0, {0: 1}), Load(x, Affine())),))
    assert unrolled(alone) is alone
