"""vmap: axes, nesting with every transformation, per-example gradients, errors."""

import numpy as np
import pytest

import pullback as pb
from pullback.core.errors import ConfigError, ShapeError, TracerError, TreeError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 3))
W = RNG.normal(size=(3, 2))


def network(w, x):
    return np.sum(np.tanh(x @ w) ** 2)


def test_axes_are_named_in_and_out():
    out = pb.vmap(lambda x, y: x * 2 + y, in_axes=(1, None), out_axes=1)(X.T, X[0])
    np.testing.assert_array_equal(out, (X * 2 + X[0]).T)
    np.testing.assert_array_equal(pb.vmap(lambda x: x + 1, in_axes=-1)(X.T), X + 1)


def test_axes_are_prefixes_of_pytrees():
    args = {"a": X, "b": (W, X[:, 0])}
    found = pb.vmap(lambda d: d["a"] @ d["b"][0] + d["b"][1], in_axes=({"a": 0, "b": (None, 0)},))(
        args
    )
    np.testing.assert_allclose(found, X @ W + X[:, :1])
    out = pb.vmap(lambda x: {"s": x.sum(), "c": np.ones(2)}, out_axes={"s": 0, "c": None})(X)
    np.testing.assert_allclose(out["s"], X.sum(1))
    assert out["c"].shape == (2,)


def test_a_result_that_does_not_depend_on_the_example_is_repeated():
    np.testing.assert_array_equal(pb.vmap(lambda x: 3.0)(X), np.full(5, 3.0))


def test_modules_are_mapped():
    model = pb.nn.mlp(pb.random.key(0), [3, 4, 2])
    x = X.astype(np.float32)
    found = pb.vmap(lambda m, x: m(x), in_axes=(None, 0))(model, x)
    np.testing.assert_allclose(found, model(x), rtol=1e-5)


def test_per_example_gradients():
    found = pb.vmap(pb.grad(network), in_axes=(None, 0))(W, X)
    each = np.stack([pb.grad(network)(W, x) for x in X])
    np.testing.assert_allclose(found, each, rtol=1e-12)
    np.testing.assert_allclose(
        pb.grad(lambda w: pb.vmap(network, (None, 0))(w, X).sum())(W), each.sum(0), rtol=1e-12
    )


@pytest.mark.parametrize(
    "transformed",
    [
        lambda f: pb.hessian(f),
        lambda f: pb.jacobian(pb.grad(f), mode="reverse"),
        lambda f: lambda w, x: pb.jvp(lambda v: f(v, x), (w,), (w,))[1],
        lambda f: lambda w, x: pb.hvp(lambda v: f(v, x), (w,), (w,))[0],
        lambda f: lambda w, x: pb.vjp(f, w, x)[1](2.0),
    ],
    ids=["hessian", "jacobian of grad", "jvp", "hvp", "vjp"],
)
def test_transformations_are_mapped_over(transformed):
    function = transformed(network)
    found = pb.tree.leaves(pb.vmap(function, (None, 0))(W, X))
    each = [pb.tree.leaves(function(W, x)) for x in X]
    for i, leaf in enumerate(found):
        np.testing.assert_allclose(leaf, np.stack([e[i] for e in each]), rtol=1e-10, atol=1e-13)


def test_maps_nest():
    y = RNG.normal(size=(4, 3))
    pairs = pb.vmap(pb.vmap(np.dot, (None, 0)), (0, None))(X, y)
    np.testing.assert_allclose(pairs, X @ y.T)
    np.testing.assert_allclose(
        pb.vmap(pb.vmap(lambda a, b: np.outer(a, b)[0], (0, None)), (None, 0))(X, y).shape,
        (4, 5, 3),
    )


def test_a_mapped_function_is_traced_and_a_graph_is_mapped():
    graph = pb.trace(pb.vmap(network, (None, 0)), W, X)
    np.testing.assert_allclose(graph(W, X), pb.vmap(network, (None, 0))(W, X))
    one = pb.trace(network, W, X[0])
    np.testing.assert_allclose(pb.vmap(one, (None, 0))(W, X), graph(W, X))


def test_no_operation_runs_once_per_example():
    calls = []

    @pb.custom_jvp
    def counted(x):
        calls.append(np.shape(x))
        return np.sin(x)

    counted.defjvp(lambda p, t: (counted(p[0]), np.cos(p[0]) * t[0]))
    np.testing.assert_allclose(pb.vmap(counted)(X), np.sin(X))
    assert len(calls) == 1


