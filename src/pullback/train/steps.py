"""Training steps: a graph for one step, and one call of machine code for many in a row."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from pullback.core.errors import ConfigError
from pullback.core.graph import Graph
from pullback.core.tables import keep
from pullback.core.tracing import trace
from pullback.native.compile import Precision
from pullback.ops.index import setitem
from pullback.passes import optimise
from pullback.passes.cost import worth_compiling
from pullback.train.dataset import Dataset
from pullback.train.step import Step
from pullback.transform.control.while_loop import while_loop

CALL_SECONDS = 0.1
"""About how long a call of machine code lasts, so that progress shows."""

SIGNATURES = 32
"""Shapes of batches, or of all rows, whose graphs and machine code are kept."""


class Stretch(NamedTuple):
    """Steps that were taken: what they led to, and the loss of each batch before its step."""

    model: Any
    state: Any
    batch_size: int
    losses: Any


class Steps:
    """Steps of `update`, from (model, state, *batch) to (model, state, loss), as in `make_step`.

    They run as machine code, its float32 products in `matmul_precision`, or with `compiled=False`
    by NumPy.
    """

    def __init__(
        self, update: Step, compiled: bool, matmul_precision: Precision = "float32"
    ) -> None:
        self.update, self.compiled = update, compiled
        self.in_bfloat16 = matmul_precision == "bfloat16"
        self._graphs: dict[Any, Graph] = {}
        self._loops: dict[Any, tuple[int, Graph | None]] = {}

    def step(self, model: Any, state: Any, *batch: Any) -> Graph:
        """Return the graph of a step: (model, state, *batch) to (model, state, loss)."""
        key = _signature(batch)
        if key not in self._graphs:
            graph = optimise(trace(self.update, model, state, *batch))
            keep(self._graphs, key, graph, SIGNATURES)
        return self._graphs[key]

    def epoch(
        self, model: Any, state: Any, data: Dataset, order: Any, batch_size: int, epoch: int = 1
    ) -> Iterator[Stretch]:
        """Yield the stretches of an epoch, counted from 1, over the rows of `data` in `order`.

        After a loss that is not finite there is no further step. NumPy takes the step of a shorter
        last batch, until it was busy with such steps for as long as compiling one would take.
        """
        done, arrays = 0, data.arrays()
        for stretch in self._in_long_calls(model, state, arrays, order, batch_size):
            yield stretch
            model, state, *_ = stretch
            done += batch_size * len(stretch.losses)
            if not np.isfinite(stretch.losses[-1]):
                return
        for start in range(done, len(order), batch_size):
            rows = order[start : start + batch_size]
            batch = [array[rows] for array in arrays]
            step = self.step(model, state, *batch)
            is_rest = len(rows) < batch_size <= len(data)
            if not is_rest or worth_compiling(step, times=epoch):
                step = self.ready(step)
            with np.errstate(all="ignore"):  # told by the loss
                model, state, loss = step(model, state, *batch)
            yield Stretch(model, state, len(rows), [float(loss)])
            if not np.isfinite(loss):
                return

    def report(self) -> str:
        """Return what runs: the loop over many steps, then the steps that are called one by one.

        Raises ConfigError before the first step.
        """
        loops = [loop for _, loop in self._loops.values() if loop is not None]
        ran = [graph for graph in (*loops, *self._graphs.values()) if graph.program is not None]
        if not ran:
            raise ConfigError("report: no step has been taken yet; call fit first")
        if not self.compiled:
            return "all by NumPy, with compiled=False"
        from pullback.native.report import report

        return "\n".join(
            report(graph.program) if graph.executor is not None
            else f"{graph.name}: all by NumPy; a shorter last batch, not worth compiling so far"
            for graph in ran
        )  # fmt: skip

    def ready(self, graph: Graph) -> Graph:
        """Return the graph to be run, by machine code where that is asked for."""
        if not self.compiled or graph.executor is not None:
            return graph
        from pullback.native.program import NativeProgram

        return graph.run_by(partial(NativeProgram, in_bfloat16=self.in_bfloat16))

    def _in_long_calls(
        self, model: Any, state: Any, arrays: tuple[Any, ...], order: Any, batch_size: int
    ) -> Iterator[Stretch]:
        """Take the steps of whole batches, where machine code alone can."""
        batches = order[: len(order) // batch_size * batch_size].reshape(-1, batch_size)
        count = len(batches)
        most, loop = self._loop(model, state, arrays, batches) if count > 1 else (count, None)
        batches = np.concatenate([batches, np.zeros((most - count, batch_size), int)])
        start, turns = 0, 8
        while loop is not None and start < count:
            stop = min(start + turns, count)
            began = time.perf_counter()
            model, state, end, losses = loop(
                model, state, arrays, batches, np.array(start), np.array(stop)
            )
            seconds = (time.perf_counter() - began) / (stop - start)
            yield Stretch(model, state, batch_size, losses[start:end])
            turns = max(1, min(4 * turns, int(CALL_SECONDS / seconds)))
            start = int(end)

    def _loop(
        self, model: Any, state: Any, arrays: tuple[Any, ...], batches: Any
    ) -> tuple[int, Graph | None]:
        """Return how many batches it takes, and the graph of steps start to stop - 1.

        The graph is None where it would need NumPy. The shorter last window of a stream goes
        through the loop of those before it.
        """
        if not (self.compiled and all(array.flags.c_contiguous for array in arrays)):
            return len(batches), None
        size = batches.shape[1]
        key = (*_signature(arrays), size)
        if self._loops.get(key, (0, None))[0] < len(batches):
            from pullback.native.lower import lower

            step = self.step(model, state, *(array[:size] for array in arrays))
            count = np.array(0)
            graph = optimise(trace(many(step), model, state, arrays, batches, count, count))
            runs = None if lower(graph).fallbacks else self.ready(graph)
            keep(self._loops, key, (len(batches), runs), SIGNATURES)
        return self._loops[key]


def many(step: Graph) -> Callable[..., Any]:
    """Return the function of steps start to stop - 1 over the rows that each batch names.

    `batches` is (steps, batch size). It returns the model, the state, the number of steps done,
    fewer than `stop` where a loss was not finite, and the losses.
    """
    loss = step.results[-1].aval

    def steps(model: Any, state: Any, arrays: Any, batches: Any, start: Any, stop: Any) -> Any:
        def goes_on(carry: Any) -> Any:
            *_, k, last, _ = carry
            return np.logical_and(np.less(k, stop), np.isfinite(last))

        def advance(carry: Any) -> Any:
            model, state, k, _, losses = carry
            rows = batches[k]
            model, state, now = step(model, state, *(array[rows] for array in arrays))
            return model, state, k + 1, now, setitem(losses, k, now)

        losses = np.zeros(len(batches), loss.dtype)
        carry = model, state, start, np.zeros((), loss.dtype), losses
        model, state, end, _, losses = while_loop(goes_on, advance, carry)
        return model, state, end, losses

    return steps


def _signature(arrays: Sequence[Any]) -> tuple[Any, ...]:
    return tuple((array.shape, array.dtype) for array in arrays)
