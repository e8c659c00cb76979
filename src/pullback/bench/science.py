"""Gradients of scientific code: the same text with NumPy, differentiated by us, and jax.numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import pullback as pb
from pullback.bench.loops import BY_HAND
from pullback.bench.timing import OURS, Builder, Run, Task

Inputs = tuple[Any, ...]


def log_sum_exp(xp: Any, x: Any) -> Any:
    """Return the logarithm of the sum of exp(x) over the last axis."""
    highest = xp.max(x, axis=-1, keepdims=True)
    return highest[..., 0] + xp.log(xp.sum(xp.exp(x - highest), axis=-1))


def mixture(xp: Any, parameters: Inputs, points: Any) -> Any:
    """Return the negative log likelihood of `points` under a mixture of Gaussians.

    A component's precision is L^T L; L has exp(log_scales) on and `lower` below its diagonal.
    """
    logits, means, log_scales, lower = parameters
    identity = np.eye(points.shape[1])
    factors = xp.tril(lower, -1) + xp.exp(log_scales)[:, :, None] * identity
    z = xp.einsum("kij,nkj->nki", factors, points[:, None, :] - means)
    densities = logits + xp.sum(log_scales, axis=-1) - 0.5 * xp.sum(z * z, axis=-1)
    return len(points) * log_sum_exp(xp, logits) - xp.sum(log_sum_exp(xp, densities))


def bundle_adjustment(xp: Any, parameters: Inputs, seen: Any, camera: Any, point: Any) -> Any:
    """Return the squared distance of the image points `seen` from where cameras project points.

    A camera is a rotation vector, a centre, a focal length and two coefficients of distortion.
    """
    cameras, points = parameters
    c, x = cameras[camera], points[point] - cameras[camera, 3:6]
    angle = xp.sqrt(xp.sum(c[:, :3] ** 2, axis=1, keepdims=True))
    axis = c[:, :3] / angle
    along = xp.sum(axis * x, axis=1, keepdims=True)
    turned = (
        x * xp.cos(angle) + xp.cross(axis, x) * xp.sin(angle) + axis * along * (1 - xp.cos(angle))
    )  # Rodrigues' formula
    image = turned[:, :2] / turned[:, 2:]
    r = xp.sum(image * image, axis=1, keepdims=True)
    projected = c[:, 6:7] * image * (1 + c[:, 7:8] * r + c[:, 8:9] * r * r)
    return xp.sum((projected - seen) ** 2)


def potential_energy(xp: Any, places: Any, masses: Any) -> Any:
    """Return the gravitational energy of bodies, softened where they come close."""
    apart = places[:, None, :] - places
    distances = xp.sqrt(xp.sum(apart * apart, axis=-1) + 1e-2)
    return -0.5 * xp.sum(masses[:, None] * masses / distances)


def runge_kutta(xp: Any, parameters: Any, start: Any) -> Any:
    """Return a number of prey and predators after 1,000 steps of the classical method."""
    scan = _scan_of(xp)
    h = 0.01

    def slope(y: Any) -> Any:
        a, b = y[0], y[1]
        p = parameters
        return xp.stack([p[0] * a - p[1] * a * b, p[3] * a * b - p[2] * b])

    def step(y: Any, _: Any) -> tuple[Any, None]:
        k1 = slope(y)
        k2 = slope(y + h / 2 * k1)
        k3 = slope(y + h / 2 * k2)
        k4 = slope(y + h * k3)
        return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4), None

    y, _ = scan(step, start, length=1000)
    return y[0] * y[0] + y[1]


def _scan_of(xp: Any) -> Any:
    if xp is np:
        return pb.scan
    import jax

    return jax.lax.scan


def sum_of_log_sum_exps(xp: Any, x: Any) -> Any:
    """Return log_sum_exp of each row, added."""
    return xp.sum(log_sum_exp(xp, x))


def horner(xp: Any, parameters: Inputs) -> Any:
    """Return the values of a polynomial, added."""
    coefficients, x = parameters
    y = coefficients[-1]
    for k in range(2, coefficients.shape[0] + 1):
        y = y * x + coefficients[-k]
    return xp.sum(y)


def mixture_inputs(rng: Any) -> Inputs:
    """Return 8 components and 2,000 points in 4 dimensions."""
    shapes = ((8,), (8, 4), (8, 4), (8, 4, 4))
    return tuple(0.5 * rng.normal(size=shape) for shape in shapes), rng.normal(size=(2000, 4))


def bundle_inputs(rng: Any) -> Inputs:
    """Return 20 cameras, 1,000 points before them, and 5,000 observations."""
    cameras = np.hstack([
        0.1 * rng.normal(size=(20, 3)), rng.normal(size=(20, 3)), np.ones((20, 1)),
        0.01 * rng.normal(size=(20, 2)),
    ])  # fmt: skip
    points = rng.normal((0.0, 0.0, 10.0), size=(1000, 3))
    indices = (rng.integers(0, count, 5000) for count in (20, 1000))
    return (cameras, points), rng.normal(size=(5000, 2)), *indices


Example = tuple[str, Callable[..., Any], Callable[[Any], Inputs]]
EXAMPLES: dict[str, Example] = {
    "mixture": ("log likelihood of a Gaussian mixture", mixture, mixture_inputs),
    "bundle": ("bundle adjustment of 5,000 observations", bundle_adjustment, bundle_inputs),
    "bodies": (
        "potential energy of 200 bodies",
        potential_energy,
        lambda rng: (rng.normal(size=(200, 3)), rng.random(200)),
    ),
    "ode": (
        "1,000 Runge-Kutta steps",
        runge_kutta,
        lambda rng: (np.array([1.0, 0.5, 0.7, 0.3]), np.array([1.0, 0.5])),
    ),
    "log-sum-exp": (
        "log-sum-exp of the rows of 1,000 x 1,000",
        sum_of_log_sum_exps,
        lambda rng: (rng.normal(size=(1000, 1000)),),
    ),
    "horner": (
        "polynomial of degree 100 at 10,000 points",
        horner,
        lambda rng: ((rng.normal(size=101), rng.uniform(-1, 1, 10_000)),),
    ),
}

MOVED = {"log-sum-exp": 2 * 8 * 1000 * 1000}
"""Bytes of the inputs and of their slopes, where these are what takes the time."""


def gradient(name: str, example: Example) -> Task:
    """Return value and gradient of an example, in float64, by its first argument."""
    summary, function, make = example

    def value(*inputs: Any) -> Any:
        return function(np, *inputs)

    def ours(function: Callable[..., Any]) -> Builder:
        def build() -> Run:
            inputs, fast = make(np.random.default_rng(0)), pb.compile(function)
            return lambda: fast(*inputs)

        return build

    def with_jax() -> Run:
        import jax
        import jax.numpy as jnp

        jax.config.update("jax_enable_x64", True)
        inputs = jax.tree.map(jnp.asarray, make(np.random.default_rng(0)))
        fast = jax.jit(jax.value_and_grad(lambda *inputs: function(jnp, *inputs)))
        return lambda: jax.block_until_ready(fast(*inputs))

    def with_numba() -> Run:
        import numba

        inputs, fast = make(np.random.default_rng(0)), numba.njit(BY_HAND[name])
        return lambda: fast(*inputs)

    by_hand = {"numba by hand": with_numba} if name in BY_HAND else {}
    return Task(
        name,
        f"gradient: {summary}, float64",
        {OURS: ours(pb.value_and_grad(value)), "jax.jit": with_jax} | by_hand,
        tolerance=1e-8,
        value=ours(value),
        moved=MOVED.get(name, 0),
    )


TASKS = tuple(gradient(name, example) for name, example in EXAMPLES.items())
