"""A physics-informed network: Burgers' equation solved by a network and its own derivatives.

    u_t + u u_x = nu u_xx,   u(0, x) = -sin(pi x),   u(t, -1) = u(t, 1) = 0,   nu = 0.01 / pi

The solution is sought as u = -sin(pi x) + t (1 - x^2) (N(t, x) - N(t, -x)), which meets the initial
and boundary values and is odd, as the solution is, whatever the network N. `pb.jet` pushes a Taylor
series in x through it, which gives u, u_x and u_xx in one pass; `pb.jvp` gives u_t. L-BFGS then
lets little residual of the equation remain at random points. A steep front forms at x = 0.

The reference is the closed form of Cole and Hopf, see Basdevant et al., "Spectral and finite
difference solutions of the Burgers equation", Computers & Fluids 14, 1986. Source of the method:
Raissi, Perdikaris and Karniadakis, "Physics-informed neural networks", Journal of Computational
Physics 378, 2019; it asks for initial and boundary values by further terms of the loss instead.

python examples/13_burgers_pinn.py [PICTURE.png]
"""

from __future__ import annotations

import sys
import time

import numpy as np

import pullback as pb

VISCOSITY = 0.01 / np.pi


def solution(network, t, x):
    """Return u(t, x) of the network at points t and x, both (n,)."""

    def inner(x):
        return network(np.stack([2 * t - 1, x], axis=1))[:, 0]

    return -np.sin(np.pi * x) + t * (1 - x * x) * (inner(x) - inner(-x))


def residual(network, t, x):
    """Return u_t + u u_x - nu u_xx at points t and x."""
    one, zero = np.ones_like(x), np.zeros_like(x)
    u, (u_x, u_xx) = pb.jet(lambda x: solution(network, t, x), (x,), ([one, zero],))
    _, u_t = pb.jvp(lambda t: solution(network, t, x), (t,), (np.ones_like(t),))
    return u_t + u * u_x - VISCOSITY * u_xx


def mean_squared_residual(network, t, x):
    """Return what training makes small."""
    return np.mean(residual(network, t, x) ** 2)


def reference(t, x, nodes: int = 200):
    """Return the solution of Cole and Hopf at t > 0: two integrals by Gauss and Hermite's rule."""
    z, weights = np.polynomial.hermite.hermgauss(nodes)
    y = x[..., None] - np.sqrt(4 * VISCOSITY * t[..., None]) * z
    density = weights * np.exp(-np.cos(np.pi * y) / (2 * np.pi * VISCOSITY))
    return -np.sum(np.sin(np.pi * y) * density, axis=-1) / np.sum(density, axis=-1)


def draw(path: str, t, x, found, exact) -> None:
    """Draw the network's solution over time and space, and both solutions at three times."""
    from matplotlib import pyplot as plt

    figure, (left, *rest) = plt.subplots(
        1, 4, figsize=(11, 3.1), layout="constrained", width_ratios=[1.5, 1, 1, 1]
    )
    image = left.pcolormesh(t[:, 0], x[0], found.T, cmap="RdBu_r", rasterized=True)
    figure.colorbar(image, ax=left)
    left.set(xlabel="t", ylabel="x", title="u(t, x), network")
    for axes, share in zip(rest, (0.25, 0.5, 0.99), strict=True):
        i = int(share * (len(t) - 1))
        axes.plot(x[i], exact[i], lw=3, color="0.75", label="Cole and Hopf")
        axes.plot(x[i], found[i], "--", color="C3", label="network")
        axes.set(xlabel="x", title=f"t = {t[i, 0]:.2f}", ylim=(-1.1, 1.1))
    figure.legend(*rest[0].get_legend_handles_labels(), loc="outside lower right", ncols=2)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main(
    picture: str | None = None, iterations: int = 8000, points: int = 2000, width: int = 20
) -> dict[str, float]:
    """Train, and print the error against the reference."""
    keys = pb.random.split(pb.random.key(0), 3)
    sizes = [2, width, width, width, 1]
    network = pb.nn.mlp(keys[0], sizes, activation="tanh", dtype=np.float64)
    t = pb.random.uniform(keys[1], (points,), np.float64)
    x = 2 * pb.random.uniform(keys[2], (points,), np.float64) - 1
    start = time.perf_counter()
    found = pb.optim.minimize(
        mean_squared_residual, network, (t, x), tolerance=1e-7, iterations=iterations
    )
    seconds = time.perf_counter() - start
    print(f"{found.iterations} iterations in {seconds:.0f} s: mean squared residual", end=" ")
    print(f"{found.value:.1e}")

    times, places = np.meshgrid(np.linspace(0.01, 1, 100), np.linspace(-1, 1, 201), indexing="ij")
    values = solution(found.params, times.ravel(), places.ravel()).reshape(times.shape)
    exact = reference(times, places)
    error = float(np.linalg.norm(values - exact) / np.linalg.norm(exact))
    largest = float(np.abs(values - exact).max())
    print(f"against Cole and Hopf: relative error {error:.1e}, largest {largest:.1e}")
    if picture is not None:
        draw(picture, times, places, values, exact)
    return {"error": error, "largest": largest, "residual": found.value}


if __name__ == "__main__":
    main(*sys.argv[1:2])
