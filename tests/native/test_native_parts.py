"""Large reductions to one number: in parts that threads share, and the same number."""

import numpy as np
import pytest

import pullback as pb

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 400))
CASES = {
    "a sum": lambda x: np.sum(x * x),
    "a mean and a largest": lambda x: (np.mean(np.exp(x)), np.max(x), np.min(x)),
    "a sum beside what is stored": lambda x: (np.tanh(x), np.sum(np.tanh(x))),
    "a sum of all beside one of rows": lambda x: (np.sum(x), np.sum(x, axis=1)),
    "a sum of all beside one of columns": lambda x: (np.sum(x), np.sum(x, axis=0)),
    "whether all or any are": lambda x: (np.all(x < 9), np.any(x > 9)),
    "of a turned array": lambda x: np.sum(x.T * np.arange(300.0)),
    "of three axes": lambda x: np.sum(x.reshape(30, 10, 400) * np.arange(10.0)[:, None]),
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", CASES)
def test_a_reduction_in_parts_gives_the_same(name, threads):
    compiled = pb.compile(CASES[name], threads=threads)
    found, wanted = compiled(X), CASES[name](X)
    for a, b in zip(pb.tree.leaves(found), pb.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-10)
    assert ".parts" in compiled.loops or "columns" in name


def test_small_ones_and_those_of_prime_length_are_whole():
    for x in (X[:10, :10], RNG.normal(size=65537)):
        compiled = pb.compile(np.sum)
        np.testing.assert_allclose(compiled(x), x.sum(), rtol=1e-12)
        assert ".parts" not in compiled.loops
