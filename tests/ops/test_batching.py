"""The batching rule of every operation: the same as a loop over the examples."""

import itertools

import numpy as np
import pytest
from op_samples import DIFFERENTIABLE, NAMES, closed, discrete, samples

import pullback as pb
from pullback.core.op import OPS

SIZE = 3


def varied(x, rng):
    """`SIZE` examples like `x`: near it where it is floating, else the same."""
    stacked = np.stack([np.asarray(x)] * SIZE)
    if stacked.dtype.kind in "fc":
        stacked = stacked * rng.uniform(0.97, 1.03, stacked.shape).astype(stacked.real.dtype)
    elif stacked.dtype.kind == "b":
        stacked = stacked ^ (rng.random(stacked.shape) < 0.3)
    elif stacked.ndim > 1:  # indices: any of those that occur
        stacked = rng.permuted(stacked, axis=1)
    return stacked


def choices(args):
    """Which arguments are batched: all of them, and each subset of up to three."""
    count = len(args)
    if count > 3:
        return [(True,) * count]
    return [c for c in itertools.product((True, False), repeat=count) if any(c)]


def cases(name):
    rng = np.random.default_rng(0)
    for args, params in samples(name):
        if discrete(name):
            args = tuple(np.abs(np.asarray(a)).astype(np.int64) for a in args)
        for batched in choices(args):
            given = [varied(a, rng) if b else a for a, b in zip(args, batched, strict=True)]
            yield given, batched, params


@pytest.mark.parametrize("name", NAMES)
def test_a_batched_operation_is_the_loop_over_its_examples(name):
    op = OPS[name]
    for args, batched, params in cases(name):
        axes = tuple(0 if b else None for b in batched)
        found = pb.vmap(lambda *a, op=op, params=params: op(*a, **params), axes)(*args)
        each = [
            op(*[a[k] if b else a for a, b in zip(args, batched, strict=True)], **params)
            for k in range(SIZE)
        ]
        multiple = isinstance(each[0], tuple)
        for i in range(len(each[0]) if multiple else 1):
            wanted = np.stack([e[i] for e in each] if multiple else each)
            got = found[i] if multiple else found
            assert got.dtype == wanted.dtype
            np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_derivatives_of_the_batched_operation_are_right(name):
    rng = np.random.default_rng(1)
    for args, params in samples(name):
        function, floats = closed(name, args, params)
        many = [varied(x, rng) for x in floats]

        def total(*xs, function=function):
            return sum(np.sum(np.real(np.sin(o))) for o in pb.tree.leaves(function(*xs)))

        everything = tuple(range(len(many)))
        inner = pb.vmap(pb.grad(total, everything))(*many)
        outer = pb.grad(lambda *xs: np.sum(pb.vmap(total)(*xs)), everything)(*many)
        for k in range(SIZE):
            expected = pb.grad(total, everything)(*[x[k] for x in many])
            for a, b, wanted in zip(inner, outer, expected, strict=True):
                np.testing.assert_allclose(a[k], wanted, rtol=1e-8, atol=1e-10)
                np.testing.assert_allclose(b[k], wanted, rtol=1e-8, atol=1e-10)
