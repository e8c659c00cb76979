"""`NeuralClassifier` and `NeuralRegressor`: any module of pullback as an estimator."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from pullback.core.checks import check_positive
from pullback.core.errors import ConfigError
from pullback.nn.layers import Sequential, mlp
from pullback.nn.module import Module
from pullback.numpy import random
from pullback.optim.optimizer import LearningRate, Optimizer
from pullback.sklearn.network import Network
from pullback.sklearn.parameters import store
from pullback.sklearn.solvers import Settings, Solver, numbers, stepper
from pullback.sklearn.targets import Classifying, Regressing

_GIVEN = ("key", "inputs", "outputs")
_NESTED = "module__"


def perceptron(
    key: Any,
    inputs: int,
    outputs: int,
    *,
    width: int = 100,
    depth: int = 1,
    dtype: DTypeLike = np.float64,
) -> Sequential:
    """Return a network with `depth` hidden layers of `width` rectifiers: what stands for a module.

    >>> perceptron(random.key(0), 4, 3, width=8)
    Sequential(
      layers=[
        Linear(weight=f64[4,8], bias=f64[8]),
        Activation(name='relu'),
        Linear(weight=f64[8,3], bias=f64[3]),
      ],
    )
    """
    return mlp(key, [inputs, *[width] * depth, outputs], dtype=dtype)


class Neural(Network):
    """A network of the user's own, and any optimizer."""

    module: Any
    _choices: ClassVar[dict[str, Any]] = {}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters; with `deep` also the options of a module's factory."""
        params: dict[str, Any] = super().get_params(deep)
        if deep:
            params |= {_NESTED + name: value for name, value in _options(self.module).items()}
        return params

    def set_params(self, **params: Any) -> Any:
        """Set parameters, and as module__NAME the options of a module's factory."""
        own = {name: v for name, v in params.items() if not name.startswith(_NESTED)}
        super().set_params(**own)
        options = {k.removeprefix(_NESTED): v for k, v in params.items() if k not in own}
        known = _options(self.module)
        for name in options:
            if name not in known:
                raise ConfigError(
                    f"{_NESTED}{name}: the module's factory has no option {name!r}; it has "
                    f"{', '.join(known) or 'none'}"
                )
        if options:
            self.module = functools.partial(self.module, **options)
        return self

    def _new_model(self, X: Any) -> Any:
        if isinstance(self.module, Module):
            return self.module
        if not callable(self.module):
            raise ConfigError(
                "module: expected a Module, or a function (key, inputs, outputs) that returns one, "
                f"got {self.module!r}"
            )
        seed = int(self._random_state.randint(2**31 - 1))
        return self.module(random.key(seed), X.shape[-1], self._module_outputs)

    @property
    def _accepted(self) -> dict[str, Any]:
        floats = (np.float64, np.float32)
        return {"accept_sparse": "csr", "allow_nd": True, "dtype": self.dtype or floats}

    def _input_dtype(self, X: Any) -> Any:
        return np.dtype(self.dtype or self._float)

    def _rows_are_independent(self) -> bool:
        return False  # for all we know

    def _solver(self) -> Solver:
        return stepper(self.optimizer, self.learning_rate)

    def _settings(self) -> Settings:
        return numbers(alpha=self.alpha, rate=self._rate)

    def _first_rate(self) -> float:
        if not isinstance(self.learning_rate, int | float | np.number):
            return 0.0  # a schedule says what it is
        check_positive(learning_rate=float(self.learning_rate))
        return float(self.learning_rate)

    def _next_rate(self) -> float:
        return float(self._rate)

    def _lower_rate(self) -> None:
        return None


def _options(module: Any) -> dict[str, Any]:
    """Return the options of a factory with the values they have."""
    if isinstance(module, Module) or not callable(module):
        return {}
    parameters = inspect.signature(module).parameters
    return {
        name: parameter.default
        for name, parameter in parameters.items()
        if name not in _GIVEN and parameter.default is not parameter.empty
    }


