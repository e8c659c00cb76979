"""Colourings are valid, and few: every element of a matrix stands alone where it is read."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from pullback.transform.sparse.coloring import color_columns, color_star, count
from pullback.transform.sparse.compression import compress, compress_symmetric, seeds


def random_pattern(rows, columns, density, seed):
    rng = np.random.default_rng(seed)
    return sparse.csr_array(rng.random((rows, columns)) < density)


def symmetric(pattern):
    return sparse.csr_array(pattern + pattern.T)


def recovered(compression, matrix):
    """Return what reading the products of a dense matrix gives."""
    forward = seeds(compression.column_colors) @ matrix.T
    reverse = seeds(compression.row_colors) @ matrix
    return compression.expand(np.concatenate([forward.ravel(), reverse.ravel()])).toarray()


@settings(deadline=None, max_examples=80)
@given(st.integers(0, 12), st.integers(0, 12), st.floats(0, 1), st.integers(0, 10**6))
def test_no_row_has_a_colour_twice(rows, columns, density, seed):
    pattern = random_pattern(rows, columns, density, seed)
    colors = color_columns(pattern)
    for row in pattern.toarray():
        taken = colors[np.flatnonzero(row)]
        assert (taken >= 0).all()
        assert len(set(taken)) == len(taken)


@settings(deadline=None, max_examples=80)
@given(st.integers(0, 9), st.floats(0, 1), st.integers(0, 10**6))
def test_star_colouring_has_no_path_of_four_in_two_colours(size, density, seed):
    pattern = symmetric(random_pattern(size, size, density, seed))
    colors = color_star(pattern)
    edges = pattern.toarray() & ~np.eye(size, dtype=bool)
    for i, j in itertools.product(range(size), repeat=2):
        assert not edges[i, j] or colors[i] != colors[j]
    for path in itertools.permutations(range(size), 4):
        if all(edges[a, b] for a, b in itertools.pairwise(path)):
            assert len({int(colors[v]) for v in path}) > 2


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from(["auto", "forward", "reverse", "bidirectional"]),
    st.integers(0, 10),
    st.integers(0, 10),
    st.floats(0, 1),
    st.integers(0, 10**6),
)
def test_a_general_matrix_is_read_from_its_products(mode, rows, columns, density, seed):
    pattern = random_pattern(rows, columns, density, seed)
    matrix = np.random.default_rng(seed).normal(size=pattern.shape) * pattern.toarray()
    np.testing.assert_allclose(recovered(compress(pattern, mode), matrix), matrix, atol=1e-12)


@settings(deadline=None, max_examples=80)
@given(st.integers(0, 12), st.floats(0, 1), st.integers(0, 10**6))
def test_a_symmetric_matrix_is_read_from_its_products(size, density, seed):
    pattern = symmetric(random_pattern(size, size, density, seed))
    matrix = np.random.default_rng(seed).normal(size=pattern.shape)
    matrix = (matrix + matrix.T) * pattern.toarray()
    found = recovered(compress_symmetric(pattern), matrix)
    np.testing.assert_allclose(found, matrix, atol=1e-12)
    assert np.array_equal(found, found.T)


def banded(n, width):
    distance = np.abs(np.arange(n) - np.arange(n)[:, None])
    return sparse.csr_array(distance <= width)


@pytest.mark.parametrize("width", [0, 1, 3])
def test_a_banded_matrix_takes_as_many_products_as_its_rows_are_long(width):
    assert compress(banded(50, width), "auto").products == 2 * width + 1


def test_a_tridiagonal_hessian_takes_three_products_and_an_arrow_two():
    assert compress_symmetric(banded(100, 1)).products == 3
    arrow = np.eye(30, dtype=bool)
    arrow[0] = arrow[:, 0] = True
    assert compress_symmetric(sparse.csr_array(arrow)).products == 2


def test_star_colouring_takes_fewer_products_than_columns_do():
    distance = np.abs(np.arange(400) - np.arange(400)[:, None])
    pattern = sparse.csr_array((distance <= 1) | (distance == 20))
    assert count(color_star(pattern)) <= count(color_columns(pattern))


def test_few_dense_rows_are_taken_in_reverse_and_few_dense_columns_forward():
    arrow = np.eye(40, dtype=bool)
    arrow[7] = True
    rows = sparse.csr_array(arrow)
    assert compress(rows, "auto").products == 2
    arrow[:, 3] = True
    both = sparse.csr_array(arrow)
    assert compress(both, "forward").products == 40
    assert compress(both, "auto").products <= 4
    assert compress(sparse.csr_array(both.T), "auto").products <= 4


def test_one_dense_line_takes_one_product():
    row = sparse.csr_array(np.ones((1, 30), bool))
    assert compress(row, "auto").products == 1
    assert compress(sparse.csr_array(row.T), "auto").products == 1


def test_a_large_grid_is_coloured_in_seconds():
    n = 200
    line = sparse.csr_array(banded(n, 1), dtype=np.int64)
    unit = sparse.eye_array(n, dtype=np.int64)
    grid = sparse.csr_array(sparse.kron(line, unit) + sparse.kron(unit, line), dtype=bool)
    assert compress(grid, "auto").products <= 9
    assert compress_symmetric(grid).products <= 9
