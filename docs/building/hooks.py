"""What mkdocs does for this site beyond its plugins: the hooks that mkdocs.yml names."""

from __future__ import annotations

import ast
import importlib
import inspect
import operator
import re
from pathlib import Path
from types import ModuleType
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import pullback

ROOT = Path(__file__).parents[2]
LESSON = re.compile(r"\]\((?:\.\./)+examples/(\w+)\.py\)")
NAME = re.compile(r"^::: pullback\.(?P<path>\w+(?:\.\w+)*)$", re.MULTILINE)
MODULE = re.compile(r"^::: pullback\.(?P<path>\w+(?:\.\w+)*)\.\*$", re.MULTILINE)


def mathematics(source: str, *_: Any, **__: Any) -> str:
    """Return LaTeX as MathML, which browsers draw without scripts: the fence ```math."""
    return f'<div class="math">{convert(source, display="block")}</div>'


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Make the fence ```math known, which GitHub draws, too."""
    fences = config.mdx_configs.setdefault("pymdownx.superfences", {})
    fences["custom_fences"] = [{"name": "math", "class": "math", "format": mathematics}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the lessons as pages, and to the menu every page that it does not name."""
    for lesson in sorted((ROOT / "examples").glob("*.py")):
        page = f"examples/{lesson.stem}.md"
        files.append(File.generated(config, page, content=lesson_page(lesson)))
    menu: list[Any] = config.nav or []
    named = set(pages_of(menu))
    more = [f.src_uri for f in files.documentation_pages() if f.src_uri not in named]
    lessons = [page for page in more if page.startswith("examples/")]
    menu.append({"Lessons": lessons})
    if others := sorted(set(more) - set(lessons)):
        menu.append({"More": others})
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Point links to lessons at their pages; write out the names of the reference."""
    up = "../" * page.file.src_uri.count("/")
    markdown = LESSON.sub(rf"]({up}examples/\1.md)", markdown)
    markdown = MODULE.sub(lambda match: names_of(match["path"]), markdown)
    return NAME.sub(lambda match: reference(match["path"]), markdown)


def pages_of(nav: Any) -> list[str]:
    """Return the pages that a menu names, in order."""
    if isinstance(nav, str):
        return [nav]
    parts = nav.values() if isinstance(nav, dict) else nav
    return [page for part in parts for page in pages_of(part)]


def lesson_page(lesson: Path) -> str:
    """Return an example as a page: what it says of itself, then its code."""
    source = lesson.read_text()
    about = ast.get_docstring(ast.parse(source)) or ""
    title = lesson.stem.lstrip("0123456789_").replace("_", " ").capitalize()
    return f"# {title}\n\n{about}\n\n`python examples/{lesson.name}`\n\n```python\n{source}```\n"


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
