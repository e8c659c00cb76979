"""Convolution and pooling compiled: the same as interpreted, and nothing is left to NumPy."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from processors import restrict

import pullback as pb
from pullback import nn, random
from pullback.native.contraction import best_tile
from pullback.native.program import NativeProgram
from pullback.native.steps import Contraction
from pullback.nn import functional
from pullback.nn.blocks import resnet_block

AXIS = st.tuples(
    st.integers(1, 9), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3),
    st.integers(0, 2), st.integers(0, 2),
)  # fmt: skip
"""Length, size of the window, stride, dilation, padding before and after."""


def fits(axis):
    length, size, _, dilation, before, after = axis
    return length + before + after > dilation * (size - 1)


def same(function, arrays, tolerance=1e-12):
    """Check that a function gives the same compiled, by loops alone."""
    graph = pb.trace(function, *arrays)
    program = NativeProgram(graph)
    assert not program.lowered.fallbacks
    leaves = pb.tree.leaves(arrays)
    for found, wanted in zip(program(leaves), graph.run(leaves), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)


def with_slopes(function, arguments):
    """Return the value, and the slopes in each argument of its product with random numbers."""

    def both(ct, *arrays):
        value, pull = pb.vjp(function, *arrays)
        return (value, *pull(ct))

    value = function(*arguments)
    ct = np.random.default_rng(1).normal(size=value.shape).astype(value.dtype)
    return both, [ct, *arguments]


@settings(max_examples=60)
@given(
    st.lists(AXIS, min_size=1, max_size=2), st.integers(1, 3), st.integers(1, 2),
    st.sampled_from([(1, 1), (1, 6), (3, 1), (2, 5), (5, 18)]), st.sampled_from(["f4", "f8"]),
)  # fmt: skip
def test_convolutions_with_all_options(axes, samples, groups, channels, dtype):
    assume(all(map(fits, axes)))
    space, size, strides, dilation, before, after = map(tuple, zip(*axes, strict=True))
    rng = np.random.default_rng(0)
    inputs, outputs = channels
    x = rng.normal(size=(samples, *space, inputs * groups)).astype(dtype)
    w = rng.normal(size=(*size, inputs, outputs * groups)).astype(dtype)
    padding = tuple(zip(before, after, strict=True))

    def conv(x, w):
        return functional.conv(
            x, w, strides=strides, padding=padding, dilation=dilation, groups=groups
        )

    same(*with_slopes(conv, [x, w]), 1e-12 if dtype == "f8" else 2e-5)


@pytest.mark.parametrize("channels", [(1, 6), (6, 16), (20, 40), (64, 64)])
def test_shares_of_a_convolution_make_the_whole(channels):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 30, 33, channels[0])).astype(np.float32)
    w = rng.normal(size=(3, 3, *channels)).astype(np.float32)
    function, arrays = with_slopes(lambda x, w: functional.conv(x, w, padding=1), [x, w])
    alone, shared = (pb.compile(function, threads=n)(*arrays) for n in (1, 3))
    for a, b in zip(alone, shared, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("level", ["generic", "x86-64-v3"])
def test_convolutions_on_processors_that_can_do_less(level, monkeypatch):
    restrict(monkeypatch, level)
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(2, 8, 9, 6)), rng.normal(size=(3, 3, 6, 11))
    same(*with_slopes(lambda x, w: functional.conv(x, w, padding=1, strides=2), [x, w]))


@pytest.mark.parametrize("lengths", [(1,), (13,), (32, 32), (5, 30), (28, 28)])
@pytest.mark.parametrize("vectors", [1, 2, 4, 9])
@pytest.mark.parametrize("registers", [15, 30])
def test_tiles_of_windows_fit_into_the_registers(lengths, vectors, registers):
    tile, wide = best_tile(lengths, vectors, registers)
    assert all(1 <= t <= n for t, n in zip(tile, lengths, strict=True))
    assert np.prod(tile) * wide + wide + 1 <= registers


def test_what_reads_a_convolution_is_done_in_its_tiles():
    rng = np.random.default_rng(0)
    x, w, bias = rng.normal(size=(2, 9, 9, 5)), rng.normal(size=(3, 3, 5, 7)), rng.normal(size=7)
    layer = lambda x, w, bias: np.maximum(functional.conv(x, w, bias), 0)  # noqa: E731
    compiled = pb.compile(layer)
    np.testing.assert_allclose(compiled(x, w, bias), layer(x, w, bias), atol=1e-12)
    assert [type(s) for s in compiled._last.steps] == [Contraction]


@settings(max_examples=60)
@given(
    st.lists(AXIS, min_size=1, max_size=2), st.sampled_from([1, 3, 17]),
    st.sampled_from(["max", "avg", "inside"]), st.booleans(),
)  # fmt: skip
def test_pooling_with_all_options(axes, channels, kind, ties):
    assume(all(map(fits, axes)))
    if kind != "max":
        axes = [(n, k, s, 1, a, b) for n, k, s, _, a, b in axes]
    space, size, strides, dilation, before, after = map(tuple, zip(*axes, strict=True))
    padding = tuple(zip(before, after, strict=True))
    assume(all(2 * max(a, b) <= k for (a, b), k in zip(padding, size, strict=True)))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, *space, channels))
    if ties:
        x = np.round(x)

    def pool(x):
        if kind == "max":
            return functional.max_pool(x, size, strides=strides, padding=padding, dilation=dilation)
        inside = kind == "inside"
        return functional.avg_pool(
            x, size, strides=strides, padding=padding, count_padding=not inside
        )

    same(*with_slopes(pool, [x]))


def test_the_greatest_of_a_window_is_its_first_nan():
    x = np.array([1, np.nan, np.nan, 5, -np.inf, -np.inf, 2, 2.0]).reshape(1, 8, 1)
    same(*with_slopes(lambda x: functional.max_pool(x, 2), [x]))
    same(*with_slopes(lambda x: functional.max_pool(x, 4, strides=2, padding=1), [x]))


@pytest.mark.parametrize("dtype", ["i4", "u1", "?", "f2"])
def test_convolutions_of_other_dtypes(dtype):
    x = np.arange(24).reshape(1, 12, 2).astype(dtype)
    w = np.arange(18).reshape(3, 2, 3).astype(dtype)
    f = lambda x, w: functional.conv(x, w, padding=1)  # noqa: E731
    np.testing.assert_array_equal(pb.compile(f)(x, w), f(x, w))


def test_windows_of_many_places():
    x = np.random.default_rng(0).normal(size=(2, 9, 10, 3))
    same(*with_slopes(lambda x: functional.avg_pool(x, (9, 10)), [x]))
    compiled = pb.compile(pb.grad(lambda x: functional.max_pool(x, (9, 10)).sum()))
    np.testing.assert_array_equal(compiled(x).sum(axis=(1, 2)), np.ones((2, 3)))


def test_sequences_convolved():
    a, v = np.arange(7.0), np.array([1.0, -2.0, 4.0])
    same(*with_slopes(np.convolve, [a, v]))


def test_nothing_of_a_residual_block_is_left_to_numpy():
    block = resnet_block(random.key(0), 4, 8, strides=2, dtype=np.float64)
    x = np.random.default_rng(0).normal(size=(2, 6, 6, 4))
    same(pb.grad(lambda block, x: (block(x) ** 2).sum()), [block, x])


def test_nothing_of_lenet_is_left_to_numpy():
    keys = random.split(random.key(0), 3)
    network = nn.Sequential(
        [
            nn.Conv2d.create(keys[0], 1, 6, 5, padding=2, dtype=np.float64),
            nn.Activation("tanh"),
            nn.AvgPool2d(2),
            nn.Conv2d.create(keys[1], 6, 16, 5, dtype=np.float64),
            nn.Activation("relu"),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear.create(keys[2], 400, 10, dtype=np.float64),
        ]
    )
    x, labels = np.random.default_rng(0).normal(size=(3, 28, 28, 1)), np.array([1, 0, 9])
    loss = lambda n, x, t: nn.losses.softmax_cross_entropy(n(x), t)  # noqa: E731
    same(pb.value_and_grad(loss), [network, x, labels])
