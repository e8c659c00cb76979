"""A graph from JSON and named constants, of which nothing is believed."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pullback.core import dispatch
from pullback.core.aval import Aval, aval_of
from pullback.core.errors import FormatError
from pullback.core.graph import Graph, Node
from pullback.core.op import OPS, Op
from pullback.interchange.graph.signatures import RULES
from pullback.interchange.graph.structures import decode_structure
from pullback.interchange.graph.values import decode, decode_aval, whole

_HOMES = (
    "pullback.ops.scipy_linalg",
    "pullback.ops.scipy_signal",
    "pullback.ops.tridiagonal",
    "pullback.scipy.integrate",
    "pullback.transform.control",
)
"""Modules that enter operations into the table when they are imported."""

_GRAPH = {"name", "arguments", "nodes", "results", "in_tree", "out_tree"}
LONGEST_NAME = 1000


def read_graphs(
    contents: Any, constants: Mapping[str, Any], classes: Mapping[str, Any]
) -> list[Graph]:
    """Return the graphs of a file, of which each may use those before it.

    Raises FormatError that names the node at fault.
    """
    graphs: list[Graph] = []
    if type(contents) is not list or not contents:
        raise FormatError("expected a list of graphs")
    for content in contents:
        graphs.append(_Reader(graphs, constants, classes).graph(content))
    return graphs


def checked_aval(op: Op, avals: Sequence[Any], params: Mapping[str, Any]) -> Any:
    """Return the shape and dtype of what `op` gives. Raises FormatError where it cannot be run."""
    if op.name == "item":
        return _item(avals, params)
    if not all(isinstance(aval, Aval) for aval in avals):
        raise FormatError(f"{op.name}: expected single values, got several in one")
    rule = RULES.get(op.name)
    try:
        fits = rule(*avals, **params) if rule is not None else _is_elementwise(op, avals, params)
        if fits:
            return op.infer(*avals, **params)
    except Exception as error:  # whatever a rule stumbles over, it is the file's fault
        raise FormatError(f"{op.name} of {', '.join(map(str, avals))}: {error}") from None
    given = f" with these values of {', '.join(params)}" if params else ""
    raise FormatError(f"{op.name} does not take {', '.join(map(str, avals))}{given}")


class _Reader:
    """One graph of a file."""

    def __init__(
        self, graphs: list[Graph], constants: Mapping[str, Any], classes: Mapping[str, Any]
    ) -> None:
        self._graphs, self._constants, self._classes = graphs, constants, classes
        self._nodes: list[Node] = []

    def graph(self, content: Any) -> Graph:
        """Return the graph that `content` describes."""
        _expect(content, _GRAPH)
        rows, count, name = content["nodes"], content["arguments"], content["name"]
        if type(rows) is not list or not whole(count, 0, len(rows) + 1):
            raise FormatError("expected a list of nodes that begins with the arguments")
        if type(name) is not str or not name.isidentifier():
            raise FormatError("expected a name for the graph that is an identifier")
        for position, row in enumerate(rows):
            try:
                self._nodes.append(self._node(row, argument=position < count))
            except FormatError as error:
                raise FormatError(f"graph {name!r}, node {position}: {error}") from None
        results = self._at(content["results"])
        if any(not isinstance(node.aval, Aval) for node in results):
            raise FormatError(f"graph {name!r}: expected single values as results")
        in_tree = decode_structure(content["in_tree"], self._classes)
        out_tree = decode_structure(content["out_tree"], self._classes)
        if (in_tree.num_leaves, out_tree.num_leaves) != (count, len(results)):
            raise FormatError(f"graph {name!r}: expected a place for each argument and result")
        return Graph(self._nodes[:count], results, in_tree, out_tree, name)

    def _node(self, row: Any, argument: bool) -> Node:
        if type(row) is not dict:
            raise FormatError("expected an object")
        row = dict(row)
        name, aval = row.pop("name", ""), decode_aval(row.pop("type", None))
        if type(name) is not str or not name.isprintable() or len(name) > LONGEST_NAME:
            raise FormatError("expected a printable name")
        if argument:
            _expect(row, set())
            if not isinstance(aval, Aval):
                raise FormatError("expected a single value as argument")
            return Node(aval, name=name)
        if "op" not in row:
            return Node(aval, value=self._constant(row, aval), name=name)
        _expect(row, {"op", "inputs", "params"})
        op, inputs = _operation(row["op"]), self._at(row["inputs"])
        if type(row["params"]) is not dict:
            raise FormatError(f"{op.name}: expected parameters by name")
        params = {key: decode(value, self._graphs) for key, value in row["params"].items()}
        found = checked_aval(op, [node.aval for node in inputs], params)
        if _plain(found) != _plain(aval):
            raise FormatError(f"{op.name}: gives {found}, but the file says {aval}")
        return Node(found, op, tuple(inputs), params, name=name)

    def _at(self, places: Any) -> list[Node]:
        if type(places) is not list or not all(whole(i, 0, len(self._nodes)) for i in places):
            raise FormatError("expected numbers of nodes before this one")
        return [self._nodes[i] for i in places]

    def _constant(self, row: dict[str, Any], aval: Any) -> Any:
        if "number" in row:
            _expect(row, {"number"})
            value = decode(row["number"], ())
            if type(value) not in (bool, int, float, complex):
                raise FormatError(f"expected a number, got {value!r}")
            fits = np.can_cast(np.asarray(value).dtype, getattr(aval, "dtype", "U1"), "same_kind")
            if aval.shape or not fits:
                raise FormatError(f"{value!r} is no {aval}")
            return value
        name = row.get("constant")
        _expect(row, {"constant", *({"scalar", "columns"} & set(row))})
        if type(name) is not str or name not in self._constants:
            raise FormatError(f"the constant {name!r} is missing")
        value = self._constants[name]
        value = value.T if row.get("columns") is True else value
        if _plain(aval_of(value)) != _plain(aval):
            raise FormatError(f"the constant {name!r} is {aval_of(value)}, expected {aval}")
        return value[()] if row.get("scalar") is True else value


def _operation(name: Any) -> Op:
    if type(name) is str and name not in OPS:
        dispatch.load_deferred()
        for home in _HOMES:
            importlib.import_module(home)
    op = OPS.get(name) if type(name) is str else None
    if op is None:
        raise FormatError(f"no operation is named {name!r}; a newer pullback may have it")
    return op


def _is_elementwise(op: Op, avals: Sequence[Aval], params: Mapping[str, Any]) -> bool:
    """Whether an operation without a rule takes so many arrays of these dtypes."""
    if op.kind == "elementwise" and not params:
        op.forward(*[np.empty(0, aval.dtype) for aval in avals])
        return True
    return False


def _item(avals: Sequence[Any], params: Mapping[str, Any]) -> Any:
    several = avals[0] if len(avals) == 1 else None
    if not isinstance(several, tuple) or set(params) != {"index"}:
        raise FormatError("item: expected one input of several values, and an index")
    if not whole(params["index"], 0, len(several)):
        raise FormatError(f"item: expected an index of {len(several)} values, got {params}")
    return several[params["index"]]


def _plain(aval: Any) -> Any:
    if isinstance(aval, tuple):
        return tuple(map(_plain, aval))
    return aval.shape, aval.dtype


def _expect(content: Any, keys: set[str]) -> None:
    if type(content) is not dict or set(content) != keys:
        got = sorted(content) if type(content) is dict else content
        raise FormatError(f"expected the entries {sorted(keys)}, got {str(got)[:80]}")
