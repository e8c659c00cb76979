"""Random programs and corner cases: compiled, they do what NumPy does."""

import os
import signal
import threading

import numpy as np
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

import pullback as pb
from pullback.native.program import NativeProgram

RNG = np.random.default_rng(0)
DTYPES = ["f4", "f8", "i1", "i4", "i8", "u1", "u8", "?", "c16"]
UNARY = [np.tanh, np.square, np.negative, np.isfinite, np.abs, np.sqrt, np.sign]
BINARY = [np.add, np.multiply, np.maximum, np.less, np.fmin, np.logaddexp, np.hypot]
REDUCTIONS = [np.sum, np.prod, np.max, np.mean, np.any, np.all]


def unary(draw, x, y):
    f = draw(st.sampled_from(UNARY))
    return lambda x, y: f(x)


def binary(draw, x, y):
    return draw(st.sampled_from(BINARY))


def reduction(draw, x, y):
    f, keepdims = draw(st.sampled_from(REDUCTIONS)), draw(st.booleans())
    axes = draw(st.sets(st.sampled_from(range(x.ndim)))) if x.ndim else ()
    return lambda x, y: f(x, axis=tuple(axes), keepdims=keepdims)


def view(draw, x, y):
    axes = tuple(draw(st.permutations(range(x.ndim))))
    views = [
        lambda x, y: np.transpose(x, axes), lambda x, y: np.reshape(x, -1),
        lambda x, y: x[..., ::-1], lambda x, y: x[1:, ..., None], lambda x, y: np.flip(x),
        lambda x, y: np.reshape(np.transpose(x, axes), x.shape),
        lambda x, y: np.broadcast_to(x, (2, *x.shape)),
    ]  # fmt: skip
    return draw(st.sampled_from(views))


def moved(draw, x, y):
    axis = draw(st.integers(-x.ndim, x.ndim - 1))
    n, k = max(1, x.shape[axis]), draw(st.integers(-9, 9))
    length = st.just(0) if 0 in x.shape else st.integers(0, 4)  # no index is in range of nothing
    index = np.array([draw(st.integers(-n, n - 1)) for _ in range(draw(length))], int)
    return draw(st.sampled_from([
        lambda x, y: np.concatenate([x, y], axis=axis), lambda x, y: np.roll(x, k, axis=axis),
        lambda x, y: np.pad(x, 1), lambda x, y: np.take(x, index, axis=axis),
        lambda x, y: np.sort(x, axis=axis), lambda x, y: np.cumsum(x, axis=axis),
        lambda x, y: np.where(x > y, x, y), lambda x, y: assigned(x, index, axis),
    ]))  # fmt: skip


def assigned(x, index, axis):
    x = np.moveaxis(x, axis, 0).copy()
    x[index] = x.sum()
    return x


def product(draw, x, y):
    return draw(st.sampled_from([
        lambda x, y: x @ y, lambda x, y: x @ x.mT, lambda x, y: x.mT @ x[..., ::-1, :],
        lambda x, y: contracted("...i,...i->...", x, y),
        lambda x, y: contracted("ij,kj->ik", x, y),
    ]))  # fmt: skip


def contracted(subscripts, x, y):
    if x.shape[-1] != y.shape[-1]:
        raise ValueError("NumPy would sum before it multiplies: inf * x - inf * x becomes inf")
    return np.einsum(subscripts, x, y)


@st.composite
def programs(draw):
    """Arrays, and a function of them made of a few random steps, each of one or two values."""
    shapes = st.lists(st.sampled_from([0, 1, 1, 2, 3, 3, 9, 17]), max_size=3)
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    arrays, base = [], draw(shapes)
    for _ in range(draw(st.integers(1, 3))):
        shape = base if draw(st.booleans()) else draw(shapes)
        x = rng.normal(size=shape) * 2
        if x.size and draw(st.booleans()):
            x.flat[0] = draw(st.sampled_from([np.nan, np.inf, -0.0, 5e-324]))
        with np.errstate(all="ignore"):
            arrays.append(x.astype(draw(st.sampled_from(DTYPES))))
    steps, values = [], list(arrays)
    for _ in range(draw(st.integers(1, 7))):
        i, j = (draw(st.integers(0, len(values) - 1)) for _ in range(2))
        try:
            kinds = st.sampled_from([unary, binary, binary, reduction, view, moved, product])
            step = draw(kinds)(draw, values[i], values[j])
            value = np.asarray(step(values[i], values[j]))
        except (TypeError, ValueError, IndexError, AttributeError):
            continue  # a step that does not suit these values
        if value.size < 2000 and value.dtype != np.float16:
            steps.append((step, i, j))
            values.append(value)
    kept = draw(st.lists(st.integers(0, len(values) - 1), min_size=1, max_size=3))

    def program(*given):
        found = list(given)
        for step, i, j in steps:
            found.append(step(found[i], found[j]))
        return [found[k] for k in [*kept, -1]]

    return arrays, program


