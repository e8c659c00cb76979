"""SGD and Adam steps of fully connected networks, beside NumPy by hand, PyTorch and JAX.

Prints the fastest and the median round, and the peers' times over ours; the last argument is the
number of threads, 1 if there is none. `pullback bench` does the same for all tasks.

    python benchmarks/training_step.py [threads]
"""

from __future__ import annotations

import sys

from rich.console import Console

from pullback.bench import networks
from pullback.bench.child import compare_in_child
from pullback.cli.bench import remarks, table


def main(threads: int = 1, rounds: int = 12) -> None:
    """Time every network with every peer that is installed."""
    found = [compare_in_child(task.name, threads, rounds) for task in networks.TASKS]
    console = Console()
    console.print(table(found, threads))
    for line in remarks(found):
        console.print(line, soft_wrap=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
