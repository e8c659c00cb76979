"""Log-densities and distribution functions against scipy.stats, and their derivatives."""

import numpy as np
import pytest
import scipy.stats

import pullback as pb
from pullback.scipy import stats

SHAPES = {
    "norm": (),
    "t": (3.5,),
    "gamma": (2.3,),
    "chi2": (3.0,),
    "beta": (2.0, 3.5),
    "expon": (),
    "lognorm": (0.7,),
    "laplace": (),
    "cauchy": (),
    "logistic": (),
    "uniform": (),
}
DISCRETE = {"poisson": (2.3,), "bernoulli": (0.3,), "binom": (5, 0.3)}
FAR = np.array([-30.0, -2.0, -0.4, 0.0, 0.3, 0.7, 1.0, 2.5, 40.0])
INSIDE = np.array([0.15, 0.4, 0.85])
METHODS = ["logpdf", "pdf", "cdf", "sf", "logcdf", "logsf"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", SHAPES)
def test_values_are_scipys(name, method):
    args = (*SHAPES[name], 0.1, 1.7)
    with np.errstate(divide="ignore"):  # SciPy's logarithm of 0
        expected = getattr(getattr(scipy.stats, name), method)(FAR, *args)
    found = getattr(getattr(stats, name), method)(FAR, *args)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("name", SHAPES)
def test_log_densities_to_second_order_in_the_point_and_all_parameters(name):
    distribution = getattr(stats, name)
    parameters = (*SHAPES[name], 0.1, 1.2)
    pb.check_grads(lambda x, *p: distribution.logpdf(x, *p), (INSIDE + 0.1, *parameters))
    pb.check_grads(lambda x, *p: distribution.pdf(x, *p), (INSIDE + 0.1, *parameters), order=1)


@pytest.mark.parametrize("method", ["cdf", "sf", "logcdf", "logsf"])
@pytest.mark.parametrize("name", SHAPES)
def test_distribution_functions_to_second_order_in_the_point_and_place(name, method):
    function, shapes = getattr(getattr(stats, name), method), SHAPES[name]
    pb.check_grads(lambda x, loc, scale: function(x, *shapes, loc, scale), (INSIDE + 0.1, 0.1, 1.2))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["gamma", "beta", "expon", "lognorm", "uniform", "chi2"])
def test_gradients_outside_the_support_are_zero(name, method):
    function, shapes = getattr(getattr(stats, name), method), SHAPES[name]

    def total(x, scale):
        values = function(x, *shapes, 0.0, scale)
        return np.sum(np.where(np.isfinite(values), values, 0.0))

    outside = np.array([-3.0, -1e100])
    for gradient in pb.grad(total, (0, 1))(outside, 1.3):
        np.testing.assert_array_equal(gradient, np.zeros_like(gradient))
    _, pull = pb.vjp(lambda x: function(x, *shapes), outside)
    np.testing.assert_array_equal(pull(np.ones(2))[0], [0.0, 0.0])


def test_a_sample_on_the_edge_has_finite_gradients_where_the_density_has():
    assert pb.grad(lambda x: stats.expon.logpdf(x))(0.0) == -1.0
    assert pb.grad(lambda x: stats.gamma.logpdf(x, 1.0))(0.0) == -1.0
    assert pb.grad(lambda x: stats.beta.logpdf(x, 1.0, 3.0))(0.0) == -2.0
    assert stats.lognorm.logpdf(0.0, 1.0) == -np.inf
    assert pb.grad(lambda s: stats.lognorm.pdf(0.0, s))(1.0) == 0.0


@pytest.mark.parametrize("method", METHODS)
def test_a_parameter_that_is_not_allowed_gives_nan_as_scipy_does(method):
    for scale in (0.0, -1.0, np.nan):
        assert np.isnan(getattr(stats.norm, method)(0.3, 0.0, scale))
    assert np.isnan(getattr(stats.gamma, method)(0.3, -1.0))
    assert np.isnan(getattr(stats.norm, method)(np.nan))
    values = getattr(stats.norm, method)(0.3, 0.0, np.array([-1.0, 1.0]))
    np.testing.assert_array_equal(np.isnan(values), [True, False])


def test_parameters_go_by_position_or_by_name():
    expected = scipy.stats.gamma.logpdf(INSIDE, 2.0, loc=0.1, scale=3.0)
    np.testing.assert_allclose(stats.gamma.logpdf(INSIDE, a=2.0, scale=3.0, loc=0.1), expected)
    np.testing.assert_allclose(stats.gamma.logpdf(INSIDE, 2.0, 0.1, scale=3.0), expected)
    assert isinstance(stats.norm.logpdf(0.3), np.float64)
    assert repr(stats.beta) == "beta(x, a, b, loc, scale)"


@pytest.mark.parametrize(
    "call",
    [
        lambda: stats.gamma.logpdf(0.3),
        lambda: stats.norm.logpdf(0.3, 0.0, 1.0, 2.0),
        lambda: stats.norm.logpdf(0.3, 0.0, loc=1.0),
        lambda: stats.norm.logpdf(0.3, sigma=1.0),
    ],
)
def test_missing_doubled_and_unknown_parameters_are_named(call):
    with pytest.raises(TypeError, match=r"expected the parameters \(x, "):
        call()


