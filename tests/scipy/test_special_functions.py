"""SciPy's special functions: values, derivatives at the delicate points, refusals."""

import numpy as np
import pytest
import scipy.special as sp

import pullback as pb
from pullback.scipy import special

X = np.array([0.3, 1.1, 2.7])
PYTHON_FUNCTIONS = {
    "logsumexp": (lambda xp: xp.logsumexp, (np.array([[0.1, 2.0], [-1.0, 3.0]]), 1)),
    "softmax": (lambda xp: xp.softmax, (np.array([[0.1, 2.0], [-1.0, 3.0]]), 0)),
    "log_softmax": (lambda xp: xp.log_softmax, (np.array([0.1, 2.0]),)),
    "polygamma": (lambda xp: lambda x: xp.polygamma(2, x), (X,)),
    "multigammaln": (lambda xp: lambda x: xp.multigammaln(x, 3), (X + 2,)),
    "zeta": (lambda xp: lambda q: xp.zeta(3.0, q), (X,)),
    "lambertw": (lambda xp: xp.lambertw, (X,)),
    "factorial": (lambda xp: xp.factorial, (X,)),
    "comb": (lambda xp: xp.comb, (X + 4, X)),
    "comb with repetition": (lambda xp: lambda n, k: xp.comb(n, k, repetition=True), (X + 4, X)),
    "airy": (lambda xp: lambda x: xp.airy(x)[2], (X,)),
    "sici": (lambda xp: lambda x: xp.sici(x)[1], (X,)),
    "shichi": (lambda xp: lambda x: xp.shichi(x)[0], (X,)),
    "fresnel": (lambda xp: lambda x: xp.fresnel(x)[0], (X,)),
    "radian": (lambda xp: lambda x: xp.radian(x, 30.0, 1.0), (X,)),
    "expm1": (lambda xp: xp.expm1, (X,)),
}


@pytest.mark.parametrize("name", PYTHON_FUNCTIONS)
def test_values_under_trace_are_scipys(name):
    choose, args = PYTHON_FUNCTIONS[name]
    value, _ = pb.vjp(lambda x: choose(special)(x, *args[1:]), args[0])
    np.testing.assert_allclose(value, choose(sp)(*args), rtol=1e-13)
    np.testing.assert_allclose(choose(special)(*args), choose(sp)(*args), rtol=1e-13)


@pytest.mark.parametrize("name", sorted(set(PYTHON_FUNCTIONS) - {"lambertw"}))
def test_derivatives_to_second_order(name):
    choose, args = PYTHON_FUNCTIONS[name]
    pb.check_grads(lambda x: choose(special)(x, *args[1:]), args[:1], order=2, eps=1e-5, atol=3e-6)


@pytest.mark.parametrize("name", ["logsumexp", "softmax", "log_softmax", "polygamma", "zeta"])
def test_lists_and_plain_numbers_are_taken(name):
    choose, args = PYTHON_FUNCTIONS[name]
    rest = args[1:]
    expected = choose(sp)(args[0].tolist(), *rest)
    np.testing.assert_allclose(choose(special)(args[0].tolist(), *rest), expected, rtol=1e-13)


def second(f):
    return pb.grad(pb.grad(f))


