"""Values, gradients and Hessian-vector products of every operation against JAX in float64."""

import numpy as np
import pytest
from op_samples import CONTROL, DIFFERENTIABLE, NAMES, closed, discrete, samples

import pullback as pb
from pullback.core.op import OPS

LIKE_NUMPY = """
abs absolute add arccos arccosh arcsin arcsinh arctan arctan2 arctanh cbrt ceil conjugate copysign
cos cosh deg2rad degrees divide equal exp exp2 expm1 fabs floor floor_divide fmax fmin fmod greater
greater_equal heaviside hypot imag isfinite isinf isnan less less_equal log log10 log1p log2
logaddexp logaddexp2 logical_and logical_not logical_or logical_xor matmul maximum minimum multiply
negative not_equal positive power rad2deg radians real reciprocal remainder rint sign
signbit sin sinh sqrt square subtract tan tanh trunc where
bitwise_and bitwise_count bitwise_or bitwise_xor gcd invert lcm ldexp left_shift right_shift
searchsorted
all any argmax argmin broadcast_to cumprod cumsum flip max min prod roll sum transpose
"""
LIKE_SCIPY = """
beta betainc betaln boxcox boxcox1p dawsn digamma entr erf erfc erfcx erfinv expi expit gamma
gammainc gammaincc gammaln i0 i0e i1 i1e kl_div log_ndtr loggamma logit ndtr ndtri poch rel_entr
xlog1py xlogy zeta
"""
NOT_FROM_JAX = """
airy_ai airy_ai_slope airy_bi airy_bi_slope betaincc betaincinv binom cosdg cosh_integral
cosine_integral cosm1 ellipe ellipk erfcinv erfi exp1 exp10 expn exprel fresnel_cosine
fresnel_sine gammainccinv gammaincinv huber hyp0f1 hyp1f1 hyp2f1 inv_boxcox inv_boxcox1p iv ive j0
j1 jv k0 k0e k1 k1e kn kv kve lambertw pseudo_huber rgamma sindg sine_integral sinh_integral spence
stdtr stdtrit y0 y1 yn yv
"""
SAME_NAME, SPECIAL = LIKE_NUMPY.split(), LIKE_SCIPY.split()
REASONS = {
    **dict.fromkeys(CONTROL, "in tests/transform/test_control_*.py"),
    **dict.fromkeys(("eig", "eigh", "qr", "slogdet", "svd"), "in tests/ops/test_spectral.py"),
    **dict.fromkeys(("solve_sylvester", "sqrtm"), "in tests/scipy/test_scipy_linalg.py"),
    **dict.fromkeys(
        ("max_pool", "pick_max", "place_max", "window_spread", "window_sum"),
        "against PyTorch in tests/ops/test_pooling.py",
    ),
    "convolve": "in tests/scipy/test_signal.py",
    "solve_tridiagonal": "in tests/scipy/test_spline.py",
    "solve_ivp": "against closed forms in tests/scipy/test_initial_value.py",
    "correlate": "in tests/ops/test_convolution.py",
    "exponent": "of np.frexp; in tests/ops and the table of NumPy's functions",
    "recompute": "the identity",
    "roots": "in another order; in tests/ops/test_polynomial.py",
    "item": "picks one result of an operation with several; tested with custom rules",
    "nextafter": "not differentiated by JAX; in the table of NumPy's functions",
    "spacing": "not in JAX; piecewise constant",
    "stop_gradient": "jax.lax.stop_gradient; tested in tests/transform/test_custom.py",
    "unstack": "the entries along the first axis; in tests/transform/test_control_scan.py",
    **dict.fromkeys(NOT_FROM_JAX.split(), "not in JAX, or NaN there; closed forms in tests/scipy"),
}


