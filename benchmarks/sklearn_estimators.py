"""Fit scikit-learn's perceptrons and ours to digits and MNIST: seconds, ratios, test accuracy.

    OMP_NUM_THREADS=1 PULLBACK_DATA=... python benchmarks/sklearn_estimators.py

Both have the same settings and threads, and take turns. The minimum and the median are over the
rounds. Every fit makes the given number of epochs; machine code is compiled before. On a machine
that others use, `--cpu` counts the time of the processor instead of the clock's; take one thread.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn import neural_network
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from pullback import sklearn as ours
from pullback.train import mnist

FAST = {"dtype": "float32", "matmul_precision": "bfloat16"}


@dataclass(frozen=True)
class Case:
    """A fit: what is the same for both, what they are given, and what we have beyond."""

    data: str
    dtype: str
    epochs: int
    settings: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        options = [f"{k}={v}" for k, v in (self.settings | self.extra).items()]
        return ", ".join([f"{self.data} {self.dtype}, {self.epochs} epochs", *options])


CASES = [
    Case("digits", "float64", 100),
    Case("digits", "float64", 100, extra=FAST),
    Case("digits", "float32", 100),
    Case("digits", "float64", 30, {"batch_size": 32}),
    Case("mnist", "float64", 10),
    Case("mnist", "float64", 10, extra={"dtype": "float32"}),
    Case("mnist", "float64", 10, extra=FAST),
    Case("mnist", "float32", 10),
    Case("mnist", "float64", 3, {"batch_size": 32}, {"dtype": "float32"}),
]


def data_of(name: str) -> tuple[Any, Any, Any, Any]:
    """Return inputs in [0, 1] and labels to train on, then those to test with."""
    if name == "digits":
        X, y = load_digits(return_X_y=True)
        X, X_test, y, y_test = train_test_split(X / 16, y, random_state=0, stratify=y)
        return X, y, X_test, y_test
    return mnist.load()


def main() -> None:
    """Time the cases and print a line for each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--cpu", action="store_true", help="processor time")
    options = parser.parse_args()
    clock = time.process_time if options.cpu else time.perf_counter
    warnings.simplefilter("ignore", ConvergenceWarning)
    sets: dict[str, Any] = {}
    for case in CASES:
        if options.only in str(case):
            if case.data not in sets:
                sets[case.data] = data_of(case.data)
            compare(case, sets[case.data], options.rounds, clock)


def compare(
    case: Case, data: tuple[Any, Any, Any, Any], rounds: int, clock: Callable[[], float]
) -> None:
    """Time one case and print its line."""
    X, y, X_test, y_test = data
    X, X_test = X.astype(case.dtype), X_test.astype(case.dtype)
    same = {"max_iter": case.epochs, "n_iter_no_change": np.inf, "random_state": 0} | case.settings
    estimators = {
        "scikit-learn": neural_network.MLPClassifier(**same),
        "pullback": ours.MLPClassifier(**same, **case.extra),
    }
    estimators["pullback"].fit(X, y)  # compiles
    seconds: dict[str, list[float]] = {name: [] for name in estimators}
    for _ in range(rounds):
        for name, estimator in estimators.items():
            start = clock()
            estimator.fit(X, y)
            seconds[name].append(clock() - start)
    print(case)
    for name, estimator in estimators.items():
        times, score = seconds[name], estimator.score(X_test, y_test)
        least, middle = min(times), statistics.median(times)
        print(f"  {name:13} {least:7.3f} s (median {middle:.3f})  accuracy {score:.4f}")
    theirs, mine = seconds.values()
    least, middle = (f(theirs) / f(mine) for f in (min, statistics.median))
    print(f"  {least:.1f} times as fast (median {middle:.1f})", flush=True)


if __name__ == "__main__":
    main()
