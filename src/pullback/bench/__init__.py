"""Comparisons with other libraries: the same computation, data, dtype and number of threads."""

from __future__ import annotations

from pullback.bench.timing import OURS, Comparison, Task, Timing, compare

__all__ = ["OURS", "Comparison", "Task", "Timing", "compare", "tasks"]


def tasks() -> dict[str, Task]:
    """Return all tasks by name.

    >>> "gpt" in tasks()
    True
    """
    from pullback.bench import convolutions, networks, science, sequences

    modules = (networks, convolutions, sequences, science)
    return {task.name: task for module in modules for task in module.TASKS}
