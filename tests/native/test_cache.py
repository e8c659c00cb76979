"""The disk cache: code is found again, damaged and foreign entries are made anew."""

import os
import subprocess
import sys

import numpy as np
import pytest

import pullback as pb
from pullback.native import cache, engine, program

X = np.linspace(0.0, 1.0, 7)


@pytest.fixture
def compilations(tmp_path, monkeypatch):
    """How often LLVM ran, with the cache in a folder of the test's own."""
    monkeypatch.setenv("PULLBACK_CACHE", str(tmp_path / "cache"))
    ran = []

    class Counted(engine.Compilation):
        def __init__(self, assembly):
            ran.append(assembly)
            super().__init__(assembly)

    monkeypatch.setattr(program, "Compilation", Counted)
    return ran


def run():
    np.testing.assert_allclose(pb.compile(lambda x: np.tanh(x) * 3)(X), np.tanh(X) * 3)


def entries():
    return sorted(cache.folder().iterdir())


def test_code_is_compiled_once(compilations):
    run()
    run()
    assert len(compilations) == 1
    assert len(entries()) == 1
    assert entries()[0].stat().st_mode & 0o077 == 0


def test_it_does_not_depend_on_the_process(compilations):
    source = (
        "import numpy as np, pullback as pb;"
        "pb.compile(lambda x: np.exp(x) @ np.ones((7, 90)) @ np.ones((90, 80)))(np.ones((9, 7)))"
    )
    path = os.pathsep.join(sys.path)
    for _ in range(2):
        subprocess.run(
            [sys.executable, "-c", source], check=True, env=os.environ | {"PYTHONPATH": path}
        )
    assert len(entries()) == 1


@pytest.mark.parametrize("damage", [b"", b"nothing", None])
def test_a_damaged_entry_is_made_anew(compilations, damage):
    run()
    (entry,) = entries()
    content = entry.read_bytes()
    entry.write_bytes(content[:-1] + b"?" if damage is None else damage)
    run()
    assert len(compilations) == 2
    assert entries()[0].read_bytes() == content


def test_without_a_folder_that_can_be_written_it_still_compiles(
    compilations, monkeypatch, tmp_path
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PULLBACK_CACHE", str(tmp_path / "file" / "below"))
    run()
    assert len(compilations) == 1


def test_it_can_be_turned_off(compilations, monkeypatch):
    monkeypatch.setenv("PULLBACK_CACHE", "off")
    run()
    run()
    assert len(compilations) == 2
