"""Indexing by any index: values are NumPy's, gradients are scattered back by np.add.at."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import pullback as pb

shapes = hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4)


@st.composite
def advanced(draw):
    """A shape and an index of it that mixes integers, slices, None, arrays, lists and masks."""
    shape = draw(shapes)
    parts = []
    axis = 0
    stretch = draw(hnp.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=3))
    while axis < len(shape):
        n = shape[axis]
        kind = draw(st.sampled_from(["slice", "int", "array", "none", "list", "numpy int", "full"]))
        if kind == "none":
            if len(parts) > 6:
                break
            parts.append(None)
            continue
        if kind == "slice":
            parts.append(draw(st.slices(n)))
        elif kind == "int":
            parts.append(draw(st.integers(-n, n - 1)))
        elif kind == "numpy int":
            parts.append(np.int32(draw(st.integers(-n, n - 1))))
        elif kind == "array":
            size = int(np.prod(stretch))
            flat = draw(st.lists(st.integers(-n, n - 1), min_size=size, max_size=size))
            parts.append(np.array(flat, np.intp).reshape(stretch))
        elif kind == "list":
            parts.append([draw(st.integers(-n, n - 1))])
        else:
            parts.append(slice(None))
        axis += 1
        if draw(st.integers(0, 5)) == 0:
            parts.append(Ellipsis)
            break
    return shape, tuple(parts)


def check(shape, index):
    x = np.random.default_rng(0).normal(size=shape)
    expected = x[index]
    weights = np.random.default_rng(1).normal(size=expected.shape)

    def function(x):
        return np.sum(weights * x[index])

    scattered = np.zeros(shape)
    np.add.at(scattered, index, weights)
    out, pull = pb.vjp(lambda x: x[index], x)
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_allclose(pull(weights)[0], scattered, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(pb.grad(function)(x), scattered, rtol=1e-12, atol=1e-12)
    _, pushed = pb.jvp(lambda x: x[index], (x,), (x * 2,))
    np.testing.assert_array_equal(pushed, 2 * expected)
    graph = pb.trace(function, x)
    np.testing.assert_allclose(pb.grad(graph)(x), scattered, rtol=1e-12, atol=1e-12)
    assert pb.trace(lambda x: x[index], x).results[0].aval.shape == expected.shape


@given(advanced())
def test_any_index_reads_as_numpy_and_scatters_its_gradient(case):
    check(*case)


@given(shapes.flatmap(lambda s: st.tuples(st.just(s), hnp.basic_indices(s, allow_newaxis=True))))
def test_any_basic_index_reads_as_numpy_and_scatters_its_gradient(case):
    check(*case)


@given(shapes.flatmap(lambda s: st.tuples(st.just(s), hnp.arrays(bool, s))))
def test_any_mask_reads_as_numpy_and_scatters_its_gradient(case):
    check(*case)


@given(shapes.flatmap(lambda s: st.tuples(st.just(s), hnp.arrays(bool, s[0]))))
def test_a_mask_of_the_first_axis_reads_as_numpy(case):
    check(case[0], (case[1], ...))


def check_assignment(shape, index):
    rng = np.random.default_rng(2)
    x = rng.normal(size=shape)
    value = rng.normal(size=np.shape(x[index]))
    plain = x.copy()
    plain[index] = value
    weights = rng.normal(size=shape)

    def function(x, value):
        y = x * 1.0
        y[index] = value
        return y

    if not x.ndim:
        return
    out, pull = pb.vjp(function, x, value)
    np.testing.assert_array_equal(out, plain)
    dx, dvalue = pull(weights)
    kept = weights.copy()
    kept[index] = 0
    np.testing.assert_array_equal(dx, kept)
    # of several values written to one place the last one stays
    numbers = np.full(shape, -1)
    numbers[index] = np.arange(value.size).reshape(value.shape)
    stayed = numbers[index] == np.arange(value.size).reshape(value.shape)
    np.testing.assert_array_equal(dvalue, np.where(stayed, weights[index], 0))
    _, pushed = pb.jvp(function, (x, value), (x, value))
    np.testing.assert_array_equal(pushed, plain)
    np.testing.assert_array_equal(pb.trace(function, x, value)(x, value), plain)


@given(advanced())
def test_any_index_assigns_as_numpy_and_the_gradient_goes_to_what_stayed(case):
    check_assignment(*case)


@given(shapes.flatmap(lambda s: st.tuples(st.just(s), hnp.arrays(bool, s))))
def test_any_mask_assigns_as_numpy(case):
    check_assignment(*case)


@given(shapes.flatmap(lambda s: st.tuples(st.just(s), hnp.basic_indices(s))))
def test_any_view_that_is_assigned_to_writes_to_its_base(case):
    shape, index = case
    x = np.random.default_rng(3).normal(size=shape)
    weights = np.random.default_rng(4).normal(size=shape)
    if not np.shape(x[index]):
        return

    def function(x):
        y = x * 1.0
        view = y[index]
        view *= 3.0
        view[...] = view + 1.0
        return y

    plain = x.copy()
    plain[index] = plain[index] * 3.0 + 1.0
    scale = np.ones(shape)
    scale[index] = 3.0
    out, pull = pb.vjp(function, x)
    np.testing.assert_array_equal(out, plain)
    np.testing.assert_array_equal(pull(weights)[0], weights * scale)
    np.testing.assert_array_equal(pb.trace(function, x)(x), plain)


@pytest.mark.parametrize("index", [3, -4, (0, 2), [5], (slice(None), 7), (0, 0, 0)])
def test_an_index_out_of_range_is_numpys_error(index):
    with pytest.raises(IndexError):
        np.zeros((3, 2))[index]
    with pytest.raises(IndexError):
        pb.grad(lambda x: x[index].sum())(np.zeros((3, 2)))
    # the numbers in an index array are looked at when the graph runs
    with pytest.raises(IndexError):
        pb.trace(lambda x: x[index], np.zeros((3, 2)))(np.zeros((3, 2)))


@pytest.mark.parametrize(
    "mask", [np.ones(2, bool), np.ones((3, 3), bool), np.ones((3, 2, 1), bool)]
)
def test_a_mask_that_does_not_fit_is_numpys_error(mask):
    with pytest.raises(IndexError):
        np.zeros((3, 2))[mask]
    with pytest.raises(IndexError):
        pb.grad(lambda x: x[mask].sum())(np.zeros((3, 2)))


@given(advanced())
def test_the_shape_that_a_graph_finds_is_numpys(shape_and_index):
    shape, index = shape_and_index
    graph = pb.trace(lambda x: x[index], np.zeros(shape))
    assert graph.results[0].aval.shape == np.zeros(shape)[index].shape


def test_a_graph_finds_shapes_without_making_what_arrays_select():
    x, places = pb.Aval((2**20, 1, 2**20), "f8"), pb.Aval((2**20, 3), "i8")
    graph = pb.trace(lambda x, places: x[places, 0, 2:], x, places)
    assert graph.results[0].aval.shape == (2**20, 3, 2**20 - 2)
