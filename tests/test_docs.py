"""What a user reads runs: the Python blocks of README and docs, in order."""

import re
from pathlib import Path

import pytest

import pullback as pb

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_python_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for block in BLOCK.findall(page.read_text()):
        exec(compile(block, str(page), "exec"), namespace)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_public_name_is_in_a_page():
    pages = " ".join(page.read_text() for page in PAGES)
    modules = [pb, pb.nn, pb.optim, pb.random, pb.train, pb.explain]
    names = {name for module in modules for name in module.__all__}
    plain = {"Initialiser", "Key", "LearningRate", "Schedule"}  # names of types
    assert {name for name in names - plain if not re.search(rf"\b{name}\b", pages)} == set()
