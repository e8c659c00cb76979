"""What a loop has computed, later loops read: the same numbers, and no work done twice."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pullback as pb
from pullback.passes import share_loops, simplify
from pullback.passes.share_loops import loops

RNG = np.random.default_rng(0)
W = RNG.normal(size=(3, 3)) / 2
XS = RNG.normal(size=(7, 3))


def operations(graph, name):
    return [sum(n.op is not None and n.op.name == name for n in body.nodes)
            for body in loops(graph)]  # fmt: skip


def shared(function, *args):
    """The graph before and after, which must give the same."""
    before = simplify(pb.trace(function, *args))
    after = share_loops(before)
    for a, b in zip(pb.tree.leaves(after(*args)), pb.tree.leaves(before(*args)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)
    return before, after


def recurrent(w, xs, reverse=False):
    def step(carry, x):
        h, g = carry
        h = np.tanh(w @ h + x)
        return (h, g * 0.5 + h), h * g

    start = np.zeros(3)
    return pb.scan(step, (start, start), xs, reverse=reverse)


def loss(w, xs, reverse=False):
    (h, g), ys = recurrent(w, xs, reverse)
    return np.sum(ys**2) + np.sum(h * g)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_gradient_runs_forward_once_and_does_not_compute_it_again(reverse):
    before, after = shared(pb.grad(lambda w, xs: loss(w, xs, reverse), (0, 1)), W, XS)
    assert operations(before, "tanh") == [1, 1, 1]
    assert operations(after, "tanh") == [1, 0]
    assert operations(after, "matmul")[0] == 1


def test_second_derivatives_share_too():
    before, after = shared(pb.hessian(loss), W, XS)
    assert sum(operations(after, "tanh")) < sum(operations(before, "tanh")) / 2


def test_loops_of_other_length_start_direction_or_inputs_share_nothing():
    def both(w, xs):
        first = recurrent(w, xs)[1]
        others = [recurrent(w, xs[:-1]), recurrent(w, xs, reverse=True), recurrent(w * 2, xs)]
        return [first, *[ys for _, ys in others]]

    before, after = shared(both, W, XS)
    assert operations(after, "tanh") == operations(before, "tanh") == [1, 1, 1, 1]


def test_a_loop_that_another_repeats_is_gone():
    def twice(w, xs):
        return recurrent(w, xs), recurrent(w, xs)

    _, after = shared(twice, W, XS)
    assert len(loops(after)) == 1


def test_carries_that_begin_alike_and_go_on_otherwise_stay_apart():
    def run(xs, factor):
        return pb.scan(lambda c, x: (c * factor + np.sin(x), c), 0.0, xs)

    def both(xs):
        return run(xs, 0.5), run(xs, 0.25)

    _, after = shared(both, XS[:, 0])
    assert operations(after, "sin") == [1, 0]  # all that is the same


def test_what_would_take_too_much_memory_is_computed_again(monkeypatch):
    monkeypatch.setitem(loops.__globals__, "MOST_BYTES", 7 * 3 * 8 - 1)
    _, after = shared(pb.grad(loss), W, XS)
    assert operations(after, "tanh") == [1, 1]


STEPS = {
    "swap": lambda a, b, x: (b, a, a),
    "grow": lambda a, b, x: (a + x, b * 1.5, a * b),
    "sine": lambda a, b, x: (np.sin(a), a + b, np.exp(-b * b)),
    "mix": lambda a, b, x: (a @ W, b - a, x + b),
    "keep": lambda a, b, x: (a, np.tanh(b + a[0]), x),
}


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=4),
    st.integers(1, 4), st.booleans(),
)  # fmt: skip
def test_random_loops_and_their_derivatives_keep_their_values(names, length, reverse):
    def run(a, xs):
        def step(carry, x):
            p, q = carry
            for name in names:
                p, q, y = STEPS[name](p, q, x)
            return (p, q), y

        (p, q), ys = pb.scan(step, (a, a * 0.5), xs, reverse=reverse)
        return np.sum(p * q) + np.sum(np.tanh(ys))

    shared(pb.value_and_grad(run, (0, 1)), XS[0], XS[:length])
    shared(pb.hessian(run), XS[0], XS[:length])