def test_custom_rules_are_mapped():
    @pb.custom_vjp
    def scaled(x, w):
        return x * w

    scaled.defvjp(lambda x, w: (x * w, (x, w)), lambda r, ct: (10 * ct * r[1], 10 * ct * r[0]))
    w = RNG.normal(size=3)
    total = pb.grad(lambda x, w: pb.vmap(scaled, (0, None))(x, w).sum(), (0, 1))
    gx, gw = total(X, w)
    np.testing.assert_allclose(gx, np.broadcast_to(10 * w, X.shape))
    np.testing.assert_allclose(gw, 10 * X.sum(0))
    each = pb.vmap(pb.grad(lambda x, w: scaled(x, w).sum(), 1), (0, None))(X, w)
    np.testing.assert_allclose(each, 10 * X)

    @pb.custom_jvp
    def twice(x):
        return 2 * x

    twice.defjvp(lambda p, t: (twice(p[0]), 7 * t[0]))
    np.testing.assert_allclose(pb.vmap(pb.grad(lambda x: twice(x).sum()))(X), np.full(X.shape, 7.0))
    np.testing.assert_allclose(pb.grad(lambda x: pb.vmap(twice)(x).sum())(X), np.full(X.shape, 7.0))


def test_assignment_in_place_is_mapped():
    def stepped(x):
        y = x * 1.0
        y[1:] += y[:-1]
        y[np.array([0, 2])] = 0.0
        return y

    np.testing.assert_allclose(pb.vmap(stepped)(X), np.stack([stepped(x) for x in X]))


def test_index_arrays_of_each_example_are_mapped():
    places = RNG.integers(0, 3, (5, 4))
    table = RNG.normal(size=(4, 3, 2))
    found = pb.vmap(lambda i, t: pb.numpy.take(t, i, axis=1), (0, None))(places, table)
    np.testing.assert_array_equal(found, np.stack([table[:, i] for i in places]))
    tables = RNG.normal(size=(5, 4, 3, 2))
    for index in (
        lambda i: (i,),
        lambda i: (slice(None), i),
        lambda i: (i, slice(None), i % 2),
        lambda i: (Ellipsis, i, i % 2),
        lambda i: (None, 1, slice(None), i % 2),
        lambda i: (slice(None), i[:, None], i % 2),
    ):
        found = pb.vmap(lambda i, t: t[index(i)])(places, tables)
        wanted = [t[index(i)] for i, t in zip(places, tables, strict=True)]
        np.testing.assert_array_equal(found, np.stack(wanted))

    def written(x, i):
        y = x * 1.0
        y[i] = np.arange(4.0)
        return y

    unique = np.stack([RNG.permutation(6)[:4] for _ in range(5)])
    base = RNG.normal(size=(5, 6))
    np.testing.assert_array_equal(
        pb.vmap(written)(base, unique), np.stack(list(map(written, base, unique)))
    )


def test_an_empty_batch_is_empty():
    assert pb.vmap(lambda x: x @ W)(np.zeros((0, 3))).shape == (0, 2)


def test_axis_size_alone_makes_a_batch():
    assert pb.vmap(lambda: np.ones(2), axis_size=3)().shape == (3, 2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: pb.vmap(np.add)(X, X[:2]), ShapeError, "batches of one length"),
        (lambda: pb.vmap(np.sin)(1.0), ShapeError, "no axis 0 to map over; give it None"),
        (lambda: pb.vmap(np.sin, in_axes=None)(X), ConfigError, "axis_size"),
        (lambda: pb.vmap(np.add, in_axes=(0,))(X, X), TreeError, "each of the 2 arguments"),
        (lambda: pb.vmap(np.sin, in_axes=("a",))(X), TreeError, "expected integers"),
        (lambda: pb.vmap(lambda d: d["a"], in_axes=({"b": 0},))({"a": X}), TreeError, "in_axes"),
        (lambda: pb.vmap(lambda x: x, out_axes=None)(X), ShapeError, "do not depend"),
        (lambda: pb.vmap(lambda x: x if x > 0 else -x)(X[:, 0]), TracerError, r"np\.where"),
        (lambda: pb.vmap(lambda x: x[x > 0])(X), ShapeError, "example to example"),
        (lambda: pb.vmap(lambda x: X[0][x > 0])(X), TracerError, r"pb\.numpy\.take\(array"),
    ],
)
def test_errors_name_what_was_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call()
