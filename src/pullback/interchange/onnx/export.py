"""A function or a model of pullback as an ONNX model."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pullback.core import pytree
from pullback.core.aval import Aval, aval_of
from pullback.core.errors import ConfigError, DTypeError, UnsupportedError
from pullback.core.graph import Graph
from pullback.core.op import Op
from pullback.core.tracing import GraphTrace, argument_names, trace, trace_by, user_line
from pullback.interchange.onnx.exporting.translate import declared, missing_rules, translate
from pullback.interchange.onnx.files import LARGEST
from pullback.interchange.onnx.model import OnnxModel
from pullback.interchange.onnx.outline import Outline, outline
from pullback.interchange.onnx.package import require
from pullback.interchange.onnx.reading import STATE
from pullback.interchange.onnx.sizes import BATCHES
from pullback.interchange.onnx.writer import Names, Value, Writer, tensor
from pullback.nn.module import Module, is_state
from pullback.train.files import write_atomically

OPSETS = range(18, 24)
"""The operator sets that the rules are written for."""


def export_onnx(
    function: Callable[..., Any],
    *example_args: Any,
    path: str | Path,
    opset: int = 18,
    dynamic_batch: bool = True,
    batch_axes: Any = 0,
    notes: Mapping[str, str] | None = None,
) -> Path:
    """Write `function` as an ONNX model to `path`, and return the path.

    `function` is a model of `pb.nn`, whose parameters become initialisers with the names of their
    places ("layers.0.weight"), or any function that `pb.trace` takes. It is traced for arguments
    of the shapes and dtypes of `example_args`, pytrees of arrays; inputs are named after its
    parameters. With `dynamic_batch`, the model takes batches of any size: the first axis of each
    argument, or the one that `batch_axes` gives as vmap's in_axes does (None: no batch). The
    function is then traced for several sizes, and lengths that grow with them are computed.
    `notes` are kept in the file as they are, for those who read it. The model is checked with
    onnx.checker before it is written.

    Raises UnsupportedError for an operation without a rule, naming it and the line that calls it;
    ConfigError where the function depends on the batch size in another way than lengths do, or
    `opset` is not one of 18 to 23, or a note is no text; DTypeError for complex numbers.

    >>> import tempfile, numpy as np, pullback as pb
    >>> model = pb.nn.mlp(pb.random.key(0), [3, 8, 2])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export_onnx(model, np.ones((1, 3), np.float32), path=f"{folder}/model.onnx").name
    'model.onnx'
    """
    onnx = require("onnx")
    if opset not in OPSETS:
        raise ConfigError(f"opset: expected {OPSETS[0]} to {OPSETS[-1]}, got {opset}")
    for key, note in (notes or {}).items():
        if key == STATE or not isinstance(note, str):
            raise ConfigError(f"notes: expected texts, by other names than {STATE!r}, got {key!r}")
    subject = _subject(function, example_args)
    axes = _axes(example_args, batch_axes) if dynamic_batch else ()
    graphs = _traced(subject, example_args, axes)
    _check_operations(outline(graphs[:1]), subject, example_args)
    graph = outline(graphs)
    _check_dtypes(graph)
    model = _model(graph, _output_names(graphs[0]), subject, axes, opset)
    state = {STATE: json.dumps(subject.state_names)} if subject.state_names else {}
    onnx.helper.set_model_props(model, {**(notes or {}), **state})
    if model.ByteSize() > LARGEST:
        raise UnsupportedError("export_onnx: the model is larger than 2 GiB, which ONNX files hold")
    onnx.checker.check_model(model, full_check=True)
    write_atomically(Path(path), model.SerializeToString())
    return Path(path)


def _traced(
    subject: _Subject, example_args: Sequence[Any], axes: Sequence[int | None]
) -> list[Graph]:
    """Return the graph for the example, or one for each size of the batch."""

    def traced(args: Any) -> Graph:
        return trace(subject.call, subject.parameters, *args)

    if all(axis is None for axis in axes):
        return [traced(example_args)]
    size = BATCHES[0]
    try:
        return [traced(_resized(example_args, axes, size := n)) for n in BATCHES]
    except (ValueError, TypeError) as error:
        traced(example_args)  # if that fails, too, its error is the one to see
        raise ConfigError(
            f"dynamic_batch: the function does not take batches of {size} examples: {error} "
            "(Give batch_axes, with None for arguments without a batch, or pass "
            "dynamic_batch=False to export for the shape of the example only)"
        ) from error


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is exported: `call(parameters, *arguments)`, with the names of both."""

    call: Callable[..., Any]
    parameters: list[Any]
    parameter_names: list[str]
    input_names: list[str]
    state_names: list[str]


def _subject(function: Callable[..., Any], example_args: Sequence[Any]) -> _Subject:
    if not isinstance(function, Module):
        inputs = argument_names(inspect.unwrap(function), example_args)
        return _Subject(_named_as(function, lambda _, *args: function(*args)), [], [], inputs, [])
    leaves, structure = pytree.flatten(function)

    def call(leaves: list[Any], *args: Any) -> Any:
        return pytree.unflatten(structure, leaves)(*args)

    inputs = argument_names(inspect.unwrap(type(function).__call__), (None, *example_args))
    names = [readable(path) for path in pytree.paths(function)]
    if isinstance(function, OnnxModel):  # whose parameters keep the names they came with
        names = [name.partition(".")[2] for name in names]
    running = [
        name for name, is_running in zip(names, is_state(function), strict=True) if is_running
    ]
    return _Subject(_named_as(type(function), call), leaves, names, inputs, running)


