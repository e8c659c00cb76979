"""What an optimizer is, and what all of them share: checked pytrees, hyperparameters, the step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pullback.core import pytree
from pullback.core.aval import is_bfloat16
from pullback.core.checks import check_positive, is_number
from pullback.core.errors import ConfigError, DTypeError, ShapeError
from pullback.core.tracer import Tracer

State = dict[str, Any]
RATE_FACTOR = "rate_factor"
Schedule = Callable[[Any], Any]
Choice = Callable[[str, Any], bool]
"""A choice of parameters: (path in the model, parameter) -> whether it is one of them."""


class At(NamedTuple):
    """What holds for a parameter at an update: learning rate, t = 1, 2, ..., weight decay."""

    rate: Any
    t: Any
    weight_decay: float

    def decayed(self, p: Any) -> Any:
        """Return the parameter after decoupled weight decay w: (1 - r w) p."""
        return p * (1 - self.rate * self.weight_decay) if self.weight_decay else p


Slots = Sequence[Any]
Rule = Callable[[Any, Any, At, Slots], tuple[Any, Slots]]
"""(parameter, gradient, what holds at the update, slots) -> (new parameter, new slots)"""


@dataclass(frozen=True)
class Adjustable:
    """A learning rate times a factor that lies in the optimizer's state, 1 at first.

    So it can be changed while training goes on: see `adjust` and `train.ReduceOnPlateau`.

    >>> from pullback.optim import sgd
    >>> optimizer, params = sgd(Adjustable(0.1)), np.ones(2)
    >>> state = adjust(optimizer.init(params), 0.5)
    >>> state
    {'step': array(0), 'rate_factor': array(0.5)}
    >>> optimizer.update(np.ones(2), state, params)[0]
    array([0.95, 0.95])
    """

    learning_rate: float | Schedule


LearningRate = float | Schedule | Adjustable


class Optimizer(NamedTuple):
    """A pair of pure functions.

    `init(params)` gives the state: a dict with `step`, the number of updates made (0-d int64), and
    pytrees like `params`. `update(grads, state, params)` gives (new params, new state); it changes
    nothing in place and keeps every dtype.

    >>> from pullback.optim import sgd
    >>> optimizer, params = sgd(0.1), {"w": np.ones(2)}
    >>> params, state = optimizer.update({"w": np.ones(2)}, optimizer.init(params), params)
    >>> params["w"], state
    (array([0.9, 0.9]), {'step': array(1)})
    """

    init: Callable[[Any], State]
    update: Callable[[Any, State, Any], tuple[Any, State]]
    final: Callable[[State, Any], Any] = lambda state, params: params
    """(state, params) -> the parameters to predict with; only those of `ema` are others."""


def per_leaf(
    rule: Rule,
    learning_rate: LearningRate,
    slots: tuple[str, ...] = (),
    weight_decay: float = 0.0,
    decays: Choice | None = None,
) -> Optimizer:
    """Return the optimizer that applies `rule` to each parameter; `slots` start as zeros.

    `decays` chooses the parameters with `weight_decay`, by default all.

    Its init raises DTypeError for parameters that are no arrays of floating numbers, ConfigError
    where an array is at two places. Its update raises TreeError where grads, params and state
    differ in structure, ShapeError where a gradient has another shape than its parameter,
    DTypeError where it has another dtype.
    """
    rate_of = Rate(learning_rate)

    def init(params: Any) -> State:
        check_parameters(params)
        return rate_of.init() | {name: pytree.map(np.zeros_like, params) for name in slots}

    def update(grads: Any, state: State, params: Any) -> tuple[Any, State]:
        check_gradients(grads, params)
        leaves, structure = pytree.flatten(params)
        gradients = pytree.leaves(grads)
        kept = [pytree.match(structure, state[name], f"state[{name!r}]") for name in slots]
        rate, counted = rate_of(state), rate_of.after(state)
        chosen = chosen_leaves(decays, params) if decays else [True] * len(leaves)
        results = []
        for p, g, decayed, *own in zip(leaves, gradients, chosen, *kept, strict=True):
            at = At(like(rate, p), counted["step"], weight_decay if decayed else 0.0)
            after, new = rule(p, g, at, own)
            results.append((_as_dtype(after, p.dtype), [_as_dtype(x, p.dtype) for x in new]))
        slots_after = {
            name: pytree.unflatten(structure, [result[1][j] for result in results])
            for j, name in enumerate(slots)
        }
        return pytree.unflatten(structure, [result[0] for result in results]), counted | slots_after

    return Optimizer(init, update)


def _as_dtype(x: Any, dtype: Any) -> Any:
    # NumPy's hyperparameters, such as np.float64(0.9), widen float32 where Python's do not
    return x if x.dtype == dtype else x.astype(dtype)


def is_weight(path: str, parameter: Any) -> bool:
    """Return whether a parameter has two dimensions or more: no bias, no scale of a norm.

    >>> is_weight(".layers[0].bias", np.zeros(3)), is_weight(".layers[0].weight", np.ones((2, 3)))
    (False, True)
    """
    return len(parameter.shape) >= 2


def adjust(state: State, factor: float) -> State:
    """Return the state of an optimizer with `factor` as that of each `Adjustable` learning rate.

    Raises ConfigError where it has none.
    """
    check_positive(factor=factor)

    def adjusted(node: State) -> State:
        changed: State = {k: adjusted(v) for k, v in node.items() if type(v) is dict}
        if RATE_FACTOR in node:
            changed[RATE_FACTOR] = np.array(float(factor))
        return node | changed

    if not any(RATE_FACTOR in path for path in pytree.paths(state)):
        raise ConfigError(
            "optimizer: expected one whose learning rate can be changed in training; write "
            "optim.adam(optim.Adjustable(1e-3))"
        )
    return adjusted(state)


def chosen_leaves(choice: Choice, params: Any) -> list[bool]:
    """Return for each leaf of `params`, in order, whether `choice` holds."""
    named = zip(parameter_paths(params), pytree.leaves(params), strict=True)
    return [bool(choice(path, leaf)) for path, leaf in named]


def parameter_paths(params: Any) -> list[str]:
    """Return the path of each leaf of `params`, in order, such as ".layers[0].weight"."""
    return [path.removeprefix("*") for path in pytree.paths(params)]


def check_gradients(grads: Any, params: Any) -> None:
    """Raise TreeError, ShapeError or DTypeError where `grads` are not those of `params`."""
    leaves, structure = pytree.flatten(params)
    for i, (p, g) in enumerate(zip(leaves, pytree.match(structure, grads, "grads"), strict=True)):
        if g.shape != p.shape or g.dtype != p.dtype:
            raise _mismatch(f"grads{pytree.paths(params)[i]}", p, g)


def check_parameters(params: Any) -> None:
    """Raise DTypeError for what is no array of floating numbers, and so cannot be learned.

    Raise ConfigError where an array is at two places, since each would be updated for itself.
    """
    first: dict[int, str] = {}
    for path, leaf in zip(parameter_paths(params), pytree.leaves(params), strict=True):
        dtype = getattr(leaf, "dtype", None)
        if dtype is None or (dtype.kind not in "fc" and not is_bfloat16(dtype)):
            got = dtype or type(leaf).__name__
            raise DTypeError(
                f"params: {path or 'they'}: expected an array of floating numbers, got {got}. "
                "Write np.array(...) for what is to be learned, and declare a field of a module "
                "that is not by nn.static() or nn.state()."
            )
        if isinstance(leaf, np.ndarray) and leaf.size:
            other = first.setdefault(leaf.ctypes.data, path)
            if other != path:
                raise ConfigError(
                    f"params: {other} and {path} are one array, which training would make two of. "
                    "To tie them keep the array at one place of the model, whose __call__ uses it "
                    "twice; for two parameters that begin alike give one of them a copy."
                )


def next_number(count: Any) -> Any:
    """Return count + 1 as a 0-d array."""
    # through shape (1,): the sum of 0-d arrays is a scalar, and the state is to stay an array
    return (count.reshape(1) + 1).reshape(())


def _mismatch(name: str, p: Any, g: Any) -> Exception:
    if g.shape != p.shape:
        return ShapeError(
            f"{name}: expected shape {p.shape}, that of the parameter, got {g.shape}. "
            "Take grads and params from the same model."
        )
    return DTypeError(
        f"{name}: expected {p.dtype}, the dtype of the parameter, got {g.dtype}. "
        f"Convert the gradient with g.astype(np.{p.dtype})."
    )


def check_optimizer(optimizer: Any) -> None:
    """Raise ConfigError where `optimizer` is none."""
    if not isinstance(optimizer, Optimizer):
        raise ConfigError(
            f"optimizer: expected one of pb.optim, such as optim.adam(1e-3), got {optimizer!r}"
        )


def like(number: Any, parameter: Any) -> Any:
    """Return `number` in the dtype of `parameter`, so that it does not widen it."""
    # By type, not by isinstance: np.float64 is a float, and would widen float32.
    return number if type(number) in (int, float) else number.astype(parameter.dtype)


def check_weight_decay(weight_decay: float) -> None:
    """Raise ConfigError unless `weight_decay` is a number of 0 or more."""
    if not (is_number(weight_decay) and weight_decay >= 0):
        raise ConfigError(f"weight_decay: expected a number >= 0, got {weight_decay!r}.")


class Rate:
    """A learning rate, and what of an optimizer's state it needs: `step`, and perhaps a factor."""

    def __init__(self, learning_rate: LearningRate) -> None:
        self._own = {}
        if isinstance(learning_rate, Adjustable):
            learning_rate, self._own = learning_rate.learning_rate, {RATE_FACTOR: np.array(1.0)}
        if not callable(learning_rate):
            check_positive(learning_rate=learning_rate)
            if not isinstance(learning_rate, Tracer):
                learning_rate = float(learning_rate)
        self._rate: Any = learning_rate

    def init(self) -> State:
        """Return the state before the first update."""
        return {"step": np.array(0, np.int64)} | self._own

    def after(self, state: State) -> State:
        """Return the state after an update."""
        return {"step": next_number(state["step"])} | {name: state[name] for name in self._own}

    def __call__(self, state: State) -> Any:
        """Return the learning rate of the next update."""
        rate = self._rate(state["step"]) if callable(self._rate) else self._rate
        return rate * state[RATE_FACTOR] if self._own else rate
