from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pullback import optim

SCHEDULES: dict[str, tuple[Any, Callable[[int], float]]] = {
    "constant": (optim.constant(0.3), lambda i: 0.3),
    "step_decay": (optim.step_decay(0.3, every=4, factor=0.5), lambda i: 0.3 * 0.5 ** (i // 4)),
    "cosine": (
        optim.cosine(0.3, steps=8, final=0.1),
        lambda i: 0.1 + 0.2 * (1 + math.cos(math.pi * min(i, 8) / 8)) / 2,
    ),
    "linear": (optim.linear(0.3, steps=8, final=0.1), lambda i: 0.3 - 0.025 * min(i, 8)),
    "exponential": (
        optim.exponential(0.3, steps=8, final=3e-5),
        lambda i: 0.3 * 10 ** (-min(i, 8) / 2),
    ),
    "warmup": (optim.warmup(5, then=0.3), lambda i: 0.3 * min((i + 1) / 5, 1)),
    "warmup_cosine": (
        optim.warmup(5, then=optim.cosine(0.3, steps=8)),
        lambda i: (
            0.3 * (i + 1) / 5 if i < 5 else 0.3 * (1 + math.cos(math.pi * min(i - 5, 8) / 8)) / 2
        ),
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_follow_their_formula_for_ints_and_0d_arrays(name: str) -> None:
    schedule, formula = SCHEDULES[name]
    for i in range(20):
        assert float(schedule(i)) == pytest.approx(formula(i), rel=1e-12, abs=1e-15)
        assert float(schedule(np.array(i))) == float(schedule(i))


@pytest.mark.parametrize(("steps", "rise"), [(10, 0.3), (9, 0.5), (30, 0.25), (2, 0.3), (3, 0.1)])
def test_one_cycle_equals_that_of_torch(steps: int, rise: float) -> None:
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.3, total_steps=steps, pct_start=rise, cycle_momentum=False
    )
    ours = optim.one_cycle(0.3, steps, rise)
    for i in range(steps):
        assert float(ours(i)) == pytest.approx(theirs.get_last_lr()[0], rel=1e-9, abs=1e-12)
        optimizer.step()
        if i + 1 < steps:
            theirs.step()
    assert float(ours(steps + 5)) == float(ours(steps - 1))


def test_schedules_equal_those_of_torch() -> None:
    torch = pytest.importorskip("torch")
    pairs = {
        "step_decay": lambda o: torch.optim.lr_scheduler.StepLR(o, 4, 0.5),
        "cosine": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 8, 0.1),
        "linear": lambda o: torch.optim.lr_scheduler.LinearLR(o, 1, 1 / 3, 8),
        "exponential": lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 10**-0.5),
    }
    for name, create in pairs.items():
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
        theirs = create(optimizer)
        for i in range(9):
            assert float(SCHEDULES[name][0](i)) == pytest.approx(theirs.get_last_lr()[0], rel=1e-9)
            optimizer.step()
            theirs.step()
