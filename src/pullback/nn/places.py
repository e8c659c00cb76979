"""Errors of a layer name its place in the model, such as layers[2].attention.query.

So do the calls that `recorded_calls` collects.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

from pullback.core.errors import DataError, DTypeError, ShapeError
from pullback.nn.calls import caller, named_call, recording

_PLACE = "place"
"""The attribute of an error: the module it last came out of, the path from there, its text."""


def telling_places(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return a module's __call__ whose errors begin with the path to the layer they come from."""

    @functools.wraps(call)
    def telling(self: Any, *args: Any, **options: Any) -> Any:
        try:
            if recording():
                return _recorded(call, self, args, options)
            return call(self, *args, **options)
        except (ShapeError, DTypeError, DataError) as error:
            _extend_path(error, self)
            raise

    return telling


def _recorded(call: Callable[..., Any], module: Any, args: Any, options: Any) -> Any:
    around, kind = caller(), type(module).__name__
    if around is module:  # super().__call__, which is the same call
        return call(module, *args, **options)
    name = "" if around is None else _step(around, module) or kind
    return named_call(name, kind, functools.partial(call, module, **options), *args, module=module)


def _extend_path(error: Exception, module: Any) -> None:
    raised, path, text = getattr(error, _PLACE, (module, "", str(error)))
    step = _step(module, raised) or ""
    path = f"{step}.{path}" if step and path else step or path
    setattr(error, _PLACE, (module, path, text))
    error.args = (f"{path}: {text}" if path else text,)


def _step(node: Any, target: Any) -> str | None:
    """Return how `node`, a module or a container, leads to the module `target` in it."""
    for name, value in _entries(node):
        if value is target:
            return name
        if isinstance(value, list | tuple | dict):
            inner = _step(value, target)
            if inner is not None:
                return name + inner
    return None


def _entries(node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        return ((f"[{key!r}]", value) for key, value in node.items())
    if isinstance(node, list | tuple):
        return ((f"[{i}]", value) for i, value in enumerate(node))
    return ((field.name, getattr(node, field.name)) for field in dataclasses.fields(node))
