"""The pattern covers every derivative that is not zero, and is not much more."""

import numpy as np
import pytest
from dense_matrix import dense_jacobian
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import basic_indices
from op_samples import DIFFERENTIABLE, closed, samples

import pullback as pb

X = np.random.default_rng(0).uniform(0.5, 1.5, 12)


def covers(function, *args, argnums=0):
    """Return the pattern, and whether it has every element that is not zero."""
    pattern = pb.jacobian_pattern(function, *args, argnums=argnums).toarray()
    matrix = dense_jacobian(function, *args, argnums=argnums)
    return pattern, not (matrix[~pattern] != 0).any()


def is_exact(function, *args):
    pattern, covered = covers(function, *args)
    return covered and np.array_equal(pattern, dense_jacobian(function, *args) != 0)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_the_pattern_of_every_operation_covers_its_derivative(name):
    for args, params in samples(name):
        function, floats = closed(name, args, params)
        results = pb.tree.leaves(function(*floats))
        if any(np.asarray(x).dtype.kind == "c" for x in (*floats, *results)):
            continue
        _, covered = covers(function, *floats, argnums=tuple(range(len(floats))))
        assert covered, (name, params)


A = np.array([[1.0, 0.0, 2.0], [0.0, 0.0, 3.0]])
MASK = np.arange(12) % 3 == 0

EXACT = {
    "elementwise": lambda x: np.sin(x) * x + np.exp(x[::-1]),
    "broadcasting": lambda x: x[:3, None] * x[3:7],
    "constant zeros in a product": lambda x: MASK * x,
    "zero numerator": lambda x: (x - x[0] + MASK) * 0.0 + np.pad(x[2:4], (0, 10)) / x,
    "stencil": lambda x: np.roll(x, 1) - 2 * x + np.roll(x, -1),
    "pad": lambda x: np.pad(x.reshape(3, 4), ((1, 0), (0, 2))) ** 2,
    "concatenate": lambda x: np.concatenate([x[3:], np.ones(2), x[:5] * x[5]]),
    "transpose and flip": lambda x: np.flip(x.reshape(3, 4).T, 0),
    "gather": lambda x: x[[3, 3, 1]] * x[[0, 1, 2]],
    "where": lambda x: np.where(MASK, x, x[::-1]),
    "sum": lambda x: x.reshape(3, 4).sum(axis=1) ** 2,
    "sum of a part": lambda x: np.sum(x[::3] ** 2),
    "prod": lambda x: x.reshape(3, 4).prod(axis=0),
    "cumsum": lambda x: np.cumsum(x.reshape(3, 4), axis=1),
    "cumprod": lambda x: np.cumprod(x[:5]),
    "sparse constant matrix": lambda x: A @ x.reshape(3, 4),
    "constant matrix from the right": lambda x: x.reshape(4, 3) @ A.T,
    "matrix times vector": lambda x: A @ x[:3],
    "vector times matrix": lambda x: x[:2] @ A,
    "product of two": lambda x: x[:6].reshape(2, 3) @ x[6:].reshape(3, 2),
    "batched product": lambda x: A @ x.reshape(2, 3, 2),
    "einsum with a diagonal": lambda x: np.einsum("ii->i", x[:9].reshape(3, 3)),
    "einsum trace": lambda x: np.einsum("ii,j->j", x[:9].reshape(3, 3), x[9:]),
    "einsum outer": lambda x: np.einsum("i,j->ij", x[:3], x[3:5]),
    "einsum of three": lambda x: np.einsum("ij,jk,k->i", A, x[:9].reshape(3, 3), x[9:]),
    "einsum with sparse factor": lambda x: np.einsum("ij,jk->ik", A, x.reshape(3, 4)),
    "assignment": lambda x: pb.numpy.zeros(4) + assigned(x),
    "stopped": lambda x: x * pb.stop_gradient(x[::-1]),
    "rounded": lambda x: x + np.floor(x[::-1]),
    "triangle": lambda x: np.tril(x[:9].reshape(3, 3)) ** 2,
    "tridiagonal": lambda x: np.diag(x[:4]) + np.diag(x[4:7], 1),
    "repeat and tile": lambda x: np.repeat(x[:2], 3) * np.tile(x[2:4], 3),
    "scalar": lambda x: x[3] * x[5],
    "two results": lambda x: (x[:2] * 2, {"a": x[5]}),
    "integer result": lambda x: (x[:2], np.argmax(x)),
    "constant": lambda x: np.ones(3),
    "nothing": lambda x: x[:0],
    "matrices of a batch": lambda x: np.linalg.inv(x[:8].reshape(2, 2, 2) + np.eye(2)) * x[8],
    "columns of a solution": lambda x: np.linalg.solve(np.eye(2) + 1, x.reshape(2, 6)),
    "convolution": lambda x: np.convolve(x[:4], x[4:6], "valid"),
    "empty product": lambda x: x * np.prod(x[:0]),
    "basis beside a matrix": lambda x: with_basis(x),
    "mean": lambda x: x[:3] - np.mean(x[:3]),
}


