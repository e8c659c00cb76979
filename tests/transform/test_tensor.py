"""Tensors: backward, grad, zero_grad, for those who come from PyTorch."""

import gc
import pickle
import weakref

import numpy as np
import pytest

import pullback as pb


def test_backward_fills_grad_of_every_input():
    w, b = pb.Tensor([[1.0], [2.0]]), pb.Tensor([0.5])
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    loss = np.mean((x @ w + b - 1.0) ** 2)
    loss.backward()
    error = x @ w.data + b.data - 1.0
    np.testing.assert_allclose(w.grad, x.T @ error)
    np.testing.assert_allclose(b.grad, error.sum(axis=0))


def test_gradients_add_up_until_zero_grad():
    w = pb.Tensor([1.0, 2.0])
    np.sum(w * w).backward()
    np.sum(w * 3.0).backward()
    np.testing.assert_allclose(w.grad, [5.0, 7.0])
    w.zero_grad()
    assert w.grad is None


def test_a_training_loop_descends():
    w = pb.Tensor(np.array([5.0]))
    for _ in range(50):
        w.zero_grad()
        np.sum((w - 2.0) ** 2).backward()
        w.data -= 0.1 * w.grad
    assert w.data == pytest.approx(2.0, abs=1e-3)


def test_constants_require_no_gradient():
    x = pb.Tensor([1, 2], requires_grad=False)
    w = pb.Tensor([1.0, 2.0])
    y = x * w
    assert y.requires_grad
    assert not (x * 2).requires_grad
    y.backward(np.array([1.0, 10.0]))
    np.testing.assert_array_equal(w.grad, [1.0, 20.0])
    assert x.grad is None
    assert not y.detach().requires_grad
    np.testing.assert_array_equal(y.numpy(), [1.0, 4.0])


def test_tensors_and_grad_nest():
    w = pb.Tensor(3.0)
    y = pb.grad(lambda x: x * x * w)(2.0)
    assert isinstance(y, pb.Tensor)
    y.backward()
    assert w.grad == 4.0


def test_history_is_freed_with_its_last_tensor():
    w = pb.Tensor([1.0])
    y = w * 2.0
    z = y * 3.0
    node = weakref.ref(y)
    del y
    z.backward(np.ones(1))
    del z
    gc.collect()
    assert node() is None


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (lambda: pb.Tensor([1, 2]), pb.errors.DTypeError, "int64"),
        (lambda: pb.Tensor([1.0, 2.0]).backward(), pb.errors.ShapeError, r"scalar, got.*\(2,\)"),
        (
            lambda: (pb.Tensor([1.0]) * 2).backward(np.ones(2)),
            pb.errors.ShapeError,
            r"expected shape \(1,\), got \(2,\)",
        ),
        (
            lambda: pb.Tensor(1.0, requires_grad=False).backward(),
            pb.errors.NotDifferentiableError,
            "requires_grad=True",
        ),
        (lambda: pb.Tensor(pb.Tensor(1.0)), pb.errors.NotDifferentiableError, "detach"),
        (
            lambda: setattr(pb.Tensor([1.0]), "data", np.ones(2)),
            pb.errors.ShapeError,
            "data: expected shape",
        ),
        (
            lambda: pb.Tensor([1.0]).__iadd__(1.0),
            pb.errors.NotDifferentiableError,
            r"w\.data",
        ),
    ],
)
def test_bad_use_is_refused(action, error, message):
    with pytest.raises(error, match=message):
        action()


def test_a_tensor_is_pickled_with_its_gradient():
    w = pb.Tensor([1.0, 2.0])
    np.sum(w**2).backward()
    other = pickle.loads(pickle.dumps(w))
    np.testing.assert_array_equal(other.grad, w.grad)
    np.sum(other**2).backward()
    np.testing.assert_array_equal(other.grad, [4.0, 8.0])
    with pytest.raises(pickle.PicklingError, match=r"x\.detach\(\)"):
        pickle.dumps(w * 2.0)


def test_tensors_go_through_loops():
    x = pb.Tensor([1.0, 2.0])
    total = np.sum(pb.map(lambda row: row**3, x)) + np.sum(
        pb.fori_loop(0, 2, lambda i, y: y * y, x)
    )
    total.backward()
    np.testing.assert_allclose(x.grad, [3.0 + 4.0, 12.0 + 4.0 * 8.0])
