"""Reading an ONNX file: checked, and translated into plain data. Nothing in it is run."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pullback.core.errors import FormatError, UnsupportedError
from pullback.interchange.onnx.files import checked_model, graphs
from pullback.interchange.onnx.importing.operators import OPERATORS, SEVERAL

OPSETS = range(13, 29)
"""The operator sets whose operators are those of the table."""
IGNORED = {"momentum", "saturate", "seed", "stash_type", "storage_order"}
"""Attributes that do not change what an operator computes here."""
NUMBERS = "NumPy's floats, integers or booleans"
STATE = "pullback.state"
"""The entry of a model that names the initialisers which are no parameters, but state."""
KNOWN = {
    "activations": {"Relu", "Sigmoid", "Tanh"},
    "approximate": {"none", "tanh"},
    "auto_pad": {"NOTSET", "SAME_LOWER", "SAME_UPPER", "VALID"},
    "direction": {"LEFT", "RIGHT", "bidirectional", "forward", "reverse"},
    "mode": {"CRD", "DCR", "constant", "edge", "reflect", "wrap"},
    "reduction": {"add", "none"},
}
"""The values of attributes that are words."""
GATES = {"GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
"""The activations of recurrent networks that have gates, for one direction."""


@dataclass(frozen=True, slots=True, eq=False)
class Instruction:
    """One node: `operator` of `inputs`, the names of values ("" is left out), to `outputs`."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Declared:
    """What a model says of an input: None for a length that is open."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """A graph: instructions in order, with the arrays that are stored in it."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    instructions: tuple[Instruction, ...]
    arrays: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """What a file holds."""

    body: Body
    declared: tuple[Declared, ...]
    producer: str
    state: frozenset[str]


def read(path: Path) -> Content:
    """Return the content of the ONNX file at `path`.

    Raises FormatError where the file is missing, truncated, foreign or not valid, or names weights
    elsewhere; UnsupportedError for another opset, and for all operators that are not supported.
    """
    model = checked_model(path)
    _check_opset(model, path)
    _check_operators(model.graph, path)
    stored = {t.name for t in model.graph.initializer}
    declared = tuple(
        _declared(value, path) for value in model.graph.input if value.name not in stored
    )
    body = _body(model.graph, path)
    return Content(body, declared, model.producer_name, _state(model, body, path))


# what is supported


def _check_opset(model: Any, path: Path) -> None:
    versions = {entry.domain: entry.version for entry in model.opset_import}
    opset = versions.get("", versions.get("ai.onnx", 0))
    if opset not in OPSETS:
        raise UnsupportedError(
            f"{path}: has operator set {opset}, expected {OPSETS[0]} to {OPSETS[-1]}; "
            "onnx.version_converter.convert_version makes one from the other"
        )


def _check_operators(graph: Any, path: Path) -> None:
    wrong = sorted({w for part in graphs(graph) for node in part.node for w in _unsupported(node)})
    wrong += ["sparse initialisers"] * any(part.sparse_initializer for part in graphs(graph))
    if wrong:
        raise UnsupportedError(
            f"{path}: has operators that pullback does not know: {', '.join(wrong)}"
        )


def _unsupported(node: Any) -> Iterable[str]:
    """Yield what of a node is not supported."""
    from onnx import TensorProto, helper

    name = node.op_type
    if node.domain not in ("", "ai.onnx"):
        yield f"{node.domain}.{name}"
    elif name not in OPERATORS and name != "Constant":
        yield name
    elif name == "Constant":
        kinds = {a.name for a in node.attribute} - {"value", "value_float", "value_floats"}
        yield from (f"Constant with {kind}" for kind in kinds - {"value_int", "value_ints"})
    else:
        if len([o for o in node.output if o]) > 1 and name not in SEVERAL:
            yield f"{name} with {len(node.output)} results"
        if len(node.input) > _most_inputs(OPERATORS[name]):
            yield f"{name} with {len(node.input)} inputs"
        taken = _attributes(OPERATORS[name])
        for attribute in node.attribute:
            key = attribute.name
            if key == "to" and not is_number(helper.tensor_dtype_to_np_dtype(attribute.i)):
                yield f"{name} to {TensorProto.DataType.Name(attribute.i)}"
            elif key in KNOWN and not KNOWN[key].issuperset(_words(attribute)):
                yield f"{name} with {key}={','.join(_words(attribute))}"
            elif key not in taken and key not in IGNORED and not _is_default(node, attribute):
                yield f"{name} with {key}"


def is_number(dtype: np.dtype[Any]) -> bool:
    """Whether NumPy itself has `dtype`, and it is real."""
    return dtype.kind in "fiub" and dtype.isbuiltin == 1


