"""The gradient table: textbook values on every node and edge."""

import numpy as np
import pytest

import pullback as pb


def test_add_distributes_mul_switches_max_routes():
    def f(x, y, z):
        return np.maximum(x * y, z) + z

    graph = pb.trace(f, 1.0, 1.0, 1.0)
    table = pb.backward(graph, 3.0, -4.0, 2.0)
    by_name = {node.op.name: node for node in graph.nodes if node.op}
    product, largest, total = by_name["multiply"], by_name["maximum"], by_name["add"]
    assert table.edges[total, 0] == table.edges[total, 1] == 1.0
    assert table.edges[largest, 0] == 0.0
    assert table.edges[largest, 1] == 1.0
    assert table.edges[product, 0] == 0.0
    z = graph.arguments[2]
    assert table.gradients[z] == 2.0
    assert table.values[total] == 4.0
    table = pb.backward(graph, 3.0, 4.0, 2.0)
    assert (table.edges[product, 0], table.edges[product, 1]) == (4.0, 3.0)


def test_the_table_holds_what_grad_gives():
    def f(w, x):
        return np.sum(np.tanh(x @ w) ** 2)

    rng = np.random.default_rng(0)
    w, x = rng.normal(size=(3, 2)), rng.normal(size=(4, 3))
    graph = pb.trace(f, w, x)
    table = pb.backward(graph, w, x)
    for node, expected in zip(graph.arguments, pb.grad(f, argnums=(0, 1))(w, x), strict=True):
        np.testing.assert_allclose(table.gradients[node], expected)
    for node, gradient in table.gradients.items():
        assert np.shape(gradient) == node.shape


def test_a_result_that_is_no_scalar_needs_its_cotangent():
    graph = pb.trace(lambda x: x * x, np.ones(2))
    with pytest.raises(pb.errors.ShapeError, match="cotangent="):
        pb.backward(graph, np.ones(2))
    table = pb.backward(graph, np.array([1.0, 2.0]), cotangent=np.array([1.0, 10.0]))
    np.testing.assert_array_equal(table.gradients[graph.arguments[0]], [2.0, 40.0])


def test_integer_arguments_take_part_as_constants():
    graph = pb.trace(lambda x, i: np.sum(x[i] * 2.0), np.ones(3), np.array([0, 2]))
    table = pb.backward(graph, np.ones(3), np.array([1, 1]))
    np.testing.assert_array_equal(table.gradients[graph.arguments[0]], [0.0, 4.0, 0.0])
    assert graph.arguments[1] not in table.gradients


def test_dot_shows_forward_values_and_gradients_on_edges():
    graph = pb.trace(lambda x, y: x * y, 1.0, 1.0)
    dot = pb.backward(graph, 3.0, 4.0).to_dot()
    assert "fontcolor=red" in dot
    assert "12" in dot
