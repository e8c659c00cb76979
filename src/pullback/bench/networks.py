"""Training steps of fully connected networks: forward, backward and the optimizer's update."""

from __future__ import annotations

import functools
import itertools
from typing import Any, Literal

import numpy as np

import pullback as pb
from pullback.bench.steps import RATE as SGD_RATE
from pullback.bench.steps import continued, torch_step_of
from pullback.bench.timing import OURS, Run, Task

SIZES = (
    ((784, 30, 10), 10),
    ((784, 128, 10), 64),
    ((784, 512, 512, 10), 128),
    ((1024, 4096, 4096, 1024), 512),
)
RATE, BETA1, BETA2, EPS = 1e-3, 0.9, 0.999, 1e-8
Rule = Literal["sgd", "adam"]
Weights = list[Any]


def make_problem(sizes: tuple[int, ...], batch: int) -> tuple[Weights, Any, Any]:
    """Return weights and biases in turn, inputs and labels."""
    rng = np.random.default_rng(0)
    weights: Weights = []
    for n, m in itertools.pairwise(sizes):
        weights += [rng.normal(0, n**-0.5, (n, m)).astype(np.float32), np.zeros(m, np.float32)]
    inputs = rng.random((batch, sizes[0]), np.float32)
    return weights, inputs, rng.integers(0, sizes[-1], batch)


def logits(weights: Weights, x: Any) -> Any:
    """Return the outputs of the last layer."""
    for w, b in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        x = np.maximum(x @ w + b, 0)
    return x @ weights[-2] + weights[-1]


def ours(rule: Rule, weights: Weights, x: Any, t: Any) -> Run:
    """Return a step by pb.compile, weights and state donated."""
    optimizer = pb.optim.sgd(SGD_RATE) if rule == "sgd" else pb.optim.adam(RATE)

    def loss(weights: Weights, x: Any, t: Any) -> Any:
        return pb.nn.losses.softmax_cross_entropy(logits(weights, x), t)

    def step(kept: Any, x: Any, t: Any) -> Any:
        weights, state = kept
        value, slopes = pb.value_and_grad(loss)(weights, x, t)
        return optimizer.update(slopes, state, weights), value

    fast = pb.compile(step, donate_argnums=0)
    return continued(fast, (weights, optimizer.init(weights)), x, t)


