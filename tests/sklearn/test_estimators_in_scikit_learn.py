"""The estimators in pipelines, searches, other processes, files and tables."""

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra `app`)")
import joblib
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pullback import nn, optim, random
from pullback.core.errors import ConfigError, DataError
from pullback.sklearn import MLPClassifier, NeuralClassifier, NeuralRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
QUICK = {"max_iter": 60, "random_state": 0}


def net(key, inputs, outputs, *, width=8, activation="relu"):
    return nn.mlp(key, [inputs, width, outputs], activation)


class Wave(nn.Module):
    """sin(x W): a module of one's own."""

    weight: np.ndarray

    def __call__(self, x):
        return np.sin(x @ self.weight)


def mlp():
    return MLPClassifier((8,), learning_rate_init=0.02, **QUICK)


def neural():
    return NeuralClassifier(net, learning_rate=0.02, **QUICK)


@pytest.mark.parametrize("make", [mlp, neural])
def test_a_pipeline_is_searched_and_cross_validated(make):
    pipeline = make_pipeline(StandardScaler(), make())
    assert cross_val_score(pipeline, X, Y, cv=3).mean() > 0.9
    search = GridSearchCV(make(), {"alpha": [1e-4, 1.0]}, cv=2).fit(X, Y)
    assert search.best_estimator_.score(X, Y) > 0.85


def test_options_of_a_factory_are_parameters():
    estimator = neural()
    assert estimator.get_params()["module__width"] == 8
    search = GridSearchCV(estimator, {"module__width": [2, 16]}, cv=2).fit(X, Y)
    assert search.best_params_ == {"module__width": 16}
    wide = clone(search.best_estimator_)
    assert wide.get_params()["module__width"] == 16
    assert wide.fit(X, Y).model_[0].weight.shape == (4, 16)
    with pytest.raises(ConfigError, match="module__depth: the module's factory has no option"):
        estimator.set_params(module__depth=2)


@pytest.mark.parametrize("make", [mlp, neural])
def test_a_fitted_estimator_survives_pickle_joblib_and_clone(make, tmp_path):
    fitted = make().fit(X, Y)
    joblib.dump(fitted, tmp_path / "estimator.joblib")
    for copy in (
        pickle.loads(pickle.dumps(fitted)),
        joblib.load(tmp_path / "estimator.joblib"),
        clone(fitted).fit(X, Y),
    ):
        np.testing.assert_array_equal(copy.predict_proba(X), fitted.predict_proba(X))
    copy.partial_fit(X, Y)
    assert copy.t_ == fitted.t_ + len(X)


def test_two_processes_fit_at_a_time():
    scores = cross_val_score(mlp(), X, Y, cv=2, n_jobs=2)
    np.testing.assert_array_equal(scores, cross_val_score(mlp(), X, Y, cv=2))


@pytest.mark.parametrize("make", [mlp, neural])
def test_tables_keep_their_names(make):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed (extra `app`)")
    table = pandas.DataFrame(X, columns=["a", "b", "c", "d"])
    names = pandas.Series(Y).map({0: "setosa", 1: "versicolor", 2: "virginica"})
    estimator = make().fit(table, names, validation_data=(table, names))
    assert list(estimator.feature_names_in_) == list(table.columns)
    assert list(estimator.classes_) == ["setosa", "versicolor", "virginica"]
    assert estimator.score(table, names) > 0.9
    with pytest.raises(ValueError, match="feature names"):
        estimator.predict(table[["d", "c", "b", "a"]])


def test_several_targets_of_classes():
    both = np.stack([Y, Y % 2], axis=1)
    assert MultiOutputClassifier(mlp()).fit(X, both).predict(X).shape == both.shape


def test_a_module_begins_with_its_weights_and_stays_as_it_is():
    module = Wave(np.array([[0.9, 0.0], [0.1, 1.2]]))
    x = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    y = np.sin(x)
    regressor = NeuralRegressor(module, learning_rate=0.01, tol=0, random_state=0).fit(x, y)
    np.testing.assert_allclose(regressor.model_.weight, np.eye(2), atol=0.02)
    np.testing.assert_array_equal(module.weight, [[0.9, 0.0], [0.1, 1.2]])
    assert regressor.predict(x).shape == (200, 2)


