"""`pullback bench`: the same computations by us and by the libraries that are installed."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pullback.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.table import Table

    from pullback.bench import Comparison


def bench(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[TASK]...", help="Default: all; see --list.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads for every library.")] = 1,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds, of which the fastest counts.")] = 10,
    out: Annotated[Path, typer.Option(help="Folder for results.csv and bench.png.")] = Path(
        "runs/bench"
    ),
    show: Annotated[bool, typer.Option("--list", help="Name the tasks, and end.")] = False,
) -> None:
    """Time computations side by side with the libraries that are installed."""
    from rich.console import Console

    from pullback.bench import child, report, tasks

    console, known = Console(), tasks()
    if show:
        for task in known.values():
            console.print(f"{task.name:24} {task.summary}", soft_wrap=True, highlight=False)
        return
    for name in names or ():
        if name not in known:
            raise ConfigError(f"TASK: expected some of {', '.join(known)}, got {name!r}")
    if threads > (cores := os.cpu_count() or 1):
        raise ConfigError(
            f"--threads: expected at most {cores}, the cores there are, got {threads}"
        )
    out.mkdir(parents=True, exist_ok=True)
    found = []
    for name in names or known:
        with console.status(f"{name}: {known[name].summary}"):
            found.append(child.compare_in_child(name, threads, rounds))
        report.write_csv(found, out / "results.csv")
    console.print(table(found, threads))
    for line in remarks(found):
        console.print(line, soft_wrap=True, highlight=False)
    console.print(f"written: {out / 'results.csv'}", soft_wrap=True, highlight=False)
    if importlib.util.find_spec("matplotlib") is None:
        console.print("no picture: matplotlib is not installed", highlight=False)
        return
    report.draw(found, out / "bench.png", f"{_threads(threads)}, best of {rounds} rounds")
    console.print(f"written: {out / 'bench.png'}", soft_wrap=True, highlight=False)


def table(found: Iterable[Comparison], threads: int) -> Table:
    """Return the times of all, and the peers' over ours."""
    from rich.table import Table

    from pullback.bench import OURS

    table = Table("task", "peer", title=f"time of a call, {_threads(threads)}")
    for column in ("minimum", "median", "ratio", "ceiling"):
        table.add_column(column, justify="right", no_wrap=True)
    for comparison in found:
        label = comparison.task
        for peer, timing in comparison.timings.items():
            ratio = "" if peer == OURS else f"{comparison.ratio(peer):.2f}"
            share = comparison.share(peer)
            reached = "" if share is None else f"{share:.0%}"
            times = duration(timing.minimum), duration(timing.median)
            table.add_row(label, peer, *times, ratio, reached)
            label = ""
        table.add_section()
    return table


def remarks(found: Iterable[Comparison]) -> list[str]:
    """Return what a gradient costs, and who was left out and why."""
    lines = []
    for comparison in found:
        if comparison.cost is not None:
            lines.append(
                f"{comparison.task}: value and gradient take {comparison.cost:.2f} times the value"
            )
        for peer, why in comparison.left_out.items():
            lines.append(f"{comparison.task}: {peer} left out: {why}")
    return lines


def duration(seconds: float) -> str:
    """Return a time with its unit.

    >>> duration(0.00123), duration(0.0000456)
    ('1.230 ms', '45.60 us')
    """
    if seconds < 1e-3:
        return f"{seconds * 1e6:.2f} us"
    return f"{seconds * 1e3:.3f} ms" if seconds < 1 else f"{seconds:.3f} s"


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"
