"""check_grads finds wrong rules and lets right ones pass."""

import numpy as np
import pytest

import pullback as pb


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_right_derivatives_pass_at_second_order(dtype):
    x = np.array([0.3, 0.5]).astype(dtype)
    pb.check_grads(lambda x: np.sin(x) * x, (x,), order=2)


def test_pytrees_and_several_outputs():
    pb.check_grads(lambda p: (p["a"] * p["b"], np.exp(p["a"])), ({"a": 0.3, "b": 0.7},), order=2)


def test_a_wrong_rule_is_found_in_both_modes():
    @pb.custom_jvp
    def f(x):
        return x**2

    f.defjvp(lambda p, t: (f(*p), 3.0 * p[0] * t[0]))
    for mode in ("fwd", "rev"):
        with pytest.raises(pb.errors.GradientError, match=f"order 1 in mode {mode}"):
            pb.check_grads(f, (2.0,), order=1, modes=(mode,))


def test_a_rule_wrong_only_at_second_order_is_found():
    @pb.custom_jvp
    def f(x):
        return x**3

    f.defjvp(lambda p, t: (f(*p), 3.0 * pb.stop_gradient(p[0]) ** 2 * t[0]))
    pb.check_grads(f, (2.0,), order=1)
    with pytest.raises(pb.errors.GradientError, match="order 2"):
        pb.check_grads(f, (2.0,), order=2)


def test_unknown_modes_are_refused():
    with pytest.raises(pb.errors.ConfigError, match="'fwd' and/or 'rev'"):
        pb.check_grads(np.sin, (1.0,), modes=("forward",))


def slightly_wrong(error):
    """The cube with a derivative that is wrong by `error`."""

    @pb.custom_jvp
    def f(x):
        return x**3

    f.defjvp(lambda p, t: (f(*p), (3.0 * p[0] ** 2 + error) * t[0]))
    return f


def test_the_complex_step_finds_what_central_differences_cannot_see():
    f = slightly_wrong(1e-6)
    pb.check_grads(f, (2.0,), order=1, method="central")
    for method in ("auto", "complex-step"):
        with pytest.raises(pb.errors.GradientError):
            pb.check_grads(f, (2.0,), order=1, method=method)


@pytest.mark.parametrize(
    "function",
    [
        np.abs,
        lambda x: np.linalg.norm(x),
        lambda x: np.real(np.conjugate(1j * x) * 1j) * x,
        lambda x: np.arctan2(x, 1.0 + x),
        lambda x: np.real(np.fft.fft(x)),
        lambda x: np.maximum(x, 1.0) ** 2,
        lambda x: np.sort(x) * x,
        lambda x: pb.pure_callback(np.sin, x, x, jvp=lambda t, out, x: t[0] * np.cos(x)),
    ],
)
def test_functions_that_are_not_analytic_or_refuse_complex_numbers_fall_back(function):
    pb.check_grads(function, (np.array([0.3, -1.5, 2.0]),), order=2)


def test_a_gradient_of_zero_is_not_excused_by_a_complex_step_of_zero():
    @pb.custom_jvp
    def modulus(x):
        return np.abs(x)

    modulus.defjvp(lambda p, t: (modulus(*p), 0.0 * t[0]))
    with pytest.raises(pb.errors.GradientError):
        pb.check_grads(modulus, (2.0,), order=1)


def test_the_complex_step_serves_where_central_differences_drown_in_rounding():
    def f(x):
        return 1e8 + np.sin(x)

    pb.check_grads(f, (0.5,), order=1, method="complex-step")
    with pytest.raises(pb.errors.GradientError):
        pb.check_grads(f, (0.5,), order=1, method="central", eps=1e-6)


def test_methods_that_do_not_exist_or_do_not_apply_are_refused():
    with pytest.raises(pb.errors.ConfigError, match="complex-step"):
        pb.check_grads(np.sin, (1.0,), method="complex")
    with pytest.raises(pb.errors.ConfigError, match="real args"):
        pb.check_grads(np.sin, (1.0 + 2.0j,), method="complex-step")
    with pytest.raises(pb.errors.ConfigError, match="real values"):
        pb.check_grads(np.fft.fft, (np.ones(3),), method="complex-step")


def test_the_arguments_stay_as_they_are_where_the_function_assigns_in_place():
    def f(x):
        x[0] = 5.0
        x *= 2.0
        return np.sum(x**2)

    x = np.array([0.3, 0.7])
    pb.check_grads(f, (x,))
    np.testing.assert_array_equal(x, [0.3, 0.7])