MILLS = 40.024968847207265  # density over distribution function at -40
CLOSED_FORMS = {
    "rgamma at its zero -1": (sp.rgamma, -1.0, -1.0, None),
    "rgamma at its zero 0": (sp.rgamma, 0.0, 1.0, 2 * np.euler_gamma),
    "j1 at 0": (sp.j1, 0.0, 0.5, 0.0),
    "i1 at 0": (sp.i1, 0.0, 0.5, 0.0),
    "i0 at 0": (sp.i0, 0.0, 0.0, 0.5),
    "jv at 0": (lambda x: sp.jv(2, x), 0.0, 0.0, 0.25),
    "exprel at 0": (sp.exprel, 0.0, 1 / 2, 1 / 3),
    "sine integral at 0": (lambda x: sp.sici(x)[0], 0.0, 1.0, 0.0),
    "sinh integral at 0": (lambda x: sp.shichi(x)[0], 0.0, 1.0, 0.0),
    "spence at 1": (sp.spence, 1.0, -1.0, 0.5),
    "ellipk at 0": (sp.ellipk, 0.0, np.pi / 8, 9 * np.pi / 64),
    "ellipe at 0": (sp.ellipe, 0.0, -np.pi / 8, -3 * np.pi / 64),
    "boxcox with power 0": (lambda p: sp.boxcox(2.0, p), 0.0, np.log(2) ** 2 / 2, None),
    "inv_boxcox with power 0": (lambda p: sp.inv_boxcox(0.7, p), 0.0, -0.245 * np.exp(0.7), None),
    "gammainc at 0 of order 1": (lambda x: sp.gammainc(1.0, x), 0.0, 1.0, -1.0),
    "betainc at 0 of order 1": (lambda x: sp.betainc(1.0, 3.0, x), 0.0, 3.0, -6.0),
    "xlog1py at its corner": (lambda y: sp.xlog1py(0.0, y), -1.0, 0.0, 0.0),
    "huber at its corner": (lambda r: sp.huber(1.0, r), 1.0, 1.0, None),
    "erfcx far out": (sp.erfcx, 1e6, -1e-12 / np.sqrt(np.pi), 2e-18 / np.sqrt(np.pi)),
    "dawsn far out": (sp.dawsn, -1e6, -5e-13, -1e-18),
    "log_ndtr at -40": (sp.log_ndtr, -40.0, MILLS, MILLS * (40 - MILLS)),
    "log_ndtr at 40": (sp.log_ndtr, 40.0, 0.0, 0.0),
    "log_ndtr where the branches meet": (
        sp.log_ndtr,
        -1.0,
        np.exp(-0.5) / np.sqrt(2 * np.pi) / sp.ndtr(-1),
        None,
    ),
    "agreeing sides of exprel": (lambda x: sp.exprel(x + 0.5), 0.0, 0.7025574586, None),
}


@pytest.mark.parametrize("case", CLOSED_FORMS)
def test_derivatives_at_delicate_points(case):
    function, x, first, curvature = CLOSED_FORMS[case]
    np.testing.assert_allclose(pb.grad(function)(x), first, rtol=1e-9, atol=1e-300)
    with np.errstate(divide="ignore"):  # a function of two results differentiates both
        _, tangent = pb.jvp(function, (x,), (1.0,))
    np.testing.assert_allclose(tangent, first, rtol=1e-9, atol=1e-300)
    if curvature is not None:
        np.testing.assert_allclose(second(function)(x), curvature, rtol=1e-7, atol=1e-25)


@pytest.mark.parametrize("order", [-0.5, 0.0, 0.5, 2.0, 3.7])
@pytest.mark.parametrize("name", ["jv", "yv", "iv", "kv", "ive", "kve"])
def test_bessel_functions_of_any_order(name, order):
    pb.check_grads(lambda x: getattr(sp, name)(order, x), (X,), order=2, eps=1e-5, atol=1e-5)


def test_bessel_functions_satisfy_their_differential_equation():
    # DLMF 10.2.1: x**2 w'' + x w' + (x**2 - v**2) w = 0
    for x in X:
        w, dw, ddw = (f(lambda x: sp.jv(1.5, x))(x) for f in (lambda f: f, pb.grad, second))
        np.testing.assert_allclose(x * x * ddw + x * dw + (x * x - 1.5**2) * w, 0, atol=1e-12)


REFUSED = {
    "v": lambda v: sp.jv(v, 1.0),
    "a": lambda a: sp.gammainc(a, 1.0),
    "b": lambda b: sp.betainc(1.0, b, 0.5),
    "c": lambda c: sp.hyp2f1(1.0, 1.0, c, 0.5),
    "df": lambda df: sp.stdtr(df, 0.5),
    "x": lambda x: special.zeta(x, 0.5),
}


@pytest.mark.parametrize("parameter", REFUSED)
def test_a_parameter_without_a_derivative_is_refused_in_both_modes(parameter):
    function = REFUSED[parameter]
    with pytest.raises(pb.errors.NotDifferentiableError, match=f"'{parameter}'.*stop_gradient"):
        pb.grad(function)(2.0)
    with pytest.raises(pb.errors.NotDifferentiableError, match=f"'{parameter}'"):
        pb.jvp(function, (2.0,), (1.0,))
    assert pb.grad(lambda p: function(pb.stop_gradient(p)))(2.0) == 0


