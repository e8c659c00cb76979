"""One SGD step of a network: pullback compiled, by hand in NumPy, and the peers that are installed.

Same data, float32, softmax cross-entropy, one process; the rounds are interleaved, so that a noisy
machine is noisy for all. Ratios are the peer's time over ours, by the best and the median round.

    OMP_NUM_THREADS=1 python benchmarks/training_step.py
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from typing import Any

THREADS = int(os.environ.setdefault("OMP_NUM_THREADS", "1"))
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(THREADS)
os.environ["XLA_FLAGS"] = (
    f"--xla_cpu_multi_thread_eigen={'true' if THREADS > 1 else 'false'} "
    f"intra_op_parallelism_threads={THREADS}"
)

import numpy as np  # noqa: E402  the threads are counted when NumPy starts

import pullback as pb  # noqa: E402

CASES = (((784, 30, 10), 10), ((784, 128, 10), 64), ((784, 512, 512, 10), 128))
RATE = 0.01
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


def ours(weights: Weights, x: Any, t: Any) -> Step:
    """Return a step by pb.compile."""

    def loss(weights: Weights, x: Any, t: Any) -> Any:
        return pb.nn.losses.softmax_cross_entropy(forward(weights, x), t)

    @pb.compile
    def step(weights: Weights, x: Any, t: Any) -> Any:
        value, slopes = pb.value_and_grad(loss)(weights, x, t)
        return [w - RATE * g for w, g in zip(weights, slopes, strict=True)], value

    state = weights

    def run() -> Any:
        nonlocal state
        state, value = step(state, x, t)
        return value

    return run


def by_hand(weights: Weights, x: Any, t: Any) -> Step:
    """Return a step by the delta recursion in plain NumPy."""
    weights = [w.copy() for w in weights]
    hot = np.eye(weights[-1].size, dtype=np.float32)[t]

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
        for k in range(len(weights) - 2, -1, -2):
            output = outputs[k // 2]
            slope, bias_slope = output.T @ delta, delta.sum(axis=0)
            if k:
                delta = (delta @ weights[k].T) * (output > 0)
            weights[k] -= RATE * slope
            weights[k + 1] -= RATE * bias_slope
        return value

    return run


def with_torch(weights: Weights, x: Any, t: Any, compiled: bool = False) -> Step:
    """Return a step by PyTorch, eager or by torch.compile."""
    import torch

    torch.set_num_threads(THREADS)
    parameters = [torch.tensor(w, requires_grad=True) for w in weights]
    optimizer = torch.optim.SGD(parameters, lr=RATE)
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

    def step(weights: Weights, x: Any, t: Any) -> Any:
        value, slopes = jax.value_and_grad(loss)(weights, x, t)
        return [w - RATE * g for w, g in zip(weights, slopes, strict=True)], value

    fast = jax.jit(step, donate_argnums=0)
    state, inputs, labels = [jnp.asarray(w) for w in weights], jnp.asarray(x), jnp.asarray(t)

    def run() -> Any:
        nonlocal state
        state, value = fast(state, inputs, labels)
        return float(value)

    return run


PEERS: dict[str, Callable[..., Step]] = {
    "pullback": ours,
    "NumPy by hand": by_hand,
    "torch eager": with_torch,
    "torch.compile": lambda *problem: with_torch(*problem, compiled=True),
    "jax.jit": with_jax,
}


def main(rounds: int = 12, seconds: float = 0.05) -> None:
    """Time every case with every peer, after checking that the first steps agree."""
    for sizes, batch in CASES:
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
        print(f"\nSGD step of {list(sizes)}, batch {batch}, float32, {THREADS} thread(s), us")
        for name, found in times.items():
            low, median = min(found), float(np.median(found))
            print(
                f"{name:16s} min {low:8.1f}  median {median:8.1f}"
                f"  ratio {low / best:5.2f} / {median / middle:5.2f}"
            )


if __name__ == "__main__":
    main()
