"""Where derivatives are not unique, options of NumPy's functions, and errors."""

import numpy as np
import pytest
import scipy.special as sp
from numpy.exceptions import AxisError

import pullback as pb

X = np.random.default_rng(0).normal(size=(3, 4))


@pytest.mark.parametrize(
    ("function", "x", "expected"),
    [
        (lambda x: np.maximum(x, 0.0), 0.0, 0.5),
        (lambda x: np.minimum(0.0, x), 0.0, 0.5),
        (np.abs, 0.0, 0.0),
        (np.fabs, 0.0, 0.0),
        (np.sign, 0.0, 0.0),
        (np.sinc, 0.0, 0.0),
        (lambda x: x**0, 0.0, 0.0),
        (lambda x: x**1, 0.0, 1.0),
        (lambda x: x**2, 0.0, 0.0),
        (lambda x: x**2.0, 0.0, 0.0),
        (lambda x: np.power(x, 0.0), 0.0, 0.0),
        (lambda x: np.power(0.0, x), 2.0, 0.0),
        (lambda x: np.power(x, np.float64(3.0)), -2.0, 12.0),
        (lambda x: np.logaddexp(x, -np.inf), 1.0, 1.0),
        (lambda x: np.logaddexp2(x, -np.inf), 1.0, 1.0),
        (lambda x: np.logaddexp(x, np.inf), 1.0, 0.0),
        (lambda x: np.hypot(x, 0.0), 0.0, 0.0),
        (lambda x: np.clip(x, -1.0, 1.0), 2.0, 0.0),
        (lambda x: np.clip(x, min=-1.0), 2.0, 1.0),
        (lambda x: np.clip(x), 2.0, 1.0),
        (lambda x: sp.xlogy(x, 0.0), 0.0, 0.0),
        (lambda x: np.nan_to_num(x), np.nan, 0.0),
        (lambda x: np.nan_to_num(x, posinf=1.0), np.inf, 0.0),
        (lambda x: np.heaviside(x, 0.5), 0.0, 0.0),
        (lambda x: np.round(x * 3), 0.7, 0.0),
        (lambda x: np.fix(x) * x, 2.5, 2.0),
        (lambda x: sum(np.modf(x)), 2.5, 1.0),
        (lambda x: x if np.isclose(x, 1.0) else x * 2, 1.0, 1.0),
        (lambda x: np.where(np.isclose(x, np.nan, equal_nan=True), 0.0, x), 1.0, 1.0),
        (lambda x: np.angle(x + 0j, deg=True), 1.0, 0.0),
        (lambda x: np.imag(x) + x, 1.0, 1.0),
        (lambda x: np.real(np.conj(x)), 1.0, 1.0),
        (lambda x: x.astype(np.int64) * x, 2.5, 2.0),
        (lambda x: sp.psi(x), 1.0, np.pi**2 / 6),
        (lambda x: sp.betaln(x, 2.0), 1.0, sp.psi(1.0) - sp.psi(3.0)),
        (lambda x: sp.beta(x, 1.0), 2.0, -0.25),
        (lambda x: pb.scipy.special.polygamma(0, x), 1.0, np.pi**2 / 6),
    ],
)
def test_derivatives_at_special_points(function, x, expected):
    assert pb.grad(function)(x) == pytest.approx(expected)
    assert pb.jvp(function, (x,), (1.0,))[1] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("function", "x", "expected"),
    [
        (np.max, [1.0, 3.0, 3.0], [0.0, 0.5, 0.5]),
        (np.min, [1.0, 1.0, 3.0], [0.5, 0.5, 0.0]),
        (np.linalg.norm, [0.0, 0.0], [0.0, 0.0]),
        (lambda x: np.linalg.norm(x, ord=3), [0.0, 0.0], [0.0, 0.0]),
        (np.std, [2.0, 2.0], [0.0, 0.0]),
        (np.prod, [0.0, 2.0, 3.0], [6.0, 0.0, 0.0]),
        (np.prod, [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]),
        (lambda x: np.cumprod(x).sum(), [0.0, 2.0, 3.0], [1 + 2.0 + 6.0, 0.0, 0.0]),
        (lambda x: np.prod(x, initial=2.0, where=[True, False]), [3.0, 5.0], [2.0, 0.0]),
        (lambda x: np.sum(x, initial=2.0, where=[True, False]), [3.0, 5.0], [1.0, 0.0]),
        (lambda x: np.mean(x, where=np.array([True, False])), [3.0, 5.0], [1.0, 0.0]),
        (lambda x: np.linalg.norm(x, ord=-np.inf), [3.0, 5.0], [1.0, 0.0]),
        (lambda x: np.linalg.norm(x, ord=0) + x[0], [3.0, 5.0], [1.0, 0.0]),
        (lambda x: np.linalg.norm(x[None], ord=-1), [3.0, 5.0], [1.0, 0.0]),
        (lambda x: np.average(x), [3.0, 5.0], [0.5, 0.5]),
        (lambda x: np.average(x, weights=[1.0, 3.0], returned=True)[0], [3.0, 5.0], [0.25, 0.75]),
        (lambda x: np.median(x, keepdims=True)[0], [1.0, 2.0, 3.0, 9.0], [0.0, 0.5, 0.5, 0.0]),
        (lambda x: np.sort(x, axis=None)[0], [3.0, 1.0], [0.0, 1.0]),
        (lambda x: x[np.argsort(x, axis=None)][0], [3.0, 1.0], [0.0, 1.0]),
        (lambda x: np.count_nonzero(x) * x[0], [3.0, 0.0], [1.0, 0.0]),
        (lambda x: x[np.nonzero(x)].sum(), [3.0, 0.0], [1.0, 0.0]),
        (lambda x: x[np.where(x > 1)].sum(), [3.0, 0.0], [1.0, 0.0]),
        (lambda x: x[np.argmax(x)] * x[np.argmin(x)], [3.0, 2.0], [2.0, 3.0]),
        (lambda x: x.sum() * np.any(x > 2) * np.all(x > 0), [3.0, 1.0], [1.0, 1.0]),
        (lambda x: np.ptp(x, keepdims=True)[0], [3.0, 1.0], [1.0, -1.0]),
        (lambda x: np.vecdot(x, x), [3.0, 1.0], [6.0, 2.0]),
        (lambda x: np.matvec(np.eye(2), x).sum(), [3.0, 1.0], [1.0, 1.0]),
        (lambda x: np.vecmat(x, np.eye(2)).sum(), [3.0, 1.0], [1.0, 1.0]),
        (lambda x: np.linalg.outer(x, x).sum(), [3.0, 1.0], [8.0, 8.0]),
        (lambda x: np.linalg.multi_dot([x, np.eye(2), np.ones(2)]), [3.0, 1.0], [1.0, 1.0]),
        (lambda x: np.dot(2.0, x).sum(), [3.0, 1.0], [2.0, 2.0]),
        (lambda x: np.inner(x, 2.0).sum(), [3.0, 1.0], [2.0, 2.0]),
        (lambda x: np.dot(x, np.ones((2, 2, 2))).sum(), [3.0, 1.0], [4.0, 4.0]),
        (lambda x: np.diff(x, prepend=0.0).sum(), [3.0, 1.0], [0.0, 1.0]),
        (lambda x: np.cumsum(x, dtype=np.float64)[0], [3.0, 1.0], [1.0, 0.0]),
        (lambda x: np.full_like(x, x[0]).sum(), [3.0, 1.0], [2.0, 0.0]),
        (lambda x: np.delete(x, 0)[0], [3.0, 1.0], [0.0, 1.0]),
        (lambda x: np.hsplit(x, 2)[0][0], [3.0, 1.0], [1.0, 0.0]),
        (lambda x: np.vsplit(x[:, None], 2)[1][0, 0], [3.0, 1.0], [0.0, 1.0]),
        (lambda x: np.hstack([x[:1], x]).sum(), [3.0, 1.0], [2.0, 1.0]),
        (lambda x: np.take(x, [5, -3], mode="wrap").sum(), [3.0, 1.0], [0.0, 2.0]),
        (lambda x: np.take(x, [5, -3], mode="clip").sum(), [3.0, 1.0], [1.0, 1.0]),
        (lambda x: np.pad(x, {0: 1})[1], [3.0, 1.0], [1.0, 0.0]),
        (lambda x: np.fliplr(x[None])[0, 0] + np.flipud(x)[1], [3.0, 1.0], [1.0, 1.0]),
        (lambda x: np.matrix_transpose(x[None]).sum(), [3.0, 1.0], [1.0, 1.0]),
        (lambda x: np.permute_dims(x[None], (1, 0))[0, 0], [3.0, 1.0], [1.0, 0.0]),
        (lambda x: np.atleast_2d(x, x[0])[1][0, 0], [3.0, 1.0], [1.0, 0.0]),
        (lambda x: np.atleast_1d(x[0])[0], [3.0, 1.0], [1.0, 0.0]),
        (lambda x: np.atleast_3d(x, x)[1].sum(), [3.0, 1.0], [1.0, 1.0]),
        (lambda x: pb.numpy.asarray(x, dtype=float)[0], [3.0, 1.0], [1.0, 0.0]),
        (lambda x: pb.numpy.array([[x[0]], [x[1]]], dtype=float)[1, 0], [3.0, 1.0], [0.0, 1.0]),
        (lambda x: np.result_type(x, np.float32).itemsize * x[0], [3.0, 1.0], [8.0, 0.0]),
        (lambda x: np.size(x, 0) * x[0] * np.can_cast(x, float), [3.0, 1.0], [2.0, 0.0]),
        (lambda x: np.roll(x, (1, 1), (0, 0))[0], [3.0, 1.0], [1.0, 0.0]),
        (lambda x: np.broadcast_to(x[0], 3).sum(), [3.0, 1.0], [3.0, 0.0]),
    ],
)  # fmt: skip
def test_gradients_of_vectors(function, x, expected):
    x = np.array(x)
    np.testing.assert_allclose(pb.grad(function)(x), expected, atol=1e-12)
    np.testing.assert_allclose(pb.jacobian(function, mode="forward")(x), expected, atol=1e-12)


