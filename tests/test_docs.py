"""What a user reads runs: the Python blocks of README and docs, in order."""

import re
from pathlib import Path

import pytest

import pullback as pb

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_python_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for block in BLOCK.findall(page.read_text()):
        exec(compile(block, str(page), "exec"), namespace)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"


def test_every_public_name_is_in_a_page():
    """Those of the modules stand for all they hold: tests/test_site.py looks at these."""
    pages = " ".join(page.read_text() for page in PAGES)
    assert {name for name in pb.__all__ if f"::: pullback.{name}" not in pages} == set()
