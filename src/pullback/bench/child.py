"""Every task in a process of its own, which counts its threads from the start.

NumPy's BLAS, PyTorch and XLA read the number of their threads when they are loaded; and no library
is to be slowed by what another one left behind.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from typing import Any

from pullback.bench import Comparison, Timing, compare, tasks
from pullback.core.errors import ComparisonError, PullbackError

MISMATCH = 3


def environment(threads: int) -> dict[str, str]:
    """Return the variables by which every library takes `threads` threads.

    >>> environment(2)["OMP_NUM_THREADS"]
    '2'
    """
    counts = ("OMP", "OPENBLAS", "MKL", "NUMEXPR")
    several = "true" if threads > 1 else "false"
    return {f"{library}_NUM_THREADS": str(threads) for library in counts} | {
        "PULLBACK_THREADS": str(threads),
        "NPROC": str(threads),  # what XLA makes its pool of threads from
        "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={several}",
    }


def compare_in_child(task: str, threads: int, rounds: int) -> Comparison:
    """Return the comparison of `task`, made by a new process.

    Raises ComparisonError if a peer computes something else, or the process fails.
    """
    done = subprocess.run(
        [sys.executable, "-m", __name__, task, str(rounds)],
        env=os.environ | environment(threads),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == MISMATCH:
        raise ComparisonError(done.stderr.strip().splitlines()[-1])
    if done.returncode:
        raise ComparisonError(f"{task}: its process failed:\n{done.stderr[-2000:].strip()}")
    return decoded(json.loads(done.stdout.splitlines()[-1]))


def decoded(content: dict[str, Any]) -> Comparison:
    """Return the comparison that `asdict` took apart."""
    timings = {peer: Timing(**timing) for peer, timing in content["timings"].items()}
    value = Timing(**content["value"]) if content["value"] else None
    return Comparison(content["task"], timings, content["left_out"], value, content["ceiling"])


def main() -> None:
    """Print the comparison of the task that is named, as JSON, in the last line."""
    task, rounds = sys.argv[1:]
    try:
        found = compare(tasks()[task], int(rounds))
    except PullbackError as error:
        print(error, file=sys.stderr)
        sys.exit(MISMATCH)
    print(json.dumps(asdict(found)))


if __name__ == "__main__":
    main()
