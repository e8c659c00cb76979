"""Linear algebra and Fourier transforms compiled: the interpreter's numbers, and its errors."""

import numpy as np
import pytest

import pullback as pb

RNG = np.random.default_rng(0)


def draw(dtype, *shape):
    x = RNG.normal(size=shape) + 1j * RNG.normal(size=shape)
    return (x if np.dtype(dtype).kind == "c" else x.real).astype(dtype)


def same(function, *args):
    """To rounding: which instructions a library takes hangs on how its arrays are aligned."""
    compiled = pb.compile(function)
    found, wanted = compiled(*args), function(*args)
    for a, b in zip(pb.tree.leaves(found), pb.tree.leaves(wanted), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        atol = 100 * np.finfo(a.dtype).eps * np.max(np.abs(b), initial=1)
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)
    assert "by NumPy    nothing" in compiled.report()


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
def test_matrices_are_factored_as_by_numpy(dtype):
    a, b = draw(dtype, 2, 3, 4, 4), draw(dtype, 3, 4, 2)
    same(np.linalg.solve, a, b)
    same(np.linalg.solve, a[0, 0], b)
    same(lambda a: np.linalg.solve(a, a[..., 0, 0, 0, :]), a)
    same(lambda a: (np.linalg.inv(a), np.linalg.det(a)), a)
    same(lambda a: tuple(np.linalg.slogdet(a)), a)
    same(lambda a: tuple(np.linalg.qr(a)), a[..., :2])
    same(lambda a: tuple(np.linalg.qr(a, mode="complete")), a[..., :2])
    same(lambda a: tuple(np.linalg.qr(a)), a[..., :3, :])
    same(lambda a: tuple(np.linalg.svd(a, full_matrices=False)), a[..., :3, :])
    same(lambda a: tuple(np.linalg.svd(a)), a[..., :2])
    same(lambda a: tuple(np.linalg.eigh(a)), a)


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
def test_transforms_are_those_of_numpy(dtype, norm):
    x = draw(dtype, 4, 5, 6)
    for axis in range(3):
        same(lambda x, axis=axis: np.fft.fft(x, axis=axis, norm=norm), x)
        same(lambda x, axis=axis: np.fft.ifft(x, n=7, axis=axis, norm=norm), x)
        same(lambda x, axis=axis: np.fft.irfft(x, axis=axis, norm=norm), x)
        if x.dtype.kind == "f":
            same(lambda x, axis=axis: np.fft.rfft(x, axis=axis, norm=norm), x)
    same(lambda x: np.fft.fft2(x), x)


@pytest.mark.parametrize(("function", "text"), [
    (np.linalg.inv, "Singular matrix"),
    (lambda a: np.linalg.solve(a, a), "Singular matrix"),
    (np.linalg.cholesky, "Matrix is not positive definite"),
    (lambda a: np.linalg.svd(a * np.nan)[1], "SVD did not converge"),
])  # fmt: skip
def test_failures_are_the_interpreters_errors(function, text):
    compiled = pb.compile(function)
    good = np.eye(3) + np.zeros((2, 1, 1))
    bad = good * np.array([1.0, -1.0])[:, None, None]
    bad[1, 2, 2] = 0.0
    with pytest.raises(np.linalg.LinAlgError, match=text):
        compiled(bad)
    if "nan" not in text and "SVD" not in text:
        np.testing.assert_array_equal(compiled(good), function(good))
        with np.errstate(all="raise"):  # numbers that are no numbers do not count as failures
            compiled(good)


def test_arithmetic_with_nan_is_no_failure():
    compiled = pb.compile(lambda a, x: (np.linalg.inv(a), np.sqrt(x), x / x))
    found = compiled(np.eye(2), np.array([-1.0, 0.0]))
    assert np.isnan(found[1][0])
    assert np.isnan(found[2][1])


def test_gradients_through_factors_compile():
    a = draw("f8", 5, 5)
    a = a @ a.T + 5 * np.eye(5)

    def f(a, b):
        factor = np.linalg.cholesky(a)
        return np.sum(np.linalg.solve(factor, b) ** 2) + np.linalg.slogdet(a)[1]

    compiled = pb.compile(pb.grad(f, argnums=(0, 1)))
    b = draw("f8", 5)
    for found, wanted in zip(compiled(a, b), pb.grad(f, argnums=(0, 1))(a, b), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-12)
    assert "by NumPy    nothing" in compiled.report()


def test_a_spectrum_can_be_filtered_in_a_loop():
    def f(x, gain):
        def step(x, _):
            y = np.fft.irfft(np.fft.rfft(x) * gain, n=x.shape[-1])
            return y / np.linalg.solve(np.eye(2), np.ones(2))[0], np.abs(np.fft.fft(y))[0]

        return pb.scan(step, x, np.zeros(5))

    same(f, draw("f8", 16), draw("c16", 9))
