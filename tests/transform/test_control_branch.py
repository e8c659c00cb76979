"""cond and switch: only the chosen branch runs, in values and derivatives of any order."""

import numpy as np
import pytest

import pullback as pb
from pullback.core.errors import ConfigError, DTypeError, ShapeError, TracerError, TreeError

POINTS = [-1.3, 0.7]


def bent(x):
    return pb.cond(x > 0, lambda x: x * np.log(x), lambda x: x**3, x)


@pytest.mark.parametrize("x", POINTS)
def test_the_chosen_branch_gives_value_and_derivatives(x):
    chosen = (lambda x: x * np.log(x)) if x > 0 else (lambda x: x**3)
    graph = pb.trace(bent, x)
    for function in (bent, graph):
        assert function(x) == chosen(x)
        assert pb.grad(function)(x) == pytest.approx(pb.grad(chosen)(x))
        assert pb.jvp(function, (x,), (1.0,))[1] == pytest.approx(pb.grad(chosen)(x))
        assert pb.grad(pb.grad(function))(x) == pytest.approx(pb.grad(pb.grad(chosen))(x))
        assert pb.hessian(function)(x) == pytest.approx(pb.grad(pb.grad(chosen))(x))
    pb.check_grads(graph, (np.float64(x),), order=3, modes=("rev",))


def test_only_the_chosen_branch_runs():
    ran = []

    def branch(name):
        return lambda x: (ran.append(name), x)[1]

    assert pb.cond(True, branch("true"), branch("false"), 1.0) == 1.0
    assert pb.switch(2, [branch(0), branch(1), branch(2)], 1.0) == 1.0
    assert ran == ["true", 2]
    graph = pb.trace(bent, 1.0)
    with np.errstate(all="raise"):  # log of a negative number is not computed
        assert graph(-2.0) == -8.0
        assert pb.grad(graph)(-2.0) == 12.0


def test_branches_take_and_return_pytrees():
    def f(flag, state):
        return pb.cond(
            flag,
            lambda s: {"sum": s["a"] + s["b"], "n": 1},
            lambda s: {"sum": s["a"] * s["b"], "n": 2},
            state,
        )

    state = {"a": np.array([1.0, 2.0]), "b": np.array([3.0, 4.0])}
    graph = pb.trace(f, True, state)
    for flag in (True, False):
        found, expected = graph(np.bool_(flag), state), f(flag, state)
        np.testing.assert_array_equal(found["sum"], expected["sum"])
        assert found["n"] == expected["n"]
    gradient = pb.grad(lambda s: graph(np.bool_(False), s)["sum"].sum())(state)
    np.testing.assert_array_equal(gradient["a"], state["b"])


@pytest.mark.parametrize(("index", "chosen"), [(-3, 0), (0, 0), (1, 1), (2, 2), (9, 2)])
def test_switch_takes_the_nearest_branch_for_an_index_out_of_range(index, chosen):
    branches = [np.sin, np.exp, np.square]
    graph = pb.trace(lambda i, x: pb.switch(i, branches, x), 0, 0.3)
    derivatives = [np.cos(0.3), np.exp(0.3), 0.6]
    assert pb.switch(index, branches, 0.3) == branches[chosen](0.3)
    assert graph(np.int64(index), 0.3) == branches[chosen](0.3)
    gradient = pb.grad(lambda x: graph(np.int64(index), x))(0.3)
    assert gradient == pytest.approx(derivatives[chosen])


def test_captured_values_of_outer_traces_are_differentiated():
    def f(w, v, x):
        return pb.cond(x.sum() > 0, lambda: np.sum(w * x), lambda: np.sum(v * x**2))

    w, v = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    for x in (np.array([1.0, 5.0]), np.array([-1.0, -5.0])):
        graph = pb.trace(f, w, v, x)
        for a, b in zip(
            pb.grad(graph, (0, 1, 2))(w, v, x), pb.grad(f, (0, 1, 2))(w, v, x), strict=True
        ):
            np.testing.assert_allclose(a, b)
        found = pb.trace(pb.grad(f, (0, 1, 2)), w, v, x)(w, v, x)
        np.testing.assert_allclose(found[1], x**2 if x.sum() < 0 else np.zeros(2))


def test_derivatives_are_those_of_jax(jax):
    def f(lib, choose, w, x):
        return choose(x[0] > 0, lambda x: lib.sin(w * x).sum(), lambda x: (w * w * x[1]).sum(), x)

    w, x = np.array([0.5, 1.5]), np.array([0.3, 0.9])
    graph = pb.trace(lambda w, x: f(np, pb.cond, w, x), w, x)
    for point in (x, -x):
        theirs = jax.jacobian(jax.grad(lambda w: f(jax.numpy, jax.lax.cond, w, point)))(w)
        found = pb.hessian(lambda w: graph(w, point))(w)
        np.testing.assert_allclose(found, theirs, rtol=1e-12)


