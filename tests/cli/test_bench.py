"""`pullback bench`: what is compared, what is refused, and the files that are left."""

import csv
import json
import os
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest

from pullback.bench import Comparison, Task, Timing, ceilings, compare, tasks
from pullback.bench.child import decoded, environment
from pullback.bench.loops import BY_HAND
from pullback.bench.report import draw, write_csv
from pullback.bench.science import EXAMPLES
from pullback.cli.bench import duration, remarks, table
from pullback.core.errors import ComparisonError


def task(**peers):
    ours = {"pullback": lambda: lambda: [np.arange(3.0), 1.0]}
    return Task("three", "three numbers", ours | peers)


def quick(task):
    return compare(task, rounds=2, seconds=0.0)


def missing():
    raise ModuleNotFoundError("No module named 'other'", name="other")


def failing():
    raise RuntimeError("no such device\nand more")


def test_all_peers_are_timed_and_their_ratio_is_theirs_over_ours():
    found = quick(task(other=lambda: lambda: [np.arange(3.0), 1.0]))
    assert list(found.timings) == ["pullback", "other"]
    assert all(0 < timing.minimum <= timing.median for timing in found.timings.values())
    assert found.ratio("pullback") == 1
    assert found.cost is None


def test_peers_that_are_missing_or_fail_are_named_with_the_reason():
    found = quick(task(other=missing, broken=failing))
    assert found.left_out == {
        "other": "other is not installed",
        "broken": "RuntimeError: no such device",
    }
    assert remarks([found]) == [
        "three: other left out: other is not installed",
        "three: broken left out: RuntimeError: no such device",
    ]


@pytest.mark.parametrize(
    "result",
    [[np.arange(3.0), 1.1], [np.arange(3.0)], [np.arange(4.0), 1.0], [np.full(3, np.nan), 1.0]],
    ids=["value", "count", "shape", "nan"],
)
def test_a_peer_that_computes_something_else_is_an_error(result):
    with pytest.raises(ComparisonError, match="three: other"):
        quick(task(other=lambda: lambda: result))


def test_later_steps_of_a_peer_have_to_agree_too():
    steps = iter([1.0, 1.0, 2.0])
    with pytest.raises(ComparisonError, match="got 2"):
        quick(
            Task(
                "steps",
                "the third differs",
                {"pullback": lambda: lambda: 1.0, "other": lambda: lambda: next(steps)},
            )
        )


def test_a_failure_of_ours_is_not_left_out():
    with pytest.raises(RuntimeError, match="no such device"):
        quick(Task("broken", "ours fails", {"pullback": failing}))


def test_a_task_that_counts_its_work_is_compared_with_the_products_alone():
    a, b = np.random.default_rng(0).random((2, 256, 256), np.float32)
    found = quick(Task("a", "a", {"pullback": lambda: lambda: a @ b}, flops=2 * 256**3))
    assert 0 < found.share("pullback") < 1.5
    assert found.share("pullback") == found.ceiling / found.timings["pullback"].minimum
    assert list(found.timings) == ["pullback"]
    assert quick(task()).share("pullback") is None


def test_the_ceiling_is_the_longer_of_products_and_copies():
    taken = {ceilings.BY_US: 2.0, ceilings.BY_NUMPY: 1.0, ceilings.COPY: 4.0}
    product, copy = 2 * ceilings.SIDE**3, 2 * ceilings.COPIED
    assert ceilings.seconds(product, 0, taken) == 1
    assert ceilings.seconds(product / 2, copy, taken) == 4


def test_comparisons_survive_the_way_from_the_child():
    times = {"pullback": Timing(1.0, 2.0)}
    found = Comparison("t", times, {"jax.jit": "why"}, Timing(0.5, 0.5), 0.75)
    assert decoded(json.loads(json.dumps(asdict(found)))) == found
    assert found.cost == 2


def test_every_library_gets_the_same_number_of_threads():
    counts = {v for k, v in environment(2).items() if k.endswith(("THREADS", "NPROC"))}
    assert counts == {"2"}


def test_the_table_and_the_files_hold_every_peer(tmp_path):
    pytest.importorskip("matplotlib")
    found = [
        Comparison("a", {"pullback": Timing(1e-5, 2e-5), "jax.jit": Timing(3e-5, 4e-5)}),
        Comparison("b", {"pullback": Timing(1.0, 2.0)}, {"jax.jit": "not installed"}),
    ]
    assert table(found, 1).row_count == 3
    write_csv(found, tmp_path / "results.csv")
    with (tmp_path / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["task"], row["peer"]) for row in rows] == [
        ("a", "pullback"), ("a", "jax.jit"), ("b", "pullback"), ("b", "jax.jit"),
    ]  # fmt: skip
    assert float(rows[1]["ratio"]) == pytest.approx(3)
    assert rows[3]["left out"] == "not installed"
    draw(found, tmp_path / "bench.png", "title")
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")


def test_times_have_units():
    assert [duration(s) for s in (2e-6, 2e-3, 2.0)] == ["2.00 us", "2.000 ms", "2.000 s"]


def test_tasks_have_names_of_their_own_and_pullback_among_the_peers():
    for name, found in tasks().items():
        assert found.name == name
        assert "pullback" in found.peers


@pytest.mark.parametrize("name", ["bundle", "ode", "horner", "bodies", "mixture"])
def test_science_is_the_same_text_for_both(jax, name):
    full = tasks()[name]
    peers = {peer: full.peers[peer] for peer in ("pullback", "jax.jit")}
    found = compare(Task(name, "", peers, full.tolerance), rounds=1, seconds=0.0)
    assert set(found.timings) == set(peers)


@pytest.mark.parametrize("name", ["sgd-784-30-10", "adam-784-30-10"])
def test_networks_are_the_same_by_hand(name):
    full = tasks()[name]
    peers = {peer: full.peers[peer] for peer in ("pullback", "NumPy by hand", "scikit-learn")}
    assert set(compare(Task(name, "", peers), rounds=1, seconds=0.0).timings) == set(peers)


@pytest.mark.parametrize("name", list(BY_HAND))
def test_loops_by_hand_compute_the_same(name):
    inputs = EXAMPLES[name][2](np.random.default_rng(0))
    peers = {
        "pullback": tasks()[name].peers["pullback"],
        "by hand": lambda: lambda: BY_HAND[name](*inputs),
    }
    assert len(compare(Task(name, "", peers, 1e-8), rounds=1, seconds=0.0).timings) == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lstm", "gpt"])
def test_sequences_are_the_same_in_torch(torch, name):
    assert len(compare(tasks()[name], rounds=1, seconds=0.0).timings) == 2


def command(*args, cwd, check=0):
    result = subprocess.run(
        [sys.executable, "-m", "pullback.cli.main", "bench", *args],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "100"},
        timeout=120,
    )
    assert result.returncode == check, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    return result.stdout + result.stderr


def test_the_command_writes_its_files(tmp_path):
    said = command("ode", "--rounds", "1", "--out", "found", cwd=tmp_path)
    assert "1 thread" in said
    assert "value and gradient take" in said
    assert (tmp_path / "found" / "results.csv").stat().st_size > 0


def test_unknown_tasks_are_refused_with_the_known_ones(tmp_path):
    said = command("gtp", cwd=tmp_path, check=2)
    assert "got 'gtp'" in said
    assert "lstm, gpt" in said
    assert not (tmp_path / "runs").exists()


def test_the_list_names_every_task(tmp_path):
    said = command("--list", cwd=tmp_path)
    assert all(name in said for name in tasks())
