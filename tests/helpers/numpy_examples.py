"""One call of each NumPy function that is said to be differentiable or piecewise constant."""

import numpy as np

RNG = np.random.default_rng(7)
V = RNG.uniform(0.3, 0.9, size=5)
W = RNG.uniform(1.1, 1.9, size=5)
M = RNG.normal(size=(3, 4))
N = RNG.normal(size=(4, 3))
T = RNG.normal(size=(2, 3, 4))
S = RNG.normal(size=(3, 3)) + 3 * np.eye(3)  # well conditioned, of different eigenvalues
Z = RNG.normal(size=(3, 4)) + 1j * RNG.normal(size=(3, 4))
GAPS = np.where(RNG.random((3, 4)) < 0.2, np.nan, M)
PLACES = np.array([1, 3, 0])
MASK = M > 0


def words(text):
    return text.split()


def in_place(function):
    """A function that writes into its first argument, as one that returns what it wrote."""

    def written(a, *args):
        copy = a * 1.0
        function(copy, *args)
        return copy

    return written


def symmetric(function):
    """A function of symmetric matrices, at any square one."""
    return lambda a: function((a + np.swapaxes(a, -1, -2)) / 2)


def positive(function):
    """A function of positive definite matrices, at any square one."""
    return lambda a: function(a @ a.T + np.eye(3))


def without_nan(function):
    """A function that leaves NaN out, of an array into which some are put."""
    return lambda a: function(np.where(np.isnan(GAPS), np.nan, a), axis=1)


ONE_ARGUMENT = words("""
    abs arcsin arctan arcsinh arctanh acos angle cbrt conj cos cosh deg2rad degrees exp exp2 expm1
    fabs i0 imag log log10 log1p log2 nan_to_num negative positive rad2deg radians real reciprocal
    sin sinc sinh sqrt square tan tanh cumsum cumprod diff ediff1d flip fliplr flipud copy max min
    amax amin mean median prod ptp ravel std sum var sort diag diagflat diagonal trace tril triu
    atleast_1d atleast_2d atleast_3d nancumprod nancumsum nansum nanprod
    rot90 transpose squeeze unwrap trapezoid unstack real_if_close trim_zeros modf frexp cov
    corrcoef sort_complex unique gradient permute_dims matrix_transpose
""")
TWO_ARGUMENTS = words("""
    add arctan2 copysign divide fmax fmin fmod hypot logaddexp logaddexp2 maximum minimum multiply
    pow subtract nextafter float_power mod divmod append convolve correlate outer inner dot vdot
    vecdot kron polyadd polysub polymul polyval linspace logspace geomspace union1d setxor1d
    setdiff1d broadcast_arrays meshgrid
""")
JOINS = words("concat stack vstack hstack dstack column_stack row_stack block")

