"""Weights in safetensors files, by the names of their places in the model."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

from pullback.train import tensor_file

M = TypeVar("M")


def save_weights(
    model: Any, path: str | PathLike[str], info: Mapping[str, Any] | None = None
) -> None:
    """Write all arrays of `model`, parameters and state, to a safetensors file at `path`.

    `model` is any pytree. The arrays are named by their places, such as layers.0.weight. `info` is
    written beside them, as JSON: see `read_info`. A crash leaves the old file or the new one.
    Raises FormatError for leaves that are no arrays of numbers, and for an `info` that JSON cannot
    hold or with entries named format, holds or complex; TreeError where two arrays would have one
    name; OSError where the file cannot be written.

    >>> import tempfile, pullback as pb
    >>> model = pb.nn.mlp(pb.random.key(0), [4, 16, 1])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_weights(model, f"{folder}/model.safetensors", {"loss": 0.25})
    ...     same = load_weights(model, f"{folder}/model.safetensors")
    ...     read_info(f"{folder}/model.safetensors")
    {'loss': 0.25}
    """
    arrays = tensor_file.named(model)
    tensor_file.write(Path(path), tensor_file.WEIGHTS, arrays, info or {})


def load_weights(model: M, path: str | PathLike[str], *, strict: bool = True) -> M:
    """Return `model` with the arrays that `save_weights`, or training, wrote to `path`.

    `model` gives the structure, the shapes and the dtypes, all of which are checked. With
    strict=False, arrays that the file lacks stay as they are, and those that the model lacks are
    passed over: for a model with another head, say.
    Raises FormatError where the file is missing, truncated or foreign, or does not fit: the message
    lists the names.
    """
    tensors, _ = tensor_file.read(Path(path), tensor_file.WEIGHTS)
    fitted: M = tensor_file.fitted(tensors, model, Path(path), strict=strict)
    return fitted


def read_info(path: str | PathLike[str]) -> dict[str, Any]:
    """Return the `info` beside the weights at `path`. Raises FormatError as `load_weights`."""
    _, record = tensor_file.read(Path(path), tensor_file.WEIGHTS)
    return {key: value for key, value in record.items() if key not in tensor_file.HEAD}
