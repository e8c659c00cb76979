"""What compiled functions keep, and that nothing of it outlives them, without a collector's run."""

import gc
import tracemalloc
import weakref

import numpy as np
import pytest

import pullback as pb
from pullback.native import compile as compiling
from pullback.native.program import NativeProgram

X = np.random.default_rng(0).normal(size=(20, 20))


def interpreted(x):
    return np.tanh(pb.scipy.linalg.sqrtm(x @ x.T))  # which NumPy runs in between


@pytest.mark.parametrize("function", [lambda x: np.tanh(x @ x), pb.grad(np.sum), interpreted])
def test_a_compiled_function_that_is_dropped_frees_its_program(uncollected, function):
    compiled = pb.compile(function)
    compiled(X)
    program = weakref.ref(compiled._called())
    code, arena = weakref.ref(program()._code), weakref.ref(program()._pool[0].arena)
    del compiled
    assert (program(), code(), arena()) == (None, None, None)


def recurrent(w, xs):
    return np.sum(pb.scan(lambda h, x: (np.tanh(w @ h + x), None), np.zeros(20), xs)[0])


def captured(x):
    return np.linalg.inv(x + X) @ np.stack([x, X]) + np.sum(np.exp(x), axis=1, keepdims=True)


@pytest.mark.parametrize(("function", "count"), [(captured, 1), (pb.grad(recurrent), 2)])
def test_nothing_of_a_compiled_function_is_left_to_the_collector(uncollected, function, count):
    pb.compile(function)(*[X] * count)  # what is imported with it may stay
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        pb.compile(function)(*[X] * count)
        gc.collect()
    finally:
        gc.set_debug(0)
    ours = [x for x in gc.garbage if isinstance(x, np.ndarray) or "pullback" in type(x).__module__]
    gc.garbage.clear()
    assert not ours


def test_a_graph_that_is_dropped_frees_the_program_that_computes_it(uncollected):
    graph = pb.trace(lambda x: np.tanh(x @ x), X).run_by(NativeProgram)
    graph(X)
    program = weakref.ref(graph.program)
    del graph
    assert program() is None


def test_of_ever_new_signatures_the_last_ones_are_kept(uncollected, monkeypatch):
    monkeypatch.setattr(compiling, "MOST_PROGRAMS", 2)
    traced = []

    @pb.compile
    def double(x):
        traced.append(len(x))
        return 2 * x

    programs = []
    for n in (1, 2, 3, 2, 1, 3):
        np.testing.assert_array_equal(double(np.ones(n)), np.full(n, 2.0))
        programs.append(weakref.ref(double._called()))
    assert traced == [1, 2, 3, 1]
    assert [program() is None for program in programs] == [True, True, False, True, False, False]


def test_a_new_signature_takes_the_place_of_the_temporaries_of_others():
    compiled = pb.compile(lambda x: np.sum(x @ x @ x))
    compiled(np.eye(2))
    tracemalloc.start()
    for n in range(400, 406):
        assert compiled(np.eye(n)) == n
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    one = compiled._called().plan.size
    assert one > 1_000_000
    assert kept < 2 * one
    assert compiled(np.eye(400)) == 400
