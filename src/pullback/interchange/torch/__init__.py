"""Weights from PyTorch and for it, through safetensors; PyTorch itself is not needed."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pullback.core import pytree
from pullback.core.errors import FormatError
from pullback.interchange.torch.flattening import by_channel, by_place, channels_before
from pullback.interchange.torch.layers import IGNORED, layout_of
from pullback.interchange.torch.pairing import paired
from pullback.interchange.torch.trees import Place, tree_of_model, tree_of_state
from pullback.train import tensor_file
from pullback.train.files import write_atomically

M = TypeVar("M")


def load_torch(
    model: M,
    source: str | PathLike[str] | Mapping[str, Any],
    names: Mapping[str, str] | None = None,
    *,
    flattened: Mapping[str, int] | None = None,
) -> M:
    """Return `model` with the weights of a PyTorch model of the same architecture.

    `source` is a file that `safetensors.torch.save_file(torch_model.state_dict(), path)` wrote, or
    a state_dict of arrays. Layers are found by the shapes of their tensors, from the outside in;
    layers of equal shapes by names that are equal or differ in their numbers only. Where that does
    not tell, the error asks for `names`, from places of `model` to places of the state_dict, such
    as {"layers.0": "tokens"}; whole blocks may be named so. Weights are brought to pullback's axes
    (Linear, convolutions, attention, recurrent layers with their two biases). A Linear layer behind
    a Flatten gets its inputs in the order of images with their channels last; for a model with a
    `__call__` of its own `flattened` says which those are, with the number of channels, as
    {"dense": 16}.
    Raises FormatError where the file is missing, truncated or foreign, where an array is missing,
    too many, or of another shape or dtype, or where it is not clear which is which.

    >>> import numpy as np, pullback as pb
    >>> model = pb.nn.Sequential([pb.nn.Linear(np.zeros((2, 1)), np.zeros(1))])
    >>> state = {"0.weight": np.array([[3.0, 4.0]]), "0.bias": np.array([5.0])}
    >>> load_torch(model, state)(np.array([[1.0, 10.0]]))
    array([[48.]])
    """
    state = _state_of(source)
    where = "the state_dict" if isinstance(source, Mapping) else str(source)
    try:
        channels = channels_before(model, flattened)
        pairs = paired(tree_of_model(model), tree_of_state(state), names)
    except FormatError as error:
        raise FormatError(f"{where}: {error}") from None
    arrays: dict[str, Any] = {}
    for ours, theirs in pairs:
        _check_dtypes(ours, theirs, where)
        arrays |= _arrays(ours, dict(theirs.tensors), channels.get(ours.name))
    fitted: M = tensor_file.fitted({**tensor_file.named(model), **arrays}, model, Path(where))
    return fitted


def save_torch(
    model: Any,
    path: str | PathLike[str],
    names: Mapping[str, str] | None = None,
    *,
    flattened: Mapping[str, int] | None = None,
) -> None:
    """Write the weights of `model` as a state_dict for PyTorch, in a safetensors file at `path`.

    Names are those of an `nn.Sequential` of the same layers, such as 0.weight, but for what begins
    as `names` says. `flattened` is as in `load_torch`. In PyTorch:
    `torch_model.load_state_dict(safetensors.torch.load_file(path))`.

    >>> import tempfile, numpy as np, pullback as pb
    >>> model = pb.nn.Sequential([pb.nn.Linear(np.ones((2, 1)), np.zeros(1))])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_torch(model, f"{folder}/model.safetensors")
    ...     pb.tree.leaves(load_torch(model, f"{folder}/model.safetensors"))[0].shape
    (2, 1)
    """
    from safetensors.numpy import save

    channels, state = channels_before(model, flattened), {}
    for place in tree_of_model(model).layers():
        tensors = dict(place.tensors)
        if place.name in channels:
            tensors["weight"] = by_channel(tensors["weight"], channels[place.name])
        if "running_mean" in tensors:
            tensors[IGNORED] = np.zeros((), np.int64)
        bare = layout_of(place.layer) is None
        stem = _torch_name(place.name, names or {})
        for name, array in tensors.items():
            key = stem if bare else f"{stem}.{name}".removeprefix(".")
            state[key] = np.asarray(array, order="C")
    write_atomically(Path(path), save(state, metadata={"format": "pt"}))


def _state_of(source: Any) -> Mapping[str, Any]:
    if isinstance(source, Mapping):
        return {name: _array(name, x) for name, x in source.items()}
    if not isinstance(source, str | PathLike):
        raise FormatError(
            f"source: expected a path or a state_dict, got a {type(source).__name__}; write "
            "torch_model.state_dict()"
        )
    path = Path(source)
    if path.is_file() and _is_pickle(path):
        raise FormatError(
            f"{path}: was written by torch.save, and reading it could run code; write it anew, by "
            "safetensors.torch.save_file(torch_model.state_dict(), path)"
        )
    tensors, metadata = tensor_file.read_any(path)
    if tensor_file.METADATA in metadata:
        raise FormatError(f"{source}: expected a file of PyTorch, got one of pullback")
    return tensors


def _array(name: str, x: Any) -> Any:
    try:
        return np.asarray(x)
    except (TypeError, RuntimeError) as error:  # of PyTorch: bfloat16, another device, gradients
        raise FormatError(
            f"the state_dict: {name}: is no array of NumPy ({error}); write "
            "{name: x.detach().cpu().float() for name, x in torch_model.state_dict().items()}"
        ) from None


def _is_pickle(path: Path) -> bool:
    """Whether a file begins as those of torch.save: a zip archive, or a pickle."""
    with path.open("rb") as file:
        return file.read(2) in (b"PK", b"\x80\x02", b"\x80\x04")


def _check_dtypes(ours: Place, theirs: Place, where: str) -> None:
    for name, array in ours.tensors.items():
        got, expected = theirs.tensors[name].dtype, np.asarray(array).dtype
        if got != expected:
            key = f"{theirs.name}.{name}".removeprefix(".")
            raise FormatError(
                f"{where}: {key}: expected {expected}, got {got}: create the model "
                f"with dtype={got.name!r}, or convert the state_dict"
            )


def _arrays(place: Place, tensors: dict[str, Any], channels: int | None) -> dict[str, Any]:
    """Return the arrays of one layer by their names in the model."""
    layout = layout_of(place.layer)
    if layout is None:
        return {place.name: tensors["weight"]}
    if channels is not None:
        tensors["weight"] = by_place(tensors["weight"], channels)
    layer = layout.from_torch(place.layer, tensors)
    prefix = f"{place.name}." if place.name else ""
    names = pytree.names(layer)
    return {
        prefix + name: np.ascontiguousarray(leaf)
        for name, leaf in zip(names, pytree.leaves(layer), strict=True)
    }


def _torch_name(name: str, names: Mapping[str, str]) -> str:
    for ours in sorted(names, key=len, reverse=True):
        if name == ours or name.startswith(f"{ours}."):
            rest = _sequential(name[len(ours) :].lstrip("."))
            return ".".join(filter(None, (names[ours], rest)))
    return _sequential(name)


def _sequential(name: str) -> str:
    """Return a name without the fields that hold the layers of a Sequential."""
    return ".".join(part for part in name.split(".") if part != "layers")