def test_vmap_with_one_predicate_per_example_chooses_from_both():
    x = np.array([0.5, -1.5, 2.0])

    def f(x):
        return pb.cond(x > 0, lambda x: np.sin(x) * x, lambda x: np.exp(x), x)

    expected = np.where(x > 0, np.sin(x) * x, np.exp(x))
    slope = np.where(x > 0, np.sin(x) + x * np.cos(x), np.exp(x))
    for function in (f, pb.trace(f, 1.0)):
        np.testing.assert_allclose(pb.vmap(function)(x), expected)
        np.testing.assert_allclose(pb.vmap(pb.grad(function))(x), slope)
        np.testing.assert_allclose(pb.grad(lambda x: pb.vmap(function)(x).sum())(x), slope)
        np.testing.assert_allclose(pb.trace(pb.vmap(function), x)(x), expected)


def test_vmap_with_a_shared_predicate_keeps_the_choice():
    def f(flag, x):
        return pb.cond(flag, lambda x: np.sum(x), lambda x: np.max(x), x)

    x = np.arange(6.0).reshape(2, 3)
    graph = pb.trace(pb.vmap(f, (None, 0)), True, x)
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(graph(np.True_, x), x.sum(1))
        np.testing.assert_array_equal(graph(np.False_, x), x.max(1))


def test_a_branch_in_a_scan_runs_at_each_step():
    def f(xs):
        def step(c, x):
            return pb.cond(x > 0, lambda: c * x, lambda: c + x), c

        return pb.scan(step, 1.0, xs)[0]

    xs = np.array([2.0, -3.0, 4.0])
    graph = pb.trace(f, xs)
    assert f(xs) == graph(xs) == -4.0
    np.testing.assert_allclose(pb.grad(graph)(xs), pb.grad(f)(xs))
    np.testing.assert_allclose(pb.hessian(graph)(xs), pb.hessian(f)(xs))


def test_float32_stays_float32_beside_python_numbers():
    x = np.float32(2.0)

    def f(x):
        return pb.cond(x > 0, lambda x, s: x * s, lambda x, s: x + s, x, 3.0)

    graph = pb.trace(f, x)
    assert f(x).dtype == graph(x).dtype == pb.grad(graph)(x).dtype == np.float32
    graph = pb.trace(lambda x: pb.cond(x > 3, lambda x: x, lambda x: 0, x), x)
    assert graph(x).dtype == pb.grad(graph)(x).dtype == np.float32


@pytest.mark.parametrize(
    ("second", "error", "message"),
    [
        (lambda x: (x, x), TreeError, "true_fun and false_fun must return the same structure"),
        (lambda x: x[:1], ShapeError, r"same shapes and dtypes, got f64\[1\].*f64\[2\]"),
        (lambda x: x.astype(np.float32), DTypeError, "same shapes and dtypes, got f32"),
    ],
)
def test_branches_that_return_different_things_are_refused_in_a_graph(second, error, message):
    with pytest.raises(error, match=message):
        pb.trace(lambda x: pb.cond(x[0] > 0, second, lambda x: x, x), np.ones(2))


def test_a_predicate_of_many_values_names_the_remedy():
    with pytest.raises(ShapeError, match=r"cond: pred: expected one value, got shape \(2,\)"):
        pb.cond(np.array([True, False]), np.sin, np.cos, 1.0)
    with pytest.raises(DTypeError, match="expected an integer, got float64"):
        pb.switch(1.0, [np.sin, np.cos], 1.0)
    with pytest.raises(ConfigError, match="at least one branch"):
        pb.switch(0, [], 1.0)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x if x > 0 else -x,
        lambda x: [c for c in range(3) if x == c],
    ],
)
def test_a_python_branch_on_a_traced_value_names_its_line_and_the_remedies(function):
    line = function.__code__.co_firstlineno
    remedies = r"np\.where.*pb\.cond.*pb\.while_loop"
    with pytest.raises(TracerError, match=rf"{__file__}, line {line}\).*{remedies}"):
        pb.trace(function, 1.0)


def test_a_branch_that_assigns_in_place_leaves_its_operand_alone_in_every_mode():
    def double(y):
        y *= 2.0
        return y

    def f(x):
        y = x * 1.0
        return np.sum(pb.cond(True, double, double, y) * pb.switch(0, [double], y) * y)

    x = np.array([1.0, 2.0])
    assert f(x) == pb.trace(f, x)(x) == pb.value_and_grad(f)(x)[0] == np.sum(4.0 * x**3)
    np.testing.assert_allclose(pb.grad(f)(x), 12.0 * x**2)
