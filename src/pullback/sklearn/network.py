"""Rows in, outputs out: what all estimators do before and after training."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from pullback.core import pytree
from pullback.core.errors import ConfigError, DivergenceError
from pullback.native.threads import checked
from pullback.nn.losses.common import check_weight
from pullback.nn.stateful import partition
from pullback.optim.optimizer import check_parameters
from pullback.sklearn.loader import dense
from pullback.sklearn.parameters import check
from pullback.sklearn.steps import Samples
from pullback.sklearn.training import Trained

PREDICTED_ROWS = 4096


class NonFiniteWeightsError(DivergenceError, ValueError):
    """Training made a weight or the loss infinite or NaN; a ValueError, as in scikit-learn."""


class Network(Trained):
    """An estimator with a network: `model_`, a module whose outputs are (n, outputs).

    Subclasses make the module; mixins encode the targets and decode the outputs.
    """

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        validation_data: Any = None,
        incremental: bool = False,
        classes: Any = None,
    ) -> Any:
        check(self, {"matmul_precision": ("float32", "bfloat16")} | self._choices)
        if self.n_threads is not None:
            checked(self.n_threads, "n_threads")
        if incremental and self.early_stopping:
            raise ConfigError(
                "early_stopping: partial_fit does not support early_stopping=True, as it makes one "
                "pass over the data; set it to False"
            )
        first = not hasattr(self, "model_") or not (self.warm_start or incremental)
        X, y = validate_data(self, X, y, reset=first, **self._accepted, **self._accepted_targets)
        y = self._learn_targets(y, first, incremental, classes)
        self._random_state = check_random_state(self.random_state)
        if first:
            self._begin(X)
        X = X.astype(self._dtype, copy=False)
        weights = self._weights(X, y, sample_weight, incremental)
        self._train(Samples(X, self._encoded(y), weights), y, validation_data, incremental)
        chosen = self.early_stopping  # the best network, from before a loss that is not finite
        finite = all(np.isfinite(leaf).all() for leaf in pytree.leaves(self.model_))
        loss = getattr(self, "loss_", 0.0)  # none where the first epoch is interrupted
        if not finite or not (chosen or np.isfinite(loss)):
            raise NonFiniteWeightsError(
                "Solver produced non-finite parameter weights, or a loss that is not finite. The "
                "input data may contain large values and need to be preprocessed, or the learning "
                "rate is too high."
            )
        return self

    def _begin(self, X: Any) -> None:
        """Start from a new network, on arrays that are our own."""
        model = self._new_model(X)
        check_parameters(partition(model)[0])
        self.model_ = pytree.map(lambda leaf: np.array(leaf, order="C"), model)
        self._dtype = self._input_dtype(X)
        shape = self._outputs_of(X[:1].astype(self._dtype)).shape
        if len(shape) != 2:
            raise ConfigError(
                f"module: expected outputs of shape (n, outputs), got {shape} for one sample"
            )
        self.n_outputs_ = shape[1]
        self.out_activation_ = self._out_activation()
        self._start_account()

    @property
    def _float(self) -> Any:
        """The dtype of the parameters, in which the network computes."""
        dtypes = [leaf.dtype for leaf in pytree.leaves(self.model_)]
        return next((dtype for dtype in dtypes if dtype.kind == "f"), np.dtype(np.float64))

    def _weights(self, X: Any, y: Any, sample_weight: Any, incremental: bool) -> Any:
        weights = _check_sample_weight(sample_weight, X, dtype=self._float)
        check_weight("sample_weight", weights)
        return weights

    def _outputs_of(self, X: Any) -> Any:
        """Return what the network gives for rows that are checked."""
        parts = [X[i : i + PREDICTED_ROWS] for i in range(0, X.shape[0], PREDICTED_ROWS)]
        with np.errstate(over="ignore", invalid="ignore"):
            return np.concatenate([np.asarray(self.model_(dense(part))) for part in parts])

    def _outputs(self, X: Any) -> Any:
        """Return the outputs for rows of the user's."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, **self._accepted)
        return self._outputs_of(X.astype(self._dtype, copy=False))

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
