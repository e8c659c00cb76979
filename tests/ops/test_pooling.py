"""Pooling: against PyTorch, ties and NaN included."""

import numpy as np
import pytest

import pullback as pb
from pullback.core.errors import ShapeError
from pullback.ops.pooling import max_pool, pick_max, place_max, window_spread, window_sum

WINDOWS = [
    ((2, 8, 3), {"size": (2,), "strides": (2,), "padding": ((0, 0),), "dilation": (1,)}),
    ((2, 9, 3), {"size": (3,), "strides": (2,), "padding": ((1, 1),), "dilation": (2,)}),
    (
        (2, 6, 7, 2),
        {"size": (3, 2), "strides": (2, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1)},
    ),
    (
        (1, 8, 8, 3),
        {"size": (3, 3), "strides": (1, 2), "padding": ((0, 0), (1, 1)), "dilation": (2, 1)},
    ),
]


def of_torch(torch, name, x, window):
    """PyTorch's pooling, channels last as ours; and its gradient for a cotangent."""
    leaf = torch.tensor(np.moveaxis(x, -1, 1).copy(), requires_grad=True)
    pool = getattr(torch.nn.functional, f"{name}_pool{x.ndim - 2}d")
    options = {"dilation": window["dilation"]} if name == "max" else {}
    padding = [a for a, _ in window["padding"]]
    out = pool(leaf, window["size"], window["strides"], padding, **options)

    def pull(ct):
        out.backward(torch.tensor(np.moveaxis(ct, -1, 1).copy()))
        return np.moveaxis(leaf.grad.numpy(), 1, -1)

    return np.moveaxis(out.detach().numpy(), 1, -1), pull


@pytest.mark.parametrize(("shape", "window"), WINDOWS)
@pytest.mark.parametrize("ties", [False, True])
def test_max_pool_and_its_gradient_are_those_of_torch(torch, shape, window, ties):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, shape).astype(float) if ties else rng.normal(size=shape)
    y, pull = pb.vjp(lambda x: max_pool(x, **window), x)
    expected, torch_pull = of_torch(torch, "max", x, window)
    ct = rng.normal(size=y.shape)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_allclose(pull(ct)[0], torch_pull(ct), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize(("shape", "window"), [WINDOWS[0], WINDOWS[2]])
def test_window_sum_is_the_average_of_torch_times_the_size(torch, shape, window):
    rng = np.random.default_rng(1)
    x = rng.normal(size=shape)
    y, pull = pb.vjp(lambda x: window_sum(x, **window) / np.prod(window["size"]), x)
    expected, torch_pull = of_torch(torch, "avg", x, window)
    ct = rng.normal(size=y.shape)
    np.testing.assert_allclose(y, expected, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(pull(ct)[0], torch_pull(ct), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(("shape", "window"), WINDOWS)
def test_pairs_of_operations_are_transposes(shape, window):
    rng = np.random.default_rng(2)
    x, v = rng.normal(size=(2, *shape))
    y = rng.normal(size=max_pool(x, **window).shape)
    left, right = np.vdot(pick_max(x, v, **window), y), np.vdot(v, place_max(x, y, **window))
    np.testing.assert_allclose(left, right)
    np.testing.assert_array_equal(pick_max(x, x, **window), max_pool(x, **window))
    spread = window_spread(y, space=shape[1:-1], **window)
    np.testing.assert_allclose(np.vdot(window_sum(x, **window), y), np.vdot(x, spread))


def test_nan_is_greater_than_all_and_takes_the_gradient():
    x = np.array([1.0, np.nan, 3.0, 2.0]).reshape(1, 4, 1)
    window = {"size": (2,), "strides": (2,), "padding": ((0, 0),), "dilation": (1,)}
    np.testing.assert_array_equal(max_pool(x, **window).ravel(), [np.nan, 3.0])
    placed = place_max(x, np.ones((1, 2, 1)), **window)
    np.testing.assert_array_equal(placed.ravel(), [0, 1, 1, 0])


def test_integers_pool_too():
    x = np.array([[5], [-7], [3], [9]])[None]
    window = {"size": (2,), "strides": (2,), "padding": ((1, 1),), "dilation": (1,)}
    np.testing.assert_array_equal(max_pool(x, **window).ravel(), [5, 3, 9])


def test_a_window_larger_than_the_array_is_refused():
    with pytest.raises(ShapeError, match="a window of 5 places does not fit into 4"):
        max_pool(np.ones((1, 4, 1)), size=(5,), strides=(1,), padding=((0, 0),), dilation=(1,))
