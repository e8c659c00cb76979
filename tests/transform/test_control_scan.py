"""scan, map and fori_loop: values against Python loops, derivatives of any order, both styles."""

import numpy as np
import pytest

import pullback as pb
from pullback.core.errors import DTypeError, ShapeError, TracerError, TreeError

RNG = np.random.default_rng(0)
W = RNG.normal(size=(3, 3)) * 0.4
XS = RNG.normal(size=(5, 3))
H0 = RNG.normal(size=3)


def recurrent(w, h, xs, reverse=False):
    """A recurrent network's final state and outputs, with the weights closed over."""

    def step(h, x):
        new = np.tanh(w @ h + x)
        return new, {"square": new * new, "before": h}

    return pb.scan(step, h, xs, reverse=reverse)


def unrolled(w, h, xs, reverse=False):
    outs = []
    for x in xs[::-1] if reverse else xs:
        new = np.tanh(w @ h + x)
        outs.append({"square": new * new, "before": h})
        h = new
    return h, pb.tree.map(lambda *parts: np.stack(parts), *(outs[::-1] if reverse else outs))


def loss(loop, reverse=False):
    def total(w, h, xs):
        final, ys = loop(w, h, xs, reverse)
        return np.sum(final**2) + np.sum(np.sin(ys["square"])) + np.sum(ys["before"] * xs)

    return total


