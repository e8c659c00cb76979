"""Arrays of other kinds beside traced ones: read as NumPy does, or refused; never misread."""

from array import array
from collections import deque
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

import pullback as pb

X = np.array([1.0, 2.0, 3.0])
MASKED = np.ma.masked_array(X, mask=[0, 1, 0])
MATRIX = np.matrix(np.arange(9.0).reshape(3, 3))
SPARSE = scipy.sparse.csr_array(np.eye(3))
OBJECTS = np.array([1, 2, 3], dtype=object)


class Size(IntEnum):
    """A number that has a name."""

    LARGE = 2


@pytest.mark.parametrize("run", [pb.vjp, lambda f, x: pb.trace(f, x)(x)])
@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x * MASKED, "mask"),
        (lambda x: np.multiply(x, MASKED), "mask"),
        (lambda x: np.dot(x, MASKED), "mask"),
        (lambda x: x * MATRIX, "product of matrices"),
        (lambda x: MATRIX * x[:, None], "product of matrices"),
        (lambda x: np.concatenate([x[None], MATRIX]), "product of matrices"),
        (lambda x: x @ SPARSE, "toarray.*bincount"),
        (lambda x: x * SPARSE, "toarray.*bincount"),
        (lambda x: OBJECTS * x, r"astype\(float\)"),
        (lambda x: x @ OBJECTS, r"astype\(float\)"),
        (lambda x: x * None, "expected a number or an array, got NoneType"),
        (lambda x: np.add(x, {}), "expected a number or an array, got dict"),
        (lambda x: x * "2", "expected a number or an array, got str"),
    ],
)
def test_what_means_something_else_is_refused_with_what_to_write(function, message, run):
    with pytest.raises(pb.errors.DTypeError, match=message):
        run(function, X)


@pytest.mark.parametrize(
    "transform",
    [
        lambda x: pb.grad(np.sum)(x),
        lambda x: pb.jacobian(np.sin)(x),
        lambda x: pb.vmap(np.sin)(x),
        lambda x: pb.compile(np.sin)(x),
    ],
)
@pytest.mark.parametrize("x", [MASKED, MATRIX])
def test_arguments_are_refused_too(transform, x):
    with pytest.raises(pb.errors.DTypeError, match="expected a plain array"):
        transform(x)


@pytest.mark.parametrize(
    ("other", "meant"),
    [
        (pd.Series(X, index=[2, 1, 0]), X),  # by position, as beside an array
        (memoryview(X), X),
        (array("d", X), X),
        (range(3), np.arange(3)),
        (deque([1.0, 2.0, 3.0]), X),
        (jnp.array(X), X),
        (Fraction(1, 4), 0.25),
        (Decimal("0.25"), 0.25),
        (Size.LARGE, 2),
        (True, 1),
        ([1, 2, 3], X),
        (X.view(np.memmap), X),
        (X.astype(">f8"), X),
    ],
)
def test_what_stands_for_numbers_is_read(other, meant):
    def function(x):
        return np.sum(x * other)

    np.testing.assert_array_equal(pb.grad(function)(X), np.broadcast_to(meant, 3))
    np.testing.assert_array_equal(pb.compile(function)(X), np.sum(X * meant))


def test_a_large_sparse_matrix_is_written_as_sums():
    a = scipy.sparse.random_array((4, 3), density=0.5, rng=np.random.default_rng(0)).tocoo()

    def product(x):
        return np.bincount(a.row, a.data * x[a.col], minlength=a.shape[0])

    np.testing.assert_allclose(product(X), a @ X)
    np.testing.assert_allclose(pb.jacobian(product)(X), a.toarray())
