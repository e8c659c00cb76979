"""Attention: each place of a sequence takes a weighted mean of values at other places."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

import pullback.numpy.random as random
from pullback.core.arrays import array_of
from pullback.core.errors import ConfigError, ShapeError
from pullback.nn.activations import softmax
from pullback.nn.dropout import Dropout
from pullback.nn.layers import Linear
from pullback.nn.module import Module, static
from pullback.nn.shapes import positive
from pullback.numpy.random import Key


def attention(
    query: Any, key: Any, value: Any, *, mask: Any = None, causal: bool = False, dropout: Any = None
) -> Any:
    """Return softmax(Q K^T / sqrt(d)) V: for each query the mean of the values, by their keys.

    `query` is (..., t, d), `key` (..., s, d), `value` (..., s, e); the result is (..., t, e).
    `mask` broadcasts to (..., t, s): booleans, True where query t may look at s, or numbers that
    are added before the softmax. `causal` lets t look at s <= t only. A query that may look nowhere
    gets zeros. `dropout`, a function, is applied to the softmax.
    Source: Vaswani et al., "Attention is all you need", NeurIPS 2017, equation 1.
    Raises ShapeError if the shapes do not fit.

    >>> x = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> attention(x, x, x, causal=True).round(3)
    array([[1.  , 0.  ],
           [0.33, 0.67]])
    """
    query, key, value = map(array_of, (query, key, value))
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        raise ShapeError(
            f"attention: expected query (..., t, d), key (..., s, d), value (..., s, e), got "
            f"{query.shape}, {key.shape}, {value.shape}."
        )
    scores = (query * (1 / math.sqrt(query.shape[-1]))) @ np.swapaxes(key, -1, -2)
    allowed = None
    if mask is not None:
        mask = array_of(mask)
        if mask.dtype == np.bool_:
            allowed = mask
        else:
            scores = scores + mask.astype(scores.dtype)
    if causal:
        past = np.tri(query.shape[-2], key.shape[-2], dtype=np.bool_)
        allowed = past if allowed is None else allowed & past
    if allowed is None:
        weights = softmax(scores)
    else:
        lowest = np.finfo(scores.dtype).min  # not -inf, whose softmax alone is NaN
        weights = np.where(allowed, softmax(np.where(allowed, scores, lowest)), 0)
    return (weights if dropout is None else dropout(weights)) @ value


def rotary(x: Any, base: float = 10000.0, start: int = 0) -> Any:
    """Return x with each place turned by angles that grow with its position.

    x is (..., time, d) with d even: entries i and i + d / 2 are a vector in the plane, turned by
    position * base^(-2 i / d), positions from `start` on. So the product of a query and a key
    depends on their distance only. Source: Su et al., "RoFormer: enhanced transformer with rotary
    position embedding", arXiv:2104.09864, with the pairs of GPT-NeoX.
    Raises ShapeError if d is odd.

    >>> rotary(np.ones((2, 2))).round(3)
    array([[ 1.   ,  1.   ],
           [-0.301,  1.382]])
    """
    time, d = x.shape[-2:]
    if d % 2:
        raise ShapeError(f"rotary: x: expected an even last axis, got shape {x.shape}.")
    rates = base ** (-2 * np.arange(d // 2) / d)
    angles = (start + np.arange(time))[:, None] * rates
    cos, sin = np.cos(angles).astype(x.dtype), np.sin(angles).astype(x.dtype)
    first, second = x[..., : d // 2], x[..., d // 2 :]
    return np.concatenate([first * cos - second * sin, first * sin + second * cos], axis=-1)


class MultiHeadAttention(Module):
    """`attention` of several heads, each of features / heads, side by side.

    x is (..., time, features); queries, keys, values and the result are made by Linear layers.
    `causal` and `rotary` are as in `attention` and `rotary`. In training, `dropout` leaves out
    weights. Source: Vaswani et al., "Attention is all you need", NeurIPS 2017, section 3.2.2.
    Raises ShapeError if x, the context or the mask does not fit.

    >>> layer = MultiHeadAttention.create(random.key(0), 8, heads=2, causal=True)
    >>> layer(np.ones((3, 5, 8))).shape
    (3, 5, 8)
    """

    query: Linear
    key: Linear
    value: Linear
    output: Linear
    dropout: Dropout | None
    heads: int = static()
    causal: bool = static(default=False)
    rotary: bool = static(default=False)

    @classmethod
    def create(
        cls,
        key: Key,
        features: int,
        heads: int,
        *,
        causal: bool = False,
        rotary: bool = False,
        dropout: float = 0.0,
        bias: bool = True,
        dtype: DTypeLike = np.float32,
    ) -> MultiHeadAttention:
        """Return a layer for `features`, which `heads` divides (evenly halved, if `rotary`)."""
        positive("features, heads", (features, heads))
        if features % heads or (rotary and features // heads % 2):
            raise ConfigError(
                f"heads: expected a divisor of {features} features"
                f"{' into even parts' if rotary else ''}, got {heads}."
            )
        *keys, mask_key = random.split(key, 5)
        query, key, value, output = (
            Linear.create(k, features, features, bias, dtype=dtype) for k in keys
        )
        mask = Dropout.create(mask_key, dropout) if dropout else None
        return cls(query, key, value, output, mask, heads, causal, rotary)

    def __call__(
        self, x: Any, context: Any = None, *, mask: Any = None, lengths: Any = None
    ) -> Any:
        """Return what each place of x takes from `context`, (..., s, features): x itself if None.

        `mask` is (time, s) or (..., time, s), for all heads; `lengths`, (...), tells how many
        places of the context count, where sequences are padded.
        """
        context = x if context is None else context
        query = self._by_head(self.query(x))
        key, value = self._by_head(self.key(context)), self._by_head(self.value(context))
        if self.rotary:
            query, key = rotary(query), rotary(key)
        allowed = _mask(mask, lengths, x, context)
        mixed = attention(
            query, key, value,
            mask=allowed, causal=self.causal, dropout=self.dropout,
        )  # fmt: skip
        joined = np.swapaxes(mixed, -3, -2)
        return self.output(np.reshape(joined, (*joined.shape[:-2], self._features())))

    def _features(self) -> int:
        features: int = self.output.weight.shape[0]
        return features

    def _by_head(self, x: Any) -> Any:
        """Return (..., heads, time, features / heads)."""
        parts = np.reshape(x, (*x.shape[:-1], self.heads, self._features() // self.heads))
        return np.swapaxes(parts, -3, -2)


def _mask(mask: Any, lengths: Any, x: Any, context: Any) -> Any:
    """Return the mask with an axis for the heads, and without what lies behind the lengths."""
    if mask is not None:
        mask = array_of(mask)
        pair = (x.shape[-2], context.shape[-2])
        if mask.shape not in (pair, (*x.shape[:-2], *pair)):
            raise ShapeError(
                f"MultiHeadAttention: mask: expected shape {pair} or "
                f"{(*x.shape[:-2], *pair)}, got {mask.shape}."
            )
        if mask.ndim > 2:
            mask = mask[..., None, :, :]
    if lengths is None:
        return mask
    lengths = array_of(lengths)
    if lengths.shape != context.shape[:-2]:
        raise ShapeError(
            f"MultiHeadAttention: lengths: expected shape {context.shape[:-2]}, "
            f"got {lengths.shape}."
        )
    inside = np.arange(context.shape[-2]) < lengths[..., None, None, None]
    if mask is None:
        return inside
    if mask.dtype == np.bool_:
        return mask & inside
    return np.where(inside, mask, -np.inf)
