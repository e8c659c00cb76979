"""The errors of pullback: each also is the builtin error a caller would catch."""

from __future__ import annotations


class PullbackError(Exception):
    """Base of every error that pullback raises on purpose."""


class ShapeError(PullbackError, ValueError):
    """An array has the wrong shape."""


class DTypeError(PullbackError, TypeError):
    """An array has a dtype that the operation does not take."""


class NotDifferentiableError(PullbackError, TypeError):
    """A function is unknown to the front end, or has no derivative where one is asked for."""


class TracerError(PullbackError, TypeError):
    """A traced value was used where only a concrete number will do."""


class TreeError(PullbackError, ValueError):
    """Two pytrees that must have the same structure differ."""


class DataError(PullbackError, ValueError):
    """A table, a label or a data file is not usable."""


class FormatError(PullbackError, ValueError):
    """A file is truncated, foreign or of a newer version, or does not fit what it is for."""


class CheckpointError(FormatError):
    """A checkpoint or run folder cannot be read or written."""


class ConfigError(PullbackError, ValueError):
    """An option has a value that is not allowed."""


class DivergenceError(PullbackError, ArithmeticError):
    """Training produced a loss that is not finite."""


class GradientError(PullbackError, AssertionError):
    """A derivative differs from its finite difference."""


class ComparisonError(PullbackError, AssertionError):
    """Libraries that are timed side by side compute different things."""


class UnsupportedError(PullbackError, NotImplementedError):
    """Another format or program has no counterpart of an operation."""
