"""Lesson 3: one epoch of MNIST, sample by sample, as matrices, and with pullback.

The network is [784, 30, 10] with sigmoid units and E = 1/2 |x_L - t|^2 averaged over minibatches
of 10, as in Nielsen, Neural Networks and Deep Learning (2015), chapters 1 and 2. The three ways
take the same steps on the same batches and end at the same weights.

Needs the MNIST files: PULLBACK_DATA=FOLDER python examples/03_mnist_epochs.py
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
from scipy.special import expit as sigmoid

import pullback as pb
from pullback.train.mnist import read_idx

BATCH, RATE = 10, 3.0


def load(folder: Path, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images as rows in [0, 1] and one-hot labels, as float64."""
    images = read_idx(folder / "train-images-idx3-ubyte.gz")[:samples]
    labels = read_idx(folder / "train-labels-idx1-ubyte.gz")[:samples]
    return images.reshape(len(images), -1) / 255.0, np.eye(10)[labels]


def make_network(seed: int = 0):
    """Return (W1, b1, W2, b2)."""
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(784, 30)) / 28,
        np.zeros(30),
        rng.normal(size=(30, 10)) / 30**0.5,
        np.zeros(10),
    )


def step_by_samples(network, x, t):
    """Backpropagate one sample after the other and add up."""
    w1, b1, w2, b2 = network
    totals = [np.zeros_like(p) for p in network]
    for sample, target in zip(x, t, strict=True):
        hidden = sigmoid(sample @ w1 + b1)
        out = sigmoid(hidden @ w2 + b2)
        delta2 = (out - target) * out * (1 - out)
        delta1 = (w2 @ delta2) * hidden * (1 - hidden)
        gradients = (np.outer(sample, delta1), delta1, np.outer(hidden, delta2), delta2)
        for total, gradient in zip(totals, gradients, strict=True):
            total += gradient
    return tuple(p - RATE / len(x) * total for p, total in zip(network, totals, strict=True))


def step_by_matrices(network, x, t):
    """Backpropagate the whole minibatch in matrix form."""
    w1, b1, w2, b2 = network
    hidden = sigmoid(x @ w1 + b1)
    out = sigmoid(hidden @ w2 + b2)
    delta2 = (out - t) * out * (1 - out)
    delta1 = (delta2 @ w2.T) * hidden * (1 - hidden)
    gradients = (x.T @ delta1, delta1.sum(axis=0), hidden.T @ delta2, delta2.sum(axis=0))
    return tuple(p - RATE / len(x) * g for p, g in zip(network, gradients, strict=True))


def error(network, x, t):
    """E of one minibatch."""
    w1, b1, w2, b2 = network
    out = sigmoid(sigmoid(x @ w1 + b1) @ w2 + b2)
    return 0.5 * np.sum((out - t) ** 2) / len(x)


def step_of_pullback(network, x, t):
    """Differentiate the error; traced once, this whole step is one graph."""
    gradients = pb.grad(error)(network, x, t)
    return tuple(p - RATE * g for p, g in zip(network, gradients, strict=True))


def epoch(step, network, x, t):
    """Run one epoch over the minibatches; return the network and the seconds it took."""
    start = time.perf_counter()
    for first in range(0, len(x), BATCH):
        network = step(network, x[first : first + BATCH], t[first : first + BATCH])
    return network, time.perf_counter() - start


def main(samples: int = 20_000, rounds: int = 3) -> dict[str, float]:
    """Time an epoch each way, interleaved, and print the figures."""
    data = os.environ.get("PULLBACK_DATA")
    if data is None:
        print("PULLBACK_DATA is not set: `pullback data fetch mnist --to FOLDER`, then set it")
        sys.exit(0)
    x, t = load(Path(data) / "mnist", samples)
    start = make_network()
    ways = {
        "sample by sample": step_by_samples,
        "matrices": step_by_matrices,
        "pullback": pb.simplify(pb.trace(step_of_pullback, start, x[:BATCH], t[:BATCH])),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    trained = {}
    for _ in range(rounds):
        for name, step in ways.items():
            trained[name], took = epoch(step, start, x, t)
            seconds[name].append(took)
    best = {name: min(times) for name, times in seconds.items()}
    print(f"[784, 30, 10], {len(x)} samples, batches of {BATCH}, float64: seconds an epoch")
    for name, times in seconds.items():
        print(f"  {name:18s} min {min(times):7.3f}  median {np.median(times):7.3f}")
    gains = {
        "matrices over samples": best["sample by sample"] / best["matrices"],
        "pullback over matrices": best["matrices"] / best["pullback"],
    }
    for name, gain in gains.items():
        print(f"  {name}: {gain:.2f} times faster")
    difference = max(
        np.abs(a - b).max()
        for name in ways
        for a, b in zip(trained[name], trained["matrices"], strict=True)
    )
    print(f"  largest difference of the weights {difference:.1e}")
    return {**gains, "difference": difference}


if __name__ == "__main__":
    main()
