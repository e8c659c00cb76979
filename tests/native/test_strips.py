"""Strips: loops over the same rows take some rows through all of them before the next."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pullback as pb
from pullback.native import ahead, overlap, strips

SMALL = {
    "LEAST": 0,
    "STRIP": 2048,
    "FETCHED": 4096,
    "SHORT": 0,
    "STACKED": 2048,
    "LEAST_ROW": 8,
}
"""Strips of two kilobytes, of arrays of any size."""


@pytest.fixture
def small(monkeypatch):
    for name, value in SMALL.items():
        monkeypatch.setattr(strips, name, value)


def found_in_strips(function, *args, **options):
    """Return what a function gives that is compiled for small strips."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SMALL.items():
            patch.setattr(strips, name, value)
        return pb.compile(function, **options)(*args)


def agree(found, expected, dtype=np.float64):
    for a, b in zip(pb.tree.leaves(found), pb.tree.leaves(expected), strict=True):
        assert np.asarray(a).dtype == np.asarray(b).dtype
        np.testing.assert_allclose(a, b, rtol=1e-4 if dtype is np.float32 else 1e-10, atol=1e-6)


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def layer_norm(x):
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + 1e-5)


def log_sum_exp(x):
    largest = x.max(axis=1)
    return np.log(np.exp(x - largest[:, None]).sum(axis=1)) + largest


def slope(x):
    return pb.grad(lambda x: np.sum(softmax(x) * np.sin(x)))(x)


def twice(x):
    return softmax(layer_norm(x)), x.sum(axis=0)


def ragged(x):
    return softmax(x[:, 1:]) + layer_norm(x)[:, :-1]


def from_the_last(x):
    return softmax(x[::-1]) + softmax(x)


def added_up(x):
    y = softmax(x)
    return y, y.sum(), y.max(), (y > 0.1).any(), (y > 0).all(), np.prod(1 + y), y.min(axis=0)


def of_all(x):
    return softmax(x - x.max()) * x.sum()


def reduced(x):
    """All kinds of reductions in the loop of an elementary function."""
    y = np.exp(x - x.mean(axis=1, keepdims=True))
    return y.sum(axis=1), y.max(axis=1), y.min(axis=1), (y > 2).any(axis=1), np.prod(y, axis=1)


