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
