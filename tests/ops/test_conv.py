"""Convolution: against PyTorch, closed under transposition, with errors that name what is wrong."""

import numpy as np
import pytest

import pullback as pb
from pullback.core.aval import Aval
from pullback.core.errors import ShapeError
from pullback.ops.conv import conv, conv_input, conv_kernel

CASES = {
    "plain": ((2, 8, 9, 3), (3, 3, 3, 4), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    "strided": ((2, 8, 9, 3), (3, 2, 3, 4), (2, 3), ((1, 1), (0, 0)), (1, 1), 1),
    "dilated": ((1, 9, 9, 2), (3, 3, 2, 2), (1, 2), ((2, 2), (1, 1)), (2, 3), 1),
    "grouped": ((3, 6, 5, 4), (2, 2, 2, 6), (1, 1), ((0, 0), (1, 1)), (1, 1), 2),
    "depthwise": ((2, 6, 6, 3), (3, 3, 1, 6), (1, 1), ((1, 1), (1, 1)), (1, 1), 3),
    "sequence": ((2, 10, 3), (4, 3, 5), (2,), ((3, 3),), (2,), 1),
}


def drawn(case):
    x, w, strides, padding, dilation, groups = CASES[case]
    rng = np.random.default_rng(0)
    params = {"strides": strides, "padding": padding, "dilation": dilation, "groups": groups}
    return rng.normal(size=x), rng.normal(size=w), params


def channels_first(a):
    return np.moveaxis(a, -1, 1)


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_those_of_torch(torch, case):
    x, w, params = drawn(case)
    y, pull = pb.vjp(lambda x, w: conv(x, w, **params), x, w)
    ct = np.random.default_rng(1).normal(size=y.shape)
    theirs_x = torch.tensor(channels_first(x), requires_grad=True)
    kernel = np.moveaxis(w, (-1, -2), (0, 1))
    theirs_w = torch.tensor(kernel.copy(), requires_grad=True)
    convolve = torch.nn.functional.conv2d if x.ndim == 4 else torch.nn.functional.conv1d
    out = convolve(
        theirs_x, theirs_w, stride=params["strides"], padding=[a for a, _ in params["padding"]],
        dilation=params["dilation"], groups=params["groups"],
    )  # fmt: skip
    out.backward(torch.tensor(channels_first(ct).copy()))
    dx, dw = pull(ct)
    np.testing.assert_allclose(channels_first(y), out.detach(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(channels_first(dx), theirs_x.grad, rtol=1e-12, atol=1e-12)
    found = np.moveaxis(dw, (-1, -2), (0, 1))
    np.testing.assert_allclose(found, theirs_w.grad, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_the_three_operations_are_slopes_of_one_trilinear_form(case):
    x, w, params = drawn(case)
    y = np.random.default_rng(2).normal(size=conv(x, w, **params).shape)
    form = np.vdot(conv(x, w, **params), y)
    by_input = conv_input(y, w, space=x.shape[1:-1], **params)
    by_kernel = conv_kernel(x, y, size=w.shape[:-2], **params)
    np.testing.assert_allclose(np.vdot(by_input, x), form, rtol=1e-12)
    np.testing.assert_allclose(np.vdot(by_kernel, w), form, rtol=1e-12)


def test_the_gradient_of_a_convolution_is_one_convolution_each():
    x, w, params = drawn("grouped")
    graph = pb.trace(pb.grad(lambda x, w: np.sum(conv(x, w, **params)), (0, 1)), x, w)
    names = [node.op.name for node in pb.simplify(graph).nodes if node.op is not None]
    assert sorted(n for n in names if n.startswith("conv")) == ["conv_input", "conv_kernel"]


@pytest.mark.parametrize(
    ("x", "w", "groups", "message"),
    [
        ((2, 8, 8, 3), (3, 3, 4, 2), 1, "3 channels, expected 4"),
        ((2, 8, 3), (3, 3, 3, 2), 1, "as many axes of x as of w"),
        ((2, 2, 2, 3), (3, 3, 3, 2), 1, "a window of 3 places does not fit into 2"),
        ((2, 8, 8, 4), (3, 3, 2, 3), 2, "groups: expected a divisor of all channels, got 2"),
    ],
)
def test_what_does_not_fit_is_told_with_both_shapes(x, w, groups, message):
    params = {"strides": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1)}
    with pytest.raises(ShapeError, match=message):
        conv.infer(Aval(x, np.float32), Aval(w, np.float32), groups=groups, **params)
