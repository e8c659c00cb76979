"""Rules of the user's: used in every mode, checked where they do not fit."""

import numpy as np
import pytest

import pullback as pb


def make_vjp():
    calls = []

    @pb.custom_vjp
    def cube(x):
        return x**3

    def backward(residuals, ct):
        calls.append("backward")
        (x,) = residuals
        return (3.0 * x * x * ct,)

    cube.defvjp(lambda x: (x**3, (x,)), backward)
    return cube, calls


def test_the_reverse_rule_is_used():
    cube, calls = make_vjp()
    assert cube(2.0) == 8.0
    assert pb.grad(cube)(2.0) == 12.0
    assert calls == ["backward"]


def test_the_reverse_rule_is_differentiated_for_higher_orders():
    cube, _ = make_vjp()
    assert pb.grad(pb.grad(cube))(2.0) == 12.0
    assert pb.hvp(cube, (2.0,), (1.0,)) == (12.0,)
    assert pb.grad(pb.grad(pb.grad(cube)))(2.0) == 6.0


def test_the_reverse_rule_survives_in_a_graph():
    cube, calls = make_vjp()
    graph = pb.trace(cube, 1.0)
    assert [n.op.name for n in graph.nodes if n.op] == ["cube", "item"]
    assert graph(2.0) == 8.0
    assert pb.grad(graph)(2.0) == 12.0
    assert calls == ["backward"]
    assert pb.grad(pb.grad(graph))(2.0) == 12.0


def test_forward_mode_over_a_reverse_rule_is_refused_with_the_remedy():
    cube, _ = make_vjp()
    with pytest.raises(pb.errors.NotDifferentiableError, match=r"'cube'.*pb\.custom_jvp"):
        pb.jvp(cube, (2.0,), (1.0,))


def test_pytrees_static_arguments_and_zero_cotangents():
    @pb.custom_vjp
    def f(params, power, unused):
        return {"out": params["w"] ** power}

    f.defvjp(
        lambda p, n, u: (f(p, n, u), (p["w"], n)),
        lambda res, ct: ({"w": ct["out"] * res[1] * res[0] ** (res[1] - 1)}, None, None),
    )
    gradient = pb.grad(lambda p, u: f(p, 3, u)["out"], argnums=(0, 1))
    assert gradient({"w": 2.0}, 5.0) == ({"w": 12.0}, 0.0)


@pytest.mark.parametrize(
    ("backward", "error", "message"),
    [
        (lambda res, ct: ct, pb.errors.TreeError, "tuple with one cotangent"),
        (lambda res, ct: (ct, ct), pb.errors.TreeError, "1 arguments"),
        (lambda res, ct: (np.ones(3),), pb.errors.ShapeError, r"shape \(3,\), expected \(2,\)"),
        (lambda res, ct: ({"a": ct},), pb.errors.TreeError, "cotangent 0"),
    ],
)
def test_a_reverse_rule_that_does_not_fit_is_refused(backward, error, message):
    @pb.custom_vjp
    def f(x):
        return x * 2

    f.defvjp(lambda x: (x * 2, None), backward)
    with pytest.raises(error, match=message):
        pb.grad(lambda x: f(x).sum())(np.ones(2))


def make_jvp():
    @pb.custom_jvp
    def product(x, y):
        return x * y

    @product.defjvp
    def rule(primals, tangents):
        (x, y), (dx, dy) = primals, tangents
        return product(x, y), 10.0 * (dx * y + x * dy)  # ten times too large, to be seen

    return product


def test_the_forward_rule_serves_both_modes_and_graphs():
    product = make_jvp()
    assert product(2.0, 3.0) == 6.0
    assert pb.jvp(product, (2.0, 3.0), (1.0, 0.0)) == (6.0, 30.0)
    assert pb.grad(product, argnums=(0, 1))(2.0, 3.0) == (30.0, 20.0)
    graph = pb.trace(product, 1.0, 1.0)
    assert graph(2.0, 3.0) == 6.0
    assert pb.grad(graph, argnums=1)(2.0, 3.0) == 20.0
    assert pb.jvp(graph, (2.0, 3.0), (0.0, 1.0)) == (6.0, 20.0)


def test_the_forward_rule_is_differentiated_for_higher_orders():
    product = make_jvp()
    assert pb.grad(pb.grad(lambda x: product(x, x)))(2.0) == 20.0
    assert pb.jvp(pb.grad(lambda x: product(x, x)), (2.0,), (1.0,))[1] == 20.0


def test_a_forward_rule_with_an_integer_argument():
    @pb.custom_jvp
    def power(x, n):
        return x**n

    power.defjvp(lambda p, t: (power(*p), p[1] * p[0] ** (p[1] - 1) * t[0]))
    assert pb.grad(power)(2.0, 3) == 12.0
    assert pb.jvp(lambda x: power(x, 3), (2.0,), (1.0,)) == (8.0, 12.0)


def test_a_forward_rule_with_a_wrong_tangent_is_refused():
    @pb.custom_jvp
    def f(x):
        return x * 2

    f.defjvp(lambda p, t: (f(*p), np.ones(3)))
    with pytest.raises(pb.errors.ShapeError, match=r"shape \(3,\), expected \(2,\)"):
        pb.jvp(f, (np.ones(2),), (np.ones(2),))


@pytest.mark.parametrize("decorator", [pb.custom_vjp, pb.custom_jvp])
def test_a_function_without_its_rule_says_so(decorator):
    @decorator
    def f(x):
        return x

    with pytest.raises(pb.errors.NotDifferentiableError, match=r"f\.def"):
        f(1.0)


def test_stop_gradient_is_a_constant_in_every_mode():
    def f(x):
        return np.sum(x * pb.stop_gradient({"x": x, "n": 3})["x"])

    x = np.array([1.0, 2.0])
    np.testing.assert_array_equal(pb.grad(f)(x), x)
    assert pb.jvp(f, (x,), (np.ones(2),))[1] == 3.0
    np.testing.assert_array_equal(pb.grad(pb.trace(f, x))(x), x)
    np.testing.assert_array_equal(pb.hessian(f)(x), np.zeros((2, 2)))


def test_a_forward_rule_without_residuals_is_told_what_to_return():
    square = pb.custom_vjp(lambda x: x * x)
    square.defvjp(lambda x: x * x, lambda x, ct: (2 * x * ct,))
    with pytest.raises(pb.errors.TreeError, match=r"a pair \(out, residuals\), got float64"):
        pb.grad(square)(3.0)


def test_a_jvp_rule_without_a_tangent_is_told_what_to_return():
    square = pb.custom_jvp(lambda x: x * x)
    square.defjvp(lambda primals, tangents: primals[0] ** 2)
    with pytest.raises(pb.errors.TreeError, match=r"a pair \(out, tangent_out\)"):
        pb.jvp(square, (3.0,), (1.0,))
