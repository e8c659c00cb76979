"""The product of the chain rule: a zero cotangent annihilates, and what is safe stays plain."""

import numpy as np
import pytest
import scipy.special as sp

import pullback as pb
from pullback.core.op import OPS
from pullback.ops.families import chain, chain_product

INF, NAN = np.inf, np.nan


def names(graph):
    return [node.op.name for node in graph.nodes if node.op]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.complex128])
def test_zero_times_anything_is_zero_and_the_dtype_stays(dtype):
    cotangent = np.array([0, -0.0, 1, 2], dtype)
    found = chain(cotangent, np.array([INF, NAN, NAN, 3], dtype))
    np.testing.assert_array_equal(found[[0, 1, 3]], [0, 0, 6])
    assert np.isnan(found[2])
    assert found.dtype == dtype


def test_the_slope_may_broadcast_and_be_a_number():
    np.testing.assert_array_equal(chain(np.array([[0.0, 1.0]]), np.array([[INF], [2.0]])),
                                  [[0, INF], [0, 2]])  # fmt: skip
    np.testing.assert_array_equal(chain(np.array([0.0, 1.0]), INF), [0, INF])
    assert chain(np.float64(0.0), np.float64(NAN)) == 0
    assert chain(0.0, INF) == 0


def test_large_finite_slopes_are_not_taken_for_infinite():
    huge = np.array([1e300, -1e300])
    np.testing.assert_array_equal(chain(np.array([2.0, 0.0]), huge), [2e300, 0])


def test_an_infinite_cotangent_does_not_annihilate():
    with np.errstate(invalid="ignore"):
        assert np.isnan(chain(np.array([INF]), np.array([0.0])))[0]


def test_it_says_nothing_of_invalid_values_behind_a_mask():
    with np.errstate(all="raise"):
        chain(np.array([0.0, 1.0]), np.array([INF, 1.0]))


def test_all_derivatives_are_right_where_factors_pass_through_zero():
    for x, y in ((0.0, 2.0), (0.0, 0.0), (1.0, 0.0), (-1.5, 2.0)):
        pb.check_grads(chain_product, (x, y), order=3)
    mixed = pb.hessian(lambda p: chain_product(p[0], p[1]))(np.zeros(2))
    np.testing.assert_array_equal(mixed, [[0, 1], [1, 0]])


def test_second_derivatives_annihilate_in_both_factors():
    with np.errstate(all="ignore"):
        bars = chain_product.bprop((np.array([0.0]), np.array([INF])), np.array([NAN]))
        np.testing.assert_array_equal(bars[1], [0])
        dx, dslope = np.array([0.0]), np.array([NAN])
        tangents = (np.array([0.0]), np.array([INF]))
        _, pushed = pb.jvp(chain_product, tangents, (dx, dslope))
    np.testing.assert_array_equal(pushed, [0])


def test_it_prints_as_a_product():
    graph = pb.trace(pb.grad(lambda x: np.sum(np.where(x > 0, np.log(x), 0))), np.ones(2))
    assert "chain_product" in names(graph)
    assert "chain_product" not in str(graph)
    assert " * " in str(graph)


def test_a_network_without_masks_needs_no_care():
    def loss(w, v, x, t):
        error = np.tanh(x @ w) @ v - t
        return 0.5 * np.sum(error * error)

    arrays = np.ones((3, 4)), np.ones((4, 2)), np.ones((5, 3)), np.ones((5, 2))
    assert "chain_product" not in names(pb.trace(pb.grad(loss, (0, 1)), *arrays))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.where(x > 1, np.tanh(x), 0.0),
        lambda x: np.tanh(x)[1:],
        lambda x: np.tanh(np.exp(x)),
        lambda x: np.exp(np.tanh(x)) * x,
    ],
)
def test_a_slope_that_may_meet_a_zero_is_taken_care_of(function):
    graph = pb.trace(pb.grad(lambda x: np.sum(function(x))), np.ones(3))
    assert "chain_product" in names(graph)


BOUNDED = (
    np.sin, np.cos, np.arctan, np.arcsinh, np.tanh, np.abs, np.fabs,
    sp.expit, sp.log_expit, sp.erf, sp.erfc, sp.ndtr,
)  # fmt: skip


@pytest.mark.parametrize("function", BOUNDED, ids=lambda f: f.__name__)
def test_slopes_called_bounded_are_finite_at_finite_numbers(function):
    x = np.array([0.0, 1e-300, 1.0, -1.0, 1e3, -1e3, 1e150, -1e150])
    with np.errstate(all="ignore"):
        assert np.isfinite(pb.grad(lambda x: np.sum(function(x)))(x)).all()
    graph = pb.trace(pb.grad(lambda x: np.sum(function(x) ** 2)), np.ones(3))
    assert "chain_product" not in names(graph), "declare it bounded"


@pytest.mark.parametrize("factor", [2, 2.5, np.float32(3), np.array([1.0, 2.0, 0.0])])
def test_a_known_finite_factor_needs_no_care(factor):
    graph = pb.trace(pb.grad(lambda x: np.sum(np.cos(x * factor))), np.ones(3))
    assert "chain_product" not in names(graph)


def test_the_table_states_the_convention():
    assert "0" in OPS["chain_product"].undefined_at


def test_an_infinite_python_number_does_not_widen_the_product():
    from pullback.ops.chain import annihilating

    for ct in (np.float32(0.0), np.zeros((2, 0), np.float32), np.ones(2, np.float32)):
        assert annihilating(ct, float("inf")).dtype == np.float32
    gradient = pb.grad(lambda x: np.sum(x / 0))
    with np.errstate(all="ignore"):
        assert gradient(np.zeros(2, np.float32)).dtype == np.float32
