"""Processes that tests interrupt or kill; none outlives its test."""

import contextlib
import os
import signal
import subprocess
import sys
import time


@contextlib.contextmanager
def interruptible(command, cwd=None):
    """Run `command` so that it hears of Ctrl-C, also where the tests run in the background."""
    process = subprocess.Popen(
        command,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for_text(path, process, seconds=60):
    """Wait until the file at `path` says something, while `process` runs."""
    deadline = time.time() + seconds
    while not path.exists() or not path.read_text():
        assert process.poll() is None, process.stdout.read()
        assert time.time() < deadline
        time.sleep(0.02)
