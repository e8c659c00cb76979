"""Compiled functions in threads and processes, interrupted, within each other, and after errors."""

import multiprocessing
import os
import signal
import sys
import threading
import time

import numpy as np
import pytest
from processes import interruptible, wait_for_text

import pullback as pb
from pullback.native import team

RNG = np.random.default_rng(0)
THREADS = 8
W = RNG.normal(size=(30, 30))


@pytest.fixture(params=[{}, {"threads": 2}], ids=["one thread", "two threads"])
def options(request, monkeypatch):
    """What is handed to pb.compile; with two threads, all steps that can be are shared."""
    monkeypatch.setattr(team, "SHARED_EFFORT", 0)
    monkeypatch.setattr(team, "LEAST_EFFORT", 0)
    return request.param


def energy(w, x):
    """A function with temporaries, reductions, products and an operation that NumPy runs."""
    return np.sum(np.tanh(np.exp(-x * x) @ w) ** 2) + np.linalg.det(w[:3, :3] * x[0, 0])


def in_threads(work, count=THREADS):
    """Run work(k) in threads that start at once; the exceptions that they end with."""
    gate, errors = threading.Barrier(count), []

    def run(k):
        try:
            gate.wait()
            work(k)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


@pytest.mark.parametrize("warm", [True, False], ids=["compiled before", "first compiled at once"])
def test_threads_do_not_share_memory(options, warm):
    compiled = pb.compile(pb.value_and_grad(energy), **options)
    inputs = [RNG.normal(size=(40, 30)) for _ in range(THREADS)]
    wanted = [pb.value_and_grad(energy)(W, x) for x in inputs]
    if warm:
        compiled(W, inputs[0])

    def work(k):
        for _ in range(30):
            value, gradient = compiled(W, inputs[k])
            np.testing.assert_allclose(value, wanted[k][0], rtol=1e-9)
            np.testing.assert_allclose(gradient, wanted[k][1], rtol=1e-7, atol=1e-12)

    assert in_threads(work) == []


def test_threads_that_call_with_signatures_of_their_own(options):
    compiled = pb.compile(lambda x, y: np.cumsum(x @ x.T, axis=0) * y, **options)

    def work(k):
        for n in range(1, 4):
            x = np.arange(n * (k + 1), dtype=float).reshape(n, k + 1)
            for y in (2.0, np.full(n, 2.0)):
                np.testing.assert_allclose(compiled(x, y), np.cumsum(x @ x.T, axis=0) * 2)

    assert in_threads(work) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:.*fork")
def test_a_child_process_goes_on_calling_and_compiling(options):
    compiled, x = pb.compile(energy, **options), RNG.normal(size=(40, 30))
    wanted = compiled(W, x)
    child = os.fork()
    if not child:
        signal.alarm(60)  # ends a child that waits for ever
        same = compiled(W, x) == wanted
        fresh = np.allclose(pb.compile(energy, **options)(2 * W, x), energy(2 * W, x))
        os._exit(0 if same and fresh else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert compiled(W, x) == wanted


@pb.compile
def doubled(x):
    """A compiled function that other processes find by its name."""
    return 2 * x


def test_other_processes_take_compiled_functions_by_pickle():
    doubled(np.ones(3))
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = pool.map(doubled, [np.full(3, float(k)) for k in range(4)])
    np.testing.assert_array_equal(found, [[2.0 * k] * 3 for k in range(4)])


def test_more_threads_than_processors_come_to_an_end(options):
    compiled = pb.compile(lambda x: np.tanh(x @ x).sum(), **options)
    x = RNG.normal(size=(150, 150))
    wanted = np.tanh(x @ x).sum()
    done = threading.Event()

    def burn():
        while not done.is_set():
            np.sort(x, axis=None)

    others = [threading.Thread(target=burn) for _ in range(2 * (os.cpu_count() or 1))]
    for other in others:
        other.start()

    def work(k):
        for _ in range(3):
            np.testing.assert_allclose(compiled(x), wanted, rtol=1e-9)

    try:
        assert in_threads(work) == []
    finally:
        done.set()
        for other in others:
            other.join()


INTERRUPTED = """
import sys, time
import numpy as np, pullback as pb

def long(x):
    for _ in range(40):
        x = np.tanh(np.sort(x) * 1.5 + np.exp(-x))
    return x

compiled, x = pb.compile(long), np.linspace(-1, 1, 2_000_000)
wanted = compiled(x[:1000])
compiled.function = None
big = pb.compile(long)
try:
    big(x[:7])
    open(sys.argv[1], "w").write("runs")
    while True:
        big(x)
except KeyboardInterrupt:
    assert np.array_equal(compiled(x[:1000]), wanted)
    print("interrupted, and goes on")
"""


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_ctrl_c_arrives_and_the_process_goes_on(tmp_path):
    script, runs = tmp_path / "long.py", tmp_path / "runs"
    script.write_text(INTERRUPTED)
    with interruptible([sys.executable, str(script), str(runs)]) as process:
        wait_for_text(runs, process)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert said == "interrupted, and goes on\n"


def test_a_compiled_function_may_be_called_within_another_and_within_itself(options):
    inner = pb.compile(lambda x: np.exp(x) @ np.ones((3, 3)), **options)

    @pb.compile(**options)
    def outer(x, depth):
        def call(x, depth):
            return inner(x) if depth == 0 else outer(x, depth - 1)

        y = pb.pure_callback(call, x, x + 1, depth)
        return np.sum(x @ x.T) + y

    def wanted(x, depth):
        y = np.exp(x + 1) @ np.ones((3, 3)) if depth == 0 else wanted(x + 1, depth - 1)
        return np.sum(x @ x.T) + y

    x = RNG.normal(size=(3, 3))
    for depth in (0, 3):
        depth = np.int64(depth)
        np.testing.assert_allclose(outer(x, depth), wanted(x, depth), rtol=1e-12)


def test_after_an_error_a_function_may_be_called_again(options):
    compiled = pb.compile(lambda x, i: np.linalg.inv(np.tanh(x) * 2) @ x[i], **options)
    good = np.eye(4) + 0.1 * RNG.normal(size=(4, 4))
    i = np.arange(4)
    wanted = np.linalg.inv(np.tanh(good) * 2) @ good
    for bad in ((np.zeros((4, 4)), i), (good, i + 1), (np.zeros((4, 4)), i + 1)):
        for _ in range(3):
            with pytest.raises((np.linalg.LinAlgError, IndexError)):
                compiled(*bad)
            np.testing.assert_allclose(compiled(good, i), wanted, rtol=1e-9)


def test_an_index_out_of_range_is_told_before_what_follows_from_it(options):
    compiled = pb.compile(lambda x, i: np.linalg.inv(np.outer(x[i], x[i])), **options)
    with pytest.raises(IndexError, match="out of range"):
        compiled(np.ones(3), np.array([7]) + np.zeros(2, int))