def others(jax):
    """The operations whose call differs from JAX's."""
    jnp, special = jax.numpy, jax.scipy.special

    def det(a):  # JAX cannot differentiate that of an empty matrix
        return jnp.linalg.det(a) if a.shape[-1] else jnp.ones(a.shape[:-2])

    def solve_triangular(a, b, **options):
        loops = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        a, b = (jnp.broadcast_to(x, (*loops, *x.shape[-2:])) for x in (a, b))
        return jax.scipy.linalg.solve_triangular(a, b, **options)

    def conv(x, w, strides, padding, dilation, groups):
        spatial = "HW"[: x.ndim - 2]
        return jax.lax.conv_general_dilated(
            x, w, strides, padding, rhs_dilation=dilation, feature_group_count=groups,
            dimension_numbers=(f"N{spatial}C", f"{spatial}IO", f"N{spatial}C"),
        )  # fmt: skip

    def conv_input(y, w, space, **params):
        shape = (y.shape[0], *space, w.shape[-2] * params["groups"])
        return jax.vjp(lambda x: conv(x, w, **params), jnp.zeros(shape))[1](y)[0]

    def conv_kernel(x, y, size, **params):
        shape = (*size, x.shape[-1] // params["groups"], y.shape[-1])
        return jax.vjp(lambda w: conv(x, w, **params), jnp.zeros(shape))[1](y)[0]

    return {
        "conv": conv,
        "conv_input": conv_input,
        "conv_kernel": conv_kernel,
        "astype": lambda x, dtype: x.astype(dtype),
        "det": det,
        "discrete_astype": lambda x, dtype: x.astype(dtype),
        "cholesky": jnp.linalg.cholesky,
        "cofactor": lambda a: det(a)[..., None, None] * jnp.linalg.inv(a).mT,
        "chain_product": jnp.multiply,
        "complex_absolute": jnp.abs,
        "complex_of": jax.lax.complex,
        "concatenate": lambda *xs, axis: jnp.concatenate(xs, axis),
        "einsum": lambda *xs, operands, result: jnp.einsum(",".join(operands) + "->" + result, *xs),
        **{name: getattr(jnp.fft, name) for name in ("fft", "ifft", "rfft", "irfft")},
        "getitem": lambda x, *arrays, index: x[index.fill(arrays)],
        "expm": jax.scipy.linalg.expm,
        "hermitian": lambda a, lower: (a + a.mT) / 2,
        "inv": jnp.linalg.inv,
        "log_expit": jax.nn.log_sigmoid,
        "pad": lambda x, width: jnp.pad(x, width),
        "pinv": lambda a, rcond: jnp.linalg.pinv(a, rtol=rcond),
        "polygamma": lambda x, n: special.polygamma(n, x),
        "reshape": lambda x, shape: jnp.reshape(x, shape),
        "scatter_add": lambda ct, *arrays, shape, index: (
            jnp.zeros(shape, ct.dtype).at[index.fill(arrays)].add(ct)
        ),
        "solve": jnp.linalg.solve,
        "solve_triangular": solve_triangular,
        "setitem": lambda x, v, *arrays, index: jnp.asarray(x).at[index.fill(arrays)].set(v),
        "argsort": lambda x, axis, kind: jnp.argsort(x, axis),
    }


def counterpart(jax, name):
    table = others(jax)
    if name in table:
        return table[name]
    if name in SPECIAL:
        return getattr(jax.scipy.special, name)
    return getattr(jax.numpy, {"abs": "absolute"}.get(name, name))


def test_every_operation_is_compared_or_has_a_reason(jax):
    known = {*SAME_NAME, *SPECIAL, *others(jax), *REASONS}
    assert not set(OPS) - known


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(REASONS)))
def test_values(jax, name):
    for args, params in samples(name):
        if discrete(name):
            args = tuple(np.abs(np.asarray(a)).astype(np.int64) for a in args)
        expected = counterpart(jax, name)(*args, **params)
        np.testing.assert_allclose(OPS[name](*args, **params), expected, rtol=1e-9, atol=1e-11)


def skip_written_twice(name, args):
    """JAX leaves open which of several values written to one place stays; NumPy keeps the last."""
    return name == "setitem" and len(args) > 2


@pytest.mark.parametrize("name", sorted(set(DIFFERENTIABLE) - set(REASONS)))
def test_gradients_and_hessian_vector_products(jax, name):
    rng = np.random.default_rng(0)
    for args, params in samples(name):
        if skip_written_twice(name, args):
            continue
        function, floats = closed(name, args, params)
        theirs = counterpart(jax, name)
        places = [i for i, a in enumerate(args) if np.asarray(a).dtype.kind in "fc"]
        weights = rng.normal(size=np.shape(function(*floats)))

        def ours_scalar(*xs, function=function, weights=weights):
            y = function(*xs)
            return np.sum(weights * np.real(y * y))

        def their_scalar(*xs, args=args, params=params, places=places, weights=weights):
            full = list(args)
            for i, x in zip(places, xs, strict=True):
                full[i] = x
            y = theirs(*full, **params)
            return jax.numpy.sum(weights * jax.numpy.real(y * y))

        everything = tuple(range(len(floats)))
        found = pb.grad(ours_scalar, everything)(*floats)
        expected = jax.grad(their_scalar, everything)(*floats)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-9)
        if any(np.asarray(x).dtype.kind == "c" for x in floats):
            continue
        tangents = tuple(np.asarray(rng.normal(size=np.shape(x))) for x in floats)
        found = pb.hvp(ours_scalar, floats, tangents)
        _, expected = jax.jvp(
            jax.grad(their_scalar, everything), tuple(map(jax.numpy.asarray, floats)), tangents
        )
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-8)


