"""Classes and numbers: how targets become what a loss takes, and outputs predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels

from pullback.core.errors import ConfigError, DataError
from pullback.nn.activations import sigmoid, softmax
from pullback.nn.losses.common import check_weight
from pullback.sklearn.objectives import Loss, binary_log_loss, log_loss, squared_error


def column(y: Any) -> Any:
    """Return y, as (n,) where it has a single column, with scikit-learn's warning."""
    return column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y


class Classifying(ClassifierMixin):
    """Classes: one of two or more for each sample, or any number of labels."""

    def predict(self, X: Any) -> Any:
        """Return the class of each row of X, (n,), or its labels, (n, labels) of 0 and 1."""
        return self._decoded(self._outputs(X))

    def predict_proba(self, X: Any) -> Any:
        """Return the probabilities of the classes, (n, classes), in the order of `classes_`."""
        p = self._probabilities(self._outputs(X))
        return np.hstack([1 - p, p]) if p.shape[1] == 1 else p

    def predict_log_proba(self, X: Any) -> Any:
        """Return the logarithms of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    @property
    def _accepted_targets(self) -> dict[str, Any]:
        return {"multi_output": True}

    def _learn_targets(self, y: Any, first: bool, incremental: bool, classes: Any) -> Any:
        """Return checked targets; learn the classes where these are the first."""
        self.classes_: Any
        y = column(y)
        if incremental and _check_partial_fit_first_call(self, classes):
            multilabel = type_of_target(y).startswith("multilabel")
            self._binarizer = LabelBinarizer().fit(y if multilabel else self.classes_)
        elif first and not incremental:
            self._binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._binarizer.classes_
        self._check_labels(y)
        found = unique_labels(y)
        if not first and not incremental and set(found) != set(self.classes_):
            raise DataError(
                "y: warm_start can only be used where `y` has the same classes as in the previous "
                f"call to fit. Previously got {self.classes_}, `y` has {found}"
            )
        if len(np.setdiff1d(found, self.classes_)):
            raise DataError(
                f"y: `y` has classes not in `self.classes_`, {self.classes_}: `y` has {found}"
            )
        return y

    def _check_labels(self, y: Any) -> None:
        """Raise DataError unless y has one class in each row, or a column for each label."""
        wanted = (len(self.classes_),) if self._is_multilabel else ()
        if y.shape[1:] != wanted:
            rows = f"rows of {wanted[0]} labels, 0 or 1," if wanted else "a class for each row,"
            raise DataError(f"y: expected {rows} as the first targets were, got shape {y.shape}")

    @property
    def _is_multilabel(self) -> bool:
        return bool(self._binarizer.y_type_.startswith("multilabel"))

    @property
    def _target_columns(self) -> int:
        return 1 if self._binarizer.y_type_ == "binary" else len(self.classes_)

    def _out_activation(self) -> str:
        several = self._is_multilabel
        classes, outputs = len(self.classes_), self.n_outputs_
        if outputs == classes and classes > 1 and not several:
            return "softmax"
        if outputs == classes or (outputs == 1 and classes <= 2 and not several):
            return "logistic"
        raise ConfigError(
            f"module: expected {classes} outputs for {classes} classes, got {outputs}"
        )

    def _standard_loss(self) -> Loss:
        return log_loss if self.out_activation_ == "softmax" else binary_log_loss

    def _weights(self, X: Any, y: Any, sample_weight: Any, incremental: bool) -> Any:
        weights = super()._weights(X, y, sample_weight, incremental)
        if self.class_weight is None:
            return weights
        if incremental and self.class_weight == "balanced":
            raise ConfigError(
                "class_weight: 'balanced' needs all samples at once, which partial_fit has not; "
                "give a dict of the classes' weights, such as compute_class_weight makes"
            )
        of_classes = compute_sample_weight(self.class_weight, y)
        check_weight("class_weight", of_classes)
        return (weights * of_classes).astype(weights.dtype)

    def _encoded(self, y: Any) -> Any:
        if self.out_activation_ == "softmax":
            return np.searchsorted(self.classes_, y)
        return self._binarizer.transform(y).astype(self._float)

    def _probabilities(self, outputs: Any) -> Any:
        return softmax(outputs) if self.out_activation_ == "softmax" else sigmoid(outputs)

    def _decoded(self, outputs: Any) -> Any:
        if self.out_activation_ == "softmax":
            return self.classes_[outputs.argmax(axis=1)]
        p = sigmoid(outputs)
        return self._binarizer.inverse_transform(p.ravel() if self.n_outputs_ == 1 else p)

    def _score(self, y: Any, predicted: Any, weight: Any) -> float:
        return float(accuracy_score(y, predicted, sample_weight=weight))

    @property
    def _stratifies(self) -> bool:
        return bool(self.n_outputs_ == 1)  # as scikit-learn does, for two classes only

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class Regressing(RegressorMixin):
    """Numbers: one or more for each sample."""

    _stratifies = False

    def predict(self, X: Any) -> Any:
        """Return the predicted numbers, (n,), or (n, outputs) where there are several."""
        return self._decoded(self._outputs(X))

    @property
    def _accepted_targets(self) -> dict[str, Any]:
        return {"multi_output": True, "y_numeric": True}

    def _learn_targets(self, y: Any, first: bool, incremental: bool, classes: Any) -> Any:
        y = column(y)
        columns = 1 if y.ndim == 1 else y.shape[1]
        if self.loss == "poisson" and y.min() < 0:
            raise DataError(f"y: expected numbers of 0 or more for loss='poisson', got {y.min()}")
        if not first and columns != self.n_outputs_:
            raise DataError(f"y: expected {self.n_outputs_} columns as before, got {columns}")
        self._target_columns = columns
        return y

    def _out_activation(self) -> str:
        if self.n_outputs_ != self._target_columns:
            raise ConfigError(
                f"module: expected {self._target_columns} outputs, as y has columns, got "
                f"{self.n_outputs_}"
            )
        return "exp" if self.loss == "poisson" else "identity"

    def _standard_loss(self) -> Loss:
        return squared_error

    def _encoded(self, y: Any) -> Any:
        return y.reshape(len(y), -1).astype(self._float)

    def _decoded(self, outputs: Any) -> Any:
        values = np.exp(outputs) if self.out_activation_ == "exp" else outputs
        return values.ravel() if self.n_outputs_ == 1 else values

    def _score(self, y: Any, predicted: Any, weight: Any) -> float:
        return float(r2_score(y, predicted, sample_weight=weight))