def _most_inputs(function: Callable[..., Any]) -> float:
    if isinstance(function, np.ufunc):
        return function.nin
    kinds = [p.kind for p in inspect.signature(function).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return math.inf
    return len(kinds) - kinds.count(inspect.Parameter.KEYWORD_ONLY)


def _attributes(function: Callable[..., Any]) -> set[str]:
    """Return the attributes that an operator's function takes; older opsets give axes as one."""
    if isinstance(function, np.ufunc):
        return set()
    parameters = inspect.signature(function).parameters
    names = {p.name for p in parameters.values() if p.kind is p.KEYWORD_ONLY}
    return names | ({"axes"} & parameters.keys())


def _words(attribute: Any) -> list[str]:
    words = attribute.strings or [attribute.s]
    return [word.decode(errors="replace") for word in words]


def _is_default(node: Any, attribute: Any) -> bool:
    from onnx import defs, helper

    if attribute.name == "activations":
        gates = GATES.get(node.op_type, [])
        return _words(attribute) in (gates, 2 * gates)
    known = defs.get_schema(node.op_type).attributes.get(attribute.name)
    if known is None or not known.default_value.name:
        return False
    default = helper.get_attribute_value(known.default_value)
    return bool(helper.get_attribute_value(attribute) == default)


# translation


def _body(graph: Any, path: Path) -> Body:
    stored = {t.name: _array(t, path) for t in graph.initializer}
    return Body(
        tuple(v.name for v in graph.input if v.name not in stored),
        tuple(v.name for v in graph.output),
        tuple(_instruction(node, path) for node in graph.node),
        stored,
    )


def _instruction(node: Any, path: Path) -> Instruction:
    from onnx import helper

    attributes = {a.name: _attribute(a, path) for a in node.attribute if a.name not in IGNORED}
    operator = node.op_type
    if operator == "Constant":
        (kind, value), *_ = attributes.items()
        dtypes = {"value_float": np.float32, "value_floats": np.float32}
        array = value if kind == "value" else np.asarray(value, dtypes.get(kind, np.int64))
        return Instruction("Constant", (), tuple(node.output), {"value": array})
    if operator == "Cast":
        attributes["to"] = helper.tensor_dtype_to_np_dtype(attributes["to"])
    if operator == "Split":
        attributes.setdefault("num_outputs", len(node.output))
    function = OPERATORS[operator]
    taken = _attributes(function)
    kept = {name: value for name, value in attributes.items() if name in taken}
    return Instruction(operator, tuple(node.input), tuple(node.output), kept)


def _attribute(attribute: Any, path: Path) -> Any:
    from onnx import GraphProto, TensorProto, helper

    value = helper.get_attribute_value(attribute)
    if isinstance(value, GraphProto):
        return _body(value, path)
    if isinstance(value, TensorProto):
        return _array(value, path)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, (int, float)):
        return value
    return _words(attribute) if attribute.strings else list(value)


def _array(tensor: Any, path: Path) -> Any:
    from onnx import numpy_helper

    if tensor.external_data:  # what onnx itself would go and read
        raise FormatError(f"{path}: keeps a weight of a function in another file")
    try:
        array = numpy_helper.to_array(tensor)
    except Exception as error:  # sizes that do not fit, dtypes that NumPy lacks
        raise FormatError(f"{path}: the array {tensor.name!r} is damaged: {error}") from None
    if not is_number(array.dtype):
        raise UnsupportedError(
            f"{path}: the array {tensor.name!r} is {array.dtype}; expected {NUMBERS}"
        )
    return array


def _state(model: Any, body: Body, path: Path) -> frozenset[str]:
    """Return the arrays that are no parameters, but running statistics."""
    notes = {entry.key: entry.value for entry in model.metadata_props}
    running = {
        name
        for instruction in body.instructions
        if instruction.operator == "BatchNormalization"
        for name in instruction.inputs[3:5]
    }
    try:
        return frozenset(running.union(json.loads(notes.get(STATE, "[]"))))
    except (ValueError, TypeError, RecursionError):
        raise FormatError(f"{path}: its entry {STATE} is damaged") from None


def _declared(value: Any, path: Path) -> Declared:
    from onnx import helper

    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type"):
        raise UnsupportedError(f"{path}: the input {value.name!r} is no array")
    shape = None
    if kind.HasField("shape"):
        dims = kind.shape.dim
        known = [d.HasField("dim_value") and d.dim_value >= 0 for d in dims]
        shape = tuple(d.dim_value if k else None for d, k in zip(dims, known, strict=True))
    dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
    if not is_number(dtype):
        raise UnsupportedError(f"{path}: the input {value.name!r} is {dtype}; expected {NUMBERS}")
    return Declared(value.name, dtype, shape)
