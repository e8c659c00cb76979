"""What a user reads runs: the Python blocks of README and docs print what the pages show."""

import contextlib
import io
import re
from pathlib import Path

import pytest

import pullback as pb

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"```python\n(.*?)```(?:\n+```text\n(.*?)```)?", re.DOTALL)
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d*)?(?:e[+-]\d+)?")


def agree(shown, printed):
    """Tell whether words are equal and numbers nearly: training rounds as the processor does."""
    if NUMBER.sub("0", shown).split() != NUMBER.sub("0", printed).split():
        return False
    pairs = zip(map(float, NUMBER.findall(shown)), map(float, NUMBER.findall(printed)), strict=True)
    return all(abs(a - b) <= 0.05 * max(abs(a), 1) for a, b in pairs)


def test_outputs_agree_in_words_and_nearly_in_numbers():
    assert agree("error 0.5\n[1. -2e-3]", "error  0.51\n[1. -0.002]")
    assert not agree("error 0.5", "loss 0.5")
    assert not agree("error 0.5", "error 0.7")
    assert not agree("100", "106")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_python_blocks_run_and_print_what_follows_them(page, tmp_path, monkeypatch):
    """A `text` block right after a `python` block is its output."""
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for block, shown in BLOCK.findall(page.read_text()):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block, str(page), "exec"), namespace)
        if shown:
            assert agree(shown, printed.getvalue()), f"shown:\n{shown}\nran:\n{printed.getvalue()}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    prose = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#:]+)[^):]*\)", prose):
        assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"


def test_every_public_name_is_in_a_page():
    """Those of the modules stand for all they hold: tests/test_site.py looks at these."""
    pages = " ".join(page.read_text() for page in PAGES)
    assert {name for name in pb.__all__ if f"::: pullback.{name}" not in pages} == set()
