"""The documentation site: it builds, links lead somewhere, nothing is fetched or missing."""

import html
import importlib.util
import inspect
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import pullback as pb

ROOT = Path(__file__).parents[1]
FETCHED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}


class Page(HTMLParser):
    """What the tests ask of a page: where it points, what it fetches, which anchors it has."""

    def __init__(self, text):
        super().__init__()
        self.links, self.fetched, self.anchors = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.anchors.update(attributes[key] for key in ("id", "name") if key in attributes)
        if tag == "a" and attributes.get("href"):
            self.links.append(attributes["href"])
        if tag in FETCHED and attributes.get(FETCHED[tag]):
            self.fetched.append(attributes[FETCHED[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The pages of the site, by path, built in strict mode."""
    for package in ("mkdocs", "material", "mkdocstrings", "latex2mathml"):
        pytest.importorskip(package, reason="the extra `docs` is not installed")
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    return {path: Page(path.read_text()) for path in sorted(folder.rglob("*.html"))}


def test_links_and_anchors_of_the_site_exist(site):
    missing = []
    for path, page in site.items():
        if path.name == "404.html":  # its links begin at the root of a server
            continue
        for link in page.links + page.fetched:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            anchors = site[target].anchors if target in site else {unquote(parts.fragment)}
            if not target.exists() or (parts.fragment and unquote(parts.fragment) not in anchors):
                missing.append(f"{path.name}: {link}")
    assert not missing


def test_the_site_fetches_nothing_from_other_hosts(site):
    foreign = {
        link
        for page in site.values()
        for link in page.fetched
        if urlsplit(link).netloc and not link.startswith("data:")
    }
    assert foreign == set()
    folder = next(iter(site)).parent
    sheets = [sheet.read_text() for sheet in folder.rglob("*.css")]
    assert not any(re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", sheet) for sheet in sheets)


def test_every_public_name_is_in_the_reference(site):
    text = " ".join(p.read_text() for p in site if p.parent.name == "reference")
    headings = set(re.findall(r'class="doc doc-heading">\s*(pb[\w.]*)', text))
    public = {name: getattr(pb, name) for name in pb.__all__}
    modules = {name: value for name, value in public.items() if inspect.ismodule(value)}
    names = {f"pb.{name}" for name in public.keys() - modules.keys()}
    for path in modules.keys() - {"numpy", "scipy"}:  # pages of their own list these
        for name in getattr(modules[path], "__all__", ()):
            value = getattr(modules[path], name)
            if not inspect.ismodule(value) and public.get(name) is not value:
                names.add(f"pb.{path}.{name}")
    assert names - headings == set()


def test_the_reference_tells_the_arguments_of_every_layer(site):
    (path,) = [path for path in site if path.name == "nn.html"]
    text = html.unescape(re.sub(r"<[^>]+>|\s", "", path.read_text()))
    classes = set(filter(inspect.isclass, vars(pb.nn).values())) - {pb.nn.Module}
    for layer in [value for value in classes if issubclass(value, pb.nn.Module)]:
        arguments = list(inspect.signature(layer).parameters)
        (told,) = re.findall(rf"pb\.nn\.{layer.__name__}(?:dataclass)?¶(\w*\(.*?\))", text)
        assert told.startswith(f"{layer.__name__}(")
        assert re.findall(r"(\w+):", told) == arguments


def test_docstrings_become_markdown():
    pytest.importorskip("griffe", reason="the extra `docs` is not installed")
    path = ROOT / "docs" / "building" / "docstrings.py"
    spec = importlib.util.spec_from_file_location("docstrings", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = "Return x, see docs/memory.md.\nRaises E for\n- x.\n\n>>> f(1)\n1\n\n>>> f(2)\n2\n"
    assert module.to_markdown(text) == (
        "Return x, see [memory](../memory.md).\n\nRaises E for\n\n- x.\n\n"
        "```pycon\n>>> f(1)\n1\n```\n\n```pycon\n>>> f(2)\n2\n```"
    )
