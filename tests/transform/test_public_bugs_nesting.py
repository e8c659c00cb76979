"""Nested and structured uses: perturbation confusion, closures, unused and named arguments."""

import numpy as np
import pytest
from gradient_cases import array

import pullback as pb


def test_perturbations_of_two_levels_are_not_confused():
    # d/dx [x * d/dy (x + y)] at 1 is 1; confusing the two levels gives 2
    assert pb.grad(lambda x: x * pb.grad(lambda y: x + y)(1.0))(1.0) == 1
    pushed = pb.jvp(lambda x: x * pb.jvp(lambda y: x + y, (1.0,), (1.0,))[1], (1.0,), (1.0,))
    assert pushed[1] == 1


def test_perturbations_of_mixed_modes_are_not_confused():
    inner = pb.grad(lambda x: x * pb.jvp(lambda y: x * y, (2.0,), (1.0,))[1])
    assert inner(3.0) == 6
    _, tangent = pb.jvp(lambda x: x * pb.grad(lambda y: x * y)(2.0), (3.0,), (1.0,))
    assert tangent == 6


def test_a_closed_over_variable_of_an_outer_level_is_differentiated():
    def outer(a):
        def inner(x):
            return a * x**2

        return pb.grad(inner)(3.0)

    assert pb.grad(outer)(2.0) == 6


def test_the_same_variable_in_nested_gradients():
    assert pb.grad(lambda x: pb.grad(lambda x: x**3)(x))(2.0) == 12
    assert pb.grad(lambda x: x * pb.grad(lambda y: y**3)(x))(2.0) == 36


def test_derivatives_to_fifth_order():
    f = np.sin
    for _ in range(5):
        f = pb.grad(f)
    np.testing.assert_allclose(f(0.3), np.cos(0.3))


def test_the_gradient_of_a_gradient_norm():
    def steepness(x):
        return np.linalg.norm(pb.grad(lambda x: np.sum(x**3))(x))

    x = array(1, 2)
    g = 3 * x**2
    np.testing.assert_allclose(pb.grad(steepness)(x), g * 6 * x / np.linalg.norm(g))


def test_the_same_argument_twice():
    assert pb.grad(lambda x: (lambda a, b: a * b)(x, x))(3.0) == 6
    assert pb.grad(lambda x, y: x * y, (0, 1))(3.0, 3.0) == (3, 3)


def test_an_unused_argument_has_gradient_zero_of_its_shape_and_dtype():
    gradient = pb.grad(lambda x, y: np.sum(x), 1)
    found = gradient(array(1, 2), np.ones((2, 3), np.float32))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.zeros((2, 3)))


def test_a_constant_function_has_gradient_zero():
    assert pb.grad(lambda x: 5.0)(3.0) == 0
    assert pb.hessian(lambda x: np.sum(2 * x))(array(1, 2)).tolist() == [[0, 0], [0, 0]]


def test_the_identity_has_gradient_one():
    assert pb.grad(lambda x: x)(3.0) == 1


def test_dicts_and_nested_containers():
    params = {"w": array(1, 2), "layers": [(array(3), 4.0), None]}
    found = pb.grad(lambda p: np.sum(p["w"] ** 2) + p["layers"][0][0][0] * p["layers"][0][1])(
        params
    )
    assert found["w"].tolist() == [2, 4]
    assert found["layers"][0][0].tolist() == [4]
    assert found["layers"][0][1] == 3
    assert found["layers"][1] is None


def test_keyword_arguments_are_constants():
    assert pb.grad(lambda x, *, scale=1.0, power=1: scale * x**power)(3.0, scale=2.0, power=2) == 12


def test_default_arguments_stay():
    assert pb.grad(lambda x, n=3: x**n)(2.0) == 12


def test_star_arguments():
    assert pb.grad(lambda *xs: xs[0] * xs[1], (0, 1))(2.0, 3.0) == (3, 2)


def test_methods_and_partials():
    import functools

    class Scale:
        factor = 3.0

        def __call__(self, x):
            return self.factor * x

        def squared(self, x):
            return self(x) ** 2

    assert pb.grad(Scale())(1.0) == 3
    assert pb.grad(Scale().squared)(1.0) == 18
    assert pb.grad(functools.partial(np.multiply, 4.0))(1.0) == 4


