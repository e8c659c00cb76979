"""Each operation with all its samples as one graph, and what it is run on."""

import numpy as np
from op_samples import discrete, samples

import pullback as pb
from pullback.core.op import OPS


def graph_of(name, dtype):
    """The graph of the operation over its samples, and the arrays that it takes."""
    op, cases = OPS[name], list(samples(name, dtype))
    if discrete(name):
        cases = [(tuple(np.abs(np.asarray(a)).astype(int) for a in args), p) for args, p in cases]
    moving = [[args[i] for i in traced(args)] for args, _ in cases]

    def every(*given):
        results = []
        for (args, params), arrays in zip(cases, given, strict=True):
            full = list(args)
            for i, x in zip(traced(args), arrays, strict=True):
                full[i] = x
            results.append(op(*full, **params))
        return results

    return pb.trace(every, *moving), pb.tree.leaves(moving)


def traced(args):
    """The positions of arrays; a mask has no shape to trace with, so it stays a constant."""
    return [i for i, a in enumerate(args) if np.asarray(a).dtype.kind != "b"]
