"""Metrics by name, of pullback and of scikit-learn, and functions (y_true, y_pred)."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from pullback.core.errors import ConfigError, DataError, PullbackError
from pullback.train.metrics import METRICS

SHORT = {
    "log_loss": "neg_log_loss",
    "mae": "neg_mean_absolute_error",
    "mse": "neg_mean_squared_error",
    "rmse": "neg_root_mean_squared_error",
    "brier": "neg_brier_score",
}
"""Losses by their short names, and scikit-learn's names of their negatives."""

OF_NUMBERS = ("neg_m", "neg_root", "r2", "explained_variance", "d2_absolute_error_score")


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that tells how good outputs are: `function(outputs, targets)`, under `name`."""

    name: str
    function: Callable[[Any, Any], float]
    higher_is_better: bool = True

    def __call__(self, outputs: Any, targets: Any) -> float:
        return float(self.function(outputs, targets))


def find_metric(metric: str | Metric | Callable[[Any, Any], float]) -> Metric:
    """Return the metric of a name in `METRICS`, of scikit-learn's scorers, or of a function.

    Names are scikit-learn's, as in `cross_val_score(scoring=...)`: "balanced_accuracy", "f1",
    "f1_macro", "roc_auc", "roc_auc_ovr", and so on; "mae", "mse", "rmse", "log_loss" and "brier"
    are positive, and less is better. A function is called with (y_true, y_pred), both labels
    where targets are labels and there is an output for each class, else targets and outputs; of a
    `Metric` the outputs are taken as they are.
    Raises ConfigError for unknown names. A metric raises DataError for what it cannot measure.

    >>> import numpy as np
    >>> logits, labels = np.array([[2.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), np.array([0, 1, 1])
    >>> round(find_metric("balanced_accuracy")(logits, labels), 3)
    0.75
    >>> find_metric("mae")(np.array([[1.0], [2.0]]), np.array([[1.0], [4.0]]))
    1.0
    """
    if isinstance(metric, Metric):
        return metric
    if callable(metric):
        return Metric(getattr(metric, "__name__", "metric"), _of_labels(metric))
    if metric in METRICS:
        return Metric(metric, METRICS[metric])
    scorer_name = SHORT.get(metric, metric)
    names = [*METRICS, *SHORT, *_scorer_names()]
    if scorer_name not in names:
        near = difflib.get_close_matches(str(metric), names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(
            f"metric: expected one of {', '.join([*METRICS, *SHORT])}, a scorer of scikit-learn "
            f"(balanced_accuracy, f1, roc_auc, ...), or a function, got {metric!r}{hint}"
        )
    sign = -1 if metric in SHORT else 1
    return Metric(metric, _scored(scorer_name, sign, shown=metric), metric not in SHORT)


def _of_labels(function: Callable[[Any, Any], float]) -> Callable[[Any, Any], float]:
    def measure(outputs: Any, targets: Any) -> float:
        labels = np.ndim(outputs) == 2 and np.ndim(targets) == 1 and targets.dtype.kind in "iu"
        return function(targets, np.argmax(outputs, axis=1) if labels else outputs)

    return measure


def _scored(name: str, sign: int, shown: str) -> Callable[[Any, Any], float]:
    """Return scikit-learn's scorer as a function of outputs and targets."""
    from sklearn.metrics import get_scorer, log_loss, make_scorer

    scorer = get_scorer(name)
    numbers = name.startswith(OF_NUMBERS)

    def measure(outputs: Any, targets: Any) -> float:
        if numbers:
            estimator, truth = _estimators()[0](), targets
        else:
            outputs, truth = _probabilities(outputs), _labels(targets, shown)
            estimator = _estimators()[1](outputs.shape[1])
        judge = scorer
        if name == "neg_log_loss":  # targets may lack a class
            known = {"labels": estimator.classes_, "response_method": "predict_proba"}
            judge = make_scorer(log_loss, greater_is_better=False, **known)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of metrics that are 0 / 0 here
                return sign * float(judge(estimator, outputs, truth))
        except PullbackError:
            raise
        except (ValueError, TypeError) as error:
            raise DataError(
                f"metric {shown!r} cannot be taken of outputs of shape {np.shape(outputs)} and "
                f"targets {targets.dtype} of shape {np.shape(targets)}: {error}"
            ) from None

    return measure


def _probabilities(outputs: Any) -> Any:
    """Return the softmax of logits (n, k), or [1 - p, p] of one logit a row; float64."""
    logits = np.asarray(outputs, np.float64).reshape(len(outputs), -1)
    if logits.shape[1] == 1:
        logits = np.concatenate([0 * logits, logits], axis=1)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _labels(targets: Any, metric: str) -> Any:
    """Return labels of labels, one-hot rows, or zeros and ones in a column."""
    columns = targets.reshape(len(targets), -1)
    one_hot = columns.shape[1] > 1
    known = np.isin(columns, (0, 1)) if one_hot else columns == np.round(columns)
    if not known.all():
        raise DataError(
            f"metric {metric!r}: expected labels, got {targets.dtype} numbers to predict; for them "
            "take another, such as r2 or mae"
        )
    if one_hot and (columns.sum(axis=1) != 1).any():
        raise DataError(
            f"metric {metric!r}: expected a label for each row, got rows with none or several of "
            "them; give a function, such as lambda targets, logits: f1_score(targets, logits > 0, "
            "average='macro')"
        )
    return (columns.argmax(axis=1) if one_hot else columns[:, 0]).astype(np.int64)


@cache
def _estimators() -> tuple[Any, Any]:
    """Return estimators whose predictions are what they are given: of numbers, of classes."""
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

    class Numbers(RegressorMixin, BaseEstimator):  # type: ignore[misc]
        def __sklearn_is_fitted__(self) -> bool:
            return True

        def predict(self, outputs: Any) -> Any:
            return outputs

    class Classes(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
        def __init__(self, count: int = 2) -> None:
            self.count = count

        @property
        def classes_(self) -> Any:
            return np.arange(self.count)

        def __sklearn_is_fitted__(self) -> bool:
            return True

        def predict(self, probabilities: Any) -> Any:
            return probabilities.argmax(axis=1)

        def predict_proba(self, probabilities: Any) -> Any:
            return probabilities

    return Numbers, Classes


def _scorer_names() -> list[str]:
    try:
        from sklearn.metrics import get_scorer_names
    except ImportError:
        return []
    return list(get_scorer_names())