def with_basis(x):
    """The eigenvectors of a zero matrix are not zero."""
    matrices = np.pad(x[:1].reshape(1, 1, 1) * np.eye(2), ((0, 1), (0, 0), (0, 0)))
    return np.linalg.eigh(matrices).eigenvectors[1, 0, 0] * x[3:5]


def assigned(x):
    y = x[:4] * 1.0
    y[1:3] = x[7:9] * x[10]
    y[0] = 2.0
    return y


@pytest.mark.parametrize("name", EXACT)
def test_the_pattern_is_exact(name):
    assert is_exact(EXACT[name], X), name


SAFE = {
    "sort": lambda x: np.sort(x.reshape(3, 4), axis=1),
    "max": lambda x: np.max(x.reshape(3, 4), axis=1),
    "chosen by value": lambda x: np.where(x > 1, x, x[::-1]),
    "index by value": lambda x: x[np.argmax(x)],
    "assigned by value": lambda x: by_value(x),
    "median": lambda x: np.median(x.reshape(3, 4), axis=0),
    "interpolated": lambda x: np.interp(x[:4] * 3, np.arange(6.0), x[6:]),
}


def by_value(x):
    y = x * 1.0
    y[np.argsort(x)[:3]] = x[:3] * 5
    return y


@pytest.mark.parametrize("name", SAFE)
def test_the_pattern_covers_what_depends_on_values(name):
    for seed in range(5):
        x = np.random.default_rng(seed).uniform(0.5, 1.5, 12)
        assert covers(SAFE[name], x)[1]
    pattern = pb.jacobian_pattern(SAFE[name], X)
    other = pb.jacobian_pattern(SAFE[name], X[::-1].copy())
    assert (pattern != other).nnz == 0


def test_sorting_rows_stays_within_the_rows():
    pattern = pb.jacobian_pattern(SAFE["sort"], X).toarray()
    assert np.array_equal(pattern, np.kron(np.eye(3), np.ones((4, 4))) > 0)


@settings(deadline=None, max_examples=60)
@given(basic_indices((3, 4), allow_newaxis=True, allow_ellipsis=True), st.data())
def test_any_index_and_assignment_is_exact(index, data):
    x = X.reshape(3, 4)
    assert is_exact(lambda x: x[index] * 2, x)
    part = np.shape(x[index])
    source = st.integers(0, 11)
    order = data.draw(st.lists(source, min_size=int(np.prod(part)), max_size=int(np.prod(part))))

    def write(x):
        y = np.sin(x)
        y[index] = x.ravel()[order].reshape(part) * 3
        return y

    assert is_exact(write, x)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(-3, 2), min_size=1, max_size=6), st.booleans())
def test_any_index_array_is_exact(rows, masked):
    x = X.reshape(3, 4)
    if masked:
        mask = np.isin(np.arange(12).reshape(3, 4), rows)
        assert is_exact(lambda x: x[mask] ** 2, x)
    else:
        assert is_exact(lambda x: x[rows, 1:] ** 2, x)
        columns = np.array(rows) % 4
        assert is_exact(lambda x: x[np.array(rows)[:, None], columns] ** 2, x)


def test_several_arguments_and_pytrees_are_joined_in_order():
    def function(p, y):
        return p["a"] * y, p["b"] + 0 * y[0]

    p, y = {"a": X[:3], "b": X[3:5]}, X[5:8]
    pattern = pb.jacobian_pattern(function, p, y, argnums=(1, 0)).toarray()
    assert pattern.shape == (5, 8)
    assert np.array_equal(pattern[:3], np.hstack([np.eye(3), np.eye(3), np.zeros((3, 2))]) > 0)
    assert np.array_equal(pattern[3:], np.hstack([np.zeros((2, 6)), np.eye(2)]) > 0)


def test_integer_arguments_count_by_value():
    def function(x, edges):
        return x[edges[:, 0]] - x[edges[:, 1]]

    edges = np.array([[0, 1], [1, 2]])
    pattern = pb.jacobian_pattern(function, X[:3], edges).toarray()
    assert np.array_equal(pattern, [[True, True, False], [False, True, True]])


def test_large_sums_taken_apart_cost_no_dense_matrix():
    pattern = pb.jacobian_pattern(lambda x: np.sum((x - np.mean(x)) ** 2), np.zeros(20_000))
    assert pattern.nnz == 20_000
    part = pb.jacobian_pattern(lambda x: np.sum((x - np.mean(x[5:])) ** 2), np.zeros(20_000))
    assert part.nnz == 20_000


def test_the_hessian_pattern_is_exact_and_symmetric():
    def function(x):
        return np.sum(x[1:] * np.exp(x[:-1])) + x[0] * x[-1]

    pattern = pb.hessian_pattern(function, X)
    assert np.array_equal(pattern.toarray(), pb.hessian(function)(X) != 0)
    assert (pattern != pattern.T).nnz == 0


def test_linear_terms_leave_no_trace_in_the_hessian():
    assert pb.hessian_pattern(lambda x: np.sum(3 * x) + x[0] * x[1], X).nnz == 2


def test_a_product_of_numbers_has_a_pattern():
    def f(x):
        return np.einsum("...,...->...", np.sum(x), np.sum(x))

    np.testing.assert_array_equal(pb.sparse_hessian(f)(np.ones(2)).toarray(), np.full((2, 2), 2.0))
