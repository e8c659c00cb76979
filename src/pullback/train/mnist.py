"""The MNIST files: reading the IDX format, and fetching them when asked to."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import math
import os
import urllib.request
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pullback.core.errors import DataError
from pullback.train.files import write_atomically

MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"
CHECKSUMS = dict(
    line.split()
    for line in """
train-images-idx3-ubyte.gz 0b367032e93c5d0cea0925647cfdb18614af8ee15f83e6f2fc2ad904a6835971
train-labels-idx1-ubyte.gz 1787548bbe0bff1ec2ecdc0ef292b02df999e2d1a6002d27500982c652b17203
t10k-images-idx3-ubyte.gz 1a1a05eab793c14bb050b398624a11b0ffd1a2953baed553b1b9bd079e2a20be
t10k-labels-idx1-ubyte.gz b91679a0acfe4ba0e50a2437a903084cba1f5f92592b016a25a7dfd00455798b
""".strip().splitlines()
)
"""SHA-256 of the four files."""

_UNSIGNED_BYTES = 8
_MOST_AXES = 4


def read_idx(path: Path) -> Any:
    """Return the array of an IDX file, gzipped or not, of unsigned bytes.

    Raises DataError where the file is missing, truncated, or of another format.
    Format: Yann LeCun, "The MNIST database of handwritten digits".

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "labels-idx1-ubyte"
    >>> _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
    >>> read_idx(path)
    array([7, 2, 1], dtype=uint8)
    """
    try:
        raw = path.read_bytes()
        content = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (OSError, EOFError, zlib.error) as error:  # missing, truncated, damaged
        raise DataError(f"{path}: expected a readable IDX file, got {error}") from None
    head = len(content) >= 4 and content[:2] == b"\0\0" and content[2] == _UNSIGNED_BYTES
    if not head or not 1 <= content[3] <= _MOST_AXES:
        raise DataError(f"{path}: expected an IDX file of unsigned bytes, got other content")
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise DataError(f"{path}: the IDX file is truncated in its header; fetch it again")
    shape = [int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4)]
    expected = start + math.prod(shape)
    if len(content) != expected:
        raise DataError(
            f"{path}: expected {expected} bytes for the shape {tuple(shape)}, got {len(content)}; "
            "the file is truncated, fetch it again"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def find(folder: str | Path | None = None) -> Path:
    """Return the folder of the MNIST files: `folder`, or mnist/ in PULLBACK_DATA.

    The files may be gzipped or not. Raises DataError naming the places looked at, and how to
    fetch the files.
    """
    places = [Path(folder).expanduser()] if folder is not None else []
    if folder is None and "PULLBACK_DATA" in os.environ:
        places.append(Path(os.environ["PULLBACK_DATA"]) / "mnist")
    places += [place / "mnist" for place in list(places)]
    for place in places:
        if _file(place, "train-images-idx3-ubyte").is_file():
            return place
    looked = ", ".join(map(str, places)) or "no place: PULLBACK_DATA is not set"
    raise DataError(
        f"mnist: the files were not found (looked in {looked}). Run `pullback data fetch mnist "
        "--to FOLDER`, then set PULLBACK_DATA=FOLDER, or give the path: mnist:FOLDER"
    )


def load(folder: str | Path | None = None) -> tuple[Any, Any, Any, Any]:
    """Return (training images, training labels, test images, test labels).

    Images are (n, 784) float32 in [0, 1], labels (n,) int64. Raises DataError where the files are
    missing, damaged, or do not fit each other.
    """
    place = find(folder)
    arrays = []
    for part in ("train", "t10k"):
        images = read_idx(_file(place, f"{part}-images-idx3-ubyte"))
        labels = read_idx(_file(place, f"{part}-labels-idx1-ubyte"))
        if images.ndim != 3 or labels.shape != images.shape[:1]:
            raise DataError(
                f"{place}: expected as many labels as images in {part!r}, got images of shape "
                f"{images.shape} and labels of shape {labels.shape}"
            )
        arrays += [(images.reshape(len(images), -1) / np.float32(255)), labels.astype(np.int64)]
    return arrays[0], arrays[1], arrays[2], arrays[3]


def _file(place: Path, name: str) -> Path:
    plain = place / name
    return plain if plain.is_file() else place / f"{name}.gz"


def fetch(folder: str | Path, report: Callable[[str], None] = print) -> Path:
    """Download the four files into `folder`/mnist and check their SHA-256; returns that folder.

    A file that is there and right is kept; `report` is told of each. A file appears under its
    name only when it is complete and right. Raises DataError where a download fails or differs,
    or the folder cannot be written.
    """
    place = Path(folder).expanduser() / "mnist"
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"folder: expected one that can be written to, got {error}") from None
    for name, checksum in CHECKSUMS.items():
        path = place / name
        if path.is_file() and _sha256(path.read_bytes()) == checksum:
            report(f"{path} is there already")
            continue
        try:
            with urllib.request.urlopen(MIRROR + name, timeout=60) as answer:
                content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise DataError(f"{MIRROR}{name}: the download failed: {error}") from None
        if _sha256(content) != checksum:
            raise DataError(
                f"{MIRROR}{name}: expected SHA-256 {checksum}, got {_sha256(content)}; not kept"
            )
        try:
            write_atomically(path, content)
        except OSError as error:
            raise DataError(f"{path}: cannot be written: {error}") from None
        report(f"{path}: {len(content):,} bytes")
    return place


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
