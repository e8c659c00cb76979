"""Learning curves as a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pullback.core.errors import ConfigError
from pullback.train.callbacks import Row
from pullback.train.files import write_atomically

BLUE, ORANGE = "#2b6cb0", "#dd6b20"


def draw(history: Sequence[Row], path: Path, metric: str | None, title: str = "") -> None:
    """Draw loss and metric over the epochs of `history`, and write a PNG to `path`."""
    panels = ["loss"] + ([metric] if metric else [])
    figure = new_figure(5 * len(panels))
    from matplotlib.ticker import MaxNLocator

    axes: Any = figure.subplots(1, len(panels), squeeze=False)[0]
    epochs = [row["epoch"] for row in history]
    marker = "o" if len(epochs) < 15 else ""
    for axis, panel in zip(axes, panels, strict=True):
        for part, color in (("train", BLUE), ("validation", ORANGE)):
            values = [row.get(f"{part}_{panel}") for row in history]
            if None not in values:
                axis.plot(epochs, values, color=color, marker=marker, markersize=3, label=part)
        label(axis, "epoch", {"r2": "R²"}.get(panel, panel))
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        losses = [row["train_loss"] for row in history]
        if panel == "loss" and 0 < 20 * min(losses) < max(losses):
            axis.set_yscale("log")
    if title:
        figure.suptitle(title, fontsize=12)
    save(figure, path)


def new_figure(width: float) -> Any:
    """Return an empty figure, `width` inches wide. Raises ConfigError without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigError(
            'pictures need matplotlib, which is not installed: pip install "pullback[app]"'
        ) from None
    return Figure(figsize=(width, 3.6), dpi=130, layout="constrained")


def label(axis: Any, x: str, title: str) -> None:
    """Name what a panel shows, once the lines with their labels are in it."""
    axis.set_xlabel(x)
    axis.set_title(title, fontsize=11)
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False)


def save(figure: Any, path: Path) -> None:
    """Write the figure to `path` as a PNG, atomically."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    write_atomically(path, picture.getvalue())
