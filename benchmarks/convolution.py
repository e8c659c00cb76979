"""Convolutional networks: pullback compiled, and the peers that are installed.

A step of LeNet-5 by SGD, batch 64, and the value and both slopes of a convolution of 3 x 3 from 64
to 64 channels on 32 x 32 images, batch 32. Same data, float32, one process; the rounds are
interleaved, so that a noisy machine is noisy for all. Ratios are the peer's time over ours, by the
best and the median round.

    OMP_NUM_THREADS=1 python benchmarks/convolution.py
"""

from __future__ import annotations

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
from pullback.nn import functional  # noqa: E402

RATE = 0.01
Step = Callable[[], Any]
CONVOLUTIONS, DENSE = ((5, 1, 6), (5, 6, 16)), ((400, 120), (120, 84), (84, 10))
"""LeNet-5: LeCun et al., "Gradient-based learning applied to document recognition", 1998."""


def lenet_problem() -> tuple[list[Any], Any, Any]:
    """Return weights and biases in turn, images (n, height, width, channels) and labels."""
    rng = np.random.default_rng(0)
    weights: list[Any] = []
    for size, n, m in CONVOLUTIONS:
        weights += [_drawn(rng, (size, size, n, m), size * size * n), np.zeros(m, np.float32)]
    for n, m in DENSE:
        weights += [_drawn(rng, (n, m), n), np.zeros(m, np.float32)]
    return weights, rng.random((64, 28, 28, 1), np.float32), rng.integers(0, 10, 64)


def _drawn(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int) -> Any:
    return rng.normal(0, fan_in**-0.5, shape).astype(np.float32)


def convolution_problem() -> tuple[Any, Any, Any]:
    """Return images, weights (height, width, inputs, outputs), and the slope of the result."""
    rng = np.random.default_rng(0)
    x, ct = (_drawn(rng, (32, 32, 32, 64), 1) for _ in range(2))
    return x, _drawn(rng, (3, 3, 64, 64), 576), ct


def our_lenet() -> Step:
    """Return a step by pb.compile."""

    def loss(weights: list[Any], x: Any, t: Any) -> Any:
        for k, padding in ((0, 2), (2, 0)):
            x = functional.conv(x, weights[k], weights[k + 1], padding=padding)
            x = functional.max_pool(np.maximum(x, 0), 2)
        x = x.reshape(len(x), -1)
        for k in (4, 6):
            x = np.maximum(x @ weights[k] + weights[k + 1], 0)
        return pb.nn.losses.softmax_cross_entropy(x @ weights[8] + weights[9], t)

    def step(weights: list[Any], x: Any, t: Any) -> Any:
        value, slopes = pb.value_and_grad(loss)(weights, x, t)
        return [w - RATE * g for w, g in zip(weights, slopes, strict=True)], value

    fast = pb.compile(step, threads=THREADS)
    state, x, t = lenet_problem()

    def run() -> Any:
        nonlocal state
        state, value = fast(state, x, t)
        return value

    return run


def torch_lenet(compiled: bool = False, channels_last: bool = False) -> Step:
    """Return a step by PyTorch, eager or by torch.compile."""
    import torch

    nn = torch.nn.functional

    torch.set_num_threads(THREADS)
    weights, x, t = lenet_problem()
    kind = torch.channels_last if channels_last else torch.contiguous_format
    turned = [w.transpose(3, 2, 0, 1) if w.ndim == 4 else w for w in weights]
    parameters = [
        torch.tensor(np.ascontiguousarray(w)).contiguous(
            memory_format=kind if w.ndim == 4 else torch.contiguous_format
        )
        for w in turned
    ]
    for p in parameters:
        p.requires_grad_()
    # the peers number the places of an image after its channels
    parameters[4].data = _by_channels(parameters[4].data, 5, 16)
    images = torch.tensor(np.ascontiguousarray(x.transpose(0, 3, 1, 2))).contiguous(
        memory_format=kind
    )
    labels, optimizer = torch.tensor(t), torch.optim.SGD(parameters, lr=RATE)

    def loss() -> Any:
        h = images
        for k, padding in ((0, 2), (2, 0)):
            h = nn.conv2d(h, parameters[k], parameters[k + 1], padding=padding)
            h = nn.max_pool2d(torch.relu(h), 2)
        h = h.flatten(1)
        for k in (4, 6):
            h = torch.relu(torch.addmm(parameters[k + 1], h, parameters[k]))
        return nn.cross_entropy(torch.addmm(parameters[9], h, parameters[8]), labels)

    function = torch.compile(loss) if compiled else loss

    def run() -> Any:
        optimizer.zero_grad(set_to_none=True)
        value = function()
        value.backward()
        optimizer.step()
        return value.item()

    return run


def _by_channels(w: Any, side: int, channels: int) -> Any:
    """Return rows for places and channels in the order of channels and places."""
    return w.reshape(side, side, channels, -1).permute(2, 0, 1, 3).reshape(w.shape).contiguous()


