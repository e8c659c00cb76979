"""pb.compile: signatures, gradients, training steps, memory orders, errors, threads."""

import pickle
import threading

import numpy as np
import pytest

import pullback as pb
from pullback.core.errors import ConfigError, DTypeError, TracerError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 4))


def network(w, x):
    return np.sum(np.tanh(x @ w["a"] + w["b"]) ** 2, axis=1).mean()


W = {"a": RNG.normal(size=(4, 3)), "b": RNG.normal(size=3)}


def test_values_and_gradients_are_those_of_the_interpreter():
    compiled = pb.compile(pb.value_and_grad(network))
    value, gradient = compiled(W, X)
    wanted, slope = pb.value_and_grad(network)(W, X)
    np.testing.assert_allclose(value, wanted, rtol=1e-13)
    for name in W:
        np.testing.assert_allclose(gradient[name], slope[name], rtol=1e-12)


@pytest.mark.parametrize("optimizer", [pb.optim.sgd(0.1), pb.optim.adam(0.01)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_whole_training_step_needs_no_operation_of_numpy(optimizer, dtype):
    model = pb.nn.mlp(pb.random.key(0), [8, 16, 3], activation="relu", dtype=dtype)
    x = RNG.normal(size=(10, 8)).astype(dtype)
    t = RNG.integers(0, 3, 10)

    def step(model, state, x, t):
        loss, gradient = pb.value_and_grad(lambda m: pb.nn.losses.softmax_cross_entropy(m(x), t))(
            model
        )
        return *optimizer.update(gradient, state, model), loss

    compiled = pb.compile(step)
    ours = theirs = (model, optimizer.init(model))
    for _ in range(3):
        *ours, loss = compiled(*ours, x, t)
        *theirs, wanted = step(*theirs, x, t)
    assert "by NumPy    nothing" in compiled.report()
    np.testing.assert_allclose(loss, wanted, rtol=1e-5)
    for a, b in zip(pb.tree.leaves(ours), pb.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
        assert a.dtype == b.dtype


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, bool])
def test_arrays_are_bound_by_machine_code(dtype):
    compiled = pb.compile(lambda x, y: (x, y))
    x = np.ones((2, 3), dtype)
    compiled(x, pickle.loads(pickle.dumps(x)))
    ((program, _),) = compiled._programs.values()
    assert program.exactly((x, x)) is not None
    assert program.exactly((x, x.astype(np.int8))) is None
    assert program.exactly((x, x[:1])) is None
    assert program.exactly((x, np.asfortranarray(x))) is None


def test_scalars_are_bound_where_they_lie():
    for number in (np.float32(1.5), np.int8(-3), np.True_, np.complex128(1 - 2j), np.uint64(7)):
        compiled = pb.compile(lambda x, y: (x + y, y))
        results = compiled(X, number)
        np.testing.assert_array_equal(results[0], X + number)
        assert results[1] == number
        assert results[1].dtype == number.dtype
        ((program, _),) = compiled._programs.values()
        assert program.exactly((X, number)) is not None
        assert program.exactly((X, np.array(number))) is not None
        assert program.exactly((X, np.float16(1))) is None


def test_each_signature_is_compiled_once():
    traced = []

    @pb.compile
    def double(x):
        traced.append(x.shape)
        return 2 * x

    for shape in ((2,), (3,), (2,), (3,)):
        np.testing.assert_array_equal(double(np.ones(shape)), np.full(shape, 2.0))
    double(np.ones(2, np.float32))
    assert traced == [(2,), (3,), (2,)]


def test_a_call_like_the_last_one_and_one_unlike_it_are_told_apart():
    total = pb.compile(lambda *trees: sum(np.sum(x) for x in pb.tree.leaves(trees)))
    a, b = np.ones(3), np.full(3, 2.0)
    calls = [
        (a, b),
        (a,),
        (a, b, a),
        ({"k": a}, b),
        ({"k": a}, b),
        ({"l": a}, b),
        (a, [b, a]),
        (a, b),
    ]
    calls += [(a.astype(np.float32), b), (np.ones((3, 1)), b), (a[::2], b), (2.0, b), (a, b)]
    for args in calls:
        for _ in range(2):
            assert total(*args) == sum(np.sum(x) for x in pb.tree.leaves(args))
    with pytest.raises(TypeError, match="argument"):
        pb.compile(lambda x: x)()


def test_python_numbers_never_widen():
    scaled = pb.compile(lambda x, k: x * k)
    assert scaled(np.ones(2, np.float32), 0.5).dtype == np.float32
    assert scaled(np.ones(2, np.int64), 2).dtype == np.int64
    assert scaled(np.ones(2, np.float32), np.float64(0.5)).dtype == np.float64


def test_static_arguments_are_values():
    @pb.compile(static_argnums=1)
    def repeated(x, n):
        for _ in range(n):
            x = np.sin(x)
        return x

    np.testing.assert_allclose(repeated(X, 2), np.sin(np.sin(X)))
    np.testing.assert_allclose(repeated(X, 0), X)
    with pytest.raises(DTypeError, match="hashable"):
        repeated(X, [1])


def test_what_is_no_number_is_refused_by_name():
    with pytest.raises(DTypeError, match=r"'mode'.*expected numbers.*static_argnums"):
        pb.compile(lambda x, mode: x)(X, "fast")


def test_keyword_arguments_are_part_of_the_signature():
    compiled = pb.compile(lambda x, *, scale, shift: x * scale + shift)
    np.testing.assert_allclose(compiled(X, shift=1.0, scale=X), X * X + 1)


@pytest.mark.parametrize(
    "x",
    [
        X.T, X[::-1], X[:, ::2], np.asfortranarray(X), np.broadcast_to(X[0], (5, 4)),
        np.frombuffer(X.tobytes()).reshape(5, 4), X.astype(">f8"),
    ],
)  # fmt: skip
def test_arrays_of_any_memory_order_are_read(x):
    compiled = pb.compile(lambda x: np.cumsum(x, axis=0) + x[::-1].sum())
    np.testing.assert_allclose(compiled(x), np.cumsum(x, axis=0) + x[::-1].sum(), rtol=1e-12)


def test_results_are_arrays_of_their_own():
    same, twice = pb.compile(lambda x: x), pb.compile(lambda x: (2 * x, 2 * x, np.ones(3)))
    out = same(X)
    assert not np.shares_memory(out, X)
    a, b, c = twice(X)
    a[:] = c[:] = 0
    np.testing.assert_array_equal(b, 2 * X)
    np.testing.assert_array_equal(twice(X)[2], np.ones(3))
    np.testing.assert_array_equal(twice(X)[0], 2 * X)


def test_scalars_come_back_as_scalars():
    out = pb.compile(lambda x: (x.sum(), x * 2))(3.0)
    assert out == (3.0, 6.0)
    assert isinstance(out[0], np.float64)


def test_inside_another_transformation_it_takes_part():
    compiled = pb.compile(lambda x: np.sum(np.sin(x) ** 2))
    np.testing.assert_allclose(pb.grad(compiled)(X), np.sin(2 * X), rtol=1e-12)
    np.testing.assert_allclose(pb.vmap(compiled)(X), np.sum(np.sin(X) ** 2, axis=1))
    np.testing.assert_allclose(
        pb.compile(pb.hessian(lambda x: np.sum(np.exp(x) * x)))(X[0]),
        np.diag(np.exp(X[0]) * (2 + X[0])),
        rtol=1e-12,
        atol=1e-14,
    )


def test_what_numpy_runs_is_listed_and_right():
    def f(x):
        inverse = np.linalg.pinv(x)
        return np.sum(np.sort(x, axis=0) * 2) + inverse[0], np.argmax(x + 1)

    compiled = pb.compile(f)
    np.testing.assert_allclose(compiled(X)[0], f(X)[0])
    assert compiled(X)[1] == np.argmax(X)
    assert "by NumPy    pinv" in compiled.report()


def test_indices_are_checked_and_wrap_as_numpys():
    pick = pb.compile(lambda x, i: x[i])
    np.testing.assert_array_equal(pick(X, np.array([0, -1, 4])), X[[0, -1, 4]])
    for wrong in (5, -6):
        with pytest.raises(IndexError, match="out of range"):
            pick(X, np.array([0, wrong]))
    np.testing.assert_array_equal(pick(X, np.array([1, 2, 3])), X[1:4])


def test_gathers_and_scatters_by_any_index_are_native():
    i, j = np.array([0, 2, 2]), np.array([1, 3, 3])
    cases = [
        lambda x, i, j: x[i, j], lambda x, i, j: x[:, j], lambda x, i, j: x[i][:, j],
        lambda x, i, j: x[i[:, None], j], lambda x, i, j: x[None, i, :, None],
        lambda x, i, j: np.take_along_axis(x, i[:, None] * 0 + 1, axis=1),
    ]  # fmt: skip
    for f in cases:
        args = (X[:3], i, j)
        compiled = pb.compile(lambda x, i, j, f=f: (f(x, i, j), pb.grad(
            lambda x: np.sum(np.sin(f(x, i, j))))(x)))  # fmt: skip
        value, gradient = compiled(*args)
        np.testing.assert_allclose(value, f(*args))
        np.testing.assert_allclose(gradient, pb.grad(lambda x: np.sum(np.sin(f(x, i, j))))(X[:3]))
        assert "by NumPy    nothing" in compiled.report()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, 1e308, -745.2, 710])
