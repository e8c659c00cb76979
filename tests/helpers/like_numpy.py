"""Whether a function means the same on tracers as on arrays."""

import numpy as np

import pullback as pb


def assert_same(found, expected):
    """Check that results have the types, shapes, dtypes and values of those expected."""
    assert type(found) is type(expected) or not isinstance(expected, tuple)
    for a, b in zip(pb.tree.leaves(found), pb.tree.leaves(expected), strict=True):
        assert np.shape(a) == np.shape(b)
        assert np.asarray(a).dtype == np.asarray(b).dtype
        tolerance = 2e-4 if np.asarray(b).dtype in (np.float32, np.complex64) else 1e-9
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def assert_as_numpy(function, *args):
    """Check the values that forward mode, reverse mode and tracing compute."""
    expected = function(*args)
    assert_same(pb.jvp(function, args, args)[0], expected)
    assert_same(pb.vjp(function, *args)[0], expected)
    assert_same(pb.trace(function, *args)(*args), expected)
