"""Learning curves as a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pullback.train.callbacks import Row
from pullback.train.files import write_atomically

BLUE, ORANGE = "#2b6cb0", "#dd6b20"


def draw(history: Sequence[Row], path: Path, metric: str | None, title: str = "") -> None:
    """Draw loss and metric over the epochs of `history`, and write a PNG to `path`."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    panels = ["loss"] + ([metric] if metric else [])
    figure = Figure(figsize=(5 * len(panels), 3.6), dpi=130, layout="constrained")
    axes: Any = figure.subplots(1, len(panels), squeeze=False)[0]
    epochs = [row["epoch"] for row in history]
    marker = "o" if len(epochs) < 15 else ""
    for axis, panel in zip(axes, panels, strict=True):
        for part, color in (("train", BLUE), ("validation", ORANGE)):
            values = [row.get(f"{part}_{panel}") for row in history]
            if None not in values:
                axis.plot(epochs, values, color=color, marker=marker, markersize=3, label=part)
        axis.set_xlabel("epoch")
        axis.set_title({"r2": "R²"}.get(panel, panel), fontsize=11)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False)
        losses = [row["train_loss"] for row in history]
        if panel == "loss" and 0 < 20 * min(losses) < max(losses):
            axis.set_yscale("log")
    if title:
        figure.suptitle(title, fontsize=12)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    write_atomically(path, picture.getvalue())