X = np.random.default_rng(1).normal(size=(3, 4))
INDEX = np.array([[2, 0, 1, 1], [0, 2, 2, 1], [1, 1, 0, 2]])
CASES = {
    "mean": lambda xp, x: xp.mean(x, axis=1),
    "var": lambda xp, x: xp.var(x, axis=0, ddof=1),
    "std": lambda xp, x: xp.std(x, axis=1, keepdims=True),
    "norm": lambda xp, x: xp.linalg.norm(x),
    "norm axis": lambda xp, x: xp.linalg.norm(x, axis=1),
    "norm 1": lambda xp, x: xp.linalg.norm(x, ord=1, axis=0),
    "norm 3": lambda xp, x: xp.linalg.norm(x, ord=3, axis=0),
    "norm inf": lambda xp, x: xp.linalg.norm(x, ord=np.inf),
    "sort": lambda xp, x: xp.sort(x, axis=0),
    "median": lambda xp, x: xp.median(x, axis=1),
    "take": lambda xp, x: xp.take(x, np.array([2, 0, 2]), axis=0),
    "take_along_axis": lambda xp, x: xp.take_along_axis(x, INDEX, axis=0),
    "pad edge": lambda xp, x: xp.pad(x, ((1, 2), (0, 1)), mode="edge"),
    "pad reflect": lambda xp, x: xp.pad(x, ((1, 2), (3, 1)), mode="reflect"),
    "pad wrap": lambda xp, x: xp.pad(x, ((1, 2), (0, 1)), mode="wrap"),
    "pad constant": lambda xp, x: xp.pad(x, 2, constant_values=3.0),
    "tile": lambda xp, x: xp.tile(x, (2, 1, 3)),
    "repeat": lambda xp, x: xp.repeat(x, 3, axis=-1),
    "repeat each": lambda xp, x: xp.repeat(x, np.array([1, 0, 2]), axis=-2),
    "roll": lambda xp, x: xp.roll(x, 2),
    "rot90": lambda xp, x: xp.rot90(x, 3),
    "diff": lambda xp, x: xp.diff(x, n=2, axis=1),
    "clip": lambda xp, x: xp.clip(x, -0.5, 0.5),
    "where": lambda xp, x: xp.where(x > 0, x**2, xp.sin(x)),
    "kron": lambda xp, x: xp.kron(x, x[:2]),
    "tensordot": lambda xp, x: xp.tensordot(x, x, axes=([1], [1])),
    "outer": lambda xp, x: xp.outer(x, x),
    "inner": lambda xp, x: xp.inner(x, x),
    "vdot": lambda xp, x: xp.vdot(x, x * 2),
    "dot": lambda xp, x: xp.dot(x, x.T),
    "cross": lambda xp, x: xp.cross(x[:, :3], x[::-1, :3]),
    "einsum implicit": lambda xp, x: xp.einsum("ij,kj", x, x),
    "einsum ellipsis": lambda xp, x: xp.einsum("...i,...i->...", x, x),
    "einsum trace": lambda xp, x: xp.einsum("ii", x[:, :3]),
    "diag": lambda xp, x: xp.diag(x[0], k=1),
    "diagonal": lambda xp, x: xp.diagonal(x, offset=1),
    "trace": lambda xp, x: xp.trace(x, offset=-1),
    "tril": lambda xp, x: xp.tril(x, k=1),
    "triu": lambda xp, x: xp.triu(x),
    "split": lambda xp, x: xp.split(x, [1, 3], axis=1)[1],
    "array_split": lambda xp, x: xp.array_split(x, 3, axis=1)[0],
    "stack": lambda xp, x: xp.stack([x, x * x], axis=1),
    "vstack": lambda xp, x: xp.vstack([x, x[0]]),
    "hstack": lambda xp, x: xp.hstack([x, x]),
    "dstack": lambda xp, x: xp.dstack([x, x]),
    "column_stack": lambda xp, x: xp.column_stack([x[:, 0], x]),
    "append": lambda xp, x: xp.append(x, x[:1], axis=0),
    "moveaxis": lambda xp, x: xp.moveaxis(x[None], 0, 2),
    "rollaxis": lambda xp, x: xp.rollaxis(x[None], 2),
    "swapaxes": lambda xp, x: xp.swapaxes(x, 0, 1),
    "squeeze": lambda xp, x: xp.squeeze(x[None, :, None]),
    "expand_dims": lambda xp, x: xp.expand_dims(x, (0, -1)),
    "ravel F": lambda xp, x: xp.ravel(x, order="F"),
    "reshape F": lambda xp, x: xp.reshape(x, (4, 3), order="F"),
    "average": lambda xp, x: xp.average(x, axis=1, weights=np.arange(4.0)),
    "ptp": lambda xp, x: xp.ptp(x, axis=0),
    "nansum": lambda xp, x: xp.nansum(x, axis=0),
    "nanmean": lambda xp, x: xp.nanmean(x, axis=1),
    "nan_to_num": lambda xp, x: xp.nan_to_num(x),
    "sinc": lambda xp, x: xp.sinc(x),
    "cumprod": lambda xp, x: xp.cumprod(x),
    "prod of all": lambda xp, x: xp.prod(x),
    "sum where": lambda xp, x: xp.sum(x * x, where=X > 0, axis=0),
    "max": lambda xp, x: xp.max(x, axis=1),
    "delete": lambda xp, x: xp.delete(x, 1, axis=0),
    "compress": lambda xp, x: xp.compress(np.array([True, False, True]), x, axis=0),
    "select": lambda xp, x: xp.select([x > 1, x > 0], [x**2, x**3], 0.0),
    "atleast_3d": lambda xp, x: xp.atleast_3d(x),
    "broadcast_arrays": lambda xp, x: xp.broadcast_arrays(x, x[0])[1],
    "round": lambda xp, x: x * xp.round(x, 1),
    "floor_divide": lambda xp, x: x * (x // 0.3),
    "mod": lambda xp, x: x % 0.7,
    "divmod": lambda xp, x: xp.divmod(x, 0.7)[1] * x,
    "float_power": lambda xp, x: xp.float_power(xp.abs(x), 1.5),
    "rsub": lambda xp, x: 1.0 - x,
    "abs operator": lambda xp, x: abs(-x) ** 3,
    "power of two": lambda xp, x: 2.0**x,
    "cube": lambda xp, x: x**3,
    "negative power": lambda xp, x: x**-2,
    "matrix operator": lambda xp, x: x @ x.T @ np.ones(3),
    "advanced index": lambda xp, x: x[[0, 2, 2], [1, 1, 3]],
    "mixed index": lambda xp, x: x[np.array([0, 2]), None, 1:],
    "mask index": lambda xp, x: x[X > 0],
    "negative step": lambda xp, x: x[::-2, ::-1],
}


@pytest.mark.parametrize("case", CASES)
def test_numpys_functions(jax, case):
    function = CASES[case]
    weights = np.random.default_rng(2).normal(size=np.shape(function(np, X)))
    v = np.random.default_rng(3).normal(size=X.shape)

    def ours(x):
        y = function(np, x)
        return np.sum(weights * (y + y * y))

    def theirs(x):
        y = function(jax.numpy, x)
        return jax.numpy.sum(weights * (y + y * y))

    x = jax.numpy.asarray(X)
    np.testing.assert_allclose(pb.grad(ours)(X), jax.grad(theirs)(x), rtol=1e-9, atol=1e-10)
    (found,) = pb.hvp(ours, (X,), (v,))
    expected = jax.jvp(jax.grad(theirs), (x,), (jax.numpy.asarray(v),))[1]
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(pb.trace(pb.grad(ours), X)(X), pb.grad(ours)(X), rtol=1e-12)


@pytest.mark.parametrize("name", ["logsumexp", "softmax", "log_softmax"])
@pytest.mark.parametrize("axis", [None, 0, -1])
def test_softmax_and_its_kin(jax, name, axis):
    import pullback.scipy.special as ours

    theirs = {
        "logsumexp": jax.scipy.special.logsumexp,
        "softmax": jax.nn.softmax,
        "log_softmax": jax.nn.log_softmax,
    }[name]
    x = X * 3
    weights = np.random.default_rng(2).normal(size=np.shape(theirs(x, axis)))
    own = getattr(ours, name)

    def f(x):
        return (weights * own(x, axis) ** 2).sum()

    def g(x):
        return (weights * theirs(x, axis) ** 2).sum()

    np.testing.assert_allclose(pb.grad(f)(x), jax.grad(g)(x), rtol=1e-9, atol=1e-10)
    v = np.ones_like(x)
    v[0] = 2.0
    (found,) = pb.hvp(f, (x,), (v,))
    expected = jax.jvp(jax.grad(g), (x,), (v,))[1]
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9)
