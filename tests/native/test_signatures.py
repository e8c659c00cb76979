"""What may be handed to a compiled function, and how: all that may be handed to the function."""

import pickle
from typing import NamedTuple

import numpy as np
import pytest

import pullback as pb

X = np.arange(6.0).reshape(2, 3)


def power(x, n=2, *, scale=1.0, negate=False):
    """A function of an array and of options that are Python values."""
    for _ in range(n - 1):
        x = x * x
    return -scale * x if negate else scale * x


@pytest.mark.parametrize("static", [1, (1,), -1, (1, 1), (1, -1), [1, 5], (1, -9)])
def test_static_positions_count_from_both_ends_and_may_repeat(static):
    compiled = pb.compile(lambda x, n: power(x, n), static_argnums=static)
    for n in (1, 3, 2, 3):
        np.testing.assert_array_equal(compiled(X, n), power(X, n))


def test_a_static_argument_before_arrays():
    compiled = pb.compile(lambda n, x, m, y: power(x, n) + power(y, m), static_argnums=(2, 0))
    np.testing.assert_array_equal(compiled(1, X, 3, 2 * X), X + power(2 * X, 3))


def test_static_arguments_may_be_named_or_left_to_their_defaults():
    compiled = pb.compile(power, static_argnums=1)
    for args, kwargs in [
        ((X,), {}), ((X, 3), {}), ((X,), {"n": 3}), ((), {"n": 3, "x": X}),
        ((X,), {"scale": 2.0}), ((X, 1), {"scale": X}),
    ]:  # fmt: skip
        np.testing.assert_array_equal(compiled(*args, **kwargs), power(*args, **kwargs))
    with pytest.raises(TypeError, match="m"):
        compiled(X, m=3)


def test_static_values_that_are_equal_are_told_apart():
    inverse = pb.compile(lambda x, k: x / k[0], static_argnums=1)
    with np.errstate(all="ignore"):
        for zero in (0.0, -0.0, 0.0):
            np.testing.assert_array_equal(inverse(X + 1, (zero,)), (X + 1) / zero)
    scaled = pb.compile(lambda x, k: x * k[0], static_argnums=1)
    for k in ((2, 1), (2.0, 1), (True, 1), (2, 1)):
        assert scaled(np.arange(3), k).dtype == (np.arange(3) * k[0]).dtype


class Pair(NamedTuple):
    a: object
    b: object


class Model(pb.nn.Module):
    w: object
    inner: object


def trees():
    return [
        Pair(X, {"k": X + 1, "j": [X, None, (X,)]}), [], None, (), {"a": {}, "b": [None, X]},
        Model(X, Pair(None, X)), (X, 2.0, 3, np.float32(4)),
    ]  # fmt: skip


@pytest.mark.parametrize("tree", trees(), ids=lambda t: type(t).__name__)
def test_trees_go_in_and_come_out_as_they_are(tree):
    def double(tree):
        return pb.tree.map(lambda x: x + x, tree)

    compiled = pb.compile(double)
    for _ in range(2):
        found, wanted = compiled(tree), double(tree)
        assert pb.tree.structure(found) == pb.tree.structure(wanted)
        for a, b in zip(pb.tree.leaves(found), pb.tree.leaves(wanted), strict=True):
            np.testing.assert_array_equal(a, b)


def test_hundreds_of_arguments_and_results():
    many = [np.full(k % 3, float(k)) for k in range(300)]
    compiled = pb.compile(lambda *xs: [x * 2 for x in xs])
    for _ in range(2):
        for a, b in zip(compiled(*many), many, strict=True):
            np.testing.assert_array_equal(a, 2 * b)
    names = [f"x{k}" for k in range(300)]
    total = pb.compile(lambda **xs: sum(np.sum(x) for x in xs.values()))
    assert total(**dict(zip(names, many, strict=True))) == sum(np.sum(x) for x in many)


def test_everything_may_have_no_axes():
    def f(x, i, truth, z):
        y = np.where(truth, x, -x) ** i
        return y, y[()], np.sum(y), y[None], np.max(y), z * y, i + truth, np.sort(y[None]), x

    args = (np.float64(1.5), np.int64(3), np.True_, np.complex128(1j))
    for form in (lambda x: x, np.asarray):
        given = [form(x) for x in args]
        for a, b in zip(pb.compile(f)(*given), f(*args), strict=True):
            assert (np.shape(a), np.asarray(a).dtype) == (np.shape(b), np.asarray(b).dtype)
            np.testing.assert_array_equal(a, b)


def test_deep_graphs_and_large_constants():
    def deep(x):
        for k in range(3000):
            x = x + k if k % 7 else np.sin(x)
        return x

    np.testing.assert_allclose(pb.compile(deep)(X), deep(X), rtol=1e-9)
    constant = np.random.default_rng(0).normal(size=(500, 500))
    np.testing.assert_array_equal(pb.compile(lambda x: constant * x)(2.0), constant * 2)


def named(x):
    return x + 1


def test_a_compiled_function_can_be_pickled():
    compiled = pb.compile(named, static_argnums=1, matmul_precision="bfloat16")
    compiled(X)
    again = pickle.loads(pickle.dumps(compiled))
    assert again.static_argnums == (1,)
    assert again.matmul_precision == "bfloat16"
    np.testing.assert_array_equal(again(X), X + 1)