DIFFERENTIABLE = {
    "acosh": (np.acosh, W),
    "apply_along_axis": (lambda a: np.apply_along_axis(np.cumsum, 1, a), M),
    "apply_over_axes": (lambda a: np.apply_over_axes(np.sum, a, [0, 1]), M),
    "array_split": (lambda a: np.array_split(a, 3), V),
    "astype": (lambda a: np.astype(a, np.complex128), V),
    "average": (lambda a, w: np.average(a, weights=w), V, W),
    "bincount": (lambda w: np.bincount([0, 2, 2, 1, 0], w), V),
    "broadcast_to": (lambda a: np.broadcast_to(a, (2, 5)), V),
    "choose": (lambda a, b: np.choose([0, 1, 1, 0, 0], [a, b]), V, W),
    "clip": (lambda a: np.clip(a, 0.4, 0.8), V),
    "compress": (lambda a: np.compress([True, False, True], a, axis=0), M),
    "copyto": (in_place(np.copyto), V, W),
    "cross": (np.cross, M[:, :3], N[:3]),
    "cumulative_prod": (lambda a: np.cumulative_prod(a, axis=0), M),
    "cumulative_sum": (lambda a: np.cumulative_sum(a, axis=0), M),
    "delete": (lambda a: np.delete(a, [1, 2]), V),
    "dsplit": (lambda a: np.dsplit(a, 2), T),
    "einsum": (lambda a, b: np.einsum(a, [0, 1], b, [1, 2], [2, 0]), M, N),
    "expand_dims": (lambda a: np.expand_dims(a, 1), V),
    "extract": (lambda a: np.extract(MASK, a), M),
    "fill_diagonal": (in_place(np.fill_diagonal), M, V[:3]),
    "full_like": (lambda x: np.full_like(x * M, x), np.float64(0.7)),
    "heaviside": (lambda h: np.heaviside(np.zeros(5), h), V),
    "histogram": (lambda a, w: np.histogram(a, 3, weights=w, density=True), V, W),
    "histogram2d": (lambda a, w: np.histogram2d(a, W, 2, weights=w), V, W),
    "histogram_bin_edges": (lambda a: np.histogram_bin_edges(a, 4), V),
    "histogramdd": (lambda a: np.histogramdd(a, [2, 2, 2, 2], density=True), M),
    "hsplit": (lambda a: np.hsplit(a, 2), M),
    "insert": (lambda a, v: np.insert(a, [1, 3], v), V, W[:2]),
    "interp": (lambda x, p: np.interp(x, [0.0, 0.5, 1.0], p), V, W[:3]),
    "intersect1d": (lambda a: np.intersect1d(a, a[1:3]), V),
    "ldexp": (lambda a: np.ldexp(a, [1, 2, 3, -1, 0]), V),
    "matmul": (np.matmul, M, N),
    "matvec": (np.matvec, M, V[:4]),
    "moveaxis": (lambda a: np.moveaxis(a, 0, 2), T),
    "nanmax": (without_nan(np.nanmax), M),
    "nanmean": (without_nan(np.nanmean), M),
    "nanmedian": (without_nan(np.nanmedian), M),
    "nanmin": (without_nan(np.nanmin), M),
    "nanpercentile": (without_nan(lambda a, axis: np.nanpercentile(a, [20, 70], axis)), M),
    "nanquantile": (without_nan(lambda a, axis: np.nanquantile(a, 0.3, axis)), M),
    "nanstd": (without_nan(np.nanstd), M),
    "nanvar": (without_nan(np.nanvar), M),
    "pad": (lambda a: np.pad(a, 1, mode="reflect"), M),
    "partition": (lambda a: np.partition(a, 2), V),
    "percentile": (lambda a: np.percentile(a, [10, 60]), V),
    "piecewise": (lambda a: np.piecewise(a, [a < 0, a > 0.5], [np.exp, np.sin, 3.0]), M),
    "place": (in_place(lambda a, v: np.place(a, MASK, v)), M, V),
    "poly": (np.poly, V),
    "polyder": (lambda p: np.polyder(p, 2), V),
    "polydiv": (np.polydiv, V, W[:3]),
    "polyfit": (lambda x, y: np.polyfit(x, y, 2), V, W),
    "polyint": (lambda p: np.polyint(p, 2, [1.0, 2.0]), V),
    "put": (in_place(lambda a, v: np.put(a, PLACES, v)), M, V[:3]),
    "put_along_axis": (in_place(lambda a, v: np.put_along_axis(a, PLACES[:, None], v, 1)),
                       M, N[:3, :1]),
    "putmask": (in_place(lambda a, v: np.putmask(a, MASK, v)), M, V),
    "quantile": (lambda a: np.quantile(a, 0.3), V),
    "repeat": (lambda a: np.repeat(a, [2, 0, 1], axis=0), M),
    "reshape": (lambda a: np.reshape(a, (2, 6)), M),
    "resize": (lambda a: np.resize(a, (2, 4)), V),
    "roll": (lambda a: np.roll(a, 2), V),
    "rollaxis": (lambda a: np.rollaxis(a, 2), T),
    "roots": (np.roots, np.array([1.0, -3.5, 2.0, 0.7])),
    "select": (lambda a, b: np.select([V > 0.6, V > 0.4], [a, b]), V, W),
    "sign": (np.sign, Z),
    "split": (lambda a: np.split(a, [2, 3]), V),
    "swapaxes": (lambda a: np.swapaxes(a, 0, 1), T),
    "take": (lambda a: np.take(a, PLACES, axis=1), M),
    "take_along_axis": (lambda a: np.take_along_axis(a, PLACES[:, None], 1), M),
    "tensordot": (lambda a, b: np.tensordot(a, b, 1), M, N),
    "tile": (lambda a: np.tile(a, (2, 1)), M),
    "vander": (lambda x: np.vander(x, 4), V),
    "vecmat": (np.vecmat, V[:3], M),
    "vsplit": (lambda a: np.vsplit(a, 3), M),
    "where": (lambda a, b: np.where(MASK, a, b), M, N.T),
    "linalg.cholesky": (positive(np.linalg.cholesky), S),
    "linalg.cond": (np.linalg.cond, S),
    "linalg.cross": (np.linalg.cross, S[0], S[1]),
    "linalg.eig": (lambda a: np.linalg.eig(a)[0], S),
    "linalg.eigh": (symmetric(lambda a: np.linalg.eigh(a)[0]), S),
    "linalg.eigvalsh": (symmetric(np.linalg.eigvalsh), S),
    "linalg.lstsq": (lambda a, b: np.linalg.lstsq(a, b)[0], N, V[:4]),
    "linalg.matrix_power": (lambda a: np.linalg.matrix_power(a, 3), S),
    "linalg.multi_dot": (lambda a, b: np.linalg.multi_dot([a, b, a]), M, N),
    "linalg.slogdet": (lambda a: np.linalg.slogdet(a)[1], S),
    "linalg.solve": (np.linalg.solve, S, V[:3]),
    "linalg.svd": (lambda a: np.linalg.svd(a)[1], S),
    "linalg.tensordot": (lambda a, b: np.linalg.tensordot(a, b, axes=1), M, N),
    "linalg.tensorinv": (lambda a: np.linalg.tensorinv(np.reshape(a, (3, 1, 3)), ind=2), S),
    "linalg.tensorsolve": (np.linalg.tensorsolve, S, V[:3]),
    "linalg.matmul": (np.linalg.matmul, M, N),
    "linalg.outer": (np.linalg.outer, V, W),
    "linalg.vecdot": (np.linalg.vecdot, V, W),
}  # fmt: skip

