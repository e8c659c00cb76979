"""`MLPClassifier` and `MLPRegressor`: scikit-learn's parameters, and some more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn.utils.metaestimators import available_if

from pullback.sklearn.parameters import store
from pullback.sklearn.perceptron import Perceptron, descends
from pullback.sklearn.targets import Classifying, Regressing


class MLPClassifier(Classifying, Perceptron):
    """A multi-layer perceptron for classes: scikit-learn's, fitted by machine code.

    Parameters and fitted attributes that scikit-learn has too mean what they mean there, and with
    the same `random_state` the same numbers come out, but for rounding. Beyond these:
    `activation` may be any name in `nn.ACTIVATIONS` or a list, one for each hidden layer; `dropout`
    is a rate or a list of them; `normalization` is "batch" or "layer", before each activation;
    `loss` is a name in `nn.LOSSES` or a function of (outputs, targets) that returns a value for
    each sample; `class_weight` is a dict or "balanced"; `dtype` is what the network computes in,
    that of X by default; `matmul_precision` and `n_threads` are those of `pb.compile`. `model_` is
    the trained module, which gives logits.

    Raises ConfigError for parameters out of range, DataError or scikit-learn's ValueErrors for
    data, NonFiniteWeightsError, a ValueError, where training diverges.

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = MLPClassifier((16,), learning_rate_init=0.02, random_state=0).fit(X, y)
    >>> classifier.score(X, y) > 0.95
    True
    >>> classifier.predict_proba(X[:1]).round(2)
    array([[1., 0., 0.]])
    """

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: str | Sequence[str] = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        loss: Any = "log_loss",
        dropout: float | Sequence[float] = 0.0,
        normalization: str | None = None,
        class_weight: Any = None,
        dtype: str | None = None,
        matmul_precision: str = "float32",
        n_threads: int | None = None,
    ) -> None:
        store(self, locals())

    def fit(self, X: Any, y: Any, sample_weight: Any = None, validation_data: Any = None) -> Any:
        """Fit the network to X, (n, features), and classes y, (n,), or labels (n, labels).

        X may be a sparse matrix. `sample_weight` is (n,). `validation_data` is (X, y) or
        (X, y, sample_weight): `validation_scores_` are the scores there, and `early_stopping` looks
        at these instead of holding out a part of X.
        """
        return self._fit(X, y, sample_weight, validation_data)

    @available_if(descends)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Any:
        """Make one pass over X and y; the first call needs all `classes` there are."""
        return self._fit(X, y, sample_weight, incremental=True, classes=classes)


class MLPRegressor(Regressing, Perceptron):
    """A multi-layer perceptron for numbers: scikit-learn's, fitted by machine code.

    `loss` is "squared_error", "poisson", a name in `nn.LOSSES` or a function of (outputs, targets)
    that returns a value for each sample; the rest is as for `MLPClassifier`.

    >>> import numpy as np
    >>> X = np.linspace(-1, 1, 100)[:, None]
    >>> regressor = MLPRegressor(activation=["tanh"], solver="lbfgs", random_state=0)
    >>> regressor.fit(X, X[:, 0] ** 2).score(X, X[:, 0] ** 2) > 0.99
    True
    """

    def __init__(
        self,
        loss: Any = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: str | Sequence[str] = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dropout: float | Sequence[float] = 0.0,
        normalization: str | None = None,
        dtype: str | None = None,
        matmul_precision: str = "float32",
        n_threads: int | None = None,
    ) -> None:
        store(self, locals())

    def fit(self, X: Any, y: Any, sample_weight: Any = None, validation_data: Any = None) -> Any:
        """Fit the network to X, (n, features), and numbers y, (n,) or (n, outputs).

        X may be a sparse matrix. `sample_weight` is (n,). `validation_data` is (X, y) or
        (X, y, sample_weight): `validation_scores_` are the scores there, and `early_stopping` looks
        at these instead of holding out a part of X.
        """
        return self._fit(X, y, sample_weight, validation_data)

    @available_if(descends)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Make one pass over X and y."""
        return self._fit(X, y, sample_weight, incremental=True)
