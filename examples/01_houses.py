"""Lesson 1: a linear model of 1,000 houses, with a loop over samples and with matrices.

The model is prediction = X W + b. Its loss is the mean over samples of 1/2 |prediction - target|^2,
so dE/dW = X^T (prediction - target) / n: the loop below adds up n outer products, the matrix form
is one product. Both give the same numbers; only the time differs.
"""

from __future__ import annotations

import time

import numpy as np

import pullback as pb


def make_houses(n: int = 1000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return (area m2, rooms, year) and (price, agency fee) in 1,000 euros, both standardised."""
    rng = np.random.default_rng(seed)
    area = rng.uniform(40, 250, n)
    rooms = np.round(area / 30 + rng.normal(0, 0.7, n)).clip(1)
    year = rng.integers(1930, 2025, n)
    price = 2.1 * area + 12 * rooms + 0.8 * (year - 1930) + rng.normal(0, 15, n)
    fee = 5 + 0.03 * price + rng.normal(0, 1, n)
    inputs, targets = np.stack([area, rooms, year], axis=1), np.stack([price, fee], axis=1)
    return tuple((a - a.mean(axis=0)) / a.std(axis=0) for a in (inputs, targets))


def gradient_by_loop(w, b, x, t):
    """Add up each sample's contribution, element by element of the batch."""
    dw, db = np.zeros_like(w), np.zeros_like(b)
    for sample, target in zip(x, t, strict=True):
        delta = sample @ w + b - target
        dw += np.outer(sample, delta)
        db += delta
    return dw / len(x), db / len(x)


def gradient_by_matrices(w, b, x, t):
    """Do the same for all samples at once."""
    delta = x @ w + b - t
    return x.T @ delta / len(x), delta.sum(axis=0) / len(x)


def loss(w, b, x, t):
    """The mean over samples of 1/2 |x W + b - t|^2."""
    return 0.5 * np.sum((x @ w + b - t) ** 2) / len(x)


def train(gradient, x, t, steps: int, learning_rate: float = 0.1):
    """Descend along `gradient` and return the weights and the seconds it took."""
    w, b = np.zeros((x.shape[1], t.shape[1])), np.zeros(t.shape[1])
    start = time.perf_counter()
    for _ in range(steps):
        dw, db = gradient(w, b, x, t)
        w, b = w - learning_rate * dw, b - learning_rate * db
    return w, b, time.perf_counter() - start


def main(steps: int = 100) -> dict[str, float]:
    """Train three times and compare."""
    x, t = make_houses()
    ways = {
        "loop over samples": gradient_by_loop,
        "matrices": gradient_by_matrices,
        "pullback": pb.grad(loss, argnums=(0, 1)),
    }
    results = {name: train(gradient, x, t, steps) for name, gradient in ways.items()}
    w, b, _ = results["matrices"]
    print(f"{len(x)} houses, {steps} steps of gradient descent")
    for name, (_, _, seconds) in results.items():
        print(f"  {name:18s} {seconds / steps * 1e6:9.1f} us a step")
    difference = max(np.abs(other - w).max() for other, _, _ in results.values())
    explained = 1 - 2 * loss(w, b, x, t) / np.mean(np.sum(t**2, axis=1))
    print(
        f"  largest difference of the weights {difference:.1e}; variance explained {explained:.3f}"
    )
    loop, matrices = results["loop over samples"][2], results["matrices"][2]
    return {"difference": difference, "explained": explained, "speedup": loop / matrices}


if __name__ == "__main__":
    main()
