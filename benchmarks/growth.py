"""How the time of a training step grows with batch, width, depth and length of a sequence.

Draws docs/images/growth.png: the fastest of some rounds, and dashed what the work alone would give,
drawn through the size in the middle.

    python benchmarks/growth.py
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from pullback.bench.child import environment

os.environ.update(environment(1))

import numpy as np
from matplotlib.figure import Figure

import pullback as pb
from pullback.bench.networks import make_problem, ours
from pullback.bench.sequences import step_of
from pullback.bench.timing import Run, seconds_of

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "growth.png"
ROUNDS, SECONDS = 7, 0.03


def fully_connected(width: int, depth: int, batch: int) -> Run:
    """Return an SGD step of `depth` layers of `width` units."""
    return ours("sgd", *make_problem((width,) * (depth + 1), batch))


def lstm(length: int) -> Run:
    """Return an SGD step of an LSTM of 64 units, batch 16."""
    x, t = np.random.default_rng(0).normal(size=(2, 16, length, 64)).astype(np.float32)
    model = pb.nn.LSTM.create(pb.random.key(0), 64, 64)
    return step_of(model, pb.nn.losses.mean_squared_error, x, t)


class Panel(NamedTuple):
    """What grows, its sizes, the step of a size, and the power of the size that the work is."""

    title: str
    sizes: tuple[int, ...]
    step: Callable[[int], Run]
    power: int = 1


PANELS = (
    Panel(
        "batch: 3 layers of 256",
        (8, 16, 32, 64, 128, 256, 512, 1024),
        lambda size: fully_connected(256, 3, size),
    ),
    Panel(
        "width: 3 layers, batch 64",
        (32, 64, 128, 256, 512, 1024),
        lambda size: fully_connected(size, 3, 64),
        power=2,
    ),
    Panel(
        "depth: width 128, batch 64",
        (1, 2, 4, 8, 16, 32),
        lambda size: fully_connected(128, size, 64),
    ),
    Panel("sequence: LSTM of 64, batch 16", (8, 16, 32, 64, 128, 256, 512), lstm),
)


def fastest(step: Run) -> float:
    """Return the milliseconds of a call in the fastest round."""
    step()
    return 1e3 * min(seconds_of(step, SECONDS) for _ in range(ROUNDS))


def draw(axis: Any, panel: Panel) -> None:
    """Time the sizes of a panel and draw them."""
    sizes = np.array(panel.sizes)
    times = np.array([fastest(panel.step(size)) for size in panel.sizes])
    middle = len(sizes) // 2
    work = (sizes / sizes[middle]) ** panel.power * times[middle]
    axis.loglog(sizes, times, "o-", color="#2b6cb0", markersize=4, label="measured")
    axis.loglog(sizes, work, "--", color="#718096", linewidth=1, label="like the work")
    axis.set_title(panel.title, fontsize=10)
    axis.set_xticks(sizes, map(str, sizes), fontsize=7, minor=False)
    axis.set_xticks([], minor=True)
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
    print(panel.title, dict(zip(panel.sizes, times.round(3).tolist(), strict=True)), "ms")


def main() -> None:
    """Draw all panels."""
    figure = Figure(figsize=(9, 6.4), dpi=130, layout="constrained")
    axes = figure.subplots(2, 2)
    for axis, panel in zip(axes.flat, PANELS, strict=True):
        draw(axis, panel)
    for axis in axes[:, 0]:
        axis.set_ylabel("ms a step, 1 thread")
    axes[0, 0].legend(frameon=False, fontsize=9)
    figure.savefig(PICTURE)
    print(f"written: {PICTURE}")


if __name__ == "__main__":
    main()
