"""What is worth compiling: by an estimate, which is made once for a graph."""

import numpy as np

import pullback as pb
from pullback.passes import cost


def test_what_runs_often_is_worth_compiling():
    graph = pb.trace(lambda x: np.tanh(x @ x), pb.Aval((50, 50), "f8"))
    assert not cost.worth_compiling(graph, times=1)
    assert cost.worth_compiling(graph, times=100_000)


def test_a_graph_is_estimated_once(monkeypatch):
    estimated = []
    monkeypatch.setattr(cost, "cost", lambda node: estimated.append(node) or 1e9)
    small, large = (pb.trace(np.tanh, pb.Aval((n,), "f8")) for n in (1, 2))
    for graph in (small, large, small):
        assert cost.worth_compiling(graph, times=0.3)
        assert not cost.worth_compiling(graph, times=0.1)
    assert estimated == [*small.nodes, *large.nodes]