def _named_as(origin: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    function.__name__ = getattr(origin, "__name__", "graph")
    return function


def readable(path: str) -> str:
    """Return the path of a leaf as a name.

    >>> readable("*.layers[0]['a'].weight")
    'layers.0.a.weight'
    """
    dotted = path.removeprefix("*").replace("['", ".").replace("']", "")
    return dotted.replace("[", ".").replace("]", "").removeprefix(".")


def _axes(example_args: Sequence[Any], batch_axes: Any) -> tuple[int | None, ...]:
    """Return the batch axis of each leaf of the arguments; None for those without a batch."""
    each = isinstance(batch_axes, (tuple, list))
    prefix = tuple(batch_axes) if each else (batch_axes,) * len(example_args)
    axes = pytree.spread_prefix(prefix, tuple(example_args), "batch_axes")
    shapes = [aval_of(leaf).shape for leaf in pytree.leaves(tuple(example_args))]
    found = [axis if shape else None for axis, shape in zip(axes, shapes, strict=True)]
    sizes = set()
    for axis, shape in zip(found, shapes, strict=True):
        if axis is not None:
            if not isinstance(axis, int) or not 0 <= axis < len(shape):
                raise ConfigError(
                    f"batch_axes: expected an axis of an argument of shape {shape} from 0 on, or "
                    f"None, got {axis!r}"
                )
            sizes.add(shape[axis])
    if len(sizes) > 1:
        raise ConfigError(
            f"batch_axes: the arguments have batches of {' and '.join(map(str, sorted(sizes)))} "
            "examples; give None for an argument without a batch, e.g. batch_axes=(0, None), or "
            "pass dynamic_batch=False"
        )
    return tuple(found)


def _resized(example_args: Sequence[Any], axes: Sequence[int | None], size: int) -> Any:
    """Return what the arguments are with `size` examples."""
    leaves, structure = pytree.flatten(tuple(example_args))
    shapes = [list(aval_of(leaf).shape) for leaf in leaves]
    for shape, axis in zip(shapes, axes, strict=False):
        if axis is not None:
            shape[axis] = size
    avals = [Aval(s, aval_of(leaf).dtype) for s, leaf in zip(shapes, leaves, strict=True)]
    return pytree.unflatten(structure, avals)


class _Places(GraphTrace):
    """Notes the lines of the user that call the operations `wanted`."""

    def __init__(self, wanted: set[str]) -> None:
        super().__init__()
        self._wanted = wanted
        self.found: dict[str, str] = {}

    def process(self, op: Op, args: tuple[Any, ...], params: Mapping[str, Any]) -> Any:
        if op.name in self._wanted:
            self.found.setdefault(op.name, user_line())
        return super().process(op, args, params)


def _check_operations(graph: Outline, subject: _Subject, example_args: Sequence[Any]) -> None:
    missing = missing_rules(graph)
    if missing:
        places = _Places(missing)
        trace_by(places, subject.call, subject.parameters, *example_args)
        lines = [f"{name} ({places.found.get(name, 'inside a loop')})" for name in sorted(missing)]
        raise UnsupportedError(
            f"export_onnx: ONNX has no counterpart of {', '.join(lines)}. Compute it outside of "
            "the exported function, or from other operations"
        )


def _check_dtypes(graph: Outline) -> None:
    for entry in graph.entries:
        for kind in entry.kind if isinstance(entry.kind, tuple) else (entry.kind,):
            if kind.dtype.kind not in "fiub":
                what = f"the result of {entry.op}" if entry.op else entry.name or "a constant"
                raise DTypeError(
                    f"export_onnx: {what} is {kind.dtype}; expected floats, integers or booleans, "
                    "which ONNX computes with"
                )


def _model(
    graph: Outline,
    output_names: Sequence[str],
    subject: _Subject,
    axes: Sequence[int | None],
    opset: int,
) -> Any:
    """Return the ModelProto of `graph`, whose first arguments are the parameters."""
    from onnx import helper

    names = Names()
    labels = [*subject.parameter_names, *map(readable, subject.input_names)]
    arguments = [
        Value(names.new(label), entry.dtype)
        for label, entry in zip(labels, graph.arguments, strict=True)
    ]
    count = len(subject.parameters)
    initialisers, inputs = arguments[:count], arguments[count:]
    batched = [(x, axis) for x, axis in zip(inputs, axes, strict=False) if axis is not None]
    outputs = [names.new(name) for name in output_names]
    writer = Writer(names, *batched[:1])
    results = translate(writer, graph, arguments)
    named = [writer.name(result, name) for name, result in zip(outputs, results, strict=True)]
    body = helper.make_graph(
        writer.nodes,
        graph.name,
        [declared(x, e.shape) for x, e in zip(inputs, graph.arguments[count:], strict=True)],
        [declared(y, e.shape) for y, e in zip(named, graph.results, strict=True)],
        [tensor(a, name) for name, a in zip(initialisers, subject.parameters, strict=True)],
    )
    versions = [helper.make_opsetid("", opset)]
    return helper.make_model(
        body,
        opset_imports=versions,
        ir_version=helper.find_min_ir_version_for(versions),
        producer_name="pullback",
    )


def _output_names(graph: Graph) -> list[str]:
    """Return "output", with the path in what the function returns: "output.logits"."""
    tree = pytree.unflatten(graph.out_tree, [0] * len(graph.results))
    return [f"output.{readable(p)}".removesuffix(".") for p in pytree.paths(tree)]
