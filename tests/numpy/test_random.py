from __future__ import annotations

import warnings

import numpy as np
import pytest

import pullback as pb
from pullback import random
from pullback.core.errors import ConfigError, DTypeError, ShapeError


def test_threefry_matches_the_known_answers_of_the_paper() -> None:
    # The vectors of Random123's kat_vectors file: counter, key -> output.
    known = [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
        ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
    ]
    for counter, key, expected in known:
        words = (np.array([c], np.uint32) for c in counter)
        got = random._threefry(np.array(key, np.uint32), *words)
        assert tuple(int(w[0]) for w in got) == expected


@pytest.fixture(scope="module")
def jax():  # type: ignore[no-untyped-def]
    jax = pytest.importorskip("jax")
    before = jax.config.jax_enable_x64, jax.config.jax_threefry_partitionable
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_threefry_partitionable", True)
    yield jax
    jax.config.update("jax_enable_x64", before[0])
    jax.config.update("jax_threefry_partitionable", before[1])


@pytest.mark.parametrize("seed", [0, 1, 12345, 2**31, 2**40 + 3, -1])
def test_keys_and_their_children_equal_those_of_jax(jax, seed: int) -> None:  # type: ignore[no-untyped-def]
    key, theirs = random.key(seed), jax.random.key(seed)
    data = jax.random.key_data
    np.testing.assert_array_equal(key, data(theirs))
    np.testing.assert_array_equal(random.split(key, 5), data(jax.random.split(theirs, 5)))
    np.testing.assert_array_equal(random.fold_in(key, 9), data(jax.random.fold_in(theirs, 9)))


@pytest.mark.parametrize("shape", [(), (3,), (4, 5), (0, 2)])
@pytest.mark.parametrize("seed", [3, 2**33])
def test_draws_equal_those_of_jax(jax, seed: int, shape: tuple[int, ...]) -> None:  # type: ignore[no-untyped-def]
    key, theirs = random.key(seed), jax.random.key(seed)
    draw = jax.random
    same = np.testing.assert_array_equal
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        for unsigned in (np.uint8, np.uint16, np.uint32, np.uint64):
            same(random.bits(key, shape, unsigned), draw.bits(theirs, shape, unsigned))
        for integer in (np.int8, np.uint8, np.int16, np.int32, np.int64):
            ours = random.randint(key, shape, 3, 99, integer)
            same(ours, draw.randint(theirs, shape, 3, 99, integer))
        for kind in (np.float16, np.float32, np.float64):
            same(random.uniform(key, shape, kind), draw.uniform(theirs, shape, kind))
        ours = random.normal(key, shape, np.float64)
    np.testing.assert_allclose(ours, draw.normal(theirs, shape, np.float64), rtol=1e-12)
    same(random.bernoulli(key, 0.3, shape), draw.bernoulli(theirs, np.float32(0.3), shape))


def test_ranges_of_uniform_and_randint_equal_those_of_jax(jax) -> None:  # type: ignore[no-untyped-def]
    key, theirs = random.key(5), jax.random.key(5)
    np.testing.assert_allclose(
        random.uniform(key, (50,), np.float64, -2, 7),
        jax.random.uniform(theirs, (50,), np.float64, -2, 7),
        atol=1e-14,
    )
    for low, high, kind in [(-5, 2**62, np.int64), (-128, 128, np.int8), (0, 256, np.uint8)]:
        ours = random.randint(key, (50,), low, high, kind)
        np.testing.assert_array_equal(ours, jax.random.randint(theirs, (50,), low, high, kind))
        assert ours.min() >= low
        assert ours.max() < high


@pytest.mark.parametrize("n", [0, 1, 2, 10, 5000])
def test_permutation_equals_that_of_jax(jax, n: int) -> None:  # type: ignore[no-untyped-def]
    ours = random.permutation(random.key(1), n)
    np.testing.assert_array_equal(ours, jax.random.permutation(jax.random.key(1), n))
    np.testing.assert_array_equal(np.sort(ours), np.arange(n))


def test_permutation_of_an_array_moves_whole_rows() -> None:
    rows = np.arange(12).reshape(6, 2)
    order = random.permutation(random.key(4), 6)
    np.testing.assert_array_equal(random.permutation(random.key(4), rows), rows[order])


