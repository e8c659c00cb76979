"""One test over the whole table of operations: value, shape, both modes, second order, tracing."""

import numpy as np
import pytest
from op_samples import DIFFERENTIABLE, NAMES, cast, closed, discrete, joined, moving, samples

import pullback as pb
from pullback.core.aval import aval_of
from pullback.core.op import OPS


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NAMES)
def test_the_shape_rule_tells_what_comes_out(name, dtype):
    cases = list(samples(name, dtype))
    assert cases
    for args, params in cases:
        if discrete(name):
            args = tuple(np.abs(np.asarray(a)).astype(np.int64) for a in args)
        out = OPS[name].forward(*args, **params)
        inferred = OPS[name].infer(*map(aval_of, args), **params)
        for o, aval in zip(pb.tree.leaves(out), pb.tree.leaves(inferred), strict=True):
            assert (np.shape(o), np.asarray(o).dtype) == (aval.shape, aval.dtype)


@pytest.mark.parametrize("name", NAMES)
def test_a_traced_operation_computes_the_same(name):
    for args, params in samples(name):
        if discrete(name):
            args = tuple(np.abs(np.asarray(a)).astype(np.int64) for a in args)
        op = OPS[name]
        # a mask has no shape to trace with, so what is not floating stays a constant
        function, floats = closed(name, args, params)
        graph = pb.trace(function, *floats)
        np.testing.assert_array_equal(graph(*floats), joined(op(*args, **params)))


@pytest.mark.parametrize("name", NAMES)
def test_both_modes_have_a_rule_or_none(name):
    op = OPS[name]
    assert (op.vjp is None) == (op.jvp is None)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_derivatives_to_second_order_in_both_modes(name):
    for args, params in samples(name):
        function, floats = closed(name, args, params)
        pb.check_grads(function, floats, order=2, eps=1e-5, atol=2e-6, rtol=2e-6)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_reverse_mode_is_the_transpose_of_forward_mode(name):
    rng = np.random.default_rng(0)
    for args, params in samples(name):
        function, floats = closed(name, args, params)
        tangents = tuple(cast(rng.normal(size=np.shape(x)), np.asarray(x).dtype) for x in floats)
        out, pushed = pb.jvp(function, floats, tangents)
        cotangent = cast(rng.normal(size=np.shape(out)), np.float64)
        cotangent = np.asarray(cotangent).astype(np.asarray(out).dtype)
        _, pull = pb.vjp(function, *floats)
        left = np.sum(np.real(cotangent * pushed))
        pulled = pull(cotangent)
        right = sum(np.sum(np.real(c * t)) for c, t in zip(pulled, tangents, strict=True))
        np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients_of_float32_are_float32(name):
    for args, params in samples(name, np.float32):
        function, floats = closed(name, args, params)
        out, pull = pb.vjp(function, *floats)
        for gradient, x in zip(pull(np.ones_like(out)), floats, strict=True):
            assert np.asarray(gradient).dtype == np.asarray(x).dtype
            assert np.shape(gradient) == np.shape(x)
        _, tangent = pb.jvp(function, floats, floats)
        assert np.asarray(tangent).dtype == np.asarray(out).dtype
        assert np.shape(tangent) == np.shape(out)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_the_gradient_of_the_graph_equals_the_gradient(name):
    for args, params in samples(name):
        function, floats = closed(name, args, params)

        def scalar(*xs, function=function):
            return np.sum(np.real(np.sin(function(*xs))))

        everything = tuple(range(len(floats)))
        graph = pb.trace(scalar, *floats)
        found = pb.simplify(pb.grad(graph, everything))(*floats)
        expected = pb.grad(scalar, everything)(*floats)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_bprop_gives_the_cotangents_of_arrays(name):
    args, params = next(iter(samples(name)))
    out = OPS[name].forward(*args, **params)
    found = OPS[name].bprop(args, pb.tree.map(np.ones_like, out), **params)
    assert len(found) == len(args)
    for i in moving(args):
        assert found[i] is None or np.shape(found[i]) == np.shape(args[i])
