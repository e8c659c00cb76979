"""Distributions of vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special as sp

from pullback.core.dispatch import as_operand
from pullback.core.errors import ShapeError
from pullback.ops import special as _rules  # noqa: F401  fills the tables
from pullback.scipy.stats.continuous import LOG_ROOT_TWO_PI
from pullback.scipy.stats.parameters import scalar


class MultivariateNormal:
    """The normal distribution of vectors.

    Bishop, Pattern recognition and machine learning, 2006, section 2.3.
    `x` has shape (..., n), `mean` (n,) and `cov` (n, n), which must be positive definite; a number
    or the diagonal does for `cov`. The result has shape (...).
    """

    def logpdf(self, x: Any, mean: Any = None, cov: Any = 1.0) -> Any:
        """Return the logarithm of the density, by the Cholesky factor of the covariance."""
        x, cov = as_operand(x), as_operand(cov)
        if np.ndim(cov) == 2:
            n = cov.shape[0]
        else:
            n = next((np.size(v) for v in (mean, cov) if v is not None and np.ndim(v) == 1), 1)
            cov = cov * np.eye(n)
        if cov.shape != (n, n) or (n > 1 and np.shape(x)[-1:] != (n,)):
            raise ShapeError(
                f"multivariate_normal: expected x of shape (..., n) and cov of shape (n, n), got "
                f"{np.shape(x)} and {np.shape(cov)}"
            )
        deviation = x if mean is None else x - as_operand(mean)
        if n == 1 and np.shape(deviation)[-1:] != (1,):
            deviation = np.expand_dims(deviation, -1)
        factor = np.linalg.cholesky(cov)
        whitened = np.linalg.solve(factor, deviation[..., None])[..., 0]
        log_determinant = np.sum(np.log(np.diagonal(factor)))
        distance = np.sum(whitened * whitened, axis=-1)
        return scalar(-distance / 2 - log_determinant - n * LOG_ROOT_TWO_PI)

    def pdf(self, x: Any, mean: Any = None, cov: Any = 1.0) -> Any:
        """Return the density."""
        return np.exp(self.logpdf(x, mean, cov))


class Dirichlet:
    """The Dirichlet distribution on the simplex.

    Bishop, Pattern recognition and machine learning, 2006, section 2.2.1.
    `alpha` has shape (n,), all positive; `x` has shape (n,) or (n, m), with columns that sum to 1,
    which is not checked. The result has shape () or (m,).
    """

    def logpdf(self, x: Any, alpha: Any) -> Any:
        """Return the logarithm of the density."""
        x, alpha = as_operand(x), as_operand(alpha)
        if np.ndim(alpha) != 1 or np.shape(x)[:1] != np.shape(alpha):
            raise ShapeError(
                "dirichlet: expected alpha of shape (n,) and x of shape (n,) or (n, m), got "
                f"{np.shape(alpha)} and {np.shape(x)}"
            )
        log_beta = np.sum(sp.gammaln(alpha)) - sp.gammaln(np.sum(alpha))
        return scalar(np.sum(sp.xlogy(alpha - 1, np.transpose(x)), axis=-1) - log_beta)

    def pdf(self, x: Any, alpha: Any) -> Any:
        """Return the density."""
        return np.exp(self.logpdf(x, alpha))


multivariate_normal = MultivariateNormal()
dirichlet = Dirichlet()
