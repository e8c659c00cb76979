"""Pytree structures as JSON and back; a class is looked up in a table, never imported by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from pullback.core import pytree
from pullback.core.errors import FormatError
from pullback.interchange.graph.values import decode, encode

LEAF = "*"


def encode_structure(structure: pytree.Structure, classes: Mapping[str, Any]) -> Any:
    """Return `structure` as JSON. Raises FormatError for containers that are not in `classes`."""
    return _encode(pytree.unflatten(structure, [_Leaf()] * structure.num_leaves), classes)


def decode_structure(content: Any, classes: Mapping[str, Any]) -> pytree.Structure:
    """Return the structure that `encode_structure` made `content` of."""
    return pytree.structure(_decode(content, classes))


def known_classes(more: Iterable[Any] = ()) -> dict[str, Any]:
    """Return the containers that files may name: the layers of `pb.nn`, results of NumPy, `more`.

    Raises FormatError unless all of `more` are modules or named tuples of different names.
    """
    from pullback import nn

    offered = [getattr(nn, name) for name in nn.__all__]
    square = np.eye(1)
    results = [np.linalg.qr(square), np.linalg.svd(square), np.linalg.eigh(square)]
    results += [np.linalg.slogdet(square), np.linalg.eig(square)]
    given = [*(type(result) for result in results), *more]
    classes = {cls.__name__: cls for cls in offered if _is_module(cls)}
    for cls in given:
        if not _is_module(cls) and not _is_named_tuple(cls):
            raise FormatError(f"types: expected modules and named tuples, got {cls!r}")
        if classes.setdefault(cls.__name__, cls) is not cls:
            raise FormatError(f"types: two classes have the name {cls.__name__!r}")
    return classes


class _Leaf:
    """Stands for a leaf."""


def _encode(tree: Any, classes: Mapping[str, Any]) -> Any:
    if tree is None:
        return None
    cls = type(tree)
    if cls is _Leaf:
        return LEAF
    if cls in (tuple, list):
        return {cls.__name__: [_encode(child, classes) for child in tree]}
    if cls is dict:
        return {"dict": [[_encode_key(k), _encode(child, classes)] for k, child in tree.items()]}
    if classes.get(cls.__name__) is not cls:
        raise FormatError(
            f"a {cls.__name__} among the arguments or results of a graph has no place in a file: "
            f"give types=({cls.__name__},) on saving and on loading, or trace a function of its "
            "arrays"
        )
    parts = {
        name: encode(getattr(tree, name), _no_graph)
        if name in _static_fields(cls)
        else _encode(getattr(tree, name), classes)
        for name in _fields(cls)
    }
    return {"class": [cls.__name__, parts]}


def _decode(content: Any, classes: Mapping[str, Any]) -> Any:
    if content is None:
        return None
    if content == LEAF:
        return _Leaf()
    if type(content) is not dict or len(content) != 1:
        raise FormatError("expected a container or a leaf among the arguments or results")
    ((kind, inner),) = content.items()
    if type(inner) is list and kind in ("tuple", "list"):
        children = [_decode(child, classes) for child in inner]
        return tuple(children) if kind == "tuple" else children
    if type(inner) is list and kind == "dict":
        return _dict(inner, classes)
    if type(inner) is list and kind == "class" and len(inner) == 2:
        return _object(inner[0], inner[1], classes)
    raise FormatError(f"{kind!r} is no container that a file may hold")


def _object(name: Any, parts: Any, classes: Mapping[str, Any]) -> Any:
    cls = classes.get(name) if type(name) is str else None
    if cls is None:
        raise FormatError(
            f"the class {name!r} of an argument or result is not known: give it in types=(...)"
        )
    if type(parts) is not dict or set(parts) != set(_fields(cls)):
        raise FormatError(f"expected the fields {', '.join(_fields(cls))} of {name}")
    static = _static_fields(cls)
    values = {
        field: decode(parts[field], ()) if field in static else _decode(parts[field], classes)
        for field in _fields(cls)
    }
    if _is_named_tuple(cls):
        return cls(**values)
    module = object.__new__(cls)  # past its checks, which are of arrays
    module.__dict__.update(values)
    return module


def _dict(items: list[Any], classes: Mapping[str, Any]) -> dict[Any, Any]:
    found = {}
    for item in items:
        key = decode(item[0], ()) if type(item) is list and len(item) == 2 else None
        if not _is_key(key) or key in found:
            raise FormatError("expected different keys of a dict, each with what it holds")
        found[key] = _decode(item[1], classes)
    return found


def _encode_key(key: Any) -> Any:
    if not _is_key(key):
        raise FormatError(f"expected strings, numbers or tuples as keys of a dict, got {key!r}")
    return encode(key, _no_graph)


def _is_key(key: Any) -> bool:
    if type(key) is tuple:
        return all(map(_is_key, key))
    return type(key) in (str, int, bool, float)


def _no_graph(graph: Any) -> int:
    raise FormatError("a graph has no place in the structure of another one")


def _is_module(cls: Any) -> bool:
    from pullback.nn import Module

    return isinstance(cls, type) and issubclass(cls, Module)


def _is_named_tuple(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, tuple) and hasattr(cls, "_fields")


def _fields(cls: Any) -> list[str]:
    if _is_named_tuple(cls):
        return list(cls._fields)
    return [field.name for field in dataclasses.fields(cls)]


def _static_fields(cls: Any) -> set[str]:
    if _is_named_tuple(cls):
        return set()
    return {field.name for field in dataclasses.fields(cls) if field.metadata.get("static")}
