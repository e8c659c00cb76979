"""The disk cache: code is found again; damaged, foreign and superfluous entries go."""

import os
import resource
import shutil
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

import pullback as pb
from pullback.core.errors import ConfigError
from pullback.native import cache, engine

X = np.linspace(0.0, 1.0, 7)
SOURCE = (
    "import numpy as np, pullback as pb;"
    "pb.compile(lambda x: np.exp(x) @ np.ones((7, 90)) @ np.ones((90, 80)))(np.ones((9, 7)))"
)


@pytest.fixture
def compilations(tmp_path, monkeypatch):
    """How often LLVM ran, with the cache in a folder of the test's own."""
    monkeypatch.setenv("PULLBACK_CACHE", str(tmp_path / "cache"))
    ran = []

    class Counted(engine.Compilation):
        def __init__(self, assembly):
            ran.append(assembly)
            super().__init__(assembly)

    monkeypatch.setattr(engine, "Compilation", Counted)
    return ran


def run(factor=3.0):
    compiled = pb.compile(lambda x: np.tanh(x) * factor)
    np.testing.assert_allclose(compiled(X), np.tanh(X) * factor)


def entries():
    return sorted(cache.folder().iterdir())


def process(**environment):
    path = os.pathsep.join(sys.path)
    return subprocess.Popen(
        [sys.executable, "-c", SOURCE], env={**os.environ, "PYTHONPATH": path, **environment}
    )


def test_code_is_compiled_once(compilations):
    run()
    run()
    assert len(compilations) == 1
    assert len(entries()) == 1
    assert entries()[0].stat().st_mode & 0o077 == 0
    assert cache.folder().stat().st_mode & 0o077 == 0


def test_it_does_not_depend_on_the_process(compilations):
    for _ in range(2):
        assert process().wait() == 0
    assert len(entries()) == 1


def test_processes_may_write_at_once(compilations):
    for other in [process() for _ in range(4)]:
        assert other.wait() == 0
    (entry,) = entries()  # and no part of one
    assert cache.read(entry.name) is not None


@pytest.mark.parametrize("damage", [b"", b"nothing", None])
def test_a_damaged_entry_is_made_anew(compilations, damage):
    run()
    (entry,) = entries()
    content = entry.read_bytes()
    entry.write_bytes(content[:-1] + b"?" if damage is None else damage)
    run()
    assert len(compilations) == 2
    assert entries()[0].read_bytes() == content


def test_an_entry_does_not_pass_for_another(compilations):
    run(2.0)
    run(3.0)
    first, second = entries()
    shutil.copy(first, second)
    run(2.0)
    run(3.0)
    assert len(compilations) == 3


@pytest.mark.parametrize("what", ["cpu", "llvmlite", "cache"])
def test_an_entry_of_another_processor_or_version_is_not_found(compilations, monkeypatch, what):
    run()
    if what == "cpu":
        monkeypatch.setenv("PULLBACK_CPU", "generic")
    else:
        monkeypatch.setattr(*{
            "llvmlite": (cache.llvmlite, "__version__"), "cache": (cache, "_VERSION"),
        }[what], "another")  # fmt: skip
    run()
    assert len(compilations) == len(entries()) == 2


def make_link(entry):
    entry.rename(entry.parent / "elsewhere")
    entry.symlink_to("elsewhere")


@pytest.mark.skipif(os.name != "posix", reason="needs owners and modes")
@pytest.mark.parametrize(
    "distrust",
    [
        lambda entry: entry.chmod(0o622),
        lambda entry: os.link(entry, entry.parent / "elsewhere"),
        make_link,
        lambda entry: (entry.unlink(), os.mkfifo(entry)),
        lambda entry: (entry.unlink(), entry.mkdir()),
    ],
    ids=["writable by all", "known elsewhere", "link", "pipe", "folder"],
)
def test_what_somebody_else_could_have_written_is_not_run(compilations, distrust):
    run()
    (entry,) = entries()
    distrust(entry)
    assert cache.read(entry.name) is None
    run()
    assert len(compilations) == 2


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="needs owners")
def test_code_of_another_owner_is_not_run(compilations, monkeypatch):
    run()
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    run()
    assert len(compilations) == 2


def test_a_folder_that_everybody_may_write_to_still_serves(compilations):
    cache.folder().mkdir()
    cache.folder().chmod(0o777)
    run()
    run()
    assert len(compilations) == 1


def test_without_a_folder_that_can_be_made_it_still_compiles(compilations, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PULLBACK_CACHE", str(tmp_path / "file" / "below"))
    run()
    assert len(compilations) == 1


@pytest.mark.parametrize("call", ["mkstemp", "fdopen"])
def test_a_folder_that_cannot_be_written_still_serves(compilations, monkeypatch, call):
    def refuse(*args, **kwargs):
        raise OSError(30, "Read-only file system")

    run(2.0)
    monkeypatch.setattr(*{"mkstemp": (cache.tempfile, call), "fdopen": (os, call)}[call], refuse)
    monkeypatch.setattr(os, "utime", refuse)
    run(2.0)
    run(3.0)
    assert len(compilations) == 2
    assert len(entries()) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files")
def test_a_full_disk_leaves_nothing_behind(compilations):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # Python ignores the signal
    try:
        run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert entries() == []
    run()
    assert len(entries()) == 1


def test_it_can_be_turned_off(compilations, monkeypatch):
    monkeypatch.setenv("PULLBACK_CACHE", "off")
    run()
    run()
    assert len(compilations) == 2
    assert cache.entries() == {}


def test_the_entries_not_used_for_longest_make_room(compilations, monkeypatch):
    for k in range(3):
        run(k)
    (cache.folder() / "notes.txt").write_text("not ours")
    for age, path in enumerate(reversed(cache.entries())):
        os.utime(path, ns=(0, 10**9 * (1 + age)))
    oldest, middle, newest = cache.entries()
    assert cache.read(oldest.name) is not None  # used again, it is the newest
    size = sum(path.stat().st_size for path in (oldest, middle, newest))
    monkeypatch.setenv("PULLBACK_CACHE_BYTES", str(size))
    run(9.0)
    assert not middle.exists()
    assert oldest.exists()
    cache.trim()
    assert [path.name for path in entries()] == ["notes.txt"]


def test_thousands_of_entries_are_not_held_in_memory_to_write_one_more(compilations):
    cache.folder().mkdir()
    for k in range(3_000):
        (cache.folder() / f"{k:064x}").touch()
    tracemalloc.start()
    try:
        cache.write(f"{3_000:064x}", b"code")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(cache.entries()) == 3_001
    assert peak < 200_000


def test_a_size_that_is_no_number_is_an_error(compilations, monkeypatch):
    monkeypatch.setenv("PULLBACK_CACHE_BYTES", "1 GB")
    with pytest.raises(ConfigError, match="number of bytes"):
        run()
