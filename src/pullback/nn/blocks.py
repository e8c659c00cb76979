"""Networks put together from layers: residual networks for images, transformers for sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

import pullback.numpy.random as random
from pullback.core.errors import ShapeError
from pullback.nn.activations import Activation
from pullback.nn.attention import MultiHeadAttention
from pullback.nn.combinators import Flatten, Residual
from pullback.nn.conv import Conv2d
from pullback.nn.dropout import Dropout
from pullback.nn.embedding import Embedding, Positions
from pullback.nn.layers import Linear, Sequential
from pullback.nn.module import Module, static
from pullback.nn.norm import BatchNorm, LayerNorm
from pullback.nn.pooling import AdaptiveAvgPool2d, MaxPool2d
from pullback.nn.shapes import positive
from pullback.numpy.random import Key


def resnet_block(
    key: Key, inputs: int, outputs: int, strides: int = 1, dtype: DTypeLike = np.float32
) -> Sequential:
    """Return relu(x + norm(conv(relu(norm(conv(x)))))), with windows of 3 x 3.

    Where the shape changes, x goes past through a convolution of 1 x 1. x is (n, height, width,
    inputs). Source: He et al., "Deep residual learning for image recognition", CVPR 2016, figure 2.

    >>> resnet_block(random.key(0), 4, 8, strides=2)(np.ones((1, 6, 6, 4), np.float32)).shape
    (1, 3, 3, 8)
    """
    first, second, past = random.split(key, 3)

    def conv(key: Key, inputs: int, size: int, strides: int) -> list[Module]:
        layer = Conv2d.create(
            key, inputs, outputs, size,
            strides=strides, padding=size // 2, bias=False, dtype=dtype,
        )  # fmt: skip
        return [layer, BatchNorm.create(outputs, dtype=dtype)]

    inner = [*conv(first, inputs, 3, strides), Activation("relu"), *conv(second, outputs, 3, 1)]
    changes = strides != 1 or inputs != outputs
    shortcut = Sequential(conv(past, inputs, 1, strides)) if changes else None
    return Sequential([Residual(Sequential(inner), shortcut), Activation("relu")])


def resnet(
    key: Key,
    classes: int,
    *,
    inputs: int = 3,
    widths: Sequence[int] = (16, 32, 64),
    blocks: int = 2,
    dtype: DTypeLike = np.float32,
) -> Sequential:
    """Return a residual network: images (n, height, width, inputs) become logits (n, classes).

    `blocks` blocks for each of `widths`, each width after the first at half the resolution; then
    the mean over space and a linear layer. With three blocks it is ResNet-20: He et al., CVPR 2016,
    section 4.2.

    >>> resnet(random.key(0), 10, blocks=1)(np.ones((2, 32, 32, 3), np.float32)).shape
    (2, 10)
    """
    positive("blocks, widths", (blocks, *widths))
    stem_key, head_key, *keys = random.split(key, 2 + blocks * len(widths))
    layers: list[Module] = [
        Conv2d.create(stem_key, inputs, widths[0], 3, padding=1, bias=False, dtype=dtype),
        BatchNorm.create(widths[0], dtype=dtype),
        Activation("relu"),
    ]
    width = widths[0]
    for i, block_key in enumerate(keys):
        following = widths[i // blocks]
        strides = 2 if i and i % blocks == 0 else 1
        layers.append(resnet_block(block_key, width, following, strides, dtype))
        width = following
    head = Linear.create(head_key, width, classes, dtype=dtype)
    return Sequential([*layers, AdaptiveAvgPool2d(1), Flatten(), head])


def convnet(
    key: Key,
    shape: Sequence[int],
    classes: int,
    *,
    widths: Sequence[int] = (16, 32),
    activation: str = "relu",
    dtype: DTypeLike = np.float32,
) -> Sequential:
    """Return a small network for images of `shape` (height, width, channels): logits (n, classes).

    For each of `widths` a convolution of 3 x 3, the activation, and the maxima of 2 x 2; then a
    linear layer. Raises ShapeError where the images are too small to be halved so often.

    >>> convnet(random.key(0), (28, 28, 1), 10)(np.ones((2, 28, 28, 1), np.float32)).shape
    (2, 10)
    """
    positive("widths", (*widths, classes))
    height, width, inputs = shape
    head_key, *keys = random.split(key, 1 + len(widths))
    layers: list[Module] = []
    for layer_key, outputs in zip(keys, widths, strict=True):
        conv = Conv2d.create(layer_key, inputs, outputs, 3, padding=1, dtype=dtype)
        layers += [conv, Activation(activation), MaxPool2d(2)]
        height, width, inputs = height // 2, width // 2, outputs
    if not height * width:
        raise ShapeError(
            f"shape: images of {shape[0]} x {shape[1]} cannot be halved {len(widths)} times; give "
            "larger images or fewer widths"
        )
    head = Linear.create(head_key, height * width * inputs, classes, dtype=dtype)
    return Sequential([*layers, Flatten(), head])


class TransformerBlock(Module):
    """Attention, then a network of each place, both with a way past: x + f(norm(x)).

    With pre_norm=False it is norm(x + f(x)), as in Vaswani et al., "Attention is all you need",
    2017. x is (..., time, features). Source of the order: Xiong et al., "On layer normalization in
    the transformer architecture", ICML 2020. Raises ShapeError if x does not fit.

    >>> block = TransformerBlock.create(random.key(0), 8, heads=2, causal=True)
    >>> block(np.ones((3, 5, 8))).shape
    (3, 5, 8)
    """

    norm_attention: Any
    attention: MultiHeadAttention
    norm_network: Any
    network: Any
    dropouts: Sequence[Dropout]
    pre_norm: bool = static(default=True)

    @classmethod
    def create(
        cls,
        key: Key,
        features: int,
        heads: int,
        *,
        hidden: int | None = None,
        activation: str = "gelu",
        causal: bool = False,
        rotary: bool = False,
        dropout: float = 0.0,
        pre_norm: bool = True,
        dtype: DTypeLike = np.float32,
    ) -> TransformerBlock:
        """Return a block whose network has `hidden` units (4 times the features if None)."""
        attention_key, in_key, out_key, *mask_keys = random.split(key, 5)
        hidden = 4 * features if hidden is None else hidden
        attention = MultiHeadAttention.create(
            attention_key, features, heads,
            causal=causal, rotary=rotary, dropout=dropout, dtype=dtype,
        )  # fmt: skip
        network = Sequential(
            [
                Linear.create(in_key, features, hidden, dtype=dtype),
                Activation(activation),
                Linear.create(out_key, hidden, features, dtype=dtype),
            ]
        )
        norms = [LayerNorm.create(features, dtype=dtype) for _ in range(2)]
        dropouts = [Dropout.create(k, dropout) for k in mask_keys] if dropout else []
        return cls(norms[0], attention, norms[1], network, dropouts, pre_norm)

    def __call__(self, x: Any, *, mask: Any = None, lengths: Any = None) -> Any:
        """Return x after attention and network; mask and lengths are those of attention."""

        def attend(x: Any) -> Any:
            return self.attention(x, mask=mask, lengths=lengths)

        x = self._past(x, attend, self.norm_attention, 0)
        return self._past(x, self.network, self.norm_network, 1)

    def _past(self, x: Any, inner: Any, norm: Any, i: int) -> Any:
        y = inner(norm(x) if self.pre_norm else x)
        y = x + (self.dropouts[i](y) if self.dropouts else y)
        return y if self.pre_norm else norm(y)


def gpt(
    key: Key,
    vocabulary: int,
    context: int,
    *,
    features: int = 128,
    heads: int = 4,
    layers: int = 4,
    dropout: float = 0.0,
    dtype: DTypeLike = np.float32,
) -> Sequential:
    """Return a language model: tokens (n, time) become logits (n, time, vocabulary) of the next.

    Tokens are integers below `vocabulary`, of at most `context` places. Embedding, learnt
    positions, causal blocks, layer norm, linear. Source: Radford et al., "Language models are
    unsupervised multitask learners", 2019.

    >>> model = gpt(random.key(0), 65, 16, features=8, heads=2, layers=1)
    >>> model(np.zeros((2, 10), np.int64)).shape
    (2, 10, 65)
    """
    positive("layers", layers)
    table_key, place_key, head_key, *keys = random.split(key, 3 + layers)
    blocks = [
        TransformerBlock.create(k, features, heads, causal=True, dropout=dropout, dtype=dtype)
        for k in keys
    ]
    return Sequential(
        [
            Embedding.create(table_key, vocabulary, features, std=0.02, dtype=dtype),
            Positions.create(place_key, context, features, dtype=dtype),
            *blocks,
            LayerNorm.create(features, dtype=dtype),
            Linear.create(head_key, features, vocabulary, bias=False, dtype=dtype),
        ]
    )
