"""The disk cache: machine code is kept between processes, and never trusted without a checksum.

An entry is named by what it was made of: LLVM's assembly, the processor, the versions. It is
written by one rename, readable by its owner only. One that is damaged, not ours, or that somebody
else could have written is as if it were not there, and so is a folder that cannot be written.
`PULLBACK_CACHE` names another folder, or is "off"; `PULLBACK_CACHE_BYTES` is how much it may hold,
beyond which the entries go that were not used for longest.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import llvmlite

from pullback.core.errors import ConfigError
from pullback.native import engine

_CHECKSUM_BYTES = 32
_VERSION = "2"
_MOST_BYTES = 256 * 2**20
_PARTIAL = "partial-"
_OURS = re.compile(rf"[0-9a-f]{{64}}|{_PARTIAL}.*")


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
    """Return the name of the entry for `assembly` on the processor that code is made for."""
    target = engine.target()
    parts = (_VERSION, llvmlite.__version__, target.triple, target.cpu, *target.features, assembly)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def object_file(assembly: str) -> bytes:
    """Return the machine code of `assembly`, which is kept here if it can be."""
    name = name_of(assembly)
    code = read(name)
    if code is None:
        code = engine.Compilation(assembly).object_file()
        write(name, code)
    return code


def read(name: str) -> bytes | None:
    """Return the object file `name`; None where there is none that is whole and our own."""
    place = folder()
    if place is None:
        return None
    try:
        with open(place / name, "rb", opener=_without_links) as file:
            if not _is_ours(os.fstat(file.fileno())):
                return None
            content = file.read()
            with contextlib.suppress(OSError):  # a file system that is only read
                os.utime(file.fileno() if os.utime in os.supports_fd else place / name)
    except OSError:
        return None
    checksum, code = content[:_CHECKSUM_BYTES], content[_CHECKSUM_BYTES:]
    return code if _checksum(name, code) == checksum else None


def write(name: str, code: bytes) -> None:
    """Keep the object file under `name`, if the folder can be written."""
    place = folder()
    if place is None:
        return
    partial = ""
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, partial = tempfile.mkstemp(prefix=_PARTIAL, dir=place)  # its owner's only
        with os.fdopen(descriptor, "wb") as file:
            file.write(_checksum(name, code) + code)
        Path(partial).replace(place / name)
    except OSError:  # no room, or no right to write
        if partial:
            with contextlib.suppress(OSError):
                Path(partial).unlink()
        return
    trim(most_bytes())


def most_bytes() -> int:
    """Return how many bytes the entries may have together."""
    named = os.environ.get("PULLBACK_CACHE_BYTES")
    if not named:
        return _MOST_BYTES
    if not named.isdecimal():
        raise ConfigError(f"PULLBACK_CACHE_BYTES: expected a number of bytes, got {named!r}")
    return int(named)


def trim(most: int = 0) -> None:
    """Remove the entries that were not used for longest, until `most` bytes are left at most."""
    total = sum(entry.st_size for _, entry in _files())
    if total <= most:
        return
    for path, entry in entries().items():
        if total <= most:
            return
        with contextlib.suppress(OSError):
            path.unlink()
        total -= entry.st_size


def entries() -> dict[Path, os.stat_result]:
    """Return the entries, the one that was not used for longest first."""
    found = [(Path(file), entry) for file, entry in _files()]
    return dict(sorted(found, key=lambda item: item[1].st_mtime_ns))


def _files() -> Iterator[tuple[os.DirEntry[str], os.stat_result]]:
    """Yield the entries one by one: there may be thousands, of which most are looked at for size.

    Another process may remove some meanwhile.
    """
    place = folder()
    if place is None or not place.is_dir():
        return
    with os.scandir(place) as files:
        for file in files:
            if _OURS.fullmatch(file.name):
                with contextlib.suppress(OSError):
                    yield file, file.stat(follow_symlinks=False)


def _checksum(name: str, code: bytes) -> bytes:
    """Return what stands before the code: no entry passes for another."""
    return hashlib.sha256(name.encode() + code).digest()


def _without_links(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))


def _is_ours(entry: os.stat_result) -> bool:
    """Whether nobody else can have written this: somebody else's code is not run."""
    if os.name != "posix":
        return True
    private = entry.st_uid == os.getuid() and entry.st_nlink == 1 and not entry.st_mode & 0o022
    return private and stat.S_ISREG(entry.st_mode)
