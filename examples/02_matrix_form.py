"""Lesson 2: backpropagation through L layers in matrix form, by hand and by pb.grad.

Samples are rows. Forward: z_i = x_{i-1} W_i + b_i, x_i = f(z_i). With E = 1/2 sum |x_L - t|^2:

    delta_L = (x_L - t) * f'(z_L)
    delta_i = (delta_{i+1} W_{i+1}^T) * f'(z_i)
    dE/dW_i = x_{i-1}^T delta_i         dE/db_i = sum of the rows of delta_i

which is the transpose of the form for samples in columns, delta_i = W_{i+1}^T delta_{i+1} * f'.
Once the recursion runs in loops, once it is written as the recursion it is.
"""

from __future__ import annotations

import itertools

import numpy as np

import pullback as pb

LAYERS = (5, 2, 4, 3, 3, 1)


def sigmoid(z):
    """The logistic function, 1 / (1 + e^-z)."""
    return 1 / (1 + np.exp(-z))


def slope(y):
    """The derivative of the sigmoid where its value is y."""
    return y * (1 - y)


def make_network(bias: bool, seed: int = 0):
    """Return a list of (W, b) pairs; b is None without bias."""
    rng = np.random.default_rng(seed)
    pairs = itertools.pairwise(LAYERS)
    return [(rng.normal(size=(m, n)), rng.normal(size=n) if bias else None) for m, n in pairs]


def layer(x, w, b):
    """One layer's output."""
    return sigmoid(x @ w if b is None else x @ w + b)


def error(network, x, t):
    """E = 1/2 sum |x_L - t|^2."""
    for w, b in network:
        x = layer(x, w, b)
    return 0.5 * np.sum((x - t) ** 2)


def gradient_by_loops(network, x, t):
    """Run forward keeping every layer's output, then backward."""
    outputs = [x]
    for w, b in network:
        outputs.append(layer(outputs[-1], w, b))
    delta = (outputs[-1] - t) * slope(outputs[-1])
    gradients = []
    for i in reversed(range(len(network))):
        w, b = network[i]
        gradients.append((outputs[i].T @ delta, None if b is None else delta.sum(axis=0)))
        if i > 0:
            delta = (delta @ w.T) * slope(outputs[i])
    return gradients[::-1]


def gradient_by_recursion(network, x, t):
    """The same, where the call stack remembers the outputs."""

    def backward_of(layers, x):
        """Return dE/dx of the input of `layers`, and the gradients of their weights."""
        if not layers:
            return x - t, []
        (w, b), *rest = layers
        y = layer(x, w, b)
        upstream, gradients = backward_of(rest, y)
        delta = upstream * slope(y)
        own = (x.T @ delta, None if b is None else delta.sum(axis=0))
        return delta @ w.T, [own, *gradients]

    return backward_of(network, x)[1]


def main(n: int = 7) -> dict[str, float]:
    """Compare the three gradients for a batch of n rows, with and without bias."""
    rng = np.random.default_rng(1)
    x, t = rng.normal(size=(n, LAYERS[0])), rng.uniform(size=(n, LAYERS[-1]))
    worst = {}
    for bias in (True, False):
        network = make_network(bias)
        expected = pb.tree.leaves(pb.grad(error)(network, x, t))
        for gradient in (gradient_by_loops, gradient_by_recursion):
            found = pb.tree.leaves(gradient(network, x, t))
            name = f"{gradient.__name__}, {'with' if bias else 'without'} bias"
            worst[name] = max(np.abs(a - b).max() for a, b in zip(found, expected, strict=True))
    print(f"layers {'-'.join(map(str, LAYERS))}, batch of {n} rows: largest difference to pb.grad")
    for name, difference in worst.items():
        print(f"  {name:38s} {difference:.1e}")
    return worst


if __name__ == "__main__":
    main()
