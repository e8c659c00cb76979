"""What the perceptrons have beyond scikit-learn's, and how they take bad input."""

import dataclasses
import functools

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra `app`)")
from sklearn.datasets import load_digits, load_iris

from pullback import nn
from pullback.core.errors import ConfigError, DataError
from pullback.sklearn import MLPClassifier, MLPRegressor, steps
from pullback.sklearn.network import NonFiniteWeightsError

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
DIGITS = load_digits(return_X_y=True)
QUICK = {"max_iter": 60, "learning_rate_init": 0.02, "random_state": 0}


def test_each_hidden_layer_has_its_activation():
    classifier = MLPClassifier((8, 6), ["tanh", "gelu"], **QUICK).fit(X, Y)
    first, a, second, b, last = classifier.model_
    assert (a.name, b.name) == ("tanh", "gelu")
    hidden = nn.gelu(np.tanh(X @ first.weight + first.bias) @ second.weight + second.bias)
    logits = hidden @ classifier.coefs_[-1] + last.bias
    np.testing.assert_allclose(classifier.predict_proba(X), nn.softmax(logits))
    assert classifier.score(X, Y) > 0.9


def test_dropout_and_norms_are_layers_of_the_model():
    classifier = MLPClassifier((16, 8), dropout=[0.2, 0.0], normalization="layer", **QUICK)
    kinds = [type(layer).__name__ for layer in classifier.fit(X, Y).model_]
    hidden = ["Linear", "LayerNorm", "Activation"]
    assert kinds == [*hidden, "Dropout", *hidden, "Linear"]
    assert classifier.score(X, Y) > 0.9


def test_batch_norm_learns_statistics_and_leaves_out_a_last_single_sample():
    classifier = MLPClassifier((16,), normalization="batch", batch_size=20, **QUICK)
    classifier.fit(X[:141], Y[:141])
    norm = classifier.model_[1]
    assert (norm.running_variance != 1).all()
    assert classifier.score(X, Y) > 0.9


def test_dropout_is_drawn_from_the_random_state():
    fits = [MLPClassifier((16,), dropout=0.5, **QUICK).fit(X, Y) for _ in range(2)]
    np.testing.assert_array_equal(*(fit.coefs_[0] for fit in fits))
    other = MLPClassifier((16,), dropout=0.5, **(QUICK | {"random_state": 1})).fit(X, Y)
    assert not np.array_equal(other.coefs_[0], fits[0].coefs_[0])


@pytest.mark.parametrize(
    "loss",
    ["l1", lambda y, t: np.abs(y - t), functools.partial(nn.l1, reduction="none")],
    ids=["name", "function", "partial"],
)
def test_a_loss_of_absolute_errors_finds_the_median(loss):
    y = np.concatenate([np.zeros(60), np.full(40, 10.0)])
    regressor = MLPRegressor(loss, (), learning_rate_init=0.1, max_iter=200, random_state=0)
    predicted = regressor.fit(np.zeros((100, 1)), y).predict([[0.0]])
    assert abs(predicted[0]) < 0.2


def test_a_loss_sees_logits_and_labels():
    def focal(logits, labels):
        return nn.softmax_cross_entropy(logits, labels, label_smoothing=0.1, reduction="none")

    assert MLPClassifier((16,), loss=focal, **QUICK).fit(X, Y).score(X, Y) > 0.9


def test_a_loss_without_samples_is_refused():
    with pytest.raises(ValueError, match="loss: expected a value for each of 100 samples"):
        MLPRegressor(lambda y, t: np.mean(y - t), ()).fit(np.zeros((100, 1)), np.zeros(100))


def test_class_weights_are_sample_weights():
    weights = {0: 1.0, 1: 5.0, 2: 0.5}
    a = MLPClassifier((8,), class_weight=weights, **QUICK).fit(X, Y)
    b = MLPClassifier((8,), **QUICK).fit(X, Y, sample_weight=[weights[label] for label in Y])
    np.testing.assert_array_equal(a.coefs_[0], b.coefs_[0])
    balanced = MLPClassifier((8,), class_weight="balanced", **QUICK).fit(X, Y)
    assert balanced.score(X, Y) > 0.9
    with pytest.raises(ValueError, match="'balanced' needs all samples"):
        balanced.partial_fit(X, Y)


