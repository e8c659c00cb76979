"""Sums of products over the turns of a loop become one product; anything else stays as it is."""

import numpy as np
import pytest

import pullback as pb
from pullback.passes import optimise, sum_outside

RNG = np.random.default_rng(0)
U, V = RNG.normal(size=(5, 2, 9)), RNG.normal(size=(5, 2, 8))


def carries(graph):
    return [node.params["step"].carries for node in graph.nodes
            if node.op is not None and node.op.name == "scan"]  # fmt: skip


def changed(function, *args):
    """The carries before and after, of graphs that give the same."""
    before = pb.simplify(pb.trace(function, *args))
    after = sum_outside(before)
    for a, b in zip(pb.tree.leaves(after(*args)), pb.tree.leaves(before(*args)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    return carries(before), carries(after)


def test_the_product_is_made_of_inputs_and_of_what_the_loop_stacks():
    def run(u, v):
        def step(c, x):
            total, h = c
            h = np.tanh(h + x[1])
            return (x[0].T @ h + total, h), None

        return pb.scan(step, (np.ones((9, 8)), v[0]), (u, v))[0]

    assert changed(run, U, V) == ([2], [1])
    assert changed(lambda u, v: run(u[::-1], v * 2), U, V) == ([2], [1])


@pytest.mark.parametrize(
    "step",
    [
        lambda c, x: (c * 0.5 + x[0].T @ x[1], None),  # no plain sum
        lambda c, x: (c + x[0].T @ x[1], c),  # seen at every turn
        lambda c, x: (c + x[0].T @ (x[1] + c[0]), None),  # made of itself
        lambda c, x: (c + x[0].T[:, :1] * x[1][:1], None),  # no product of matrices
    ],
)
def test_other_carries_stay(step):
    before, after = changed(lambda u, v: pb.scan(step, np.ones((9, 8)), (u, v)), U, V)
    assert before == after == [1]


def test_factors_larger_than_the_product_are_not_stacked():
    wide = RNG.normal(size=(5, 40, 3)), RNG.normal(size=(5, 40, 3))
    step = lambda c, x: (c + x[0].T @ x[1], None)  # noqa: E731
    before, after = changed(lambda u, v: pb.scan(step, np.ones((3, 3)), (u, v))[0], *wide)
    assert before == after


def test_slopes_of_a_recurrent_network_leave_the_backward_loop():
    def loss(w, u, xs):
        return np.sum(pb.scan(lambda h, x: (np.tanh(h @ w + x @ u), h), xs[0] @ u, xs)[1] ** 2)

    args = RNG.normal(size=(30, 30)) / 6, RNG.normal(size=(20, 30)), RNG.normal(size=(7, 4, 20))
    graph = optimise(pb.trace(pb.grad(loss, (0, 1)), *args))
    assert carries(graph) == [1, 1]
    for a, b in zip(graph(*args), pb.grad(loss, (0, 1))(*args), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


def test_what_the_loop_stacks_anyway_is_not_stacked_twice():
    def run(u, v):
        def step(total, x):
            y = np.tanh(x[1])
            return x[0].T @ y + total, y

        return pb.scan(step, np.ones((9, 8)), (u, v))

    assert changed(run, U, V) == ([1], [0])
    (loop,) = [n for n in sum_outside(pb.simplify(pb.trace(run, U, V))).nodes
               if n.op is not None and n.op.name == "scan"]  # fmt: skip
    assert len(loop.aval) == 1
