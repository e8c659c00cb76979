from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback import nn, random
from pullback.core.errors import ConfigError, DataError, DTypeError, ShapeError

GENERATOR = np.random.default_rng(7)
PREDICTION = GENERATOR.normal(size=(5, 3)) * 2
TARGET = GENERATOR.normal(size=(5, 3)) * 2
LABELS = np.array([0, 2, 1, 1, 0])
ONE_HOT = np.eye(3)[LABELS]
SOFT = np.array([[0.2, 0.5, 0.3]] * 5)
BINARY = np.array([[0, 1, 1]] * 5)

CASES: dict[str, tuple[Callable[[Any, Any], Any], Any]] = {
    "squared_error": (nn.squared_error, TARGET),
    "mean_squared_error": (nn.mean_squared_error, TARGET),
    "l1": (nn.l1, TARGET),
    "huber": (nn.huber, TARGET),
    "huber_wide": (partial(nn.huber, delta=2.5), TARGET),
    "cross_entropy_labels": (nn.softmax_cross_entropy, LABELS),
    "cross_entropy_one_hot": (nn.softmax_cross_entropy, ONE_HOT),
    "cross_entropy_soft": (nn.softmax_cross_entropy, SOFT),
    "binary_cross_entropy": (nn.binary_cross_entropy, BINARY),
}


