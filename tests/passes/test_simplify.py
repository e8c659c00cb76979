"""Each rule: the text before and after, and equal values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pullback as pb
from pullback.core.op import OPS

X = pb.Aval((3, 4), "f8")


def body(graph):
    """The operations of a graph, one per line, without shapes."""
    lines = str(graph).splitlines()[1:]
    return [line.split("#")[0].strip() for line in lines]


@pytest.mark.parametrize(
    ("function", "after"),
    [
        (lambda x: 2.0 * (x * 3.0), ["a = 6.0 * x", "return a"]),
        (lambda x: x * 1.0, ["return x"]),
        (lambda x: x * np.full((3, 4), 0.5), ["a = 0.5 * x", "return a"]),
        (lambda x: -1.0 * x, ["a = -x", "return a"]),
        (lambda x: np.negative(-x), ["return x"]),
        (lambda x: x - (-x), ["a = x + x", "return a"]),
        (lambda x: x / 4.0, ["a = 0.25 * x", "return a"]),
        (lambda x: x / 3.0, ["a = x / 3.0", "return a"]),
        (lambda x: x.T.T, ["return x"]),
        (lambda x: x.reshape(12).reshape(4, 3), ["a = reshape(x, shape=(4, 3))", "return a"]),
        (lambda x: np.tanh(x) + np.tanh(x), ["a = tanh(x)", "b = a + a", "return b"]),
        (
            lambda x: 3.0 * (x.T @ x[:1, :2].reshape(1, 2).repeat(3, 0)),
            None,
        ),
    ],
)
def test_rules_give_the_expected_graph_and_the_same_values(function, after):
    graph = pb.trace(function, X)
    simple = pb.simplify(graph)
    if after is not None:
        assert body(simple) == after
    x = np.random.default_rng(0).normal(size=(3, 4))
    np.testing.assert_allclose(simple(x), graph(x), rtol=1e-14)


def test_a_scale_moves_to_the_smaller_factor_of_a_product_if_that_is_computed_for_it():
    avals = pb.Aval((50, 2), "f8"), pb.Aval((2, 9), "f8")
    simple = pb.simplify(pb.trace(lambda a, b: 0.1 * (a @ np.tanh(b)), *avals))
    assert body(simple) == ["c = tanh(b)", "d = 0.1 * c", "e = a @ d", "return e"]
    simple = pb.simplify(pb.trace(lambda a, b: 0.1 * (a @ b), *avals))
    assert body(simple) == ["c = a @ b", "d = 0.1 * c", "return d"]


def test_a_product_that_is_used_twice_is_computed_once():
    def f(a, b):
        product = a @ b
        return 0.1 * product, product

    graph = pb.trace(f, pb.Aval((50, 2), "f8"), pb.Aval((2, 9), "f8"))
    assert str(pb.simplify(graph)).count("@") == 1


def test_no_rule_changes_a_dtype_or_a_shape():
    constant = np.full((3, 4), 2.0)  # float64: it widens a float32 argument
    graph = pb.simplify(pb.trace(lambda x: x * constant, pb.Aval((3, 4), "f4")))
    assert graph.results[0].dtype == np.float64
    graph = pb.simplify(pb.trace(lambda x: x * np.ones((3, 4)), pb.Aval((4,), "f8")))
    assert graph.results[0].shape == (3, 4)
    graph = pb.simplify(pb.trace(lambda x: 0.1 * (x * 3.0), pb.Aval((4,), "f4")))
    assert graph.results[0].dtype == np.float32


STEPS = [
    lambda a, b: a * 2.0,
    lambda a, b: 0.25 * a,
    lambda a, b: -a,
    lambda a, b: a - b,
    lambda a, b: a + b,
    lambda a, b: a * b,
    lambda a, b: a / 8.0,
    lambda a, b: np.tanh(a),
    lambda a, b: a.T.T,
    lambda a, b: (a @ b.T) @ b * 0.01,
]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 30), st.integers(0, 30)), max_size=20))
def test_random_graphs_and_their_gradients_keep_their_values(steps):
    def f(x):
        values = [x, np.tanh(x)]
        for kind, i, j in steps:
            values.append(STEPS[kind](values[i % len(values)], values[j % len(values)]))
        return np.sum(np.tanh(values[-1]))

    x = np.random.default_rng(0).normal(size=(3, 4)) * 0.3
    graph = pb.trace(pb.value_and_grad(f), x)
    for found, expected in zip(pb.simplify(graph)(x), graph(x), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_the_product_of_the_chain_rule_is_a_plain_one_beside_a_harmless_constant():
    def slopes(x):
        return pb.grad(lambda x: np.sum(np.where(x > 0, np.exp(x), 0.0) * 3.0))(x)

    graph = pb.simplify(pb.trace(slopes, np.ones(3)))
    assert "chain_product" in {node.op.name for node in graph.nodes if node.op}
    inner = pb.simplify(pb.trace(lambda x: OPS["chain_product"](x, 2.0), np.ones(3)))
    assert [node.op.name for node in inner.nodes if node.op] == ["multiply"]
    kept = pb.simplify(pb.trace(lambda x: OPS["chain_product"](x, np.inf), np.ones(3)))
    np.testing.assert_array_equal(kept(np.array([0.0, 1.0, -1.0])), [0, np.inf, -np.inf])