FUNCTIONS = (
    softmax, layer_norm, log_sum_exp, slope, twice, ragged, from_the_last, added_up, of_all,
    reduced,
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(
    function=st.sampled_from(FUNCTIONS),
    rows=st.integers(1, 24),
    columns=st.integers(2, 40) | st.sampled_from([63, 64, 65, 128, 200]),
    threads=st.integers(1, 2),
    dtype=st.sampled_from([np.float32, np.float64]),
    fetched=st.integers(0, 9),
    short=st.sampled_from([0, 1024]),
)
def test_strips_compute_what_whole_arrays_do(
    function, rows, columns, threads, dtype, fetched, short
):
    x = np.random.default_rng(rows).normal(size=(rows, columns)).astype(dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlap, "FILLS", 1)
        patch.setitem(SMALL, "SHORT", short)
        patch.setattr(ahead, "LEAST", 1)
        patch.setattr(ahead, "MOST", fetched)
        found = found_in_strips(function, x, threads=threads)
    agree(found, function(x), dtype)


def test_a_softmax_of_many_rows_goes_in_strips():
    x = np.random.default_rng(0).random((160, 1000), np.float32)
    compiled = pb.compile(softmax)
    np.testing.assert_allclose(compiled(x), softmax(x), rtol=1e-5)
    assert compiled.loops.startswith("in 40 strips of x, ")
    assert "around strips" in compiled.report()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("donate", [(), 0])
@pytest.mark.parametrize("function", [softmax, log_sum_exp])
def test_the_next_strip_is_fetched_while_functions_are_computed(function, donate, threads):
    x = np.random.default_rng(0).normal(size=(642, 500)).astype(np.float32)
    compiled = pb.compile(function, threads=threads, donate_argnums=donate)
    np.testing.assert_allclose(compiled(x.copy()), function(x), rtol=1e-4, atol=1e-6)
    assert "fetching x'" in compiled.loops
    assert "@llvm.prefetch" in compiled.llvm


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("donate", [(), 0])
def test_the_first_loop_of_short_rows_goes_a_strip_ahead(donate, threads):
    x = np.random.default_rng(0).normal(size=(642, 500)).astype(np.float32)
    compiled = pb.compile(layer_norm, threads=threads, donate_argnums=donate)
    np.testing.assert_allclose(compiled(x.copy()), layer_norm(x), rtol=1e-4, atol=1e-6)
    assert "' is of the one before" in compiled.loops


def test_strips_of_little_work_or_many_arrays_are_not_fetched():
    x = np.random.default_rng(0).normal(size=(640, 500)).astype(np.float32)
    for function in (layer_norm, lambda x: (softmax(x), softmax(x) * 2)):
        compiled = pb.compile(function)
        agree(compiled(x), function(x), np.float32)
        assert "strips" in compiled.loops
        assert "fetching" not in compiled.loops


def test_nan_passes_through_the_extremes_of_groups():
    x = np.random.default_rng(0).normal(size=(640, 500)).astype(np.float32)
    x[5, 7] = x[6, 499] = np.nan
    compiled = pb.compile(reduced)
    agree(compiled(x), reduced(x), np.float32)
    assert "fetching" in compiled.loops


def test_nan_in_a_strip_stays_in_its_row():
    x = np.random.default_rng(0).normal(size=(640, 500)).astype(np.float32)
    x[5, 7] = np.nan
    found = pb.compile(softmax)(x)
    np.testing.assert_array_equal(np.isnan(found).any(axis=1), np.arange(640) == 5)


def test_threads_share_the_strips():
    x = np.random.default_rng(0).random((2000, 512), np.float32)
    alone, shared = (pb.compile(slope, threads=n) for n in (1, 2))
    np.testing.assert_allclose(shared(x), alone(x), rtol=1e-5, atol=1e-7)
    assert "strips" in shared.loops
    assert "threads     2" in shared.report()


@pytest.mark.usefixtures("small")
def test_strips_inside_loops_and_of_donated_arrays():
    x = np.random.default_rng(0).normal(size=(32, 20))

    def turns(x):
        return pb.scan(lambda x, _: (softmax(x) + layer_norm(x), x[0, 0]), x, length=4)

    compiled = pb.compile(turns, donate_argnums=0)
    expected = pb.tree.leaves(turns(x))
    for a, b in zip(pb.tree.leaves(compiled(x.copy())), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)
    assert "strips" in compiled.loops
    change = pb.compile(lambda x: np.tanh(softmax(x)) * x, donate_argnums=0)
    given = x.copy()
    assert change(given) is given
    np.testing.assert_allclose(given, np.tanh(softmax(x)) * x, rtol=1e-10)


def test_a_loop_around_one_that_goes_in_strips_alone():
    x = np.random.default_rng(0).uniform(size=(400, 200))

    def powers(x):
        def turn(c):
            k, y = c
            return k + 1, pb.scan(lambda y, k: (y * x + k, None), y, np.arange(5.0))[0]

        return pb.while_loop(lambda c: c[0] < 3, turn, (0, x))[1]

    compiled = pb.compile(powers)
    np.testing.assert_allclose(compiled(x), powers(x), rtol=1e-12)
    assert "strips" in compiled.loops


@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.exp(x),  # one loop
        lambda x: (np.exp(x.sum(axis=0)) * x, x.sum()),  # every row needs all rows
        lambda x: np.cumsum(np.exp(x), axis=0),
    ],
    ids=["one loop", "columns", "running sums"],
)
@pytest.mark.usefixtures("small")
def test_what_needs_other_rows_goes_over_whole_arrays(function):
    x = np.random.default_rng(0).normal(size=(40, 30))
    compiled = pb.compile(function)
    for a, b in zip(pb.tree.leaves(compiled(x)), pb.tree.leaves(function(x)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)
    assert "strips" not in compiled.loops


def test_small_arrays_are_gone_over_at_once():
    compiled = pb.compile(softmax)
    compiled(np.ones((64, 500), np.float32))
    assert "strips" not in compiled.loops


def horner(c, x):
    y = c[-1]
    for k in range(2, len(c) + 1):
        y = y * x + c[-k]
    return np.sum(y)


def polynomial_slopes(x):
    """Slopes by coefficients, each of which is a sum over all points, and by points."""

    def value(c, x):
        return np.sum(pb.scan(lambda y, c: (y * x + c, None), np.ones_like(x), c)[0])

    return pb.value_and_grad(value, (0, 1))(x[:, 0], x[0])


def driven(x):
    """Carries that change places, series from outside and stacks that are returned."""

    def step(carry, force):
        a, b = carry
        return (b, np.sin(a) + force), (a * b, np.max(b))

    return pb.scan(step, (x[0], x[1]), x)


def driven_slopes(x):
    return pb.value_and_grad(lambda x: sum(map(np.sum, driven(x)[0])))(x)


def driven_backward(x):
    return pb.scan(lambda a, force: (a * force, a[:]), x[-1], x[1:], reverse=True)


def of_neighbours(x):
    return pb.scan(lambda a, _: (a + np.roll(a, 1), np.sum(a)), x[0], None, length=4)


def of_all_each_turn(x):
    return pb.scan(lambda a, force: (a * force / np.sum(a * a), a[0]), x[0], x)


def in_rows(x):
    """Two halves of an array, side by side in each element."""
    half = x.shape[1] // 2
    a, b = x[0, :half], x[0, half : 2 * half]
    for _ in range(5):
        a, b = a + np.sin(b), b - np.sin(a)
    return a, np.cos(b), np.sum(a * b)


LOOPS = (polynomial_slopes, driven, driven_slopes, driven_backward, of_neighbours, of_all_each_turn,
         in_rows)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    function=st.sampled_from(LOOPS),
    turns=st.integers(2, 6),
    points=st.sampled_from([2, 3, 16, 97, 120, 256, 600]),
    threads=st.integers(1, 2),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_loops_in_strips_compute_what_they_do_over_whole_arrays(
    function, turns, points, threads, dtype
):
    x = np.random.default_rng(points).uniform(-1, 1, (turns, points)).astype(dtype)
    agree(found_in_strips(function, x, threads=threads), function(x), dtype)


@pytest.mark.parametrize("function", [polynomial_slopes, driven, driven_backward])
@pytest.mark.usefixtures("small")
def test_a_loop_whose_elements_are_apart_goes_in_strips(function):
    x = np.random.default_rng(0).uniform(-1, 1, (6, 600))
    compiled = pb.compile(function)
    agree(compiled(x), function(x))
    lines = compiled.loops.splitlines()
    inside = [line.startswith("  ") for line in lines if "repeat" in line]
    assert inside
    assert all(inside)


@pytest.mark.parametrize("function", [of_neighbours, of_all_each_turn])
@pytest.mark.usefixtures("small")
def test_a_loop_whose_elements_need_each_other_goes_over_whole_arrays(function):
    x = np.random.default_rng(0).uniform(-1, 1, (6, 600))
    compiled = pb.compile(function)
    agree(compiled(x), function(x))
    assert "\nrepeat" in compiled.loops


@pytest.mark.usefixtures("small")
def test_loops_in_strips_keep_what_is_not_finite_in_its_place():
    x = np.random.default_rng(0).uniform(-1, 1, (6, 600))
    x[0, [0, 17, 599]] = np.nan, np.inf, -np.inf
    with np.errstate(all="ignore"):
        for function in (polynomial_slopes, driven):
            np.testing.assert_equal(
                [np.isnan(a) for a in pb.tree.leaves(pb.compile(function)(x))],
                [np.isnan(a) for a in pb.tree.leaves(function(x))],
            )


def test_the_gradient_of_a_polynomial_at_many_points_needs_no_stack_in_the_arena():
    c, x = np.ones(101), np.linspace(-1, 1, 10_000)
    compiled = pb.compile(pb.grad(horner, (0, 1)))
    agree(compiled(c, x), pb.grad(horner, (0, 1))(c, x))
    assert compiled.loops.startswith("in 25 strips of ")
    (memory,) = [line for line in compiled.report().splitlines() if "temporaries" in line]
    assert int(memory.split()[1].replace(",", "")) < 3 * x.nbytes
