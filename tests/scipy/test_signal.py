"""Convolution and correlation: values as SciPy's, derivatives in both inputs, batches."""

import numpy as np
import pytest
import scipy.signal

import pullback as pb
from pullback.scipy import signal

SHAPES = [((7,), (3,)), ((3,), (7,)), ((5, 4), (2, 3)), ((3, 4, 2), (2, 2, 2)), ((4,), (4,))]
CALLS = [("convolve", "direct"), ("convolve", "fft"), ("correlate", "direct"), ("correlate", "fft")]


def arrays(shapes, dtype=float):
    rng = np.random.default_rng(0)
    found = [rng.normal(size=s) for s in shapes]
    if dtype is complex:
        found = [x + 1j * rng.normal(size=x.shape) for x in found]
    return found


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("name", CALLS, ids="-".join)
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_values_and_derivatives_in_both_inputs(shapes, name, mode):
    function, method = name
    x, y = arrays(shapes)
    expected = getattr(scipy.signal, function)(x, y, mode, method)
    ours = getattr(signal, function)
    np.testing.assert_allclose(ours(x, y, mode, method), expected, atol=1e-12)
    pb.check_grads(lambda x, y: ours(x, y, mode, method), (x, y))


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("function", ["convolve", "correlate", "fftconvolve"])
def test_complex_inputs(function, mode):
    x, y = arrays([(6,), (3,)], complex)
    expected = getattr(scipy.signal, function)(x, y, mode)
    ours = getattr(signal, function)
    np.testing.assert_allclose(ours(x, y, mode), expected, atol=1e-12)
    pb.check_grads(lambda x, y: ours(x, y, mode), (x, y))


@pytest.mark.parametrize("axes", [None, 0, -1, (0, 2), [1]])
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_fftconvolve_over_some_axes_broadcasts_the_others(mode, axes):
    if axes is None:
        x, y = arrays([(4, 3, 5), (2, 3, 2)])
    else:
        x, y = arrays([(4, 3, 5), (2, 1, 2)] if axes == (0, 2) else [(4, 3, 5), (4, 3, 5)])
    expected = scipy.signal.fftconvolve(x, y, mode, axes)
    np.testing.assert_allclose(signal.fftconvolve(x, y, mode, axes), expected, atol=1e-12)
    pb.check_grads(lambda x, y: signal.fftconvolve(x, y, mode, axes), (x, y), order=1)


def test_derivatives_agree_with_jax(jax):
    x, y = arrays([(5, 4), (2, 3)])
    for mode in ("full", "same", "valid"):
        ours = pb.grad(lambda x, y, mode=mode: np.sum(signal.convolve(x, y, mode) ** 2), (0, 1))
        theirs = jax.grad(
            lambda x, y, mode=mode: jax.numpy.sum(jax.scipy.signal.convolve(x, y, mode) ** 2),
            (0, 1),
        )
        for found, expected in zip(ours(x, y), theirs(x, y), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("method", ["direct", "fft"])
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_batches_of_either_input(mode, method):
    xs, ys = arrays([(3, 5, 4), (3, 2, 2)])

    def one(x, y):
        return signal.convolve(x, y, mode, method)

    for axes in ((0, 0), (0, None), (None, 0)):
        args = [a if axis == 0 else a[0] for a, axis in zip((xs, ys), axes, strict=True)]
        loop = [
            one(*(a[i] if axis == 0 else a for a, axis in zip(args, axes, strict=True)))
            for i in range(3)
        ]
        np.testing.assert_allclose(pb.vmap(one, axes)(*args), np.stack(loop), atol=1e-12)


def test_lists_floats_and_graphs():
    assert signal.convolve([1, 2], [3, 4]).tolist() == [3, 10, 8]
    x = np.ones(4, np.float32)
    assert signal.convolve(x, x, method="fft").dtype == np.float32
    assert pb.grad(lambda x: signal.fftconvolve(x, x).sum())(x).dtype == np.float32
    graph = pb.trace(lambda x: signal.convolve(x, np.ones(2), "same"), np.ones(3))
    np.testing.assert_allclose(graph(np.ones(3)), [1.0, 2.0, 2.0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: signal.convolve(np.ones(3), np.ones((2, 2))), "expected arrays with as many axes"),
        (lambda: signal.convolve(np.ones(0), np.ones(2)), "no empty ones"),
        (lambda: signal.convolve(np.ones((3, 1)), np.ones((1, 3)), "valid"), "mode 'valid'"),
        (lambda: signal.correlate(np.ones(3), np.ones(2), "middle"), "mode: expected 'full'"),
    ],
)
def test_what_does_not_fit_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
