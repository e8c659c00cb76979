"""The network of the multi-layer perceptrons, and the solvers that train it."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from pullback.core.errors import ConfigError
from pullback.nn.activations import ACTIVATIONS, Activation
from pullback.nn.dropout import Dropout
from pullback.nn.layers import Linear, Sequential
from pullback.nn.module import Module
from pullback.nn.norm import BatchNorm, LayerNorm
from pullback.numpy import random
from pullback.sklearn.lbfgs import minimise
from pullback.sklearn.loader import dense
from pullback.sklearn.network import Network
from pullback.sklearn.objectives import squared_error, sum_of_squares
from pullback.sklearn.parameters import COUNT, per_layer
from pullback.sklearn.solvers import Settings, Solver, adam, nesterov, numbers, sgd
from pullback.sklearn.steps import Samples


def descends(estimator: Any) -> bool:
    """Return whether the solver makes passes; AttributeError otherwise."""
    if estimator.solver == "lbfgs":
        raise AttributeError("partial_fit is only available for the solvers 'adam' and 'sgd'")
    return True


class Perceptron(Network):
    """Dense layers with an activation, perhaps normalised, perhaps with dropout."""

    _choices: ClassVar = {
        "solver": ("adam", "sgd", "lbfgs"),
        "learning_rate": ("constant", "invscaling", "adaptive"),
        "normalization": (None, "batch", "layer"),
        "dtype": (None, "float32", "float64"),
    }

    @property
    def coefs_(self) -> list[Any]:
        """The weights of the dense layers, (fan_in, fan_out) each: those of `model_`."""
        return [layer.weight for layer in self.model_ if isinstance(layer, Linear)]

    @property
    def intercepts_(self) -> list[Any]:
        """The biases of the dense layers, (fan_out,) each: those of `model_`."""
        return [layer.bias for layer in self.model_ if isinstance(layer, Linear)]

    @property
    def _accepted(self) -> dict[str, Any]:
        return {"accept_sparse": "csr", "dtype": (np.float64, np.float32)}

    def _input_dtype(self, X: Any) -> Any:
        return np.dtype(self.dtype or X.dtype)

    def _new_model(self, X: Any) -> Any:
        hidden = self._hidden_sizes()
        sizes = [X.shape[1], *hidden, self._target_columns]
        activations = self._activations(len(hidden))
        rates = per_layer("dropout", self.dropout, len(hidden), (int, float))
        dtype = self._input_dtype(X)
        # the last hidden activation decides how the output layer is drawn, too
        after = [*activations, *activations[-1:]] or ["identity"]
        *inner, last = (
            self._linear(fan_in, fan_out, name, dtype)
            for fan_in, fan_out, name in zip(sizes, sizes[1:], after, strict=False)
        )
        layers: list[Module] = []
        for linear, width, name, rate in zip(inner, hidden, activations, rates, strict=True):
            layers += [linear, *self._norm(width, dtype), Activation(name)]
            if rate:
                layers.append(Dropout.create(self._key(), rate))
        self.n_layers_ = len(sizes)
        return Sequential([*layers, last])

    def _hidden_sizes(self) -> list[int]:
        sizes = np.atleast_1d(self.hidden_layer_sizes)
        if sizes.ndim != 1 or not all(size in COUNT for size in sizes):
            raise ConfigError(
                "hidden_layer_sizes: expected whole numbers of 1 or more, got "
                f"{self.hidden_layer_sizes!r}"
            )
        return [int(size) for size in sizes]

    def _activations(self, layers: int) -> list[str]:
        names = per_layer("activation", self.activation, layers, str)
        names = ["sigmoid" if name == "logistic" else name for name in names]
        for name in names:
            if name not in ACTIVATIONS:
                raise ConfigError(
                    f"activation: expected 'logistic' or one of {', '.join(ACTIVATIONS)}, got "
                    f"{name!r}"
                )
        return names

    def _linear(self, fan_in: int, fan_out: int, activation: str, dtype: Any) -> Linear:
        """Draw weights as scikit-learn does.

        Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
        networks", AISTATS 2010.
        """
        bound = np.sqrt((2.0 if activation == "sigmoid" else 6.0) / (fan_in + fan_out))
        weight = self._random_state.uniform(-bound, bound, (fan_in, fan_out))
        bias = self._random_state.uniform(-bound, bound, fan_out)
        return Linear(weight.astype(dtype), bias.astype(dtype))

    def _norm(self, width: int, dtype: Any) -> list[Module]:
        if self.normalization is None:
            return []
        kind: Any = BatchNorm if self.normalization == "batch" else LayerNorm
        return [kind.create(width, dtype=dtype)]

    def _key(self) -> Any:
        return random.key(int(self._random_state.randint(2**31 - 1)))

    def _rows_are_independent(self) -> bool:
        return bool(self.normalization != "batch")

    def _solver(self) -> Solver:
        if self.solver == "sgd":
            return nesterov if self.nesterovs_momentum else sgd
        return adam

    def _settings(self) -> Settings:
        names = ("momentum",) if self.solver == "sgd" else ("beta_1", "beta_2", "epsilon")
        values = {name: getattr(self, name) for name in ("alpha", *names)}
        return numbers(rate=self._rate, **values)

    def _first_rate(self) -> float:
        return float(self.learning_rate_init)

    def _next_rate(self) -> float:
        if self.solver == "sgd" and self.learning_rate == "invscaling":
            return float(self.learning_rate_init / (self.t_ + 1) ** self.power_t)
        return float(self._rate)

    def _lower_rate(self) -> float | None:
        adaptive = self.solver == "sgd" and self.learning_rate == "adaptive"
        return self._rate / 5 if adaptive and self._rate > 1e-6 else None

    def _train(self, samples: Samples, y: Any, validation_data: Any, incremental: bool) -> None:
        if self.solver != "lbfgs":
            super()._train(samples, y, validation_data, incremental)
            return
        if self.normalization == "batch" or np.any(self.dropout):
            raise ConfigError(
                "solver: 'lbfgs' needs the same loss at each call, which dropout and batch "
                "normalization do not give; take 'adam' or 'sgd'"
            )
        if validation_data is not None:
            raise ConfigError(
                "validation_data: 'lbfgs' makes no epochs after which to score; take the solver "
                "'adam' or 'sgd', or score the fitted estimator"
            )
        samples = samples._replace(inputs=dense(samples.inputs))
        plan = self._plan()
        if plan.loss is squared_error:
            plan = replace(plan, loss=sum_of_squares)
        self.model_, result = minimise(
            plan, self.model_, samples, self.alpha, self.tol, self.max_iter, self.max_fun
        )
        self.loss_, self.n_iter_ = float(result.fun), min(int(result.nit), self.max_iter)
        if self.verbose:
            print(f"L-BFGS, {self.n_iter_} iterations, loss = {self.loss_:.8f}")
        if result.status != 0:
            warnings.warn(
                f"lbfgs failed to converge after {self.n_iter_} iterations: {result.message}. "
                "Increase max_iter, or scale the data.",
                ConvergenceWarning,
                stacklevel=3,
            )
