"""Assignment in place, through views too: values as in NumPy, gradients as differences tell."""

import numpy as np
import pytest

import pullback as pb

X = np.random.default_rng(0).normal(size=(3, 4))
MASK = X > 0


def slices(x):
    y = x * 1.0
    y[1:, ::2] = y[:2, 1::2] * 3.0
    return y


def rows_and_columns(x):
    y = x + 0.0
    y[0] = 2.0
    y[:, -1] = y[:, 0]
    y[1, 2] = y[1, 1] * y[2, 2]
    return y


def augmented(x):
    y = x.copy()
    y[1] *= 3.0
    y += y[0]
    y -= 1.0
    y /= 2.0
    y **= 2
    return y


def masks(x):
    y = x * 1.0
    y[MASK] *= 2.0
    y[~MASK] = 0.5
    return y


def mask_of_values(x):
    y = x * 1.0
    y[y > 0.2] = 0.0
    return y


def index_arrays(x):
    y = x * 1.0
    y[[0, 2], [1, 3]] = y[1, :2]
    y[np.array([0, 0])] = y[1:]  # of two values for one row the last one stays
    return y


def view_writes_base(x):
    y = x * 1.0
    part = y[1:]
    part[0] = 3.0
    part[1, 2] = y[0, 0]
    return y


def base_writes_view(x):
    y = x * 1.0
    part = y[:, 1]
    y[1] = 7.0 * y[2]
    return part


def two_views(x):
    y = x * 1.0
    a, b = y[:2], y[1:]
    a[1] = b[1] * 2.0
    b[0, 0] += a[0, 0]
    return a + b


def view_of_a_view(x):
    y = x * 1.0
    inner = y[1:][:, 1:]
    inner[...] = inner * inner
    return y


def transposed(x):
    y = x * 1.0
    y.T[0] = 5.0
    y.swapaxes(0, 1)[1] *= 2.0
    return y


def reshaped(x):
    y = x * 1.0
    y.reshape(2, 6)[0] *= 4.0
    y.ravel()[1] = 0.0
    return y


def flipped(x):
    y = x * 1.0
    np.flip(y, 0)[0] = -1.0
    return y


def put_along(x):
    y = x * 1.0
    np.put_along_axis(y, np.array([[0], [1], [3]]), y[:, 1:2] * 2.0, 1)
    return y


def sorted_in_place(x):
    y = x * 1.0
    y.sort(axis=0)
    return y


def copied_to(x):
    y = x * 1.0
    np.copyto(y, x * 2.0, where=MASK)
    return y


def filled(x):
    y = x * x
    y[1].fill(2.0)
    return y


def by_flat(x):
    y = x * 1.0
    y.flat[::3] += y.flat[1] * x[0]
    y.T.flat = 2.0 * y.flat[:6].sum()
    y.flat[[0, 3]] = [1.0, y[1, 1]]
    z = np.zeros_like(y)
    z.flat = y.T
    return z


def by_einsum(x):
    y = x @ x.T
    np.einsum("ii->i", y)[:] = x[:, 1]  # the diagonal
    np.einsum("ij->ji", y)[0] *= y[1]
    return y


def from_a_list(x):
    y = x * 1.0
    y[1] = [x[0, 0], 2.0, y[0, 1] * 3.0, 4]
    return y


def real_and_imaginary(x):
    z = x * (1.0 + 2.0j)
    z.real[0] = x[1] ** 2  # parts are views
    z.imag *= 3.0
    z.real = z.imag * x
    part = z[1:].imag
    part[0] = 5.0
    return z.real + z.imag**2


FUNCTIONS = [
    by_einsum, by_flat, from_a_list, real_and_imaginary,
    slices, rows_and_columns, augmented, masks, index_arrays, view_writes_base, base_writes_view,
    two_views, view_of_a_view, transposed, reshaped, flipped, put_along, sorted_in_place, copied_to,
    filled,
]  # fmt: skip


def untouched(function):
    """Run on plain NumPy, where `np.copyto` and the like change the copy only."""
    return function(X.copy())


@pytest.mark.parametrize("function", [*FUNCTIONS, mask_of_values])
def test_values_are_numpys_in_every_mode(function):
    expected = untouched(function)
    value, pullback = pb.vjp(function, X)
    np.testing.assert_array_equal(value, expected)
    np.testing.assert_array_equal(pb.jvp(function, (X,), (X,))[0], expected)
    np.testing.assert_array_equal(pb.trace(function, X)(X), expected)
    assert pullback(np.ones_like(expected))[0].shape == X.shape


