"""A function of traced arrays against NumPy's own value, its derivatives against differences."""

import numpy as np

import pullback as pb


def same_value_and_derivatives(function, *args, graph=True):
    """Check value, dtype and derivatives of order 2 at `args`; the graph's value too, if any."""
    out, _ = pb.vjp(function, *args)
    expected = function(*args)
    compare(out, expected)
    pb.check_grads(function, args, order=2, rtol=2e-6, atol=2e-6)
    if graph:
        compare(pb.trace(function, *args)(*args), expected)


def compare(found, expected):
    """Check that arrays, or tuples of them, have one value and dtype."""
    pairs = (
        zip(found, expected, strict=True) if isinstance(expected, tuple) else [(found, expected)]
    )
    for a, b in pairs:
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)
        assert np.asarray(a).dtype == np.asarray(b).dtype
