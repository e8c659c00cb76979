"""numpy.fft on traced arrays: values as NumPy's, derivatives as central differences and JAX."""

import numpy as np
import pytest

import pullback as pb

RNG = np.random.default_rng(0)
REAL = RNG.normal(size=(4, 5))
COMPLEX = RNG.normal(size=(4, 5)) + 1j * RNG.normal(size=(4, 5))

ONE_AXIS = ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"]
SEVERAL_AXES = ["fft2", "ifft2", "rfft2", "irfft2", "fftn", "ifftn", "rfftn", "irfftn"]


def argument(name):
    return REAL if name in {"rfft", "ihfft", "rfft2", "rfftn"} else COMPLEX


def same_value_and_derivatives(function, x):
    out, _ = pb.vjp(function, x)
    expected = function(x)
    np.testing.assert_array_equal(out, expected)
    assert out.dtype == expected.dtype
    pb.check_grads(function, (x,), order=2)


@pytest.mark.parametrize("norm", [None, "backward", "ortho", "forward"])
@pytest.mark.parametrize("name", ONE_AXIS)
def test_transforms_of_one_axis(name, norm):
    transform = getattr(np.fft, name)
    for n, axis in [(None, -1), (None, 0), (3, 1), (6, 0), (7, -1)]:
        same_value_and_derivatives(lambda x: transform(x, n, axis, norm), argument(name))


@pytest.mark.parametrize("norm", [None, "ortho", "forward"])
@pytest.mark.parametrize("name", SEVERAL_AXES)
def test_transforms_of_several_axes(name, norm):
    transform = getattr(np.fft, name)
    for s, axes in [(None, (0, 1)), (None, (1, 0)), ((3, 6), (0, 1)), ((-1, 4), (0, 1))]:
        same_value_and_derivatives(lambda x: transform(x, s, axes, norm), argument(name))


@pytest.mark.parametrize("name", ["fft", "ifft", "fft2", "fftn"])
def test_a_real_argument_has_a_real_gradient(name):
    transform = getattr(np.fft, name)
    same_value_and_derivatives(transform, REAL)
    assert pb.grad(lambda x: np.sum(np.abs(transform(x)) ** 2))(REAL).dtype == np.float64


@pytest.mark.parametrize("axes", [None, 0, (0, 1), -1])
def test_shifts_are_undone_by_each_other(axes):
    for shift in (np.fft.fftshift, np.fft.ifftshift):
        same_value_and_derivatives(lambda x, shift=shift: shift(x, axes), REAL)
    back = pb.grad(lambda x: np.sum(np.fft.ifftshift(np.fft.fftshift(x, axes), axes) * REAL))(REAL)
    np.testing.assert_array_equal(back, REAL)


@pytest.mark.parametrize("name", ONE_AXIS + SEVERAL_AXES)
def test_single_precision_stays_single(name):
    transform, x = getattr(np.fft, name), argument(name)
    x = x.astype(np.float32 if x.dtype == np.float64 else np.complex64)
    out, pull = pb.vjp(transform, x)
    assert out.dtype == transform(x).dtype
    assert out.real.dtype == np.float32
    (gradient,) = pull(np.ones_like(out))
    assert gradient.dtype == x.dtype


@pytest.mark.parametrize("name", ONE_AXIS + SEVERAL_AXES)
def test_gradients_equal_those_of_jax(name, jax):
    def loss(module, x):
        transform = getattr(module.fft, name)
        y = transform(x, norm="ortho")
        return module.sum(module.sin(module.real(y)) + module.imag(y) ** 3)

    x = argument(name)
    expected = jax.grad(lambda x: loss(jax.numpy, x))(x)
    np.testing.assert_allclose(pb.grad(lambda x: loss(np, x))(x), expected, rtol=1e-10, atol=1e-12)


def test_the_energy_of_a_signal_has_parsevals_gradient():
    x = RNG.normal(size=9)
    energy = pb.grad(lambda x: np.sum(np.abs(np.fft.fft(x, norm="ortho")) ** 2))
    np.testing.assert_allclose(energy(x), 2 * x, rtol=1e-12)


def test_a_circular_convolution_by_spectra_has_the_gradient_of_the_direct_one():
    x, w = RNG.normal(size=(2, 8))

    def spectral(w):
        return np.fft.irfft(np.fft.rfft(x) * np.fft.rfft(w), 8)

    def direct(w):
        return np.stack([np.sum(np.roll(x[::-1], k + 1) * w) for k in range(8)])

    np.testing.assert_allclose(pb.jacobian(spectral)(w), pb.jacobian(direct)(w), atol=1e-12)


def test_a_batch_of_transforms_is_one_transform():
    x = RNG.normal(size=(3, 6))
    np.testing.assert_allclose(pb.vmap(np.fft.rfft)(x), np.fft.rfft(x))
    np.testing.assert_allclose(
        pb.vmap(lambda x: np.fft.fft(x, 4, axis=0))(x), np.fft.fft(x, 4, axis=1)
    )


def test_out_takes_the_result():
    def f(x):
        out = np.zeros_like(np.fft.fft(x)) * x[0]
        np.fft.fft(x, out=out)
        return np.real(out) + np.imag(out)

    same_value_and_derivatives(f, REAL[0])


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="norm: expected None, 'backward', 'ortho' or 'forward'"):
        pb.grad(lambda x: np.fft.fft(x, norm="unit").real.sum())(REAL)
    with pytest.raises(ValueError, match="at least 1 point"):
        pb.grad(lambda x: np.fft.fft(x, n=0).real.sum())(REAL)
    with pytest.raises(ValueError, match="one number of points for each of the axes"):
        pb.grad(lambda x: np.fft.fft2(x, s=(2,)).real.sum())(REAL)
