"""One HTML file that needs nothing else: no network, no other file."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
import tempfile
import webbrowser
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from pullback.train.files import write_atomically

SCRIPTS = (
    "marks.js",
    "charts.js",
    "layers.js",
    "layout.js",
    "flow.js",
    "drawing.js",
    "facts.js",
    "graph.js",
    "page.js",
)
"""In an order in which each uses only those before it when it is read."""


@dataclass(frozen=True)
class Page:
    """An interactive page: `save` it, `show` it in the browser, or look at it in a notebook.

    What it shows is data to its script, never markup, and its security policy lets it run no other
    script and load nothing, whatever the names and labels in it say.
    """

    title: str
    content: dict[str, Any] = field(repr=False)

    @property
    def html(self) -> str:
        """The whole file as text."""
        script = "\n".join(_resource(name) for name in SCRIPTS)
        style = _resource("style.css")
        policy = (
            f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
            "img-src data:; base-uri 'none'; form-action 'none'"
        )
        return Template(_resource("page.html")).substitute(
            policy=policy,
            title=html.escape(self.title),
            style=style,
            script=script,
            data=_embedded({"title": self.title, **self.content}),
        )

    def save(self, path: str | Path) -> Path:
        """Write the page to `path`, and return it."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, self.html.encode())
        return path

    def show(self) -> Path:
        """Open the page in the browser, from a temporary file, and return its path."""
        path = self.save(Path(tempfile.mkdtemp(prefix="pullback-")) / "page.html")
        webbrowser.open(path.as_uri())
        return path

    def _repr_html_(self) -> str:
        return (
            f'<iframe srcdoc="{html.escape(self.html)}" title="{html.escape(self.title)}" '
            'sandbox="allow-scripts" style="width: 100%; height: 720px; border: 0"></iframe>'
        )


def _resource(name: str) -> str:
    return files("pullback.explain.pages").joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _embedded(content: Any) -> str:
    """Return `content` as JSON that no sign in it can end: <, > and & are written as escapes."""
    text = json.dumps(_finite(content), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _finite(content: Any) -> Any:
    """Return `content` with None for what JSON has no number for, and fewer digits."""
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    if isinstance(content, float):
        return float(f"{content:.6g}") if math.isfinite(content) else None
    return content
