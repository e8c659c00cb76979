"""Padding in every mode of NumPy, and the derivatives of what is padded with."""

import numpy as np
import pytest
from against_numpy import same_value_and_derivatives

import pullback as pb
from pullback.core.errors import NotDifferentiableError

X = np.random.default_rng(10).normal(size=(3, 4))
WIDTHS = [1, (2, 0), ((1, 2), (0, 3)), ((5, 7), (4, 9)), {0: 2}, 0]
MODES = [
    ("constant", {}),
    ("constant", {"constant_values": 2.0}),
    ("constant", {"constant_values": ((1.0, 2.0), (3.0, 4.0))}),
    ("linear_ramp", {}),
    ("linear_ramp", {"end_values": ((1.0, 2.0), (3.0, 4.0))}),
    ("edge", {}),
    ("wrap", {}),
    ("reflect", {}),
    ("reflect", {"reflect_type": "odd"}),
    ("symmetric", {}),
    ("symmetric", {"reflect_type": "odd"}),
    ("maximum", {}),
    ("minimum", {"stat_length": 2}),
    ("mean", {"stat_length": ((1, 2), (3, 2))}),
    ("median", {}),
]


@pytest.mark.parametrize(("mode", "options"), MODES)
def test_every_mode_of_numpy(mode, options):
    for width in WIDTHS:
        same_value_and_derivatives(lambda x, w=width: np.pad(x, w, mode, **options), X)


def test_the_constant_may_be_traced():
    def padded(x, value):
        return np.pad(x * 1, (1, 2), constant_values=value)

    gradient = pb.grad(lambda x, v: padded(x, v).sum(), (0, 1))(X, 2.0)
    np.testing.assert_array_equal(gradient[0], np.ones_like(X))
    assert gradient[1] == 6 * 7 - X.size


def test_the_empty_mode_gives_zeros_and_single_precision_stays_single():
    single = X.astype(np.float32)
    for mode in ("empty", "linear_ramp", "mean", "edge"):
        out, pull = pb.vjp(lambda x, m=mode: np.pad(x, 1, m), single)
        assert out.dtype == np.float32
        assert pull(np.ones_like(out))[0].dtype == np.float32


def test_nan_stays_where_it_is():
    x = np.array([1.0, 2.0, np.nan, 4.0, 5.0])
    for mode, options in (("linear_ramp", {}), ("reflect", {"reflect_type": "odd"})):
        out, _ = pb.vjp(lambda x, m=mode, o=options: np.pad(x, 1, m, **o), x)
        np.testing.assert_allclose(out, np.pad(x, 1, mode, **options))


def test_wrong_arguments_are_named():
    for call, error, message in [
        (lambda x: np.pad(x, 1, "ramp"), ValueError, "mode: expected one of"),
        (lambda x: np.pad(x, 1, "edge", stat_length=2), ValueError, "does not take the options"),
        (lambda x: np.pad(x, -1), ValueError, "at least 0"),
        (lambda x: np.pad(x, 1, lambda v, *rest: None), NotDifferentiableError, "concatenate"),
    ]:
        with pytest.raises(error, match=message):
            pb.grad(lambda x, call=call: call(x).sum())(X)


def test_a_number_has_no_side_to_pad():
    np.testing.assert_array_equal(pb.vjp(lambda x: np.pad(x, 1), np.array(2.0))[0], 2.0)
