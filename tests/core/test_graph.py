"""The graph: its text, its pictures, and the questions it answers."""

import copy
import pickle
import weakref

import numpy as np
import pytest

import pullback as pb
from pullback.core.graph import Graph, Node, remembered


def neuron(w, x):
    return np.tanh(x @ w)


@pytest.fixture
def graph():
    return pb.trace(neuron, pb.Aval((3,), "f8"), pb.Aval((2, 3), "f8"))


def test_text_names_arguments_operations_shapes_and_results(graph):
    assert str(graph) == (
        "neuron(w: f64[3], x: f64[2,3]):\n"
        "  a = x @ w    # f64[2]\n"
        "  b = tanh(a)  # f64[2]\n"
        "  return b"
    )


def test_operation_inputs_and_consumers_answer_as_in_the_textbook(graph):
    w, x = graph.arguments
    product, activation = graph.nodes[2:]
    assert graph.operation(w) is None
    assert graph.operation(product).name == "matmul"
    assert graph.inputs(product) == (x, w)
    assert graph.consumers(w) == (product,)
    assert graph.consumers(activation) == ()
    assert graph.results == (activation,)


def test_a_graph_computes_what_the_function_computes(graph):
    rng = np.random.default_rng(0)
    w, x = rng.normal(size=3), rng.normal(size=(2, 3))
    np.testing.assert_array_equal(graph(w, x), neuron(w, x))


def test_a_graph_is_differentiable_as_a_function(graph):
    rng = np.random.default_rng(0)
    w, x = rng.normal(size=3), rng.normal(size=(2, 3))
    found = pb.grad(lambda w: graph(w, x).sum())(w)
    np.testing.assert_allclose(found, pb.grad(lambda w: neuron(w, x).sum())(w))


def test_the_gradient_of_a_graph_is_a_graph_and_so_is_its_gradient():
    f = pb.trace(lambda x: np.sum(np.sin(x) * x), pb.Aval((3,), "f8"))
    first = pb.grad(f)
    assert isinstance(first, pb.Graph)
    x = np.array([0.1, 0.2, 0.3])
    np.testing.assert_allclose(first(x), np.cos(x) * x + np.sin(x))
    second = pb.grad(pb.trace(lambda x: first(x).sum(), pb.Aval((3,), "f8")))
    np.testing.assert_allclose(second(x), 2 * np.cos(x) - x * np.sin(x))


def test_nodes_that_the_result_does_not_need_are_left_out():
    def f(x):
        np.exp(x)
        return x + 1

    graph = pb.trace(f, 1.0)
    assert [n.op.name for n in graph.nodes if n.op] == ["add"]


def test_nodes_stand_in_the_order_that_is_given():
    graph = pb.trace(lambda x: np.sin(x) + np.cos(x), pb.Aval((), "f8"))
    x, sine, cosine, total = graph.nodes
    given = [cosine, sine, Node(x.aval, sine.op, (x,)), total]
    again = Graph(graph.arguments, graph.results, graph.in_tree, graph.out_tree, nodes=given)
    assert again.nodes == (x, cosine, sine, total)
    assert again(0.5) == graph(0.5)


def test_dot_holds_every_node_and_edge(graph):
    dot = graph.to_dot()
    assert dot.startswith("digraph {")
    assert dot.count("->") == 4
    assert 'label="@"' in dot


def test_pytree_arguments_are_named_by_their_path():
    graph = pb.trace(lambda p: p["w"] * p["b"][0], {"w": 1.0, "b": [2.0]})
    assert [n.name for n in graph.arguments] == ["p['b'][0]", "p['w']"]
    assert graph({"w": 3.0, "b": [5.0]}) == 15.0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((np.ones(4), np.ones((2, 3))), r"argument 'w'.*expected f64\[3\], got f64\[4\]"),
        ((np.ones(3, "f4"), np.ones((2, 3))), r"expected f64\[3\], got f32\[3\]"),
        ((np.ones(3),), "structure"),
    ],
)
def test_another_signature_is_refused(graph, args, message):
    with pytest.raises(pb.errors.PullbackError, match=message):
        graph(*args)


def test_constants_are_copied_when_the_caller_may_change_them():
    c = np.array([1.0, 2.0])
    graph = pb.trace(lambda x: x * c, pb.Aval((2,), "f8"))
    c[:] = 0
    np.testing.assert_array_equal(graph(np.ones(2)), [1.0, 2.0])


def test_a_constant_result_is_fresh_at_every_call():
    graph = pb.trace(lambda x: np.arange(3.0), 1.0)
    first = graph(1.0)
    first[:] = 7
    np.testing.assert_array_equal(graph(1.0), [0.0, 1.0, 2.0])


def test_a_branch_on_a_traced_value_names_the_line_and_the_remedy():
    def f(x):
        return x if x > 0 else -x

    with pytest.raises(pb.errors.TracerError, match=r"bool\(\).*test_graph.py, line \d+.*np.where"):
        pb.trace(f, 1.0)


def test_names_go_on_after_z():
    def f(x):
        for _ in range(30):
            x = x + 1.0
        return x

    names = [n.name for n in pb.trace(f, pb.Aval((), "f8")).nodes if n.op]
    assert len(set(names)) == 30
    assert "aa" in names


def test_a_long_graph_is_pickled_and_copied():
    def f(x):
        for _ in range(2000):
            x = np.sin(x) + 0.01
        return {"out": x}

    graph = pb.trace(f, 0.5)
    for other in (pickle.loads(pickle.dumps(graph)), copy.deepcopy(graph)):
        assert str(other) == str(graph)
        assert other(0.3) == graph(0.3)


def test_a_graph_with_rules_of_the_user_is_not_pickled_as_something_else():
    @pb.custom_jvp
    def exp(x):
        return 2.0 * x

    exp.defjvp(lambda primals, tangents: (2.0 * primals[0], 2.0 * tangents[0]))
    with pytest.raises(pickle.PicklingError, match="'exp' has rules of the user's own"):
        pickle.dumps(pb.trace(exp, 0.5))


def test_what_is_remembered_of_a_graph_is_made_once_and_does_not_keep_it_alive(uncollected):
    made = []

    @remembered
    def length(first, factor):
        made.append(first[1:])
        return factor * len(first[0].nodes)

    one, two = (pb.trace(neuron, np.ones(3), np.ones((2, 3))) for _ in range(2))
    found = [length((g, k), factor) for g in (one, two) for k in (1, 2, 1) for factor in (1, 10)]
    assert found == [4, 40] * 6
    assert len(made) == 8
    there = weakref.ref(one)
    del one
    assert there() is None
