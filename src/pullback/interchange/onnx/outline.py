"""Graphs as the exporter reads them: like `core.graph.Graph`, with lengths that may be symbolic.

An outline is made of one graph, or of several of one function for several batch sizes: what is
equal in all stays a number, what grows with the batch becomes a `Length`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np

from pullback.core.aval import Aval
from pullback.core.errors import ConfigError
from pullback.core.graph import Graph, Node
from pullback.interchange.onnx.sizes import NotLinearError, Size, common


@dataclass(frozen=True, slots=True)
class Kind:
    """Shape and dtype of a value; `weak` marks a Python number."""

    shape: tuple[Size, ...]
    dtype: np.dtype[Any]
    weak: bool = False


@dataclass(frozen=True, slots=True)
class Fill:
    """A constant that depends on the batch: one number all over, or 0, 1, 2, ... in a row."""

    value: Any = None


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A node: an argument, a constant, or the result of the operation named `op`."""

    kind: Any
    op: str | None
    inputs: tuple[Entry, ...]
    params: Mapping[str, Any]
    value: Any
    name: str

    @property
    def shape(self) -> tuple[Size, ...]:
        """Shape of the value."""
        return self.kind.shape  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the value."""
        return self.kind.dtype  # type: ignore[no-any-return]

    @property
    def sort(self) -> Any:
        """The dtype as NumPy's promotion sees it: a Python type where the value is a number."""
        kinds = {"i": int, "f": float, "c": complex}
        return kinds[self.dtype.kind] if self.kind.weak else self.dtype


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """A graph of entries."""

    arguments: tuple[Entry, ...]
    results: tuple[Entry, ...]
    entries: tuple[Entry, ...]
    name: str


def outline(graphs: Sequence[Graph]) -> Outline:
    """Return the outline that `graphs`, of one function, have in common.

    Raises ConfigError where they differ in more than in the length of the batch.
    """
    name = graphs[0].name
    known: dict[tuple[Node, ...], Entry] = {}

    def entry(nodes: tuple[Node, ...]) -> Entry:
        if nodes not in known:
            if not all(n.is_constant for n in nodes):
                raise NotLinearError("other operations")
            known[nodes] = _entry(nodes, ())
        return known[nodes]

    def entries(groups: Sequence[Sequence[Node]]) -> tuple[Entry, ...]:
        if len({len(group) for group in groups}) > 1:
            raise NotLinearError("another number of values")
        return tuple(entry(nodes) for nodes in zip(*groups, strict=True))

    computed = [[n for n in g.nodes if not n.is_constant] for g in graphs]
    if any(len(nodes) != len(computed[0]) for nodes in computed):
        raise _not_told(name, "other operations")
    for nodes in zip(*computed, strict=True):
        try:
            if any(n.op is not nodes[0].op for n in nodes):
                raise NotLinearError("other operations")
            known[nodes] = _entry(nodes, entries([n.inputs for n in nodes]))
        except NotLinearError as difference:
            op = nodes[0].op
            raise _not_told(f"{op.name if op else 'an argument'} in {name}", difference) from None
    try:
        results = entries([g.results for g in graphs])
    except NotLinearError as difference:
        raise _not_told(f"a result of {name}", difference) from None
    return Outline(entries([g.arguments for g in graphs]), results, tuple(known.values()), name)


def _not_told(what: str, difference: Any) -> ConfigError:
    return ConfigError(
        f"dynamic_batch: {what} depends on the batch size in another way than lengths do "
        f"({difference}); pass dynamic_batch=False to export for the size of the example only, or "
        "batch_axes with None for arguments without a batch"
    )


def _entry(nodes: Sequence[Node], inputs: tuple[Entry, ...]) -> Entry:
    first = nodes[0]
    return Entry(
        _merged([n.aval for n in nodes]),
        first.op.name if first.op else None,
        inputs,
        {key: _merged([n.params[key] for n in nodes]) for key in first.params},
        _constant([n.value for n in nodes]) if first.is_constant else None,
        first.name,
    )


def _merged(values: Sequence[Any]) -> Any:
    """Return the parameter that has `values` for the batch sizes that were traced."""
    first = values[0]
    if isinstance(first, Graph):
        return outline(values)
    if isinstance(first, Aval):
        return Kind(_merged([v.shape for v in values]), first.dtype, first.weak)
    if isinstance(first, slice):
        ends = [_merged([getattr(v, end) for v in values]) for end in ("start", "stop", "step")]
        return slice(*ends)
    if isinstance(first, tuple):
        if len({len(v) for v in values}) > 1:
            raise NotLinearError("another number of axes")
        parts = [_merged(group) for group in zip(*values, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)
    if is_dataclass(first) and not isinstance(first, type):
        names = [field.name for field in fields(first)]
        return type(first)(*[_merged([getattr(v, name) for v in values]) for name in names])
    if isinstance(first, int) and not isinstance(first, bool):
        return common(values)
    if all(v is first or v == first for v in values[1:]):
        return first
    raise NotLinearError(f"{first!r} and {values[-1]!r}")


def _constant(values: Sequence[Any]) -> Any:
    first = np.asarray(values[0])
    if all(np.array_equal(v, first, equal_nan=first.dtype.kind in "fc") for v in values[1:]):
        return values[0]
    uniform = [_uniform(v) for v in values]
    if all(u is not None for u in uniform):
        return Fill(common(uniform) if len(set(uniform)) > 1 else first.flat[0])
    if all(_counts(np.asarray(v)) for v in values):
        return Fill()
    raise NotLinearError("a constant array")


def _counts(array: Any) -> bool:
    """Whether `array` is 0, 1, 2, ... along one axis."""
    return array.size == max(array.shape, default=0) and bool(
        np.array_equal(array.ravel(), np.arange(array.size))
    )


def _uniform(value: Any) -> Any:
    """Return the one number that all of `value` is, an integer if it is whole; None otherwise."""
    array = np.asarray(value)
    if array.size == 0 or array.dtype.kind not in "fiub" or not np.all(array == array.flat[0]):
        return None
    number = array.flat[0].item()
    return int(number) if number == number // 1 else number