def test_validation_data_is_scored_and_can_stop_the_training():
    train, held = slice(0, None, 2), slice(1, None, 2)
    classifier = MLPClassifier((8,), **QUICK)
    classifier.fit(X[train], Y[train], validation_data=(X[held], Y[held]))
    assert classifier.validation_scores_[-1] == classifier.score(X[held], Y[held])
    assert len(classifier.validation_scores_) == classifier.n_iter_
    classifier.set_params(early_stopping=True, n_iter_no_change=3)
    classifier.fit(X[train], Y[train], validation_data=(X[held], Y[held]))
    assert classifier.t_ == 75 * classifier.n_iter_  # nothing is held out
    assert classifier.best_validation_score_ == classifier.score(X[held], Y[held])


def test_dtype_and_precision_are_those_asked_for():
    classifier = MLPClassifier((32,), dtype="float32", matmul_precision="bfloat16", random_state=0)
    classifier.fit(*DIGITS)
    assert {leaf.dtype for leaf in classifier.coefs_} == {np.dtype(np.float32)}
    assert classifier.score(*DIGITS) > 0.95


def test_threads_do_not_change_what_is_learnt():
    fits = [MLPClassifier((64,), n_threads=n, max_iter=20, random_state=0) for n in (1, 2)]
    a, b = (fit.fit(*DIGITS).coefs_[0] for fit in fits)
    np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)


def test_the_same_random_state_gives_bitwise_the_same_network():
    fits = [MLPClassifier((32,), max_iter=20, random_state=0, n_threads=1) for _ in range(2)]
    np.testing.assert_array_equal(*(fit.fit(*DIGITS).coefs_[0] for fit in fits))


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_further_trainings_of_a_network_trace_nothing(solver, monkeypatch):
    classifier = MLPClassifier((5,), solver=solver, **QUICK).fit(X, Y)
    monkeypatch.setattr(steps, "trace", None)
    classifier.set_params(alpha=0.1, learning_rate_init=0.01).fit(X, Y)
    with pytest.raises(TypeError):
        classifier.set_params(hidden_layer_sizes=(6,)).fit(X, Y)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"alpha": -1.0}, "alpha: expected a number in"),
        ({"max_iter": 0}, "max_iter: expected a whole number"),
        ({"momentum": 2.0}, "momentum"),
        ({"batch_size": 0}, "batch_size: expected 'auto'"),
        ({"batch_size": "all"}, "batch_size: expected 'auto'"),
        ({"solver": "newton"}, "solver: expected one of 'adam', 'sgd', 'lbfgs', got 'newton'"),
        ({"learning_rate": 0.1}, "learning_rate: expected one of 'constant'"),
        ({"shuffle": "yes"}, "shuffle: expected True or False"),
        ({"activation": "cubic"}, "activation: expected 'logistic' or one of"),
        ({"activation": ["relu"]}, "activation: expected one for all hidden layers or a list of 2"),
        ({"hidden_layer_sizes": (5, 0)}, "hidden_layer_sizes: expected whole numbers"),
        ({"hidden_layer_sizes": 2.5}, "hidden_layer_sizes: expected whole numbers"),
        ({"dropout": None}, "dropout: expected one for all hidden layers or a list of 2"),
        ({"n_threads": 0}, "n_threads: expected a whole number"),
        ({"dropout": 1.0}, "rate: expected a number in"),
        ({"loss": "log"}, "loss: expected one of log_loss"),
        ({"normalization": "group"}, "normalization"),
        ({"solver": "lbfgs", "dropout": 0.5}, "solver: 'lbfgs' needs the same loss"),
        ({"dtype": "float16"}, "dtype: expected one of None, 'float32', 'float64'"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters, message):
    with pytest.raises(ConfigError, match=message):
        MLPClassifier(**({"hidden_layer_sizes": (5, 5)} | parameters)).fit(X, Y)


