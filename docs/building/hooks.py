"""What mkdocs does for this site beyond its plugins: the hooks that mkdocs.yml names."""

from __future__ import annotations

import re
from typing import Any

from example_pages import examples, gallery
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from reference_names import written_out

EXAMPLE = re.compile(r"\]\((?:\.\./)+examples/(\w+)\.py\)")


def mathematics(source: str, *_: Any, **__: Any) -> str:
    """Return LaTeX as MathML, which browsers draw without scripts: the fence ```math."""
    return f'<div class="math">{convert(source, display="block")}</div>'


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Make the fence ```math known, which GitHub draws, too."""
    fences = config.mdx_configs.setdefault("pymdownx.superfences", {})
    fences["custom_fences"] = [{"name": "math", "class": "math", "format": mathematics}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the examples as pages, and to the menu every page that it does not name."""
    for example in examples():
        files.append(File.generated(config, example.page, content=example.as_page()))
    menu: list[Any] = config.nav or []
    named = set(pages_of(menu))
    more = [f.src_uri for f in files.documentation_pages() if f.src_uri not in named]
    programs = [example.page for example in examples()]
    menu.append({"Examples": ["gallery.md", *programs]})
    if others := sorted(set(more) - {"gallery.md", *programs}):
        menu.append({"More": others})
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Point links to examples at their pages; write out the gallery and the reference."""
    up = "../" * page.file.src_uri.count("/")
    markdown = EXAMPLE.sub(rf"]({up}examples/\1.md)", markdown)
    markdown = markdown.replace("<!-- examples -->", gallery())
    return written_out(markdown)


def pages_of(nav: Any) -> list[str]:
    """Return the pages that a menu names, in order."""
    if isinstance(nav, str):
        return [nav]
    parts = nav.values() if isinstance(nav, dict) else nav
    return [page for part in parts for page in pages_of(part)]
