"""Training steps: minibatches by the dozen to one call of machine code, or one by one by NumPy."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pullback.core import pytree
from pullback.core.aval import Aval, aval_of
from pullback.core.graph import Graph
from pullback.core.tracing import strong, trace
from pullback.native.compile import Compiled
from pullback.nn.losses import l2_penalty
from pullback.nn.stateful import partition, training_call
from pullback.ops.index import setitem
from pullback.optim.optimizer import like
from pullback.passes import optimise
from pullback.passes.cost import worth_compiling
from pullback.sklearn.objectives import Loss, weighted
from pullback.sklearn.solvers import Settings, Solver
from pullback.train.step import descend
from pullback.transform.control.while_loop import while_loop


class Samples(NamedTuple):
    """Rows to train on: `inputs` (n, ...), perhaps sparse, `targets` and `weights` (n,)."""

    inputs: Any
    targets: Any
    weights: Any


class Batches(NamedTuple):
    """Minibatches in arrays (steps, size, ...), and for each that is used its number of samples.

    The arrays may have room for more.
    """

    samples: Samples
    sizes: list[int]


@dataclass(frozen=True)
class Plan:
    """What is fixed for a training: the loss, the solver, and how it is run."""

    loss: Loss
    solver: Solver
    threads: int | None = None
    matmul_precision: Any = "float32"


def objective(loss: Loss, model: Any, samples: Samples, alpha: Any) -> tuple[Any, Any]:
    """Return (sum w l + alpha/2 |W|^2) / sum w in training, and the model after it.

    Biases are not penalised; samples that weigh nothing at all leave the penalty.
    """
    outputs, trained = training_call(model, samples.inputs)
    total = np.sum(samples.weights)
    divisor = np.where(total > 0, total, 1).astype(samples.weights.dtype)
    penalty = like(alpha, samples.weights) * l2_penalty(partition(model)[0])
    value = weighted(loss(outputs, samples.targets), samples.weights) + penalty
    return value / divisor, trained


def one_step(plan: Plan, model: Any, state: Any, samples: Samples, settings: Settings) -> Any:
    """Return the model and the solver's state after a step, and the objective before it."""

    def penalised(model: Any) -> tuple[Any, Any, Any]:
        value, trained = objective(plan.loss, model, samples, settings["alpha"])
        return value, value, trained

    return descend(penalised, plan.solver(settings), model, state)


@functools.lru_cache(maxsize=32)
def compiled_steps(plan: Plan) -> Compiled:
    """Return the compiled function of many steps, which all trainings of a plan share."""

    def steps(model: Any, state: Any, batches: Samples, count: Any, settings: Settings) -> Any:
        def goes_on(carry: Any) -> Any:
            return np.less(carry[2], count)

        def advance(carry: Any) -> Any:
            model, state, k, losses = carry
            batch = Samples(*(array[k] for array in batches))
            model, state, loss = one_step(plan, model, state, batch, settings)
            return model, state, k + 1, setitem(losses, k, loss)

        losses = np.zeros(len(batches.inputs), batches.weights.dtype)
        model, state, _, losses = while_loop(goes_on, advance, (model, state, np.array(0), losses))
        return model, state, losses

    return Compiled(steps, (), (0, 1), plan.threads, plan.matmul_precision)


def graph_of(function: Callable[..., Any], plan: Plan, *args: Any) -> Graph:
    """Return the graph of `function` of a plan and arrays like `args`, traced once for all."""
    leaves, structure = pytree.flatten(args)
    return _traced(function, plan, structure, tuple(strong(aval_of(leaf)) for leaf in leaves))


@functools.lru_cache(maxsize=64)
def _traced(
    function: Callable[..., Any], plan: Plan, structure: pytree.Structure, avals: tuple[Aval, ...]
) -> Graph:
    return optimise(trace(functools.partial(function, plan), *pytree.unflatten(structure, avals)))


class Steps:
    """Steps of a plan over batches: (model, state, batches, settings) -> (model, state, losses).

    Machine code takes them where `count` steps on `samples`, or arrays like these, would keep
    NumPy busy for a while. It is given the arrays of model and state, to write on.
    """

    def __init__(
        self, plan: Plan, model: Any, state: Any, samples: Any, settings: Settings, count: int
    ) -> None:
        self.plan = plan
        graph = graph_of(one_step, plan, model, state, samples, settings)
        self.compiled = worth_compiling(graph, count)

    def __call__(
        self, model: Any, state: Any, batches: Batches, settings: Settings
    ) -> tuple[Any, Any, Any]:
        """Take the steps."""
        count = len(batches.sizes)
        if self.compiled:
            run = compiled_steps(self.plan)
            model, state, losses = run(model, state, batches.samples, np.array(count), settings)
            return model, state, losses[:count]
        each = [Samples(*(array[k] for array in batches.samples)) for k in range(count)]
        step = graph_of(one_step, self.plan, model, state, each[0], settings)
        losses = []
        with np.errstate(over="ignore", invalid="ignore"):  # told by the loss
            for samples in each:
                model, state, loss = step(model, state, samples, settings)
                losses.append(loss)
        return model, state, np.array(losses)
