"""Convolutional networks: a step of LeNet-5, and one convolution with both of its slopes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import pullback as pb
from pullback.bench.steps import RATE, continued, step_of, torch_step_of
from pullback.bench.timing import OURS, Run, Task
from pullback.nn import functional

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


def our_lenet() -> Run:
    """Return a step by pb.compile."""

    def loss(weights: list[Any], x: Any, t: Any) -> Any:
        for k, padding in ((0, 2), (2, 0)):
            x = functional.conv(x, weights[k], weights[k + 1], padding=padding)
            x = functional.max_pool(np.maximum(x, 0), 2)
        x = x.reshape(len(x), -1)
        for k in (4, 6):
            x = np.maximum(x @ weights[k] + weights[k + 1], 0)
        return pb.nn.losses.softmax_cross_entropy(x @ weights[8] + weights[9], t)

    return step_of(loss, *lenet_problem())


def torch_lenet(compiled: bool = False, channels_last: bool = False) -> Run:
    """Return a step by PyTorch, eager or by torch.compile."""
    import torch

    nn = torch.nn.functional
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
    labels = torch.tensor(t)

    def loss() -> Any:
        h = images
        for k, padding in ((0, 2), (2, 0)):
            h = nn.conv2d(h, parameters[k], parameters[k + 1], padding=padding)
            h = nn.max_pool2d(torch.relu(h), 2)
        h = h.flatten(1)
        for k in (4, 6):
            h = torch.relu(torch.addmm(parameters[k + 1], h, parameters[k]))
        return nn.cross_entropy(torch.addmm(parameters[9], h, parameters[8]), labels)

    optimizer = torch.optim.SGD(parameters, RATE)
    return torch_step_of(optimizer, torch.compile(loss) if compiled else loss)


def _by_channels(w: Any, side: int, channels: int) -> Any:
    """Return rows for places and channels in the order of channels and places."""
    return w.reshape(side, side, channels, -1).permute(2, 0, 1, 3).reshape(w.shape).contiguous()


def jax_lenet() -> Run:
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

    weights, *data = lenet_problem()
    begin = [jnp.asarray(w) for w in weights]
    return continued(jax.jit(step, donate_argnums=0), begin, *map(jnp.asarray, data))


def _jax_conv(x: Any, w: Any, padding: int) -> Any:
    from jax import lax

    pairs = ((padding, padding), (padding, padding))
    return lax.conv_general_dilated(x, w, (1, 1), pairs, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def our_convolution() -> Run:
    """Return the value and both slopes by pb.compile."""
    x, w, ct = convolution_problem()

    def both(x: Any, w: Any, ct: Any) -> Any:
        value, pull = pb.vjp(lambda x, w: functional.conv(x, w, padding=1), x, w)
        return value, pull(ct)

    fast = pb.compile(both)

    def run() -> Any:
        value, (_, slope) = fast(x, w, ct)
        return value[0, 0, 0, 0] + slope[0, 0, 0, 0]

    return run


def torch_convolution(compiled: bool = False, channels_last: bool = False) -> Run:
    """Return the value and both slopes by PyTorch."""
    import torch

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


def jax_convolution() -> Run:
    """Return the value and both slopes by jax.jit."""
    import jax

    def both(x: Any, w: Any, ct: Any) -> Any:
        value, pull = jax.vjp(lambda x, w: _jax_conv(x, w, 1), x, w)
        return value, pull(ct)

    fast = jax.jit(both)
    x, w, ct = map(jax.numpy.asarray, convolution_problem())

    def run() -> Any:
        value, (slope_x, slope) = fast(x, w, ct)
        slope_x.block_until_ready()
        return float(value[0, 0, 0, 0] + slope[0, 0, 0, 0])

    return run


def peers(ours: Callable[[], Run], torch: Callable[..., Run], jax: Callable[[], Run]) -> Any:
    """Return what builds the function of each peer."""
    return {
        OURS: ours,
        "torch eager": torch,
        "torch channels_last": lambda: torch(channels_last=True),
        "torch.compile": lambda: torch(compiled=True),
        "jax.jit": jax,
    }


TASKS = (
    Task(
        "lenet",
        "SGD step of LeNet-5, batch 64, float32",
        peers(our_lenet, torch_lenet, jax_lenet),
        flops=2 * 64 * (2 * 28 * 28 * 150 + 3 * 10 * 10 * 2400 + 3 * (400 * 120 + 120 * 84 + 840)),
    ),
    Task(
        "convolution",
        "3 x 3, 64 to 64 channels, 32 x 32, batch 32, with both slopes, float32",
        peers(our_convolution, torch_convolution, jax_convolution),
        flops=3 * 2 * 32 * 32 * 32 * 9 * 64 * 64,
    ),
)
