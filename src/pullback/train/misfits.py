"""What does not fit together, told before training: model, loss, metric and data."""

from __future__ import annotations

import inspect
from collections.abc import Callable
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


def check_data(data: Any, name: str) -> None:
    """Raise DataError where `data`, called `name`, is no `Dataset` or `Stream`."""
    if not isinstance(data, Dataset | Stream):
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
    ShapeError for what does not fit the model or the loss, or a loss that is no scalar.
    """
    check_data(data, name)
    trial = data.trial()
    if trial.weights is not None and not _takes_weights(loss):
        raise ConfigError(
            f"loss: {getattr(loss, '__name__', 'the function')} takes no sample_weight, and {name} "
            "has weights; use another loss, or def loss(outputs, targets, sample_weight=None)"
        )
    inputs, targets = trial.inputs, trial.targets
    try:
        outputs = model(inputs[:2])
        if inputs.dtype.kind in "iu":
            _check_looked_up(model, inputs, outputs, name)
        # every target is looked at, against outputs of one row, which cost next to nothing
        repeated = np.repeat(outputs[:1], len(trial), axis=0)
        value = loss(repeated, targets, **weights_of(trial))
        if metric is not None:
            metric(repeated, targets)
    except ShapeError as error:
        raise ShapeError(f"{name} does not fit the model or the loss: {error}") from None
    except PullbackError:
        raise
    except (ValueError, TypeError, IndexError) as error:  # a model of the user's own
        raise ShapeError(
            f"{name} does not fit the model or the loss: inputs are {inputs.dtype} of shape "
            f"{inputs.shape}, targets {targets.dtype} of shape {targets.shape}: {error}"
        ) from error
    if aval_of(value).shape != ():
        raise ShapeError(f"loss: expected a scalar, got shape {aval_of(value).shape}")


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
