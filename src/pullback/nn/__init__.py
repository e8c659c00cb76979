"""Floor 4, networks: modules as pytrees, layers, activations, losses and initialisers."""

from __future__ import annotations

from pullback.nn import functional, init
from pullback.nn.activations import (
    ACTIVATIONS,
    Activation,
    gelu,
    identity,
    leaky_relu,
    relu,
    sigmoid,
    softmax,
    softplus,
    tanh,
)
from pullback.nn.conv import Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d
from pullback.nn.dropout import Dropout, dropout
from pullback.nn.init import INITIALISERS, Initialiser
from pullback.nn.layers import Linear, Sequential, mlp
from pullback.nn.losses import (
    LOSSES,
    binary_cross_entropy,
    huber,
    l1,
    l2_penalty,
    mean_squared_error,
    softmax_cross_entropy,
    squared_error,
)
from pullback.nn.module import Module, replace, state, static
from pullback.nn.norm import BatchNorm, GroupNorm, LayerNorm, RMSNorm
from pullback.nn.pooling import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AvgPool1d,
    AvgPool2d,
    MaxPool1d,
    MaxPool2d,
)
from pullback.nn.stateful import combine, partition, training_call

__all__ = [
    "ACTIVATIONS",
    "INITIALISERS",
    "LOSSES",
    "Activation",
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "BatchNorm",
    "Conv1d",
    "Conv2d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "Dropout",
    "GroupNorm",
    "Initialiser",
    "LayerNorm",
    "Linear",
    "MaxPool1d",
    "MaxPool2d",
    "Module",
    "RMSNorm",
    "Sequential",
    "binary_cross_entropy",
    "combine",
    "dropout",
    "functional",
    "gelu",
    "huber",
    "identity",
    "init",
    "l1",
    "l2_penalty",
    "leaky_relu",
    "mean_squared_error",
    "mlp",
    "partition",
    "relu",
    "replace",
    "sigmoid",
    "softmax",
    "softmax_cross_entropy",
    "softplus",
    "squared_error",
    "state",
    "static",
    "tanh",
    "training_call",
]