@pytest.mark.parametrize("reverse", [False, True])
def test_values_are_those_of_a_python_loop(reverse):
    expected = unrolled(W, H0, XS, reverse)
    graph = pb.trace(lambda w, h, xs: recurrent(w, h, xs, reverse), W, H0, XS)
    for found in (recurrent(W, H0, XS, reverse), graph(W, H0, XS)):
        assert pb.tree.structure(found) == pb.tree.structure(expected)
        for a, b in zip(pb.tree.leaves(found), pb.tree.leaves(expected), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_are_those_of_the_unrolled_loop(reverse):
    expected = pb.grad(loss(unrolled, reverse), (0, 1, 2))(W, H0, XS)
    function = loss(recurrent, reverse)
    graph = pb.trace(function, W, H0, XS)
    for gradient in (
        pb.grad(function, (0, 1, 2)),
        pb.grad(graph, (0, 1, 2)),
        lambda *args: pb.grad(graph.__call__, (0, 1, 2))(*args),
        pb.trace(pb.grad(function, (0, 1, 2)), W, H0, XS),
    ):
        for a, b in zip(gradient(W, H0, XS), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_hessians_are_those_of_the_unrolled_loop_in_every_order_of_modes():
    graph = pb.trace(loss(recurrent), W, H0, XS)

    def of(function):
        return lambda w: function(w, H0, XS)

    expected = pb.hessian(of(loss(unrolled)))(W)
    for hessian in (
        pb.hessian(of(graph)),
        pb.jacobian(pb.grad(of(graph)), mode="reverse"),
        pb.jacobian(pb.jacobian(of(graph), mode="forward"), mode="forward"),
        pb.trace(pb.hessian(of(loss(recurrent))), W),
        pb.hessian(of(loss(recurrent))),
    ):
        np.testing.assert_allclose(hessian(W), expected, rtol=1e-10, atol=1e-12)


def test_derivatives_pass_the_check_to_second_order():
    pb.check_grads(pb.trace(loss(recurrent), W, H0, XS), (W, H0, XS), order=2)
    pb.check_grads(loss(recurrent, reverse=True), (W, H0, XS), order=2)


def test_derivatives_are_those_of_jax(jax):
    jnp = jax.numpy

    def theirs(w, h, xs):
        def step(h, x):
            new = jnp.tanh(w @ h + x)
            return new, (new * new, h)

        final, (squares, before) = jax.lax.scan(step, h, xs)
        return jnp.sum(final**2) + jnp.sum(jnp.sin(squares)) + jnp.sum(before * xs)

    graph = pb.trace(loss(recurrent), W, H0, XS)
    for a, b in zip(
        pb.grad(graph, (0, 1, 2))(W, H0, XS), jax.grad(theirs, (0, 1, 2))(W, H0, XS), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_a_third_derivative_is_right():
    def power(x):  # x ** 5
        return pb.fori_loop(0, 4, lambda i, y: y * x, x)

    third = pb.grad(pb.grad(pb.grad(pb.trace(power, 1.3))))
    assert third(1.3) == pytest.approx(60 * 1.3**2)
    assert len(third.nodes) < 200


@pytest.mark.parametrize("transform", [lambda f: f, pb.grad, pb.hessian])
def test_the_size_of_the_trace_does_not_grow_with_the_length(transform):
    def total(x, n):
        return pb.scan(lambda c, _: (np.sin(c * x), c), x, length=n)[1].sum()

    sizes = [len(pb.trace(transform(lambda x, n=n: total(x, n)), 0.5).nodes) for n in (3, 300)]
    assert sizes[0] == sizes[1]


def test_a_scan_of_no_steps_gives_empty_results_and_zero_gradients():
    empty = XS[:0]
    for function in (recurrent, pb.trace(recurrent, W, H0, empty)):
        final, ys = function(W, H0, empty)
        np.testing.assert_array_equal(final, H0)
        assert ys["square"].shape == (0, 3)
    graph = pb.trace(loss(recurrent), W, H0, empty)
    w, h, xs = pb.grad(graph, (0, 1, 2))(W, H0, empty)
    np.testing.assert_array_equal(w, np.zeros_like(W))
    np.testing.assert_allclose(h, 2 * H0)
    assert xs.shape == (0, 3)


def test_integers_are_carried_and_indexed_along():
    def chosen(x, order):
        def step(carry, k):
            count, total = carry
            return (count + 1, total + x[k] ** 2 * count), count

        return pb.scan(step, (0, 0.0), order)

    order = np.array([2, 0, 2])
    x = np.array([1.0, 2.0, 3.0])
    graph = pb.trace(chosen, x, order)
    for function in (chosen, graph):
        (count, total), counts = function(x, order)
        assert (count, total) == (3, 1.0 + 2 * 9.0)
        np.testing.assert_array_equal(counts, [0, 1, 2])
    gradient = pb.grad(lambda x: graph(x, order)[0][1])(x)
    np.testing.assert_allclose(gradient, [2.0, 0.0, 12.0])


def test_nested_scans_share_a_captured_weight():
    def table(w, xs):
        def row(total, x):
            inner, _ = pb.scan(lambda c, e: (np.sin(c * w + e * total), None), 0.1, x)
            return total + inner, inner * w

        final, ys = pb.scan(row, 0.2, xs)
        return final + np.sum(ys)

    def loops(w, xs):
        total, result = 0.2, 0.0
        for x in xs:
            inner = 0.1
            for e in x:
                inner = np.sin(inner * w + e * total)
            total = total + inner
            result = result + inner * w
        return total + result

    xs = RNG.normal(size=(3, 4))
    graph = pb.trace(table, 0.7, xs)
    np.testing.assert_allclose(graph(0.7, xs), loops(0.7, xs))
    for a, b in zip(pb.grad(graph, (0, 1))(0.7, xs), pb.grad(loops, (0, 1))(0.7, xs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    np.testing.assert_allclose(pb.hessian(graph)(0.7, xs), pb.hessian(loops)(0.7, xs), rtol=1e-10)


def test_a_derivative_inside_the_body_is_traced():
    def descend(rate):
        def step(x, _):
            return x - rate * pb.grad(lambda x: np.sum((x - 1.0) ** 4))(x), None

        return pb.scan(step, np.zeros(2), length=4)[0].sum()

    graph = pb.trace(descend, 0.05)
    np.testing.assert_allclose(pb.grad(graph)(0.05), pb.grad(descend)(0.05))
    pb.check_grads(graph, (np.float64(0.05),), order=2)


def test_what_only_the_body_captures_decides_that_the_loop_is_recorded():
    graph = pb.trace(lambda w: pb.fori_loop(0, 50, lambda i, c: c * w, 1.0), 2.0)
    assert [node.op.name for node in graph.nodes if node.op][:1] == ["scan"]
    assert graph(1.1) == pytest.approx(1.1**50)
    assert pb.grad(graph)(1.1) == pytest.approx(50 * 1.1**49)


def test_on_concrete_values_python_branches_in_the_body():
    def clipped(xs):
        return pb.scan(lambda c, x: (c + x if x > 0 else c, None), 0.0, xs)[0]

    xs = np.array([1.0, -2.0, 3.0])
    assert clipped(xs) == 4.0
    np.testing.assert_array_equal(pb.grad(clipped)(xs), [1.0, 0.0, 1.0])


def test_assignment_in_place_stays_within_its_step():
    def running(start, xs):
        def step(c, x):
            c[0] += x[0]
            x[:] = 0.0
            c[1] *= c[0]
            return c, c

        return pb.scan(step, start, xs)

    start, xs = np.array([1.0, 2.0]), np.array([[2.0], [3.0], [4.0]])
    expected = [[3.0, 6.0], [6.0, 36.0], [10.0, 360.0]]
    graph = pb.trace(running, start, xs)
    slopes = []
    for function in (running, graph):
        np.testing.assert_array_equal(function(start, xs)[1], expected)
        np.testing.assert_array_equal(start, [1.0, 2.0])
        np.testing.assert_array_equal(xs, [[2.0], [3.0], [4.0]])
        slopes.append(pb.grad(lambda s, f=function: np.sum(f(s, xs)[1]))(start))
    np.testing.assert_allclose(*slopes)


def test_float32_stays_float32():
    def total(w, xs):
        return pb.scan(lambda c, x: (c + np.tanh(w * x), c), 0.0, xs)[1].sum()

    w, xs = np.float32(0.5), XS[0].astype(np.float32)
    for function in (total, pb.trace(total, w, xs)):
        assert function(w, xs).dtype == np.float32
        assert {g.dtype for g in pb.grad(function, (0, 1))(w, xs)} == {np.dtype(np.float32)}


def test_complex_carries_are_differentiated_as_unrolled():
    def rotated(x):
        return np.abs(pb.fori_loop(0, 3, lambda i, z: z * (x + 0.5j) + 1.0, 1.0 + 0j)) ** 2

    graph = pb.trace(rotated, 0.3)
    assert pb.grad(graph)(0.3) == pytest.approx(pb.grad(rotated)(0.3))
    pb.check_grads(graph, (np.float64(0.3),), order=2)


def test_a_number_returned_as_the_carry_takes_its_dtype():
    xs = np.ones(3, np.float32)

    def f(start, xs):
        return pb.scan(lambda c, x: (2.0, c * x), start, xs)

    for function in (f, pb.trace(f, xs[0], xs)):
        final, ys = function(xs[0], xs)
        assert final.dtype == ys.dtype == np.float32
        np.testing.assert_array_equal(ys, [1.0, 2.0, 2.0])


@pytest.mark.parametrize("axes", [(0, None, None), (None, 0, None), (None, None, 0), (0, 0, 0)])
def test_vmap_is_a_loop_over_the_examples(axes):
    args = [
        np.stack([a, a * 0.5, -a]) if axis == 0 else a
        for a, axis in zip((W, H0, XS), axes, strict=True)
    ]
    graph = pb.trace(loss(recurrent), W, H0, XS)
    for function in (graph, pb.grad(graph, (0, 1, 2)), loss(recurrent)):
        found = pb.vmap(function, axes)(*args)
        for k in range(3):
            each = function(*[a[k] if axis == 0 else a for a, axis in zip(args, axes, strict=True)])
            for a, b in zip(pb.tree.leaves(found), pb.tree.leaves(each), strict=True):
                np.testing.assert_allclose(a[k], b, rtol=1e-10, atol=1e-13)


def test_vmap_of_a_scan_is_traced_and_differentiated():
    many = np.stack([H0, H0 * 2])

    def total(w):
        return pb.vmap(lambda h: loss(recurrent)(w, h, XS))(many).sum()

    graph = pb.trace(total, W)
    assert sum(node.op is not None and node.op.name == "scan" for node in graph.nodes) == 1
    expected = sum(pb.grad(loss(unrolled))(W, h, XS) for h in many)
    np.testing.assert_allclose(pb.grad(graph)(W), expected, rtol=1e-12)
    np.testing.assert_allclose(pb.grad(total)(W), expected, rtol=1e-12)


def test_map_stacks_the_results_of_one_example_at_a_time():
    def f(x):
        return {"norm": np.sqrt(np.sum(x * x)), "twice": 2 * x}

    graph = pb.trace(lambda xs: pb.map(f, xs), XS)
    for found in (pb.map(f, XS), graph(XS)):
        np.testing.assert_allclose(found["norm"], np.linalg.norm(XS, axis=1))
        np.testing.assert_array_equal(found["twice"], 2 * XS)
    np.testing.assert_allclose(
        pb.grad(lambda xs: np.sum(graph(xs)["norm"]))(XS),
        XS / np.linalg.norm(XS, axis=1, keepdims=True),
    )


def test_fori_loop_with_traced_bounds_is_differentiable():
    def power(x, n):
        return pb.fori_loop(0, n, lambda i, y: y * x, 1.0)

    graph = pb.trace(power, 2.0, 3)
    assert graph(3.0, np.int64(4)) == 81.0
    assert pb.grad(lambda x: graph(x, np.int64(4)))(3.0) == pytest.approx(108.0)
    np.testing.assert_allclose(
        pb.vmap(pb.grad(power), (0, 0))(np.array([2.0, 3.0]), np.array([0, 2])), [0.0, 6.0]
    )


def test_fori_loop_of_no_steps_returns_the_start():
    assert pb.fori_loop(3, 3, lambda i, c: c * 0.0, 2.0) == 2.0
    assert pb.fori_loop(5, 3, lambda i, c: c * 0.0, 2.0) == 2.0


def test_a_closed_over_weight_is_taken_from_every_kind_of_outer_trace():
    def f(w):
        return pb.trace(lambda x: recurrent(w, x, XS)[0].sum(), H0)(H0)

    np.testing.assert_allclose(
        pb.grad(f)(W), pb.grad(lambda w: unrolled(w, H0, XS)[0].sum())(W), rtol=1e-12
    )
    tangent = pb.jvp(f, (W,), (W,))[1]
    np.testing.assert_allclose(tangent, np.sum(pb.grad(f)(W) * W), rtol=1e-12)


def step_of(result):
    return lambda c, x: result


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        ((np.zeros(3), None), ShapeError, r"expected shape \(2,\), as at the start, got \(3,\)"),
        ((np.zeros(2, np.float32), None), DTypeError, "expected dtype float64, .* got float32"),
        (((np.zeros(2), 1.0), None), TreeError, "the carry that f of scan returns"),
        (np.zeros(2), TreeError, r"must return a pair \(carry, y\), got ndarray"),
    ],
)
@pytest.mark.parametrize("traced", [False, True])
def test_a_carry_unlike_the_start_is_refused(result, error, message, traced):
    def run(xs):
        return pb.scan(step_of(result), np.zeros(2), xs)

    with pytest.raises(error, match=message):
        pb.trace(run, XS) if traced else run(XS)


def test_the_body_is_traced_once_and_prints_by_its_name():
    calls = []

    def body(c, x):
        calls.append(x)
        return c * x, None

    graph = pb.trace(lambda xs: pb.scan(body, xs[0], xs)[0], XS[0])
    assert len(calls) == 1
    assert "scan(a, x, step=body, length=3, reverse=False)" in str(graph).replace("xs", "x")
    pb.grad(graph)(XS[0])
    assert len(calls) == 1


def test_loops_pass_through_the_other_transformations():
    graph = pb.trace(loss(recurrent), W, H0, XS)
    function = graph.__call__
    gradient = pb.grad(loss(unrolled), (0, 1, 2))(W, H0, XS)
    for a, b in zip(pb.simplify(pb.grad(graph, (0, 1, 2)))(W, H0, XS), gradient, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    _, linear = pb.linearize(function, W, H0, XS)
    tangent = pb.jvp(function, (W, H0, XS), (W, H0, XS))[1]
    np.testing.assert_allclose(linear(W, H0, XS), tangent, rtol=1e-12)
    running = pb.trace(lambda x: pb.scan(lambda c, x: (W @ c + x, c), np.zeros(3), x)[1], XS)
    (transposed,) = pb.linear_transpose(running.__call__, XS)(XS)
    np.testing.assert_allclose(transposed, pb.vjp(running.__call__, XS)[1](XS)[0], rtol=1e-12)
    again = pb.grad(lambda w: pb.checkpoint(lambda w: function(w, H0, XS))(w))(W)
    np.testing.assert_allclose(again, gradient[0], rtol=1e-12)


def test_what_no_result_needs_is_not_carried():
    """The Hessian does not stack the running sums of the weight's cotangents."""
    graph = pb.trace(lambda w: pb.grad(lambda w: loss(recurrent)(w, H0, XS))(w).sum(), W)
    second = pb.grad(graph)
    stacked = [node.aval for node in second.nodes if node.op is not None and node.op.name == "scan"]
    shapes = {aval.shape for avals in stacked for aval in avals}
    assert (5, 3, 3) not in shapes


def test_lengths_that_differ_are_refused():
    def ignore(c, x):
        return c, None

    with pytest.raises(ShapeError, match=r"same length of all, got \{\"xs\['a'\]\": 5, .*: 4\}"):
        pb.scan(ignore, 0.0, {"a": XS, "b": XS[:4]})
    with pytest.raises(ShapeError, match="same length of all"):
        pb.scan(ignore, 0.0, XS, length=4)
    with pytest.raises(ShapeError, match="expected xs, or length="):
        pb.scan(ignore, 0.0)
    with pytest.raises(ShapeError, match="xs is a number"):
        pb.scan(ignore, 0.0, 3.0)
    with pytest.raises(ShapeError, match="length of at least 0"):
        pb.scan(ignore, 0.0, length=-1)


def test_a_python_branch_in_a_traced_body_names_its_line_and_the_remedies():
    def body(c, x):
        return (c if x > 0 else -c), None

    line = body.__code__.co_firstlineno + 1
    with pytest.raises(TracerError, match=rf"line {line}.*np\.where.*pb\.cond.*pb\.while_loop"):
        pb.trace(lambda xs: pb.scan(body, 1.0, xs)[0], XS[0])
