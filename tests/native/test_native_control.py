"""Loops and choices in machine code: the same as interpreted, in place where that is possible."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pullback as pb
from pullback.ops.index import setitem

RNG = np.random.default_rng(0)
W = RNG.normal(size=(3, 3)) / 2
XS = RNG.normal(size=(7, 3))


def agree(function, *args, rtol=1e-12):
    compiled = pb.compile(function)
    found, wanted = compiled(*args), function(*args)
    for a, b in zip(pb.tree.leaves(found), pb.tree.leaves(wanted), strict=True):
        assert (np.shape(a), np.asarray(a).dtype) == (np.shape(b), np.asarray(b).dtype)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-14)
    assert "by NumPy    nothing" in compiled.report()
    return compiled


def recurrent(w, xs, reverse=False):
    def step(h, x):
        h = np.tanh(w @ h + x)
        return h, (h * 2, x)

    return pb.scan(step, np.zeros(3), xs, reverse=reverse)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [0, 1, 2, 7])
def test_a_scan_carries_and_stacks(length, reverse):
    agree(lambda w, xs: recurrent(w, xs, reverse), W, XS[:length])


def test_derivatives_of_a_scan_are_scans_in_machine_code():
    def loss(w, xs):
        return np.sum(recurrent(w, xs)[1][0] ** 2)

    compiled = agree(pb.grad(loss, (0, 1)), W, XS)
    assert compiled.loops.count("repeat 7 times") == 2
    agree(pb.hessian(loss), W, XS)
    agree(lambda w, xs: pb.jvp(loss, (w, xs), (w, xs)), W, XS)
    agree(pb.vmap(loss, (None, 0)), W, np.stack([XS, XS + 1]))


@pytest.mark.parametrize("length", [1, 4, 9])
def test_carries_that_change_places_do_not_overwrite_each_other(length):
    def step(carry, _):
        a, b, fixed = carry
        return (b, a + b, fixed), a

    compiled = agree(lambda x: pb.scan(step, (x, x + 1, x * 2), None, length=length), XS[0])
    assert "carry carry[2] -> carry[2] in" in compiled.loops  # stays where it is


def test_a_carry_is_changed_in_place_where_nothing_reads_it_later():
    def scaled(c, x):
        return c * x, None

    def turned(c, x):
        return c[::-1] * x, None  # each element is needed after another took its place

    for step, in_place in ((scaled, True), (turned, False)):
        compiled = agree(lambda c, xs, step=step: pb.scan(step, c, xs)[0], XS[0], XS)
        assert ("carry carry -> carry " in compiled.loops) == in_place


def test_one_element_of_a_carry_is_set_without_a_copy():
    def step(c, i):
        table, total = c
        table = setitem(table, i, total)
        return (table, total + i), None

    def run(table, order):
        return pb.scan(step, (table, 0.5), order)[0]

    compiled = agree(run, np.zeros(6), np.array([3, 1, -1]))
    body = compiled.loops.split("repeat")[1]
    assert "carry[0][[x[0]]] = " in body
    assert "for" not in body
    with pytest.raises(IndexError):
        pb.compile(run)(np.zeros(6), np.array([3, 6, 1]))


def test_loops_inside_loops_and_choices_inside_them():
    def outer(c, x):
        def inner(d, y):
            return pb.cond(y > 0, lambda d: d * y, lambda d: d - y, d), d

        d, seen = pb.scan(inner, c, x)
        return d, np.sum(seen)

    agree(lambda x: pb.scan(outer, 1.0, x), XS)
    agree(pb.grad(lambda x: pb.scan(outer, 1.0, x)[0]), XS)


@pytest.mark.parametrize("stop", [0, 1, 6])
def test_a_while_loop_ends_where_its_condition_says(stop):
    def run(n, x):
        return pb.while_loop(
            lambda c: c[0] < n, lambda c: (c[0] + 1, c[2], np.sin(c[1])), (np.array(0), x, x * 2)
        )

    agree(run, np.array(stop), XS)
    agree(pb.vmap(run, (0, None)), np.array([stop, 2]), XS)


def test_an_index_out_of_range_ends_a_while_loop():
    def run(x):
        return pb.while_loop(lambda i: x[i] > 0, lambda i: i + 1, np.array(0))

    assert pb.compile(run)(np.array([1.0, 2.0, 0.0])) == 2
    with pytest.raises(IndexError):
        pb.compile(run)(np.ones(3))


@pytest.mark.parametrize("index", [-1, 0, 1, 2, 5])
@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint16])
def test_a_switch_takes_the_nearest_branch(index, dtype):
    if index < 0 and np.dtype(dtype).kind == "u":
        pytest.skip("no negative numbers there")

    def run(i, x):
        return pb.switch(i, [np.sin, lambda x: x + 1, lambda x: x], x)

    agree(run, np.array(index, dtype), XS)


STEPS = {
    "swap": lambda a, b, x: (b, a, a),
    "grow": lambda a, b, x: (a + x, b * 1.5, a * b),
    "turn": lambda a, b, x: (a[::-1], a + b, b),
    "mix": lambda a, b, x: (a @ W, b - a, x + b),
    "keep": lambda a, b, x: (a, b + a[0], x),
    "sum": lambda a, b, x: (b + np.sum(a), a, np.cumsum(a)[::1] * 0 + x),
}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=4), st.integers(1, 5))
def test_random_bodies_agree_with_the_interpreter(names, length):
    def step(carry, x):
        a, b = carry
        for name in names:
            a, b, y = STEPS[name](a, b, x)
        return (a, b), y

    function = lambda a, xs: pb.scan(step, (a, a * 0.5), xs)  # noqa: E731
    found, wanted = pb.compile(function)(XS[0], XS[:length]), function(XS[0], XS[:length])
    for a, b in zip(pb.tree.leaves(found), pb.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_a_loop_reads_what_was_computed_before_it():
    def loss(p):
        def step(carry, _):
            a, b = carry
            return (a + 0.1 * (p[0] * a - p[1] * a * b), b + 0.1 * (p[2] * a * b - b)), None

        a, b = pb.scan(step, (p[0] * 2, p[1] * 3), None, length=9)[0]
        return a * a + b

    agree(loss, XS[0])
    agree(pb.grad(loss), XS[0])


def test_a_loop_in_python_is_a_loop_in_machine_code_also_inside_of_another():
    def rows(w, x):
        h = x[0]
        for row in x[1:]:
            h = np.tanh(h @ w + row)
        return h

    x = RNG.normal(size=(60, 2, 3))
    compiled = agree(pb.grad(lambda w, x: np.sum(rows(w, x)), (0, 1)), W, x)
    assert compiled.loops.count("repeat") == 2
    compiled = agree(lambda w, xs: pb.map(lambda x: rows(w, x), xs), W, np.stack([x, x + 1]))
    assert compiled.loops.count("repeat") == 2


PIECES = {
    "rows": (lambda x: x[2:], 6),
    "one row as numbers": (lambda x: x[3], 9),
    "rows of what is computed": (lambda x: (x * 2)[1:4], None),
    "rows of a running sum": (lambda x: np.cumsum(x, 0)[1:4], 3),
    "rows reshaped": (lambda x: x[1:5].reshape(2, 2, 3), 3),
    "every other row": (lambda x: x[1::2], None),
    "columns": (lambda x: x[:, 1:], None),
    "from the last": (lambda x: x[::-1], None),
    "the same row": (lambda x: np.broadcast_to(x[1], (4, 3)), None),
    "none": (lambda x: x[7:], None),
}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("piece", PIECES)
def test_a_loop_takes_the_parts_of_a_piece_of_an_array_where_they_lie(piece, dtype, reverse):
    cut, begins = PIECES[piece]

    def running(x):
        def step(total, part):
            return total + np.sum(part), part * total

        return pb.scan(step, np.zeros((), dtype), cut(x), reverse=reverse)

    x = XS.astype(dtype) * (1 + 1j if dtype is np.complex128 else 1)
    compiled = agree(running, x, rtol=1e-5 if dtype is np.float32 else 1e-12)
    numbers = 2 if dtype is np.complex128 else 1
    assert (begins is None) == (" from " not in compiled.loops.replace("from the last", ""))
    assert begins is None or f"from {numbers * begins} on" in compiled.loops


def test_numpy_takes_a_piece_of_an_array_as_an_array():
    def step(total, x):
        return total + np.linalg.pinv(x), None

    def f(x):
        return pb.scan(step, np.zeros((3, 2)), (x * 2)[1:])[0]

    x = RNG.normal(size=(4, 2, 3))
    np.testing.assert_allclose(pb.compile(f)(x), f(x), rtol=1e-10)
