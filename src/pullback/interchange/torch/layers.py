"""How each layer lies in a PyTorch state_dict, there and back.

`to_torch(layer)` gives the tensors by the names that PyTorch has for them inside the layer, and
`from_torch(layer, tensors)` the layer with such tensors for its own. PyTorch's weights are
(out, in, *window), ours (*window, in, out); the gates of LSTM and GRU have the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from pullback import nn
from pullback.nn.module import replace

Tensors = Mapping[str, Any]
IGNORED = "num_batches_tracked"
"""BatchNorm's count of batches, which a running mean of fixed momentum does not need."""


class Layout(NamedTuple):
    """The two directions for one class of layers."""

    to_torch: Callable[[Any], dict[str, Any]]
    from_torch: Callable[[Any, Tensors], Any]


def layout_of(layer: Any) -> Layout | None:
    """Return how `layer` lies in a state_dict; None for what consists of other layers."""
    for cls, layout in LAYOUTS.items():
        if isinstance(layer, cls):
            return layout
    return None


def _renamed(names: Mapping[str, str]) -> Layout:
    """Return the layout of layers whose tensors are ours, by other names."""

    def to_torch(layer: Any) -> dict[str, Any]:
        found = {theirs: getattr(layer, ours) for ours, theirs in names.items()}
        return {name: array for name, array in found.items() if array is not None}

    def from_torch(layer: Any, tensors: Tensors) -> Any:
        given = {ours: tensors[theirs] for ours, theirs in names.items() if theirs in tensors}
        return replace(layer, **given)

    return Layout(to_torch, from_torch)


def _weighted(out: Callable[[Any], Any], back: Callable[[Any], Any]) -> Layout:
    """Return the layout of layers with a weight of other axes and perhaps a bias."""

    def to_torch(layer: Any) -> dict[str, Any]:
        bias = {} if layer.bias is None else {"bias": layer.bias}
        return {"weight": out(layer.weight), **bias}

    def from_torch(layer: Any, tensors: Tensors) -> Any:
        return replace(layer, weight=back(tensors["weight"]), bias=tensors.get("bias"))

    return Layout(to_torch, from_torch)


def _windows_last(weight: Any) -> Any:
    """Return (*window, a, b) as (b, a, *window)."""
    return np.moveaxis(weight, (-1, -2), (0, 1))


def _windows_first(weight: Any) -> Any:
    return np.moveaxis(weight, (0, 1), (-1, -2))


# attention: the three projections of the input are one matrix


def _attention_to_torch(layer: Any) -> dict[str, Any]:
    parts = (layer.query, layer.key, layer.value)
    found = {
        "in_proj_weight": np.concatenate([part.weight.T for part in parts]),
        "out_proj.weight": layer.output.weight.T,
    }
    if layer.output.bias is not None:
        found["in_proj_bias"] = np.concatenate([part.bias for part in parts])
        found["out_proj.bias"] = layer.output.bias
    return found


def _attention_from_torch(layer: Any, tensors: Tensors) -> Any:
    weights = np.split(tensors["in_proj_weight"], 3)
    biases = np.split(tensors["in_proj_bias"], 3) if "in_proj_bias" in tensors else [None] * 3
    parts = [nn.Linear(w.T, b) for w, b in zip(weights, biases, strict=True)]
    output = nn.Linear(tensors["out_proj.weight"].T, tensors.get("out_proj.bias"))
    return replace(layer, query=parts[0], key=parts[1], value=parts[2], output=output)


# recurrent layers: PyTorch adds two biases, of which ours keeps what is not their sum


def _endings(layer: Any) -> list[tuple[Any, str]]:
    """Return each cell with the ending of the names of its tensors."""
    return [
        (cell, f"_l{i}{'_reverse' if backwards else ''}")
        for i, cells in enumerate(layer.cells)
        for cell, backwards in zip(cells, (False, True), strict=False)
    ]


def _recurrent_to_torch(layer: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for cell, ending in _endings(layer):
        hidden = np.zeros_like(cell.bias)
        if isinstance(cell, nn.GRUCell):
            hidden[-len(cell.bias_hidden) :] = cell.bias_hidden
        found |= {
            f"weight_ih{ending}": cell.weight_input.T,
            f"weight_hh{ending}": cell.weight_hidden.T,
            f"bias_ih{ending}": cell.bias,
            f"bias_hh{ending}": hidden,
        }
    return found


def _recurrent_from_torch(layer: Any, tensors: Tensors) -> Any:
    found = iter([_cell_from_torch(cell, ending, tensors) for cell, ending in _endings(layer)])
    return replace(layer, cells=[[next(found) for _ in cells] for cells in layer.cells])


def _cell_from_torch(cell: Any, ending: str, tensors: Tensors) -> Any:
    given, hidden = tensors[f"bias_ih{ending}"], tensors[f"bias_hh{ending}"]
    biases = {"bias": given + hidden}
    if isinstance(cell, nn.GRUCell):  # the new gate multiplies its hidden bias by r
        split = len(hidden) // 3 * 2
        biases = {
            "bias": np.concatenate([(given + hidden)[:split], given[split:]]),
            "bias_hidden": hidden[split:],
        }
    return replace(
        cell,
        weight_input=tensors[f"weight_ih{ending}"].T,
        weight_hidden=tensors[f"weight_hh{ending}"].T,
        **biases,
    )


_AFFINE = _renamed({"weight": "weight", "bias": "bias"})
_WEIGHT = _renamed({"weight": "weight"})
_CONV = _weighted(_windows_last, _windows_first)
_RECURRENT = Layout(_recurrent_to_torch, _recurrent_from_torch)

LAYOUTS: dict[Any, Layout] = {
    nn.Linear: _weighted(np.transpose, np.transpose),
    nn.Bilinear: _weighted(lambda w: np.moveaxis(w, -1, 0), lambda w: np.moveaxis(w, 0, -1)),
    nn.Conv1d: _CONV,
    nn.Conv2d: _CONV,
    nn.ConvTranspose1d: _CONV,
    nn.ConvTranspose2d: _CONV,
    nn.BatchNorm: _renamed(
        {
            "weight": "weight",
            "bias": "bias",
            "running_mean": "running_mean",
            "running_variance": "running_var",
        }
    ),
    nn.LayerNorm: _AFFINE,
    nn.GroupNorm: _AFFINE,
    nn.RMSNorm: _WEIGHT,
    nn.PReLU: _renamed({"slope": "weight"}),
    nn.Embedding: _WEIGHT,
    nn.Positions: _WEIGHT,
    nn.MultiHeadAttention: Layout(_attention_to_torch, _attention_from_torch),
    nn.RNN: _RECURRENT,
    nn.LSTM: _RECURRENT,
    nn.GRU: _RECURRENT,
}
"""Layers that PyTorch has too."""
