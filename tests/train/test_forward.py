"""Outputs for any number of rows: those of the model, in parts of few sizes."""

from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback.core.errors import ShapeError
from pullback.native.program import NativeProgram
from pullback.train import forward
from pullback.train.forward import Forward

MODEL = pb.nn.mlp(pb.random.key(0), [3, 8, 2])
X = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(forward, "ROWS", 32)


@pytest.mark.parametrize("rows", [1, 31, 32, 33, 64, 65, 200])
@pytest.mark.parametrize("worth", [True, False])
def test_each_row_has_its_output_once(rows, worth, small_parts, monkeypatch):
    monkeypatch.setattr(forward, "worth_compiling", lambda graph, times: worth)
    ready = []

    def compiled(graph):
        ready.append(graph)
        return graph.run_by(NativeProgram)

    found = Forward(compiled)(MODEL, X[:rows])
    assert len(ready) == worth
    np.testing.assert_allclose(found, MODEL(X[:rows]), rtol=1e-5, atol=1e-6)


def test_parts_and_times_decide_what_is_worth_compiling(small_parts, monkeypatch):
    asked = []
    monkeypatch.setattr(forward, "worth_compiling", lambda graph, times: asked.append(times))
    run = Forward(lambda graph: graph)
    run(MODEL, X[:100])
    run(MODEL, X[:20], times=7)
    assert asked == [4, 7]


def test_all_large_inputs_share_one_graph(small_parts):
    run = Forward(lambda graph: graph)
    for rows in (33, 64, 100, 150, 32):
        run(MODEL, X[:rows])
    assert len(run._graphs) == 1
    run(MODEL, X[:40].astype(np.float64))
    assert len(run._graphs) == 2


def test_graphs_of_many_sizes_are_not_all_kept(small_parts):
    run = Forward(lambda graph: graph)
    for rows in range(1, 33):
        run(MODEL, X[:rows])
        run(MODEL, X[:rows].astype(np.float64))
    assert len(run._graphs) == forward.SIZES
    np.testing.assert_allclose(run(MODEL, X[:1]), MODEL(X[:1]), rtol=1e-6)


class Reshaped(pb.nn.Module):
    scale: Any
    how: str = pb.nn.static("flat")

    def __call__(self, x):
        y = x * self.scale
        return {"flat": y.reshape(-1), "mean": y.mean(0), "one": y.sum(), "two": (y, y)}[self.how]


@pytest.mark.parametrize(
    ("how", "shapes"), [("flat", r"\(99,\)"), ("mean", r"\(3,\)"), ("one", r"\(\)"),
                        ("two", r"\(33, 3\) and \(33, 3\)")],
)  # fmt: skip
def test_outputs_that_are_not_one_for_each_row_are_refused(how, shapes):
    model = Reshaped(np.ones(3, np.float32), how)
    with pytest.raises(ShapeError, match=rf"for each of 33 rows of inputs, got shape {shapes}; "):
        Forward(lambda graph: graph)(model, X[:33])


class Inverse(pb.nn.Module):
    scale: Any

    def __call__(self, x):
        return self.scale / x


def test_numbers_that_are_not_finite_come_without_a_warning():
    found = Forward(lambda graph: graph)(Inverse(np.ones(1)), np.zeros((4, 1)))
    assert (found == np.inf).all()
