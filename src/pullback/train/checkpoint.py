"""Checkpoints: pytrees of arrays in safetensors files. Loading runs no code.

One file, `checkpoint.safetensors`, holds model, optimizer state and history together, so that
whatever moment a run is killed at, what it left belongs together.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from pullback.core import pytree
from pullback.core.errors import CheckpointError
from pullback.train.files import write_atomically

METADATA, FORMAT = "pullback", 1


def save(path: Path, trees: dict[str, Any], info: dict[str, Any]) -> None:
    """Write the arrays of `trees` under their names and paths, and `info` as JSON, atomically."""
    from safetensors.numpy import save as to_bytes

    tensors = {
        prefix + name: np.asarray(leaf, order="C")
        for prefix, tree in trees.items()
        for name, leaf in zip(_names(tree), pytree.leaves(tree), strict=True)
    }
    # one entry, since safetensors writes several in any order: equal runs make equal files
    metadata = {METADATA: json.dumps({"format": FORMAT, **info})}
    content = to_bytes(tensors, metadata=metadata)
    write_atomically(path, content)


def load(path: Path, like: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the trees saved in `path`, in the structures of `like`, and the information with them.

    Raises CheckpointError where the file is missing, truncated, foreign, or does not fit.
    """
    tensors, info = _read(path)
    wanted = {prefix + name for prefix, tree in like.items() for name in _names(tree)}
    surplus = sorted(tensors.keys() - wanted)
    if surplus:
        raise CheckpointError(
            f"{path}: holds an array {surplus[0]!r} too many; it was made by another model or "
            "optimizer"
        )
    trees = {}
    for prefix, tree in like.items():
        leaves, structure = pytree.flatten(tree)
        found = []
        for name, leaf in zip(_names(tree), leaves, strict=True):
            array = tensors.get(prefix + name)
            expected = np.asarray(leaf)
            if array is None:
                raise CheckpointError(
                    f"{path}: holds no array {prefix + name!r}; it was made by another model"
                )
            if array.shape != expected.shape or array.dtype != expected.dtype:
                raise CheckpointError(
                    f"{path}: array {prefix + name!r} is {array.dtype} of shape {array.shape}, "
                    f"expected {expected.dtype} of shape {expected.shape}; it was made by another "
                    "model"
                )
            found.append(array)
        trees[prefix] = pytree.unflatten(structure, found)
    return trees, info


def read_info(path: Path) -> dict[str, Any]:
    """Return the information in the checkpoint at `path`. Raises CheckpointError as `load`."""
    return _read(path)[1]


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; expected a checkpoint that training wrote")
    try:
        with safe_open(str(path), framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path}: expected a safetensors checkpoint, but it is truncated or foreign ({error}); "
            "restore it from a copy, or train again into another folder"
        ) from None
    if METADATA not in metadata:
        raise CheckpointError(f"{path}: a safetensors file, but not one that pullback wrote")
    try:
        info = json.loads(metadata[METADATA])
        form = info["format"]
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(f"{path}: its metadata is damaged; train again") from None
    if form != FORMAT:
        raise CheckpointError(f"{path}: expected format {FORMAT}, got {form}; update pullback")
    return tensors, info


def _names(tree: Any) -> list[str]:
    return [path.removeprefix("*") for path in pytree.paths(tree)]