@pytest.mark.parametrize("outputs", [1, 2])
def test_two_classes_take_one_logit_or_two(outputs):
    module = nn.mlp(random.key(0), [4, 8, outputs])
    estimator = NeuralClassifier(module, learning_rate=0.05, **QUICK).fit(X, Y > 0)
    assert estimator.out_activation_ == {1: "logistic", 2: "softmax"}[outputs]
    assert estimator.predict_proba(X).shape == (150, 2)
    assert estimator.score(X, Y > 0) > 0.9


def test_images_and_batch_norm_and_dropout_train():
    images = np.zeros((60, 6, 6, 1), np.float32)
    labels = np.arange(60) % 2
    images[labels == 1, 2:4] = 1
    key = random.key(0)
    module = nn.Sequential(
        [
            nn.Conv2d.create(key, 1, 4, 3),
            nn.BatchNorm.create(4),
            nn.Activation("relu"),
            nn.Flatten(),
            nn.Dropout.create(key, 0.2),
            nn.Linear.create(key, 64, 2),
        ]
    )
    estimator = NeuralClassifier(module, max_iter=10, batch_size=16, random_state=0)
    estimator.fit(images, labels)
    assert estimator.score(images, labels) > 0.9
    assert (estimator.model_[1].running_mean != 0).any()


def test_an_embedding_looks_whole_numbers_up():
    words = np.random.default_rng(0).integers(0, 10, (100, 1))
    key = random.key(0)
    module = nn.Sequential(
        [nn.Embedding.create(key, 10, 4), nn.Flatten(), nn.Linear.create(key, 4, 2)]
    )
    estimator = NeuralClassifier(module, learning_rate=0.05, dtype="int64", random_state=0)
    labels = (words[:, 0] > 6).astype(int)
    assert estimator.fit(words, labels).score(words, labels) == 1.0


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "rmsprop", "learning_rate": 0.03},
        {"optimizer": optim.adamw, "learning_rate": optim.cosine(0.05, steps=60)},
        {"optimizer": "nesterov", "learning_rate": 0.05, "alpha": 0.1},
    ],
    ids=["name", "function and schedule", "penalty"],
)
def test_any_optimizer_trains(settings):
    assert NeuralClassifier(net, **settings, **QUICK).fit(X, Y).score(X, Y) > 0.85


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"module": 3}, "module: expected a Module, or a function"),
        ({"module": nn.mlp(random.key(0), [4, 2])}, "module: expected 3 outputs for 3 classes"),
        ({"module": nn.Flatten()}, "module: expected 3 outputs for 3 classes, got 4"),
        ({"optimizer": "adamax"}, "optimizer: expected one of"),
        ({"optimizer": lambda r: optim.ema(optim.sgd(r))}, "optimizer: one that averages"),
        ({"learning_rate": -1.0}, "learning_rate: expected a positive number"),
    ],
)
def test_what_is_no_network_or_optimizer_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        NeuralClassifier(**({"module": net} | settings)).fit(X, Y)


@pytest.mark.parametrize("dtype", ["floaty", "complex64", "S3", 3, object])
def test_a_dtype_that_is_none_of_numbers_is_named(dtype):
    with pytest.raises(ConfigError, match="dtype: expected None or the name of a dtype"):
        NeuralClassifier(net, dtype=dtype).fit(X, Y)


SEVERAL = np.maximum(np.eye(3, dtype=int)[Y], np.eye(3, dtype=int)[0])


@pytest.mark.parametrize(
    ("targets", "others"),
    [(SEVERAL, Y), (SEVERAL, SEVERAL[:, :2]), (Y, SEVERAL)],
)
def test_targets_of_another_kind_are_refused_before_training(targets, others):
    estimator = MLPClassifier(verbose=True, **QUICK)
    with pytest.raises(DataError, match=r"validation_data: y: expected .* as the first targets"):
        estimator.fit(X, targets, validation_data=(X, others))
    assert estimator.t_ == 0
    estimator.partial_fit(X, targets, classes=[0, 1, 2])
    with pytest.raises(DataError, match=r"y: expected .* as the first targets were"):
        estimator.partial_fit(X, others)


def test_a_module_with_an_array_at_two_places_is_refused():
    layer = nn.Linear.create(random.key(0), 4, 4)
    with pytest.raises(ConfigError, match="are one array"):
        NeuralClassifier(nn.Sequential([layer, layer])).fit(X, Y)
