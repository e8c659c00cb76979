"""The disk cache: machine code is kept between processes, and never trusted without a checksum.

An entry is named by what it was made of: LLVM's assembly, this processor, the versions. It is
written by one rename into a folder that only its owner may read; one that is damaged, foreign or
cannot be written is as if it were not there. `PULLBACK_CACHE` names another folder, or is "off".
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import llvmlite
import llvmlite.binding as llvm

_CHECKSUM_BYTES = 32
_VERSION = "1"


def folder() -> Path | None:
    """Return where entries lie; None where the cache is off."""
    named = os.environ.get("PULLBACK_CACHE")
    if named is not None:
        return None if named in ("", "off", "0") else Path(named)
    home = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(home) if home else Path.home() / ".cache") / "pullback"
    except RuntimeError:  # no home
        return None


def name_of(assembly: str) -> str:
    """Return the name of the entry for `assembly` on this processor."""
    features = llvm.get_host_cpu_features().flatten()
    parts = (_VERSION, llvmlite.__version__, llvm.get_host_cpu_name(), features, assembly)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def read(name: str) -> bytes | None:
    """Return the object file `name`; None where there is none that is whole."""
    place = folder()
    if place is None:
        return None
    path = place / name
    try:
        if os.name == "posix" and path.stat().st_uid != os.getuid():
            return None  # somebody else's code is not run
        content = path.read_bytes()
    except OSError:
        return None
    checksum, code = content[:_CHECKSUM_BYTES], content[_CHECKSUM_BYTES:]
    return code if hashlib.sha256(code).digest() == checksum else None


def write(name: str, code: bytes) -> None:
    """Keep the object file under `name`, if the folder can be written."""
    place = folder()
    if place is None:
        return
    partial = ""
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, partial = tempfile.mkstemp(dir=place)  # readable by its owner only
        with os.fdopen(descriptor, "wb") as file:
            file.write(hashlib.sha256(code).digest() + code)
        Path(partial).replace(place / name)
    except OSError:
        if partial:
            Path(partial).unlink(missing_ok=True)
