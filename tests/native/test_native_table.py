"""Every operation, compiled: the same as interpreted."""

import warnings

import numpy as np
import pytest
from op_samples import NAMES, discrete, samples

import pullback as pb
from pullback.core.op import OPS
from pullback.native.program import NativeProgram

TOLERANCE = {np.float64: {"rtol": 1e-13, "atol": 1e-15}, np.float32: {"rtol": 2e-6, "atol": 1e-7}}


def floating(args):
    """The positions of arrays; a mask has no shape to trace with, so it stays a constant."""
    return [i for i, a in enumerate(args) if np.asarray(a).dtype.kind != "b"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NAMES)
def test_a_compiled_operation_computes_the_same(name, dtype):
    op, cases = OPS[name], list(samples(name, dtype))
    if discrete(name):
        cases = [(tuple(np.abs(np.asarray(a)).astype(int) for a in args), p) for args, p in cases]
    moving = [[args[i] for i in floating(args)] for args, _ in cases]

    def every(*given):
        results = []
        for (args, params), arrays in zip(cases, given, strict=True):
            full = list(args)
            for i, x in zip(floating(args), arrays, strict=True):
                full[i] = x
            results.append(op(*full, **params))
        return results

    graph = pb.trace(every, *moving)
    leaves = pb.tree.leaves(moving)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted, found = graph.run(leaves), NativeProgram(graph)(leaves)
    for a, b in zip(wanted, found, strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(b, a, **TOLERANCE[dtype])
