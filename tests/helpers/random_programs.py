"""Random programs for hypothesis: arrays however they lie in memory, and functions of them."""

import numpy as np
from hypothesis import strategies as st

import pullback as pb
from pullback.core.errors import PullbackError

DTYPES = ["f4", "f8", "f4", "f8", "f4", "f8", "i1", "i4", "i8", "u1", "u2", "u8", "?", "c8", "c16"]
SPECIAL = [np.nan, np.inf, -np.inf, -0.0, 5e-324, 1e-40, 3e38]
UNARY = [
    np.tanh, np.square, np.negative, np.isfinite, np.abs, np.sqrt, np.sign, np.exp, np.floor,
    np.log1p, np.rint, np.logical_not, np.isnan, np.arctan, np.invert, np.real,
]  # fmt: skip
BINARY = [
    np.add, np.subtract, np.multiply, np.maximum, np.less, np.fmin, np.logaddexp, np.hypot,
    np.divide, np.equal, np.greater_equal, np.logical_and, np.bitwise_xor, np.copysign,
    np.arctan2, np.right_shift, np.floor_divide, np.fmod,
]  # fmt: skip
REDUCTIONS = [np.sum, np.prod, np.max, np.min, np.mean, np.any, np.all, np.var]


def unary(draw, x, y):
    f = draw(st.sampled_from(UNARY))
    return lambda x, y: f(x)


def binary(draw, x, y):
    return draw(st.sampled_from(BINARY))


def number(draw, x, y):
    f = draw(st.sampled_from(BINARY))
    k = draw(st.sampled_from([0, 1, 2, -1, 3, True, 0.5, -0.0, np.inf, 1e10]))
    return draw(st.sampled_from([lambda x, y: f(x, k), lambda x, y: f(k, x)]))


def cast(draw, x, y):
    dtype = draw(st.sampled_from(DTYPES))
    return lambda x, y: np.isfinite(x) * 3 if x.dtype.kind in "fc" else x.astype(dtype)


def reduction(draw, x, y):
    f, keepdims = draw(st.sampled_from(REDUCTIONS)), draw(st.booleans())
    axes = draw(st.sets(st.sampled_from(range(x.ndim)))) if x.ndim else ()
    return lambda x, y: f(x, axis=tuple(axes), keepdims=keepdims)


def along(draw, x, y):
    axis = draw(st.integers(-x.ndim, x.ndim - 1))
    f = draw(st.sampled_from([np.argmax, np.argmin, np.sort, np.cumsum, np.cumprod, np.argsort]))
    if f is np.argsort:
        return lambda x, y: np.argsort(x, axis=axis, stable=True)
    return lambda x, y: f(x, axis=axis)


def view(draw, x, y):
    axes = tuple(draw(st.permutations(range(x.ndim))))
    views = [
        lambda x, y: np.transpose(x, axes), lambda x, y: np.reshape(x, -1),
        lambda x, y: x[..., ::-1], lambda x, y: x[1:, ..., None], lambda x, y: np.flip(x),
        lambda x, y: np.reshape(np.transpose(x, axes), x.shape), lambda x, y: x[..., :-1:2],
        lambda x, y: np.broadcast_to(x, (2, *x.shape)), lambda x, y: np.reshape(x.T, (-1, 3)),
    ]  # fmt: skip
    return draw(st.sampled_from(views))


def moved(draw, x, y):
    axis = draw(st.integers(-x.ndim, x.ndim - 1))
    n, k = max(1, x.shape[axis]), draw(st.integers(-9, 9))
    length = st.just(0) if 0 in x.shape else st.integers(0, 4)  # no index is in range of nothing
    index = np.array([draw(st.integers(-n, n - 1)) for _ in range(draw(length))], int)
    return draw(st.sampled_from([
        lambda x, y: np.concatenate([x, y], axis=axis), lambda x, y: np.roll(x, k, axis=axis),
        lambda x, y: np.pad(x, 1), lambda x, y: np.take(x, index, axis=axis),
        lambda x, y: np.stack([x, x[..., ::-1]], axis=axis), lambda x, y: np.where(x > y, x, y),
        lambda x, y: assigned(x, index, axis), lambda x, y: np.diff(x, axis=axis),
        lambda x, y: assigned(x, slice(None, None, -2), axis),
    ]))  # fmt: skip


