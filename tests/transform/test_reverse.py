"""grad, value_and_grad and vjp: values, structures, and errors that tell the remedy."""

import numpy as np
import pytest

import pullback as pb


def test_grad_of_a_scalar_python_float():
    found = pb.grad(np.tanh)(0.5)
    assert found == pytest.approx(1 - np.tanh(0.5) ** 2)


def test_grad_by_argnums_and_keywords():
    def f(x, y, *, scale):
        return scale * np.sum(x * y)

    x, y = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    np.testing.assert_array_equal(pb.grad(f, argnums=1)(x, y, scale=2.0), 2 * x)
    dx, dy = pb.grad(f, argnums=(0, -1))(x, y, scale=1.0)
    np.testing.assert_array_equal(dx, y)
    np.testing.assert_array_equal(dy, x)
    (only,) = pb.grad(f, argnums=(1,))(x, y, scale=1.0)
    np.testing.assert_array_equal(only, x)


def test_grad_of_pytrees_has_their_structure():
    params = {"layers": [(np.ones((2, 3)), None), (np.ones(3), np.ones(()))]}

    def f(p):
        (w, _), (b, c) = p["layers"]
        return np.sum(w) * 2.0 + np.sum(b * c)

    gradient = pb.grad(f)(params)
    assert gradient["layers"][0][1] is None
    np.testing.assert_array_equal(gradient["layers"][0][0], np.full((2, 3), 2.0))
    assert gradient["layers"][1][1] == 3.0


def test_has_aux_returns_what_the_function_saw():
    def f(x):
        y = x * x
        return y.sum(), {"y": y, "n": 3}

    (value, aux), gradient = pb.value_and_grad(f, has_aux=True)(np.array([1.0, 2.0]))
    assert value == 5.0
    np.testing.assert_array_equal(aux["y"], [1.0, 4.0])
    assert type(aux["y"]) is np.ndarray
    np.testing.assert_array_equal(gradient, [2.0, 4.0])
    gradient, aux = pb.grad(f, has_aux=True)(np.array([1.0, 2.0]))
    assert aux["n"] == 3


def test_an_argument_without_influence_has_a_zero_gradient_of_its_dtype():
    gradient = pb.grad(lambda x, y: np.sum(y), argnums=0)(np.ones(3, np.float32), np.ones(2))
    assert gradient.dtype == np.float32
    np.testing.assert_array_equal(gradient, np.zeros(3))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_keep_the_dtype_of_their_argument(dtype):
    def f(w, x):
        return np.mean(np.tanh(x @ w * 0.5 + 1.0) ** 2)

    w, x = np.ones((3, 2), dtype), np.ones((4, 3), dtype)
    value, (dw, dx) = pb.value_and_grad(f, argnums=(0, 1))(w, x)
    assert value.dtype == dw.dtype == dx.dtype == dtype


def test_vjp_pulls_back_several_outputs_and_may_be_called_again():
    def f(x, y):
        return {"sum": x + y, "product": x * y}

    out, pullback = pb.vjp(f, 2.0, 3.0)
    assert out == {"sum": 5.0, "product": 6.0}
    assert pullback({"sum": 1.0, "product": 0.0}) == (1.0, 1.0)
    assert pullback({"sum": 0.0, "product": 1.0}) == (3.0, 2.0)
    out, pullback, aux = pb.vjp(lambda x: (x * 2, "note"), 1.0, has_aux=True)
    assert aux == "note"


def test_nested_gradients_do_not_confuse_their_variables():
    assert pb.grad(lambda x: x * pb.grad(lambda y: x + y)(1.0))(2.0) == 1.0
    assert pb.grad(lambda x: pb.grad(lambda y: x * y)(3.0) * x)(2.0) == 4.0


def test_derivatives_nest_to_any_order_and_in_any_mode():
    f = np.sin
    x = 0.3
    expected = [np.sin(x), np.cos(x), -np.sin(x), -np.cos(x), np.sin(x)]

    def forward(f):
        return lambda x: pb.jvp(f, (x,), (np.ones(()),))[1]

    for first, second in ((pb.grad, forward), (forward, pb.grad), (pb.grad, pb.grad)):
        g = f
        for order in range(1, 5):
            g = first(g) if order % 2 else second(g)
            assert g(x) == pytest.approx(expected[order], abs=1e-12)


def test_gradient_through_trace_inside_grad():
    def f(x):
        graph = pb.trace(lambda y: y**3, x)
        return graph(x)

    assert pb.grad(f)(2.0) == pytest.approx(12.0)


@pytest.mark.parametrize(
    ("function", "args", "error", "message"),
    [
        (lambda x: x, (np.ones(2),), pb.errors.ShapeError, r"scalar, got shape \(2,\).*jacobian"),
        (lambda x: (x, x), (1.0,), pb.errors.ShapeError, "has_aux=True"),
        (lambda x: None, (1.0,), pb.errors.ShapeError, "NoneType"),
        (lambda x: x > 0, (1.0,), pb.errors.NotDifferentiableError, "got bool"),
        (lambda x: x * 1j, (1.0,), pb.errors.NotDifferentiableError, "complex"),
        (lambda x: x, (3,), pb.errors.DTypeError, r"argument 0.*is int.*3\.0"),
        (lambda x: x.sum(), (np.arange(3),), pb.errors.DTypeError, r"int64.*astype\(float\)"),
        (lambda x: x.sum(), (np.array([True]),), pb.errors.DTypeError, "bool"),
        (lambda x: x["a"], ({"a": 1.0, "b": 2},), pb.errors.DTypeError, r"\['b'\] is int"),
        (lambda x: x, ("text",), pb.errors.DTypeError, "type str"),
    ],
)
def test_bad_input_to_grad_is_refused(function, args, error, message):
    with pytest.raises(error, match=message):
        pb.grad(function)(*args)


def test_argnums_out_of_range_is_refused():
    with pytest.raises(pb.errors.ShapeError, match=r"argnums.*below 1.*got 1"):
        pb.grad(lambda x: x, argnums=1)(1.0)


@pytest.mark.parametrize(
    ("cotangent", "error"),
    [
        ((1.0, 2.0), pb.errors.TreeError),
        (np.ones(3), pb.errors.ShapeError),
        (np.ones(2) * 1j, pb.errors.DTypeError),
    ],
)
def test_a_cotangent_that_does_not_fit_is_refused(cotangent, error):
    _, pullback = pb.vjp(lambda x: x * 2, np.ones(2))
    with pytest.raises(error, match="cotangent"):
        pullback(cotangent)


def test_grad_keeps_the_name_and_the_docstring():
    def cost(x):
        """The cost."""
        return x

    assert pb.grad(cost).__name__ == "cost"
    assert pb.grad(cost).__doc__ == "The cost."


def test_a_constant_written_to_after_its_use_counts_as_it_was():
    def f(x):
        weight = np.zeros(3)
        total = 0.0
        for i in range(3):
            weight[:] = 0.0
            weight[i] = i + 1.0
            total = total + np.sum(x * weight)
        return total

    np.testing.assert_array_equal(pb.grad(f)(np.ones(3)), [1.0, 2.0, 3.0])


def test_the_pullback_does_not_see_later_changes_of_primals_and_results():
    x = np.ones(3)
    out, pullback, aux = pb.vjp(lambda x: (np.exp(x) * x, np.exp(x)), x, has_aux=True)
    expected = pullback(np.ones(3))[0].copy()
    x[...], out[...], aux[...] = 7.0, 8.0, 9.0
    np.testing.assert_array_equal(pullback(np.ones(3))[0], expected)
