"""Weights, activations and gradients of each layer on one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.core import pytree
from pullback.core.graph import Node
from pullback.core.op import OPS
from pullback.core.tracing import trace
from pullback.explain.layers.spread import Spread, spread_of
from pullback.nn.calls import Call, recorded_calls
from pullback.nn.module import is_state
from pullback.nn.stateful import partition, training_call
from pullback.optim.optimizer import Optimizer, check_optimizer
from pullback.train.misfits import Loss, find_loss
from pullback.transform.table import GradientTable, backward


@dataclass(frozen=True, slots=True)
class Layer:
    """What one batch shows of one layer, the module at `path` in the model, of class `kind`.

    `weight` and `gradient` are of the layer's own parameters, `activation` of its outputs and
    `delta` of the loss's derivative by them; None where there is none. `dead` is the share of units
    (entries of the last axis) that a rectifier in it sets to 0 for the whole batch. `update` is the
    norm of the optimizer's next step over that of the weights.
    """

    path: str
    kind: str
    weight: Spread | None = None
    gradient: Spread | None = None
    activation: Spread | None = None
    delta: Spread | None = None
    dead: float | None = None
    update: float | None = None


def layer_statistics(
    model: Any,
    loss: str | Loss,
    inputs: Any,
    targets: Any,
    *,
    optimizer: Optimizer | None = None,
    state: Any = None,
) -> list[Layer]:
    """Return the statistics of each layer for a batch, in the order in which the layers run.

    `loss` is a function (outputs, targets) or a name in `nn.LOSSES`.
    A layer is a module that has parameters or rectifiers of its own or calls no other. The model is
    called as in training. With `optimizer` and its `state` (default: that of a new start) the size
    of its next step is told, too. It costs one forward and one backward pass by NumPy, which keep
    all values.
    Raises ConfigError where `loss` or `optimizer` is none, ShapeError or DTypeError where inputs
    and targets do not fit the model and the loss.

    >>> from pullback import nn, random
    >>> model = nn.mlp(random.key(0), [2, 8, 1], "relu")
    >>> x = np.ones((4, 2), np.float32)
    >>> layers = layer_statistics(model, nn.mean_squared_error, x, x[:, :1])
    >>> [(layer.path, layer.kind) for layer in layers]
    [('layers[0]', 'Linear'), ('layers[1]', 'Activation'), ('layers[2]', 'Linear')]
    >>> layers[0].weight.size, layers[1].activation.size
    (24, 32)
    """
    loss = find_loss(loss)
    if optimizer is not None:
        check_optimizer(optimizer)
    inputs, targets = np.asarray(inputs), np.asarray(targets)

    def objective(model: Any) -> Any:
        return loss(training_call(model, inputs)[0], targets)

    with recorded_calls() as calls:
        graph = trace(objective, model)
    with np.errstate(all="ignore"):
        table = backward(graph, model)
        updates = _updates(table, model, optimizer, state) if optimizer is not None else {}
    reader = _Reader(calls, table, model, updates)
    return reader.layers()


class _Reader:
    """Puts the values of a table together by layers."""

    def __init__(
        self, calls: Sequence[Call], table: GradientTable, model: Any, updates: Mapping[Node, Any]
    ) -> None:
        self.calls, self.table, self.updates = calls, table, updates
        self.kinds = {call.path: call.kind for call in calls}
        self.parameters = _parameters(table, model, self.kinds)
        self.rectified = _rectified(table, calls)

    def layers(self) -> list[Layer]:
        inner = {id(call.caller) for call in self.calls}
        called: dict[str, list[Call]] = {}
        for call in self.calls:
            own = call.path in self.parameters or call.path in self.rectified
            if own or id(call) not in inner:
                called.setdefault(call.path, []).append(call)
        return [self._layer(path, calls) for path, calls in called.items()]

    def _layer(self, path: str, calls: Sequence[Call]) -> Layer:
        values, gradients = self.table.values, self.table.gradients
        owned = self.parameters.get(path, [])
        # what a loop computes inside has no value here
        outputs = [n for call in calls for n in call.outputs if _is_floating(values.get(n))]
        reached = [n for n in outputs if n in gradients]
        weights = [values[n] for n in owned]
        rectified = self.rectified.get(path, [])
        dead = np.concatenate(rectified).mean() if rectified else None
        return Layer(
            path,
            self.kinds[path],
            weight=spread_of(weights) if owned else None,
            gradient=spread_of([_gradient(self.table, n) for n in owned]) if owned else None,
            activation=spread_of([values[n] for n in outputs]) if outputs else None,
            delta=spread_of([gradients[n] for n in reached]) if reached else None,
            dead=None if dead is None else float(dead),
            update=_ratio([self.updates[n] for n in owned], weights) if self.updates else None,
        )


def _parameters(
    table: GradientTable, model: Any, kinds: Mapping[str, str]
) -> dict[str, list[Node]]:
    """Return the parameters that each called module has of its own."""
    found: dict[str, list[Node]] = {}
    leaves = zip(pytree.paths(model), table.graph.arguments, is_state(model), strict=True)
    for name, node, kept in leaves:
        name = name.removeprefix("*").removeprefix(".")
        owners = [path for path in kinds if not path or name.startswith((f"{path}.", f"{path}["))]
        if owners and not kept and node.aval.dtype.kind in "fc":
            found.setdefault(max(owners, key=len), []).append(node)
    return found


def _rectified(table: GradientTable, calls: Sequence[Call]) -> dict[str, list[Any]]:
    """Return for each layer with rectifiers whether each of their units is 0 on the whole batch."""
    found: dict[str, list[Any]] = {}
    for node in table.graph.nodes:
        value = table.values[node]
        if _is_rectifier(node) and np.ndim(value) > 1 and node in table.gradients:
            around = [call for call in calls if call.first < node.order < call.last]
            if around:
                units = np.reshape(value, (-1, np.shape(value)[-1]))
                found.setdefault(around[-1].path, []).append(~units.any(axis=0))
    return found


def _is_rectifier(node: Node) -> bool:
    """Whether `node` is max(x, 0), or 0 where x is negative and else x, capped or not, as relu6."""
    if node.op is OPS["maximum"]:
        return any(map(_is_zero, node.inputs))
    if node.op is not OPS["where"] or len(node.inputs) != 3:
        return False
    condition, true, false = node.inputs
    if condition.op not in _POSITIVE and condition.op not in _NEGATIVE:
        return False
    x, bound = condition.inputs
    kept, rest = (true, false) if condition.op in _POSITIVE else (false, true)
    is_kept = kept is x or (kept.op is OPS["where"] and x in kept.inputs)
    return is_kept and _is_zero(bound) and _is_zero(rest)


_POSITIVE = OPS["greater"], OPS["greater_equal"]
_NEGATIVE = OPS["less"], OPS["less_equal"]


def _is_zero(node: Node) -> bool:
    return node.is_constant and np.ndim(node.value) == 0 and node.value == 0


def _updates(table: GradientTable, model: Any, optimizer: Optimizer, state: Any) -> dict[Node, Any]:
    """Return what the optimizer's next step adds to each parameter."""
    leaves, structure = pytree.flatten(model)
    arguments = table.graph.arguments
    parameters = partition(model)[0]
    gradients = pytree.unflatten(structure, [_gradient(table, node) for node in arguments])
    state = optimizer.init(parameters) if state is None else state
    after, _ = optimizer.update(partition(gradients)[0], state, parameters)
    kept = [node for node, mark in zip(arguments, is_state(model), strict=True) if not mark]
    before = [leaf for leaf, mark in zip(leaves, is_state(model), strict=True) if not mark]
    rows = zip(kept, pytree.leaves(after), before, strict=True)
    return {node: new - old for node, new, old in rows}


def _gradient(table: GradientTable, node: Node) -> Any:
    return table.gradients.get(node, np.zeros_like(table.values[node]))


def _ratio(changes: Sequence[Any], weights: Sequence[Any]) -> float | None:
    """Return the norm of the changes over that of the weights; None where the weights are 0."""
    if not weights:
        return None
    change, weight = spread_of(changes).norm, spread_of(weights).norm
    return change / weight if weight > 0 else None


def _is_floating(value: Any) -> bool:
    return getattr(value, "dtype", np.dtype(bool)).kind in "fc"
