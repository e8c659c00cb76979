"""Memory of compiled functions: what the report says is what a call takes, and budgets count."""

import gc
import re
from pathlib import Path

import numpy as np
import pytest
from memory_peak import peak

import pullback as pb
from pullback.native.engine import Compilation
from pullback.passes.liveness import peak_program_bytes

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
    compiled._called().release()
    first = peak(compiled, WEIGHTS, X)
    assert 0.9 * first < planned(compiled) + results < 1.1 * first
    assert peak(compiled, WEIGHTS, X) < results + 20_000


def test_a_budget_holds_down_the_memory_of_compiled_gradients_too():
    plain, small = pb.compile(pb.grad(chain)), pb.compile(pb.grad(chain, memory_budget="3MB"))
    for a, b in zip(small(WEIGHTS, X), plain(WEIGHTS, X), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    assert planned(plain) > 8e6
    assert planned(small) < 4e6


def residual(weights, x):
    for w in weights:
        h = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        x = x + np.maximum(h @ w, 0) @ w.T
    return np.sum(x * x)


def shares(weights, x):
    for w in weights:
        z = x @ w
        e = np.exp(z - z.max(1, keepdims=True))
        x = e / e.sum(1, keepdims=True) + x
    return np.sum(np.log(x * x + 2))


def waves(weights, x):
    for w in weights:
        x = np.sin(x) * np.exp(-x * x * 0.1) + w[0]
    return np.sum(x)


def recurrent(weights, x):
    h = np.zeros_like(x[:200])
    for k in range(200):
        h = np.tanh(h @ weights[0] + x[200 * (k % 10) : 200 * (k % 10) + 200])
    return np.sum(h * h)


@pytest.mark.parametrize("share", [0.7, 0.4])
@pytest.mark.parametrize("function", [chain, residual, shares, waves, recurrent])
def test_temporaries_and_results_of_compiled_gradients_stay_within_the_budget(function, share):
    args = WEIGHTS[:24], X
    gradient = pb.grad(function)
    budget = int(share * peak_program_bytes(pb.trace(gradient, *args)))
    small = pb.compile(pb.grad(function, memory_budget=budget))
    for a, b in zip(small(*args), gradient(*args), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    results = sum(w.nbytes for w in args[0])
    assert planned(small) + results <= budget


def test_weights_of_what_is_computed_again_are_not_copied():
    compiled = pb.compile(pb.grad(chain, memory_budget="3MB"))
    compiled(WEIGHTS, X)
    assert "] = weights[" not in compiled.loops


def test_a_softmax_in_strips_needs_no_array_in_between():
    def softmax(x):
        e = np.exp(x - x.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    compiled = pb.compile(softmax)
    compiled(np.ones((640, 500), np.float32))
    assert "memory      0 bytes of temporaries" in compiled.report()


RESIDENT = Path("/proc/self/statm")
told = pytest.mark.skipif(
    not RESIDENT.exists(), reason="this system does not tell what is resident"
)


def resident():
    return int(RESIDENT.read_text().split()[1]) * 4096


@told
def test_nothing_is_left_of_programs_that_are_gone(monkeypatch):
    monkeypatch.setenv("PULLBACK_CACHE", "off")
    x = RNG.normal(size=(20, 20))

    def compile_some(start):
        for k in range(start, start + 25):
            pb.compile(lambda x, k=k: np.tanh(x @ x + k))(x)
        gc.collect()
        return resident()

    compile_some(0)
    before = compile_some(100)
    assert compile_some(200) - before < 2_000_000  # 5 MB where passes are not freed


@told
def test_numbers_in_a_program_are_forgotten_with_it():
    def compile_numbers(start):
        numbers = ", ".join(f"i64 {k}" for k in range(start, start + 50_000))
        Compilation(f"@numbers = constant [50000 x i64] [{numbers}]").object_file()
        return resident()

    after = [compile_numbers(100_000 * k) for k in range(13)]
    assert after[-1] - after[2] < 12_000_000  # 50 MB where programs share LLVM's tables
