"""Products of stacks with one matrix, and sums of products, become one of the same value."""

import numpy as np
import pytest

import pullback as pb
from pullback.passes import flat_products, optimise

RNG = np.random.default_rng(0)
W = RNG.normal(size=(4, 3))


def products(function, *args):
    """The shapes of the products before and after, of graphs that give the same."""
    before = pb.simplify(pb.trace(function, *args))
    after = flat_products(before)
    for a, b in zip(pb.tree.leaves(after(*args)), pb.tree.leaves(before(*args)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
        assert (np.shape(a), a.dtype) == (np.shape(b), b.dtype)
    for a, b in zip(pb.tree.leaves(pb.compile(function)(*args)), pb.tree.leaves(before(*args)),
                    strict=True):  # fmt: skip
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    return [[node.shape for node in graph.nodes if node.op is not None and node.op.name == "matmul"]
            for graph in (before, after)]  # fmt: skip


@pytest.mark.parametrize("stack", [(5,), (5, 2), (1,), (0,), (5, 0), (1, 1, 2)])
def test_rows_of_a_stack_are_those_of_one_matrix(stack):
    x, b = RNG.normal(size=(*stack, 6, 4)), RNG.normal(size=3)
    rows = int(np.prod(stack)) * 6
    before, after = products(lambda x, w, b: np.tanh(x @ w + b), x, W, b)
    assert (before, after) == ([(*stack, 6, 3)], [(rows, 3)])


@pytest.mark.parametrize("stack", [(5,), (5, 2), (1,), (0,)])
def test_the_slopes_of_shared_weights_are_one_product_each(stack):
    def loss(w, v, x):
        return np.sum(np.tanh(np.tanh(x @ w) @ v) ** 2)

    v, x = RNG.normal(size=(3, 2)), RNG.normal(size=(*stack, 6, 4))
    rows = int(np.prod(stack)) * 6
    _, after = products(pb.grad(loss, argnums=(0, 1)), W, v, x)
    assert sorted(after) == sorted([(rows, 3), (rows, 2), (rows, 3), (4, 3), (3, 2)])


def test_steps_that_come_first_are_moved_once():
    def loss(w, x):
        return np.sum(np.tanh(np.moveaxis(x, -2, 0) @ w) ** 2)

    _, after = products(pb.grad(loss), W, RNG.normal(size=(5, 6, 4)))
    assert sorted(after) == [(4, 3), (30, 3)]


X, Y = RNG.normal(size=(5, 6, 4)), RNG.normal(size=(5, 6, 3))


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (lambda x, y: x.swapaxes(1, 2) @ y, (X, Y)),
        (lambda x, y: np.sum(x.swapaxes(1, 2) @ y, axis=1), (X, Y)),
        (lambda x, y: np.sum(x.swapaxes(1, 2) @ y, axis=0), (X, Y[:1])),
        (lambda x, y: np.sum(x @ y, axis=0), (X, RNG.normal(size=(5, 4, 6)))),
        (lambda x, w: w.T @ x.swapaxes(1, 2), (X, W)),
        (lambda x, w: x.swapaxes(1, 2) @ w, (X, RNG.normal(size=(6, 2)))),
        (lambda x, v: x @ v, (X, W[:, 0])),
        (lambda x, w: x @ w, (X[0], W)),
    ],
)
def test_other_products_stay(function, args):
    before, after = products(function, *args)
    assert before == after


@pytest.mark.parametrize("dtype", [bool, np.int8, np.int32, np.uint16])
def test_sums_that_are_wider_than_their_products_stay(dtype):
    x, y = np.ones((300, 6, 4), dtype), np.ones((300, 6, 3), dtype)
    before, after = products(lambda x, y: np.sum(x.swapaxes(1, 2) @ y, axis=0), x, y)
    assert before == after == [(300, 4, 3)]


@pytest.mark.parametrize("more", [lambda p: p, np.tanh])
def test_products_that_something_else_needs_are_added_up(more):
    def function(x, y):
        p = x.swapaxes(1, 2) @ y
        return np.sum(p, axis=0), more(p)

    before, after = products(function, X, Y)
    assert before == after


def test_what_reads_a_product_of_a_stack_is_joined_with_it():
    x, b = RNG.normal(size=(8, 16, 64)), RNG.normal(size=32)
    run = pb.compile(lambda x, w, b: np.tanh(x @ w + b))
    run(x, RNG.normal(size=(64, 32)), b)
    assert run.loops.count("for ") == 1, run.loops


def test_loops_of_python_over_such_products_can_be_compiled():
    def steps(w, x):
        for _ in range(30):
            x = np.tanh(x @ w)
        return np.sum(x)

    w, x = RNG.normal(size=(4, 4)), RNG.normal(size=(3, 2, 4))
    graph = optimise(pb.trace(pb.grad(steps), w, x))
    np.testing.assert_allclose(graph(w, x), pb.grad(steps)(w, x), rtol=1e-9)
    np.testing.assert_allclose(pb.compile(pb.grad(steps))(w, x), pb.grad(steps)(w, x), rtol=1e-9)
