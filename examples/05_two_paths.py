"""Lesson 5: a ReLU network with cross-entropy and weight decay, as a graph with two paths.

Goodfellow, Bengio, Courville, Deep Learning (2016), section 6.5.7: with H = relu(X W1) and
J = cross_entropy(H W2, y) + lambda (sum W1^2 + sum W2^2), each weight matrix is used twice, so its
gradient is the sum of two contributions: X^T G' along the cross-entropy path, 2 lambda W along the
decay path. The gradient table shows both, edge by edge.
"""

from __future__ import annotations

import numpy as np

import pullback as pb

DECAY = 0.01


def cost(w1, w2, x, labels):
    """Mean cross-entropy of a one-hidden-layer ReLU network, plus weight decay."""
    hidden = np.maximum(x @ w1, 0.0)
    logits = hidden @ w2
    shifted = logits - np.max(logits, axis=1, keepdims=True)
    log_sum = np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
    log_likelihood = np.sum(labels * (shifted - log_sum)) / len(x)
    return -log_likelihood + DECAY * (np.sum(w1 * w1) + np.sum(w2 * w2))


def by_hand(w1, w2, x, labels):
    """Both contributions of both weight matrices in matrix form: {name: (entropy, decay)}."""
    hidden = np.maximum(x @ w1, 0.0)
    exponentials = np.exp(hidden @ w2)
    g = (exponentials / exponentials.sum(axis=1, keepdims=True) - labels) / len(x)
    g_hidden = (g @ w2.T) * (hidden > 0)
    return {"w1": (x.T @ g_hidden, 2 * DECAY * w1), "w2": (hidden.T @ g, 2 * DECAY * w2)}


def main() -> dict[str, float]:
    """Print the graph and compare each path with the formula."""
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(8, 4)), np.eye(3)[rng.integers(0, 3, 8)]
    w1, w2 = rng.normal(size=(4, 5)), rng.normal(size=(5, 3))
    graph = pb.trace(cost, w1, w2, x, labels)
    table = pb.backward(graph, w1, w2, x, labels)
    print(graph, "\n")
    worst = {}
    for node, (entropy, decay) in zip(
        graph.arguments, by_hand(w1, w2, x, labels).values(), strict=False
    ):
        paths = {"matmul": 0.0, "multiply": 0.0}
        for consumer in graph.consumers(node):
            for position, i in enumerate(graph.inputs(consumer)):
                if i is node:
                    paths[graph.operation(consumer).name] += table.edges[consumer, position]
        total = table.gradients[node]
        worst[node.name] = max(
            np.abs(paths["matmul"] - entropy).max(),
            np.abs(paths["multiply"] - decay).max(),
            np.abs(total - entropy - decay).max(),
        )
        print(f"{node.name}: |entropy path| {np.linalg.norm(entropy):.4f}", end=", ")
        print(f"|decay path| {np.linalg.norm(decay):.4f}, |gradient| {np.linalg.norm(total):.4f}")
        print(f"    largest difference to the formulas {worst[node.name]:.1e}")
    return worst


if __name__ == "__main__":
    main()
