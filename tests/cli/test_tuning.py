"""The options of `pullback train` that change how it learns."""

import json
import re
from functools import partial

import numpy as np
import pytest
import safetensors.numpy as safetensors
from typer.testing import CliRunner

from pullback.cli.config import Config
from pullback.cli.main import app
from pullback.core.errors import ConfigError
from pullback.train import checkpoint

pytest.importorskip("pandas")
pytest.importorskip("matplotlib")

SMALL = ["train", "houses-generated", "--hidden", "8"]


def pullback(*args):
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize(
    "options",
    [
        ["--optimizer", "lion", "--weight-decay", "0.1", "--clip-norm", "1", "--accumulate", "2"],
        ["--ema", "0.9", "--schedule", "plateau", "--lr", "0.05", "--precision", "bfloat16"],
    ],
)
def test_options_are_kept_and_resumed_bitwise(options, tmp_path):
    pullback(*SMALL, *options, "--schedule", "plateau", "--epochs", 4, "--out", tmp_path / "a")
    pullback(*SMALL, *options, "--schedule", "plateau", "--epochs", 2, "--out", tmp_path / "b")
    pullback("train", "--resume", tmp_path / "b", "--epochs", 4)
    first, second = ((tmp_path / run / "model.safetensors").read_bytes() for run in "ab")
    assert first == second
    kept = json.loads((tmp_path / "a" / "config.json").read_text())["options"]
    names = [name.removeprefix("--").replace("-", "_") for name in options[::2]]
    assert [str(kept[name]).removesuffix(".0") for name in names] == options[1::2]


@pytest.mark.parametrize("name", ["adamw", "lion", "lamb"])
def test_biases_do_not_decay(name):
    make = partial(Config, "houses", None, "auto", [4], "relu", name, 0.1, "constant", 32, 1, 0, 0)
    params = {"weight": np.ones((2, 2)), "bias": np.ones(2)}
    gradient = {key: 0 * value for key, value in params.items()}
    for given, decay in (({}, 0.01 if name == "adamw" else 0.0), ({"weight_decay": 0.5}, 0.5)):
        optimizer = make(0.2, **given).make_optimizer(64)
        after, _ = optimizer.update(gradient, optimizer.init(params), params)
        np.testing.assert_array_equal(after["bias"], params["bias"])
        assert (after["weight"] < 1).all() == (decay > 0)


def test_patience_ends_a_run_with_its_best_model(tmp_path):
    out = tmp_path / "run"
    said = pullback(
        *SMALL, "--patience", 2, "--lr", 0.3, "--epochs", 200, "--schedule", "one-cycle",
        "--out", out,
    )  # fmt: skip
    info = checkpoint.read_info(out / "checkpoint.safetensors")
    losses = [row["validation_loss"] for row in info["history"]]
    assert len(losses) == np.argmin(losses) + 3 < 200
    assert f"validation_loss was best in epoch {np.argmin(losses) + 1}" in said
    # the best file holds the optimizer's state, too
    model, best = (safetensors.load_file(out / f"{name}.safetensors") for name in ("model", "best"))
    assert model
    for name, array in model.items():
        np.testing.assert_array_equal(array, best[f"model.{name.removeprefix('.')}"])


def test_find_lr_suggests_and_draws_and_does_not_train(tmp_path):
    said = pullback(*SMALL, "--find-lr", "--out", tmp_path / "tried")
    assert re.match(r"try --lr [\d.e-]+; the curve is in .*lr\.png", said)
    assert [path.name for path in (tmp_path / "tried").iterdir()] == ["lr.png"]


def test_errors_are_in_the_units_of_the_targets(tmp_path):
    said = pullback(*SMALL, "--metric", "mae", "--epochs", 2, "--out", tmp_path / "run")
    price, fee = (float(x) for x in re.findall(r"mean absolute error ([\d.]+)", said))
    (shown,) = re.findall(r"\nmae +([\d.]+) on held-out", said)
    assert price > 10 * fee
    assert float(shown) == pytest.approx((price + fee) / 2, rel=1e-3)
    header, *_, last = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    row = dict(zip(header.split(","), last.split(","), strict=True))
    assert f"mae {float(row['validation_mae']):#.4g}" in said


def test_balanced_classes_are_trained_on(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=300).round(3)
    rows = [f"{a},{'rare' if a > 1.6 else 'frequent'}" for a in x]
    (tmp_path / "t.csv").write_text("x,kind\n" + "\n".join(rows) + "\n")
    said = pullback(
        "train", tmp_path / "t.csv", "--target", "kind", "--balanced", "--keep-best", "--epochs", 3,
        "--schedule", "linear", "--optimizer", "lamb", "--out", tmp_path / "run",
    )  # fmt: skip
    assert "accuracy" in said
    assert (tmp_path / "run" / "best.safetensors").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--weight-decay", "0.1"], "--weight-decay: adam has none; take --optimizer adamw, lion"),
        (["--optimizer", "adamw", "--weight-decay", "-1"], "--weight-decay: expected a number of"),
        (["--clip-norm", "0"], "--clip-norm: expected a number above 0"),
        (["--accumulate", "0"], "--accumulate: expected 1 or more"),
        (["--ema", "1"], "--ema: expected a decay of 0 or more, below 1, got 1"),
        (["--patience", "0"], "--patience: expected a number above 0"),
        (["--precision", "float16"], "--precision: expected one of float32, bfloat16"),
        (["--precision", "bfloat16", "--no-compile"], "--precision: bfloat16 products need"),
        (["--schedule", "cyclic"], "--schedule: expected one of constant, cosine, linear"),
        (["--balanced"], "--balanced: expected a classification"),
    ],
)
def test_bad_options_are_named_and_nothing_is_written(options, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        pullback(*SMALL, *options, "--out", tmp_path / "run")
    assert not list(tmp_path.iterdir())
