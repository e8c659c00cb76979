"""Lesson 7: sparse derivatives in scipy.optimize, from plain NumPy code.

In each of three problems an unknown touches a few others only. pullback finds out which from the
code, colours them, and gives sparse matrices for SciPy's solvers to work with: a nonlinear boundary
value problem (root), a smooth curve through points with outliers (least_squares), and a hanging
chain, whose links are constraints (minimize with trust-constr).
"""

from __future__ import annotations

import numpy as np
from scipy import optimize
from scipy.sparse.linalg import LinearOperator, splu

import pullback as pb


def bratu(u):
    """Residual of Bratu's problem -u'' = 2 exp(u) on a grid, with u = 0 at both ends and beyond."""
    side = round(u.size**0.5)
    v = np.pad(u.reshape(side, side), 1)
    inner = v[1:-1, 1:-1]
    laplacian = v[2:, 1:-1] + v[:-2, 1:-1] + v[1:-1, 2:] + v[1:-1, :-2] - 4 * inner
    return (laplacian * (side + 1) ** 2 + 2 * np.exp(inner)).ravel()


def solve_bratu(side: int = 40) -> float:
    """Find the root by a Krylov method, preconditioned by the factorised sparse Jacobian."""
    start = np.zeros(side * side)
    jacobian = pb.sparse_jacobian(bratu)
    factors = splu(jacobian(start).tocsc())
    inverse = LinearOperator((start.size, start.size), factors.solve)
    found = optimize.root(
        bratu, start, method="krylov", options={"jac_options": {"inner_M": inverse}}
    )
    assert found.success, found.message
    residual = float(np.abs(bratu(found.x)).max())
    print(f"Bratu, {start.size} unknowns, {jacobian.colors(start)} products for a Jacobian of")
    print(f"  {jacobian(start).nnz} non-zeros: highest point {found.x.max():.5f}, ", end="")
    print(f"residual {residual:.1e}")
    return residual


def smooth_curve(n: int = 500, seed: int = 0) -> float:
    """Fit a curve through noisy points with outliers; the residuals are sparse in the curve."""
    rng = np.random.default_rng(seed)
    place = np.linspace(0, 1, n)
    truth = np.sin(9 * place) * np.exp(-place)
    points = truth + 0.05 * rng.normal(size=n)
    points[::25] += 2.0

    def residuals(curve):
        bend = curve[2:] - 2 * curve[1:-1] + curve[:-2]
        return np.concatenate([np.arctan(curve - points), 300 * bend])

    found = optimize.least_squares(
        residuals, points, jac=pb.sparse_jacobian(residuals), tr_solver="lsmr"
    )
    assert found.success, found.message
    error = float(np.sqrt(np.mean((found.x - truth) ** 2)))
    print(f"Curve of {n} points: error {error:.4f}, of the points themselves ", end="")
    print(f"{np.sqrt(np.mean((points - truth) ** 2)):.4f}")
    return error


def hang_chain(links: int = 60, length: float = 1.5) -> tuple[float, float]:
    """Hang a chain of stiff links between two nails: least energy under one condition per link."""

    def squared_lengths(flat):
        joints = flat.reshape(2, -1)
        nails = np.array([[0.0, 1.0], [0.0, 0.0]])
        chain = np.concatenate([nails[:, :1], joints, nails[:, 1:]], axis=1)
        return np.sum(np.diff(chain, axis=1) ** 2, axis=0) * links**2

    def energy(flat):
        return np.sum(flat.reshape(2, -1)[1]) / links

    constraint = optimize.NonlinearConstraint(
        squared_lengths,
        length**2,
        length**2,
        jac=pb.sparse_jacobian(squared_lengths),
        hess=pb.sparse_hessian(lambda flat, multipliers: multipliers @ squared_lengths(flat)),
    )
    place = np.linspace(0, 1, links + 1)[1:-1]
    found = optimize.minimize(
        energy,
        np.concatenate([place, -2 * place * (1 - place)]),
        method="trust-constr",
        jac=pb.grad(energy),
        hess=pb.sparse_hessian(energy),
        constraints=[constraint],
        options={"maxiter": 500},
    )
    assert found.constr_violation < 1e-6, found.message
    lowest = float(found.x.min())
    # the catenary y = a cosh((x - 1/2) / a) has this length where 2 a sinh(1 / (2 a)) is
    a = optimize.brentq(lambda a: 2 * a * np.sinh(0.5 / a) - length, 0.05, 10)
    exact = float(a - a * np.cosh(0.5 / a))
    print(f"Chain of {links} links: lowest point {lowest:.5f}, a catenary's {exact:.5f}, ", end="")
    print(f"{found.nit} steps")
    return lowest, exact


def main() -> dict[str, float]:
    """Solve the three problems."""
    residual = solve_bratu()
    error = smooth_curve()
    lowest, exact = hang_chain()
    return {"residual": residual, "error": error, "lowest": lowest, "exact": exact}


if __name__ == "__main__":
    main()
