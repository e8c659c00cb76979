"""Lesson 4: the computational graph of a sigmoid neuron, forward values and gradients on edges.

f = 1 / (1 + exp(-(w0 x0 + w1 x1 + w2))) with the numbers of Stanford's CS231n notes on
backpropagation. On the way back, add distributes its gradient to both inputs, multiply switches
(each input gets the gradient times the other input), and max routes it to the larger one.
Writes sigmoid_neuron.dot beside itself, if asked: python 04_sigmoid_neuron.py FILE
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import pullback as pb
from pullback.core.printing import expression


def neuron(w0, x0, w1, x1, w2):
    """A neuron with two inputs."""
    return 1.0 / (1.0 + np.exp(-(w0 * x0 + w1 * x1 + w2)))


def gates(x, y, z, w):
    """One gate of each kind: 2 (x y + max(z, w))."""
    return 2.0 * (x * y + np.maximum(z, w))


def show(graph: pb.Graph, table: pb.GradientTable) -> None:
    """Print each node with its value and gradient, and what flows back over its input edges."""
    print(f"{'node':22s} {'value':>8s} {'gradient':>9s}   to its inputs")
    for node in graph.nodes:
        if node.is_constant:
            continue
        name = f"{node.name} = {expression(node)}" if node.op else node.name
        flows = [
            f"{i.name} <- {table.edges[node, k]:.2f}"
            for k, i in enumerate(node.inputs)
            if (node, k) in table.edges
        ]
        gradient = table.gradients[node]
        print(f"{name:22s} {table.values[node]:8.2f} {gradient:9.2f}   {', '.join(flows)}")


def main(dot_file: str | None = None) -> dict[str, float]:
    """Print the two graphs and return the gradients of all arguments."""
    found = {}
    for function, args in (
        (neuron, (2.0, -1.0, -3.0, -2.0, -3.0)),
        (gates, (3.0, -4.0, 2.0, -1.0)),
    ):
        graph = pb.trace(function, *args)
        table = pb.backward(graph, *args)
        print(f"\n{function.__doc__}")
        show(graph, table)
        for node in graph.arguments:
            found[f"{function.__name__}.{node.name}"] = float(table.gradients[node])
        if dot_file and function is neuron:
            Path(dot_file).write_text(table.to_dot())
            print(f"\nwritten: {dot_file} (draw it with `dot -Tsvg`)")
    return found


if __name__ == "__main__":
    main(*sys.argv[1:2])