def test_the_hessian_of_a_product_with_a_zero():
    found = pb.hessian(np.prod)(np.array([0.0, 2.0, 3.0]))
    np.testing.assert_allclose(found, [[0.0, 3.0, 2.0], [3.0, 0.0, 0.0], [2.0, 0.0, 0.0]])


def test_out_is_filled_in_and_returned():
    def f(x):
        for call in (
            lambda o: np.sum(x, axis=0, out=o), lambda o: np.mean(x, axis=0, out=o),
            lambda o: np.max(x, axis=0, out=o), lambda o: np.clip(x[0], -1, 1, out=o),
            lambda o: np.cumsum(x[0], out=o), lambda o: np.take(x, 0, axis=0) + o * 0,
            lambda o: np.concatenate([x[0, :2], x[0, 2:]], out=o),
        ):  # fmt: skip
            target = x[0] * 0.0
            result = call(target)
            yield result.sum() if target.sum() == 0 else target.sum()

    def total(x):
        return sum(f(x))

    pb.check_grads(total, (X,), order=1)
    y = np.outer(X[0], X[0])
    assert np.shares_memory(np.dot(X[0][:, None], X[0][None], out=y), y)

    def products(x):
        target = np.outer(x, x) * 0.0
        np.outer(x, x, out=target)
        np.dot(target, target, out=target)
        np.einsum("ij,jk->ik", target, target, out=target)
        return target.sum()

    pb.check_grads(products, (X[0] * 0.5,), order=1)


