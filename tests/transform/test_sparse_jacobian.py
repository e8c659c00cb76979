"""Sparse Jacobians and Hessians equal the dense ones, and are found once for a signature."""

import numpy as np
import pytest
from dense_matrix import dense_jacobian
from scipy import sparse

import pullback as pb

X = np.random.default_rng(1).uniform(0.5, 1.5, 12)
MODES = ["auto", "forward", "reverse", "bidirectional"]


def stencil(x):
    return np.roll(x, 1) - 2 * x + np.roll(x, -1) + x**3


def assigned(x):
    y = np.exp(x)
    y[1:] *= x[:-1]
    y[::3] = 0.0
    return y


A = np.triu(np.tri(12, 12, 1)) * np.arange(1.0, 13)

FUNCTIONS = {
    "stencil": stencil,
    "five points": lambda x: five_points(x.reshape(3, 4)),
    "differences": lambda x: np.diff(x) / x[1:],
    "constant matrix": lambda x: np.tanh(A @ x),
    "assigned": assigned,
    "where": lambda x: np.where(x > 1, x, x[::-1] ** 2),
    "sorted": lambda x: np.sort(x)[:3] * x[:3],
    "arrow": lambda x: np.concatenate([x * x[0], np.sum(x**2, keepdims=True)]),
    "scalar": lambda x: np.sum(x[:3] ** 3),
    "dense": lambda x: np.outer(x[:3], x[3:6]).ravel() * np.sum(x),
    "solution": lambda x: np.linalg.solve(x[:9].reshape(3, 3) + 3 * np.eye(3), x[9:]),
    "moving average": lambda x: np.convolve(x, [1.0, 2.0, 1.0], "same") ** 2,
    "low frequencies": lambda x: np.fft.irfft(np.fft.rfft(x)[:3], 12),
    "several results": lambda x: {"a": x[:2] * x[2:4], "b": (np.sin(x[5]), x[1:].sum())},
    "integer result": lambda x: (x[:2] ** 2, np.argmax(x)),
    "constant": lambda x: np.ones(3),
    "stopped": lambda x: pb.stop_gradient(x),
    "nothing": lambda x: x[:0],
}


def five_points(u):
    v = np.pad(u, 1)
    return v[2:, 1:-1] + v[:-2, 1:-1] + v[1:-1, 2:] + v[1:-1, :-2] - 4 * u + np.exp(u)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_sparse_jacobian_is_the_dense_one(name, mode):
    function = FUNCTIONS[name]
    jacobian = pb.sparse_jacobian(function, mode=mode)
    for x in (X, X[::-1].copy()):
        found = jacobian(x)
        assert isinstance(found, sparse.csr_array)
        assert found.has_canonical_format
        np.testing.assert_allclose(found.toarray(), dense_jacobian(function, x), atol=1e-12)


SCALARS = {
    "chain": lambda x: np.sum((x[1:] - x[:-1] ** 2) ** 2),
    "rosenbrock": lambda x: np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2),
    "grid energy": lambda x: np.sum(np.sqrt(1 + np.diff(x.reshape(3, 4), axis=0) ** 2)),
    "residuals": lambda x: 0.5 * np.sum(stencil(x) ** 2),
    "assigned": lambda x: np.sum(assigned(x) ** 2),
    "mean square": lambda x: np.var(x),
    "product": lambda x: np.prod(x[:4]) + np.sum(x[4:]),
    "norm": lambda x: np.linalg.norm(x[:5]),
    "quadratic form": lambda x: x @ A @ x,
    "log determinant": lambda x: np.linalg.slogdet(x[:4].reshape(2, 2) + 2 * np.eye(2))[1],
    "linear": lambda x: np.sum(x * np.arange(12.0)),
    "masked": lambda x: np.sum(np.where(x > 1, np.sqrt(np.abs(x - 1)), x[::-1] ** 2)),
    "constant": lambda x: 3.0 + 0 * pb.stop_gradient(x[0]),
}


@pytest.mark.parametrize("name", SCALARS)
def test_the_sparse_hessian_is_the_dense_one_and_symmetric(name):
    function = SCALARS[name]
    hessian = pb.sparse_hessian(function)
    for x in (X, X[::-1].copy()):
        found = hessian(x)
        assert isinstance(found, sparse.csr_array)
        np.testing.assert_allclose(found.toarray(), pb.hessian(function)(x), atol=1e-11)
        assert abs(found - found.T).nnz == 0