def test_special_values_are_those_of_numpy(value):
    functions = [
        np.exp, np.log, np.expm1, np.log1p, np.tanh, np.abs, np.sign, np.isnan, np.isfinite,
        np.sqrt, np.floor,
        lambda x: np.maximum(x, 1.0), lambda x: np.where(x > 0, x, 1.0),
    ]  # fmt: skip
    x = np.full(37, value)
    with np.errstate(all="ignore"):
        found = pb.compile(lambda x: [f(x) for f in functions])(x)
        for f, got in zip(functions, found, strict=True):
            a, b = got.astype(float), f(x).astype(float)
            np.testing.assert_array_max_ulp(a, b, 2)
            np.testing.assert_array_equal(
                np.signbit(a) & ~np.isnan(a), np.signbit(b) & ~np.isnan(b)
            )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("function", "low", "high"),
    [
        (np.exp, -80, 80),
        (np.log, 1e-6, 1e6),
        (np.tanh, -10, 10),
        (np.expm1, -50, 80),
        (np.expm1, -1e-3, 1e-3),
        (np.log1p, -0.99, 100),
        (np.log1p, -1e-3, 1e-3),
        (np.exp, -0.1, 0.1),
        (np.log, 0.5, 2),
    ],
)
def test_elementary_functions_are_within_two_units_in_the_last_place(function, low, high, dtype):
    x = np.random.default_rng(0).uniform(low, high, 20_000).astype(dtype)
    found = pb.compile(function)(x)
    exact = function(x.astype(np.longdouble)).astype(dtype)
    np.testing.assert_array_max_ulp(found, exact, 2)


