"""Broadcasting of any shapes: values are NumPy's, and gradients have their argument's shape."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import pullback as pb
from pullback.ops.families import match

FUNCTIONS = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.true_divide,
    "arctan2": np.arctan2,
    "hypot": np.hypot,
    "logaddexp": np.logaddexp,
    "where": lambda x, y: np.where(np.arange(1) == 0, x, y) * y,
    "power": np.power,
}
pairs = hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=3, min_side=0)


@given(shapes=pairs, name=st.sampled_from(sorted(FUNCTIONS)), seed=st.integers(0, 2**16))
def test_gradients_have_the_shapes_of_the_arguments(shapes, name, seed):
    function, rng = FUNCTIONS[name], np.random.default_rng(seed)
    x, y = (rng.uniform(0.5, 2.0, s) for s in shapes.input_shapes)
    out, pull = pb.vjp(function, x, y)
    np.testing.assert_array_equal(out, function(x, y))
    assert np.shape(out) == shapes.result_shape
    cotangent = rng.normal(size=shapes.result_shape)
    found = pull(cotangent)
    wide = [np.broadcast_to(a, shapes.result_shape).copy() for a in (x, y)]
    unbroadcast = pb.vjp(function, *wide)[1](cotangent)
    for a, b, primal in zip(found, unbroadcast, (x, y), strict=True):
        assert np.shape(a) == primal.shape
        np.testing.assert_allclose(a, summed(b, primal.shape), rtol=1e-10, atol=1e-10)


@given(shapes=pairs, name=st.sampled_from(sorted(FUNCTIONS)), seed=st.integers(0, 2**16))
def test_tangents_have_the_shape_of_the_result(shapes, name, seed):
    function, rng = FUNCTIONS[name], np.random.default_rng(seed)
    primals = tuple(rng.uniform(0.5, 2.0, s) for s in shapes.input_shapes)
    tangents = tuple(rng.normal(size=s) for s in shapes.input_shapes)
    out, pushed = pb.jvp(function, primals, tangents)
    assert np.shape(pushed) == np.shape(out) == shapes.result_shape
    cotangent = rng.normal(size=shapes.result_shape)
    pulled = pb.vjp(function, *primals)[1](cotangent)
    left = np.sum(cotangent * pushed)
    right = sum(np.sum(c * t) for c, t in zip(pulled, tangents, strict=True))
    np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-9)


@given(shapes=pairs, seed=st.integers(0, 2**16))
def test_one_argument_may_move_while_the_other_is_constant(shapes, seed):
    rng = np.random.default_rng(seed)
    x, y = (rng.uniform(0.5, 2.0, s) for s in shapes.input_shapes)
    _, pushed = pb.jvp(lambda x: x + y, (x,), (np.ones_like(x),))
    np.testing.assert_array_equal(pushed, np.ones(shapes.result_shape))


@given(shapes=pairs)
def test_the_shape_rule_is_numpys(shapes):
    avals = [pb.Aval(s, np.float32) for s in shapes.input_shapes]
    graph = pb.trace(np.add, *avals)
    assert graph.results[0].aval.shape == shapes.result_shape


@given(shapes=pairs, seed=st.integers(0, 2**16))
def test_broadcast_to_is_the_transpose_of_the_sum(shapes, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shapes.input_shapes[0])
    cotangent = rng.normal(size=shapes.result_shape)
    out, pull = pb.vjp(lambda x: np.broadcast_to(x, shapes.result_shape), x)
    np.testing.assert_array_equal(out, np.broadcast_to(x, shapes.result_shape))
    np.testing.assert_allclose(pull(cotangent)[0], summed(cotangent, x.shape), atol=1e-12)


def summed(x, shape):
    """The sum of `x` over the axes that broadcasting from `shape` added or stretched."""
    x = np.asarray(x)
    x = x.sum(axis=tuple(range(x.ndim - len(shape))))
    for axis, n in enumerate(shape):
        if x.shape[axis] != n:
            x = x.sum(axis=axis, keepdims=True)
    return x


@pytest.mark.parametrize(
    ("cotangent", "primal", "expected"),
    [
        (np.ones((2, 3)), np.float64(0), np.float64(6)),
        (np.ones((2, 3)), np.zeros((1, 3)), np.full((1, 3), 2.0)),
        (np.ones((2, 3)), np.zeros(3, np.float32), np.full(3, 2.0, np.float32)),
        (np.ones(2) * (1 + 2j), np.zeros(2), np.ones(2)),
        (np.ones(2), np.zeros(2, complex), np.ones(2, complex)),
    ],
)
def test_a_cotangent_is_brought_to_the_shape_and_dtype_of_its_primal(cotangent, primal, expected):
    found = match(cotangent, primal)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype


def test_an_integer_argument_takes_no_cotangent():
    assert match(np.ones(2), np.zeros(2, int)) is None


def test_shapes_that_do_not_broadcast_are_named():
    with pytest.raises(pb.errors.ShapeError, match=r"\(3,\) and \(2,\) do not broadcast"):
        pb.trace(np.add, np.ones(3), np.ones(2))
    with pytest.raises(pb.errors.ShapeError, match=r"shape \(3,\) does not broadcast to \(2,\)"):
        pb.grad(lambda x: np.broadcast_to(x, 2).sum())(np.ones(3))
