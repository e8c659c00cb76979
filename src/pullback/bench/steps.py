"""Steps that go on from what the last one left, by us and by peers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pullback as pb
from pullback.bench.timing import Run

RATE = 0.01


def continued(step: Callable[..., Any], kept: Any, *data: Any) -> Run:
    """Return a call of step(kept, *data) -> (kept, value), which goes on from what it kept."""

    def run() -> Any:
        nonlocal kept
        kept, value = step(kept, *data)
        return float(value)

    return run


def step_of(loss: Callable[..., Any], model: Any, x: Any, t: Any) -> Run:
    """Return an SGD step of ours down the gradient of loss(model, x, t)."""

    def step(model: Any, x: Any, t: Any) -> Any:
        value, slopes = pb.value_and_grad(loss)(model, x, t)
        return pb.tree.map(lambda w, g: w - RATE * g, model, slopes), value

    return continued(pb.compile(step, donate_argnums=0), model, x, t)


def torch_step_of(optimizer: Any, loss: Callable[[], Any]) -> Run:
    """Return a step of one of PyTorch's optimizers."""

    def run() -> Any:
        optimizer.zero_grad(set_to_none=True)
        value = loss()
        value.backward()
        optimizer.step()
        return value.item()

    return run
