"""The names of the reference: what its pages say in a line, written out for mkdocstrings.

`::: pullback.grad` describes one name; `::: pullback.nn.*` all public names of a module.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import operator
import re
from types import ModuleType

import pullback

NAME = re.compile(r"^::: pullback\.(?P<path>\w+(?:\.\w+)*)$", re.MULTILINE)
MODULE = re.compile(r"^::: pullback\.(?P<path>\w+(?:\.\w+)*)\.\*$", re.MULTILINE)


def written_out(markdown: str) -> str:
    """Return `markdown` with all modules and names written out."""
    markdown = MODULE.sub(lambda match: names_of(match["path"]), markdown)
    return NAME.sub(lambda match: reference(match["path"]), markdown)


def names_of(path: str) -> str:
    """Return the public names of a module, under a heading for each file that they come from."""
    module = operator.attrgetter(path)(pullback)
    left = [name for name in getattr(module, "__all__", []) if has_entry(module, name)]
    groups = {}
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ImportFrom) and node.module and "pullback." in node.module:
            names = [alias.name for alias in node.names if alias.name in left]
            left = [name for name in left if name not in names]
            groups[node.module] = names
    sections = [entries(path, left)]
    for source, names in groups.items():
        if names:
            sections += [f"## {summary(source)}", entries(path, names)]
    return "\n\n".join(sections)


def has_entry(module: ModuleType, name: str) -> bool:
    """Tell whether a name is described with its module: modules are not, nor names that pb has."""
    value = getattr(module, name)
    return not inspect.ismodule(value) and getattr(pullback, name, None) is not value


def reference(path: str) -> str:
    """Return what makes mkdocstrings describe a name, as readers call it, from where it is defined.

    A function may have the name of the file that it is in, as `pb.scan` has, which would be found
    in its place.
    """
    value = operator.attrgetter(path)(pullback)
    home = getattr(value, "__module__", None) or ""
    real = f"{home}.{value.__qualname__}" if home.startswith("pullback.") else f"pullback.{path}"
    return f"::: {real}\n    options:\n      heading: pb.{path}"


def entries(path: str, names: list[str]) -> str:
    """Return the lines that mkdocstrings replaces by the names of a module."""
    return "\n\n".join(f"::: pullback.{path}.{name}" for name in names)


def summary(module: str) -> str:
    """Return what a module says of itself in its first line, up to the first colon."""
    first = str(importlib.import_module(module).__doc__).partition("\n")[0]
    return re.sub(r"^Floor \d, ", "", first).partition(":")[0].rstrip(".")
