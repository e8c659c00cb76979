"""The same parameters and random state give the numbers that scikit-learn gives."""

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra `app`)")
from scipy import sparse
from sklearn import neural_network
from sklearn.datasets import load_digits

from pullback.passes import cost
from pullback.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, DIGITS = load_digits(return_X_y=True)
X, DIGITS = X[:330] / 16, DIGITS[:330]
WEIGHTS = np.random.default_rng(0).uniform(0.5, 2, len(X))
LABELS = np.stack([DIGITS % 2, DIGITS > 4], axis=1).astype(int)
NUMBERS = np.stack([X.mean(axis=1), X.std(axis=1)], axis=1)
SHORT = {"max_iter": 12, "random_state": 3, "hidden_layer_sizes": (12,)}

SETTINGS = {
    "adam": {},
    "two layers": {"hidden_layer_sizes": (9, 7), "activation": "tanh", "alpha": 0.1},
    "no hidden layer": {"hidden_layer_sizes": ()},
    "betas": {"beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-3, "batch_size": 50},
    "logistic": {"activation": "logistic", "solver": "sgd", "momentum": 0.5},
    "plain momentum": {"solver": "sgd", "nesterovs_momentum": False, "learning_rate_init": 0.1},
    "in order": {"shuffle": False, "activation": "identity"},
    "inverse scaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.5},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.5, "n_iter_no_change": 1},
    "stops": {"tol": 10.0, "n_iter_no_change": 3},
    "held out": {"early_stopping": True, "n_iter_no_change": 2, "learning_rate_init": 0.05},
    "lbfgs": {"solver": "lbfgs"},
}
ACCOUNT = ("n_iter_", "t_", "loss_", "best_loss_", "loss_curve_", "validation_scores_")
ACCOUNT += ("best_validation_score_", "out_activation_", "n_layers_", "n_outputs_")


def assert_same(ours, theirs, tolerance=1e-8):
    for name in ACCOUNT:
        if hasattr(theirs, name):
            expected, got = getattr(theirs, name), getattr(ours, name)
            if expected is None or isinstance(expected, str):
                assert got == expected, name
            else:
                np.testing.assert_allclose(got, expected, rtol=tolerance, err_msg=name)
    for name in ("coefs_", "intercepts_"):
        for a, b in zip(getattr(ours, name), getattr(theirs, name), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=tolerance)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("y", [DIGITS, DIGITS > 4, LABELS], ids=["classes", "two", "labels"])
def test_classifier_is_that_of_scikit_learn(settings, y):
    theirs = neural_network.MLPClassifier(**(SHORT | settings)).fit(X, y)
    ours = MLPClassifier(**(SHORT | settings)).fit(X, y)
    assert_same(ours, theirs)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-7)
    np.testing.assert_allclose(ours.predict_log_proba(X), theirs.predict_log_proba(X), rtol=1e-4)


@pytest.mark.parametrize(
    ("settings", "y"),
    [(settings, NUMBERS[:, 0]) for settings in SETTINGS.values()]
    # with several outputs, scikit-learn gives L-BFGS a loss and the gradient of another one
    + [(settings, NUMBERS) for name, settings in SETTINGS.items() if name != "lbfgs"],
)
def test_regressor_is_that_of_scikit_learn(settings, y):
    theirs = neural_network.MLPRegressor(**(SHORT | settings)).fit(X, y)
    ours = MLPRegressor(**(SHORT | settings)).fit(X, y)
    assert_same(ours, theirs)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), atol=1e-7)


def test_lbfgs_minimises_the_sum_over_several_outputs():
    ours = MLPRegressor(**SHORT, solver="lbfgs", alpha=0.0).fit(X, NUMBERS)
    errors = ours.predict(X) - NUMBERS
    assert ours.loss_ == pytest.approx(0.5 * (errors**2).sum() / len(X))
    theirs = neural_network.MLPRegressor(**SHORT, solver="lbfgs", alpha=0.0).fit(X, NUMBERS)
    assert (errors**2).sum() < 1.01 * ((theirs.predict(X) - NUMBERS) ** 2).sum()


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_poisson_loss_is_that_of_scikit_learn(solver):
    y = np.random.default_rng(1).poisson(2.0, len(X)).astype(float)
    settings = SHORT | {"loss": "poisson", "solver": solver}
    theirs = neural_network.MLPRegressor(**settings).fit(X, y)
    assert_same(MLPRegressor(**settings).fit(X, y), theirs, 1e-6)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_sample_weights_are_those_of_scikit_learn(solver):
    settings = SHORT | {"solver": solver, "batch_size": 100}
    theirs = neural_network.MLPClassifier(**settings).fit(X, DIGITS, WEIGHTS)
    assert_same(MLPClassifier(**settings).fit(X, DIGITS, WEIGHTS), theirs)


def test_warm_start_continues_as_scikit_learn_does():
    settings = SHORT | {"warm_start": True}
    ours, theirs = MLPClassifier(**settings), neural_network.MLPClassifier(**settings)
    for _ in range(2):
        assert_same(ours.fit(X, DIGITS), theirs.fit(X, DIGITS))
    assert len(ours.loss_curve_) == 24


def test_partial_fit_continues_as_scikit_learn_does():
    ours, theirs = MLPClassifier(**SHORT), neural_network.MLPClassifier(**SHORT)
    for start in range(0, 300, 100):
        part = X[start : start + 100], DIGITS[start : start + 100]
        assert_same(
            ours.partial_fit(*part, classes=range(10)), theirs.partial_fit(*part, classes=range(10))
        )
    regressors = MLPRegressor(**SHORT), neural_network.MLPRegressor(**SHORT)
    assert_same(*(regressor.partial_fit(X, NUMBERS) for regressor in regressors))


def test_a_sparse_matrix_is_what_its_rows_are():
    dense = MLPClassifier(**SHORT).fit(X, DIGITS)
    for kind in (sparse.csr_matrix, sparse.csc_matrix):
        rows = kind(X)
        again = MLPClassifier(**SHORT).fit(rows, DIGITS)
        np.testing.assert_array_equal(again.coefs_[0], dense.coefs_[0])
        np.testing.assert_allclose(again.predict_proba(rows), dense.predict_proba(X))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_that_of_the_data(dtype):
    ours = MLPClassifier(**SHORT).fit(X.astype(dtype), DIGITS)
    assert {leaf.dtype for leaf in ours.coefs_ + ours.intercepts_} == {np.dtype(dtype)}
    assert ours.predict_proba(X.astype(dtype)).dtype == dtype
    theirs = neural_network.MLPClassifier(**SHORT).fit(X.astype(dtype), DIGITS)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [{}, {"solver": "sgd"}, {"solver": "lbfgs"}, {"dropout": 0.2}, {"normalization": "batch"}],
    ids=str,
)
def test_compiled_and_interpreted_training_agree(settings, monkeypatch):
    fits = []
    for seconds in (0.0, np.inf):
        monkeypatch.setattr(cost, "COMPILE_SECONDS", seconds)
        fits.append(MLPClassifier(**(SHORT | settings)).fit(X, DIGITS))  # 200 rows, then 130
    assert_same(*fits)