class NeuralClassifier(Classifying, Neural):
    """A classifier whose network is any module: a `Module`, or a factory of one.

    A factory is a function (key, inputs, outputs, ...) that returns a module for `inputs` features
    and `outputs` classes; its further arguments are parameters module__NAME of the estimator. A
    module begins with the weights it has; its outputs are logits, (n, classes), or (n, 1) for two
    classes. X is what the module takes, (n, features) or (n, ..., channels), in the dtype of its
    weights or in `dtype`, such as "int64" for an `Embedding`.

    `optimizer` is a name in `optim.OPTIMIZERS` or a function that makes an optimizer from a
    learning rate, which is a number or a schedule; `loss`, as for `MLPClassifier`, a name in
    `nn.LOSSES` or a function of (outputs, targets) that returns a value for each sample. `alpha`
    adds alpha/2 times the sum of squared weights to the sum of a batch's losses. The other
    parameters, the fitted attributes and the errors are those of `MLPClassifier`.

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = NeuralClassifier(learning_rate=0.02, module=perceptron, random_state=0)
    >>> classifier.set_params(module__width=16).fit(X, y).score(X, y) > 0.95
    True
    """

    def __init__(
        self,
        module: Any = perceptron,
        *,
        optimizer: str | Callable[[LearningRate], Optimizer] = "adam",
        learning_rate: LearningRate = 1e-3,
        loss: Any = "log_loss",
        alpha: float = 0.0,
        batch_size: int | str = "auto",
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: float = 10,
        class_weight: Any = None,
        dtype: str | None = None,
        matmul_precision: str = "float32",
        n_threads: int | None = None,
    ) -> None:
        store(self, locals())

    @property
    def _module_outputs(self) -> int:
        return len(self.classes_)

    def fit(self, X: Any, y: Any, sample_weight: Any = None, validation_data: Any = None) -> Any:
        """Fit the network to rows X and classes y, (n,), or labels (n, labels).

        `sample_weight` is (n,). `validation_data` is (X, y) or (X, y, sample_weight):
        `validation_scores_` are the scores there, and `early_stopping` looks at these instead of
        holding out a part of X.
        """
        return self._fit(X, y, sample_weight, validation_data)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Any:
        """Make one pass over X and y; the first call needs all `classes` there are."""
        return self._fit(X, y, sample_weight, incremental=True, classes=classes)


class NeuralRegressor(Regressing, Neural):
    """A regressor whose network is any module, with outputs (n, outputs), or a factory of one.

    The rest is as for `NeuralClassifier`.

    >>> from pullback import nn
    >>> module = nn.Linear(np.zeros((1, 1)), np.zeros(1))
    >>> regressor = NeuralRegressor(module, optimizer="sgd", learning_rate=0.3, random_state=0)
    >>> X = np.linspace(-1, 1, 100)[:, None]
    >>> regressor.fit(X, 2 * X[:, 0]).predict([[0.5]]).round(1)
    array([1.])
    """

    def __init__(
        self,
        module: Any = perceptron,
        *,
        optimizer: str | Callable[[LearningRate], Optimizer] = "adam",
        learning_rate: LearningRate = 1e-3,
        loss: Any = "squared_error",
        alpha: float = 0.0,
        batch_size: int | str = "auto",
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: float = 10,
        dtype: str | None = None,
        matmul_precision: str = "float32",
        n_threads: int | None = None,
    ) -> None:
        store(self, locals())

    @property
    def _module_outputs(self) -> int:
        return int(self._target_columns)

    def fit(self, X: Any, y: Any, sample_weight: Any = None, validation_data: Any = None) -> Any:
        """Fit the network to rows X and numbers y, (n,) or (n, outputs).

        `sample_weight` is (n,). `validation_data` is (X, y) or (X, y, sample_weight):
        `validation_scores_` are the scores there, and `early_stopping` looks at these instead of
        holding out a part of X.
        """
        return self._fit(X, y, sample_weight, validation_data)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Make one pass over X and y."""
        return self._fit(X, y, sample_weight, incremental=True)
