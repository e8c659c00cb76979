"""grad(..., memory_budget=): what it takes, what it gives, what it refuses."""

import tracemalloc

import numpy as np
import pytest

import pullback as pb
from pullback.transform.memory_budget import parse_bytes

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 4))
WEIGHTS = [RNG.normal(size=(4, 4)) / 2 for _ in range(12)]
BUDGET = "100KiB"  # about 250 kB without


def loss(weights, x):
    for w in weights:
        x = np.tanh(x @ w)
    return np.sum(x)


def assert_equal(a, b):
    assert pb.tree.structure(a) == pb.tree.structure(b)
    for x, y in zip(pb.tree.leaves(a), pb.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y, strict=True)


@pytest.mark.parametrize(
    ("text", "size"),
    [("200MB", 200_000_000), ("1.5GB", 1_500_000_000), ("64KiB", 65_536), (" .5 kB ", 500),
     ("1MiB", 1_048_576), ("7B", 7), (12, 12), (np.int64(5), 5)],
)  # fmt: skip
def test_budgets_are_bytes_or_text_with_a_unit(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize("budget", ["", "MB", "10", "10 megabytes", "-1MB", 0, -5, 1.5, True, [1]])
def test_other_budgets_are_refused_at_once(budget):
    with pytest.raises(pb.errors.ConfigError, match="memory_budget: expected a positive number"):
        pb.grad(loss, memory_budget=budget)


@pytest.mark.parametrize("argnums", [0, 1, (0, 1), (1,)])
def test_gradients_have_the_structure_of_plain_ones(argnums):
    for transform in (pb.grad, pb.value_and_grad):
        found = transform(loss, argnums, memory_budget=BUDGET)(WEIGHTS, X)
        assert_equal(found, transform(loss, argnums)(WEIGHTS, X))


def test_auxiliary_data_comes_along():
    def with_aux(weights, x):
        value = loss(weights, x)
        return value, {"double": 2 * value, "first": x[0]}

    for transform in (pb.grad, pb.value_and_grad):
        found = transform(with_aux, has_aux=True, memory_budget=BUDGET)(WEIGHTS, X)
        assert_equal(found, transform(with_aux, has_aux=True)(WEIGHTS, X))


def test_each_signature_has_its_graph():
    traced = []

    def f(x, power, *, scale=1.0):
        traced.append(1)
        return scale * np.sum(x**power)

    gradient = pb.grad(f, memory_budget=BUDGET)
    x = np.arange(1.0, 4.0)
    for args, options in [((x, 2), {}), ((x, 3), {}), ((x[:2], 3), {}), ((x, 3), {"scale": 2.0})]:
        assert_equal(gradient(*args, **options), pb.grad(f)(*args, **options))
    count = len(traced)
    assert_equal(gradient(2 * x, 3), 3 * (2 * x) ** 2)
    assert len(traced) == count


def test_python_floats_and_float32():
    gradient = pb.grad(lambda x, s: np.sum(np.sin(x) * s), (0, 1), memory_budget="1MB")
    assert gradient(0.5, 2.0) == pb.grad(lambda x, s: np.sin(x) * s, (0, 1))(0.5, 2.0)
    x = np.ones(3, np.float32)
    assert pb.grad(lambda x, s: np.sum(x * s), memory_budget="1MB")(x, 2.0).dtype == np.float32


def test_other_transformations_go_through():
    budgeted, plain = pb.grad(loss, 1, memory_budget=BUDGET), pb.grad(loss, 1)

    def squared(gradient):
        return lambda x: np.sum(gradient(WEIGHTS, x) ** 2)

    np.testing.assert_allclose(pb.grad(squared(budgeted))(X), pb.grad(squared(plain))(X))
    _, found = pb.jvp(lambda x: budgeted(WEIGHTS, x), (X,), (X,))
    np.testing.assert_allclose(found, pb.jvp(lambda x: plain(WEIGHTS, x), (X,), (X,))[1])
    batch = np.stack([X, X + 1])
    np.testing.assert_allclose(
        pb.vmap(budgeted, (None, 0))(WEIGHTS, batch), pb.vmap(plain, (None, 0))(WEIGHTS, batch)
    )
    graph = pb.trace(budgeted, WEIGHTS, X)
    np.testing.assert_array_equal(graph(WEIGHTS, X), plain(WEIGHTS, X))


def test_forward_mode_over_it_takes_twice_the_memory_and_not_all():
    x = np.tile(X, (50, 1))

    def peak(**options):
        gradient = pb.grad(loss, 1, **options)
        gradient(WEIGHTS, x)
        tracemalloc.start()
        try:
            pb.jvp(lambda x: gradient(WEIGHTS, x), (x,), (x,))
            return tracemalloc.get_traced_memory()[1] / x.nbytes
        finally:
            tracemalloc.stop()

    assert peak() > 45
    assert peak(memory_budget=8 * x.nbytes) < 20


def test_the_gradient_of_a_graph_is_a_graph():
    graph = pb.trace(loss, WEIGHTS, X)
    gradient = pb.grad(graph, memory_budget=BUDGET)
    assert isinstance(gradient, pb.Graph)
    assert_equal(gradient(WEIGHTS, X), pb.grad(loss)(WEIGHTS, X))


def test_a_closure_over_a_traced_value_is_refused():
    def outer(s):
        return np.sum(pb.grad(lambda x: np.sum(x**2) * s, memory_budget="1MB")(X))

    with pytest.raises(pb.errors.NotDifferentiableError, match="pass it as an argument"):
        pb.grad(outer)(2.0)


def test_errors_of_the_plain_gradient_stay():
    with pytest.raises(pb.errors.DTypeError, match="no derivative"):
        pb.grad(lambda x: np.sum(x), memory_budget="1MB")(np.arange(3))
    with pytest.raises(pb.errors.ShapeError, match="scalar"):
        pb.grad(np.sin, memory_budget="1MB")(X)
    with pytest.raises(pb.errors.TracerError, match="concrete number"):
        pb.grad(lambda x: x if x > 0 else -x, memory_budget="1MB")(1.0)
    with pytest.raises(pb.errors.ConfigError, match="neither an array nor hashable"):
        pb.grad(lambda x, s: np.sum(x), memory_budget="1MB")(X, {1, 2})
    with pytest.raises(pb.errors.ConfigError, match=r"at least \d+ bytes.*loss.*got 1000"):
        pb.grad(loss, memory_budget=1000)(WEIGHTS, X)
