"""Processors that can do less than this one."""

import pytest

from pullback.core.errors import ConfigError
from pullback.native import engine


def restrict(monkeypatch, level):
    """Make code for `level` in this test; skips where this processor does not have it."""
    monkeypatch.setenv("PULLBACK_CPU", level)
    try:
        engine.target()
    except ConfigError as error:
        pytest.skip(str(error))
