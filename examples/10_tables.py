"""Tables of real data: a network against scikit-learn's network and its gradient boosting.

All are scored by `cross_validate` on the same five folds and see the same columns: numbers
standardised, text as one column per category, both learnt within each fold. The two networks have
the same layers, steps and learning rate; pullback's has dropout, too, which scikit-learn's lacks.
One setting of each method serves all tables; boosting has its defaults. Data: `houses` as in
`pullback train houses` (CC0), the others as scikit-learn ships them.

python examples/10_tables.py [PICTURE.png]
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pandas as pd
from sklearn import datasets, neural_network
from sklearn.compose import (
    TransformedTargetRegressor,
    make_column_selector,
    make_column_transformer,
)
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import pullback as pb
from pullback.sklearn import MLPClassifier, MLPRegressor

CLASSES = ("breast cancer", "digits")


def tables() -> dict[str, tuple[pd.DataFrame, pd.Series]]:
    """Return the columns and the target of each table."""
    houses = pb.train.read_table(Path(pb.train.__file__).parent / "data" / "houses.csv")
    return {
        "houses": (houses.drop(columns="price"), houses["price"] / 1000),
        "diabetes": datasets.load_diabetes(return_X_y=True, as_frame=True),
        "breast cancer": datasets.load_breast_cancer(return_X_y=True, as_frame=True),
        "digits": datasets.load_digits(return_X_y=True, as_frame=True),
    }


def methods(classify: bool, epochs: int) -> dict:
    """Return the three methods by name, as estimators of the columns of a table."""
    network = {
        "hidden_layer_sizes": (64, 64),
        "learning_rate_init": 3e-3,
        "batch_size": 32,
        "max_iter": epochs,
        "random_state": 0,
    }
    if classify:
        ours, theirs = MLPClassifier, neural_network.MLPClassifier
        boosting = HistGradientBoostingClassifier(random_state=0)
    else:
        ours, theirs = MLPRegressor, neural_network.MLPRegressor
        boosting = HistGradientBoostingRegressor(random_state=0)
    found = {
        "pullback network": ours(**network, dropout=0.2),
        "scikit-learn network": theirs(**network),
        "gradient boosting": boosting,
    }
    return {name: of_columns(estimator, classify) for name, estimator in found.items()}


def of_columns(estimator, classify: bool):
    """Return the estimator behind what makes numbers of columns, and for a standardised target."""
    columns = make_column_transformer(
        (
            OneHotEncoder(handle_unknown="ignore", sparse_output=False),
            make_column_selector(dtype_exclude="number"),
        ),
        remainder=StandardScaler(),
    )
    whole = make_pipeline(columns, estimator)
    return whole if classify else TransformedTargetRegressor(whole, transformer=StandardScaler())


def draw(path: str, found: dict[str, dict]) -> None:
    """Draw the scores of the folds, a point for each, and their means."""
    from matplotlib import pyplot as plt

    figure, places = plt.subplots(
        1, len(found), figsize=(10, 2.8), layout="constrained", squeeze=False
    )
    for axes, (table, results) in zip(places[0], found.items(), strict=True):
        for i, (name, result) in enumerate(results.items()):
            scores = result["test_score"]
            axes.plot([i] * len(scores), scores, "o", color=f"C{i}", alpha=0.5)
            axes.plot(i, scores.mean(), "_", ms=24, mew=3, color=f"C{i}", label=name)
        measure = "accuracy" if table in CLASSES else "r2"
        axes.set(title=f"{table}, {measure}", xticks=[], xlim=(-0.6, 2.6))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main(
    picture: str | None = None, epochs: int = 60, folds: int = 5, names: list[str] | None = None
) -> dict[str, dict]:
    """Print scores and seconds to fit for the tables in `names`, or all; return them."""
    found: dict[str, dict] = {}
    for table, (columns, target) in tables().items():
        if names is not None and table not in names:
            continue
        classify = table in CLASSES
        print(f"{table}: {len(columns)} rows, {'accuracy' if classify else 'r2'}", flush=True)
        found[table] = {}
        for name, estimator in methods(classify, epochs).items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                result = found[table][name] = cross_validate(
                    estimator, columns, target, cv=KFold(folds, shuffle=True, random_state=0)
                )
            scores, seconds = result["test_score"], result["fit_time"]
            print(
                f"  {name:22s} {scores.mean():.3f} +- {scores.std():.3f}   "
                f"{seconds.min():5.2f} to {seconds.max():5.2f} s to fit",
                flush=True,
            )
    if picture is not None:
        draw(picture, found)
    return found


if __name__ == "__main__":
    main(*sys.argv[1:2])