def test_python_control_flow_on_values():
    def f(x):
        while x < 10:
            x = x * x if x > 1 else x + 1
        return x

    assert pb.grad(f)(2.0) == 4 * 2.0**3
    assert pb.grad(lambda x: max(x, 2.0) * min(x, 5.0))(3.0) == 6


def test_recursion():
    def power(x, n):
        return x if n == 1 else x * power(x, n - 1)

    assert pb.grad(power)(2.0, 4) == 32


def test_a_list_built_in_a_loop():
    def f(x):
        rows = []
        for k in range(3):
            rows.append(x * k)
        return np.sum(np.stack(rows))

    assert pb.grad(f)(array(1, 1)).tolist() == [3, 3]


def test_integer_arguments_beside_differentiated_ones():
    assert pb.grad(lambda x, n: x**n)(2.0, 3) == 12


def test_gradients_of_other_positions():
    assert pb.grad(lambda x, y: x / y, -1)(1.0, 2.0) == -0.25


def test_a_pullback_can_be_called_again():
    _, pull = pb.vjp(lambda x: x**2, array(1, 2))
    for weight in (1.0, 2.0, 1.0):
        assert pull(np.full(2, weight))[0].tolist() == [2 * weight, 4 * weight]


def test_the_cotangent_is_not_changed_in_place():
    out, pull = pb.vjp(lambda x: x + x, array(1, 2))
    cotangent = np.ones(2)
    pull(cotangent)
    assert cotangent.tolist() == [1, 1]
    assert out.tolist() == [2, 4]


def test_an_output_that_is_the_input_is_no_alias_of_the_gradient():
    x = array(1, 2)
    found = pb.grad(lambda x: np.sum(x) + np.sum(x.reshape(2, 1)))(x)
    found += 1
    assert x.tolist() == [1, 2]


def test_gradients_of_two_calls_are_independent():
    gradient = pb.grad(lambda x: np.sum(x))
    first = gradient(array(1, 2))
    first *= 5
    assert gradient(array(1, 2)).tolist() == [1, 1]


def test_gradients_of_two_arguments_share_no_memory():
    x, y = pb.grad(lambda x, y: np.sum((x + y.reshape(2)) * 2.0), (0, 1))(
        array(1, 2), np.ones((2, 1))
    )
    x += 5
    assert y.tolist() == [[2], [2]]
    cotangent = np.ones(2)
    (x,) = pb.vjp(lambda x: x, array(1, 2))[1](cotangent)
    x += 5
    assert cotangent.tolist() == [1, 1]


def test_several_outputs_of_which_one_is_unused():
    def f(x):
        low, high = np.split(x, 2)
        _, part = np.divmod(high, 2.0)
        return np.sum(low * part)

    np.testing.assert_array_equal(pb.grad(f)(array(2, 5)), [1, 2])


def test_stop_gradient_inside_a_product():
    assert pb.grad(lambda x: pb.stop_gradient(x) * x)(3.0) == 3


def test_a_gradient_of_a_complex_function_is_refused():
    with pytest.raises(pb.errors.NotDifferentiableError, match="real"):
        pb.grad(lambda z: z * z)(1 + 1j)


def test_a_gradient_of_a_vector_function_is_refused():
    with pytest.raises(pb.errors.ShapeError, match="scalar"):
        pb.grad(lambda x: x * 2)(array(1, 2))


def test_a_traced_value_lost_in_a_plain_buffer_is_an_error():
    def f(x):
        buffer = np.zeros(2)
        buffer[0] = x
        return np.sum(buffer)

    with pytest.raises((pb.errors.TracerError, ValueError)):  # NumPy wraps ours for scalars
        pb.grad(f)(1.0)


def test_jacobians_of_wide_and_tall_functions_agree_between_the_modes():
    matrix = np.arange(6.0).reshape(2, 3)
    for function, x in (
        (lambda x: np.tanh(matrix @ x), array(0.1, 0.2, 0.3)),
        (lambda x: np.tanh(x @ matrix), array(0.1, 0.2)),
    ):
        forward = pb.jacobian(function, mode="forward")(x)
        np.testing.assert_allclose(pb.jacobian(function, mode="reverse")(x), forward)
        slope = 1 - function(x)[:, None] ** 2
        np.testing.assert_allclose(forward, slope * (matrix if len(x) == 3 else matrix.T))