_MATRICES = {"fliplr", "flipud", "diag", "diagonal", "trace", "tril", "triu", "rot90", "transpose",
             "permute_dims", "matrix_transpose", "cov", "corrcoef"}  # fmt: skip
_COMPLEX = {"conj", "angle", "imag", "real", "real_if_close"}
for _name in ONE_ARGUMENT:
    _argument = M if _name in _MATRICES else Z if _name in _COMPLEX else V
    DIFFERENTIABLE[_name] = (getattr(np, _name), _argument)
for _name in TWO_ARGUMENTS:
    DIFFERENTIABLE[_name] = (getattr(np, _name), V, W)
for _name in JOINS:
    _join = getattr(np, {"row_stack": "vstack"}.get(_name, _name))
    DIFFERENTIABLE[_name] = (lambda a, b, _join=_join: _join([a, b]), V, W)
for _name in ("values", "counts", "inverse", "all"):
    _unique = getattr(np, f"unique_{_name}")
    DIFFERENTIABLE[f"unique_{_name}"] = (
        lambda a, _f=_unique: _f(a) if _f is np.unique_values else _f(a).values, V
    )  # fmt: skip
for _name in ("det", "diagonal", "eigvals", "inv", "matrix_norm", "matrix_transpose", "norm",
              "pinv", "qr", "svdvals", "trace", "vector_norm"):  # fmt: skip
    DIFFERENTIABLE[f"linalg.{_name}"] = (getattr(np.linalg, _name), S)
for _name in ("fft", "ifft", "fft2", "ifft2", "fftn", "ifftn", "rfft", "rfft2", "rfftn", "irfft",
              "irfft2", "irfftn", "hfft", "ihfft", "fftshift", "ifftshift"):  # fmt: skip
    DIFFERENTIABLE[f"fft.{_name}"] = (getattr(np.fft, _name), M)

_ROUND = words("around ceil fix floor rint round trunc spacing")
_TEST = words("isfinite isinf isnan isneginf isposinf isreal iscomplex signbit logical_not")
_ORDER = words("all any argmax argmin argsort argwhere count_nonzero flatnonzero nonzero")
_COMPARE = words("""
    allclose array_equal array_equiv equal greater greater_equal isclose isin less less_equal
    logical_and logical_or logical_xor not_equal floor_divide
""")
_BITS = words("bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift gcd lcm")


def as_whole(function):
    """A function of whole numbers, of traced floating ones that are cast to them."""
    return lambda *args: function(*[np.astype(np.floor(a * 10), np.int64) for a in args])


CONSTANT = {
    **{name: (getattr(np, name), V) for name in (*_ROUND, *_TEST, *_ORDER)},
    **{name: (getattr(np, name), V, W) for name in _COMPARE},
    **{name: (as_whole(getattr(np, name)), V, W / 2) for name in _BITS},
    "argpartition": (lambda a: np.argpartition(a, 2), np.sort(V)),
    "bitwise_count": (as_whole(np.bitwise_count), V),
    "bitwise_invert": (as_whole(np.bitwise_invert), V),
    "digitize": (lambda a: np.digitize(a, [0.4, 0.7]), V),
    "ix_": (as_whole(lambda a: np.ix_(a, [0, 1])[0]), V),
    "lexsort": (lambda a: np.lexsort((a, np.floor(a * 4))), V),
    "nanargmax": (without_nan(np.nanargmax), M),
    "nanargmin": (without_nan(np.nanargmin), M),
    "packbits": (lambda a: np.packbits(a > 0.5), V),
    "ravel_multi_index": (as_whole(lambda a: np.ravel_multi_index((a, a), (20, 20))), V),
    "searchsorted": (lambda a: np.searchsorted([0.4, 0.7], a), V),
    "unpackbits": (lambda a: np.unpackbits(np.astype(np.floor(a * 10), np.uint8)), V),
    "unravel_index": (as_whole(lambda a: np.unravel_index(a, (20, 20))[0]), V),
    "linalg.matrix_rank": (np.linalg.matrix_rank, S),
}

VALUES_NEEDED = {
    "argwhere", "flatnonzero", "intersect1d", "nonzero", "packbits", "ravel_multi_index",
    "real_if_close", "setdiff1d", "setxor1d", "trim_zeros", "union1d", "unique", "unique_all",
    "unique_counts", "unique_inverse", "unique_values", "unpackbits", "unravel_index",
}  # fmt: skip
"""Functions whose result has a shape that depends on values, or that NumPy alone computes."""
