"""Checkpoints: pytrees of arrays in safetensors files. Loading runs no code.

One file, `checkpoint.safetensors`, holds model, optimizer state and history together, so that
whatever moment a run is killed at, what it left belongs together.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pullback.core.errors import CheckpointError, FormatError
from pullback.train import tensor_file


def save(path: Path, trees: Any, info: dict[str, Any]) -> None:
    """Write the arrays of the pytree `trees` by their names, and `info` as JSON, atomically."""
    tensor_file.write(path, tensor_file.WEIGHTS, tensor_file.named(trees), info)


def load(path: Path, like: Any) -> tuple[Any, dict[str, Any]]:
    """Return the trees saved in `path`, in the structure of `like`, and the information with them.

    Raises CheckpointError where the file is missing, truncated, foreign, or does not fit.
    """
    try:
        tensors, info = tensor_file.read(path, tensor_file.WEIGHTS)
        return tensor_file.fitted(tensors, like, path), info
    except FormatError as error:
        raise CheckpointError(str(error)) from None


def read_info(path: Path) -> dict[str, Any]:
    """Return the information in the checkpoint at `path`. Raises CheckpointError as `load`."""
    try:
        return tensor_file.read(path, tensor_file.WEIGHTS)[1]
    except FormatError as error:
        raise CheckpointError(str(error)) from None