def jax_lenet() -> Step:
    """Return a step by jax.jit, the weights donated."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    def loss(weights: list[Any], x: Any, t: Any) -> Any:
        for k, padding in ((0, 2), (2, 0)):
            x = _jax_conv(x, weights[k], padding) + weights[k + 1]
            x = lax.reduce_window(
                jax.nn.relu(x), -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID"
            )
        x = x.reshape(len(x), -1)
        for k in (4, 6):
            x = jax.nn.relu(x @ weights[k] + weights[k + 1])
        z = x @ weights[8] + weights[9]
        return -jnp.mean(jax.nn.log_softmax(z)[jnp.arange(len(t)), t])

    def step(weights: list[Any], x: Any, t: Any) -> Any:
        value, slopes = jax.value_and_grad(loss)(weights, x, t)
        return [w - RATE * g for w, g in zip(weights, slopes, strict=True)], value

    fast = jax.jit(step, donate_argnums=0)
    weights, *data = lenet_problem()
    state, x, t = [jnp.asarray(w) for w in weights], *map(jnp.asarray, data)

    def run() -> Any:
        nonlocal state
        state, value = fast(state, x, t)
        return float(value)

    return run


def _jax_conv(x: Any, w: Any, padding: int) -> Any:
    from jax import lax

    pairs = ((padding, padding), (padding, padding))
    return lax.conv_general_dilated(x, w, (1, 1), pairs, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def our_convolution() -> Step:
    """Return the value and both slopes by pb.compile."""
    x, w, ct = convolution_problem()

    @pb.compile(threads=THREADS)
    def both(x: Any, w: Any, ct: Any) -> Any:
        value, pull = pb.vjp(lambda x, w: functional.conv(x, w, padding=1), x, w)
        return value, pull(ct)

    def run() -> Any:
        value, (_, slope) = both(x, w, ct)
        return value[0, 0, 0, 0] + slope[0, 0, 0, 0]

    return run


def torch_convolution(compiled: bool = False, channels_last: bool = False) -> Step:
    """Return the value and both slopes by PyTorch."""
    import torch

    torch.set_num_threads(THREADS)
    kind = torch.channels_last if channels_last else torch.contiguous_format
    problem = zip(convolution_problem(), ((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2)), strict=True)
    x, w, ct = (
        torch.tensor(np.ascontiguousarray(a.transpose(axes))).contiguous(memory_format=kind)
        for a, axes in problem
    )
    x.requires_grad_()
    w.requires_grad_()

    def conv(x: Any, w: Any) -> Any:
        return torch.nn.functional.conv2d(x, w, padding=1)

    function = torch.compile(conv) if compiled else conv

    def run() -> Any:
        value = function(x, w)
        _, slope = torch.autograd.grad(value, [x, w], ct)
        return (value[0, 0, 0, 0] + slope[0, 0, 0, 0]).item()

    return run


def jax_convolution() -> Step:
    """Return the value and both slopes by jax.jit."""
    import jax

    @jax.jit
    def both(x: Any, w: Any, ct: Any) -> Any:
        value, pull = jax.vjp(lambda x, w: _jax_conv(x, w, 1), x, w)
        return value, pull(ct)

    x, w, ct = map(jax.numpy.asarray, convolution_problem())

    def run() -> Any:
        value, (slope_x, slope) = both(x, w, ct)
        slope_x.block_until_ready()
        return float(value[0, 0, 0, 0] + slope[0, 0, 0, 0])

    return run


CASES: dict[str, tuple[Step | Callable[..., Step], ...]] = {
    "SGD step of LeNet-5, batch 64": (our_lenet, torch_lenet, jax_lenet),
    "3 x 3 convolution 64 -> 64, 32 x 32, batch 32, with both slopes": (
        our_convolution, torch_convolution, jax_convolution,
    ),
}  # fmt: skip


def peers(ours: Any, torch: Any, jax: Any) -> dict[str, Callable[[], Step]]:
    """Return what makes the step of each peer."""
    return {
        "pullback": ours,
        "torch eager": torch,
        "torch channels_last": lambda: torch(channels_last=True),
        "torch.compile": lambda: torch(compiled=True),
        "jax.jit": jax,
    }


def main(rounds: int = 12, seconds: float = 0.1) -> None:
    """Time every case with every peer, after checking that the first steps agree."""
    for title, makers in CASES.items():
        steps: dict[str, Step] = {}
        for name, make in peers(*makers).items():
            try:
                steps[name] = make()
                values = [float(steps[name]()) for _ in range(3)]
            except Exception as error:  # a peer that is not there, or does not start here
                print(f"{name}: left out ({type(error).__name__}: {str(error)[:70]})")
                steps.pop(name, None)
                continue
            if name == "pullback":
                expected = values
            np.testing.assert_allclose(values, expected, rtol=1e-3, err_msg=name)
        times: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(rounds):
            for name, step in steps.items():
                count, start = 0, time.perf_counter()
                while time.perf_counter() - start < seconds:
                    step()
                    count += 1
                times[name].append((time.perf_counter() - start) / count * 1e3)
        best, middle = min(times["pullback"]), float(np.median(times["pullback"]))
        print(f"\n{title}, float32, {THREADS} thread(s), ms")
        for name, found in times.items():
            low, median = min(found), float(np.median(found))
            print(
                f"{name:20s} min {low:8.3f}  median {median:8.3f}"
                f"  ratio {low / best:5.2f} / {median / middle:5.2f}"
            )


if __name__ == "__main__":
    main()
