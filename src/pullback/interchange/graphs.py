"""Graphs in files: what `pb.trace` gave, to be run, differentiated and compiled elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any

from pullback.core.errors import FormatError
from pullback.core.graph import Graph
from pullback.interchange.graph.reader import read_graphs
from pullback.interchange.graph.structures import known_classes
from pullback.interchange.graph.writer import Writer
from pullback.train import tensor_file

GRAPH, VERSION = "graph", 1
"""What the file holds, and the version of its form, which grows when older readers would err."""


def save_graph(graph: Graph, path: str | PathLike[str], *, types: Iterable[Any] = ()) -> None:
    """Write `graph` to a safetensors file at `path`: its constants, and its nodes as JSON.

    Arguments and results may be tuples, lists, dicts, layers of `pb.nn` and NumPy's named tuples;
    `types` are modules and named tuples of your own. A crash leaves the old file or the new one.
    Raises FormatError, naming the node, for an operation that holds Python functions: a custom
    rule, `pure_callback`, a solver.

    >>> import tempfile, numpy as np, pullback as pb
    >>> graph = pb.trace(lambda x: np.sum(np.sin(x) ** 2), np.zeros(3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_graph(graph, f"{folder}/graph.safetensors")
    ...     same = load_graph(f"{folder}/graph.safetensors")
    >>> same
    graph(x: f64[3]):
      a = sin(x)                             # f64[3]
      b = square(a)                          # f64[3]
      c = sum(b, axis=(0,), keepdims=False)  # f64[]
      return c
    >>> pb.grad(same)(np.array([0.0, 0.25, 0.5])).round(2)
    array([0.  , 0.48, 0.84])
    """
    writer = Writer(known_classes(types))
    try:
        writer.add(graph)
    except FormatError as error:
        raise FormatError(f"{graph.name} cannot be saved: {error}") from None
    record = {"version": VERSION, "graphs": writer.graphs}
    tensor_file.write(Path(path), GRAPH, writer.constants, record)


def load_graph(path: str | PathLike[str], *, types: Iterable[Any] = ()) -> Graph:
    """Return the graph that `save_graph` wrote to `path`; loading runs no code.

    It gives the same results, bit for bit, and can be called, differentiated, mapped and compiled.
    Operations are looked up by name in pullback's table, layers in `pb.nn` and `types`; every
    parameter is checked, and the shape and dtype of every node are derived anew.
    Raises FormatError where the file is missing, truncated, foreign or of a newer pullback, or
    where a node makes no sense.
    """
    constants, record = tensor_file.read(Path(path), GRAPH)
    version = record.get("version")
    if version != VERSION:
        raise FormatError(
            f"{path}: expected version {VERSION} of graphs, got {version!r}; a newer pullback may "
            "read it"
        )
    classes = known_classes(types)
    try:
        return read_graphs(record.get("graphs"), constants, classes)[-1]
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from None
    except RecursionError:
        raise FormatError(f"{path}: its parts are nested too deep") from None
