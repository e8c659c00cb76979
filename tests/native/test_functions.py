"""Elementary functions in machine code: how exact they are, and their special values."""

import mpmath
import numpy as np
import pytest
from scipy import special

import pullback as pb

RNG = np.random.default_rng(0)
WORST = {  # units in the last place, in float32 and float64; measured 0.1 to 0.3 below
    "exp": (1.2, 1.2), "exp2": (1.2, 1.3), "expm1": (1.7, 2.1), "log": (1.1, 1.2),
    "log2": (1.3, 1.2), "log10": (1.4, 2.7), "log1p": (1.8, 1.8), "sin": (1.4, 1.3),
    "cos": (1.4, 1.3), "tan": (1.9, 2.0), "sinh": (2.0, 2.3), "cosh": (2.0, 1.7),
    "tanh": (1.4, 1.4), "arcsin": (2.2, 2.1), "arccos": (1.4, 1.4), "arctan": (1.5, 1.7),
    "arcsinh": (1.9, 1.8), "arccosh": (2.3, 2.3), "arctanh": (1.3, 1.8), "cbrt": (1.2, 1.0),
    "expit": (1.8, 1.8), "log_expit": (2.1, 2.1), "erf": (2.0, 1.7), "erfc": (0.6, 3.3),
    "arctan2": (1.8, 1.9), "hypot": (0.6, 1.4), "power": (0.7, 1.4),
}  # fmt: skip
BINARY = ("arctan2", "hypot", "power", "logaddexp")


def function(name):
    return getattr(special, name, None) or getattr(np, name)


def exact(name, args):
    """The function in about twice the digits of its arguments."""
    wide = [x.astype(np.longdouble if x.dtype == np.float64 else np.float64) for x in args]
    if name == "expit":
        e = np.exp(-np.abs(wide[0]))
        return np.where(wide[0] < 0, e, 1) / (1 + e)
    if name == "log_expit":
        return np.minimum(wide[0], 0) - np.log1p(np.exp(-np.abs(wide[0])))
    if name in ("erf", "erfc"):
        f = getattr(mpmath, name)
        texts = [mpmath.nstr(f(float(x)), 22) for x in np.clip(args[0], -40, 40)]
        return np.array([np.longdouble(t) for t in texts])
    return getattr(np, name)(*wide)


def units(found, wanted):
    """How many units in the last place `found` is off; what is the same kind of special is 0."""
    near = wanted.astype(found.dtype)
    same = (found == near) | (np.isnan(found) & np.isnan(near))
    largest = np.isinf(near) & (np.abs(found) == np.finfo(found.dtype).max)
    assert np.all(same | largest | (np.isfinite(found) & np.isfinite(near)))
    known = np.isfinite(near) & np.isfinite(found)
    off = np.abs(found[known].astype(wanted.dtype) - wanted[known])
    return np.max(off / np.spacing(np.abs(near[known])), initial=0)


def everywhere(dtype, count):
    """Numbers of every size, and many of the sizes that are common."""
    whole = np.dtype(f"i{np.dtype(dtype).itemsize}")
    limits = np.iinfo(whole)
    parts = [
        RNG.integers(limits.min, limits.max, count, dtype=whole).view(dtype),
        RNG.uniform(-1.5, 1.5, count), RNG.uniform(-100, 100, count),
        1 + np.exp(RNG.uniform(-16, 3, count)), RNG.normal(size=count) * 1e4,
    ]  # fmt: skip
    return np.concatenate([p.astype(dtype) for p in parts])


def arguments(name, dtype, count):
    x = everywhere(dtype, count)
    if name not in BINARY:
        return (x,)
    y = RNG.permutation(x.reshape(5, -1), axis=1).reshape(-1)
    if name == "power":
        x = np.concatenate([x, np.exp(RNG.normal(0, 2, count)).astype(dtype)])
        y = np.concatenate([y, RNG.normal(0, 10, count).astype(dtype)])
    return x, y


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", WORST)
def test_functions_are_exact_to_the_last_places(name, dtype):
    args = arguments(name, dtype, 300 if name.startswith("erf") else 5_000)
    found = pb.compile(function(name))(*args)
    with np.errstate(all="ignore"):
        assert units(found, exact(name, args)) <= WORST[name][dtype is np.float64]


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in WORST if n not in (*BINARY, "erf", "erfc")])
def test_functions_are_exact_over_all_of_float32(name):
    compiled = pb.compile(function(name))
    for start in range(0, 1 << 32, 1 << 27):
        x = np.arange(start, start + (1 << 27), 67, dtype=np.uint32).view(np.float32)
        with np.errstate(all="ignore"):
            assert units(compiled(x), exact(name, (x,))) <= WORST[name][0]


SPECIAL = np.array(
    [
        np.nan, np.inf, -np.inf, 0.0, -0.0, 1, -1, 2, -2, 3, -3, 0.5, -0.5, 1.5, 1e-40, -1e-40,
        5e-324, 1e-300, 1e300, -1e300, 3e38, -88.0, -104.0, -745.0, 88.8, 710.0, 1e6, -1e10,
    ]
)  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", [*WORST, "logaddexp"])
def test_special_values_are_those_of_the_library(name, dtype):
    with np.errstate(all="ignore"):
        x = np.tile(SPECIAL.astype(dtype), 3)  # in whole vectors and in what is left of them
        args = [a.ravel() for a in np.meshgrid(x, x)] if name in BINARY else [x]
        found, wanted = pb.compile(function(name))(*args), function(name)(*args)
        exactly = units(found, exact(name, args))
    assert exactly <= 5
    zero = (wanted == 0) | np.isinf(wanted)
    np.testing.assert_array_equal(np.signbit(found[zero]), np.signbit(wanted[zero]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
@pytest.mark.parametrize("count", [1, 5, 16, 67])
def test_huge_angles_are_the_librarys(name, dtype, count):
    x = np.resize([0.5, 1e30, -3.0, 7e22, 1e5, -2e9, 1e12, np.inf], count).astype(dtype)
    with np.errstate(all="ignore"):
        found, wanted = pb.compile(function(name))(x), function(name)(x)
    np.testing.assert_array_max_ulp(found, wanted, 4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("donate", [(), 0])
def test_one_huge_angle_among_many_is_found(dtype, threads, donate):
    x = RNG.normal(size=100_003).astype(dtype)
    x[70_001], x[3] = 1e30, np.nan
    wanted = np.sin(x) + 2 * np.cos(x)
    f = pb.compile(lambda x: np.sin(x) + 2 * np.cos(x), threads=threads, donate_argnums=donate)
    np.testing.assert_allclose(f(x), wanted, rtol=1e-5, atol=1e-6)


def test_a_kernel_of_many_functions_is_still_made_of_vectors():
    @pb.compile
    def chain(x):
        for _ in range(3):
            x = np.sin(x) + np.power(np.abs(x) + 1, 0.3) * np.arctan(x) + special.erf(x)
        return x

    x = RNG.normal(size=1000).astype(np.float32)
    np.testing.assert_allclose(chain(x), chain.function(x), rtol=1e-5, atol=1e-6)
    assert "call float @pb_" in chain.llvm
    assert "pb_sin" not in chain.asm  # nothing is called, all is inside of the loop
