"""Strips: loops over the same rows take some rows through all of them before the next."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pullback as pb
from pullback.native import strips


@pytest.fixture
def small(monkeypatch):
    """Strips of two kilobytes, of arrays of any size."""
    monkeypatch.setattr(strips, "LEAST", 0)
    monkeypatch.setattr(strips, "STRIP", 2048)


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def layer_norm(x):
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + 1e-5)


def slope(x):
    return pb.grad(lambda x: np.sum(softmax(x) * np.sin(x)))(x)


def twice(x):
    return softmax(layer_norm(x)), x.sum(axis=0)


def ragged(x):
    return softmax(x[:, 1:]) + layer_norm(x)[:, :-1]


def from_the_last(x):
    return softmax(x[::-1]) + softmax(x)


def of_all(x):
    return softmax(x - x.max()) * x.sum()


FUNCTIONS = (softmax, layer_norm, slope, twice, ragged, from_the_last, of_all)


@settings(max_examples=40, deadline=None)
@given(
    function=st.sampled_from(FUNCTIONS),
    rows=st.integers(1, 24),
    columns=st.integers(2, 40),
    threads=st.integers(1, 2),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_strips_compute_what_whole_arrays_do(function, rows, columns, threads, dtype):
    x = np.random.default_rng(rows).normal(size=(rows, columns)).astype(dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strips, "LEAST", 0)
        patch.setattr(strips, "STRIP", 2048)
        found = pb.compile(function, threads=threads)(x)
    for a, b in zip(pb.tree.leaves(found), pb.tree.leaves(function(x)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4 if dtype is np.float32 else 1e-10, atol=1e-6)


def test_a_softmax_of_many_rows_goes_in_strips():
    x = np.random.default_rng(0).random((640, 500), np.float32)
    compiled = pb.compile(softmax)
    np.testing.assert_allclose(compiled(x), softmax(x), rtol=1e-5)
    assert compiled.loops.startswith("in 64 strips of x, ")
    assert "around strips" in compiled.report()


def test_threads_share_the_strips():
    x = np.random.default_rng(0).random((2000, 512), np.float32)
    alone, shared = (pb.compile(slope, threads=n) for n in (1, 2))
    np.testing.assert_allclose(shared(x), alone(x), rtol=1e-5, atol=1e-7)
    assert "strips" in shared.loops
    assert "threads     2" in shared.report()


@pytest.mark.usefixtures("small")
def test_strips_inside_loops_and_of_donated_arrays():
    x = np.random.default_rng(0).normal(size=(32, 20))

    def turns(x):
        return pb.scan(lambda x, _: (softmax(x) + layer_norm(x), x[0, 0]), x, length=4)

    compiled = pb.compile(turns, donate_argnums=0)
    expected = pb.tree.leaves(turns(x))
    for a, b in zip(pb.tree.leaves(compiled(x.copy())), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)
    assert "strips" in compiled.loops
    change = pb.compile(lambda x: np.tanh(softmax(x)) * x, donate_argnums=0)
    given = x.copy()
    assert change(given) is given
    np.testing.assert_allclose(given, np.tanh(softmax(x)) * x, rtol=1e-10)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.exp(x),  # one loop
        lambda x: (np.exp(x.sum(axis=0)) * x, x.sum()),  # every row needs all rows
        lambda x: np.cumsum(np.exp(x), axis=0),
    ],
    ids=["one loop", "columns", "running sums"],
)
@pytest.mark.usefixtures("small")
def test_what_needs_other_rows_goes_over_whole_arrays(function):
    x = np.random.default_rng(0).normal(size=(40, 30))
    compiled = pb.compile(function)
    for a, b in zip(pb.tree.leaves(compiled(x)), pb.tree.leaves(function(x)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)
    assert "strips" not in compiled.loops


def test_small_arrays_are_gone_over_at_once():
    compiled = pb.compile(softmax)
    compiled(np.ones((64, 500), np.float32))
    assert "strips" not in compiled.loops