def by_hand(rule: Rule, weights: Weights, x: Any, t: Any) -> Run:
    """Return a step by the delta recursion in plain NumPy."""
    hot = np.eye(weights[-1].size, dtype=np.float32)[t]
    means, squares = ([np.zeros_like(w) for w in weights] for _ in range(2))
    turn = 0

    def descend(slopes: Weights) -> None:
        for w, g in zip(weights, slopes, strict=True):
            w -= SGD_RATE * g

    def adam(slopes: Weights) -> None:
        nonlocal turn
        turn += 1
        rate = RATE / (1 - BETA1**turn)
        scale = 1 / (1 - BETA2**turn)
        for w, g, m, v in zip(weights, slopes, means, squares, strict=True):
            m *= BETA1
            m += (1 - BETA1) * g
            v *= BETA2
            v += (1 - BETA2) * (g * g)
            w -= rate * m / (np.sqrt(v * scale) + EPS)

    update = descend if rule == "sgd" else adam

    def run() -> Any:
        outputs = [x]
        for w, b in zip(weights[:-2:2], weights[1:-2:2], strict=True):
            outputs.append(np.maximum(outputs[-1] @ w + b, 0))
        z = outputs[-1] @ weights[-2] + weights[-1]
        z -= z.max(axis=1, keepdims=True)
        p = np.exp(z)
        total = p.sum(axis=1, keepdims=True)
        p /= total
        value = np.mean(np.log(total[:, 0]) - (z * hot).sum(axis=1))
        delta = (p - hot) * np.float32(1 / len(x))
        slopes: Weights = []
        for k in range(len(weights) - 2, -1, -2):
            output = outputs[k // 2]
            slopes = [output.T @ delta, delta.sum(axis=0), *slopes]
            if k:
                delta = (delta @ weights[k].T) * (output > 0)
        update(slopes)
        return value

    return run


def with_torch(rule: Rule, weights: Weights, x: Any, t: Any, *, compiled: bool = False) -> Run:
    """Return a step by PyTorch, eager or by torch.compile."""
    import torch

    parameters = [torch.tensor(w, requires_grad=True) for w in weights]
    optimizer: Any = (
        torch.optim.SGD(parameters, SGD_RATE) if rule == "sgd" else torch.optim.Adam(parameters)
    )
    inputs, labels = torch.tensor(x), torch.tensor(t)

    def loss() -> Any:
        h = inputs
        for w, b in zip(parameters[:-2:2], parameters[1:-2:2], strict=True):
            h = torch.relu(torch.addmm(b, h, w))
        outputs = torch.addmm(parameters[-1], h, parameters[-2])
        return torch.nn.functional.cross_entropy(outputs, labels)

    return torch_step_of(optimizer, torch.compile(loss) if compiled else loss)


def with_jax(rule: Rule, weights: Weights, x: Any, t: Any) -> Run:
    """Return a step by jax.jit, weights and state donated."""
    import jax
    import jax.numpy as jnp

    def loss(weights: Weights, x: Any, t: Any) -> Any:
        for w, b in zip(weights[:-2:2], weights[1:-2:2], strict=True):
            x = jax.nn.relu(x @ w + b)
        z = x @ weights[-2] + weights[-1]
        return -jnp.mean(jax.nn.log_softmax(z)[jnp.arange(len(t)), t])

    def descend(weights: Weights, slopes: Weights, state: Any) -> tuple[Any, Any]:
        return [w - SGD_RATE * g for w, g in zip(weights, slopes, strict=True)], state

    def adam(weights: Weights, slopes: Weights, state: Any) -> tuple[Any, Any]:
        means, squares, turn = state
        turn = turn + 1
        means = [BETA1 * m + (1 - BETA1) * g for m, g in zip(means, slopes, strict=True)]
        squares = [BETA2 * v + (1 - BETA2) * g * g for v, g in zip(squares, slopes, strict=True)]
        rate, scale = RATE / (1 - BETA1**turn), 1 / (1 - BETA2**turn)
        moved = [
            w - rate * m / (jnp.sqrt(v * scale) + EPS)
            for w, m, v in zip(weights, means, squares, strict=True)
        ]
        return moved, (means, squares, turn)

    update = descend if rule == "sgd" else adam

    def step(kept: Any, x: Any, t: Any) -> Any:
        weights, state = kept
        value, slopes = jax.value_and_grad(loss)(weights, x, t)
        return update(weights, slopes, state), value

    begin = [jnp.asarray(w) for w in weights]
    state: Any = ([jnp.zeros_like(w) for w in begin], [jnp.zeros_like(w) for w in begin], 0.0)
    fast = jax.jit(step, donate_argnums=0)
    return continued(fast, (begin, state), jnp.asarray(x), jnp.asarray(t))


def with_sklearn(rule: Rule, weights: Weights, x: Any, t: Any) -> Run:
    """Return a step by scikit-learn: partial_fit, which checks what it is given every time."""
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier(
        [b.size for b in weights[1:-2:2]],
        solver=rule,
        alpha=0.0,
        batch_size=len(x),
        learning_rate_init=SGD_RATE if rule == "sgd" else RATE,
        momentum=0.0,
        shuffle=False,
    )
    model.partial_fit(x, t, classes=np.arange(weights[-1].size))
    model.coefs_, model.intercepts_ = ([w.copy() for w in weights[k::2]] for k in (0, 1))
    del model._optimizer  # the next step makes one for these weights

    def run() -> Any:
        return model.partial_fit(x, t).loss_

    return run


PEERS = {
    OURS: ours,
    "NumPy by hand": by_hand,
    "torch eager": with_torch,
    "torch.compile": functools.partial(with_torch, compiled=True),
    "jax.jit": with_jax,
    "scikit-learn": with_sklearn,
}


def training_step(rule: Rule, sizes: tuple[int, ...], batch: int) -> Task:
    """Return a step of the network with layers of these `sizes`."""
    widths = "-".join(map(str, sizes))

    def builder(build: Any) -> Any:
        return lambda: build(rule, *make_problem(sizes, batch))

    return Task(
        f"{rule}-{widths}",
        f"{'SGD' if rule == 'sgd' else 'Adam'} step of {list(sizes)}, batch {batch}, float32",
        {peer: builder(build) for peer, build in PEERS.items()},
        flops=products(sizes, batch),
    )


def products(sizes: tuple[int, ...], batch: int) -> int:
    """Return the operations in a step's products: values, slopes of weights and of layers.

    No slope of the inputs is taken.

    >>> products((3, 2), 1)
    24
    """
    weights = [n * m for n, m in itertools.pairwise(sizes)]
    return 2 * batch * (3 * sum(weights) - weights[0])


RULES: tuple[Rule, ...] = ("sgd", "adam")
TASKS = tuple(training_step(rule, *size) for rule in RULES for size in SIZES)
