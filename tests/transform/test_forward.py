"""jvp: values and tangents, structures, errors."""

import numpy as np
import pytest

import pullback as pb


def test_jvp_of_several_arguments():
    out, tangent = pb.jvp(lambda x, y: x * y, (2.0, 3.0), (1.0, 10.0))
    assert (out, tangent) == (6.0, 23.0)


def test_jvp_of_pytrees():
    def f(p):
        return {"s": p["a"] + p["b"][0], "constant": 1.0}

    out, tangent = pb.jvp(f, ({"a": 1.0, "b": [2.0]},), ({"a": 1.0, "b": [5.0]},))
    assert out["s"] == 3.0
    assert tangent["s"] == 6.0
    assert tangent["constant"] == 0.0


def test_jvp_keeps_float32():
    x = np.ones(3, np.float32)
    out, tangent = pb.jvp(lambda x: np.exp(x) * 2.0 + 1.0, (x,), (x,))
    assert out.dtype == tangent.dtype == np.float32


def test_jvp_of_a_view_that_was_written():
    def f(x):
        y = x * 1.0
        y[1:][0] = y[0] * 3.0
        return y

    _, tangent = pb.jvp(f, (np.array([1.0, 2.0]),), (np.array([1.0, 0.0]),))
    np.testing.assert_array_equal(tangent, [1.0, 3.0])


@pytest.mark.parametrize(
    ("primals", "tangents", "error", "message"),
    [
        (1.0, 1.0, pb.errors.TreeError, r"pb\.jvp\(f, \(x,\), \(v,\)\)"),
        ((1.0,), (1.0, 2.0), pb.errors.TreeError, "tangents"),
        ((np.ones(2),), (np.ones(3),), pb.errors.ShapeError, "tangents"),
        ((1,), (1.0,), pb.errors.DTypeError, "int"),
    ],
)
def test_bad_input_is_refused(primals, tangents, error, message):
    with pytest.raises(error, match=message):
        pb.jvp(lambda x: x, primals, tangents)


def test_the_tangent_of_the_result_is_an_array_of_its_own():
    x, v = np.ones(2), np.ones(2)
    _, (first, second) = pb.jvp(lambda x: (x, x), (x,), (v,))
    assert first is not v
    assert first is not second