def computed_index(draw, x, y):
    """An index that is itself computed, and in range."""
    n = max(1, x.shape[0])
    if 0 in x.shape or y.dtype.kind not in "iu" or y.size > 40:
        raise ValueError("no index")
    return draw(st.sampled_from([
        lambda x, y: x[y % n], lambda x, y: x[-1 - y % n, ..., None],
        lambda x, y: x[:, None][y % n], lambda x, y: assigned(x, y % n, 0),
        lambda x, y: np.take_along_axis(x, np.isfinite(x) % n, 0),
    ]))  # fmt: skip


def assigned(x, index, axis):
    x = np.moveaxis(x, axis, 0).copy()
    x[index] = x.sum()
    return x


def product(draw, x, y):
    return draw(st.sampled_from([
        lambda x, y: x @ y, lambda x, y: x @ x.mT, lambda x, y: x.mT @ x[..., ::-1, :],
        lambda x, y: contracted("...i,...i->...", x, y), lambda x, y: np.tanh(x @ y + y[0]),
        lambda x, y: contracted("ij,kj->ik", x, y), lambda x, y: np.outer(x, y),
    ]))  # fmt: skip


def contracted(subscripts, x, y):
    if x.shape[-1] != y.shape[-1]:
        raise ValueError("NumPy would sum before it multiplies: inf * x - inf * x becomes inf")
    return np.einsum(subscripts, x, y)


def loop(draw, x, y):
    """A loop over the first axis, as a scan or written out."""

    def step(carry, row):
        carry = np.tanh(carry + row)
        return carry, carry * row

    def scanned(x, y):
        carry, rows = pb.scan(step, np.tanh(x[0]), x[::-1])
        return carry + rows[0]

    def unrolled(x, y):
        carry = np.tanh(x[0])
        for row in x[::-1]:
            carry, kept = step(carry, row)
        return carry + kept

    return draw(st.sampled_from([scanned, unrolled]))


KINDS = [
    unary, binary, binary, number, cast, reduction, reduction, along, view, view, moved, moved,
    computed_index, product, loop,
]  # fmt: skip


def laid_out(draw, x):
    """The same array, in another order in memory."""
    ways = {
        "as it is": lambda: x,
        "Fortran": lambda: np.asfortranarray(x),
        "backwards": lambda: x[::-1].copy()[::-1] if x.ndim else x,
        "every other": lambda: np.repeat(x, 2, axis=-1)[..., ::2] if x.ndim else x,
        "stretched": lambda: np.broadcast_to(x[:1], x.shape) if 0 not in x.shape[:1] else x,
        "read only": lambda: read_only(x),
        "misaligned": lambda: misaligned(x),
        "other bytes": lambda: x.astype(x.dtype.newbyteorder()),
    }
    return ways[draw(st.sampled_from(list(ways)))]() if x.ndim else x


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def misaligned(x):
    room = np.empty(x.nbytes + 1, np.uint8)
    found = room[1:].view(x.dtype).reshape(x.shape)
    found[...] = x
    return found


@st.composite
def programs(draw):
    """Arrays, and a function of them made of a few random steps, each of one or two values."""
    shapes = st.lists(st.sampled_from([1, 3, 2, 9, 1, 3, 17, 0]), max_size=3)
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    arrays, base = [], draw(shapes)
    for _ in range(draw(st.integers(1, 3))):
        shape = base if draw(st.integers(0, 3)) else draw(shapes)
        x = rng.normal(size=shape) * 2
        if x.size and draw(st.booleans()):
            x.flat[0] = draw(st.sampled_from(SPECIAL))
        with np.errstate(all="ignore"):
            x = np.asarray(x.astype(draw(st.sampled_from(DTYPES))))
        arrays.append(laid_out(draw, x))
    steps, values = [], list(arrays)
    for _ in range(draw(st.integers(1, 20))):
        i, j = (-draw(st.integers(1, min(4, len(values)))) % len(values) for _ in range(2))
        try:
            step = draw(st.sampled_from(KINDS))(draw, values[i], values[j])
            with np.errstate(all="ignore"):
                value = np.asarray(step(values[i], values[j]))
        except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, PullbackError):
            continue  # a step that does not suit these values
        if value.size < 2000 and value.dtype != np.float16:
            steps.append((step, i, j))
            values.append(value)
    kept = draw(st.lists(st.integers(0, len(values) - 1), min_size=1, max_size=3))

    def program(*given):
        found = list(given)
        for step, i, j in steps:
            found.append(step(found[i], found[j]))
        return [found[k] for k in [*kept, -1]]

    return arrays, program
