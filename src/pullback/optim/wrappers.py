"""Optimizers around optimizers: clipped, accumulated, averaged, one for each group of parameters.

They nest: `ema(clip_norm(adam(1e-3), 1.0), 0.999)`. What is nearest to the gradients is outermost,
so that `clip_norm(accumulate(...))` clips each minibatch's gradient, `accumulate(clip_norm(...))`
their mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pullback.core import pytree
from pullback.core.checks import check_counts, check_fraction, check_positive
from pullback.core.errors import ConfigError
from pullback.optim.optimizer import (
    Optimizer,
    State,
    check_gradients,
    check_optimizer,
    check_parameters,
    next_number,
    parameter_paths,
)
from pullback.transform.control.branch import cond


def clip_norm(optimizer: Optimizer, limit: float) -> Optimizer:
    """Scale the gradients down so that their norm |g|, of all parameters together, is <= limit.

    g <- g limit / max(|g|, limit), |g| in float64. A gradient that is not finite makes the
    parameters so, which a `Trainer` reports.
    Source: Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks",
    ICML 2013, section 3.2.

    >>> from pullback.optim import sgd
    >>> optimizer, params = clip_norm(sgd(1.0), 1.0), {"a": np.zeros(1), "b": np.zeros(1)}
    >>> grads = {"a": np.array([30.0]), "b": np.array([40.0])}
    >>> optimizer.update(grads, optimizer.init(params), params)[0]
    {'a': array([-0.6]), 'b': array([-0.8])}
    """
    check_positive(limit=limit)

    def clipped(grads: Any) -> Any:
        squares = [np.sum(np.square(g.astype(np.float64))) for g in pytree.leaves(grads)]
        scale = limit / np.maximum(np.sqrt(sum(squares)), limit)
        return pytree.map(lambda g: g * scale.astype(g.dtype), grads)

    return _of_gradients(optimizer, clipped)


def clip_value(optimizer: Optimizer, limit: float) -> Optimizer:
    """Clip each entry of the gradients to [-limit, limit].

    >>> from pullback.optim import sgd
    >>> optimizer, params = clip_value(sgd(1.0), 0.5), np.zeros(3)
    >>> optimizer.update(np.array([-2.0, 0.1, 3.0]), optimizer.init(params), params)[0]
    array([ 0.5, -0.1, -0.5])
    """
    check_positive(limit=limit)
    return _of_gradients(
        optimizer, lambda grads: pytree.map(lambda g: np.clip(g, -limit, limit), grads)
    )


def accumulate(optimizer: Optimizer, batches: int) -> Optimizer:
    """Update once in `batches` calls, by the mean of their gradients.

    For minibatches of one size and a loss that is a mean, that is the update of one batch of all of
    them, in the memory of one; the shorter last batch of an epoch counts like the others. Schedules
    count updates, not calls. What is left at the end of an epoch goes into the next.
    Raises ConfigError unless `batches` is a whole number of 1 or more.

    >>> from pullback.optim import sgd
    >>> optimizer, params = accumulate(sgd(1.0), 2), np.zeros(1)
    >>> state = optimizer.init(params)
    >>> for g in (1.0, 3.0):
    ...     params, state = optimizer.update(np.array([g]), state, params)
    ...     print(params, state["step"])
    [0.] 0
    [-2.] 1
    """
    check_optimizer(optimizer)
    check_counts(batches=batches)
    own = ("gradient_sum", "batches")

    def init(params: Any) -> State:
        zeros = pytree.map(np.zeros_like, params)
        return _joined(optimizer.init(params), dict(zip(own, (zeros, np.array(0)), strict=True)))

    def update(grads: Any, state: State, params: Any) -> tuple[Any, State]:
        check_gradients(grads, params)
        inner = {name: value for name, value in state.items() if name not in own}
        total = pytree.map(lambda s, g: s + g, state["gradient_sum"], grads)
        count = next_number(state["batches"])

        def wait() -> Any:
            return params, inner, total, count

        def step() -> Any:
            mean = pytree.map(lambda s: s / batches, total)
            return (
                *optimizer.update(mean, inner, params),
                pytree.map(np.zeros_like, total),
                np.zeros_like(count),
            )

        params, inner, total, count = cond(count < batches, wait, step)
        return params, inner | {"gradient_sum": total, "batches": count}

    return Optimizer(init, update, optimizer.final)


def ema(optimizer: Optimizer, decay: float = 0.999) -> Optimizer:
    """Keep an exponential moving average of the parameters, for predictions.

    a_t = (1 - d) / (1 - d^t) (d^0 p_t + d^1 p_(t-1) + ... + d^(t-1) p_1), without the start before
    the first update. `final(state, params)` gives it; a `Trainer` evaluates, predicts with and
    writes it, and goes on training the parameters.
    Source: Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", SIAM
    Journal on Control and Optimization 30, 1992; the bias as in Adam (Kingma and Ba, section 3).

    >>> from pullback.optim import sgd
    >>> optimizer, params = ema(sgd(1.0), 0.5), np.zeros(1)
    >>> state = optimizer.init(params)
    >>> for _ in range(2):
    ...     params, state = optimizer.update(np.array([-3.0]), state, params)
    >>> params, optimizer.final(state, params)
    (array([6.]), array([5.]))
    """
    check_optimizer(optimizer)
    check_fraction(decay=decay)

    def init(params: Any) -> State:
        return _joined(optimizer.init(params), {"average": params})

    def update(grads: Any, state: State, params: Any) -> tuple[Any, State]:
        inner = {name: value for name, value in state.items() if name != "average"}
        params, after = optimizer.update(grads, inner, params)
        t = np.maximum(after["step"], 1)
        # 0 where an optimizer that accumulates has only waited
        share = (after["step"] - state["step"]) * (1 - decay) / (1 - decay**t)
        average = pytree.map(
            lambda a, p: a + share.astype(p.dtype) * (p - a), state["average"], params
        )
        return params, after | {"average": average}

    return Optimizer(init, update, lambda state, params: state["average"])


def grouped(choose: Callable[[str, Any], str], optimizers: Mapping[str, Optimizer]) -> Optimizer:
    """Update each parameter by the optimizer that `choose(path, parameter)` names.

    So groups have learning rates, weight decays or methods of their own.
    Raises ConfigError, at `init`, where `choose` gives a name that `optimizers` lacks.

    >>> from pullback import nn, optim, random
    >>> optimizer = grouped(
    ...     lambda path, parameter: "head" if path.startswith(".layers[2]") else "body",
    ...     {"body": optim.sgd(0.01), "head": optim.adam(1e-3)},
    ... )
    >>> state = optimizer.init(nn.mlp(random.key(0), [2, 8, 1]))
    >>> sorted(state["groups"]["head"])
    ['mean', 'square', 'step']
    """
    if not optimizers:
        raise ConfigError("optimizers: expected at least one, got none.")
    for optimizer in optimizers.values():
        check_optimizer(optimizer)

    def split(tree: Any, names: list[str]) -> dict[str, Any]:
        """Return a tree for each group, with None in the places of the others."""
        leaves, structure = pytree.flatten(tree)
        pairs = list(zip(leaves, names, strict=True))
        return {
            group: pytree.unflatten(structure, [x if name == group else None for x, name in pairs])
            for group in optimizers
        }

    def names_of(params: Any) -> list[str]:
        paths = parameter_paths(params)
        names = [choose(p, x) for p, x in zip(paths, pytree.leaves(params), strict=True)]
        for path, name in zip(paths, names, strict=True):
            if name not in optimizers:
                raise ConfigError(
                    f"choose: expected one of {', '.join(optimizers)} for {path}, got {name!r}."
                )
        return names

    def join(parts: Mapping[str, Any], names: list[str], like: Any) -> Any:
        leaves = {group: iter(pytree.leaves(part)) for group, part in parts.items()}
        return pytree.unflatten(pytree.structure(like), [next(leaves[name]) for name in names])

    def init(params: Any) -> State:
        check_parameters(params)
        parts = split(params, names_of(params))
        states = {group: optimizer.init(parts[group]) for group, optimizer in optimizers.items()}
        return {"step": np.array(0, np.int64), "groups": states}

    def update(grads: Any, state: State, params: Any) -> tuple[Any, State]:
        check_gradients(grads, params)
        names = names_of(params)
        parts, gradients = split(params, names), split(grads, names)
        done = {
            group: optimizer.update(gradients[group], state["groups"][group], parts[group])
            for group, optimizer in optimizers.items()
        }
        after = join({group: new for group, (new, _) in done.items()}, names, params)
        states = {group: new for group, (_, new) in done.items()}
        return after, {"step": next_number(state["step"]), "groups": states}

    def final(state: State, params: Any) -> Any:
        names = names_of(params)
        parts = split(params, names)
        finals = {
            group: optimizer.final(state["groups"][group], parts[group])
            for group, optimizer in optimizers.items()
        }
        return join(finals, names, params)

    return Optimizer(init, update, final)


def _of_gradients(optimizer: Optimizer, change: Callable[[Any], Any]) -> Optimizer:
    check_optimizer(optimizer)

    def update(grads: Any, state: State, params: Any) -> tuple[Any, State]:
        check_gradients(grads, params)
        return optimizer.update(change(grads), state, params)

    return optimizer._replace(update=update)


def _joined(inner: State, own: State) -> State:
    twice = inner.keys() & own.keys()
    if twice:
        raise ConfigError(
            f"optimizer: its state has a {min(twice)!r} already; accumulate or average once only."
        )
    return inner | own