@pytest.mark.parametrize("name", CASES)
def test_first_and_second_derivatives_agree_with_central_differences(name: str) -> None:
    loss, target = CASES[name]
    pb.check_grads(lambda y: loss(y, target), (PREDICTION,), order=2, modes=("fwd", "rev"))


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_equal_those_of_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    theirs = {
        "squared_error": lambda y, t: 0.5 * functional.mse_loss(y, t, reduction="sum"),
        "mean_squared_error": functional.mse_loss,
        "l1": functional.l1_loss,
        "huber": functional.huber_loss,
        "huber_wide": partial(functional.huber_loss, delta=2.5),
        "cross_entropy_labels": functional.cross_entropy,
        "cross_entropy_one_hot": functional.cross_entropy,
        "cross_entropy_soft": functional.cross_entropy,
        "binary_cross_entropy": lambda y, t: functional.binary_cross_entropy_with_logits(
            y, t.double()
        ),
    }[name]
    loss, target = CASES[name]
    y = torch.tensor(PREDICTION, requires_grad=True)
    expected = theirs(y, torch.tensor(target))
    expected.backward()
    value, gradient = pb.value_and_grad(lambda y: loss(y, target))(PREDICTION)
    np.testing.assert_allclose(value, expected.item(), rtol=1e-12)
    np.testing.assert_allclose(gradient, y.grad.numpy(), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", CASES)
def test_float32_stays_float32_in_value_and_gradient(name: str) -> None:
    loss, target = CASES[name]
    if target.dtype == np.float64:
        target = target.astype(np.float32)
    y = PREDICTION.astype(np.float32)
    assert loss(y, target).dtype == np.float32
    value, gradient = pb.value_and_grad(lambda y: loss(y, target))(y)
    assert value.dtype == gradient.dtype == np.float32


@pytest.mark.parametrize("name", CASES)
def test_a_traced_loss_with_traced_targets_gives_the_same(name: str) -> None:
    loss, target = CASES[name]
    graph = pb.trace(loss, PREDICTION, target)
    np.testing.assert_allclose(graph(PREDICTION, target), loss(PREDICTION, target), rtol=1e-14)


def test_integer_targets_do_not_widen_float32() -> None:
    y = np.ones((2, 2), np.float32)
    for loss in (nn.squared_error, nn.mean_squared_error, nn.l1, nn.huber, nn.binary_cross_entropy):
        assert loss(y, np.ones((2, 2), np.int64)).dtype == np.float32
    assert nn.softmax_cross_entropy(y, np.eye(2, dtype=np.int64)).dtype == np.float32


def test_lists_are_targets_too() -> None:
    assert nn.softmax_cross_entropy(np.eye(2), [0, 1]) == pytest.approx(np.log1p(np.exp(-1)))
    assert nn.squared_error(np.ones(2), [0.0, 1.0]) == 0.5


def test_squared_error_of_a_batch_is_the_sum_over_its_samples() -> None:
    singles = sum(nn.squared_error(y, t) for y, t in zip(PREDICTION, TARGET, strict=True))
    assert nn.squared_error(PREDICTION, TARGET) == pytest.approx(singles)
    gradient = pb.grad(nn.squared_error)(PREDICTION, TARGET)
    np.testing.assert_allclose(gradient, PREDICTION - TARGET, rtol=1e-15)


def test_the_gradient_of_cross_entropy_is_softmax_minus_one_hot() -> None:
    gradient = pb.grad(nn.softmax_cross_entropy)(PREDICTION, LABELS)
    np.testing.assert_allclose(gradient, (nn.softmax(PREDICTION) - ONE_HOT) / 5, atol=1e-15)


def test_extreme_logits_stay_finite() -> None:
    logits = np.array([[1e4, -1e4], [-1e4, 1e4]])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        for labels, expected in (([0, 1], 0.0), ([1, 0], 2e4)):
            value, gradient = pb.value_and_grad(nn.softmax_cross_entropy)(logits, np.array(labels))
            assert value == expected
            assert np.isfinite(gradient).all()
        value, gradient = pb.value_and_grad(nn.binary_cross_entropy)(logits, np.eye(2))
        assert value == 0
        assert np.isfinite(gradient).all()


def test_a_class_masked_out_by_minus_infinity_has_no_effect() -> None:
    logits = np.array([[1.0, 2.0, -np.inf]])
    value, gradient = pb.value_and_grad(nn.softmax_cross_entropy)(logits, np.array([0]))
    expected = pb.grad(nn.softmax_cross_entropy)(logits[:, :2], np.array([0]))
    assert value == pytest.approx(np.log1p(np.exp(1)))
    np.testing.assert_allclose(gradient, [[*expected[0], 0]], rtol=1e-14)


def test_l2_penalty_is_half_the_squared_weights_without_biases() -> None:
    model = nn.mlp(random.key(0), [3, 4, 2], dtype=np.float64)
    model = nn.Sequential([nn.replace(model[0], bias=np.ones(4)), *model.layers[1:]])
    expected = (np.square(model[0].weight).sum() + np.square(model[2].weight).sum()) / 2
    value, gradient = pb.value_and_grad(nn.l2_penalty)(model)
    assert value == pytest.approx(expected)
    np.testing.assert_allclose(gradient[0].weight, model[0].weight, rtol=1e-15)
    assert not gradient[0].bias.any()
    assert nn.l2_penalty({"bias": np.ones(3)}) == 0


@pytest.mark.parametrize(
    "loss", [nn.squared_error, nn.mean_squared_error, nn.l1, nn.huber, nn.binary_cross_entropy]
)
def test_shapes_must_agree_without_broadcasting(loss: Callable[[Any, Any], Any]) -> None:
    with pytest.raises(
        ShapeError, match=r"expected the shape of \w+, \(4, 1\), got \(4,\).*reshape"
    ):
        loss(np.ones((4, 1)), np.ones(4))
    with pytest.raises(ShapeError, match="at least one entry"):
        loss(np.ones((0, 3)), np.ones((0, 3)))


@pytest.mark.parametrize(
    ("logits", "labels", "error", "message"),
    [
        ((4, 3), [0, 1, 2, 3], DataError, "integers from 0 to 2 for 3 logits, got 0 to 3"),
        ((4, 3), [0, -1, 2, 1], DataError, "got -1 to 2"),
        ((2, 3), [0.0, 1.0], DTypeError, "labels: expected integers, got float64"),
        ((2, 3), [True, False], DTypeError, "labels: expected integers, got bool"),
        ((2, 3), [0, 1, 2], ShapeError, r"labels: expected shape \(2,\).*got \(3,\)"),
        ((2, 3), [[0], [1]], ShapeError, r"got \(2, 1\)"),
        ((3,), [0, 1, 2], ShapeError, r"logits: expected shape \(n, k\).*got \(3,\)"),
        ((0, 3), [], ShapeError, r"logits: .*got \(0, 3\)"),
        ((2, 2), [[1, 1], [0, 1]], DataError, "sums from 1 to 2"),
        ((2, 2), [[2, -1], [0, 1]], DataError, "values from -1 to 2"),
        ((1, 2), [[np.nan, 1.0]], DataError, "probabilities"),
    ],
)
def test_bad_labels_are_named(
    logits: tuple[int, ...], labels: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        nn.softmax_cross_entropy(np.zeros(logits), np.array(labels))


def test_bad_options_and_targets_are_named() -> None:
    with pytest.raises(ConfigError, match="delta: expected a positive number, got 0"):
        nn.huber(np.ones(2), np.ones(2), delta=0)
    with pytest.raises(DataError, match=r"targets: expected values in \[0, 1\], got 0.0 to 2.0"):
        nn.binary_cross_entropy(np.ones(2), np.array([0.0, 2.0]))
    with pytest.raises(DataError, match="targets"):
        nn.binary_cross_entropy(np.ones(2), np.array([0.0, np.nan]))
