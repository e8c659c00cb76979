"""A gradient within a budget: the same numbers, and no more memory than was granted."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_peak import peak

import pullback as pb
from pullback.passes.liveness import live_profile, peak_live_bytes, peak_program_bytes
from pullback.passes.rematerialise import rematerialise, rewrite
from pullback.passes.stretches import Forward

LAYERS, ROWS, WIDTH = 64, 5000, 16
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, WIDTH))
WEIGHTS = [RNG.normal(size=(WIDTH, WIDTH)) / 4 for _ in range(LAYERS)]


def chain(weights, x):
    for w in weights:
        x = np.tanh(x @ w)
    return np.sum(x)


def assert_equal(a, b):
    for x, y in zip(pb.tree.leaves(a), pb.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


PLAIN = peak(pb.grad(chain), WEIGHTS, X)


@pytest.mark.parametrize(("layers", "share"), [(16, 0.45), (16, 0.3)])
def test_a_chain_stays_within_its_budget_with_the_same_gradient(layers, share):
    args = WEIGHTS[:layers], X
    budget = int(peak(pb.grad(chain), *args) * share)
    gradient = pb.grad(chain, memory_budget=budget)
    # what other tests left running may take memory meanwhile
    assert min(peak(gradient, *args) for _ in range(2)) <= budget
    assert_equal(gradient(*args), pb.grad(chain)(*args))


def test_a_fifth_of_the_memory_of_64_layers_takes_at_most_one_more_forward_part():
    graph = pb.trace(pb.value_and_grad(chain), WEIGHTS, X)
    tries = [rematerialise(graph, PLAIN // 5) for _ in range(2)]
    assert min(peak(rewritten, WEIGHTS, X) for rewritten in tries) <= PLAIN // 5
    rewritten = tries[0]

    def products(graph):
        return sum(node.op is not None and node.op.name == "matmul" for node in graph.nodes)

    assert products(rewritten) - products(graph) <= LAYERS  # of about 3 LAYERS


def test_simplifying_does_not_merge_what_is_computed_twice():
    def shares(weights, x):
        for w in weights:
            e = np.exp(x @ w)
            x = e / e.sum(1, keepdims=True) + x
        return np.sum(np.log(x + 2))

    graph = pb.trace(pb.value_and_grad(shares), WEIGHTS[:16], X)
    for share in (0.7, 0.5, 0.3):
        rewritten = rematerialise(graph, int(share * peak_program_bytes(graph)))
        assert peak_live_bytes(pb.simplify(rewritten)) <= peak_live_bytes(rewritten)


def test_more_memory_means_less_work():
    graph = pb.trace(pb.value_and_grad(chain), WEIGHTS, X)
    peaks, sizes = [], []
    for share in (0.1, 0.2, 0.4):
        rewritten = rematerialise(graph, int(PLAIN * share))
        peaks.append(peak_program_bytes(rewritten))
        sizes.append(len(rewritten.nodes))
    assert sorted(peaks) == peaks
    assert sorted(sizes, reverse=True) == sizes


def test_a_budget_that_suffices_leaves_the_graph_as_it_is():
    graph = pb.trace(pb.value_and_grad(chain), WEIGHTS, X)
    assert rematerialise(graph, 2 * PLAIN) is graph


def test_the_error_names_a_budget_that_is_feasible():
    args = WEIGHTS[:32], X
    with pytest.raises(pb.errors.ConfigError, match="memory_budget: expected at least") as error:
        pb.grad(chain, memory_budget="1KB")(*args)
    least = int(re.search(r"at least (\d+) bytes", str(error.value))[1])
    assert least < PLAIN / 10
    assert_equal(pb.grad(chain, memory_budget=least)(*args), pb.grad(chain)(*args))
    with pytest.raises(pb.errors.ConfigError):
        pb.grad(chain, memory_budget=int(0.95 * least))(*args)


def residual(weights, x):
    skip = x
    for w in weights:
        h = np.maximum(x @ w, 0.0)
        x = (x + h * np.exp(-h)) / np.sqrt(1.0 + np.mean(x * x, axis=-1, keepdims=True))
    return np.sum((x * skip) ** 2)


def test_skip_connections_and_norms_stay_within_the_budget():
    args = WEIGHTS[:12], X
    plain = peak(pb.grad(residual), *args)
    gradient = pb.grad(residual, memory_budget=plain // 4)
    assert peak(gradient, *args) <= plain // 4
    assert_equal(gradient(*args), pb.grad(residual)(*args))


def test_cheap_values_are_made_again_before_dear_ones():
    def f(a, b):
        for _ in range(8):
            a = np.tanh(a @ b) * 2.0 + 1.0
            a = a * a
        return np.sum(a)

    args = RNG.normal(size=(200, 200)), RNG.normal(size=(200, 200)) / 14
    graph = pb.trace(pb.value_and_grad(f, (0, 1)), *args)
    rewritten = rematerialise(graph, int(0.8 * peak_program_bytes(graph)))

    def extra(name):
        counts = [sum(n.op is not None and n.op.name == name for n in g.nodes)
                  for g in (graph, rewritten)]  # fmt: skip
        return counts[1] - counts[0]

    assert extra("matmul") == 0
    assert extra("add") + extra("multiply") > 0


STEPS = {
    "add": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "tanh": lambda a, b: np.tanh(a),
    "turn": lambda a, b: np.reshape(a, (-1, 20)).T.reshape(a.shape) + b,
    "sum": lambda a, b: a * np.sum(b) / b.size,
    "parts": lambda a, b: np.concatenate([a[:300], b[300:]]),
}


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 50), st.integers(0, 50)),
        min_size=1,
        max_size=20,
    ),
    st.sampled_from([(2,), (3,), (7,), (2, 2), (3, 2), (2, 2, 2)]),
    st.integers(0, 8),
)
def test_random_programs_keep_their_values_however_they_are_cut(steps, counts, kept):
    def f(x, y):
        values = [x, y]
        for name, i, j in steps:
            values.append(STEPS[name](values[-1 - i % len(values)], values[j % len(values)]))
        return np.sum(np.tanh(values[-1]))

    args = RNG.normal(size=600), RNG.normal(size=600)
    graph = pb.trace(pb.value_and_grad(f, (0, 1)), *args)
    forward = Forward(graph, 1)
    keep = frozenset(forward.worth_keeping()[:kept])
    assert_equal(rewrite(graph, forward, counts, keep)(*args), graph(*args))


def test_the_profile_counts_live_bytes_and_views_once():
    def f(x):
        y = np.exp(x)  # 8000 bytes
        z = np.reshape(y, (10, 100)).T  # views
        w = np.sum(y)
        return np.sum(z, axis=0) + w

    graph = pb.trace(f, pb.Aval((1000,), "f8"))
    profile = dict(zip([n.op.name if n.op else "x" for n in graph.nodes], live_profile(graph),
                       strict=True))  # fmt: skip
    assert profile["x"] == 0
    assert profile["exp"] == profile["reshape"] == profile["transpose"] == 8000
    assert peak_live_bytes(graph) == 8000 + 8 + 80
    assert profile["add"] == 8 + 80 + 80


def test_what_the_plan_says_is_what_a_call_allocates():
    graph = pb.trace(pb.value_and_grad(residual), WEIGHTS[:8], X)
    size = peak_program_bytes(graph)
    assert 0.9 * size < peak(graph, WEIGHTS[:8], X) < 1.1 * size
