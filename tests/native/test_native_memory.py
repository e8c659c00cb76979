"""Memory of compiled functions: what the report says is what a call takes, and budgets count."""

import re

import numpy as np
from memory_peak import peak

import pullback as pb

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2000, 16))
WEIGHTS = [RNG.normal(size=(16, 16)) / 4 for _ in range(32)]


def chain(weights, x):
    for w in weights:
        x = np.tanh(x @ w)
    return np.sum(x)


def planned(compiled):
    return int(re.search(r"memory +([\d,]+) bytes of temp", compiled.report())[1].replace(",", ""))


def test_the_first_run_takes_what_the_report_says_and_later_ones_only_their_results():
    compiled = pb.compile(pb.grad(chain))
    compiled(WEIGHTS, X)
    results = sum(w.nbytes for w in WEIGHTS)
    compiled._called()._pool.clear()
    first = peak(compiled, WEIGHTS, X)
    assert 0.9 * first < planned(compiled) + results < 1.1 * first
    assert peak(compiled, WEIGHTS, X) < results + 20_000


def test_a_budget_holds_down_the_memory_of_compiled_gradients_too():
    plain, small = pb.compile(pb.grad(chain)), pb.compile(pb.grad(chain, memory_budget="3MB"))
    for a, b in zip(small(WEIGHTS, X), plain(WEIGHTS, X), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    assert planned(plain) > 8e6
    assert planned(small) < 4e6


def test_a_softmax_in_strips_needs_no_array_in_between():
    def softmax(x):
        e = np.exp(x - x.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    compiled = pb.compile(softmax)
    compiled(np.ones((640, 500), np.float32))
    assert "memory      0 bytes of temporaries" in compiled.report()