def test_few_products_are_taken():
    assert pb.sparse_jacobian(stencil).colors(np.ones(999)) == 3
    assert pb.sparse_jacobian(stencil).colors(np.ones(1000)) <= 5
    assert pb.sparse_jacobian(FUNCTIONS["arrow"]).colors(np.ones(500)) <= 4
    assert pb.sparse_jacobian(FUNCTIONS["scalar"]).colors(np.ones(500)) == 1
    assert pb.sparse_hessian(SCALARS["rosenbrock"]).colors(np.ones(500)) == 3


def test_the_function_is_traced_once_for_a_signature():
    calls = []

    def function(x, a, n):
        calls.append(1)
        return a * x[n:] ** 2

    jacobian = pb.sparse_jacobian(function)
    for a in (2.0, 3.0):
        np.testing.assert_allclose(jacobian(X, a, 1).diagonal(1), 2 * a * X[1:])
    assert len(calls) == 1
    assert jacobian(X, 2.0, 2).shape == (10, 12)
    assert jacobian(X[:5], 2.0, 2).shape == (3, 5)
    assert len(calls) == 3
    jacobian(X, 4.0, 1)
    assert len(calls) == 3


def test_index_arrays_are_part_of_the_signature():
    jacobian = pb.sparse_jacobian(lambda x, i: x[i] ** 2)
    for i in ([0, 1], [1, 1], [2, 0]):
        expected = np.zeros((2, 3))
        expected[[0, 1], i] = 2 * X[i]
        np.testing.assert_allclose(jacobian(X[:3], np.array(i)).toarray(), expected)


def test_only_the_latest_signatures_are_kept():
    jacobian = pb.sparse_jacobian(lambda x: x**2)
    for n in range(40):
        assert jacobian(np.ones(n)).shape == (n, n)
    assert len(jacobian._plans) <= 16


def test_a_result_may_be_changed_without_harm_to_the_next():
    jacobian = pb.sparse_jacobian(stencil)
    first = jacobian(X)
    first.data[:] = 0
    first.eliminate_zeros()
    np.testing.assert_allclose(jacobian(X).toarray(), pb.jacobian(stencil)(X), atol=1e-12)
    pattern = jacobian.pattern(X)
    pattern.data[:] = False
    pattern.eliminate_zeros()
    assert jacobian.pattern(X).nnz == 36


def test_arguments_are_pytrees_and_several():
    def function(p, scale, y):
        return {"u": scale * p["a"] * y, "v": p["b"][::-1] ** 2}

    args = ({"a": X[:3], "b": X[3:5]}, np.float64(2.0), X[5:8])
    for argnums in (0, 2, (0, 2), (2, 0), (0, 1, 2)):
        found = pb.sparse_jacobian(function, argnums)(*args).toarray()
        np.testing.assert_allclose(found, dense_jacobian(function, *args, argnums=argnums))


def test_keyword_arguments_are_passed_on():
    jacobian = pb.sparse_jacobian(lambda x, power, scale=1.0: scale * x**power)
    found = jacobian(X, power=3, scale=2.0).diagonal()
    np.testing.assert_allclose(found, 6 * X**2)


@pytest.mark.parametrize("mode", MODES)
def test_float32_stays_float32(mode):
    x = X.astype(np.float32)
    jacobian = pb.sparse_jacobian(lambda x, a: a * stencil(x), mode=mode)
    assert jacobian(x, 2.0).dtype == np.float32
    assert pb.sparse_hessian(SCALARS["chain"])(x).dtype == np.float32


def test_an_infinite_slope_stays_in_its_place():
    x = np.array([0.0, 1.0, 4.0])
    with np.errstate(divide="ignore"):
        found = pb.sparse_jacobian(np.sqrt)(x).toarray()
    np.testing.assert_array_equal(found, np.diag([np.inf, 0.5, 0.25]))


def test_many_products_go_in_batches(monkeypatch):
    from pullback.transform.sparse import jacobian as module

    monkeypatch.setattr(module, "_BATCH", 30)
    function = FUNCTIONS["dense"]
    for mode in MODES:
        found = pb.sparse_jacobian(function, mode=mode)(X).toarray()
        np.testing.assert_allclose(found, pb.jacobian(function)(X), atol=1e-12)


