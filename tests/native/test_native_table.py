"""Every operation, compiled: the same as interpreted."""

import warnings

import numpy as np
import pytest
from op_graphs import graph_of
from op_samples import NAMES
from processors import restrict

from pullback.native.program import NativeProgram

TOLERANCE = {np.float64: {"rtol": 1e-13, "atol": 1e-15}, np.float32: {"rtol": 2e-6, "atol": 5e-7}}


def check(name, dtype):
    graph, leaves = graph_of(name, dtype)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted, found = graph.run(leaves), NativeProgram(graph)(leaves)
    for a, b in zip(wanted, found, strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(b, a, **TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NAMES)
def test_a_compiled_operation_computes_the_same(name, dtype):
    check(name, dtype)


@pytest.mark.slow
@pytest.mark.parametrize("level", ["generic", "x86-64-v3"])
@pytest.mark.parametrize("name", NAMES)
def test_it_does_so_on_processors_that_can_do_less(name, level, monkeypatch):
    restrict(monkeypatch, level)
    check(name, np.float32)
