"""Counter-based random numbers with explicit keys: Threefry-2x32, the same streams as JAX.

A key is a uint32 array of shape (2,). Nothing is hidden: the same key gives the same numbers, and
`split` or `fold_in` makes new keys. The streams are those of `jax.random` with its default
implementation and `jax_threefry_partitionable=True` (the default since JAX 0.5), so element i of an
array depends on the key and on i only, never on the size of the array.

Keys may be traced: so drawing runs under trace and vmap, in scans and compiled.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from pullback.core.arrays import array_of
from pullback.core.dispatch import functions
from pullback.core.errors import ConfigError, DTypeError, ShapeError
from pullback.core.tracer import Tracer

__all__ = [
    "Key",
    "bernoulli",
    "bits",
    "fold_in",
    "key",
    "normal",
    "permutation",
    "randint",
    "split",
    "uniform",
]

Key = Any  # an array of two uint32, which may be traced
Shape = int | tuple[int, ...]

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)
_UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


def key(seed: int) -> Key:
    """Return the key of `seed`: its high and its low 32 bits, as uint32 of shape (2,).

    Raises DTypeError if `seed` is not an integer, ConfigError if it has more than 64 bits.

    >>> key(7)
    array([0, 7], dtype=uint32)
    """
    if not -(2**63) <= _integer(seed, "seed") < 2**64:
        raise ConfigError(f"seed: expected an integer from -2**63 to 2**64 - 1, got {seed}.")
    word = _integer(seed, "seed") & 0xFFFF_FFFF_FFFF_FFFF
    return np.array([word >> 32, word & 0xFFFF_FFFF], dtype=np.uint32)


def split(key: Key, n: int = 2) -> Key:
    """Return `n` new keys, uint32 of shape (n, 2); use each once and `key` no more.

    >>> first, second = split(key(0))
    >>> first
    array([1797259609, 2579123966], dtype=uint32)
    """
    high, low = _threefry(_checked(key), *_counts(_integer(n, "n")))
    return np.stack([high, low], axis=-1)


def fold_in(key: Key, n: int) -> Key:
    """Return the key made of `key` and the integer `n`, for example an epoch's number.

    >>> fold_in(key(0), 3)
    array([2467461003, 3840466878], dtype=uint32)
    """
    if isinstance(n, Tracer):
        number = np.reshape(n, (1,)).astype(np.uint32)
    else:
        number = np.array([_integer(n, "n") & 0xFFFF_FFFF], dtype=np.uint32)
    high, low = _threefry(_checked(key), np.zeros(1, np.uint32), number)
    return np.concatenate([high, low])


def bits(key: Key, shape: Shape = (), dtype: DTypeLike = np.uint32) -> Any:
    """Return uniformly distributed bits: unsigned integers of `shape` and `dtype`.

    Raises DTypeError if `dtype` is not an unsigned integer type.

    >>> bits(key(0), (2,))
    array([4070199207, 4202968722], dtype=uint32)
    """
    kind = np.dtype(dtype)
    if kind.kind != "u":
        raise DTypeError(f"dtype: expected an unsigned integer type, got {kind}. Use np.uint32.")
    sizes = _shape(shape)
    high, low = _threefry(_checked(key), *_counts(math.prod(sizes)))
    if kind.itemsize == 8:
        return array_of((high.astype(kind) << kind.type(32)) | low).reshape(sizes)
    return array_of((high ^ low).astype(kind)).reshape(sizes)


def uniform(
    key: Key,
    shape: Shape = (),
    dtype: DTypeLike = np.float32,
    minval: ArrayLike = 0.0,
    maxval: ArrayLike = 1.0,
) -> Any:
    """Return numbers uniform on [minval, maxval) of `shape` and floating `dtype`.

    As many bits as the mantissa has, as a fraction.

    >>> uniform(key(0), (2,)).round(4)
    array([0.9477, 0.9786], dtype=float32)
    """
    kind = _floating(dtype)
    mantissa = np.finfo(kind).nmant
    unsigned = np.dtype(_UNSIGNED[kind.itemsize])
    word = bits(key, shape, unsigned) >> unsigned.type(8 * kind.itemsize - mantissa)
    unit = word.astype(kind) * kind.type(2.0**-mantissa)  # exact
    low, high = (array_of(end).astype(kind) for end in (minval, maxval))
    return array_of(np.maximum(low, unit * (high - low) + low))


def normal(key: Key, shape: Shape = (), dtype: DTypeLike = np.float32) -> Any:
    """Return standard normal numbers of `shape` and floating `dtype`: sqrt(2) erfinv(u).

    >>> normal(key(0), (2,)).round(3)
    array([1.623, 2.025], dtype=float32)
    """
    from scipy.special import erfinv

    kind = _floating(dtype)
    low = np.nextafter(kind.type(-1), kind.type(0))
    u = uniform(key, shape, kind, low, kind.type(1))
    # SciPy has erfinv for float32 and float64 only; float16 goes through float32.
    return array_of(kind.type(math.sqrt(2)) * array_of(erfinv(u)).astype(kind))


def bernoulli(key: Key, p: ArrayLike = 0.5, shape: Shape | None = None) -> Any:
    """Return booleans of `shape` (that of `p` if None) that are True with probability `p`.

    >>> bernoulli(key(0), 0.4, (4,))
    array([False, False,  True, False])
    """
    chance = array_of(p)
    # As in JAX, `p` chooses the precision; a Python number is taken as float32.
    kind = np.dtype(np.float32) if type(p) in (int, float) else chance.dtype
    sizes = chance.shape if shape is None else _shape(shape)
    return array_of(uniform(key, sizes, kind) < chance.astype(kind))


def permutation(key: Key, x: int | ArrayLike) -> Any:
    """Return a random order of range(x) if `x` is an integer, else of the rows of `x`.

    Sorts by random 32-bit words, as often as makes ties harmless.

    >>> permutation(key(0), 5)
    array([0, 1, 4, 3, 2])
    """
    rows = array_of(x)
    if rows.ndim == 0:
        rows = np.arange(_integer(x, "x"))
    n = len(rows)
    order: Any = np.arange(n)
    for _ in range(math.ceil(3 * math.log(max(1, n)) / math.log(0xFFFF_FFFF))):
        key, subkey = split(key)
        order = _take(order, np.argsort(bits(subkey, (n,)), kind="stable"))
    return array_of(_take(rows, order))


def randint(key: Key, shape: Shape, minval: int, maxval: int, dtype: DTypeLike = np.int64) -> Any:
    """Return integers of `shape` and `dtype`, uniform on [minval, maxval).

    Two words of 32 or 64 bits make each integer, so the bias of the remainder is negligible.
    Raises ValueError if the range is empty or does not fit `dtype`.

    >>> randint(key(0), (4,), 0, 10)
    array([5, 1, 5, 7])
    """
    kind = np.dtype(dtype)
    if kind.kind not in "iu":
        raise DTypeError(f"dtype: expected an integer type, got {kind}. Use np.int64.")
    low, high, limits = _integer(minval, "minval"), _integer(maxval, "maxval"), np.iinfo(kind)
    if not limits.min <= low < high <= limits.max + 1:
        raise ValueError(
            f"minval, maxval: expected {limits.min} <= minval < maxval <= {limits.max + 1} "
            f"for {kind}, got {low} and {high}."
        )
    # Words of 32 bits at least: the remainder of a shorter one would be biased.
    unsigned = np.dtype(_UNSIGNED[max(4, kind.itemsize)])
    sizes = _shape(shape)
    first, second = split(key)
    # Flat arrays: integers wrap around in arrays silently, in scalars with a warning.
    higher, lower = (bits(k, math.prod(sizes), unsigned) for k in (first, second))
    width = high - low
    whole_range = width == 2 ** (8 * unsigned.itemsize)
    if not whole_range:
        # The square wraps around in the type's own arithmetic, as it does in JAX.
        half = 2 ** (4 * unsigned.itemsize) % width
        carry = unsigned.type(half * half % 2 ** (8 * unsigned.itemsize) % width)
        span = unsigned.type(width)
        lower = (higher % span * carry + lower % span) % span
    return array_of(np.array([low], kind) + lower.astype(kind)).reshape(sizes)


def _threefry(key: Key, high: Any, low: Any) -> tuple[Any, Any]:
    """Encrypt the counters (high, low) with `key`: 20 rounds, a key injection after every 4."""
    keys = (key[0], key[1], key[0] ^ key[1] ^ _PARITY)
    x, y = high + keys[0], low + keys[1]
    for block in range(5):
        for distance in _ROTATIONS[block % 2]:
            x = x + y
            y = ((y << np.uint32(distance)) | (y >> np.uint32(32 - distance))) ^ x
        x = x + keys[(block + 1) % 3]
        y = y + keys[(block + 2) % 3] + np.uint32(block + 1)
    return x, y


def _counts(n: int) -> tuple[Any, Any]:
    count = np.arange(n, dtype=np.uint64)
    return (count >> np.uint64(32)).astype(np.uint32), count.astype(np.uint32)


def _checked(key: Key) -> Key:
    found: Any = array_of(key)
    if found.dtype != np.uint32:
        raise DTypeError(
            f"key: expected uint32, got {found.dtype}. Make one with pb.random.key(seed)."
        )
    if found.shape != (2,):
        raise ShapeError(
            f"key: expected one key of shape (2,), got shape {found.shape}. "
            "Take one row of what pb.random.split returns."
        )
    return found


def _take(rows: Any, order: Any) -> Any:
    """Return rows[order], also where the order is traced and the rows are not."""
    return functions[np.take](rows, order, axis=0) if isinstance(order, Tracer) else rows[order]


def _integer(value: Any, name: str) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise DTypeError(
            f"{name}: expected an integer, got {type(value).__name__}. Give an int."
        ) from None


def _shape(shape: Shape) -> tuple[int, ...]:
    return (operator.index(shape),) if not isinstance(shape, tuple) else shape


def _floating(dtype: DTypeLike) -> np.dtype[Any]:
    try:
        kind = np.dtype(dtype)
    except TypeError:  # no dtype at all
        kind = None
    if kind is None or kind.kind != "f" or kind.itemsize > 8:
        got = repr(dtype) if kind is None else kind
        raise DTypeError(f"dtype: expected float16, float32 or float64, got {got}.")
    return kind
