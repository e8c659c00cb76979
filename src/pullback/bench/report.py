"""Comparisons as a table of a spreadsheet, and as a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from pullback.bench import OURS, Comparison
from pullback.train.files import write_atomically

COLOURS = {
    "NumPy by hand": "#718096",
    "torch eager": "#dd6b20",
    "torch.compile": "#f6ad55",
    "torch channels_last": "#c53030",
    "jax.jit": "#38a169",
    "scikit-learn": "#3182ce",
    "numba by hand": "#805ad5",
}
OTHER = "#b83280"
HEADER = (
    "task", "peer", "minimum", "median", "ratio", "share of ceiling", "gradient over value",
    "left out",
)  # fmt: skip


def write_csv(found: Sequence[Comparison], path: Path) -> None:
    """Write a row for each task and peer; times are in seconds."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(HEADER)
    for comparison in found:
        for peer, timing in comparison.timings.items():
            cost = comparison.cost if peer == OURS else None
            figures = comparison.ratio(peer), comparison.share(peer), cost
            rows.writerow((comparison.task, peer, timing.minimum, timing.median, *figures, None))
        for peer, why in comparison.left_out.items():
            rows.writerow((comparison.task, peer, *[None] * 5, why))
    write_atomically(path, text.getvalue().encode())


def draw(found: Sequence[Comparison], path: Path, title: str) -> None:
    """Draw a bar for each peer of each task, as long as its time over ours; write a PNG."""
    from matplotlib.figure import Figure

    peers = [[peer for peer in c.timings if peer != OURS] for c in found]
    rows = sum(max(1, len(names)) for names in peers)
    figure = Figure(figsize=(7.5, 1.6 + 0.17 * rows + 0.13 * len(found)), dpi=130)
    figure.set_layout_engine("constrained")
    axis = figure.subplots()
    place, middles, named = 0.0, [], set()
    for comparison, names in zip(found, peers, strict=True):
        count = max(1, len(names))
        middles.append(place + (count - 1) / 2)
        for i, peer in enumerate(names):
            ratio, label = comparison.ratio(peer), "" if peer in named else peer
            colour = COLOURS.get(peer, OTHER)
            axis.barh(place + i, ratio, 0.86, color=colour, label=label)
            axis.annotate(
                f"{ratio:.2f}", (max(ratio, 1), place + i), (3, 0),
                textcoords="offset points", va="center", fontsize=7,
            )  # fmt: skip
            named.add(peer)
        place += count + 0.7
    axis.set_yticks(middles, [comparison.task for comparison in found], fontsize=8)
    axis.set_ylim(place - 0.9, -0.8)
    axis.axvline(1, color="black", linewidth=0.8, label=OURS)
    axis.set_xscale("log")
    axis.margins(x=0.08)
    axis.xaxis.set_major_formatter("{x:g}")
    axis.set_xlabel("time of a call over that of pullback (longer is slower)")
    axis.set_title(title, fontsize=10)
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=8)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    write_atomically(path, picture.getvalue())
