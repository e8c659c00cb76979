"""The command line as a user runs it."""

import os
import subprocess
import sys


def pullback(*args, cwd, check=0, **env):
    """What `pullback ARGS` says in the folder `cwd`; it must exit with `check`."""
    result = subprocess.run(
        [sys.executable, "-m", "pullback.cli.main", *map(str, args)],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **env},
        timeout=120,
    )
    assert result.returncode == check, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    return result.stdout + result.stderr
