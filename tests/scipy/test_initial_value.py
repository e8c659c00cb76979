"""Differential equations: solutions as SciPy's, derivatives against closed forms."""

import numpy as np
import pytest
import scipy.integrate

import pullback as pb
from pullback.scipy.integrate import odeint, solve_ivp

TIGHT = {"rtol": 1e-10, "atol": 1e-10}
TIMES = np.array([0.3, 0.8, 1.5])


def decay(t, y, k):
    return -k * y


def oscillator(t, y, w):
    return [y[1], -w * w * y[0]]


def predators(t, y, rates):
    x, z = y
    return np.stack([rates["a"] * x - rates["b"] * x * z, rates["d"] * x * z - rates["c"] * z])


RATES = {"a": 1.5, "b": 1.0, "c": 3.0, "d": 1.0}


@pytest.mark.parametrize("method", ["RK45", "DOP853", "RK23", "LSODA", "Radau", "BDF"])
def test_solutions_are_scipys(method):
    options = {"method": method, "t_eval": TIMES, "rtol": 1e-6, "atol": 1e-9}
    expected = scipy.integrate.solve_ivp(oscillator, (0.0, 1.5), [1.0, 0.2], args=(2.0,), **options)
    found = solve_ivp(oscillator, (0.0, 1.5), [1.0, 0.2], args=(2.0,), **options)
    np.testing.assert_array_equal(found.t, expected.t)
    np.testing.assert_allclose(found.y, expected.y, rtol=1e-12)


def test_the_integrators_own_steps_are_the_times_without_t_eval():
    expected = scipy.integrate.solve_ivp(oscillator, (0.0, 1.5), [1.0, 0.2], args=(2.0,))
    found, _ = pb.vjp(lambda w: solve_ivp(oscillator, (0.0, 1.5), [1.0, 0.2], args=(w,)), 2.0)
    np.testing.assert_allclose(found.t, expected.t, rtol=1e-15)
    np.testing.assert_allclose(found.y, expected.y, rtol=1e-12)


def test_odeint_is_scipys():
    times = np.linspace(0.0, 2.0, 5)

    def swapped(y, t, w):
        return oscillator(t, y, w)

    expected = scipy.integrate.odeint(swapped, [1.0, 0.0], times, (2.0,))
    np.testing.assert_allclose(odeint(swapped, [1.0, 0.0], times, (2.0,)), expected, atol=1e-6)
    first = odeint(oscillator, [1.0, 0.0], times, (2.0,), tfirst=True)
    np.testing.assert_allclose(first, expected, atol=1e-6)
    assert odeint(lambda y, t: -y, 1.0, times).shape == (5, 1)


