"""Tracing pauses the garbage collector, and whatever happens it runs again afterwards."""

import contextlib
import gc
import os
import threading

import pytest

import pullback as pb
from pullback.core.collector import uncollected


@pytest.fixture(autouse=True)
def running():
    assert gc.isenabled(), "an earlier test has left the collector off"
    yield
    gc.enable()


def test_it_is_off_in_a_pause_and_in_one_inside_of_it():
    with uncollected():
        with uncollected():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_an_error_ends_the_pause():
    with contextlib.suppress(ZeroDivisionError):
        pb.trace(lambda x: x + 1 / 0, 1.0)
    assert gc.isenabled()


def test_who_has_switched_it_off_finds_it_off():
    gc.disable()
    with uncollected():
        pass
    assert not gc.isenabled()


@pytest.fixture
def other():
    """A thread that is in a pause until it is told to go on."""
    inside, go_on = threading.Event(), threading.Event()

    def pause():
        with uncollected():
            inside.set()
            go_on.wait(60)

    thread = threading.Thread(target=pause)

    def start():
        thread.start()
        assert inside.wait(60)

    def end():
        go_on.set()
        thread.join()

    yield start, end
    end()


def test_it_runs_again_when_the_last_of_several_threads_is_done(other):
    start, end = other
    with uncollected():
        start()
    assert not gc.isenabled()
    end()
    assert gc.isenabled()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_it_runs_in_a_child_made_during_the_pause_of_another_thread(other):
    start, _ = other
    start()
    child = os.fork()
    if not child:
        in_own = True
        with uncollected():
            in_own = not gc.isenabled()
        os._exit(0 if gc.isenabled() and in_own else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert not gc.isenabled()
