"""Lesson 8: the derivation of lesson 2, printed: deltas, their recursion, each weight's gradient.

`pb.derive` reads the graph of a function in matrix form and checks every line that it prints
against the numbers of the graph. Here the lines of a network with samples as rows, of one with a
sample as a column, of attention, and of the logarithm of a determinant.
Writes derivations.html beside itself, if asked: python 08_derivations.py FILE
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import pullback as pb


def sigmoid(z):
    """The logistic function, 1 / (1 + e^-z)."""
    return 1 / (1 + np.exp(-z))


def network_of_rows(layers, X, T):
    """E = 1/2 |X_L - T|^2 for samples as rows, X_i = f(X_{i-1} W_i + 1 b_i^T)."""
    for W, b in layers:
        X = sigmoid(X @ W + b)
    return 0.5 * np.sum((X - T) ** 2)


def network_of_columns(W1, W2, x, t):
    """E = 1/2 |x_L - t|^2 for one sample as a column, x_i = f(W_i x_{i-1})."""
    return 0.5 * np.sum((sigmoid(W2 @ sigmoid(W1 @ x)) - t) ** 2)


def attention(X, W_Q, W_K, W_V, T):
    """One head of attention: every row looks at all rows."""
    Q = X @ W_Q
    K = X @ W_K
    V = X @ W_V
    A = pb.nn.softmax(Q @ K.T / np.sqrt(Q.shape[1]))
    return 0.5 * np.sum((A @ V - T) ** 2)


def log_likelihood(S, P):
    """Of a Gaussian with precision matrix P, for data with covariance S."""
    return 0.5 * (np.linalg.slogdet(P)[1] - np.trace(S @ P))


def main(html_file: str | None = None) -> dict[str, float]:
    """Print the derivations; return how far their gradients are from those of pb.grad."""
    rng = np.random.default_rng(0)

    def normal(*shape):
        return rng.normal(size=shape)

    layers = [(normal(3, 5), normal(5)), (normal(5, 2), normal(2))]
    weights = (normal(4, 3), normal(2, 4))
    heads = (normal(5, 4), normal(5, 4), normal(5, 3))
    P = normal(3, 3)
    cases = [
        (network_of_rows, (layers, normal(7, 3), normal(7, 2)), (0,)),
        (network_of_columns, (*weights, normal(3), normal(2)), (0, 1)),
        (attention, (normal(6, 5), *heads, normal(6, 3)), (1, 2, 3)),
        (log_likelihood, (np.eye(3), P @ P.T + np.eye(3)), (1,)),
    ]
    worst, pages = {}, []
    for function, args, argnums in cases:
        derivation = pb.derive(function, *args, argnums=argnums)
        print(f"{derivation}\n")
        pages.append(derivation.html())
        lines = {line.name: line.value for line in derivation.lines if line.section == "gradients"}
        expected = pb.tree.leaves(pb.grad(function, argnums)(*args))
        differences = [np.abs(a - b).max() for a, b in zip(lines.values(), expected, strict=True)]
        worst[function.__name__] = float(max(differences))
    if html_file:
        Path(html_file).write_text("<!doctype html><meta charset=utf-8>" + "<hr>".join(pages))
    return worst


if __name__ == "__main__":
    main(*sys.argv[1:2])