def test_a_shape_of_a_distribution_function_has_no_derivative_and_says_so():
    with pytest.raises(pb.errors.NotDifferentiableError, match="gammainc"):
        pb.grad(lambda a: stats.gamma.cdf(0.3, a))(2.0)


def test_float32_stays_float32():
    x = np.array([0.2, 0.7], np.float32)
    assert stats.norm.logpdf(x, np.float32(0.1)).dtype == np.float32
    assert pb.grad(lambda x: stats.beta.logpdf(x, 2.0, 3.0).sum())(x).dtype == np.float32


@pytest.mark.parametrize("name", DISCRETE)
def test_probabilities_of_whole_numbers_are_scipys(name):
    k = np.array([-1.0, 0.0, 0.5, 1.0, 2.0, 5.0, 7.0])
    for loc in (0, 1):
        for method in ("logpmf", "pmf", "cdf", "sf", "logcdf", "logsf"):
            with np.errstate(divide="ignore"):
                expected = getattr(getattr(scipy.stats, name), method)(k, *DISCRETE[name], loc)
                found = getattr(getattr(stats, name), method)(k, *DISCRETE[name], loc)
            np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-14, err_msg=method)


@pytest.mark.parametrize("method", ["logpmf", "pmf", "cdf", "sf"])
@pytest.mark.parametrize("name", DISCRETE)
def test_probabilities_differentiate_in_their_last_parameter(name, method):
    *first, last = DISCRETE[name]
    function = getattr(getattr(stats, name), method)
    k = np.array([0, 1]) if method == "logpmf" else np.array([-1, 0, 1, 4, 9])
    pb.check_grads(lambda p: function(k, *first, p), (last,))


def test_probabilities_at_the_edges_of_the_parameters():
    assert stats.poisson.logpmf(0, 0.0) == 0.0
    assert pb.grad(lambda mu: stats.poisson.logpmf(0, mu))(0.0) == -1.0
    assert stats.bernoulli.logpmf(1, 1.0) == 0.0
    assert pb.grad(lambda p: stats.bernoulli.logpmf(1, p))(1.0) == 1.0
    assert np.isnan(stats.bernoulli.logpmf(1, 1.5))
    assert pb.grad(lambda p: stats.bernoulli.pmf(3, p))(0.5) == 0.0


def test_the_multivariate_normal_is_scipys():
    rng = np.random.default_rng(0)
    x, mean, root = rng.normal(size=(4, 3)), rng.normal(size=3), rng.normal(size=(3, 3))
    cov = root @ root.T + np.eye(3)
    for args in ((mean, cov), (mean, 2.0), (mean, np.array([1.0, 2.0, 3.0])), (None, cov)):
        expected = scipy.stats.multivariate_normal.logpdf(x, *args)
        np.testing.assert_allclose(stats.multivariate_normal.logpdf(x, *args), expected)
    np.testing.assert_allclose(
        stats.multivariate_normal.pdf(x[0], mean, cov),
        scipy.stats.multivariate_normal.pdf(x[0], mean, cov),
    )

    def density(x, mean, root):
        return stats.multivariate_normal.logpdf(x, mean, root @ root.T + np.eye(3))

    pb.check_grads(density, (x, mean, root), atol=1e-5)
    np.testing.assert_allclose(
        stats.multivariate_normal.logpdf(x[:, 0], 0.5, 2.0),
        scipy.stats.multivariate_normal.logpdf(x[:, 0], 0.5, 2.0),
    )
    with pytest.raises(pb.errors.ShapeError, match="multivariate_normal"):
        stats.multivariate_normal.logpdf(x, mean[:2], cov[:2, :2])


def test_the_dirichlet_density_is_scipys():
    alpha = np.array([0.7, 2.0, 3.0])
    x = np.random.default_rng(0).dirichlet(alpha, size=4).T
    expected = scipy.stats.dirichlet.logpdf(x, alpha)
    np.testing.assert_allclose(stats.dirichlet.logpdf(x, alpha), expected)
    np.testing.assert_allclose(stats.dirichlet.pdf(x[:, 0], alpha), np.exp(expected[0]))
    pb.check_grads(stats.dirichlet.logpdf, (x, alpha), atol=1e-5)
    with pytest.raises(pb.errors.ShapeError, match="dirichlet"):
        stats.dirichlet.logpdf(x[:2], alpha)


def test_densities_agree_with_jax(jax):
    theirs = jax.scipy.stats
    for name in ("norm", "t", "gamma", "beta", "laplace", "cauchy", "logistic", "expon"):
        parameters = (*SHAPES[name], 0.1, 1.2)
        positions = tuple(range(len(parameters) + 1))
        ours = pb.grad(lambda *a, name=name: getattr(stats, name).logpdf(*a), positions)
        other = jax.grad(lambda *a, name=name: getattr(theirs, name).logpdf(*a), positions)
        np.testing.assert_allclose(ours(0.6, *parameters), other(0.6, *parameters), rtol=1e-9)


def test_batches_and_graphs_of_densities():
    x = np.linspace(0.1, 0.9, 4)
    each = pb.vmap(pb.grad(lambda x, a: stats.beta.logpdf(x, a, 2.0)), (0, None))(x, 3.0)
    np.testing.assert_allclose(each, 2 / x - 1 / (1 - x))
    graph = pb.trace(lambda x: stats.gamma.logpdf(x, 2.0), x)
    np.testing.assert_allclose(graph(x), scipy.stats.gamma.logpdf(x, 2.0))
