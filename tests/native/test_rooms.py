"""Memory of large results: what nobody holds is taken again, what somebody holds never is."""

import threading

import numpy as np
import pytest

import pullback as pb
from pullback.native import rooms

SHAPE = (500, 300)


@pytest.fixture(autouse=True)
def nothing_kept():
    rooms._kept.clear()
    yield
    rooms._kept.clear()


def address(x):
    return x.ctypes.data


def test_memory_that_is_left_is_taken_again():
    first = rooms.room(SHAPE, np.dtype(float))
    place = address(first)
    del first
    assert address(rooms.room(SHAPE, np.dtype(float))) == place


@pytest.mark.parametrize(
    "hold",
    [lambda x: x, lambda x: x[2:], lambda x: x.T, memoryview, lambda x: x.reshape(-1).view("u1")],
    ids=["array", "slice", "transpose", "memoryview", "view"],
)
def test_memory_that_somebody_holds_stays_theirs(hold):
    first = rooms.room(SHAPE, np.dtype(float))
    first[...] = 1
    held = hold(first)
    before = np.array(held)
    del first
    rooms.room(SHAPE, np.dtype(float))[...] = 2
    np.testing.assert_array_equal(np.asarray(held), before)


def test_results_are_apart_while_they_are_kept_and_change_hands_when_not():
    double = pb.compile(lambda x: 2 * x)
    results = [double(np.full(SHAPE, float(k))) for k in range(5)]
    assert [x[0, 0] for x in results] == [0, 2, 4, 6, 8]
    assert all((x == x[0, 0]).all() for x in results)
    places = {address(x) for x in results}
    assert len(places) == 5
    del results
    assert address(double(np.ones(SHAPE))) in places


def test_a_result_may_be_the_next_argument():
    grow = pb.compile(lambda x: x + 1)
    x = np.zeros(SHAPE)
    for _ in range(10):
        x = grow(x)
    assert (x == 10).all()


def test_no_more_is_kept_than_allowed(monkeypatch):
    size = rooms.room(SHAPE, np.dtype(float)).nbytes
    monkeypatch.setattr(rooms, "MOST", 3 * size)
    held = [rooms.room(SHAPE, np.dtype(float)) for _ in range(9)]
    assert len(rooms._kept) == 3
    rooms.room((4 * SHAPE[0], SHAPE[1]), np.dtype(float))  # larger than all that is kept
    assert sum(m.nbytes for m in rooms._kept.values()) <= 3 * size
    assert len({address(x) for x in held}) == 9


def test_small_results_own_their_memory():
    assert not rooms.keeps((100,), np.dtype(float))
    assert rooms.keeps(SHAPE, np.dtype(float))
    assert pb.compile(lambda x: 2 * x)(np.ones(3)).flags.owndata


def test_threads_never_get_the_same_room():
    wrong = []

    def work(k):
        for _ in range(200):
            mine = rooms.room(SHAPE, np.dtype(np.float32))
            mine[0] = k
            other = rooms.room(SHAPE, np.dtype(np.float32))
            other[0] = -1
            if (mine[0] != k).any():
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
