"""How the code becomes pages: doctests are code, names of pages are links, modules dataclasses."""

from __future__ import annotations

import re
from typing import Any

import griffe

DOCTEST = re.compile(r"^>>> .*?(?=\n\s*\n|\Z)", re.DOTALL | re.MULTILINE)
PAGE = re.compile(r"docs/(\w+)\.md")
PARAGRAPH = re.compile(r"(?<!\n)\n(?=(?:Raises |Sources?:|- ))")


def to_markdown(text: str) -> str:
    """Return `text`, a docstring without indentation, as Markdown: see the tests."""
    text = PAGE.sub(r"[\1](../\1.md)", text)
    text = PARAGRAPH.sub("\n\n", text)
    return DOCTEST.sub(lambda test: f"```pycon\n{test[0].rstrip()}\n```", text)


class Docstrings(griffe.Extension):
    """Passes every docstring through `to_markdown`, and tells the arguments of every module."""

    def __init__(self) -> None:
        self.modules = {"Module"}

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of `obj`, before it is parsed."""
        if obj.docstring:
            obj.docstring.value = to_markdown(obj.docstring.value)

    def on_class_members(self, *, cls: griffe.Class, **_: Any) -> None:
        """Mark subclasses of nn.Module as the dataclasses that they are, with plain defaults."""
        if self.modules.isdisjoint(map(str, cls.bases)):
            return
        self.modules.add(cls.name)
        dataclass = griffe.ExprName("dataclasses.dataclass")
        cls.decorators.append(griffe.Decorator(dataclass, lineno=None, endlineno=None))
        for field in cls.attributes.values():
            value = field.value
            if isinstance(value, griffe.ExprCall) and str(value.function) in ("static", "state"):
                field.value = value.arguments[0].value if value.arguments else None
