"""An ONNX file, and what lies beside it, as one checked ModelProto. Nothing in it is run.

Weights outside of the file are read from plain files that lie beside it, and from nowhere else.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pullback.core.errors import FormatError, UnsupportedError
from pullback.interchange.onnx.package import require

LARGEST = 2**31 - 1
"""The bytes of one protobuf file."""
MOST_WRITTEN_OUT = 2**24
"""The bytes that functions may be when they are written out wherever they are called."""


def checked_model(path: Path) -> Any:
    """Return the model in the file at `path`, with its weights and without functions.

    Raises FormatError where the file is missing, truncated, foreign or not valid, or names weights
    elsewhere; UnsupportedError where it has more than 2 GiB.
    """
    require("onnx")
    from onnx import checker, inliner

    model = _parsed(path)
    _load_weights(model, path)
    if model.functions:
        _check_functions(model, path)
    try:
        if model.functions:
            model = inliner.inline_local_functions(model)
        checker.check_model(model)
    except Exception as error:  # the checker's own errors, and those of its C++ parts
        raise FormatError(f"{path}: is not a valid ONNX model: {error}") from None
    return model


def _parsed(path: Path) -> Any:
    from google.protobuf.message import DecodeError
    from onnx import ModelProto

    try:
        content = path.read_bytes()
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error.strerror}") from None
    model = ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError:
        model = ModelProto()
    if not model.ir_version or not model.opset_import:
        raise FormatError(f"{path}: expected an ONNX model, but it is truncated or foreign")
    return model


# weights in other files


def _load_weights(model: Any, path: Path) -> None:
    """Put the weights that are stored beside the file at `path` into `model`."""
    from onnx import TensorProto

    left = LARGEST
    for tensor in _tensors(model.graph):
        if tensor.data_location == TensorProto.EXTERNAL:
            entries = {entry.key: entry.value for entry in tensor.external_data}
            tensor.raw_data = _stored_beside(path, tensor.name, entries, left)
            left -= len(tensor.raw_data)
            tensor.data_location = TensorProto.DEFAULT
            del tensor.external_data[:]


def _stored_beside(path: Path, name: str, entries: Mapping[str, str], most: int) -> bytes:
    location = entries.get("location", "")
    file = path.parent / location
    if not location or Path(location).name != location or "\\" in location or file.is_symlink():
        raise FormatError(
            f"{path}: keeps the weight {name!r} in {location!r}; expected the name of a file that "
            "lies beside the model itself, without folders or links"
        )
    try:
        size = file.stat().st_size
        offset = int(entries.get("offset", 0))
        length = int(entries.get("length", size - offset))
        if not 0 <= offset <= offset + length <= size or not file.is_file():
            raise ValueError
        if length > most:
            raise UnsupportedError(f"{path}: has weights of more than 2 GiB; onnx checks no more")
        with file.open("rb") as stream:
            stream.seek(offset)
            return stream.read(length)
    except (OSError, ValueError):
        raise FormatError(
            f"{path}: keeps the weight {name!r} in {location}, which is missing or truncated"
        ) from None


def graphs(graph: Any) -> Iterable[Any]:
    """Yield `graph` and all graphs in its attributes."""
    yield graph
    for node in graph.node:
        for inner in _inner(node):
            yield from graphs(inner)


def _inner(node: Any) -> Iterable[Any]:
    """Yield the graphs in the attributes of a node."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _tensors(graph: Any) -> Iterable[Any]:
    for part in graphs(graph):
        yield from part.initializer
        for node in part.node:
            for attribute in node.attribute:
                yield from attribute.tensors
                if attribute.HasField("t"):
                    yield attribute.t


# functions


def _check_functions(model: Any, path: Path) -> None:
    """Refuse functions that call each other so often that few bytes become very many."""

    def key(domain: str, name: str, overload: str) -> tuple[str, str, str]:
        return ("" if domain == "ai.onnx" else domain, name, overload)

    bodies = {key(f.domain, f.name, f.overload): f.node for f in model.functions}

    def written_out(node: Any) -> int:
        called = key(node.domain, node.op_type, node.overload)
        inner = sum(map(written_out, (n for g in _inner(node) for n in g.node)))
        return int(node.ByteSize()) + inner + (body(called) if called in bodies else 0)

    @functools.cache
    def body(called: tuple[str, str, str]) -> int:
        return sum(map(written_out, bodies[called]))

    try:
        total = sum(map(written_out, model.graph.node))
    except RecursionError:
        raise FormatError(
            f"{path}: its functions call each other too deep, or without end"
        ) from None
    if total > MOST_WRITTEN_OUT + model.ByteSize():
        raise FormatError(
            f"{path}: its functions, written out where they are called, have {total} bytes; "
            f"expected at most {MOST_WRITTEN_OUT}"
        )
