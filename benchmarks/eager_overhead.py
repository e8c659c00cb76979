"""Gradient of a 64-64-64-10 network, batch 32, float64: pullback without compiling and by hand.

Run with OMP_NUM_THREADS=1. Prints the minimum and the median time over interleaved rounds.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import itertools
import time

import numpy as np

import pullback as pb

LAYERS = (64, 64, 64, 10)
BATCH = 32


def make_problem() -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray, np.ndarray]:
    """Return weights, biases, inputs and targets."""
    rng = np.random.default_rng(0)
    pairs = list(itertools.pairwise(LAYERS))
    weights = [rng.normal(0, m**-0.5, (m, n)) for m, n in pairs]
    biases = [np.zeros(n) for _, n in pairs]
    return (
        weights,
        biases,
        rng.normal(size=(BATCH, LAYERS[0])),
        rng.normal(size=(BATCH, LAYERS[-1])),
    )


def loss(weights, biases, x, t):
    """Half the sum of squared errors of a tanh network with a linear last layer."""
    for w, b in zip(weights[:-1], biases[:-1], strict=True):
        x = np.tanh(x @ w + b)
    error = x @ weights[-1] + biases[-1] - t
    return 0.5 * np.sum(error * error)


def by_hand(weights, biases, x, t):
    """Return the gradients by the delta recursion, in plain NumPy."""
    outputs = [x]
    for w, b in zip(weights[:-1], biases[:-1], strict=True):
        outputs.append(np.tanh(outputs[-1] @ w + b))
    delta = outputs[-1] @ weights[-1] + biases[-1] - t
    weight_gradients, bias_gradients = [], []
    for layer in reversed(range(len(weights))):
        weight_gradients.append(outputs[layer].T @ delta)
        bias_gradients.append(delta.sum(axis=0))
        if layer:
            delta = (delta @ weights[layer].T) * (1 - outputs[layer] ** 2)
    return weight_gradients[::-1], bias_gradients[::-1]


def main(rounds: int = 30, repeats: int = 100) -> None:
    """Time both, check that they agree, print the figures."""
    problem = make_problem()
    gradient = pb.grad(loss, argnums=(0, 1))
    graph = pb.trace(gradient, *problem)
    functions = {
        "NumPy by hand": by_hand,
        "pullback, define by run": gradient,
        "pullback, traced graph": graph,
    }
    expected = pb.tree.leaves(by_hand(*problem))
    for function in functions.values():
        for a, b in zip(pb.tree.leaves(function(*problem)), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            for _ in range(repeats):
                function(*problem)
            times[name].append((time.perf_counter() - start) / repeats * 1e3)
    print(f"gradient of {'-'.join(map(str, LAYERS))}, batch {BATCH}, float64, 1 thread, ms")
    for name, found in times.items():
        print(f"{name:26s} min {min(found):.4f}  median {np.median(found):.4f}")


if __name__ == "__main__":
    main()
