"""Arrays that lie across each other are gone through in squares, with the same numbers."""

import re

import numpy as np
import pytest

import pullback as pb
from pullback.native import squares, team

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(squares, "LARGE", 64)
    monkeypatch.setattr(squares, "MANY_LINES", 8)


def sizes(run):
    """The turns of the first loops."""
    return [int(n) for n in re.findall(r"i\d+ < (\d+)", run.loops.splitlines()[0])]


def compiled(function, *args, **options):
    run = pb.compile(function, **options)
    for found in (run(*args), run(*args)):  # the second time into other memory
        for a, b in zip(pb.tree.leaves(found), pb.tree.leaves(function(*args)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)
            assert a.dtype == b.dtype
    return run


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "c16", "?"])
@pytest.mark.parametrize(
    ("shape", "turns"),
    [
        ((64, 120), [2, 1, 60, 64]),
        ((96, 40), [1, 2, 40, 48]),
        ((33, 24), [1, 1, 24, 33]),
        ((13, 64), [1, 1, 64, 13]),
        ((67, 64), [64, 67]),  # 67 rows do not fall into equal edges
    ],
)
def test_transposes_are_written_in_squares(shape, turns, dtype):
    x = (RNG.normal(size=shape) * 9).astype(dtype)
    run = compiled(lambda x: x.T.copy(), x)
    assert sizes(run) == turns or dtype == "c16"  # whose numbers lie in pairs


def test_lines_that_share_places_in_the_cache_come_in_narrow_squares():
    x = RNG.normal(size=(64, 256)).astype(np.float32)
    assert sizes(compiled(lambda x: x.T * 2, x)) == [4, 4, 64, 16]


def test_lines_that_stay_in_the_cache_are_left_alone(monkeypatch):
    monkeypatch.setattr(squares, "MANY_LINES", 65)
    x = RNG.normal(size=(64, 80))
    assert sizes(compiled(lambda x: x.T * 2, x)) == [80, 64]


def test_what_lies_along_is_read_beside_it():
    x, y = RNG.normal(size=(64, 48)), RNG.normal(size=(48, 64))
    run = compiled(lambda x, y: (np.tanh(x.T) + y, y - x.T + np.arange(64)), x, y)
    assert sizes(run) == [1, 1, 48, 64]


def test_stacks_of_matrices():
    x = RNG.normal(size=(3, 24, 40))
    assert sizes(compiled(lambda x: x.swapaxes(1, 2) + 1, x)) == [3, 1, 1, 40, 24]
    compiled(lambda x: np.moveaxis(x, 0, -1) * 2, x)
    compiled(lambda x: x.T * 2, x)


def test_sums_running_sums_and_gathers_stay():
    x = RNG.normal(size=(64, 64))
    order = RNG.permutation(64)
    for function in (
        lambda x: np.sum(x.T * x, axis=1),
        lambda x: np.cumsum(x.T, axis=1),
        lambda x: x[order].T + x,
        lambda x: x + 1,
    ):
        assert len(sizes(compiled(function, x))) < 4


def test_a_donated_array_is_read_before_it_is_written():
    x, y = RNG.normal(size=(2, 64, 64))
    wanted = x + y.T
    step = pb.compile(lambda x, y: x + y.T, donate_argnums=0)
    assert step(x, y) is x
    np.testing.assert_array_equal(x, wanted)
    wanted = x + x.T
    step = pb.compile(lambda x: x + x.T, donate_argnums=0)
    np.testing.assert_array_equal(step(x), wanted)


def test_threads_share_the_squares(monkeypatch):
    monkeypatch.setattr(team, "SHARED_EFFORT", 0)
    monkeypatch.setattr(team, "LEAST_EFFORT", 0)
    compiled(lambda x: x.T * 2, RNG.normal(size=(96, 200)), threads=2)
