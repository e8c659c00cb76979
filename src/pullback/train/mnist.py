"""The MNIST files: reading the IDX format, and fetching them when asked to."""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pullback.core.errors import DataError

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

_TYPES = {8: np.dtype(np.uint8)}


def read_idx(path: Path) -> Any:
    """Return the array of an IDX file, gzipped or not, of unsigned bytes.

    Raises DataError where the file is missing, truncated, or of another format.
    Format: Yann LeCun, "The MNIST database of handwritten digits".
    """
    try:
        raw = path.read_bytes()
        content = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: expected a readable IDX file, got {error}") from None
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _TYPES:
        raise DataError(f"{path}: expected an IDX file of unsigned bytes, got other content")
    ndim = content[3]
    start = 4 + 4 * ndim
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

    Raises DataError naming the places looked at, and how to fetch the files.
    """
    places = [Path(folder)] if folder is not None else []
    if folder is None and "PULLBACK_DATA" in os.environ:
        places.append(Path(os.environ["PULLBACK_DATA"]) / "mnist")
    places += [place / "mnist" for place in list(places)]
    for place in places:
        if (place / "train-images-idx3-ubyte.gz").is_file():
            return place
    looked = ", ".join(map(str, places)) or "no place: PULLBACK_DATA is not set"
    raise DataError(
        f"mnist: the files were not found (looked in {looked}). Run `pullback data fetch mnist "
        "--to FOLDER`, then set PULLBACK_DATA=FOLDER, or give the path: mnist:FOLDER"
    )


def load(folder: str | Path | None = None) -> tuple[Any, Any, Any, Any]:
    """Return (training images, training labels, test images, test labels).

    Images are (n, 784) float32 in [0, 1], labels (n,) int64.
    """
    place = find(folder)
    arrays = []
    for part in ("train", "t10k"):
        images = read_idx(place / f"{part}-images-idx3-ubyte.gz")
        labels = read_idx(place / f"{part}-labels-idx1-ubyte.gz")
        if len(images) != len(labels):
            raise DataError(f"{place}: {len(images)} images but {len(labels)} labels in {part!r}")
        arrays += [(images.reshape(len(images), -1) / np.float32(255)), labels.astype(np.int64)]
    return arrays[0], arrays[1], arrays[2], arrays[3]


def fetch(folder: str | Path, report: Callable[[str], None] = print) -> Path:
    """Download the four files into `folder`/mnist and check their SHA-256; returns that folder.

    A file that is there and right is kept. Raises DataError where a download fails or differs.
    """
    place = Path(folder) / "mnist"
    place.mkdir(parents=True, exist_ok=True)
    for name, checksum in CHECKSUMS.items():
        path = place / name
        if path.is_file() and _sha256(path.read_bytes()) == checksum:
            report(f"{path} is there already")
            continue
        try:
            with urllib.request.urlopen(MIRROR + name, timeout=60) as answer:
                content = answer.read()
        except OSError as error:
            raise DataError(f"{MIRROR}{name}: the download failed: {error}") from None
        if _sha256(content) != checksum:
            raise DataError(
                f"{MIRROR}{name}: expected SHA-256 {checksum}, got {_sha256(content)}; not kept"
            )
        partial = path.with_suffix(".partial")
        partial.write_bytes(content)
        partial.replace(path)
        report(f"{path}: {len(content):,} bytes")
    return place


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
