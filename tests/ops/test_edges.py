"""Where derivatives are not unique, what complex gradients mean, dtypes that stay, and errors."""

import warnings

import numpy as np
import pytest
import scipy.special as sp

import pullback as pb
from pullback.core.errors import NotDifferentiableError, TracerError
from pullback.scipy.special import log_softmax, logsumexp, polygamma, softmax

INF = np.inf


def gradient(function, *args):
    """The gradients of the sum of `function` in every argument, with NumPy's warnings off."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pb.grad(lambda *a: np.sum(function(*a)), tuple(range(len(args))))(*args)


CONVENTIONS = {
    "maximum of equals": (np.maximum, [1.0, 1.0], [0.5, 0.5]),
    "minimum of equals": (np.minimum, [1.0, 1.0], [0.5, 0.5]),
    "fmax of equals": (np.fmax, [1.0, 1.0], [0.5, 0.5]),
    "fmin of equals": (np.fmin, [1.0, 1.0], [0.5, 0.5]),
    "fmax beside NaN": (np.fmax, [1.0, np.nan], [1.0, 0.0]),
    "fmin beside NaN": (np.fmin, [np.nan, 1.0], [0.0, 1.0]),
    "max of ties": (np.max, [np.array([2.0, 1, 2])], [[0.5, 0, 0.5]]),
    "min of ties": (np.min, [np.array([2.0, 1, 1, 1])], [[0, 1 / 3, 1 / 3, 1 / 3]]),
    "abs at 0": (np.abs, [0.0], [0.0]),
    "abs at -0": (np.abs, [-0.0], [0.0]),
    "fabs at 0": (np.fabs, [0.0], [0.0]),
    "sign at 0": (np.sign, [0.0], [0.0]),
    "heaviside at 0": (np.heaviside, [0.0, 0.5], [0.0, 1.0]),
    "clip on the edge": (
        lambda x: np.clip(x, -1, 1),
        [np.array([-2.0, -1, 0, 1])],
        [[0, 0.5, 1, 0.5]],
    ),
    "norm at 0": (np.linalg.norm, [np.zeros(3)], [[0, 0, 0]]),
    "norm of a zero row": (
        lambda x: np.linalg.norm(x, axis=1),
        [np.array([[0.0, 0], [3, 4]])],
        [[[0, 0], [0.6, 0.8]]],
    ),
    "3-norm at 0": (lambda x: np.linalg.norm(x, ord=3), [np.zeros(3)], [[0, 0, 0]]),
    "hypot at 0": (np.hypot, [0.0, 0.0], [0.0, 0.0]),
    "std of equal values": (np.std, [np.ones(3)], [[0, 0, 0]]),
    "std of one value": (np.std, [np.ones(1)], [[0]]),
    "0**2": (lambda x: np.power(x, 2.0), [0.0], [0.0]),
    "0**1": (np.power, [0.0, 1.0], [1.0, 0.0]),
    "0**0": (np.power, [0.0, 0.0], [0.0, 0.0]),
    "0**0 of a number": (lambda x: x**0, [0.0], [0.0]),
    "0**0.5": (np.power, [0.0, 0.5], [INF, 0.0]),
    "(-2)**3": (lambda x: x**3, [-2.0], [12.0]),
    "(-2)**3.0 of an array": (lambda x: x ** np.array([3.0]), [np.array([-2.0])], [[12.0]]),
    "sqrt at 0": (np.sqrt, [0.0], [INF]),
    "cbrt at 0": (np.cbrt, [0.0], [INF]),
    "log at 0": (np.log, [0.0], [INF]),
    "division by 0": (np.true_divide, [1.0, 0.0], [INF, -INF]),
    "logaddexp of -inf": (np.logaddexp, [-INF, -INF], [1.0, 1.0]),
    "logaddexp of +inf": (np.logaddexp, [INF, INF], [1.0, 1.0]),
    "logaddexp of one -inf": (np.logaddexp, [0.0, -INF], [1.0, 0.0]),
    "logaddexp2 of -inf": (np.logaddexp2, [-INF, 0.0], [0.0, 1.0]),
    "sinc at 0": (np.sinc, [0.0], [0.0]),
    "prod with a zero": (np.prod, [np.array([2.0, 0, 3])], [[0, 6, 0]]),
    "prod with two zeros": (np.prod, [np.array([2.0, 0, 0])], [[0, 0, 0]]),
    "cumprod with a zero": (np.cumprod, [np.array([2.0, 0, 3])], [[1, 8, 0]]),
    "xlogy at 0": (sp.xlogy, [0.0, 0.0], [0.0, 0.0]),
    "xlogy of 0": (sp.xlogy, [0.0, 2.0], [np.log(2.0), 0.0]),
    "copysign at 0": (lambda x: np.copysign(x, -1.0), [0.0], [0.0]),
    "nan_to_num": (np.nan_to_num, [np.array([1.0, np.nan, INF, -INF])], [[1, 0, 0, 0]]),
    "sort of ties": (lambda x: np.sort(x) * np.arange(3), [np.ones(3)], [[0, 1, 2]]),
    "rint": (np.rint, [np.array([0.2, 0.5])], [[0, 0]]),
    "arctan2 at 0 and 1": (np.arctan2, [0.0, 1.0], [1.0, 0.0]),
    "logsumexp of -inf": (logsumexp, [np.array([-INF, 0.0])], [[0, 1]]),
    "softmax of far values": (lambda x: softmax(x)[0], [np.array([1e4, 0.0])], [[0, 0]]),
    "log_softmax of far values": (lambda x: log_softmax(x)[1], [np.array([1e4, 0.0])], [[-1, 1]]),
    "expit far out": (sp.expit, [np.array([-800.0, 800.0])], [[0, 0]]),
    "repeat on a negative axis": (
        lambda x: np.repeat(x, [1, 2], axis=-2)[..., 0],
        [np.ones((2, 2))],
        [[[1, 0], [2, 0]]],
    ),
    "outer of matrices": (np.outer, [np.ones((2, 1)), np.ones(3)], [[[3], [3]], [2, 2, 2]]),
    "where of a scalar": (
        lambda x, y: np.where([True, False, True], x, y),
        [2.0, np.ones(3)],
        [2.0, [0, 1, 0]],
    ),
}


@pytest.mark.parametrize("case", CONVENTIONS)
def test_the_gradient_at_an_edge_is_the_one_stated(case):
    function, args, expected = CONVENTIONS[case]
    for found, wanted in zip(gradient(function, *args), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", CONVENTIONS)
def test_forward_mode_takes_the_same_convention(case):
    function, args, expected = CONVENTIONS[case]
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i, wanted in enumerate(expected):
            x = np.asarray(args[i], float)
            if np.isinf(wanted).any():
                continue
            for place in np.ndindex(x.shape):
                basis = np.zeros(x.shape)
                basis[place] = 1.0

                def moving(x, i=i):
                    return np.sum(function(*args[:i], x, *args[i + 1 :]))

                _, found = pb.jvp(moving, (x,), (basis,))
                np.testing.assert_allclose(found, np.asarray(wanted)[place], rtol=1e-12, atol=1e-12)


def test_the_conventions_of_ties_and_kinks_are_those_of_jax(jax):
    jnp = jax.numpy
    ties = np.array([2.0, 1.0, 2.0])
    pairs = [
        (np.max, jnp.max), (np.min, jnp.min), (np.prod, jnp.prod), (np.ptp, jnp.ptp),
        (lambda x: np.maximum(x, 1.0), lambda x: jnp.maximum(x, 1.0)),
        (lambda x: np.clip(x, 1.0, 3.0), lambda x: jnp.clip(x, 1.0, 3.0)),
    ]  # fmt: skip
    for ours, theirs in pairs:
        found = pb.grad(lambda x: np.sum(ours(x)))(ties)
        np.testing.assert_allclose(found, jax.grad(lambda x: jnp.sum(theirs(x)))(ties))


@pytest.mark.parametrize("x", [[2.0, 0.0, 3.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0], [1.0, 2.0, 3.0]])
def test_the_hessian_of_a_product_is_right_with_zeros(x):
    a, b, c = x
    expected = [[0, c, b], [c, 0, a], [b, a, 0]]
    np.testing.assert_array_equal(pb.hessian(np.prod)(np.array(x)), expected)
    np.testing.assert_array_equal(pb.hessian(lambda x: np.cumprod(x)[-1])(np.array(x)), expected)


def test_the_second_derivative_of_sinc_at_0_is_that_of_its_series():
    second = pb.grad(pb.grad(np.sinc))(0.0)
    np.testing.assert_allclose(second, -(np.pi**2) / 3, rtol=1e-12)
    near, far = 0.99e-2 / np.pi, 1.01e-2 / np.pi
    for order in (np.sinc, pb.grad(np.sinc)):
        assert abs(order(near) - order(far)) < 1e-2 * max(1, abs(order(far)))


def test_reductions_over_no_elements_have_no_gradient_to_give():
    empty = np.zeros((0, 3))
    for function in (np.sum, np.prod, np.linalg.norm, lambda x: np.sum(np.cumsum(x, 0))):
        assert pb.grad(function)(empty).shape == (0, 3)
        assert pb.jvp(function, (empty,), (empty,))[1] == 0
    with pytest.raises(ValueError, match="no elements"):
        pb.grad(np.max)(empty)


# complex numbers: JAX's convention


COMPLEX = {
    "abs": lambda xp, z: xp.abs(z),
    "abs squared": lambda xp, z: xp.abs(z) ** 2,
    "real": lambda xp, z: xp.real(z),
    "imag": lambda xp, z: xp.imag(z),
    "angle": lambda xp, z: xp.angle(z),
    "exp": lambda xp, z: xp.real(xp.exp(z)),
    "product": lambda xp, z: xp.real(z * z[::-1] * (1 + 2j)),
    "conjugate product": lambda xp, z: xp.real(z * xp.conj(z)),
    "conjugate": lambda xp, z: xp.imag(xp.conj(z) * (2 - 1j)),
    "quotient": lambda xp, z: xp.real((1 + 1j) / z),
    "power": lambda xp, z: xp.real(z**3),
    "matmul": lambda xp, z: xp.real(z @ (z * 1j)),
    "vdot": lambda xp, z: xp.real(xp.vdot(z, z * (1 + 1j))),
    "var": lambda xp, z: xp.var(z),
    "norm": lambda xp, z: xp.linalg.norm(z),
    "sum": lambda xp, z: xp.abs(xp.sum(z * z)),
    "mean": lambda xp, z: xp.imag(xp.mean(z * z)),
    "einsum": lambda xp, z: xp.real(xp.einsum("i,j->", z, z)),
    "sin": lambda xp, z: xp.real(xp.sin(z) + xp.cos(z) + xp.tanh(z)),
    "log": lambda xp, z: xp.real(xp.log(z)) + xp.imag(xp.sqrt(z)),
    "index": lambda xp, z: xp.abs(z[xp.array([0, 0, 1])]),
    "stack": lambda xp, z: xp.abs(xp.stack([z, z * 1j]).sum(0)),
    "where": lambda xp, z: xp.abs(xp.where(xp.array([True, False, True]), z, 2 * z)),
    "cumprod": lambda xp, z: xp.real(xp.cumprod(z)),
    "prod": lambda xp, z: xp.imag(xp.prod(z)),
}
Z = np.array([1 + 2j, -0.5 + 0.3j, 0.7 - 1j])


@pytest.mark.parametrize("case", COMPLEX)
def test_complex_gradients_are_those_of_jax(jax, case):
    function = COMPLEX[case]
    found = pb.grad(lambda z: np.sum(function(np, z)))(Z)
    expected = jax.grad(lambda z: jax.numpy.sum(function(jax.numpy, z)))(jax.numpy.asarray(Z))
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
    assert found.dtype == complex
    graph = pb.trace(lambda z: np.sum(function(np, z)), Z)
    np.testing.assert_allclose(pb.grad(graph)(Z), expected, rtol=1e-10, atol=1e-12)
    pb.check_grads(lambda z: function(np, z), (Z,), order=1)


@pytest.mark.parametrize("case", ["real of a sum", "product", "imag", "absolute"])
def test_real_inputs_of_complex_functions_have_real_gradients(jax, case):
    functions = {
        "real of a sum": lambda xp, x: xp.real(x + 1j * x * x),
        "product": lambda xp, x: xp.real((1 + 2j) * x * (x - 1j)),
        "imag": lambda xp, x: xp.imag(xp.exp(1j * x)),
        "absolute": lambda xp, x: xp.abs(x * (2 + 1j) + 1j),
    }
    function, x = functions[case], np.array([0.5, -1.5])
    found = pb.grad(lambda x: np.sum(function(np, x)))(x)
    expected = jax.grad(lambda x: jax.numpy.sum(function(jax.numpy, x)))(jax.numpy.asarray(x))
    assert found.dtype == float
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_abs_of_complex_zero_has_gradient_0():
    assert pb.grad(np.abs)(0j) == 0


def test_parts_of_real_arrays_are_themselves_and_zeros():
    x = np.array([1.0, -2.0])
    assert pb.grad(lambda x: np.sum(np.real(x) + np.imag(x) + np.conj(x)))(x).tolist() == [2, 2]
    assert pb.grad(lambda x: np.angle(x, deg=True).sum())(x).tolist() == [0, 0]
    assert pb.grad(lambda x: x.sum() * np.isrealobj(x) * (not np.iscomplexobj(x)))(x)[0] == 1
    np.testing.assert_array_equal(pb.grad(lambda x: x.conj().real.sum() + x.imag.sum())(x), [1, 1])


# dtypes


KEEPS = {
    "arithmetic": lambda x: (x + 1) * 2.5 - x / 3 + (-x) ** 2 + 1 / (x + 4),
    "power": lambda x: abs(x) ** 1.5 + 2.0**x + x**3,
    "exponentials": lambda x: np.exp(x) + np.log1p(abs(x)) + np.sqrt(abs(x)) + np.exp2(x),
    "logarithms": lambda x: np.log2(abs(x)) + np.log10(abs(x)) + np.cbrt(x),
    "trigonometry": lambda x: np.sin(x) * np.tanh(x) + np.arctan2(x, 2.0) + np.deg2rad(x),
    "sinc": np.sinc,
    "choices": lambda x: np.maximum(x, 0) + np.where(x > 0, x, 0.5) + np.clip(x, -1, 1) + abs(x),
    "remainders": lambda x: x % 0.7 + np.fmod(x, 0.3) + np.hypot(x, 1) + np.copysign(x, -1),
    "statistics": lambda x: x.mean(0) + x.var(0) + x.std(axis=1) + np.median(x, axis=0),
    "norms": lambda x: np.linalg.norm(x, axis=0) + np.linalg.norm(x, ord=3, axis=1) + np.ptp(x),
    "products": lambda x: x.prod(0) + np.cumprod(x, 1) + np.cumsum(x, 0),
    "extremes": lambda x: x.max(0) + x.min(axis=1, keepdims=True),
    "matrices": lambda x: (
        x @ x + np.einsum("ij,jk", x, x) + np.tensordot(x, x, 1) + np.kron(x, x)[:2, :2]
    ),
    "shapes": lambda x: (
        np.tile(x, 2)[:, :2] + x.T + np.roll(x, 1) + np.pad(x, 1)[1:3, 1:3] + x[::-1]
    ),
    "joins": lambda x: np.concatenate([x, x])[:2] + np.stack([x, x])[0] + np.repeat(x, 2, 0)[:2],
    "triangles": lambda x: np.tril(x) + np.triu(x, 1) + np.diag(np.diag(x)) + np.trace(x),
    "sorting": lambda x: (
        np.sort(x) + np.take_along_axis(x, np.argsort(x), -1) + np.diff(x, prepend=x[:, :1])
    ),
    "special": lambda x: sp.expit(x) + sp.erf(x) + sp.gammaln(abs(x)) + sp.xlogy(abs(x), 2 + x * 0),
    "polygamma": lambda x: polygamma(1, abs(x) + 1) + polygamma(0, abs(x) + 1),
    "softmax": lambda x: softmax(x, 1) + log_softmax(x, 0) + logsumexp(x, axis=1),
    "assignment": lambda x: assigned(x),
}


def assigned(x):
    y = np.zeros_like(x) * x
    y[0] = x[1] * 2
    y[1, 0] = 3.0
    y += 1.0
    return y


@pytest.mark.parametrize("case", KEEPS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtypes_stay(case, dtype):
    x = np.array([[0.5, -1.2], [1.7, 0.3]], dtype)
    function = KEEPS[case]
    out, pull = pb.vjp(function, x)
    assert out.dtype == dtype
    assert pull(np.ones_like(out))[0].dtype == dtype
    assert pb.jvp(function, (x,), (x,))[1].dtype == dtype
    graph = pb.trace(function, x)
    assert graph.results[0].aval.dtype == dtype
    np.testing.assert_allclose(graph(x), out, rtol=1e-6)
    second = pb.grad(lambda x: np.sum(pb.grad(lambda x: np.sum(function(x) ** 2))(x)))(x)
    assert second.dtype == dtype


def test_a_float32_parameter_beside_float64_keeps_its_own_gradient_dtype():
    a, b = np.ones(3, np.float32), np.ones(3)
    found = pb.grad(lambda a, b: np.sum(a * b @ b), (0, 1))(a, b)
    assert [g.dtype for g in found] == [np.float32, np.float64]


def test_a_cast_casts_the_gradient_back():
    x = np.ones(3, np.float32)
    assert pb.grad(lambda x: x.astype(np.float64).sum())(x).dtype == np.float32
    assert pb.grad(lambda x: np.sum(x, dtype=np.float64))(x).dtype == np.float32
    assert pb.grad(lambda x: (x.astype(int) * x).sum())(x).tolist() == [1, 1, 1]


# errors that tests/ops/test_conventions.py does not have


def of(function, *args):
    return lambda: pb.grad(lambda *a: np.sum(function(*a)))(*(args or (np.ones((2, 3)),)))


ERRORS = {
    "axis of softmax": (of(lambda x: softmax(x, 5)), np.exceptions.AxisError, "axis 5"),
    "axis of sort": (of(lambda x: np.sort(x, -3)), np.exceptions.AxisError, "axis -3"),
    "axis of swapaxes": (of(lambda x: np.swapaxes(x, 0, 2)), np.exceptions.AxisError, "axis 2"),
    "unknown function": (
        of(lambda x: np.save("x", x)),
        NotDifferentiableError,
        "no derivative rule",
    ),
    "near name": (of(np.shares_memory, 1.0, 2.0), NotDifferentiableError, "declare it constant"),
    "unknown ufunc": (of(sp.pro_cv, 1.0, 2.0, 3.0), NotDifferentiableError, "pro_cv has no"),
    "at in an array": (of(lambda x: np.add.at(np.ones(3), 0, x)), TracerError, "plain numpy"),
    "too many indices": (of(lambda x: x[0, 0, 0]), IndexError, "too many indices"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors_say_what_is_wrong(case):
    call, kind, message = ERRORS[case]
    with pytest.raises(kind, match=message):
        call()


def test_a_power_at_exponent_zero_has_its_mixed_second_derivative():
    hessian = pb.hessian(lambda v: np.power(v[0], v[1]))(np.array([2.0, 0.0]))
    np.testing.assert_allclose(hessian, [[0, 0.5], [0.5, np.log(2.0) ** 2]])


def test_a_term_of_weight_zero_counts_for_nothing_in_logsumexp():
    a, b = np.array([np.inf, 1.0]), np.array([0.0, 1.0])
    value, slope = pb.value_and_grad(lambda a: logsumexp(a, b=b))(a)
    assert value == 1.0
    np.testing.assert_array_equal(slope, [0, 1])
