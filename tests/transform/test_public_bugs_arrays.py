"""Shapes, indices, views and dtypes: array code that other libraries are reported to get wrong."""

import numpy as np
import pytest
from gradient_cases import Case, array, check, quiet

import pullback as pb

M = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
ONES = np.ones((2, 3))


def assigned(write, base=lambda x: x * 1.0):
    """A function that copies its argument, lets `write` change the copy, and returns it."""

    def function(x, *args):
        y = base(x)
        write(y, *args)
        return y

    return function


def set_row(y, v):
    y[1] = v


def set_mask(y, v):
    y[np.array([True, False, True])] = v


def double_view(y):
    top = y[:2]
    top *= 2.0


def swap(y):
    y[0], y[1] = y[1] * 1.0, y[0] * 1.0


def transpose_view(y):
    y.T[0] = 0.0


def reshape_view(y):
    y.reshape(-1)[::2] *= 3.0


def accumulate(y, v):
    y[1:] += v * y[:-1]


ARRAYS = {
    # broadcasting
    "where of a scalar and a row": Case(
        lambda x, y: np.where(np.array([True, False, True]), x, y), [2.0, np.ones(3)],
        [2, [0, 1, 0]],
    ),
    "where that broadcasts both": Case(
        lambda x, y: np.where(np.eye(2, dtype=bool), x, y), [np.ones((2, 1)), np.ones(2)],
        [[[1], [1]], [1, 1]],
    ),
    "outer of vectors": Case(np.outer, [array(1, 2), array(3, 4, 5)], [[12, 12], [3, 3, 3]]),
    "outer of matrices": Case(np.outer, [np.ones((2, 1)), np.ones((1, 2))], [[[2], [2]], [[2, 2]]]),
    "add.outer": Case(np.add.outer, [np.ones(2), np.ones(3)], [[3, 3], [2, 2, 2]]),
    "scalar minus matrix": Case(lambda x, y: x - y, [1.0, ONES], [6, -ONES]),
    "row times column": Case(
        lambda x, y: x * y, [array(1, 2, 3), np.ones((2, 1))], [[2, 2, 2], [[6], [6]]]
    ),
    "0-d array times vector": Case(lambda x, y: x * y, [np.array(2.0), np.ones(3)],
                                   [3, [2, 2, 2]]),
    "broadcast_to": Case(lambda x: np.broadcast_to(x, (4, 3)), [np.ones(3)], [[4, 4, 4]]),
    "concatenate of a broadcast scalar": Case(
        lambda x, y: np.concatenate([np.broadcast_to(x, 2), y]), [1.0, np.ones(3)], [2, np.ones(3)]
    ),
    # repeating and rearranging
    "repeat on a negative axis": Case(
        lambda x: np.repeat(x, [1, 2], axis=-2)[..., 0], [np.ones((2, 2))], [[[1, 0], [2, 0]]]
    ),
    "repeat by a number": Case(lambda x: np.repeat(x, 3, axis=-1), [ONES], [3 * ONES]),
    "repeat of a flattened matrix": Case(lambda x: np.repeat(x, 2), [ONES], [2 * ONES]),
    "repeat 0 times": Case(lambda x: np.repeat(x, [0, 2, 1]), [np.ones(3)], [[0, 2, 1]]),
    "tile with more axes": Case(lambda x: np.tile(x, (2, 1, 2)), [ONES], [4 * ONES]),
    "tile by a number": Case(lambda x: np.tile(x, 3), [np.ones(2)], [[3, 3]]),
    "roll": Case(lambda x: np.roll(x, 1) * np.arange(3), [np.ones(3)], [[1, 2, 0]]),
    "roll on two axes": Case(
        lambda x: np.roll(x, (1, -1), axis=(0, 1))[0], [ONES], [[[0, 0, 0], [1, 1, 1]]]
    ),
    "flip": Case(lambda x: np.flip(x) * np.arange(3), [np.ones(3)], [[2, 1, 0]]),
    "rot90": Case(lambda x: np.rot90(x)[0], [ONES], [[[0, 0, 1], [0, 0, 1]]]),
    "moveaxis": Case(
        lambda x: np.moveaxis(x, 0, -1)[0], [np.ones((2, 2, 2))],
        [[[[1, 1], [0, 0]], [[1, 1], [0, 0]]]],
    ),
    "pad with a constant": Case(lambda x: np.pad(x, 1), [ONES], [ONES]),
    "pad by the edge": Case(lambda x: np.pad(x, (2, 1), mode="edge"), [np.ones(3)], [[3, 1, 2]]),
    "pad by reflection": Case(lambda x: np.pad(x, 1, mode="reflect"), [np.ones(3)], [[1, 3, 1]]),
    "pad by wrapping": Case(lambda x: np.pad(x, (1, 0), mode="wrap"), [np.ones(3)], [[1, 1, 2]]),
    "reshape with -1": Case(lambda x: x.reshape(-1)[4], [M], [[[0, 0, 0], [0, 1, 0]]]),
    "ravel in Fortran's order": Case(
        lambda x: np.ravel(x, order="F")[1], [M], [[[0, 0, 0], [1, 0, 0]]]
    ),
    "diagonal": Case(lambda x: np.diagonal(x, 1), [M], [[[0, 1, 0], [0, 0, 1]]]),
    "diag of a vector": Case(lambda x: np.diag(x, -1) @ np.ones(3), [array(1, 2)], [[1, 1]]),
    "trace with offset": Case(lambda x: np.trace(x, offset=1), [M], [[[0, 1, 0], [0, 0, 1]]]),
    "tril": Case(lambda x: np.tril(x), [M], [[[1, 0, 0], [1, 1, 0]]]),
    "triu": Case(lambda x: np.triu(x, 1), [M], [[[0, 1, 1], [0, 0, 1]]]),
    "stack on the last axis": Case(
        lambda x, y: np.stack([x, y], axis=-1)[0], [array(1, 2), array(3, 4)], [[1, 0], [1, 0]]
    ),
    "vstack of vectors": Case(
        lambda x, y: np.vstack([x, y])[1], [array(1, 2), array(3, 4)], [[0, 0], [1, 1]]
    ),
    "the same array joined to itself": Case(
        lambda x: np.concatenate([x, x, 2 * x]), [array(1, 2)], [[4, 4]]
    ),
    "split": Case(lambda x: np.split(x, [1])[1], [array(1, 2, 3)], [[0, 1, 1]]),
    # indices
    "the same index twice": Case(
        lambda x: x[np.array([0, 0, 2])], [array(1, 2, 3)], [[2, 0, 1]]
    ),
    "negative indices": Case(lambda x: x[np.array([-1, 0])] * array(2, 3), [array(1, 2, 3)],
                             [[3, 0, 2]]),
    "negative steps": Case(lambda x: x[::-2] * array(1, 10), [array(1, 2, 3)], [[10, 0, 1]]),
    "two index arrays": Case(
        lambda x: x[np.array([0, 1]), np.array([2, 2])], [M], [[[0, 0, 1], [0, 0, 1]]]
    ),
    "index arrays around a slice": Case(
        lambda x: x[np.array([0]), :, np.array([1])], [np.ones((2, 2, 2))],
        [[[[0, 1], [0, 1]], [[0, 0], [0, 0]]]],
    ),
    "None and Ellipsis": Case(lambda x: x[..., None, 0], [M], [[[1, 0, 0], [1, 0, 0]]]),
    "boolean mask": Case(lambda x: x[np.array([True, False, True])], [array(1, 2, 3)], [[1, 0, 1]]),
    "mask from the values": Case(lambda x: x[x > 1.5], [array(1, 2, 3)], [[0, 1, 1]], traced=False),
    "take on an axis": Case(
        lambda x: np.take(x, [0, 0], axis=1), [M], [[[2, 0, 0], [2, 0, 0]]]
    ),
    "take_along_axis": Case(
        lambda x: np.take_along_axis(x, np.array([[0, 0], [1, 2]]), axis=1), [M],
        [[[2, 0, 0], [0, 1, 1]]],
    ),
    "argmax as an index": Case(lambda x: x[np.argmax(x)], [array(1, 3, 2)], [[0, 1, 0]]),
    "no elements chosen": Case(lambda x: x[np.array([], dtype=int)], [array(1, 2)], [[0, 0]]),
    # in place
    "row assigned": Case(assigned(set_row), [M, array(1, 1, 1)], [[[1, 1, 1], [0, 0, 0]],
                                                                  [1, 1, 1]]),
    "scalar assigned to a row": Case(assigned(set_row), [M, 7.0], [[[1, 1, 1], [0, 0, 0]], 3]),
    "masked assignment": Case(assigned(set_mask), [array(1, 2, 3), 5.0], [[0, 1, 0], 2]),
    "in place through a view": Case(assigned(double_view), [array(1, 2, 3)], [[2, 2, 1]]),
    "in place through a transpose": Case(assigned(transpose_view), [M], [[[0, 1, 1], [0, 1, 1]]]),
    "in place through a reshape": Case(assigned(reshape_view), [M], [[[3, 1, 3], [1, 3, 1]]]),
    "swap of rows": Case(
        lambda x: assigned(swap)(x) * np.array([[1.0], [10.0]]), [np.ones((2, 2))],
        [[[10, 10], [1, 1]]],
    ),
    "augmented assignment of shifted slices": Case(
        assigned(accumulate), [array(1, 2, 3), 2.0], [[3, 3, 1], 3]
    ),
    "the argument itself is not changed": Case(
        lambda x: x + assigned(double_view)(x), [array(1, 2, 3)], [[3, 3, 2]]
    ),
    # products
    "dot of 0-d arrays": Case(np.dot, [2.0, 3.0], [3, 2]),
    "dot of a scalar and a matrix": Case(np.dot, [2.0, M], [21, 2 * ONES]),
    "matmul of vectors": Case(np.matmul, [array(1, 2), array(3, 4)], [[3, 4], [1, 2]]),
    "vector @ matrix": Case(np.matmul, [array(1, 2), M], [[6, 15], [[1, 1, 1], [2, 2, 2]]]),
    "batch of matrices @ vector": Case(
        np.matmul, [np.ones((2, 2, 3)), array(1, 2, 3)],
        [np.broadcast_to(array(1, 2, 3), (2, 2, 3)), [4, 4, 4]],
    ),
    "matmul with a broadcast batch": Case(
        np.matmul, [np.ones((1, 2, 2)), np.ones((3, 2, 1))],
        [np.full((1, 2, 2), 3), np.full((3, 2, 1), 2)],
    ),
    "inner of matrices": Case(np.inner, [M, M], [[[5, 7, 9]] * 2, [[5, 7, 9]] * 2]),
    "tensordot over two axes": Case(
        lambda x, y: np.tensordot(x, y, axes=([0, 1], [1, 0])), [M, ONES.T], [ONES, M.T]
    ),
    "kron": Case(np.kron, [array(1, 2), array(3, 4, 5)], [[12, 12], [3, 3, 3]]),
    "einsum that sums a diagonal": Case(
        lambda x: np.einsum("ii->", x), [np.ones((3, 3))], [np.eye(3)]
    ),
    "einsum that takes a diagonal": Case(
        lambda x: np.einsum("ii->i", x) * array(1, 2), [np.ones((2, 2))], [np.diag([1.0, 2.0])]
    ),
    "einsum with an index on one side only": Case(
        lambda x, y: np.einsum("ij,k->k", x, y), [M, array(1, 2)], [3 * ONES, [21, 21]]
    ),
    "einsum of an array with itself": Case(
        lambda x: np.einsum("i,i->", x, x), [array(1, 2)], [[2, 4]]
    ),
    "einsum with an ellipsis": Case(
        lambda x, y: np.einsum("...i,i->...", x, y), [M, array(1, 2, 3)],
        [[[1, 2, 3]] * 2, [5, 7, 9]],
    ),
    "cross product": Case(
        lambda x, y: np.cross(x, y)[2], [array(1, 2, 3), array(4, 5, 6)], [[5, -4, 0], [-2, 1, 0]]
    ),
    # 0-d and empty
    "0-d array": Case(lambda x: x * x, [np.array(3.0)], [6]),
    "sum of no elements": Case(np.sum, [np.zeros((0, 3))], [np.zeros((0, 3))]),
    "product of no elements": Case(np.prod, [np.zeros(0)], [np.zeros(0)]),
    "empty slice": Case(lambda x: x[3:], [array(1, 2, 3)], [[0, 0, 0]]),
    "empty concatenation": Case(
        lambda x, y: np.concatenate([x, y]), [np.zeros(0), array(1)], [np.zeros(0), [1]]
    ),
    "matmul over no elements": Case(
        np.matmul, [np.zeros((2, 0)), np.zeros((0, 3))], [np.zeros((2, 0)), np.zeros((0, 3))]
    ),
    "mean over an axis of length 1": Case(lambda x: np.mean(x, axis=0), [array(3)], [[1]]),
    "squeeze": Case(lambda x: np.squeeze(x) ** 2, [np.full((1, 1), 3.0)], [[[6]]]),
    # dtypes
    "astype to int is constant": Case(
        lambda x: x.astype(int) * x, [array(1.7, -2.5)], [[1, -2]]
    ),
    "integers as weights": Case(lambda x: x * np.arange(3), [array(1, 1, 1)], [[0, 1, 2]]),
    "a boolean as a factor": Case(lambda x: x * (x > 1), [array(1, 2)], [[0, 1]]),
    "mean of squares of integers": Case(
        lambda x: np.mean((np.array([1, 2]) - x) ** 2), [0.0], [-3.0]
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ARRAYS)
def test_the_gradient_of_array_code_is_right(name):
    check(ARRAYS[name])


KEEPS_FLOAT32 = {
    "Python scalars": lambda x: (2 * x + 1.5) / 3.0,
    "power": lambda x: x**2 + x**0.5 + 2.0**x,
    "mean and var": lambda x: np.mean(x) + np.var(x, ddof=1) + np.std(x),
    "norm": lambda x: np.linalg.norm(x),
    "where": lambda x: np.where(x > 1, x, 0.0),
    "masked root": lambda x: np.where(x > 1, np.sqrt(x - 1), 0.0),
    "clip": lambda x: np.clip(x, 0.5, 1.5),
    "sum of integers times": lambda x: x * np.float32(3) + np.sum(x),
    "sort": lambda x: np.sort(x)[::-1],
    "index": lambda x: x[np.array([0, 0])],
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "cumprod": lambda x: np.cumprod(x),
}


@pytest.mark.parametrize("name", KEEPS_FLOAT32)
def test_single_precision_stays(name):
    x = np.array([0.75, 2.0], np.float32)
    for gradient in (
        pb.grad(lambda x: np.sum(KEEPS_FLOAT32[name](x))),
        pb.jacobian(KEEPS_FLOAT32[name], mode="forward"),
    ):
        assert quiet(gradient, x).dtype == np.float32


@pytest.mark.parametrize("x", [3, np.arange(3), True, np.array([True, False])])
def test_integers_and_booleans_are_refused(x):
    with pytest.raises(pb.errors.DTypeError, match="no derivative"):
        pb.grad(lambda x: np.sum(x * 1.0))(x)
