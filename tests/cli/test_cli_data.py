"""The command line on data that is streamed: tables in windows, folders of images."""

import numpy as np
import pytest
from command_line import pullback

pd = pytest.importorskip("pandas")


def test_a_folder_of_tables_is_trained_on_in_windows_and_resumed(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "t").mkdir()
    for part in range(2):
        frame = pd.DataFrame({"x": rng.normal(size=300), "kind": rng.choice(["a", "b"], 300)})
        frame.assign(y=2 * frame.x).to_parquet(tmp_path / "t" / f"{part}.parquet")
    options = ["train", "t", "--target", "y", "--window", "200", "--hidden", "8"]
    said = pullback(*options, "--epochs", "3", "--tensorboard", "--out", "a", cwd=tmp_path)
    assert "rows to train" in said
    assert "R²" in said
    assert list((tmp_path / "a" / "tensorboard").glob("events.out.tfevents.*"))
    pullback(*options, "--epochs", "2", "--out", "b", cwd=tmp_path)
    pullback("train", "--resume", "b", "--epochs", "3", cwd=tmp_path)
    first, second = ((tmp_path / r / "model.safetensors").read_bytes() for r in "ab")
    assert first == second
    pullback("predict", "a", "t", "--out", "p.csv", cwd=tmp_path)
    assert len(pd.read_csv(tmp_path / "p.csv")) == 600


def test_a_folder_of_images_is_learned_and_predicted(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for i in range(40):
        path = tmp_path / "d" / ("dark", "light")[i % 2] / f"{i}.png"
        path.parent.mkdir(exist_ok=True, parents=True)
        image.fromarray(np.full((12, 12), 40 + 150 * (i % 2) + i, np.uint8)).save(path)
    options = [
        "--metric",
        "log_loss",
        "--epochs",
        "20",
        "--lr",
        "0.01",
        "--image-size",
        "8",
        "--augment",
        "flip,crop",
    ]
    said = pullback("train", "d", *options, "--out", "run", cwd=tmp_path)
    assert "8x8x1 - 16 - 32 - 2" in said
    assert "log_loss    0." in said
    assert (tmp_path / "run" / "metrics.csv").read_text().count("validation_log_loss") == 1
    pullback("predict", "run", "d", cwd=tmp_path)
    found = pd.read_csv(tmp_path / "run" / "predictions.csv")
    assert len(found) == 40
    right = [f"/{row['class']}/" in row["file"].replace("\\", "/") for _, row in found.iterrows()]
    assert np.mean(right) > 0.9


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["houses", "--window", "100"], "houses fits into memory"),
        (["houses", "--metric", "f2"], "metric: expected one of accuracy, r2"),
        (["houses", "--augment", "flip"], "--augment: houses is not a folder"),
        (["empty", "--target", "y"], "empty: expected tables"),
        (["t.parquet", "--target", "y", "--window", "some"], "window: expected rows"),
    ],
)
def test_bad_options_are_told_in_a_line(tmp_path, args, message):
    (tmp_path / "empty").mkdir()
    pd.DataFrame({"x": [1.0, 2.0] * 9, "y": [1.0, 2.0] * 9}).to_parquet(tmp_path / "t.parquet")
    assert message in pullback("train", *args, cwd=tmp_path, check=2)
