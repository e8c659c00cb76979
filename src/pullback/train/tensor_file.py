"""Arrays by name in one safetensors file, with a JSON record beside them. Loading runs no code."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pullback.core import pytree
from pullback.core.aval import aval_of
from pullback.core.errors import FormatError, TreeError
from pullback.train.files import write_atomically

METADATA, FORMAT = "pullback", 2
"""The entry of the metadata with the record of what pullback wrote, and the version of its form."""

HEAD = ("format", "holds", "complex")
"""The entries of each record that are not the caller's."""

WEIGHTS = "weights"
"""What files hold that `named` and `fitted` are for."""

_COMPLEX = {"float32": np.complex64, "float64": np.complex128}

_LARGEST_HEADER = 100_000_000
"""So many bytes of names and metadata safetensors reads."""

_SHOWN = 8
"""So many names of each kind are listed where a file does not fit."""


def write(path: Path, holds: str, tensors: Mapping[str, Any], record: Mapping[str, Any]) -> None:
    """Write arrays and a record that JSON can hold, atomically; `holds` is what a reader expects.

    Complex arrays are written as pairs of numbers along a new last axis. Raises FormatError for an
    array of another kind than booleans and numbers, and for a record that JSON cannot hold or that
    has an entry of HEAD; OSError where the file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save

    arrays = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    pairs = sorted(name for name, array in arrays.items() if array.dtype.kind == "c")
    head = dict(zip(HEAD, (FORMAT, holds, pairs), strict=True))
    taken = [key for key in HEAD if key in record]
    if taken:
        raise FormatError(f"{path}: {taken[0]!r} is an entry of pullback's own; rename yours")
    # one entry, since safetensors writes several in any order: equal content makes equal files
    metadata = {METADATA: _as_json({**record, **head}, path)}
    for name in pairs:
        arrays[name] = _as_pairs(arrays[name])
    try:
        content = save(arrays, metadata=metadata)
    except SafetensorError as error:
        raise FormatError(f"{path}: expected arrays of booleans or numbers: {error}") from None
    if int.from_bytes(content[:8], "little") > _LARGEST_HEADER:
        raise FormatError(f"{path}: the record beside the arrays is larger than safetensors reads")
    write_atomically(path, content)


def read(path: Path, holds: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arrays and the record that `write` wrote for the same `holds`.

    Raises FormatError where the file is missing, truncated, foreign, or of a newer pullback.
    """
    tensors, metadata = read_any(path)
    if METADATA not in metadata:
        raise FormatError(f"{path}: a safetensors file, but not one that pullback wrote")
    try:
        record = json.loads(metadata[METADATA])
        form, pairs = record["format"], record["complex"]
        for name in pairs:
            tensors[name] = _from_pairs(tensors[name])
    except (KeyError, TypeError, ValueError, RecursionError):
        record, form = {}, None
    if not isinstance(form, int):
        raise FormatError(f"{path}: its metadata is damaged; restore it from a copy")
    if form != FORMAT:
        raise FormatError(
            f"{path}: expected format {FORMAT}, got {form}; read it with the version of pullback "
            "that wrote it, or a newer one"
        )
    if record.get("holds") != holds:
        raise FormatError(f"{path}: expected a file of {holds}, got one of {record.get('holds')!r}")
    return tensors, record


def read_any(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the arrays and the metadata of any safetensors file. Raises FormatError as `read`."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        found = "is a folder" if path.is_dir() else "no such file"
        raise FormatError(f"{path}: {found}; expected one of safetensors")
    with contextlib.suppress(ImportError):
        import ml_dtypes  # noqa: F401  tells NumPy of bfloat16
    try:
        with safe_open(str(path), framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except TypeError as error:  # a dtype without a name in NumPy
        raise FormatError(f"{path}: has arrays that NumPy cannot hold: {error}") from None
    except (SafetensorError, OSError, ValueError, AttributeError, ImportError) as error:
        raise FormatError(
            f"{path}: expected a safetensors file, but it is truncated or foreign ({error}); "
            "restore it from a copy"
        ) from None
    return tensors, metadata


def named(tree: Any) -> dict[str, Any]:
    """Return the leaves of a pytree by name, such as layers.0.weight.

    Raises TreeError where two leaves have one name, as by a key with a dot in it.

    >>> named({"layers": [1.0, 2.0]})
    {'layers.0': 1.0, 'layers.1': 2.0}
    """
    names = pytree.names(tree)
    found = dict(zip(names, pytree.leaves(tree), strict=True))
    if len(found) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise TreeError(f"two arrays have the name {twice!r}; give the keys of the dicts no dots")
    return found


def fitted(tensors: Mapping[str, Any], tree: Any, path: Path, *, strict: bool = True) -> Any:
    """Return `tree` with the arrays of `tensors`, by name, in place of its leaves.

    Raises FormatError that names what is missing, too many, or of another shape or dtype; if not
    `strict`, only for the last, or where no name is known.
    """
    expected = named(tree)
    missing = [name for name in expected if name not in tensors]
    unexpected = [name for name in tensors if name not in expected]
    faults = [
        f"{name}: expected {aval_of(np.asarray(leaf))}, got {aval_of(tensors[name])}"
        for name, leaf in expected.items()
        if name in tensors and aval_of(tensors[name]) is not aval_of(np.asarray(leaf))
    ]
    lists = [("", faults)]
    if strict or len(missing) == len(expected):
        lists += [("missing: ", missing), ("unexpected: ", unexpected)]
    lines = [line for label, names in lists for line in _some(label, names)]
    if lines:
        raise FormatError(f"{path}: was made by another model\n  " + "\n  ".join(lines))
    leaves = [tensors.get(name, leaf) for name, leaf in expected.items()]
    return pytree.unflatten(pytree.structure(tree), leaves)


def _as_json(record: Mapping[str, Any], path: Path) -> str:
    try:
        return json.dumps(record)
    except (TypeError, ValueError, RecursionError) as error:
        raise FormatError(f"{path}: expected a record that JSON can hold: {error}") from None


def _some(label: str, names: list[str]) -> list[str]:
    shown = [label + name for name in names[:_SHOWN]]
    return shown + [f"{label}{len(names) - _SHOWN} more"] * (len(names) > _SHOWN)


def _as_pairs(array: Any) -> Any:
    return np.stack([array.real, array.imag], axis=-1)


def _from_pairs(array: Any) -> Any:
    if array.shape[-1:] != (2,) or array.dtype.kind != "f":
        raise ValueError("expected pairs of real numbers")
    return np.ascontiguousarray(array).view(_COMPLEX[array.dtype.name])[..., 0]