@pytest.mark.parametrize("method", ["RK45", "DOP853", "LSODA", "Radau"])
@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_exponential_decay_in_everything_it_depends_on(mode, method):
    # y = y0 exp(-k (t - t0))
    tolerances = {"rtol": 1e-8, "atol": 1e-8}

    def values(y0, k, start, times):
        solution = solve_ivp(
            decay, (start, 1.5), y0, t_eval=times, args=(k,), method=method, **tolerances
        )
        return solution.y[0]

    y0, k, start = np.array([2.0]), 0.7, 0.1
    slopes = pb.jacobian(values, (0, 1, 2, 3), mode=mode)(y0, k, start, TIMES)
    exact = 2.0 * np.exp(-k * (TIMES - start))
    np.testing.assert_allclose(slopes[0][:, 0], exact / 2, rtol=1e-6)
    np.testing.assert_allclose(slopes[1], -(TIMES - start) * exact, rtol=1e-6)
    np.testing.assert_allclose(slopes[2], k * exact, rtol=1e-6)
    np.testing.assert_allclose(slopes[3], np.diag(-k * exact), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_the_harmonic_oscillator_to_second_order(mode):
    # y = cos(w t): dy/dw = -t sin(w t), d2y/dw2 = -t**2 cos(w t)
    def position(w, times=TIMES):
        return solve_ivp(
            oscillator, (0.0, 1.5), [1.0, 0.0], "DOP853", times, args=(w,), rtol=1e-9, atol=1e-9
        ).y[0]

    w = 1.3
    found = pb.jacobian(position, mode=mode)(w)
    np.testing.assert_allclose(found, -TIMES * np.sin(w * TIMES), rtol=1e-7)
    for outer in ("forward", "reverse"):
        slope = pb.jacobian(lambda w: position(w, TIMES[-1:])[0], mode=mode)
        found = pb.jacobian(slope, mode=outer)(w)
        np.testing.assert_allclose(found, -(1.5**2) * np.cos(1.5 * w), rtol=1e-6)


def test_lotka_volterra_against_differences_with_a_tree_of_arguments():
    def final(y0, rates):
        return solve_ivp(
            predators, (0.0, 2.0), y0, t_eval=[1.0, 2.0], args=(rates,), method="DOP853", **TIGHT
        ).y

    pb.check_grads(final, (np.array([10.0, 5.0]), RATES), order=1, eps=1e-4, rtol=1e-5, atol=1e-5)


def test_an_equation_of_time_backwards_and_with_repeated_times():
    # dy/dt = k t: y = y0 + k (t**2 - t0**2) / 2
    def values(k, times):
        return solve_ivp(
            lambda t, y, k: k * t * np.ones(1), (2.0, 0.0), [1.0], t_eval=times, args=(k,), **TIGHT
        ).y[0]

    times = np.array([2.0, 1.0, 1.0, 0.5])
    np.testing.assert_allclose(values(3.0, times), 1 + 1.5 * (times**2 - 4), rtol=1e-9)
    for mode in ("forward", "reverse"):
        found = pb.jacobian(values, (0, 1), mode=mode)(3.0, times)
        np.testing.assert_allclose(found[0], (times**2 - 4) / 2, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found[1], np.diag(3.0 * times), rtol=1e-9, atol=1e-9)


def test_the_end_of_the_span_is_differentiable_without_t_eval():
    def final(end):
        return solve_ivp(decay, (0.0, end), [1.0], args=(0.5,), **TIGHT).y[0, -1]

    np.testing.assert_allclose(pb.grad(final)(1.2), -0.5 * np.exp(-0.6), rtol=1e-8)


def test_odeint_differentiates_in_the_initial_value_and_the_times():
    def values(y0, t, k):
        return odeint(lambda y, t, k: -k * y, y0, t, (k,))[:, 0]

    times = np.array([0.0, 0.5, 1.0])
    for mode in ("forward", "reverse"):
        slopes = pb.jacobian(values, (0, 2), mode=mode)(2.0, times, 0.7)
        np.testing.assert_allclose(slopes[0], np.exp(-0.7 * times), rtol=1e-6)
        np.testing.assert_allclose(slopes[1], -2 * times * np.exp(-0.7 * times), atol=1e-6)


def test_arrays_as_parameters_and_float32_keep_shape_and_dtype():
    matrix = np.array([[0.0, 1.0], [-2.0, -0.1]], np.float32)

    def loss(matrix, y0):
        solution = solve_ivp(lambda t, y, A: A @ y, (0.0, 1.0), y0, t_eval=[1.0], args=(matrix,))
        return np.sum(solution.y**2)

    of_matrix, of_start = pb.grad(loss, (0, 1))(matrix, np.ones(2, np.float32))
    assert (of_matrix.shape, of_matrix.dtype) == ((2, 2), np.float32)
    assert of_start.dtype == np.float32
    pb.check_grads(
        lambda A: (
            solve_ivp(
                lambda t, y, A: A @ y, (0.0, 1.0), np.ones(2), t_eval=[1.0], args=(A,), **TIGHT
            ).y
        ),
        (matrix.astype(float),),
        order=1,
        eps=1e-4,
        rtol=1e-6,
        atol=1e-6,
    )


def test_a_batch_of_equations_is_solved_as_one():
    rates = np.array([0.3, 0.7, 1.1])

    def final(k):
        return solve_ivp(decay, (0.0, 1.0), [1.0], t_eval=[1.0], args=(k,), **TIGHT).y[0, 0]

    np.testing.assert_allclose(pb.vmap(final)(rates), np.exp(-rates), rtol=1e-8)
    np.testing.assert_allclose(pb.vmap(pb.grad(final))(rates), -np.exp(-rates), rtol=1e-8)
    ends = pb.vmap(lambda t: odeint(lambda y, t: -y * t, 1.0, np.stack([0.0 * t, t, t]))[:, 0])
    expected = np.exp(-(rates[:, None] ** 2) / 2 * np.array([0.0, 1.0, 1.0]))
    np.testing.assert_allclose(ends(rates), expected, rtol=1e-6)


def test_a_graph_holds_the_equation_and_its_gradient():
    def final(k):
        return solve_ivp(decay, (0.0, 1.0), [1.0], t_eval=[1.0], args=(k,), **TIGHT).y[0, 0]

    graph = pb.trace(final, 0.5)
    assert "decay by RK45" in str(graph)
    np.testing.assert_allclose(graph(0.5), np.exp(-0.5), rtol=1e-8)
    np.testing.assert_allclose(pb.grad(graph)(0.5), -np.exp(-0.5), rtol=1e-8)
    with pytest.raises(pb.errors.TracerError):
        pb.trace(lambda k: solve_ivp(decay, (0.0, 1.0), [1.0], args=(k,)).y, 0.5)


def run(**changes):
    options = {"fun": decay, "t_span": (0.0, 1.0), "y0": [1.0], "t_eval": [0.5], "args": (0.5,)}
    return pb.grad(lambda z: solve_ivp(**{**options, **changes}).y.sum() + z)(0.0)


WRONG = {
    "t_eval: expected times within": ({"t_eval": [2.0]}, "ShapeError"),
    "t_eval: expected a vector": ({"t_eval": 0.5}, "ShapeError"),
    "t: expected times in": ({"t_eval": [0.7, 0.2]}, "ConfigError"),
    "y0: expected a vector": ({"y0": np.ones((2, 2))}, "ShapeError"),
    "y0: expected real numbers": ({"y0": [1j]}, "DTypeError"),
    "expected a result of shape": ({"fun": lambda t, y, k: np.ones(3)}, "ShapeError"),
    "is not finite at the start": ({"args": (np.nan,)}, "DivergenceError"),
    "could not be integrated": (
        {"fun": lambda t, y, k: 100 * y * y, "args": (1,)},
        "DivergenceError",
    ),
}


@pytest.mark.parametrize("message", WRONG)
def test_arguments_that_do_not_fit_are_named(message):
    changes, error = WRONG[message]
    with pytest.raises(getattr(pb.errors, error), match=message), np.errstate(all="ignore"):
        run(**changes)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_a_right_side_may_branch_on_values(mode):
    # the rate doubles at t = 1/2, so that y(1) = exp(-k / 2 - k)
    def switched(t, y, k):
        return -k * y if t < 0.5 else -2 * k * y

    def final(k):
        times = [0.5, 1.0]
        return solve_ivp(switched, (0.0, 1.0), [1.0], t_eval=times, args=(k,), **TIGHT).y[0, -1]

    np.testing.assert_allclose(pb.jacobian(final, mode=mode)(0.7), -1.5 * np.exp(-1.05), rtol=1e-7)


def test_arguments_are_a_tuple_and_one_equation_may_return_a_number():
    with pytest.raises(TypeError, match=r"write args=\(k,\)"):
        pb.grad(lambda k: solve_ivp(decay, (0.0, 1.0), [1.0], args=k).y[0, -1])(1.0)
    found = odeint(lambda y, t, k: -k * y[0], 1.0, [0.0, 1.0], 0.5)
    np.testing.assert_allclose(found[:, 0], [1.0, np.exp(-0.5)], rtol=1e-6)


def test_a_traced_value_from_outside_is_refused_with_the_remedy():
    def final(k):
        return solve_ivp(lambda t, y: -k * y, (0.0, 1.0), [1.0], t_eval=[1.0]).y[0, 0]

    with pytest.raises(pb.errors.TracerError, match="pass it through args="):
        pb.grad(final)(0.5)
