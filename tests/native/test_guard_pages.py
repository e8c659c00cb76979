"""Compiled code reads and writes nothing but its arrays: the tests run between protected pages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ELSEWHERE = {
    "test_guard_pages", "test_cache", "test_donation", "test_freed_programs", "test_interrupts",
    "test_native_memory", "test_native_threads", "test_rooms", "test_team", "test_team_ends",
}  # fmt: skip
"""Processes of their own, and what asks where arrays are or how much memory there is."""
FILES = sorted(str(p) for p in HERE.glob("test_*.py") if p.stem not in ELSEWHERE)
CONTROL = """
import guard_pages, numpy as np
x = guard_pages.empty((5,), np.float64)
import ctypes
print(x.sum(), flush=True)
ctypes.c_double.from_address(x.ctypes.data + {beyond}).value
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs mprotect")
@pytest.mark.parametrize(("side", "beyond"), [("before", -8), ("after", 40)])
def test_no_byte_outside_of_an_array_is_touched(side, beyond):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "GUARD": side}

    def run(*args):
        return subprocess.run(
            [sys.executable, *args], env=environment, text=True, capture_output=True
        )

    control = run("-c", CONTROL.format(beyond=beyond))
    assert "nan" in control.stdout
    assert control.returncode < 0  # the pages are protected indeed
    found = run("-m", "pytest", "-q", "-x", "-m", "not slow", "-p", "guard_pages", "-p",
                "no:cacheprovider", *FILES)  # fmt: skip
    assert found.returncode == 0, found.stdout[-5000:] + found.stderr[-5000:]
