"""Losses with weights, smoothing and reductions: those of PyTorch, and closed forms."""

from functools import partial

import numpy as np
import pytest

import pullback as pb
from pullback import nn
from pullback.core.errors import ConfigError, DataError, ShapeError

RNG = np.random.default_rng(11)
X, Y, Z = RNG.normal(size=(3, 6, 4))
FRACTIONS = RNG.uniform(size=(6, 4))
BITS = RNG.integers(0, 2, (6, 4)).astype(float)
LABELS = np.array([0, 3, 1, 1, 2, 0])
GAPS = np.array([0, -100, 1, 1, -100, 3])
ROWS = nn.softmax(Y)
SIGNS = np.array([1.0, -1.0, 1.0, 1.0, -1.0, -1.0])
CLASS_WEIGHT = np.array([0.5, 2.0, 1.0, 3.0])
REDUCTIONS = ["mean", "sum", "none"]

# ours, PyTorch's, the arguments; the first is differentiated
CASES = {
    "mse": (nn.mean_squared_error, "mse_loss", (X, Y)),
    "l1": (nn.l1, "l1_loss", (X, Y)),
    "huber": (partial(nn.huber, delta=0.7), ("huber_loss", {"delta": 0.7}), (X, Y)),
    "smooth_l1": (partial(nn.smooth_l1, beta=0.4), ("smooth_l1_loss", {"beta": 0.4}), (X, Y)),
    "poisson": (nn.poisson_nll, "poisson_nll_loss", (X, FRACTIONS)),
    "gaussian": (nn.gaussian_nll, "gaussian_nll_loss", (X, Y, 0.1 + FRACTIONS)),
    "gaussian full": (
        partial(nn.gaussian_nll, full=True), ("gaussian_nll_loss", {"full": True}),
        (X, Y, 0.1 + FRACTIONS),
    ),
    "bce": (nn.binary_cross_entropy, "binary_cross_entropy_with_logits", (X, FRACTIONS)),
    "bce pos_weight": (
        partial(nn.binary_cross_entropy, pos_weight=CLASS_WEIGHT),
        ("binary_cross_entropy_with_logits", {"pos_weight": CLASS_WEIGHT}),
        (X, BITS),
    ),
    "cross entropy": (nn.softmax_cross_entropy, "cross_entropy", (X, LABELS)),
    "cross entropy weighted": (
        partial(nn.softmax_cross_entropy, class_weight=CLASS_WEIGHT),
        ("cross_entropy", {"weight": CLASS_WEIGHT}), (X, LABELS),
    ),
    "cross entropy of rows weighted": (
        partial(nn.softmax_cross_entropy, class_weight=CLASS_WEIGHT, label_smoothing=0.2),
        ("cross_entropy", {"weight": CLASS_WEIGHT, "label_smoothing": 0.2}), (X, ROWS),
    ),
    "cross entropy of all": (
        partial(
            nn.softmax_cross_entropy, class_weight=CLASS_WEIGHT, label_smoothing=0.1,
            ignore_index=-100,
        ),
        ("cross_entropy", {"weight": CLASS_WEIGHT, "label_smoothing": 0.1}), (X, GAPS),
    ),
    "cross entropy with gaps": (
        partial(nn.softmax_cross_entropy, ignore_index=-100), "cross_entropy", (X, GAPS),
    ),
    "cross entropy with gaps at a class": (
        partial(nn.softmax_cross_entropy, ignore_index=1, label_smoothing=0.3),
        ("cross_entropy", {"ignore_index": 1, "label_smoothing": 0.3}), (X, LABELS),
    ),
    "nll": (nn.nll, "nll_loss", (nn.log_softmax(X), LABELS)),
    "nll weighted": (
        partial(nn.nll, class_weight=CLASS_WEIGHT, ignore_index=-100),
        ("nll_loss", {"weight": CLASS_WEIGHT}), (nn.log_softmax(X), GAPS),
    ),
    "margin ranking": (
        partial(nn.margin_ranking, margin=0.3), ("margin_ranking_loss", {"margin": 0.3}),
        (X[:, 0], Y[:, 0], SIGNS),
    ),
    "triplet": (nn.triplet_margin, "triplet_margin_loss", (X, Y, Z)),
    "triplet swap": (
        partial(nn.triplet_margin, swap=True, margin=0.5),
        ("triplet_margin_loss", {"swap": True, "margin": 0.5}), (X, Y, Z),
    ),
    "cosine": (
        partial(nn.cosine_embedding, margin=0.1), ("cosine_embedding_loss", {"margin": 0.1}),
        (X, Y, SIGNS),
    ),
}  # fmt: skip


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_equal_those_of_torch(torch, name, reduction):
    ours, named, (first, *rest) = CASES[name]
    their_name, options = named if isinstance(named, tuple) else (named, {})
    options = {k: torch.tensor(v) if np.ndim(v) else v for k, v in options.items()}
    theirs = getattr(torch.nn.functional, their_name)
    leaf = torch.tensor(first, requires_grad=True)
    expected = theirs(leaf, *map(torch.tensor, rest), **options, reduction=reduction)
    expected.sum().backward()
    value, pull = pb.vjp(lambda x: ours(x, *rest, reduction=reduction), first)
    np.testing.assert_allclose(value, expected.detach(), rtol=1e-11, atol=1e-14)
    (gradient,) = pull(np.ones_like(value))
    np.testing.assert_allclose(gradient, leaf.grad, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("name", CASES)
def test_second_derivatives_float32_and_traced_targets(name):
    ours, _, (first, *rest) = CASES[name]
    pb.check_grads(lambda x: ours(x, *rest), (first,), order=2, atol=1e-4, rtol=1e-4)
    narrow = [a.astype(np.float32) if a.dtype.kind == "f" else a for a in (first, *rest)]
    value, gradient = pb.value_and_grad(ours)(*narrow)
    assert value.dtype == gradient.dtype == np.float32
    np.testing.assert_allclose(pb.trace(ours, first, *rest)(first, *rest), ours(first, *rest))
    np.testing.assert_allclose(pb.compile(ours)(first, *rest), ours(first, *rest), rtol=1e-12)


@pytest.mark.parametrize("name", [n for n in CASES if "gaps" not in n])
def test_integer_sample_weights_are_samples_repeated(name):
    ours, _, args = CASES[name]
    counts = np.array([1, 3, 0, 2, 1, 4])
    repeated = [np.repeat(a, counts, axis=0) for a in args]
    for reduction in ("mean", "sum"):
        np.testing.assert_allclose(
            ours(*args, sample_weight=counts, reduction=reduction),
            ours(*repeated, reduction=reduction),
            rtol=1e-12,
        )
    values = ours(*args, reduction="none")
    weighted = ours(*args, sample_weight=counts, reduction="none")
    weight = counts.reshape(-1, *(1,) * (values.ndim - 1))
    np.testing.assert_allclose(weighted, values * weight, rtol=1e-12)


def test_cross_entropy_takes_sequences_of_logits(torch):
    logits, labels = RNG.normal(size=(2, 5, 4)), RNG.integers(0, 4, (2, 5))
    expected = torch.nn.functional.cross_entropy(
        torch.tensor(np.moveaxis(logits, -1, 1).copy()), torch.tensor(labels)
    )
    np.testing.assert_allclose(nn.softmax_cross_entropy(logits, labels), expected)


def test_kl_divergence_is_zero_for_equal_and_the_sum_over_classes(torch):
    p, q = nn.log_softmax(X), nn.softmax(Y)
    leaf = torch.tensor(p)
    expected = torch.nn.functional.kl_div(leaf, torch.tensor(q), reduction="batchmean")
    np.testing.assert_allclose(nn.kl_divergence(p, q), expected, rtol=1e-12)
    np.testing.assert_allclose(nn.kl_divergence(np.log(q), q), 0, atol=1e-15)
    pb.check_grads(nn.kl_divergence, (p, q), order=2)


def test_focal_is_cross_entropy_where_gamma_is_zero_and_small_for_what_is_right():
    np.testing.assert_allclose(
        nn.focal(X, BITS, gamma=0, alpha=None), nn.binary_cross_entropy(X, BITS), rtol=1e-12
    )
    p = 1 / (1 + np.exp(-X))
    right = np.where(BITS == 1, p, 1 - p)
    share = np.where(BITS == 1, 0.25, 0.75)
    np.testing.assert_allclose(
        nn.focal(X, BITS, reduction="none"), -share * (1 - right) ** 2 * np.log(right), rtol=1e-12
    )
    pb.check_grads(lambda x: nn.focal(x, BITS), (X,), order=2)


def test_hinge_and_full_poisson_are_their_formulas():
    scores = X[:, 0]
    np.testing.assert_allclose(nn.hinge(scores, SIGNS), np.maximum(0, 1 - SIGNS * scores).mean())
    from scipy import stats

    counts = RNG.integers(0, 9, (6, 4))
    np.testing.assert_allclose(
        nn.poisson_nll(X, counts, full=True), -stats.poisson.logpmf(counts, np.exp(X)).mean()
    )


def test_ignored_labels_have_no_gradient_even_where_logits_are_not_finite():
    logits = X.copy()
    logits[1] = np.inf
    with np.errstate(invalid="ignore"):
        value, gradient = pb.value_and_grad(
            lambda z: nn.softmax_cross_entropy(z, GAPS, ignore_index=-100)
        )(logits)
    expected = nn.softmax_cross_entropy(X[[0, 2, 3, 5]], GAPS[[0, 2, 3, 5]])
    np.testing.assert_allclose(value, expected)
    assert not gradient[[1, 4]].any()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.l1(X, Y, reduction="max"), ConfigError, "reduction: expected 'mean'"),
        (lambda: nn.l1(X, Y, sample_weight=np.ones(3)), ShapeError, r"shape \(6,\), .* got \(3,\)"),
        (lambda: nn.l1(X, Y, sample_weight=-np.ones(6)), DataError, "finite weights of 0 or more"),
        (lambda: nn.softmax_cross_entropy(X, LABELS, class_weight=np.ones(3)), ShapeError,
         r"class_weight: expected shape \(4,\)"),
        (lambda: nn.softmax_cross_entropy(X, LABELS, label_smoothing=2), ConfigError, "smoothing"),
        (lambda: nn.softmax_cross_entropy(X, GAPS), DataError, "got -100 to 3"),
        (lambda: nn.hinge(X, X), DataError, "targets: expected -1 or 1"),
        (lambda: nn.focal(X, BITS, gamma=-1), ConfigError, "gamma: expected 0 or more"),
        (lambda: nn.gaussian_nll(X, Y, np.ones((2, 6, 4))), ShapeError, "variance"),
        (lambda: nn.cosine_embedding(X, Y, np.ones(3)), ShapeError, "target: expected the shape"),
        (lambda: nn.kl_divergence(X, -np.ones_like(X)), DataError, "target: expected numbers of 0"),
        (lambda: nn.poisson_nll(X, -np.ones_like(X)), DataError, "target: expected numbers of 0"),
        (lambda: nn.poisson_nll(X, X * np.nan), DataError, "of 0 or more, got nan to nan"),
        (lambda: nn.nll(X, LABELS[:, None]), ShapeError, r"\(6, 1\)\. Write labels\[\.\.\., 0\]"),
        (lambda: nn.nll(X, X), ShapeError, r"\(integers\) for .*\(6, 4\)\. Write labels.argmax"),
        (lambda: nn.l1(X, Y[:, 0]), ShapeError, r"got \(6,\)\.$"),
        (lambda: nn.l1(X[:, :1], Y[:, 0]), ShapeError, r"Write target.reshape\(prediction.shape\)"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
