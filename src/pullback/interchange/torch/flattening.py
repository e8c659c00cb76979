"""Where images become rows: PyTorch has them channel by channel there, pullback place by place.

A Linear layer behind that takes the same features in another order. In a Sequential the layers tell
how many channels there are; where a model has its own `__call__`, the caller has to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pullback import nn
from pullback.core import pytree
from pullback.core.errors import FormatError
from pullback.interchange.torch.trees import children_of

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d)
_UNKNOWN = -1


def channels_before(model: Any, given: Mapping[str, int] | None) -> dict[str, int]:
    """Return for each Linear layer behind a flattened image the number of its channels, by name.

    Raises FormatError where the model does not tell and it is not `given`.
    """
    if given is None:
        walk = _Walk()
        walk.visit(model, "")
        return walk.found
    layers = dict(_linear_layers(model, ""))
    for name, channels in given.items():
        if name not in layers or channels < 1 or layers[name].weight.shape[0] % channels:
            raise FormatError(
                f"flattened: expected names of Linear layers and divisors of their inputs, got "
                f"{name!r}: {channels}"
            )
    return dict(given)


def by_place(weight: Any, channels: int) -> Any:
    """Return (out, channels * places), the weight of features channel by channel, as ours."""
    return np.swapaxes(weight.reshape(len(weight), channels, -1), 1, 2).reshape(weight.shape)


def by_channel(weight: Any, channels: int) -> Any:
    """Return the inverse of `by_place`."""
    return np.swapaxes(weight.reshape(len(weight), -1, channels), 1, 2).reshape(weight.shape)


class _Walk:
    """A way through the layers of Sequentials in the order in which they are called.

    `_channels` are those of the image that comes in, `_flattened` those that it had before it
    became a row; 0 where there is none.
    """

    def __init__(self) -> None:
        self.found: dict[str, int] = {}
        self._channels = self._flattened = 0

    def visit(self, tree: Any, name: str) -> None:
        """Note what `tree` does to the channels."""
        if isinstance(tree, CONVOLUTIONS):
            self._channels = 0 if tree.layout == "channels_first" else _outputs(tree)
        elif isinstance(tree, nn.Flatten):
            self._flattened, self._channels = self._channels, 0
        elif isinstance(tree, nn.Linear):
            self._linear(tree, name)
        elif isinstance(tree, nn.Sequential | nn.Residual | list | tuple):
            for key, child in children_of(tree):
                self.visit(child, f"{name}.{key}" if name else str(key))
        else:
            self._other(tree, name)

    def _linear(self, layer: Any, name: str) -> None:
        channels, features = self._flattened or self._channels, layer.weight.shape[0]
        fits = features % channels == 0 if self._flattened else features == channels
        if channels and not (fits and channels != _UNKNOWN):
            raise FormatError(_question(name))
        if self._flattened:
            self.found[name] = channels
        self._channels = self._flattened = 0

    def _other(self, tree: Any, name: str) -> None:
        images, inside = _holds(tree, CONVOLUTIONS), _holds(tree, (nn.Linear,))
        if inside and (images or self._channels or self._flattened):
            raise FormatError(_question(name or "the model"))
        sizes = set() if isinstance(tree, nn.Dropout) else set(map(np.size, pytree.leaves(tree)))
        if self._flattened and not sizes <= {1, self._flattened}:
            raise FormatError(
                f"{name}: works on flattened images, whose order is another one in PyTorch; bring "
                "its tensors, and those of the Linear layer behind, into the order of channels "
                "last, and give flattened={}"
            )
        if images:
            self._channels = _UNKNOWN


def _question(name: str) -> str:
    return (
        f"{name}: flattened images have another order in PyTorch: give the names of the Linear "
        "layers that take them, with the number of channels, as flattened={'dense': 16}, or "
        "flattened={} where there are none"
    )


def _outputs(layer: Any) -> int:
    shape = layer.weight.shape
    transposed = isinstance(layer, nn.ConvTranspose1d | nn.ConvTranspose2d)
    return int(shape[-2] * layer.groups if transposed else shape[-1])


def _holds(tree: Any, classes: tuple[Any, ...]) -> bool:
    return isinstance(tree, classes) or any(_holds(c, classes) for _, c in children_of(tree))


def _linear_layers(tree: Any, name: str) -> Any:
    if isinstance(tree, nn.Linear):
        yield name, tree
    for key, child in children_of(tree):
        yield from _linear_layers(child, f"{name}.{key}" if name else str(key))
