"""Imports go down the floors only, `import pullback` stays light, and files stay short."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "pullback"
FLOORS = {
    "core": 0,
    "ops": 1,
    "passes": 2,
    "native": 2,
    "numpy": 3,
    "scipy": 3,
    "transform": 3,
    "nn": 4,
    "optim": 5,
    "train": 5,
    "explain": 6,
    "sklearn": 6,
    "interchange": 6,
    "bench": 6,
    "cli": 7,
}
SAME_FLOOR = {("native", "passes"), ("train", "optim"), ("scipy", "transform")}
FILES = sorted(ROOT.rglob("*.py"))


def imported(path):
    """The sub-packages of pullback that a file imports, with the lines."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write absolute imports"
            names = [node.module]
            if node.module == "pullback":
                names = [f"pullback.{alias.name}" for alias in node.names]
        for name in names:
            if name.split(".")[0] == "pullback":
                yield [*name.split("."), ""][1], node.lineno


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down_the_floors(path):
    home = path.relative_to(ROOT).parts[0]
    if home == "__init__.py":
        return
    for target, line in imported(path):
        where = f"{path.relative_to(ROOT.parent)}:{line}"
        if target == "" and home in ("bench", "cli"):
            continue  # the version; code as a user writes it
        assert target in FLOORS, f"{where}: imports the whole package, import the module instead"
        down = FLOORS[target] < FLOORS[home] or target == home or (home, target) in SAME_FLOOR
        assert down, f"{where}: {home} (floor {FLOORS[home]}) imports {target} ({FLOORS[target]})"


def test_every_folder_stands_on_a_floor():
    assert {p.parent.name for p in ROOT.glob("*/__init__.py")} == set(FLOORS)


def test_import_is_light():
    code = "import sys, pullback; print(' '.join(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(ROOT.parent), "PATH": ""},
    )
    heavy = {"scipy", "pandas", "matplotlib", "rich", "typer", "sklearn", "safetensors"}
    heavy |= {"llvmlite", "numpy.random"}
    assert not heavy & set(result.stdout.split())


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_are_short(path):
    assert len(path.read_text().splitlines()) <= 450
