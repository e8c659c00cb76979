"""Indices out of range are errors, whatever reads or writes with them; huge shapes are counted."""

import numpy as np
import pytest

import pullback as pb

AROUND = np.arange(300.0).reshape(30, 10)
X = AROUND[10:17]  # what a stray read or write would reach is around it
N = len(X)


def written(x, i):
    y = x * 1
    y[i] = -1.0
    return y


def in_scan(x, i):
    return pb.scan(lambda total, k: (total + x[k], x[k]), x[0] * 0, i)


def in_while(x, i):
    return pb.while_loop(lambda c: c[0] < len(i), lambda c: (c[0] + 1, c[1] + x[i[c[0]]]),
                         (0, x[0] * 0))  # fmt: skip


READERS = {
    "read": lambda x, i: x[i],
    "read columns": lambda x, i: x.T[:, i],
    "read pairs": lambda x, i: x[i, i],
    "read and summed": lambda x, i: np.tanh(x[i]).sum(axis=0) @ x.T,
    "taken": lambda x, i: np.take(x, i, axis=0),
    "taken along": lambda x, i: np.take_along_axis(x, i[:, None], axis=0),
    "twice": lambda x, i: x[(i * 1)[np.arange(len(i))]],
    "written": written,
    "written columns": lambda x, i: written(x.T, (slice(None), i)),
    "added": lambda x, i: pb.grad(lambda x: np.sum(np.sin(x[i])))(x),
    "for each": lambda x, i: pb.vmap(lambda k: pb.numpy.take(x, k, axis=0))(i),
    "in a scan": in_scan,
    "in a loop": in_while,
    "in a branch": lambda x, i: pb.cond(x[0, 0] > 0, lambda: x[i], lambda: x[i * 0]),
    "before a library": lambda x, i: np.linalg.svd(x[i], compute_uv=False),
}


@pytest.mark.parametrize("name", READERS)
def test_an_index_out_of_range_is_an_error_and_touches_nothing(name):
    f, good, before = READERS[name], np.array([0, -1, N - 1, 3]), AROUND.copy()
    compiled = pb.compile(f)
    wanted = f(X, good)
    for wrong in (N, -N - 1, 200, -1000, 2**62, -(2**63), 2**63 - 1, 2**61, -(2**60)):
        bad = good.copy()
        bad[1] = wrong
        with pytest.raises(IndexError):
            f(X, bad)
        with pytest.raises(IndexError, match="out of range"):
            compiled(X, bad)
        for a, b in zip(pb.tree.leaves(compiled(X, good)), pb.tree.leaves(wanted), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)
    np.testing.assert_array_equal(AROUND, before)


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"])
def test_indices_of_every_dtype_are_checked(dtype):
    pick, limits = pb.compile(lambda x, i: x[i]), np.iinfo(dtype)
    good = np.array([0, N - 1, 2], dtype)
    np.testing.assert_array_equal(pick(X, good), X[good])
    for wrong in (N, limits.max, limits.min or N + 1, limits.max - N):
        with pytest.raises(IndexError):
            pick(X, np.array([1, wrong], dtype))


def test_shapes_without_elements_may_be_huge():
    x, y = np.zeros((2**40, 0)), np.zeros((0, 2**40))
    found = pb.compile(
        lambda x, y: (x * 2, x.T @ x, x[::-3], y @ y.T, y.sum(), x.T, x[2**39 :], x @ y[:, :0])
    )(x, y)
    third = -(-(2**40) // 3)
    shapes = [(2**40, 0), (0, 0), (third, 0), (0, 0), (), (0, 2**40), (2**39, 0), (2**40, 0)]
    assert [np.shape(a) for a in found] == shapes


def test_places_beyond_two_to_the_31_are_counted_right():
    def f(x):
        sparse = np.broadcast_to(x[:, None], (3, 2**33))[:, :: -(2**31)]
        return sparse, np.sum(sparse * sparse, axis=1), sparse[:, 1:].T @ x

    rows = np.repeat([[1.0], [2.0], [3.0]], 4, axis=1)
    wanted = rows, [4.0, 16.0, 36.0], [14.0, 14.0, 14.0]
    for a, b in zip(pb.compile(f)(np.array([1.0, 2.0, 3.0])), wanted, strict=True):
        np.testing.assert_array_equal(a, b)


def test_sums_over_more_than_two_to_the_31_elements():
    count = 2**31 + 7
    total = pb.compile(lambda x: np.sum(np.broadcast_to(x, (count,))))
    assert total(np.array([2])) == 2 * count