def test_a_longer_draw_begins_with_the_shorter_one() -> None:
    key = random.key(8)
    np.testing.assert_array_equal(random.bits(key, (9,))[:4], random.bits(key, (4,)))


def test_moments_are_those_of_the_distributions() -> None:
    first, second = random.split(random.key(0))
    u, z = random.uniform(first, (200_000,)), random.normal(second, (200_000,))
    assert u.dtype == z.dtype == np.float32
    assert u.min() >= 0
    assert u.max() < 1
    assert abs(u.mean() - 0.5) < 0.005
    assert abs(u.var() - 1 / 12) < 0.002
    assert abs(z.mean()) < 0.01
    assert abs(z.var() - 1) < 0.02
    assert abs(random.bernoulli(first, 0.3, (100_000,)).mean() - 0.3) < 0.01


def test_bad_arguments_are_named() -> None:
    key = random.key(0)
    with pytest.raises(DTypeError, match="seed: expected an integer, got float"):
        random.key(1.5)  # type: ignore[arg-type]
    with pytest.raises(DTypeError, match="key: expected uint32, got int64"):
        random.bits(np.array([0, 1]))  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match=r"key: .*shape \(2,\), got shape \(3, 2\)"):
        random.bits(random.split(key, 3))
    with pytest.raises(DTypeError, match="dtype: expected an unsigned integer"):
        random.bits(key, (), np.float32)
    with pytest.raises(DTypeError, match="dtype: expected float16"):
        random.uniform(key, (), np.int64)
    with pytest.raises(DTypeError, match="dtype: expected an integer type"):
        random.randint(key, (), 0, 3, np.float32)
    with pytest.raises(ValueError, match="minval < maxval"):
        random.randint(key, (), 3, 3)


DRAWS = {
    "split": lambda k: pb.random.split(k, 3),
    "fold_in": lambda k: pb.random.fold_in(k, 3),
    "bits": lambda k: pb.random.bits(k, (2, 3), np.uint64),
    "uniform": lambda k: pb.random.uniform(k, (3,), np.float64, -1.0, 2.0),
    "normal": lambda k: pb.random.normal(k, (3,)),
    "bernoulli": lambda k: pb.random.bernoulli(k, 0.3, (5,)),
    "permutation": lambda k: pb.random.permutation(k, 5),
    "permutation of rows": lambda k: pb.random.permutation(k, np.arange(6.0).reshape(3, 2)),
    "randint": lambda k: pb.random.randint(k, (3,), 0, 10),
}


@pytest.mark.parametrize("name", DRAWS)
def test_keys_may_be_traced_and_mapped(name):
    draw, key = DRAWS[name], pb.random.key(3)
    np.testing.assert_array_equal(pb.trace(draw, key)(key), draw(key))
    keys = pb.random.split(key, 4)
    np.testing.assert_array_equal(pb.vmap(draw)(keys), np.stack(list(map(draw, keys))))
    np.testing.assert_allclose(pb.compile(draw)(key), draw(key), rtol=1e-6)


def test_a_scan_draws_its_own_numbers():
    def walk(key):
        def step(carry, t):
            place, key = carry
            place = place + pb.random.normal(pb.random.fold_in(key, t), (), np.float64)
            return (place, key), place

        return pb.scan(step, (np.float64(0.0), key), np.arange(4))[1]

    key = pb.random.key(1)
    wanted = np.cumsum(
        [pb.random.normal(pb.random.fold_in(key, t), (), np.float64) for t in range(4)]
    )
    np.testing.assert_allclose(pb.trace(walk, key)(key), wanted)
    np.testing.assert_allclose(walk(key), wanted)


def test_seeds_of_more_than_64_bits_and_dtypes_that_are_none_are_refused():
    assert (random.key(-1) == random.key(2**64 - 1)).all()
    for seed in (2**64, -(2**63) - 1):
        with pytest.raises(ConfigError, match="seed: expected an integer from"):
            random.key(seed)
    with pytest.raises(DTypeError, match="dtype: expected float16, float32 or float64, got 'foo'"):
        random.normal(random.key(0), (2,), "foo")
