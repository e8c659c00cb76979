"""What mkdocs does for this site beyond its plugins: the hooks that mkdocs.yml names."""

from __future__ import annotations

import posixpath
import re
from typing import Any

from example_pages import examples, gallery
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from reference_names import written_out

LINK = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+[^)#]+)\)")


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
    programs = [example.story or example.page for example in examples()]
    menu.append({"Examples": ["gallery.md", *programs]})
    listed = {"gallery.md", *programs, *(example.page for example in examples())}
    if others := sorted(set(more) - listed):
        menu.append({"More": others})
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Keep links within the site; write out the gallery and the reference."""
    markdown = LINK.sub(lambda link: within_site(link, page.file.src_uri), markdown)
    markdown = markdown.replace("<!-- examples -->", gallery())
    return written_out(markdown)


def within_site(link: re.Match[str], source: str) -> str:
    """Return a link of the page `source`: to an example's page, or a name, if it leaves docs/."""
    target = posixpath.normpath(posixpath.join("docs", posixpath.dirname(source), link[2]))
    if target.startswith("docs/"):
        return link[0]
    if not re.fullmatch(r"examples/\w+\.py", target):
        return f"{link[1]} (`{target}`)"
    up = "../" * source.count("/")
    return f"[{link[1]}]({up}{target.removesuffix('.py')}.md)"


def pages_of(nav: Any) -> list[str]:
    """Return the pages that a menu names, in order."""
    if isinstance(nav, str):
        return [nav]
    parts = nav.values() if isinstance(nav, dict) else nav
    return [page for part in parts for page in pages_of(part)]
