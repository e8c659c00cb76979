"""The pages for those who come from other libraries: both sides run, and compute the same."""

import re
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "docs" / "coming-from"
PAGES = sorted(FOLDER.glob("*.md"))
SNIPPET = re.compile(r'```python title="([^"]+)"\n(.*?)```', re.DOTALL)
LIBRARIES = {"PyTorch": "torch", "JAX": "jax", "autograd": "autograd", "scikit-learn": "sklearn"}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_snippet_has_its_counterpart(page):
    titles = [title for title, _ in SNIPPET.findall(page.read_text())]
    assert set(titles[::2]) <= LIBRARIES.keys()
    assert len(set(titles[::2])) == 1
    assert set(titles[1::2]) == {"pullback"}
    assert len(titles) % 2 == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_our_side_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for title, code in SNIPPET.findall(page.read_text()):
        if title == "pullback":
            exec(compile(code, str(page), "exec"), namespace)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # their own
@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_equal_names_hold_equal_numbers(page, tmp_path, monkeypatch, request):
    monkeypatch.chdir(tmp_path)
    snippets = SNIPPET.findall(page.read_text())
    module = LIBRARIES[snippets[0][0]]
    if module in ("torch", "jax"):
        request.getfixturevalue(module)
    else:
        pytest.importorskip(module)
    theirs, ours, compared = {}, {}, set()
    for title, code in snippets:
        namespace = ours if title == "pullback" else theirs
        exec(compile(code, f"{page.name}, {title}", "exec"), namespace)
        if title == "pullback":
            compared |= compare(theirs, ours)
    assert len(compared) >= 5


def compare(theirs, ours):
    """Compare the numbers that have the same name on both sides; return these names."""
    names = set()
    for name in theirs.keys() & ours.keys():
        left, right = numbers(theirs[name]), numbers(ours[name])
        if left is not None and right is not None:
            np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6, err_msg=name)
            names.add(name)
    return names


def numbers(value):
    """Return `value` as an array of float64, None where it is something else."""
    value = value.detach() if hasattr(value, "detach") else value
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError):
        return None
