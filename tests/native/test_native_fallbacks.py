"""The documented list of what the interpreter runs is exact."""

import re
import textwrap
from pathlib import Path

from native_fallbacks import fallbacks

PAGE = Path(__file__).parents[2] / "docs" / "compiler.md"


def documented(dtype):
    return re.search(f"<!-- fallbacks: {dtype} -->\n(.*?)\n<!-- end -->", PAGE.read_text(), re.S)[1]


def paragraph(names):
    return textwrap.fill(", ".join(f"`{n}`" for n in sorted(names)), 140) or "nothing"


def test_the_documented_list_is_what_the_interpreter_runs():
    """Where it is not, print tests/helpers/native_fallbacks.py into docs/compiler.md."""
    real, single, complex_ = (fallbacks(kind) for kind in ("f8", "f4", "c16"))
    assert single == real
    assert documented("f8") == paragraph(real)
    assert documented("c16") == paragraph(complex_ - real)
