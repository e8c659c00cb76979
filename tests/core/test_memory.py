"""What is claimed of memory holds: who owns it, how long it lives, that partial sums share it."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pullback as pb
from pullback.core.graph import Node
from pullback.core.memory import Arena, is_fresh, is_view
from pullback.core.op import OPS


def sampled_nodes():
    rng = np.random.default_rng(0)
    for op in [op for op in OPS.values() if not isinstance(op.forward, np.ufunc)]:
        for args, params in op.samples(rng):
            inputs = tuple(Node(pb.Aval(np.shape(a), np.asarray(a).dtype)) for a in args)
            yield Node(None, op, inputs, params), args, op.forward(*args, **params)


def shares(out, args):
    outs = out if isinstance(out, tuple) else (out,)
    arrays = [a for a in args if isinstance(a, np.ndarray)]
    return any(np.may_share_memory(o, a) for o in outs for a in arrays)


def test_fresh_values_share_no_memory_and_views_have_none_of_their_own():
    seen = set()
    for node, args, out in sampled_nodes():
        if is_fresh(node):
            assert not shares(out, args), node.op
        elif is_view(node) and isinstance(out, np.ndarray) and out.size:
            assert shares(out, args), node.op
            seen.add(node.op.name)
    assert {"transpose", "broadcast_to", "reshape", "getitem"} <= seen


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 500)), max_size=60))
def test_places_in_an_arena_never_overlap(steps):
    arena = Arena()
    taken = []
    for take, number in steps:
        if take or not taken:
            taken.append((arena.take(number), number))
        else:
            arena.give(*taken.pop(number % len(taken)))
        ends = 0
        for start, size in sorted(taken):
            assert start % 64 == 0
            assert start >= ends
            ends = start + size
        assert ends <= arena.size
    for place in taken:
        arena.give(*place)
    whole = arena.size
    if whole:
        assert arena.take(whole) == 0
        assert arena.size == whole


def test_a_hole_is_filled_before_the_arena_grows():
    arena = Arena()
    first, second, third = arena.take(128), arena.take(64), arena.take(64)
    arena.give(first, 128)
    arena.give(third, 64)
    assert arena.take(64) == third  # the smallest hole that holds it
    assert arena.take(100) == first
    assert second == 128
    assert arena.size == 256


X = np.random.default_rng(0).normal(size=100_000)


def peak(function, *args):
    """Peak of a call, in units of the bytes of `X`."""
    tracemalloc.start()
    try:
        function(*args)
        return tracemalloc.get_traced_memory()[1] / X.nbytes
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("uses", [2, 8, 32])
def test_a_value_used_many_times_has_one_sum_of_partial_gradients(uses):
    def f(x, c):
        total = 0.0
        for i in range(uses):
            total = total + x[i:] @ c[i:]
        return total

    expected = np.zeros_like(X)
    for i in range(uses):
        expected[i:] += X[i:]
    gradient = pb.grad(f)
    np.testing.assert_allclose(gradient(X, X), expected)
    assert peak(gradient, X, X) < 4.5
    graph = pb.trace(gradient, X, X)
    assert peak(graph, X, X) < 4.5


def deep(x):
    for _ in range(20):
        x = np.sum(np.stack([x, x]), axis=0) * 0.5  # no operation that writes into a buffer
    return x


def test_a_program_holds_live_values_only():
    graph = pb.trace(deep, X)
    assert peak(graph, X) < 6
    np.testing.assert_allclose(graph(X), X)


def test_the_tape_is_let_go_of_on_the_way_back():
    """Weights as large as the values: their gradients take the place of what was recorded."""

    def f(scales, x):
        for s in scales:
            x = np.sin(x * s)
        return np.sum(x)

    scales = [X + k for k in range(20)]
    forward, both = peak(lambda: pb.vjp(f, scales, X)), peak(lambda: pb.grad(f)(scales, X))
    assert forward > 40
    assert both < forward + 5
    _, pullback = pb.vjp(f, scales, X)
    assert peak(pullback, 1.0) > 15  # here the tape stays, for the next call
