"""Random programs and corner cases: compiled, they do what NumPy does."""

import os
import signal
import threading
from unittest import mock

import numpy as np
import pytest
from hypothesis import assume, given, note, settings
from random_programs import programs

import pullback as pb
from pullback.core.errors import DTypeError, NotDifferentiableError
from pullback.native import team
from pullback.native.program import NativeProgram

RNG = np.random.default_rng(0)


def check(arrays, program, compiled):
    """Compare the results of `compiled` with those of the interpreted graph."""
    graph = pb.trace(program, *arrays)
    note(graph)
    avals = [n.aval for n in graph.nodes if not isinstance(n.aval, tuple)]
    single = any(a.dtype.itemsize < 8 or a.dtype == np.complex64 for a in avals)
    with np.errstate(all="ignore"):
        wanted = graph.run(arrays)
        found = compiled(graph)
    for a, b in zip(wanted, pb.tree.leaves(found), strict=True):
        a, b = (x.astype(x.dtype.newbyteorder("="), copy=False) for x in map(np.asarray, (a, b)))
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        assert not any(np.shares_memory(b, x) for x in arrays)
        size = np.max(np.abs(a), initial=1, where=np.isfinite(a)) if a.dtype.kind in "fc" else 0
        rtol = 0 if a.dtype.kind in "biu" else 3e-4 if single else 1e-9
        np.testing.assert_allclose(b, a, rtol=rtol, atol=rtol * size)


@settings(max_examples=100)
@given(programs())
@pytest.mark.filterwarnings("ignore")
def test_random_programs_compute_the_same_compiled(case):
    arrays, program = case
    check(arrays, program, lambda graph: NativeProgram(graph)(arrays))


@settings(max_examples=100)
@given(programs())
@pytest.mark.filterwarnings("ignore")
def test_random_programs_compute_the_same_simplified_and_compiled(case):
    arrays, program = case
    check(arrays, program, lambda graph: pb.compile(program)(*arrays))


@settings(max_examples=60)
@given(programs())
@pytest.mark.filterwarnings("ignore")
def test_random_programs_compute_the_same_in_two_threads(case):
    arrays, program = case
    with mock.patch.multiple(team, SHARED_EFFORT=0, LEAST_EFFORT=0):
        check(arrays, program, lambda graph: pb.compile(program, threads=2)(*arrays))


@settings(max_examples=60)
@given(programs())
@pytest.mark.filterwarnings("ignore")
def test_gradients_of_random_programs_compute_the_same_compiled(case):
    arrays, program = case
    floats = [k for k, x in enumerate(arrays) if x.dtype.kind == "f"]

    def total(moving, *arrays):
        given = list(arrays)
        for k, x in zip(floats, moving, strict=True):
            given[k] = x
        results = [r for r in program(*given) if r.dtype.kind == "f"]
        return sum((np.sum(np.tanh(r)) for r in results), np.float64(0))

    def slopes(*arrays):
        return pb.grad(total)([arrays[k] for k in floats], *arrays)

    try:
        with np.errstate(all="ignore"):
            slopes(*arrays)
    except (NotDifferentiableError, DTypeError):
        assume(False)
    check(arrays, slopes, lambda graph: pb.compile(slopes)(*arrays))


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


@pytest.mark.parametrize("shape", [(0, 3, 1), (3, 0, 2), (2, 3, 0), (0, 70), (70, 0)])
def test_loops_without_turns_write_only_what_there_is(shape):
    def f(x):
        return [g(x, axis=k) for g in (np.argsort, np.sort, np.sum, np.cumsum)
                for k in range(x.ndim)]  # fmt: skip

    for found, wanted in zip(pb.compile(f)(np.zeros(shape)), f(np.zeros(shape)), strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("threads", [1, 2])
def test_long_programs_are_written_in_several_functions(threads):
    def chain(x, weights):
        for w in weights:
            x = np.tanh(x @ w)
        return np.sum(x)

    rng = np.random.default_rng(0)
    weights = [rng.normal(size=(20, 20)) / 5 for _ in range(70)]
    x = rng.normal(size=(200, 20))
    compiled = pb.compile(pb.grad(chain), threads=threads)
    expected = pb.grad(chain)(x, weights)
    np.testing.assert_allclose(compiled(x, weights), expected, rtol=1e-9, atol=1e-12)
    assert "define i1 @run0_0(" in compiled.llvm


def test_a_sum_of_very_many_arrays_is_made_in_parts():
    arrays = list(np.random.default_rng(0).normal(size=(100, 30)))
    compiled = pb.compile(lambda *xs: sum((x @ x) * x for x in xs))
    np.testing.assert_allclose(compiled(*arrays), sum((x @ x) * x for x in arrays), rtol=1e-9)
