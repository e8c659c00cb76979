"""Several threads: the same numbers as one, whoever calls, however busy the machine is."""

import multiprocessing
import os
import threading

import numpy as np
import pytest

import pullback as pb
from pullback.core.errors import ConfigError
from pullback.native import team, threads

TASKS = "/proc/self/task"
RNG = np.random.default_rng(0)
X = RNG.normal(size=(130, 70))
pytestmark = pytest.mark.skipif(not threads.supported(), reason="there are no POSIX threads here")


@pytest.fixture(autouse=True)
def everything_is_shared(monkeypatch):
    monkeypatch.setattr(team, "SHARED_EFFORT", 1)
    monkeypatch.setattr(team, "LEAST_EFFORT", 1)


def recurrent(w, xs):
    def step(h, x):
        h = np.tanh(h @ w + x)
        return h, np.sum(h, axis=0)

    return pb.scan(step, xs[0], xs)


def halved(x):
    return pb.while_loop(lambda c: np.max(c[0]) > 0.1, lambda c: (c[0] / 2, c[1] + c[0]), (x, x))


def chosen(x):
    return pb.cond(x[0, 0] > 0, lambda x: np.exp(x), lambda x: x.T.copy().T - 1, x)


def training(x):
    model = pb.nn.mlp(pb.random.key(0), [70, 40, 5], dtype=np.float64)
    loss = pb.nn.losses.softmax_cross_entropy
    t = np.arange(130) % 5
    return pb.value_and_grad(lambda m: loss(m(x), t))(model)


FUNCTIONS = {
    "elements": lambda x: np.tanh(x) * 2 + 1,
    "sums along rows": lambda x: np.sum(np.exp(x), axis=1),
    "sums along columns": lambda x: np.sum(np.exp(x), axis=0),
    "a sum of all": lambda x: np.sum(x * x),
    "a turned array": lambda x: np.cos(x.T)[::-1] + x.T,
    "several at once": lambda x: (x + 1, np.max(x, axis=1), np.min(x, axis=0), np.mean(x)),
    "softmax": lambda x: np.exp(x) / np.sum(np.exp(x), axis=1, keepdims=True),
    "rows by number": lambda x: x[np.arange(129, -1, -2)] * 2,
    "products": lambda x: np.tanh(x @ x.T) @ x,
    "a scan": lambda x: recurrent(np.eye(70) / 2, np.stack([x, -x, x * 2])),
    "its slopes": pb.grad(lambda x: np.sum(recurrent(np.eye(70) / 2, np.stack([x, -x]))[1])),
    "a while loop": halved,
    "a choice": chosen,
    "a training step": training,
    "an operation of NumPy between": lambda x: np.linalg.svd(np.tanh(x))[1] + 1,
}


@pytest.mark.parametrize("count", [2, 3, 8])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_threads_compute_what_one_does_and_the_same_each_time(name, count):
    one = pb.compile(FUNCTIONS[name], threads=1)(X)
    shared = pb.compile(FUNCTIONS[name], threads=count)
    first = shared(X)
    for a, b in zip(pb.tree.leaves(first), pb.tree.leaves(one), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-15)
    for _ in range(20):
        for a, b in zip(pb.tree.leaves(shared(X)), pb.tree.leaves(first), strict=True):
            np.testing.assert_array_equal(a, b)
    assert f"threads     {count}" in shared.report()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be chosen here")
def test_threads_that_share_a_core_let_each_other_run():
    compiled = pb.compile(FUNCTIONS["a scan"], threads=2)
    wanted = compiled(X)
    cores = {thread: os.sched_getaffinity(thread) for thread in map(int, os.listdir(TASKS))}
    core = {min(os.sched_getaffinity(0))}
    try:
        for thread in cores:
            os.sched_setaffinity(thread, core)
        for _ in range(50):
            for a, b in zip(compiled(X), wanted, strict=True):
                np.testing.assert_array_equal(a, b)
    finally:
        for thread, before in cores.items():
            os.sched_setaffinity(thread, before)


def test_an_index_out_of_range_is_told_whichever_thread_meets_it():
    compiled = pb.compile(lambda x, i: x[i] * 2, threads=4)
    for bad in (0, 50, 99):
        index = np.zeros(100, int)
        index[bad] = 130
        with pytest.raises(IndexError):
            compiled(X, index)
    np.testing.assert_array_equal(compiled(X, np.arange(100)), X[:100] * 2)


def test_several_callers_at_once_each_get_their_own_numbers():
    compiled = pb.compile(lambda x: np.sum(np.tanh(x) * 2, axis=1), threads=2)
    wanted = [compiled(X + k) for k in range(8)]
    wrong = []

    def call(k):
        for _ in range(100):
            if not np.array_equal(compiled(X + k), wanted[k]):
                wrong.append(k)

    callers = [threading.Thread(target=call, args=(k,)) for k in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong


def _call_in_child(compiled, queue):
    queue.put(compiled(X))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_process_has_threads_of_its_own():
    compiled = pb.compile(FUNCTIONS["softmax"], threads=2)
    wanted = compiled(X)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_call_in_child, args=(compiled, queue))
    child.start()
    np.testing.assert_array_equal(queue.get(timeout=60), wanted)
    child.join()
    np.testing.assert_array_equal(compiled(X), wanted)


def test_little_work_is_done_by_one_thread(monkeypatch):
    monkeypatch.undo()
    small = pb.compile(lambda x: x + 1, threads=2)
    small(X)
    assert "threads" not in small.report()


def test_the_number_of_threads_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    assert threads.default_threads() == 3
    monkeypatch.setenv("PULLBACK_THREADS", "2")
    assert threads.default_threads() == 2
    monkeypatch.setenv("PULLBACK_THREADS", "many")
    with pytest.raises(ConfigError, match=r"PULLBACK_THREADS: expected .* got 'many'"):
        threads.default_threads()
    for wrong in (0, -1, 1.5, True):
        with pytest.raises(ConfigError, match="threads: expected a whole number"):
            pb.compile(np.sin, threads=wrong)
