"""The dense Jacobian as one matrix, to compare sparse ones with."""

import itertools

import numpy as np

import pullback as pb


def dense_jacobian(function, *args, argnums=0):
    """Return the Jacobian of all results by all arguments at `argnums`, flattened and joined."""
    positions = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    inputs = pb.tree.leaves(tuple(args[p] for p in positions))
    results = pb.tree.leaves(function(*args))
    blocks = pb.tree.leaves(pb.jacobian(function, positions)(*args))
    pairs = itertools.product(results, inputs)
    matrices = [
        np.reshape(block, (np.size(y), np.size(x)))
        for block, (y, x) in zip(blocks, pairs, strict=True)
    ]
    width = len(inputs)
    rows = [matrices[k * width : (k + 1) * width] for k in range(len(results))]
    return np.block(rows) if rows else np.zeros((0, sum(map(np.size, inputs))))
