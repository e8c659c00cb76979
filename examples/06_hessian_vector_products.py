"""Lesson 6: Hessian-vector products without the Hessian, and a Krylov solve with them.

Newton's method for logistic regression with 300 weights: each step solves H p = -g by conjugate
gradients, which needs only products H v. They cost about two gradients each (Pearlmutter, 1994);
the Hessian itself is never formed.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse.linalg import LinearOperator, cg

import pullback as pb


def make_problem(n: int = 500, d: int = 300, seed: int = 0):
    """Return inputs and labels in {0, 1}."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    labels = (x @ rng.normal(size=d) / d**0.5 + 0.5 * rng.normal(size=n) > 0).astype(float)
    return x, labels


def main() -> dict[str, float]:
    """Minimise, and compare one product with the full Hessian's."""
    x, labels = make_problem()

    def loss(w):
        margins = x @ w
        return np.mean(np.logaddexp(0.0, margins) - labels * margins) + 0.005 * np.sum(w * w)

    def product(w, v):
        return pb.hvp(loss, (w,), (v,))[0]

    w = np.zeros(x.shape[1])
    rng = np.random.default_rng(1)
    v = rng.normal(size=w.size)
    full = pb.hessian(loss)(w)
    difference = np.abs(product(w, v) - full @ v).max()
    print(f"H v without H, against the full {full.shape} Hessian: difference {difference:.1e}")

    gradient, steps = pb.grad(loss), 0
    while np.linalg.norm(g := gradient(w)) > 1e-10 and steps < 20:
        operator = LinearOperator((w.size, w.size), matvec=lambda v, w=w: product(w, v))
        direction, info = cg(operator, -g, rtol=1e-6)
        assert info == 0
        w = w + direction
        steps += 1
        print(
            f"Newton step {steps}: loss {loss(w):.8f}  |gradient| {np.linalg.norm(gradient(w)):.1e}"
        )
    return {
        "difference": difference,
        "steps": steps,
        "gradient": float(np.linalg.norm(gradient(w))),
    }


if __name__ == "__main__":
    main()
