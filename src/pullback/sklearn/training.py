"""Training by minibatches as scikit-learn does it: epochs, validation, and when to stop."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import _check_sample_weight, validate_data

from pullback.core import pytree
from pullback.core.errors import ConfigError, DataError
from pullback.nn.losses.common import check_weight
from pullback.nn.stateful import partition
from pullback.sklearn.loader import Loader
from pullback.sklearn.objectives import find
from pullback.sklearn.steps import Plan, Samples, Steps


class Trained(BaseEstimator):
    """An estimator that trains `model_`, and keeps account in its fitted attributes.

    Subclasses have the parameters, and name the solver and its settings.
    """

    model_: Any

    def _start_account(self) -> None:
        self.t_ = 0
        self.loss_curve_: list[float] = []
        self.best_loss_: float | None = None
        self.validation_scores_: list[float] | None = None
        self.best_validation_score_: float | None = None

    def _watch(self) -> None:
        """Begin to look for the best loss or score where the other one was looked for before."""
        if self.early_stopping and self.best_validation_score_ is None:
            self.best_loss_, self.best_validation_score_, self._stalled = None, -np.inf, 0
        elif not self.early_stopping and self.best_loss_ is None:
            self.best_loss_, self.best_validation_score_, self._stalled = np.inf, None, 0

    def _plan(self) -> Plan:
        loss = find(self.loss, self._standard_loss())
        return Plan(loss, self._solver(), self.n_threads, self.matmul_precision)

    def _train(self, samples: Samples, y: Any, validation_data: Any, incremental: bool) -> None:
        """Train by minibatches until nothing improves any more."""
        plan = self._plan()
        samples, held_out = self._hold_out(samples, y, validation_data)
        self._watch()
        if not incremental or getattr(self, "_state_of", None) != plan.solver:
            self._rate = self._first_rate()
            self._state_of = plan.solver
            self._state = plan.solver(self._settings()).init(partition(self.model_)[0])
        n = len(samples.targets)
        loader = Loader(samples, self._batch(n), fill=self._rows_are_independent())
        count = self.max_iter * -(-n // loader.size)
        steps = Steps(plan, self.model_, self._state, loader.example, self._settings(), count)
        order, best = np.arange(n), pytree.map(np.copy, self.model_)
        self.n_iter_ = 0
        try:
            for _ in range(1 if incremental else self.max_iter):
                if self.shuffle:
                    order = order[self._random_state.permutation(n)]  # as sklearn.utils.shuffle
                self.loss_ = self._epoch(steps, loader, order) / n
                self.n_iter_ += 1
                self.t_ += n
                self.loss_curve_.append(self.loss_)
                if self.verbose:
                    print(f"Iteration {self.n_iter_}, loss = {self.loss_:.8f}")
                if held_out is not None:
                    self._validate(*held_out)
                if self._improved() and self.early_stopping:
                    best = pytree.map(np.copy, self.model_)
                self._rate = self._next_rate()
                if not np.isfinite(self.loss_):
                    break
                if self._stalled > self.n_iter_no_change and self._stops():
                    break
            else:
                if not incremental:
                    warnings.warn(
                        f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and "
                        "the optimization hasn't converged yet.",
                        ConvergenceWarning,
                        stacklevel=4,
                    )
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=4)
        if self.early_stopping:
            self.model_ = best

    def _epoch(self, steps: Steps, loader: Loader, order: Any) -> float:
        """Take the steps of an epoch; return the sum of the losses of its samples."""
        total, settings = 0.0, self._settings()
        for batches in loader(order):
            self.model_, self._state, losses = steps(self.model_, self._state, batches, settings)
            total += float(np.dot(losses.astype(np.float64), batches.sizes))
        return total

    def _batch(self, n: int) -> int:
        """Return the size of a batch."""
        if self.batch_size == "auto":
            return min(200, n)
        if self.batch_size > n:
            warnings.warn(
                f"batch_size={self.batch_size} is larger than the {n} samples to train on; all of "
                "them are a batch.",
                stacklevel=5,
            )
        return int(min(self.batch_size, n))

    def _hold_out(self, samples: Samples, y: Any, validation_data: Any) -> tuple[Samples, Any]:
        """Return the samples to train on, and the rows, targets and weights to validate with."""
        if validation_data is not None:
            return samples, self._held_out(validation_data)
        if not self.early_stopping:
            return samples, None
        rows = np.arange(len(y))
        stratify = y if self._stratifies else None
        kept, held = train_test_split(
            rows, random_state=self._random_state, test_size=self.validation_fraction,
            stratify=stratify,
        )  # fmt: skip
        if len(held) < 2:
            raise DataError(
                "The validation set is too small. Increase 'validation_fraction' or the size of "
                "your dataset."
            )
        weight = samples.weights[held]
        return Samples(*(array[kept] for array in samples)), (samples.inputs[held], y[held], weight)

    def _held_out(self, validation_data: Any) -> Any:
        """Return checked rows, targets and weights, given by the user to validate with."""
        if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
            raise ConfigError(
                "validation_data: expected (X, y) or (X, y, sample_weight), got "
                f"{type(validation_data).__name__}"
            )
        X, y, weight = (*validation_data, None)[:3]
        X, y = validate_data(self, X, y, reset=False, **self._accepted, **self._accepted_targets)
        try:
            y = self._learn_targets(y, first=False, incremental=True, classes=None)
        except DataError as error:
            raise DataError(f"validation_data: {error}") from None
        if weight is not None:
            weight = _check_sample_weight(weight, X)
            check_weight("sample_weight in validation_data", weight)
        return X.astype(self._dtype, copy=False), y, weight

    def _validate(self, X: Any, y: Any, weight: Any) -> None:
        outputs = self._outputs_of(X)
        finite = np.isfinite(outputs).all()
        score = self._score(y, self._decoded(outputs), weight) if finite else np.nan
        self.validation_scores_ = [*(self.validation_scores_ or []), float(score)]
        if self.verbose:
            print(f"Validation score: {score:f}")

    def _improved(self) -> bool:
        """Return whether this epoch is the best one, and count those that are no better by tol."""
        if self.early_stopping:
            assert self.validation_scores_ is not None
            assert self.best_validation_score_ is not None
            score, best = self.validation_scores_[-1], self.best_validation_score_
            self._stalled = self._stalled + 1 if score < best + self.tol else 0
            self.best_validation_score_ = score if score > best else best
            return score > best
        loss, least = self.loss_curve_[-1], self.best_loss_
        assert least is not None
        self._stalled = self._stalled + 1 if loss > least - self.tol else 0
        self.best_loss_ = min(least, loss)
        return loss < least

    def _stops(self) -> bool:
        """Return whether training ends here; otherwise go on with a lower rate."""
        what = "Validation score" if self.early_stopping else "Training loss"
        message = (
            f"{what} did not improve more than tol={self.tol:f} for {self.n_iter_no_change} "
            "consecutive epochs."
        )
        lower = self._lower_rate()
        if self.verbose:
            print(message, "Stopping." if lower is None else f"Setting learning rate to {lower:f}")
        if lower is None:
            return True
        self._rate, self._stalled = lower, 0
        return False