def test_threads_may_call_at_once():
    compiled = pb.compile(lambda x: np.exp(x) @ np.tanh(x.T))
    inputs = [RNG.normal(size=(20, 20)) for _ in range(8)]
    wanted = [np.exp(x) @ np.tanh(x.T) for x in inputs]
    wrong = []

    def work(x, y):
        for _ in range(50):
            if not np.allclose(compiled(x), y):
                wrong.append(x)

    threads = [
        threading.Thread(target=work, args=pair) for pair in zip(inputs, wanted, strict=True)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_every_stage_can_be_read():
    compiled = pb.compile(lambda x: np.tanh(2 * x).sum(axis=1))
    with pytest.raises(ConfigError, match="not been called yet"):
        _ = compiled.loops
    compiled(np.tile(X, 2))
    assert "tanh" in str(compiled.graph)
    loops, body = compiled.loops.splitlines()
    assert loops == "for i0 < 5, i1 < 8:"
    assert body.endswith("[i0] sum= tanh(multiply(2, x[8*i0 + i1]))")
    assert "define" in compiled.llvm
    assert "run0" in compiled.asm
    assert "loops       1" in compiled.report()


def test_a_branch_on_a_value_is_an_error_that_names_the_remedy():
    with pytest.raises(TracerError, match=r"np\.where"):
        pb.compile(lambda x: x if x > 0 else -x)(1.0)


def test_zero_sizes_and_empty_reductions():
    compiled = pb.compile(lambda x: (x.sum(axis=0), x @ np.ones((3, 2)), np.prod(x), x * 2))
    for got, wanted in zip(
        compiled(np.zeros((0, 3))),
        (np.zeros(3), np.zeros((0, 2)), 1.0, np.zeros((0, 3))),
        strict=True,
    ):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((3, 20, 9), (3, 9, 7)),
        ((3, 20, 9), (9, 7)),
        ((2, 1, 20, 9), (3, 9, 33)),
        ((20, 9), (3, 9, 7)),
    ],
)
@pytest.mark.parametrize("transposed", ["neither", "first", "second"])
def test_products_in_a_batch_join_with_what_follows(first, second, transposed):
    x, y = RNG.normal(size=first), RNG.normal(size=second)
    if transposed == "first":
        x = np.ascontiguousarray(x.mT)
    if transposed == "second":
        y = np.ascontiguousarray(y.mT)

    def attention(x, y):
        x = np.swapaxes(x, -1, -2) if transposed == "first" else x
        y = np.swapaxes(y, -1, -2) if transposed == "second" else y
        return np.tanh(x @ y + 1).sum(axis=-1), x @ y

    compiled = pb.compile(attention)
    for got, wanted in zip(compiled(x, y), attention(x, y), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-13)
    assert "by a library" in compiled.report()


def test_a_transposed_matrix_in_a_product_that_numpy_computes():
    x, z = np.arange(6.0).reshape(2, 3), np.array([1.0, 2.0j])
    np.testing.assert_allclose(pb.compile(lambda x, z: x.T @ z)(x, z), x.T @ z)


def test_long_loops_compile_quickly_and_right():
    def network(w, x):
        h = x[0] @ w
        for t in range(1, 60):
            h = np.tanh(h @ w + x[t])
        return np.sum(h * h)

    w, x = RNG.normal(size=(6, 6)) * 0.2, RNG.normal(size=(60, 3, 6))
    compiled = pb.compile(pb.grad(network))
    np.testing.assert_allclose(compiled(w, x), pb.grad(network)(w, x), rtol=1e-9, atol=1e-12)
    assert compiled.llvm.count("define") < 20  # steps alike share their code

    def chain(x):
        for _ in range(2000):
            x = 0.5 * np.sin(x) + 0.4 * x
        return np.sum(x)

    y = RNG.normal(size=5)
    np.testing.assert_allclose(pb.compile(chain)(y), chain(y), rtol=1e-9, atol=1e-12)


def test_a_product_with_a_very_long_sum_is_the_librarys():
    a, b = np.ones((4, 300_000)), np.ones((300_000, 3))
    compiled = pb.compile(np.matmul)
    np.testing.assert_array_equal(compiled(a, b), np.full((4, 3), 300_000.0))
    assert "1 by a library" in compiled.report()