def test_a_given_pattern_is_used_and_checked():
    full = np.tri(12, 12, 1) * np.tri(12, 12, 1).T + np.eye(12, k=11) + np.eye(12, k=-11)
    jacobian = pb.sparse_jacobian(stencil, pattern=full)
    np.testing.assert_allclose(jacobian(X).toarray(), pb.jacobian(stencil)(X), atol=1e-12)
    with pytest.raises(pb.errors.GradientError, match="misses derivatives"):
        pb.sparse_jacobian(stencil, pattern=sparse.eye_array(12))(X)
    with pytest.raises(pb.errors.ShapeError, match=r"expected shape \(12, 12\), got \(3, 3\)"):
        pb.sparse_jacobian(stencil, pattern=np.eye(3))(X)
    chain = SCALARS["chain"]
    hessian = pb.sparse_hessian(chain, pattern=np.eye(12) + np.eye(12, k=1))
    np.testing.assert_allclose(hessian(X).toarray(), pb.hessian(chain)(X), atol=1e-12)
    with pytest.raises(pb.errors.GradientError, match="misses derivatives"):
        pb.sparse_hessian(chain, pattern=np.eye(12))(X)


def test_custom_rules_are_used():
    @pb.custom_vjp
    def double(x):
        return 2 * x

    double.defvjp(lambda x: (double(x), None), lambda _, ct: (3 * ct,))
    np.testing.assert_allclose(pb.sparse_jacobian(double)(X).toarray(), 3 * np.eye(12))
    hessian = pb.sparse_hessian(lambda x: np.sum(double(x) ** 2 * x))(X)
    np.testing.assert_allclose(hessian.toarray(), np.diag(42 * X))

    @pb.custom_jvp
    def triple(x):
        return 3 * x

    triple.defjvp(lambda primals, tangents: (triple(*primals), 5 * tangents[0]))
    np.testing.assert_allclose(pb.sparse_jacobian(triple)(X).toarray(), 5 * np.eye(12))


def test_a_custom_function_named_as_an_operation_keeps_its_rule():
    @pb.custom_jvp
    def roll(x):
        return np.cumsum(x)

    roll.defjvp(lambda primals, tangents: (roll(*primals), np.cumsum(tangents[0])))
    np.testing.assert_allclose(pb.sparse_jacobian(roll)(X).toarray(), np.tri(12))


def test_control_flow_is_covered():
    def loop(x):
        return pb.scan(lambda carry, v: (carry * v, carry + v), x[0], x)[1]

    np.testing.assert_allclose(pb.sparse_jacobian(loop)(X).toarray(), pb.jacobian(loop)(X))

    def branch(x):
        return pb.cond(x[0] > 1, lambda x: x**2, lambda x: x[::-1] * 1.0, x)

    np.testing.assert_allclose(pb.sparse_jacobian(branch)(X).toarray(), pb.jacobian(branch)(X))


def test_bad_input_is_named():
    with pytest.raises(pb.errors.ConfigError, match="mode: expected"):
        pb.sparse_jacobian(stencil, mode="sideways")
    with pytest.raises(pb.errors.DTypeError, match="integers"):
        pb.sparse_jacobian(stencil)(np.arange(5))
    with pytest.raises(pb.errors.DTypeError, match="complex dtype"):
        pb.sparse_jacobian(stencil)(X + 1j)
    with pytest.raises(pb.errors.DTypeError, match="results have a complex dtype"):
        pb.sparse_jacobian(lambda x: x * 1j)(X)
    with pytest.raises(pb.errors.ShapeError, match="scalar"):
        pb.sparse_hessian(stencil)(X)
    with pytest.raises(pb.errors.TracerError, match="is traced"):
        pb.grad(lambda x: pb.sparse_jacobian(stencil)(x).sum())(X)
    with pytest.raises(pb.errors.TracerError):
        pb.sparse_jacobian(lambda x: x if x[0] > 1 else 2 * x)(X)
    with pytest.raises(pb.errors.DTypeError, match="hashable"):
        pb.sparse_jacobian(lambda x, s: x)(X, set())
