"""Loops written in Python come back from the graph: as text, and with the very same values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pullback as pb
from pullback.core.segment import recompute
from pullback.passes import join_parts, optimise, simplify
from pullback.passes.reroll import reroll

RNG = np.random.default_rng(0)
NUMBERS = RNG.normal(size=80).tolist()


def traced(function, *args):
    return simplify(pb.trace(function, *args))


def loops(graph):
    return [n for n in graph.nodes if n.op is not None and n.op.name == "scan"]


def lines(graph):
    return [line.split("#")[0].strip() for line in str(graph).splitlines()]


def the_same(function, *args, count):
    """Check that `count` loops are found, and that every bit of the results stays the same."""
    graph = traced(function, *args)
    rolled = reroll(graph)
    assert len(loops(rolled)) == count, rolled
    for a, b in zip(graph.run(args), rolled.run(args), strict=True):
        assert (np.shape(a), a.dtype) == (np.shape(b), b.dtype)
        np.testing.assert_array_equal(a, b)
    about_the_same(function, *args)
    return rolled


def about_the_same(function, *args):
    """Check the values of the graph that is compiled, where loops are rolled first of all."""
    graph = pb.trace(function, *args)
    for a, b in zip(graph.run(args), optimise(graph).run(args), strict=True):
        assert (np.shape(a), a.dtype) == (np.shape(b), b.dtype)
        np.testing.assert_allclose(b, a, rtol=1e-5 if a.dtype == np.float32 else 1e-9, atol=1e-12)


def recurrent(w, x):
    h = x[0] @ w
    for row in x[1:]:
        h = np.tanh(h @ w + row)
    return np.sum(h * h)


def test_text_before_and_after():
    def function(x, w):
        h = x[0]
        for k in range(1, 41):
            h = np.tanh(h * w) + x[k]
        return h

    graph = traced(function, pb.Aval((41, 3), "f8"), pb.Aval((3,), "f8"))
    rolled = reroll(graph)
    assert len(graph.nodes) == 2 + 1 + 4 * 40
    assert lines(rolled) == [
        "function(x: f64[41,3], w: f64[3]):",
        "a = getitem(x, index=[0])",
        "b = getitem(x, index=[1:41])",
        "c = scan(w, a, b, step=body, length=40, reverse=False)",
        "d = item(c, index=0)",
        "return d",
    ]
    (loop,) = loops(rolled)
    assert lines(loop.params["step"].graph) == [
        "body(a: f64[3], b: f64[3], c: f64[3]):",
        "d = b * a",
        "e = tanh(d)",
        "f = e + c",
        "return f",
    ]


def test_a_gradient_is_two_loops_and_the_second_runs_backwards():
    rolled = the_same(pb.grad(recurrent), np.eye(3) * 0.2, RNG.normal(size=(60, 2, 3)), count=2)
    assert [loop.params["reverse"] for loop in loops(rolled)] == [False, True]


def test_all_that_is_needed_of_a_layer_is_stacked_for_the_next():
    def two_layers(w, x):
        states = list(x)
        for _ in range(2):
            h = states[0]
            for k, row in enumerate(states[1:], 1):
                states[k] = h = np.tanh(h @ w + row)
        return np.sum(states[-1])

    args = np.eye(3) * 0.2, RNG.normal(size=(60, 2, 3))
    the_same(two_layers, *args, count=2)
    the_same(pb.grad(two_layers), *args, count=4)


def horner(x, c):
    y = c[-1]
    for k in range(2, c.shape[0] + 1):
        y = y * x + c[-k]
    return np.sum(y)


def horner_of_numbers(x):
    y = NUMBERS[-1]
    for c in NUMBERS[-2::-1]:
        y = y * x + c
    return np.sum(y)


def two_back(x):
    a, b = x, x * 0.5
    for k in range(60):
        a, b = b, np.sin(a) + 0.01 * np.cos(b) * k
    return np.sum(b)


def stacked(x):
    h, kept = x, []
    for _ in range(60):
        h = np.tanh(h * 1.01 + 0.1)
        kept.append(h)
    return np.sum(np.stack(kept, axis=1) * np.arange(60.0))


def written(x):
    out, h = np.zeros_like(x), x[0]
    for k in range(60):
        h = np.sin(h + x[k])
        out[k] = h
    return np.sum(out * out)


def chunks(x):
    total = 0.0
    for k in range(40):
        total = total + np.tanh(x[:, 2 * k : 2 * k + 2]).sum()
    return total


def columns(x):
    h = x[:, 79, 0]
    for k in range(78, -1, -1):
        h = np.tanh(h) * x[:, k, 0]
    return np.sum(h)


def kept_on_the_way(x):
    h, kept = x, []
    for k in range(90):
        h = np.sin(h) + 0.5
        if k in (10, 40, 88):
            kept.append(h)
    return np.sum(h + kept[0] * kept[1] - kept[2])


def rows_taken_apart(x):
    first = [row * 2 for row in x]
    second = [row + 1 for row in first[::-1]]
    return np.concatenate(second)


CASES = [
    (horner, (np.array([0.3, 0.4]), RNG.normal(size=60)), 1, 2),
    (horner_of_numbers, (np.array([0.2, 0.9]),), 1, 2),
    (horner_of_numbers, (np.array([0.2, 0.9], np.float32),), 1, 2),
    (two_back, (RNG.normal(size=3),), 1, 2),
    (stacked, (RNG.normal(size=3),), 1, 2),
    (written, (RNG.normal(size=60),), 1, None),
    (chunks, (RNG.normal(size=(3, 80)),), 1, None),
    (columns, (RNG.normal(size=(3, 80, 2)),), 1, None),
    (kept_on_the_way, (RNG.normal(size=3),), 1, 1),
]


@pytest.mark.parametrize(("function", "args", "forward", "both"), CASES)
def test_values_and_gradients_stay_the_same(function, args, forward, both):
    the_same(function, *args, count=forward)
    if both is not None:
        the_same(pb.grad(function, tuple(range(len(args)))), *args, count=both)


def test_rows_made_by_themselves_are_loops_without_carries():
    rolled = the_same(rows_taken_apart, RNG.normal(size=(120, 3)), count=2)
    assert all(loop.params["step"].carries == 0 for loop in loops(rolled))
    assert len(rolled.nodes) < 20


def test_what_a_loop_reshapes_is_stacked_as_it_is():
    def reshaped(x):
        h, kept = x, []
        for _ in range(60):
            h = np.tanh(h).reshape(3, 2).reshape(2, 3) * 1.5
            kept.append((h + x).reshape(1, 6))
        return np.concatenate(kept)

    the_same(reshaped, RNG.normal(size=(2, 3)), count=1)


def decayed(w, x):
    h, last = x[0], x[0]
    for k in range(1, x.shape[0]):
        scale = np.exp(-w[0] * np.sqrt(2.0))
        h, last = np.tanh(h @ w.T + x[k] * scale) + 0.1 * last, scale
    return np.sum(h)


def share(w, x):
    h = x[0]
    for k in range(1, x.shape[0]):
        h = np.tanh(h @ np.cos(w)) + np.sin(x)[k]
    return np.sum(h)


@pytest.mark.parametrize("function", [decayed, share])
@pytest.mark.parametrize("argnums", [0, 1, (0, 1)])
@pytest.mark.parametrize("steps", [3, 30, 90])
def test_what_all_repetitions_share_is_computed_once(function, argnums, steps):
    rng = np.random.default_rng(1)
    args = rng.normal(size=(3, 3)) * 0.3, rng.normal(size=(steps, 3))
    about_the_same(function, *args)
    about_the_same(pb.value_and_grad(function, argnums), *args)
    graph = optimise(pb.trace(pb.value_and_grad(function, argnums), *args))
    bodies = "".join(str(loop.params["step"].graph) for loop in loops(graph))
    assert not any(name in bodies for name in ("exp", "sqrt", "cos", "sin", "transpose(a"))
    assert len(loops(graph)) == (0 if steps == 3 else 2)


def test_views_of_one_value_that_were_made_one_by_one_are_no_series():
    def function(x):
        states = [x]
        for _ in range(60):
            states.append(np.sin(states[-1]) * 0.5 + x)
        views = [states[30].reshape(1, 3) for _ in range(60)]
        y = x
        for view in views:
            y = np.tanh(y * view) + np.cos(y)
        return y + states[-1]

    about_the_same(function, np.array([0.1, 0.2, 0.3]))


def test_what_a_loop_shares_is_not_stacked_for_the_next():
    def function(w, x):
        h = x
        for _ in range(60):
            h = np.tanh(h * np.exp(w))
        return np.sum(h)

    graph = reroll(pb.trace(pb.grad(function), np.ones(3), np.ones(3)))
    forward, backward = loops(graph)
    assert [aval.shape for aval in forward.aval] == [(3,), (59, 3)]
    assert len(backward.params["step"].graph.arguments) == 4  # exp(w), two carries, tanh


def test_what_is_meant_to_be_computed_again_stays_in_the_loop():
    def function(x):
        h = x
        for k in range(60):
            h = np.tanh(h * np.exp(recompute(x, run=k)))
        return h

    (loop,) = loops(reroll(pb.trace(function, np.ones(3))))
    assert "exp" in str(loop.params["step"].graph)


def test_where_values_are_computed_again_loops_stack_no_more_than_is_read():
    def function(x, mark):
        h, kept = x, []
        for k in range(240):
            h = np.sin(h) * 0.5 + 0.1
            if k in (79, 159) or 200 < k < 240:
                kept.append(h)
        return np.stack([recompute(kept[0], run=1) if mark else kept[0], *kept[1:], h])

    def lengths_and_stacks(mark):
        graph = traced(lambda x: function(x, mark), np.ones(3))
        rolled = reroll(graph)
        np.testing.assert_array_equal(rolled(np.ones(3)), graph(np.ones(3)))
        return [
            (loop.params["length"], len(loop.aval) - loop.params["step"].carries)
            for loop in loops(rolled)
        ]

    assert lengths_and_stacks(mark=False) == [(239, 1)]
    assert lengths_and_stacks(mark=True) == [(79, 0), (79, 0), (41, 0), (36, 1)]


def test_loops_inside_of_loops_are_rolled_too():
    def nested(x):
        for _ in range(12):
            x = np.cos(x)
            for k in range(110):
                x = np.sin(x) * (0.5 + k)
        return x

    rolled = the_same(nested, RNG.normal(size=3), count=2)  # the last is by itself
    assert [loop.params["length"] for loop in loops(rolled)] == [11, 110]
    assert len(loops(loops(rolled)[0].params["step"].graph)) == 1


@pytest.mark.parametrize("times", [1, 7, 20])
def test_short_repetitions_stay(times):
    def function(x):
        for _ in range(times):
            x = np.sin(x) * 2.0
        return x

    graph = traced(function, pb.Aval((3,), "f8"))
    assert reroll(graph) is graph


def test_what_only_looks_alike_stays():
    def function(x, *weights):
        for w in weights:  # each its own: stacking them would copy
            x = np.tanh(x @ w) + np.sin(x) - np.cos(x)
        return x

    graph = traced(function, pb.Aval((2, 3), "f8"), *[pb.Aval((3, 3), "f8")] * 40)
    assert reroll(graph) is graph


def test_a_rolled_graph_has_derivatives_and_batches():
    x = RNG.normal(size=3)
    rolled = reroll(traced(two_back, pb.Aval((3,), "f8")))
    np.testing.assert_allclose(pb.grad(rolled)(x), pb.grad(two_back)(x), rtol=1e-13)
    np.testing.assert_allclose(pb.vmap(rolled)(np.stack([x, x]))[0], two_back(x), rtol=1e-13)


UNARY = [np.sin, np.tanh, np.negative, lambda a: a * 0.5, lambda a: a[::-1]]
BINARY = [np.add, np.multiply, np.subtract, np.maximum]


@st.composite
def programs(draw):
    """A random body over a few variables, rows of an array, and numbers, many times."""
    count = draw(st.integers(1, 3))
    step = st.tuples(
        st.integers(0, count - 1),
        st.one_of(
            st.tuples(st.sampled_from(UNARY), st.integers(0, count - 1)),
            st.tuples(st.sampled_from(BINARY), st.integers(0, count + 3), st.integers(0, count)),
        ),
    )
    body = draw(st.lists(step, min_size=3, max_size=6))
    times = draw(st.integers(8, 60))
    outer = draw(st.integers(1, 3))

    def function(x, w):
        variables = [x[k] for k in range(count)]
        for _ in range(outer):
            for k in range(times):
                moving = [w, x[k], x[times - k], 0.1 * k]
                for target, (operation, *operands) in body:
                    values = [(variables + moving)[o] for o in operands]
                    variables[target] = np.tanh(operation(*values))
        return np.sum(variables[0]), variables[-1]

    return function


@settings(max_examples=40, deadline=None)
@given(programs(), st.booleans())
def test_random_programs_compute_the_very_same(function, backwards):
    x, w = RNG.normal(size=(61, 2)), RNG.normal(size=2)
    f = pb.grad(lambda x, w: function(x, w)[0], (0, 1)) if backwards else function
    graph = join_parts(traced(f, x, w))
    rolled = reroll(graph)
    for a, b in zip(graph.run((x, w)), rolled.run((x, w)), strict=True):
        np.testing.assert_array_equal(a, b)
    about_the_same(f, x, w)