@pytest.mark.parametrize("function", [*FUNCTIONS, mask_of_values])
def test_gradients_are_what_differences_tell(function):
    pb.check_grads(function, (X,), order=2)
    weights = np.random.default_rng(1).normal(size=untouched(function).shape)

    def scalar(x):
        return np.sum(weights * function(x))

    np.testing.assert_allclose(
        pb.grad(pb.trace(scalar, X))(X), pb.grad(scalar)(X), rtol=1e-12, atol=1e-14
    )


def test_the_argument_itself_may_be_written():
    def f(x):
        x[0] = 2.0 * x[1]
        return np.sum(x)

    x = np.array([1.0, 2.0])
    np.testing.assert_array_equal(pb.grad(f)(x), [0.0, 3.0])
    np.testing.assert_array_equal(x, [1.0, 2.0])  # the caller's array is left alone


def test_a_traced_mask_takes_a_scalar():
    def f(x):
        y = x * 1.0
        y[y > 0] = 0.0
        return y

    np.testing.assert_array_equal(pb.trace(f, X)(X), np.where(X > 0, 0.0, X))


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (lambda y: y.__setitem__(0, np.ones(3)), pb.errors.ShapeError, r"\(3,\).*\(4,\) of x\[0\]"),
        (lambda y: y.__setitem__(0, 1j), pb.errors.NotDifferentiableError, "imaginary"),
        (lambda y: y.__setitem__(5, 1.0), IndexError, "out of bounds"),
        (lambda y: y.__setitem__([5], 1.0), IndexError, "out of bounds"),
        (lambda y: y.__setitem__(MASK.T, 1.0), IndexError, "boolean"),
        (lambda y: y["a"], IndexError, "integers, slices"),
        (lambda y: y[5], IndexError, "out of bounds"),
        (lambda y: y[[0.5]], IndexError, r"astype\(int\)"),
        (lambda y: y[1:].reshape(8).__setitem__(0, 1.0), pb.errors.NotDifferentiableError, "copy"),
        (lambda y: np.copyto(np.zeros(3), y[0, :3]), pb.errors.DTypeError, "zeros"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("traced", [False, True])
def test_bad_assignments_and_indices_are_refused(function, error, message, traced):
    def f(x):
        y = x * 1.0
        function(y)
        return np.sum(y)

    with pytest.raises(error, match=message):
        pb.trace(f, X) if traced else pb.grad(f)(X)


def test_what_only_a_concrete_mask_allows_is_refused_in_a_graph():
    with pytest.raises(pb.errors.ShapeError, match=r"np\.where\(mask, x, 0\)"):
        pb.trace(lambda x: x[x > 0], X)

    def f(x):
        y = x * 1.0
        y[y > 0] = y[y > 0] * 2.0
        return y

    with pytest.raises(pb.errors.ShapeError, match="mask"):
        pb.trace(f, X)

    def g(x):
        y = x * 1.0
        y[y[0] > 0] = np.ones(4)
        return y

    with pytest.raises(pb.errors.ShapeError, match=r"x\[mask\] = scalar"):
        pb.trace(g, np.ones((4, 4)))


def test_a_value_of_a_higher_level_cannot_hide_in_an_outer_array():
    def outer(x):
        y = x * 1.0

        def inner(z):
            y[0] = z
            return z

        pb.grad(inner)(1.0)
        return y.sum()

    with pytest.raises(pb.errors.NotDifferentiableError, match="outer transformation"):
        pb.grad(outer)(np.ones(2))


def test_index_arrays_may_be_traced_in_a_graph():
    def f(x, i):
        y = x * 1.0
        y[i] = x[i[::-1]] * 2.0
        return np.take(y, i, axis=0).sum() + np.take(x, i[0])

    i = np.array([2, 0, 2])
    graph = pb.trace(f, X[:, 0], i)
    np.testing.assert_allclose(graph(X[:, 0], i), f(X[:, 0], i))
    found = pb.grad(graph)(X[:, 0], i)
    np.testing.assert_allclose(found, pb.grad(f)(X[:, 0], i))


def test_an_element_taken_with_an_ellipsis_is_a_view_as_in_numpy():
    def f(x):
        y = x * 1.0
        y[..., 0], y[..., 1] = y[..., 1], y[..., 0]
        last = y[..., 2]
        last += y[..., 0]
        return y

    x = np.arange(1.0, 4.0)
    np.testing.assert_array_equal(pb.vjp(f, x)[0], f(x))
    np.testing.assert_array_equal(pb.trace(f, x)(x), f(x))


def test_views_of_views_may_be_deep():
    def f(x):
        y = x * 1.0
        last = y
        for _ in range(2000):
            last = last[...]
        last[0] = 5.0
        return np.sum(y)

    np.testing.assert_array_equal(pb.grad(f)(np.ones(3)), [0.0, 1.0, 1.0])
