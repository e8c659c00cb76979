"""Tables of real data: a network against scikit-learn's gradient boosting and its own network.

Each is scored on the same five folds, with the same inputs: numbers standardised, text as one input
per category, both learnt from the training part of each fold. One setting of each method serves all
tables; nothing is tuned to one of them. Data: `houses` as in `pullback train houses` (CC0), the
others as scikit-learn ships them.

python examples/10_tables.py [PICTURE.png]
"""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold
from sklearn.neural_network import MLPClassifier, MLPRegressor

import pullback as pb
from pullback import nn


def tables() -> dict[str, tuple[pd.DataFrame, str]]:
    """Return each table and the name of the column to predict."""
    houses = pb.train.read_table(Path(pb.train.__file__).parent / "data" / "houses.csv")
    shipped = {
        "diabetes": datasets.load_diabetes,
        "breast cancer": datasets.load_breast_cancer,
        "digits": datasets.load_digits,
    }
    found = {name: (load(as_frame=True).frame, "target") for name, load in shipped.items()}
    return {"houses": (houses, "price")} | found


class Network:
    """A network of two hidden layers with dropout, by pullback's Trainer."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def fit(self, data: pb.train.Dataset) -> Network:
        """Train on standardised inputs, and labels or standardised numbers."""
        keys = pb.random.split(pb.random.key(0), 5)
        outputs = data.classes or 1
        model = nn.Sequential(
            [
                nn.Linear.create(keys[0], data.inputs.shape[1], 64),
                nn.Activation("relu"),
                nn.Dropout.create(keys[1], 0.2),
                nn.Linear.create(keys[2], 64, 64),
                nn.Activation("relu"),
                nn.Dropout.create(keys[3], 0.2),
                nn.Linear.create(keys[4], 64, outputs),
            ]
        )
        rate = pb.optim.cosine(3e-3, self.epochs * -(-len(data) // 32))
        loss = "softmax_cross_entropy" if data.classes else "mean_squared_error"
        self.trainer = pb.train.Trainer(model, loss, pb.optim.adamw(rate, weight_decay=0.01))
        self.trainer.fit(data, epochs=self.epochs, batch_size=32)
        return self

    def score(self, data: pb.train.Dataset) -> float:
        """Return the accuracy, or r2."""
        metric = pb.train.METRICS["accuracy" if data.classes else "r2"]
        return metric(self.trainer.predict(data.inputs), data.targets)


class Peer:
    """An estimator of scikit-learn: one for numbers, one for classes."""

    def __init__(self, regressor, classifier) -> None:
        self.regressor, self.classifier = regressor, classifier

    def fit(self, data: pb.train.Dataset) -> Peer:
        """Fit to the same arrays."""
        self.estimator = self.classifier if data.classes else self.regressor
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.estimator.fit(data.inputs, np.squeeze(data.targets))
        return self

    def score(self, data: pb.train.Dataset) -> float:
        """Return the accuracy, or r2."""
        return self.estimator.score(data.inputs, np.squeeze(data.targets))


def methods(epochs: int) -> dict[str, Network | Peer]:
    """Return the three methods by name."""
    options = {"hidden_layer_sizes": (64, 64), "max_iter": epochs, "random_state": 0}
    return {
        "pullback network": Network(epochs),
        "scikit-learn network": Peer(MLPRegressor(**options), MLPClassifier(**options)),
        "gradient boosting": Peer(
            HistGradientBoostingRegressor(random_state=0),
            HistGradientBoostingClassifier(random_state=0),
        ),
    }


def compare(frame: pd.DataFrame, target: str, epochs: int, folds: int) -> dict[str, np.ndarray]:
    """Return for each method the score and the seconds to fit in each fold, (folds, 2)."""
    rows: dict[str, list] = {name: [] for name in methods(epochs)}
    for train, test in KFold(folds, shuffle=True, random_state=0).split(frame):
        preprocessing = pb.train.TablePreprocessor.fit(
            frame.iloc[train], [target], classes_in=frame
        )
        known, held_out = (preprocessing.transform(frame.iloc[part]) for part in (train, test))
        for name, method in methods(epochs).items():
            start = time.perf_counter()
            method.fit(known)
            seconds = time.perf_counter() - start
            rows[name].append((method.score(held_out), seconds))
    return {name: np.array(values) for name, values in rows.items()}


def draw(path: str, found: dict[str, dict[str, np.ndarray]]) -> None:
    """Draw the scores of the folds, a point for each."""
    from matplotlib import pyplot as plt

    figure, places = plt.subplots(
        1, len(found), figsize=(10, 2.8), layout="constrained", squeeze=False
    )
    for axes, (table, results) in zip(places[0], found.items(), strict=True):
        for place, (name, values) in enumerate(results.items()):
            scores = values[:, 0]
            axes.plot(np.full(len(scores), place), scores, "o", color=f"C{place}", alpha=0.5)
            axes.plot(place, scores.mean(), "_", ms=24, mew=3, color=f"C{place}", label=name)
        axes.set(title=table, xticks=[], xlim=(-0.6, 2.6))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main(
    picture: str | None = None, epochs: int = 40, folds: int = 5, names: list[str] | None = None
) -> dict[str, dict[str, np.ndarray]]:
    """Print scores and times to fit for the tables in `names`, or all."""
    found = {}
    for name, (frame, target) in tables().items():
        if names is not None and name not in names:
            continue
        found[name] = compare(frame, target, epochs, folds)
        measure = "accuracy" if frame[target].nunique() <= 20 else "r2"
        print(f"{name}: {len(frame)} rows, {measure}, {folds} folds", flush=True)
        for method, values in found[name].items():
            (score, seconds), deviation = values.mean(axis=0), values[:, 0].std()
            print(f"  {method:22s} {score:.3f} +- {deviation:.3f}   {seconds:6.2f} s to fit")
    if picture is not None:
        draw(picture, found)
    return found


if __name__ == "__main__":
    main(*sys.argv[1:2])
