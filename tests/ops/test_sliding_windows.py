"""sliding_window_view of traced arrays: NumPy's values, and the gradients of what it copies."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import pullback as pb

X = np.random.default_rng(0).normal(size=(4, 5))


@pytest.mark.parametrize(
    ("window", "axis"), [(3, 1), (2, -2), ((2, 3), None), ((2, 2), (1, 1)), (1, 0), (0, 0)]
)
def test_windows_are_numpys(window, axis):
    def windows(x):
        return sliding_window_view(x, window, axis)

    expected = windows(X)
    np.testing.assert_array_equal(pb.vjp(windows, X)[0], expected)
    np.testing.assert_array_equal(pb.compile(windows)(X), expected)
    np.testing.assert_array_equal(pb.vmap(windows)(X[None])[0], expected)
    pb.check_grads(windows, (X,), order=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window_shape": 3}, "2 sizes"),
        ({"window_shape": 6, "axis": 1}, "0 to 5"),
        ({"window_shape": -1, "axis": 0}, "0 to 4"),
        ({"window_shape": 2, "axis": 0, "writeable": True}, "the array itself"),
    ],
)
def test_what_no_window_fits_is_refused(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        pb.vjp(lambda x: sliding_window_view(x, **options), X)
