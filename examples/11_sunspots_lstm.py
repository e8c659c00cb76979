"""Sunspots ahead: an LSTM against a linear autoregression, one to eight years into the future.

Both see 22 years (two cycles of the sun) and predict the next; further years follow from their own
predictions. They learn from 1700 to 1949 and are tested from 1950 on. The order of the regression,
9, the width of the LSTM, 8, and its 50 epochs were chosen on 1900 to 1949, learning from the years
before. The counts are taken as square roots, which makes their noise even. The LSTM is the mean of
five networks that differ in how they begin. Data: yearly mean sunspot numbers, 1700 to 2008, public
domain; see data/README.md.

python examples/11_sunspots_lstm.py [PICTURE.png]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

import pullback as pb
from pullback import nn

DATA = Path(__file__).parent / "data" / "sunspots.csv"
WINDOW, HORIZON, ORDER = 22, 8, 9


def scaled(counts):
    """Return numbers of about 1 in size."""
    return np.sqrt(counts) / 5 - 1


def counts(scaled):
    """Return the sunspot numbers again; there are none below 0."""
    return 25 * np.maximum(scaled + 1, 0) ** 2


def windows(series, starts, length: int):
    """Return `length` entries of the series from each of `starts`, as rows."""
    return series[starts[:, None] + np.arange(length)]


def fit_autoregression(x, y):
    """Return the linear prediction from the last ORDER years, by least squares."""

    def features(x):
        return np.column_stack([x[:, -ORDER:], np.ones(len(x))])

    weights = np.linalg.lstsq(features(x), y, rcond=None)[0]
    return lambda x: features(x) @ weights


def fit_lstm(x, y, seed: int, epochs: int):
    """Return the prediction of an LSTM that was trained on windows x, (n, WINDOW), to give y."""
    keys = pb.random.split(pb.random.key(seed), 2)
    model = nn.Sequential(
        [nn.LSTM.create(keys[0], 1, 8, returns="last"), nn.Linear.create(keys[1], 8, 1)]
    )
    data = pb.train.Dataset(np.float32(x[:, :, None]), np.float32(y[:, None]))
    rate = pb.optim.cosine(1e-2, epochs * -(-len(data) // 32))
    trainer = pb.train.Trainer(model, "mean_squared_error", pb.optim.adam(rate))
    trainer.fit(data, epochs=epochs, batch_size=32)
    return lambda x: trainer.predict(np.float32(x[:, :, None]))[:, 0]


def ahead(predict, x):
    """Return HORIZON years that follow each row of x, each predicted from those before it."""
    found = []
    for _ in range(HORIZON):
        found.append(predict(x))
        x = np.column_stack([x[:, 1:], found[-1]])
    return counts(np.stack(found, axis=1))


def draw(path: str, years, truth, forecasts: dict, errors: dict) -> None:
    """Draw the forecasts of one year ahead, and the errors against the horizon."""
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 3.2), layout="constrained", width_ratios=[1.7, 1]
    )
    left.plot(years, truth[:, 0], "k.-", label="observed")
    colors = dict(zip(errors, ("0.8", "0.6", "C0", "C1"), strict=True))
    for name in ("autoregression", "LSTM"):
        left.plot(years, forecasts[name][:, 0], color=colors[name], label=f"{name}, a year ahead")
    left.set(xlabel="year", ylabel="sunspot number", ylim=(0, 260))
    for name, error in errors.items():
        right.plot(np.arange(1, HORIZON + 1), error, "o-", color=colors[name], label=name)
    right.set(xlabel="years ahead", ylabel="root mean squared error")
    for axes in (left, right):
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def compare(years, numbers, first: int, last: int, epochs: int, networks: int):
    """Fit to the years before `first`, forecast from there to `last`; return all of it."""
    known, end = np.searchsorted(years, [first, last + 1])
    series = scaled(numbers)
    starts = np.arange(known - WINDOW)
    x, y = windows(series, starts, WINDOW), series[starts + WINDOW]
    fitted = [fit_lstm(x, y, seed, epochs) for seed in range(networks)]

    origins = np.arange(known, end - HORIZON + 1)
    seen, truth = windows(series, origins - WINDOW, WINDOW), windows(numbers, origins, HORIZON)
    forecasts = {
        "as last year": np.repeat(numbers[origins - 1][:, None], HORIZON, axis=1),
        "as 11 years before": windows(numbers, origins - 11, HORIZON),
        "autoregression": ahead(fit_autoregression(x, y), seen),
        "LSTM": np.mean([ahead(predict, seen) for predict in fitted], axis=0),
    }
    errors = {
        name: np.sqrt(np.mean((forecast - truth) ** 2, axis=0))
        for name, forecast in forecasts.items()
    }
    return years[origins], truth, forecasts, errors


def main(picture: str | None = None, epochs: int = 50, networks: int = 5) -> dict[str, float]:
    """Print the errors for each horizon, and return those of the test a year ahead."""
    years, numbers = np.loadtxt(DATA, delimiter=",", skiprows=1, unpack=True)
    for first, last in ((1900, 1949), (1950, 2008)):
        start = time.perf_counter()
        found = compare(years, numbers, first, last, epochs, networks)
        errors = found[-1]
        seconds = time.perf_counter() - start
        print(f"{first} to {last}: root mean squared errors, after {seconds:.0f} s")
        print("  years ahead         " + "".join(f"{k + 1:6}" for k in range(HORIZON)))
        for name, error in errors.items():
            print(f"  {name:20s}" + "".join(f"{value:6.1f}" for value in error))
    if picture is not None:
        draw(picture, *found)
    return {name: float(error[0]) for name, error in errors.items()}


if __name__ == "__main__":
    main(*sys.argv[1:2])
