"""Comparisons as a table of a spreadsheet, and as a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from pullback.bench import OURS, Comparison
from pullback.train.files import write_atomically

COLOURS = {
    OURS: "#2b6cb0",
    "NumPy by hand": "#718096",
    "torch eager": "#dd6b20",
    "torch.compile": "#f6ad55",
    "jax.jit": "#38a169",
}
HEADER = ("task", "peer", "minimum", "median", "ratio", "gradient over value", "left out")


def write_csv(found: Sequence[Comparison], path: Path) -> None:
    """Write a row for each task and peer; times are in seconds."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(HEADER)
    for comparison in found:
        for peer, timing in comparison.timings.items():
            cost = comparison.cost if peer == OURS else None
            ratio = comparison.ratio(peer)
            rows.writerow((comparison.task, peer, timing.minimum, timing.median, ratio, cost, None))
        for peer, why in comparison.left_out.items():
            rows.writerow((comparison.task, peer, None, None, None, None, why))
    write_atomically(path, text.getvalue().encode())


def draw(found: Sequence[Comparison], path: Path, title: str) -> None:
    """Draw a bar for each peer of each task, as long as its time over ours; write a PNG."""
    from matplotlib.figure import Figure

    bars = sum(len(comparison.timings) for comparison in found)
    height = 1.2 + 0.24 * bars + 0.2 * len(found)
    figure = Figure(figsize=(8, height), dpi=130, layout="constrained")
    axis = figure.subplots()
    place, middles, named = 0.0, [], set()
    for comparison in found:
        count = len(comparison.timings)
        middles.append(place + (count - 1) / 2)
        for peer in comparison.timings:
            ratio = comparison.ratio(peer)
            label = "" if peer in named else peer
            axis.barh(place, ratio, 0.86, color=COLOURS.get(peer, "#805ad5"), label=label)
            axis.annotate(
                f"{ratio:.2f}", (ratio, place), (3, 0),
                textcoords="offset points", va="center", fontsize=7,
            )  # fmt: skip
            named.add(peer)
            place += 1
        place += 0.8
    axis.set_yticks(middles, [comparison.task for comparison in found], fontsize=9)
    axis.set_ylim(place - 0.8, -0.8)
    axis.axvline(1, color="black", linewidth=0.8)
    axis.margins(x=0.08)
    axis.set_xlabel("time of a call over that of pullback (longer is slower)")
    axis.set_title(title, fontsize=11)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8, loc="best")
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    write_atomically(path, picture.getvalue())
