"""The backward pass: each edge once, pruned on both sides."""

import numpy as np
import pytest

import pullback as pb


def edges_of_chain(length):
    def f(x):
        for _ in range(length):
            x = np.sin(x)
        return x

    graph = pb.trace(f, 0.5)
    return pb.backward(graph, 0.5).visited_edges


def edges_of_ladder(length):
    """Each rung is used twice, so the paths double while the edges grow linearly."""

    def f(x):
        for _ in range(length):
            x = x * x
        return x

    return pb.backward(pb.trace(f, 1.0), 1.0).visited_edges


@pytest.mark.parametrize("length", [1, 10, 100, 1000])
def test_visited_edges_grow_linearly_with_a_chain(length):
    assert edges_of_chain(length) == length


@pytest.mark.parametrize("length", [1, 10, 40])
def test_visited_edges_count_edges_and_not_paths(length):
    assert edges_of_ladder(length) == 2 * length


def test_edges_to_constants_and_dead_branches_are_not_visited():
    def f(x, y):
        unused = np.exp(x) * y
        return 3.0 * x, unused

    graph = pb.trace(lambda x, y: f(x, y)[0], 1.0, 1.0)
    table = pb.backward(graph, 2.0, 5.0)
    x, y = graph.arguments
    assert table.visited_edges == 1
    assert table.gradients[x] == 3.0
    assert y not in table.gradients


def test_a_long_chain_needs_no_recursion():
    def f(x):
        for _ in range(20_000):
            x = x + 1.0
        return x

    assert pb.grad(f)(1.0) == 1.0


def test_accumulation_does_not_write_into_what_a_rule_returned():
    x = np.array([1.0, 2.0])

    def f(x):
        y = x + x  # both edges carry the same cotangent array
        return np.sum(y * y + y)

    np.testing.assert_allclose(pb.grad(f)(x), 2 * (2 * 2 * x + 1))
    _, pullback = pb.vjp(lambda x: x + x + x, x)
    cotangent = np.array([1.0, 10.0])
    np.testing.assert_array_equal(pullback(cotangent)[0], [3.0, 30.0])
    np.testing.assert_array_equal(cotangent, [1.0, 10.0])
    np.testing.assert_array_equal(pullback(cotangent)[0], [3.0, 30.0])