def test_holomorphic_functions_differentiate_and_the_scaled_one_is_refused():
    z = np.array([0.7 + 0.4j])
    for function in (sp.erf, sp.gamma, lambda z: sp.jv(1.5, z), lambda z: sp.kve(2, z), sp.expi):
        pb.check_grads(function, (z,), order=1)
    with pytest.raises(pb.errors.NotDifferentiableError, match="ive has no complex derivative"):
        pb.vjp(lambda z: sp.ive(1.0, z), z)[1](z)


def test_a_special_function_without_a_rule_is_refused():
    with pytest.raises(pb.errors.NotDifferentiableError, match="mathieu_a has no derivative rule"):
        pb.grad(lambda x: sp.mathieu_a(1.0, x))(0.5)


@pytest.mark.parametrize("n", [-1, 0.5, np.array([1, 2])])
def test_polygamma_takes_one_whole_order(n):
    with pytest.raises(pb.errors.ConfigError, match="polygamma: expected n"):
        pb.grad(lambda x: special.polygamma(n, x))(1.0)


def test_multigammaln_is_nan_outside_its_domain():
    value, gradient = pb.value_and_grad(lambda a: special.multigammaln(a, 3))(0.5)
    assert np.isnan(value)
    assert gradient == 0
    with pytest.raises(pb.errors.ConfigError, match="multigammaln: expected d"):
        pb.grad(lambda a: special.multigammaln(a, 0))(2.0)


def test_comb_is_zero_with_zero_gradient_where_nothing_can_be_chosen():
    assert special.comb(3.0, 5.0) == sp.comb(3.0, 5.0) == 0
    assert pb.grad(lambda n: special.comb(n, 5.0))(3.0) == 0
    assert special.comb(30, 15, exact=True) == 155117520  # not traced: SciPy's own
    with pytest.raises(pb.errors.ConfigError, match="exact"):
        pb.grad(lambda n: special.comb(n, 2, exact=True))(3.0)


@pytest.mark.parametrize("weights", [None, np.array([1.0, -3.0, 0.5])])
def test_logsumexp_returns_the_sign(weights):
    a = np.array([0.1, 0.7, -0.4])
    value, sign = special.logsumexp(a, b=weights, return_sign=True)
    expected, expected_sign = sp.logsumexp(a, b=weights, return_sign=True)
    np.testing.assert_allclose(value, expected, rtol=1e-14)
    assert sign == expected_sign
    pb.check_grads(lambda a: special.logsumexp(a, b=weights, return_sign=True)[0], (a,))


def test_logsumexp_differentiates_its_weights():
    a, b = np.array([0.1, 0.7, -0.4]), np.array([1.0, 2.0, 0.5])
    pb.check_grads(lambda a, b: special.logsumexp(a, b=b), (a, b))


def test_logsumexp_of_nothing_is_minus_infinity_with_gradient_zero():
    a = np.array([-np.inf, -np.inf])
    value, gradient = pb.value_and_grad(special.logsumexp)(a)
    assert value == -np.inf
    np.testing.assert_array_equal(gradient, [0.0, 0.0])
    value, gradient = pb.value_and_grad(special.logsumexp)(np.array([-np.inf, 1.0]))
    assert value == 1.0
    np.testing.assert_array_equal(gradient, [0.0, 1.0])


def test_lambertw_satisfies_its_equation_and_is_complex_as_scipys():
    def real_branch(z):
        return np.real(special.lambertw(z))

    for z in (0.0, 0.5, 3.0):
        w = real_branch(z)
        np.testing.assert_allclose(pb.grad(real_branch)(z), np.exp(-w) / (1 + w), rtol=1e-14)
    pb.check_grads(real_branch, (X,))
    assert special.lambertw(1.0).dtype == np.complex128


def test_whole_orders_may_be_traced_beside_the_argument_under_vmap():
    orders = np.array([0, 1, 2])
    slopes = pb.vmap(pb.grad(lambda x, n: sp.jv(n, x)), (0, 0))(X, orders)
    np.testing.assert_allclose(slopes, sp.jvp(orders, X), rtol=1e-13)
