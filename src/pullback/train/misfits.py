"""What does not fit together, told before training: model, loss, metric and data."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pullback.core import pytree
from pullback.core.aval import aval_of
from pullback.core.errors import ConfigError, DataError, PullbackError, ShapeError
from pullback.nn.losses import LOSSES
from pullback.train.dataset import Dataset
from pullback.train.stream import Stream

Loss = Callable[..., Any]


def find_loss(loss: str | Loss) -> Loss:
    """Return the loss of a name in `nn.LOSSES`, or `loss` itself; raise ConfigError otherwise."""
    found = LOSSES.get(loss) if isinstance(loss, str) else loss
    if not callable(found):
        raise ConfigError(
            f"loss: expected one of {', '.join(LOSSES)}, or a function (outputs, targets), got "
            f"{loss!r}"
        )
    return found


def check_data(data: Any, name: str, kinds: Any = Dataset | Stream) -> None:
    """Raise DataError where `data`, called `name`, is none of `kinds`."""
    if not isinstance(data, kinds):
        raise DataError(
            f"{name}: expected a Dataset, got {type(data).__name__}; write Dataset(inputs, targets)"
        )


def weights_of(data: Dataset | Stream) -> dict[str, Any]:
    """Return the options of a loss that say what each sample counts."""
    weights = data.weights if isinstance(data, Dataset) else None
    return {} if weights is None else {"sample_weight": weights}


def check_fit(
    model: Any, loss: Loss, metric: Callable[[Any, Any], float] | None, data: Any, name: str
) -> None:
    """Try model, loss and metric on `data`, called `name` in messages.

    Raises DataError for what is no data, ConfigError for weights that the loss does not take,
    ShapeError for what does not fit the model, the loss or the metric, or a loss that is no scalar.
    """
    check_data(data, name)
    trial = data.trial()
    if trial.weights is not None and not _takes_weights(loss):
        raise ConfigError(
            f"loss: {getattr(loss, '__name__', 'the function')} takes no sample_weight, and {name} "
            "has weights; use another loss, or def loss(outputs, targets, sample_weight=None)"
        )
    inputs, targets = trial.inputs, trial.targets
    shapes = (
        f"inputs are {inputs.dtype} of shape {inputs.shape}, targets {targets.dtype} of shape "
        f"{targets.shape}"
    )
    with _misfits(f"{name} does not fit the model or the loss", shapes):
        outputs = model(inputs[:2])
        if not hasattr(outputs, "shape"):
            raise ShapeError(f"the model gives {type(outputs).__name__}, expected one array")
        if inputs.dtype.kind in "iu":
            _check_looked_up(model, inputs, outputs, name)
        # every target is looked at, against outputs of one row, which cost next to nothing
        repeated = np.repeat(outputs[:1], len(trial), axis=0)
        value = loss(repeated, targets, **weights_of(trial))
    _check_scalar(value)
    if metric is not None:
        with _misfits(f"{name} does not fit the metric", shapes):
            metric(repeated, targets)


@contextlib.contextmanager
def _misfits(what: str, shapes: str) -> Iterator[None]:
    """Say `what` does not fit, and the `shapes` where the code of a user's own tells nothing."""
    try:
        yield
    except ShapeError as error:
        raise ShapeError(f"{what}: {error}") from None
    except PullbackError:
        raise
    except (ValueError, TypeError, IndexError) as error:
        raise ShapeError(f"{what}: {shapes}: {error}") from error


def _check_scalar(value: Any) -> None:
    """Raise ShapeError unless the loss is one floating number."""
    aval = aval_of(value)
    if aval.shape != ():
        raise ShapeError(f"loss: expected a scalar, got shape {aval.shape}")
    if aval.dtype.kind != "f":
        got = type(value).__name__ if aval.dtype.kind == "O" else aval.dtype
        raise ShapeError(f"loss: expected a floating scalar, got {got}")


def _takes_weights(loss: Loss) -> bool:
    parameters = inspect.signature(loss).parameters.values()
    return any(p.name == "sample_weight" or p.kind == p.VAR_KEYWORD for p in parameters)


def _check_looked_up(model: Any, inputs: Any, outputs: Any, name: str) -> None:
    """Refuse integers that the model computes with, which would widen its numbers."""
    if outputs.dtype not in {leaf.dtype for leaf in pytree.leaves(model)}:
        raise DataError(
            f"{name}: inputs are {inputs.dtype}, and the model does not look them up, but computes "
            f"with them, in {outputs.dtype}; write inputs.astype(np.float32)"
        )
