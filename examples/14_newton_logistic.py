"""Logistic regression by Newton's method with conjugate gradients, against scikit-learn.

    E(w, b) = sum_i log(1 + exp(-s_i (x_i w + b))) + 1/2 |w|^2,   s_i = +1 or -1

`pb.optim.minimize(method="newton-cg")` solves each Newton step by products of the Hessian with
vectors, `pb.hvp`, so the Hessian is never made. The problem is convex and has one optimum, which
scikit-learn's LogisticRegression finds as well: both end at the same numbers.
Data: breast cancer, Wisconsin, 569 samples of 30 features, as scikit-learn ships it.

python examples/14_newton_logistic.py [PICTURE.png]
"""

from __future__ import annotations

import sys
import time

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression

import pullback as pb


def energy(parameters, x, signs):
    """Return the penalised negative log likelihood."""
    margins = signs * (x @ parameters["w"] + parameters["b"])
    return np.sum(np.logaddexp(0, -margins)) + 0.5 * np.sum(parameters["w"] ** 2)


def draw(path: str, energies: dict[str, list[float]], least: float) -> None:
    """Draw how far above the least energy each method is after each of its iterations."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    for name, values in energies.items():
        axes.semilogy(np.maximum(np.array(values) - least, 1e-15), "o-", ms=3, label=name)
    axes.set(xlabel="iteration", ylabel="energy above the optimum")
    axes.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main(picture: str | None = None) -> dict[str, float]:
    """Minimise by both methods and by scikit-learn, and print the largest difference."""
    x, labels = load_breast_cancer(return_X_y=True)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    signs = 2.0 * labels - 1
    start = {"w": np.zeros(x.shape[1]), "b": np.zeros(())}

    energies: dict[str, list[float]] = {}
    found = {}
    for method in ("newton-cg", "lbfgs"):
        values = energies[method] = [float(energy(start, x, signs))]
        began = time.perf_counter()
        found[method] = pb.optim.minimize(
            energy,
            start,
            (x, signs),
            method=method,
            tolerance=1e-10,
            callback=lambda _, value, values=values: values.append(value),
        )
        result = found[method]
        print(
            f"{method:10s} {result.iterations:4} iterations, {result.products:4} Hessian products, "
            f"largest gradient {result.gradient:.0e}, {time.perf_counter() - began:.2f} s"
        )
    newton = found["newton-cg"].params
    peer = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-12, max_iter=1000)
    peer.fit(x, labels)
    difference = max(
        float(np.abs(newton["w"] - peer.coef_[0]).max()),
        float(abs(newton["b"] - peer.intercept_[0])),
    )
    accuracy = float(np.mean((x @ newton["w"] + newton["b"] > 0) == labels))
    print(f"largest difference from scikit-learn's parameters {difference:.1e}")
    print(f"{accuracy:.2%} of the samples on the right side")
    if picture is not None:
        draw(picture, energies, min(result.value for result in found.values()))
    return {
        "difference": difference,
        "gradient": found["newton-cg"].gradient,
        "accuracy": accuracy,
    }


if __name__ == "__main__":
    main(*sys.argv[1:2])
