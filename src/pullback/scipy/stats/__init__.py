"""`scipy.stats` for traced code: densities and distribution functions, in SciPy's signatures.

`norm.logpdf(x, loc, scale)`, `gamma.cdf(x, a)`, `poisson.logpmf(k, mu)` and so on take and give
arrays or traced arrays, and are differentiable in the point and in the parameters.

>>> import numpy as np, pullback as pb
>>> from pullback.scipy.stats import norm
>>> pb.grad(lambda loc: norm.logpdf(np.array([1.0, 2.0]), loc).sum())(0.0)
array(3.)
"""

from pullback.scipy.stats.continuous import (
    beta,
    cauchy,
    chi2,
    expon,
    gamma,
    laplace,
    logistic,
    lognorm,
    norm,
    t,
    uniform,
)
from pullback.scipy.stats.discrete import bernoulli, binom, poisson
from pullback.scipy.stats.multivariate import dirichlet, multivariate_normal

__all__ = [
    "bernoulli",
    "beta",
    "binom",
    "cauchy",
    "chi2",
    "dirichlet",
    "expon",
    "gamma",
    "laplace",
    "logistic",
    "lognorm",
    "multivariate_normal",
    "norm",
    "poisson",
    "t",
    "uniform",
]
