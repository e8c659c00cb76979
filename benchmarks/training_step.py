"""One step of training a network: pullback compiled, by hand in NumPy, and the peers installed.

Same data, float32, softmax cross-entropy, one process; the rounds are interleaved, so that a noisy
machine is noisy for all. Ratios are the peer's time over ours, by the best and the median round.

    python benchmarks/training_step.py [--threads 2] [--adam] [--large]
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from collections.abc import Callable
from typing import Any

PARSER = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
PARSER.add_argument("--threads", type=int, default=1)
PARSER.add_argument("--adam", action="store_true", help="steps of Adam, not of gradient descent")
PARSER.add_argument("--large", action="store_true", help="[1024, 4096, 4096, 1024] only")
OPTIONS = PARSER.parse_args()
THREADS = OPTIONS.threads
for variable in ("PULLBACK_THREADS", *(f"{x}_NUM_THREADS" for x in ("OMP", "OPENBLAS", "MKL"))):
    os.environ[variable] = str(THREADS)
os.environ["XLA_FLAGS"] = (
    f"--xla_cpu_multi_thread_eigen={'true' if THREADS > 1 else 'false'} "
    f"intra_op_parallelism_threads={THREADS}"
)

import numpy as np  # noqa: E402  the threads are counted when NumPy starts

import pullback as pb  # noqa: E402

CASES = (((784, 30, 10), 10), ((784, 128, 10), 64), ((784, 512, 512, 10), 128))
LARGE = (((1024, 4096, 4096, 1024), 512),)
RATE = 1e-3 if OPTIONS.adam else 0.01
Weights = list[Any]
Step = Callable[[], Any]


def make_problem(sizes: tuple[int, ...], batch: int) -> tuple[Weights, Any, Any]:
    """Return weights and biases in turn, inputs and labels."""
    rng = np.random.default_rng(0)
    weights: Weights = []
    for n, m in itertools.pairwise(sizes):
        weights += [rng.normal(0, n**-0.5, (n, m)).astype(np.float32), np.zeros(m, np.float32)]
    inputs = rng.random((batch, sizes[0]), np.float32)
    return weights, inputs, rng.integers(0, sizes[-1], batch)


def forward(weights: Weights, x: Any) -> Any:
    """Return the logits."""
    for w, b in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        x = np.maximum(x @ w + b, 0)
    return x @ weights[-2] + weights[-1]


def moments(weights: Weights) -> Any:
    """Return what Adam remembers at first; nothing for gradient descent."""
    if not OPTIONS.adam:
        return ()
    zeros = [np.zeros_like(w) for w in weights]
    return np.zeros(1, np.float32), zeros, [z.copy() for z in zeros]


def updated(weights: Weights, slopes: Weights, memory: Any, xp: Any = np) -> tuple[Weights, Any]:
    """Return the weights after a step, and what Adam remembers (Kingma and Ba, 2015)."""
    if not OPTIONS.adam:
        return [w - RATE * g for w, g in zip(weights, slopes, strict=True)], ()
    count, means, squares = memory[0] + 1, *memory[1:]
    means = [0.9 * m + 0.1 * g for m, g in zip(means, slopes, strict=True)]
    squares = [0.999 * v + 0.001 * (g * g) for v, g in zip(squares, slopes, strict=True)]
    rate, scale = RATE / (1 - 0.9**count), 1 / (1 - 0.999**count)
    weights = [
        w - rate * m / (xp.sqrt(scale * v) + 1e-8)
        for w, m, v in zip(weights, means, squares, strict=True)
    ]
    return weights, (count, means, squares)


def ours(weights: Weights, x: Any, t: Any) -> Step:
    """Return a step by pb.compile."""

    def loss(weights: Weights, x: Any, t: Any) -> Any:
        return pb.nn.losses.softmax_cross_entropy(forward(weights, x), t)

    def step(weights: Weights, memory: Any, x: Any, t: Any) -> Any:
        value, slopes = pb.value_and_grad(loss)(weights, x, t)
        return *updated(weights, slopes, memory), value

    compiled = pb.compile(step, donate_argnums=(0, 1), threads=THREADS)
    memory = moments(weights)

    def run() -> Any:
        nonlocal weights, memory
        weights, memory, value = compiled(weights, memory, x, t)
        return value

    return run


def by_hand(weights: Weights, x: Any, t: Any) -> Step:
    """Return a step by the delta recursion in plain NumPy."""
    weights = [w.copy() for w in weights]
    hot = np.eye(weights[-1].size, dtype=np.float32)[t]
    memory = moments(weights)

    def run() -> Any:
        nonlocal weights, memory
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
        slopes = [np.empty(0)] * len(weights)
        for k in range(len(weights) - 2, -1, -2):
            output = outputs[k // 2]
            slopes[k : k + 2] = output.T @ delta, delta.sum(axis=0)
            if k:
                delta = (delta @ weights[k].T) * (output > 0)
            if not OPTIONS.adam:
                weights[k] -= RATE * slopes[k]
                weights[k + 1] -= RATE * slopes[k + 1]
        if OPTIONS.adam:
            weights, memory = updated(weights, slopes, memory)
        return value

    return run


def with_torch(weights: Weights, x: Any, t: Any, compiled: bool = False) -> Step:
    """Return a step by PyTorch, eager or by torch.compile."""
    import torch

    torch.set_num_threads(THREADS)
    parameters = [torch.tensor(w, requires_grad=True) for w in weights]
    optimizer = (torch.optim.Adam if OPTIONS.adam else torch.optim.SGD)(parameters, lr=RATE)
    inputs, labels = torch.tensor(x), torch.tensor(t)

    def loss() -> Any:
        h = inputs
        for w, b in zip(parameters[:-2:2], parameters[1:-2:2], strict=True):
            h = torch.relu(torch.addmm(b, h, w))
        return torch.nn.functional.cross_entropy(
            torch.addmm(parameters[-1], h, parameters[-2]), labels
        )

    function = torch.compile(loss) if compiled else loss

    def run() -> Any:
        optimizer.zero_grad(set_to_none=True)
        value = function()
        value.backward()
        optimizer.step()
        return value.item()

    return run


def with_jax(weights: Weights, x: Any, t: Any) -> Step:
    """Return a step by jax.jit, the weights donated."""
    import jax
    import jax.numpy as jnp

    def loss(weights: Weights, x: Any, t: Any) -> Any:
        for w, b in zip(weights[:-2:2], weights[1:-2:2], strict=True):
            x = jax.nn.relu(x @ w + b)
        z = x @ weights[-2] + weights[-1]
        return -jnp.mean(jax.nn.log_softmax(z)[jnp.arange(len(t)), t])

    def step(weights: Weights, memory: Any, x: Any, t: Any) -> Any:
        value, slopes = jax.value_and_grad(loss)(weights, x, t)
        return *updated(weights, slopes, memory, jnp), value

    fast = jax.jit(step, donate_argnums=(0, 1))
    inputs, labels = jnp.asarray(x), jnp.asarray(t)
    weights, memory = jax.tree.map(jnp.asarray, (weights, moments(weights)))

    def run() -> Any:
        nonlocal weights, memory
        weights, memory, value = fast(weights, memory, inputs, labels)
        return float(value)

    return run


PEERS: dict[str, Callable[..., Step]] = {
    "pullback": ours,
    "NumPy by hand": by_hand,
    "torch eager": with_torch,
    "torch.compile": lambda *problem: with_torch(*problem, compiled=True),
    "jax.jit": with_jax,
}


def main(rounds: int = 3 if OPTIONS.large else 12, seconds: float = 0.05) -> None:
    """Time every case with every peer, after checking that the first steps agree."""
    for sizes, batch in LARGE if OPTIONS.large else CASES:
        steps: dict[str, Step] = {}
        for name, make in PEERS.items():
            try:
                steps[name] = make(*make_problem(sizes, batch))
                losses = [float(steps[name]()) for _ in range(5)]
            except Exception as error:  # a peer that is not there, or does not start here
                print(f"{name}: left out ({type(error).__name__}: {str(error)[:70]})")
                steps.pop(name, None)
                continue
            if name == "pullback":
                expected = losses
            np.testing.assert_allclose(losses, expected, rtol=1e-3, err_msg=name)
        times: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(rounds):
            for name, step in steps.items():
                count, start = 0, time.perf_counter()
                while time.perf_counter() - start < seconds:
                    step()
                    count += 1
                times[name].append((time.perf_counter() - start) / count * 1e6)
        best, middle = min(times["pullback"]), float(np.median(times["pullback"]))
        kind = "Adam" if OPTIONS.adam else "SGD"
        print(f"\n{kind} step of {list(sizes)}, batch {batch}, float32, {THREADS} thread(s), us")
        for name, found in times.items():
            low, median = min(found), float(np.median(found))
            print(
                f"{name:16s} min {low:8.1f}  median {median:8.1f}"
                f"  ratio {low / best:5.2f} / {median / middle:5.2f}"
            )


if __name__ == "__main__":
    main()