@settings(max_examples=150)
@given(programs())
@pytest.mark.filterwarnings("ignore")
def test_random_programs_compute_the_same_compiled(case):
    arrays, program = case
    graph = pb.trace(program, *arrays)
    note(graph)
    single = any(n.dtype.itemsize < 8 for n in graph.nodes)
    with np.errstate(all="ignore"):
        wanted, found = graph.run(arrays), NativeProgram(graph)(arrays)
    for a, b in zip(wanted, found, strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        assert not any(np.shares_memory(b, x) for x in arrays)
        size = np.max(np.abs(a), initial=1, where=np.isfinite(a)) if a.dtype.kind in "fc" else 0
        rtol = 0 if a.dtype.kind in "biu" else 3e-4 if single else 1e-9
        np.testing.assert_allclose(b, a, rtol=rtol, atol=rtol * size)


def same(function, *args):
    wanted, found = function(*args), pb.compile(function)(*args)
    np.testing.assert_array_equal(found, wanted)
    assert found.dtype == wanted.dtype


@pytest.mark.parametrize("number", [300, -1, 3, 2**40])
@pytest.mark.parametrize("dtype", ["i1", "u1", "i8", "u8"])
def test_integers_compare_exactly(dtype, number):
    x = np.array([1, 3, np.iinfo(dtype).max], dtype)
    same(lambda x: x < number, x)
    same(lambda x: x == number, x)
    same(lambda x: np.less(x, np.array([2, 4, -1])), x)
    same(lambda x: x > 2**70, x)


def test_products_of_booleans_are_disjunctions():
    a, b = RNG.random((6, 5)) > 0.4, RNG.random((5, 4)) > 0.4
    same(np.matmul, a, b)
    same(lambda a, b: np.einsum("ij,jk->ik", a, b), a, b)


def test_einsum_broadcasts_one_to_none():
    same(lambda x, y: np.einsum("i,i->", x, y), np.ones(0), np.ones(1))
    same(lambda x, y: np.einsum("i,i->", x, y), np.ones(1), np.ones(0))
    same(lambda x, y: np.einsum("ai,ai->a", x, y), np.ones((0, 0)), np.ones((1, 0)))


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"])
def test_floats_become_integers_as_in_numpy(dtype):
    x = np.array([1.9, -1.9, 0.0, 100.5, -3.0] * 7)
    same(lambda x: x.astype(dtype), x)
    with np.errstate(all="ignore"):  # what no integer holds becomes some number
        pb.compile(lambda x: x.astype(dtype))(np.array([np.nan, np.inf, -1e300] * 7))


@pytest.mark.parametrize("dtype", ["f2", "g", "c8", "c16", ">f8", ">i4"])
def test_every_dtype_can_be_passed_through(dtype):
    x = np.arange(9).astype(dtype)
    for y in (x, x[1:], x[::2]):
        np.testing.assert_array_equal(pb.compile(lambda x: (x, x, x[::-1]))(y)[1], y)
    np.testing.assert_allclose(pb.compile(lambda x: x * 2 + x[:1])(x), x * 2 + x[:1])


def test_an_array_of_no_axes_is_no_python_number():
    scaled, x = pb.compile(lambda x, k: x * k), np.ones(2, np.float32)
    for k, dtype in ((0.5, "f4"), (np.array(0.5), "f8"), (0.5, "f4"), (np.float64(0.5), "f8")):
        assert scaled(x, k).dtype == dtype


def test_static_values_that_are_equal_may_differ_in_type():
    scaled, x = pb.compile(lambda x, k: x * k, static_argnums=1), np.ones(2, int)
    for k in (1, 1.0, True, 1):
        assert scaled(x, k).dtype == (x * k).dtype


@pytest.mark.parametrize("write", [False, True])
def test_indices_into_nothing_are_errors(write):
    def f(x, i):
        if not write:
            return x[i]
        y = x * 2
        y[i] = 1.0
        return y

    compiled = pb.compile(f)
    with pytest.raises(IndexError):
        compiled(np.zeros((0, 100_000)), np.array([0, 3]))
    np.testing.assert_array_equal(compiled(np.zeros((0, 2)), np.zeros(0, int)), np.zeros((0, 2)))


def test_a_constant_may_be_indexed_and_multiplied_in_memory():
    ones = np.ones((30, 40))
    compiled = pb.compile(lambda x, i: (pb.vmap(lambda i: (x * 0 + ones)[i])(i), ones @ x.T @ x))
    x = RNG.normal(size=(30, 40))
    got = compiled(x, np.array([1, -1]))
    np.testing.assert_array_equal(got[0], ones[[1, -1]])
    np.testing.assert_allclose(got[1], ones @ x.T @ x)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:.*fork")
def test_a_child_process_can_compile_while_its_parent_does():
    done = threading.Event()

    def compile_on():
        for k in range(10_000):
            if done.is_set():
                return
            pb.compile(lambda x, k=k: x * k)(np.ones(3))

    other = threading.Thread(target=compile_on)
    other.start()
    try:
        for k in range(3):
            child = os.fork()
            if not child:
                signal.alarm(20)  # ends a child that waits for ever
                right = np.all(pb.compile(lambda x, k=k: x + k)(np.ones(4)) == 1 + k)
                os._exit(0 if right else 1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        done.set()
        other.join()


def test_long_sums_in_float32_keep_their_digits():
    x = np.full(1_000_003, 0.1, np.float32)
    exact = np.sum(x, dtype=float)
    for f in (np.sum, lambda x: np.sum(x[::-1]), lambda x: np.sum(x.reshape(-1, 1), axis=0)[0]):
        np.testing.assert_allclose(pb.compile(f)(x), exact, rtol=1e-5)
    np.testing.assert_allclose(pb.compile(lambda x: x @ x)(x), exact / 10, rtol=1e-5)
    wide = x[:-3].reshape(1000, 1000)[:, :-1]
    np.testing.assert_allclose(pb.compile(np.sum)(wide), np.sum(wide, dtype=float), rtol=1e-5)


def test_sums_over_nothing_beside_sums_over_rows():
    def f(x):
        return np.sum(x, axis=0), np.tanh(np.sum(x, axis=())), np.sum(x, axis=2)

    x = RNG.normal(size=(20, 3, 1)).astype("f4")
    for found, wanted in zip(pb.compile(f)(x), f(x), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5)