@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
def test_precision_is_kept_by_numpys_functions(dtype):
    x = (np.abs(X) + 0.5).astype(dtype)
    functions = [
        np.mean, np.sum, np.prod, np.var, np.std, np.cumsum, np.linalg.norm, np.diff, np.tile,
        lambda x, *_: np.tile(x, 2), lambda x: np.pad(x, 1), lambda x: np.repeat(x, 2),
        lambda x: np.einsum("ij,ij->i", x, x), lambda x: np.where(X > 0, x, 0.0),
        lambda x: 2.0 * x**2,
        lambda x: x / 3, lambda x: np.outer(x, x), lambda x: np.average(x, axis=0), np.trace,
        lambda x: np.concatenate([x, x]), lambda x: x[[0, 0]], lambda x: np.tril(x) + 1.5,
    ]  # fmt: skip
    for function in functions:
        if function is np.tile:
            continue
        out, pullback = pb.vjp(function, x)
        assert out.dtype.itemsize <= np.dtype(dtype).itemsize
        (gradient,) = pullback(np.ones_like(out))
        assert gradient.dtype == dtype


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda z: np.abs(z), lambda z: np.conj(z) / abs(z)),
        (lambda z: np.real(z * z), lambda z: 2 * z),
        (lambda z: np.imag(z), lambda z: -1j),
        (lambda z: np.real(np.conj(z) * z), lambda z: 2 * np.conj(z)),
        (lambda z: np.real(np.exp(z)), lambda z: np.exp(z)),
        (lambda z: np.angle(z), lambda z: -1j / z),
    ],
)
def test_complex_gradients_follow_jaxs_convention(function, expected):
    z = 0.6 + 0.8j
    assert pb.grad(function)(z) == pytest.approx(expected(z))


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (lambda x: x @ x, pb.errors.ShapeError, r"matmul: the shapes \(3, 4\) and \(3, 4\)"),
        (lambda x: np.matmul(x, x[0, 0]), pb.errors.ShapeError, r"use x \* y"),
        (lambda x: np.reshape(x, (5, 2)), pb.errors.ShapeError, r"\(3, 4\) the shape \(5, 2\)"),
        (lambda x: np.reshape(x, (5, -1)), pb.errors.ShapeError, "reshape"),
        (lambda x: np.squeeze(x, 0), pb.errors.ShapeError, "axis 0 has length 3"),
        (lambda x: np.transpose(x, (0,)), pb.errors.ShapeError, "expected 2 axes"),
        (lambda x: np.broadcast_to(x, (2, 4)), pb.errors.ShapeError, r"does not broadcast to"),
        (lambda x: np.broadcast_to(x, (4,)), pb.errors.ShapeError, r"does not broadcast to"),
        (lambda x: np.concatenate([x[0, 0], x[0]]), pb.errors.ShapeError, r"np\.stack"),
        (lambda x: np.concatenate([x, x[:, :2]]), ValueError, "dimension|array 1 has shape"),
        (lambda x: np.stack([x, x[0]]), pb.errors.ShapeError, "one shape"),
        (lambda x: np.split(x, 2), pb.errors.ShapeError, r"np\.array_split"),
        (lambda x: np.array_split(x, 0), ValueError, "positive"),
        (lambda x: np.sum(x, axis=2), AxisError, "axis 2"),
        (lambda x: np.sum(x, axis=(0, 0)), ValueError, "named twice"),
        (lambda x: np.max(x[:0]), ValueError, "no elements"),
        (lambda x: np.max(x, where=X > 0), ValueError, "needs initial="),
        (lambda x: np.linalg.norm(x, ord="max"), ValueError, "'nuc'"),
        (lambda x: np.average(x, 0, weights=[1.0]), ValueError, "weights"),
        (lambda x: np.einsum("ij,jk", x), pb.errors.ShapeError, "names 2 operands, got 1"),
        (lambda x: np.einsum("ijk", x), pb.errors.ShapeError, "names 3 axes"),
        (lambda x: np.einsum("ij,ij", x, x.T), ValueError, "length|dimension|broadcast"),
        (lambda x: np.einsum(x, [0, 1, 2]), pb.errors.ShapeError, "names 3 axes"),
        (lambda x: np.tensordot(x, x, 1), pb.errors.ShapeError, "different lengths"),
        (lambda x: np.cross(x, x), pb.errors.ShapeError, "3 components"),
        (lambda x: np.diag(x[None]), pb.errors.ShapeError, "one or two axes"),
        (lambda x: np.pad(x, 1, mode="ramp"), ValueError, "mode"),
        (lambda x: np.take_along_axis(x, np.array([0]), 0), pb.errors.ShapeError, "1 axes"),
        (lambda x: np.exp(x, where=X > 0), pb.errors.NotDifferentiableError, r"np\.where"),
        (lambda x: np.array(x), pb.errors.TracerError, r"pb\.numpy\.array"),
        (lambda x: x + np.ones(3), ValueError, "broadcast"),
        (lambda x: x & 1, TypeError, "bitwise_and|not supported"),
    ],
)  # fmt: skip
def test_errors_name_what_was_wrong(function, error, message):
    with pytest.raises(error, match=message):
        pb.grad(lambda x: np.sum(function(x)))(X)
    with pytest.raises(error):
        pb.trace(function, X)