def test_data_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="sample_weight: expected finite weights of 0 or more"):
        MLPClassifier().fit(X, Y, sample_weight=np.full(len(X), -1.0))
    with pytest.raises(DataError, match="y: expected numbers of 0 or more"):
        MLPRegressor("poisson").fit(X, Y - 1.0)
    classifier = MLPClassifier((4,), warm_start=True, **QUICK).fit(X, Y)
    with pytest.raises(ValueError, match="warm_start can only be used where `y` has the same"):
        classifier.fit(X, Y > 0)
    with pytest.raises(ValueError, match="has classes not in"):
        MLPClassifier((4,)).partial_fit(X, Y, classes=[0, 1])
    with pytest.raises(ValueError, match="early_stopping"):
        MLPClassifier((4,), early_stopping=True).partial_fit(X, Y, classes=[0, 1, 2])
    with pytest.raises(AttributeError, match="partial_fit"):
        MLPRegressor(solver="lbfgs").partial_fit(X, Y)


@pytest.mark.parametrize(
    ("validation_data", "message"),
    [
        (X, "validation_data: expected .X, y. or .X, y, sample_weight., got ndarray"),
        ((X, Y + 1), "has classes not in"),
        ((X, Y, -np.ones(150)), "sample_weight in validation_data: expected finite weights"),
        ((X, Y, np.ones(3)), "sample_weight.shape"),
        ((X[:, :2], Y), "features"),
    ],
)
def test_validation_data_are_checked_before_training(validation_data, message, monkeypatch):
    monkeypatch.setattr(MLPClassifier, "_epoch", None)
    with pytest.raises(ValueError, match=message):
        MLPClassifier((4,)).fit(X, Y, validation_data=validation_data)
    with pytest.raises(ConfigError, match="validation_data: 'lbfgs' makes no epochs"):
        MLPClassifier((4,), solver="lbfgs").fit(X, Y, validation_data=(X, Y))


@pytest.mark.parametrize("weight", [-1.0, np.nan])
def test_class_weights_are_checked(weight):
    with pytest.raises(DataError, match="class_weight: expected finite weights of 0 or more"):
        MLPClassifier((4,), class_weight={0: weight}).fit(X, Y)


def test_a_loss_that_cannot_be_kept_is_refused():
    @dataclasses.dataclass
    class Scaled:
        scale: float

        def __call__(self, outputs, targets):
            return self.scale * (outputs - targets) ** 2

    with pytest.raises(ConfigError, match="loss: expected a function that can be hashed"):
        MLPRegressor(Scaled(2.0), (4,)).fit(X, Y)
    with pytest.raises(ValueError, match=r"loss: expected a value for each .* got shape \(\)"):
        MLPRegressor(lambda outputs, targets: 1.0, (4,)).fit(X, Y)


def test_settings_may_change_between_trainings():
    classifier = MLPClassifier((4,), warm_start=True, **QUICK).fit(X, Y)
    before = classifier.loss_
    classifier.set_params(solver="sgd", learning_rate_init=0.001).partial_fit(X, Y)
    assert abs(classifier.loss_ - before) < 0.1 * before
    for early_stopping in (True, False):
        classifier.set_params(early_stopping=early_stopping, solver="adam", max_iter=5).fit(X, Y)
        assert (classifier.best_loss_ is None) == early_stopping
        assert (classifier.best_validation_score_ is None) != early_stopping


@pytest.mark.parametrize("epochs", [0, 3])
def test_an_interrupt_keeps_what_is_learnt(epochs, monkeypatch):
    classifier = MLPClassifier((4,), **QUICK)
    epoch = classifier._epoch

    def interrupted(*args):
        if classifier.n_iter_ == epochs:
            raise KeyboardInterrupt
        return epoch(*args)

    monkeypatch.setattr(classifier, "_epoch", interrupted)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        classifier.fit(X, Y)
    assert len(classifier.loss_curve_) == epochs
    assert classifier.predict(X).shape == (150,)


@pytest.mark.parametrize("seed", [0, 4], ids=["weights", "only the loss"])
def test_divergence_is_told(seed):
    regressor = MLPRegressor(
        hidden_layer_sizes=(8,), solver="sgd", learning_rate_init=1e6, random_state=seed
    )
    with pytest.raises(NonFiniteWeightsError, match="non-finite parameter weights"):
        regressor.fit(X * 1e3, Y * 1e3)
