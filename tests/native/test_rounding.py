"""Products in bfloat16: factors rounded to the nearest, ties to even; sums in float32."""

import os

import numpy as np
import pytest

import pullback as pb
from pullback.core.errors import ConfigError
from pullback.native import rounding
from pullback.train import mnist

ml_dtypes = pytest.importorskip("ml_dtypes")


@pytest.fixture(params=["pairs", "float32"], autouse=True)
def processor(request, monkeypatch):
    """The same tests without the instruction for pairs of bfloat16."""
    if request.param == "float32":
        monkeypatch.setattr(rounding, "multiplies_pairs", lambda: False)


def as_bfloat16(x):
    return x.astype(ml_dtypes.bfloat16).astype(np.float32)


@pytest.mark.parametrize("form", ["NN", "NT", "TN"])
@pytest.mark.parametrize("size", [(13, 32, 32), (14, 33, 17), (40, 7, 40), (30, 101, 65)])
def test_factors_are_rounded_as_ml_dtypes_does(form, size):
    m, k, n = size
    rng = np.random.default_rng(m)
    a = rng.normal(size=(k, m) if form[0] == "T" else (m, k)).astype("f4")
    b = rng.normal(size=(n, k) if form[1] == "T" else (k, n)).astype("f4")

    def f(a, b):
        return (a.mT if form[0] == "T" else a) @ (b.mT if form[1] == "T" else b) + 1

    compiled = pb.compile(f, matmul_precision="bfloat16")
    wanted = f(as_bfloat16(a).astype("f8"), as_bfloat16(b).astype("f8"))
    np.testing.assert_allclose(compiled(a, b), wanted, rtol=1e-5, atol=1e-5)
    assert "in bfloat16" in compiled.loops
    assert "bfloat16    1 products" in compiled.report()


def test_ties_round_to_even_and_what_is_not_finite_stays():
    one = np.float32(1)
    special = [one + 2**-8, one + 3 * 2**-8, 1e38, np.inf, -np.inf, np.nan, -0.0, 2.0**-120]
    a = np.zeros((16, 40), "f4")
    a[: len(special), 0] = special
    b = np.zeros((40, 20), "f4")
    b[0] = 1
    found = pb.compile(np.matmul, matmul_precision="bfloat16")(a, b)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(found, as_bfloat16(a) @ b)


def test_batches_and_derivatives_round_too():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 20, 30)).astype("f4"), rng.normal(size=(3, 30, 25)).astype("f4")
    found = pb.compile(np.matmul, matmul_precision="bfloat16")(a, b)
    wanted = as_bfloat16(a) @ as_bfloat16(b)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
    slope = pb.grad(lambda a, b: ((a @ b) ** 2).sum())
    rounded, exact = (pb.compile(slope, matmul_precision=p) for p in ("bfloat16", "float32"))
    difference = np.abs(rounded(a, b) - exact(a, b)).max() / np.abs(exact(a, b)).max()
    assert 0 < difference < 2e-2
    assert rounded.loops.count("in bfloat16") == 2


def test_float64_is_not_rounded_and_other_precisions_are_refused():
    a = np.random.default_rng(0).normal(size=(20, 20))
    np.testing.assert_allclose(pb.compile(np.matmul, matmul_precision="bfloat16")(a, a), a @ a)
    with pytest.raises(ConfigError, match="matmul_precision: expected"):
        pb.compile(np.matmul, matmul_precision="float16")


@pytest.mark.slow
@pytest.mark.skipif("PULLBACK_DATA" not in os.environ, reason="PULLBACK_DATA names no data")
def test_digits_are_learnt_as_well_with_rounded_products():
    x, t, test_x, test_labels = mnist.load()
    rng = np.random.default_rng(0)
    start = [
        rng.normal(0, 784**-0.5, (784, 128)), np.zeros(128),
        rng.normal(0, 128**-0.5, (128, 10)), np.zeros(10),
    ]  # fmt: skip

    def logits(weights, x):
        w1, b1, w2, b2 = weights
        return np.maximum(x @ w1 + b1, 0) @ w2 + b2

    def loss(weights, x, t):
        return pb.nn.losses.softmax_cross_entropy(logits(weights, x), t)

    def step(weights, x, t):
        return [w - 0.2 * g for w, g in zip(weights, pb.grad(loss)(weights, x, t), strict=True)]

    orders = [rng.permutation(len(x)) for _ in range(6)]
    accuracies = []
    for precision in ("float32", "bfloat16"):
        compiled = pb.compile(step, matmul_precision=precision)
        weights = [w.astype("f4") for w in start]
        for order in orders:
            for rows in order.reshape(-1, 100):
                weights = compiled(weights, x[rows], t[rows])
        accuracies.append(100 * np.mean(logits(weights, test_x).argmax(axis=1) == test_labels))
    assert min(accuracies) > 97
    assert abs(accuracies[0] - accuracies[1]) <= 0.2