def test_shape_errors_in_a_graph_name_the_operation():
    with pytest.raises(pb.errors.ShapeError, match=r"add: the shapes \(3, 4\) and \(3,\)"):
        pb.trace(lambda x: x + np.ones(3), X)
    with pytest.raises(pb.errors.DTypeError, match="bitwise_and"):
        pb.trace(lambda x: x & 1, X)
    with pytest.raises(pb.errors.ShapeError, match="array 1 has shape"):
        pb.trace(lambda x: np.concatenate([x, x[:, :2]]), X)
    with pytest.raises(pb.errors.ShapeError, match="index 'i' has length 3 and 4"):
        pb.trace(lambda x: np.einsum("ij,ij", x, x.T), X)


def test_traced_values_give_no_python_numbers_for_numpys_questions():
    for function in (np.flatnonzero, np.trim_zeros, np.unique):
        with pytest.raises(pb.errors.TracerError, match="concrete"):
            pb.trace(function, X)


def test_dtype_options_are_followed():
    x = X.astype(np.float32)
    out, pullback = pb.vjp(lambda x: np.sum(x, dtype=np.float64), x)
    assert out.dtype == np.float64
    assert pullback(np.ones(()))[0].dtype == np.float32
    out, _ = pb.vjp(lambda x: np.add(x, 1.0, dtype=np.float64), x)
    assert out.dtype == np.float64
    out, _ = pb.vjp(lambda x: np.add.reduce(x, dtype=np.float64), x)
    assert out.dtype == np.float64
    out, _ = pb.vjp(lambda x: np.prod(np.var(x, axis=0, dtype=np.float64)), x)
    assert out.dtype == np.float64
    out, _ = pb.vjp(lambda x: np.concatenate([x, x], dtype=np.float64), x)
    assert out.dtype == np.float64
    assert pb.trace(lambda x, i: np.mean(i) * x, x, np.arange(3)).results[0].dtype == np.float64


def test_conversions_in_a_graph_read_like_functions():
    text = str(pb.trace(lambda x: (-x) @ x.T + np.transpose(x)[0, 1:3].sum(), X))
    assert "-x" in text
    assert "[0, 1:3]" in text
    assert repr(pb.trace(lambda x: x * 2, X).nodes[0]) == "Node(x: f64[3,4])"
