"""Gradients of many parts of an array: each part once, and laid end to end if they are disjoint."""

import numpy as np
import pytest

import pullback as pb
from pullback.passes import join_parts, simplify

RNG = np.random.default_rng(0)


def names(graph):
    return [node.op.name for node in graph.nodes if node.op is not None]


def joined(function, *args, rtol=1e-14):
    """Check that the gradient stays the same, and return its graph."""
    graph = simplify(pb.trace(pb.grad(function), *args))
    found = join_parts(graph)
    for a, b in zip(found.run(args), graph.run(args), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-14)
    return found


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_number_of_an_array_is_added_up_by_itself(dtype):
    def function(p):
        y = p[0]
        for _ in range(3):
            y = np.sin(p[1] * y) + p[0] * p[3]
        return y

    graph = joined(function, RNG.normal(size=4).astype(dtype), rtol=1e-6)
    assert names(graph).count("concatenate") == 1
    assert "scatter_add" not in names(graph)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: sum(np.sum(np.sin(k * x[k])) for k in range(5)),
        lambda x: sum(np.sum(np.sin(k * x[-1 - k])) for k in range(5)),
        lambda x: sum(np.sum(np.sin(k * x[:, k])) for k in range(4)),
        lambda x: sum(np.sum(np.sin(k * x[..., 2 * k : 2 * k + 2])) for k in range(3)),
        lambda x: np.sum(x[1:2] ** 2) + np.sum(x[4:] ** 3) + np.sum(x**2),
    ],
)
def test_parts_along_an_axis_are_laid_end_to_end(function):
    graph = joined(function, RNG.normal(size=(5, 6)))
    assert "scatter_add" not in names(graph)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: sum(np.sum(np.sin(k * x[k : k + 3])) for k in range(3)),
        lambda x: np.sum(x[0] ** 2) + np.sum(x[:, 0] ** 3),
        lambda x: np.sum(x[0, 1] ** 2) + np.sum(x[2, 3] ** 3),
        lambda x: np.sum(x[::2] ** 2) + np.sum(x[1::2] ** 3),
        lambda x: np.sum(x[None, 1] ** 2) + np.sum(x[None, 2] ** 3),
    ],
)
def test_parts_that_overlap_or_lie_otherwise_are_added(function):
    assert "concatenate" not in names(joined(function, RNG.normal(size=(5, 6))))


def test_a_graph_with_nothing_to_join_stays():
    graph = simplify(pb.trace(pb.grad(lambda x: np.sum(x[1] ** 2)), pb.Aval((3, 2), "f8")))
    assert join_parts(graph) is graph


def test_a_sum_that_is_used_twice_is_made_once():
    def function(x):
        a, b = pb.grad(lambda x: x[0] * x[1] ** 2)(x), x[0]
        return np.sum(a * a) + np.sum(a) * b

    joined(function, RNG.normal(size=3))


def test_gradients_of_rows_taken_in_a_loop_are_one_array():
    def function(x):
        h = x[0]
        for row in x[1:]:
            h = np.tanh(h + row)
        return np.sum(h)

    compiled = pb.compile(pb.grad(function))
    x = RNG.normal(size=(80, 3))
    np.testing.assert_allclose(compiled(x), pb.grad(function)(x), rtol=1e-13, atol=1e-14)
    assert len(compiled.graph.nodes) < 40


def test_few_parts_may_wait_and_what_depends_on_none_stays_what_it_is():
    graph = simplify(pb.trace(pb.grad(lambda x: np.sin(x[0]) * np.cos(x[1])), np.ones(2)))
    assert join_parts(graph, fewest=3) is graph
    assert len(set(join_parts(graph).nodes) & set(graph.nodes)) > 5
