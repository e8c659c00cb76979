"""What layers over space share: layouts, checks of shapes, and numbers given for every axis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np

from pullback.core.arrays import array_of
from pullback.core.errors import ConfigError, ShapeError

Layout = Literal["channels_last", "channels_first"]
"""Where the channels stand: last as in NHWC, or right after the samples as in NCHW."""

AXES = {1: ("length",), 2: ("height", "width")}


@contextmanager
def within(layer: str) -> Iterator[None]:
    """Put `layer` before the message of a ShapeError."""
    try:
        yield
    except ShapeError as error:
        raise ShapeError(f"{layer}: {error}") from error


def check_layout(layout: Layout) -> None:
    """Raise ConfigError unless `layout` is one."""
    if layout not in ("channels_last", "channels_first"):
        raise ConfigError(
            f"layout: expected 'channels_last' (NHWC) or 'channels_first' (NCHW), got {layout!r}."
        )


def channels_last(
    layer: str,
    x: Any,
    channels: int | None,
    axes: int | None,
    layout: Layout,
    got: tuple[int, ...] | None = None,
) -> Any:
    """Return x as (samples, *space, channels).

    `channels` and the number of spatial `axes` are checked where they are given; the message says
    that the shape was `got`, if not that of x.
    """
    x = array_of(x)
    place = -1 if layout == "channels_last" else 1
    fits = x.ndim >= 2 if axes is None else x.ndim == axes + 2
    if not fits or channels not in (None, x.shape[place]):
        raise ShapeError(
            f"{layer}: x: expected shape {_wanted(channels, axes, layout)}, "
            f"got {got or x.shape}.{_hint(x.shape, channels, axes, layout)}"
        )
    return x if place == -1 else np.moveaxis(x, 1, -1)


def channels_first(x: Any, layout: Layout) -> Any:
    """Return x, (samples, *space, channels), in `layout`."""
    return x if layout == "channels_last" else np.moveaxis(x, -1, 1)


def over_space(
    layer: str,
    function: Callable[[Any], Any],
    x: Any,
    channels: int | None,
    axes: int,
    layout: Layout,
) -> Any:
    """Return function(x) of x as (samples, *space, channels), in the layout of x.

    A single sample, with one axis less, gives a single result.
    """
    x = array_of(x)
    single = x.ndim == axes + 1
    x = channels_last(layer, x[None] if single else x, channels, axes, layout, got=x.shape)
    with within(layer):
        y = channels_first(function(x), layout)
    return y[0] if single else y


def positive(name: str, value: int | tuple[int, ...]) -> tuple[int, ...]:
    """Return a whole number, or several, as a tuple; raise ConfigError unless all are 1 or more."""
    values = tuple(value) if isinstance(value, tuple | list) else (value,)
    if any(not isinstance(v, int | np.integer) or v < 1 for v in values):
        raise ConfigError(f"{name}: expected a whole number of 1 or more, got {value!r}.")
    return values


def each_axis(name: str, value: int | tuple[int, ...], axes: int) -> tuple[int, ...]:
    """Return one number of 1 or more for each of `axes` axes; a single one is for all."""
    values = positive(name, value)
    if isinstance(value, int | np.integer):
        return values * axes
    if len(values) != axes:
        raise ConfigError(f"{name}: expected a number, or {axes} of them, got {value}.")
    return values


def _wanted(channels: int | None, axes: int | None, layout: Layout) -> str:
    space = ("...",) if axes is None else AXES[axes]
    last = "channels" if channels is None else str(channels)
    names = (*space, last) if layout == "channels_last" else (last, *space)
    return f"(n, {', '.join(names)})"


def _hint(shape: tuple[int, ...], channels: int | None, axes: int | None, layout: Layout) -> str:
    other = 1 if layout == "channels_last" else -1
    if channels is None or axes is None or len(shape) != axes + 2 or shape[other] != channels:
        return ""
    name = "channels_first" if layout == "channels_last" else "channels_last"
    return f" Create the layer with layout={name!r} for arrays like this one."
