"""How docstrings become pages: doctests are code, names of pages are links."""

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
    """Passes every docstring of the package through `to_markdown`."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of `obj`, before it is parsed."""
        if obj.docstring:
            obj.docstring.value = to_markdown(obj.docstring.value)
