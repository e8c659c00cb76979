"""Complex numbers compiled: arithmetic at corners, views, products and derivatives."""

import numpy as np
import pytest

import pullback as pb

RNG = np.random.default_rng(0)
ENDS = [0.0, -0.0, 1.0, -2.5, np.inf, -np.inf, np.nan, 3e-310, 1e30]
CORNERS = np.array([complex(a, b) for a in ENDS for b in ENDS])
UNARY = [
    np.negative, np.square, np.reciprocal, np.exp, np.conjugate, np.real, np.imag, np.abs,
    np.isnan, np.isinf, np.isfinite, np.logical_not, np.log, np.sqrt, np.tanh, np.angle,
]  # fmt: skip
BINARY = [
    np.add, np.subtract, np.multiply, np.divide, np.equal, np.not_equal, np.less, np.maximum,
    np.logical_and, np.logical_or, np.power,
]  # fmt: skip


def draw(dtype, *shape):
    return (RNG.normal(size=shape) + 1j * RNG.normal(size=shape)).astype(dtype)


def same(function, *args, rtol=1e-13):
    compiled = pb.compile(function)
    with np.errstate(all="ignore"):
        found, wanted = compiled(*args), function(*args)
    for a, b in zip(pb.tree.leaves(found), pb.tree.leaves(wanted), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)
    return compiled


@pytest.mark.parametrize("f", UNARY, ids=lambda f: f.__name__)
def test_functions_at_corners(f):
    z = CORNERS[np.isfinite(CORNERS)] if f in (np.exp, np.square, np.reciprocal) else CORNERS
    with np.errstate(all="ignore"):
        z = z[np.isfinite(f(z))] if f in (np.exp, np.square, np.reciprocal) else z
    assert "by NumPy    nothing" in same(f, z).report()
    same(f, z.astype("c8")[np.abs(z) > 1e-30], rtol=2e-6)


@pytest.mark.parametrize("f", BINARY, ids=lambda f: f.__name__)
def test_operations_at_corners(f):
    x, y = np.repeat(CORNERS, CORNERS.size), np.tile(CORNERS, CORNERS.size)
    with np.errstate(all="ignore"):  # of NaN in one part, the other may become NaN or not
        value = f(x, y)
        known = np.isfinite(x) & np.isfinite(y) & np.isfinite(value)
    same(f, x[known], y[known], rtol=1e-12)
    compiled = pb.compile(f)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(np.isfinite(compiled(x, y)), np.isfinite(value))


@pytest.mark.parametrize("dtype", ["c8", "c16"])
def test_programs_of_complex_numbers(dtype):
    z, x = draw(dtype, 6, 5), RNG.normal(size=5).astype(np.empty(0, dtype).real.dtype)
    i = np.array([3, 0, -1])

    def f(z, x):
        w = z[::-1, ::2] * x[::2] + 1j
        out = np.zeros_like(z)
        out[i] = z[i] * 2
        return [w, np.sum(w, axis=0), np.mean(z), np.concatenate([w, x[None, ::2]]), np.roll(z, 2),
                np.pad(z, 1), out, z.T @ z, z @ x, np.einsum("ij,kj->ik", z, z.conj()), z.imag,
                np.exp(1j * x), np.where(x > 0, z, x), np.cumsum(z, axis=1), z.astype("c16"),
                np.linalg.norm(z), np.vdot(z, z), z[:, i], z.ravel()[1:-1:3]]  # fmt: skip

    compiled = same(f, z, x, rtol=3e-5 if dtype == "c8" else 1e-12)
    assert "by NumPy    nothing" in compiled.report()
    same(f, np.asfortranarray(z)[:, ::-1], x, rtol=3e-5 if dtype == "c8" else 1e-12)


def test_derivatives_and_loops_of_complex_numbers():
    z = draw("c16", 4, 4)

    def f(z):
        def step(y, _):
            y = np.tanh(y @ z / 4) + 1j * y.conj()
            return y, np.sum(np.abs(y))

        y, sizes = pb.scan(step, z, np.zeros(3))
        return np.sum(np.abs(y) ** 2) + np.sum(sizes)

    compiled = same(pb.grad(f), z, rtol=1e-11)
    assert "by NumPy    nothing" in compiled.report()


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_share_complex_loops(threads):
    z = draw("c16", 300, 400)

    def f(z):
        return np.exp(z) * z.conj(), np.sum(z * z, axis=0), np.cumsum(z, axis=0), np.argsort(z.real)

    for found, wanted in zip(pb.compile(f, threads=threads)(z), f(z), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-11)
