"""The values where arithmetic has corners, in every pair and dtype: compiled as interpreted."""

import numpy as np
import pytest

import pullback as pb
from pullback.core.errors import DTypeError
from pullback.core.op import OPS
from pullback.native.program import NativeProgram
from pullback.native.scalar import SCALARS

COUNT = {
    name: len(next(iter(OPS[name].samples(np.random.default_rng(0))))[0])
    for name in SCALARS
    if name in OPS
}
EXTREMES = {"maximum", "minimum", "fmax", "fmin"}  # of 0 and -0 either is right


def corners(dtype):
    """Zeros of both signs, infinities, NaN, the largest and smallest numbers, and some between."""
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return np.array([False, True])
    if dtype.kind == "f":
        about = np.finfo(dtype)
        positive = [
            0, 1, 2, 3, 0.5, 1e-3, 7.25, 88, 1e5, about.max, about.tiny, about.smallest_subnormal,
            about.eps, 1 + about.eps, 2.0**31, 2.0**53, 2.0**63, np.inf, np.nan,
        ]  # fmt: skip
        return np.array([sign * x for x in positive for sign in (1, -1)], dtype)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    some = {-7, -3, -2, -1, 0, 1, 2, 3, 7, 8, 31, 32, 63, 64, low, low + 1, high // 2, high}
    return np.array(sorted(x for x in some if low <= x <= high), dtype)


@pytest.mark.parametrize("dtype", ["f4", "f8", "?", "i1", "i4", "i8", "u1", "u8"])
@pytest.mark.parametrize("name", sorted(name for name in COUNT if COUNT[name] < 3))
@pytest.mark.filterwarnings("ignore")
def test_corner_values_are_those_of_the_interpreter(name, dtype):
    values = corners(dtype)
    pairs = (
        [values]
        if COUNT[name] == 1
        else [np.repeat(values, values.size), np.tile(values, values.size)]
    )
    if name == "power" and values.dtype.kind == "i":
        pairs[1] = np.maximum(pairs[1], 0)  # others NumPy refuses
    params = next(iter(OPS[name].samples(np.random.default_rng(0))))[1]
    try:
        graph = pb.trace(lambda *xs: OPS[name](*xs, **params), *pairs)
    except DTypeError:
        pytest.skip("no version of the operation takes this dtype")
    with np.errstate(all="ignore"):
        (wanted,), (found,) = graph.run(pairs), NativeProgram(graph)(pairs)
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))
    if wanted.dtype in ("f4", "f8"):
        known = ~np.isnan(wanted)
        if name not in EXTREMES:
            np.testing.assert_array_equal(np.signbit(found[known]), np.signbit(wanted[known]))
        # log(exp(x) + exp(y)) may lose digits where it is about 0
        exact = known & (np.abs(wanted) > 0.1) if name == "logaddexp" else known
        np.testing.assert_array_max_ulp(found[exact], wanted[exact], 5)
        np.testing.assert_allclose(found[known], wanted[known], rtol=1e-5)
    else:
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * 10**30,
        lambda x: x / 10**25 - 2**64,
        lambda x: np.maximum(x, -(10**20)),
        lambda x: np.where(x > 1, 10**25, x),
        lambda x: (x < 10**25) * x,
        lambda x: x + 2**63,
    ],
)
def test_python_integers_of_any_size_count_as_in_numpy(function):
    x = np.arange(3.0)
    np.testing.assert_array_equal(pb.compile(function)(x), function(x))
    np.testing.assert_array_equal(pb.trace(function, x)(x), function(x))


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_of_numpys_loops_is_raised_as_it_is(threads):
    power = pb.compile(lambda x: x**-1, threads=threads)
    with pytest.raises(ValueError, match="negative integer powers"):
        power(np.arange(1, 4))
    np.testing.assert_array_equal(pb.compile(lambda x: x**2)(np.arange(3)), [0, 1, 4])
