"""`pullback export`: onnxruntime predicts from the rows of a table what `pullback predict` does."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from onnx_running import session

pd = pytest.importorskip("pandas")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra `onnx`)")


def pullback(*args, cwd, check=0):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run(
        [sys.executable, "-m", "pullback.cli.main", *map(str, args)],
        cwd=cwd, capture_output=True, text=True, env=env, timeout=120,
    )  # fmt: skip
    assert result.returncode == check, result.stdout + result.stderr
    return result.stdout + result.stderr


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"size": rng.normal(1e4, 10, 100), "town": rng.choice(["a", "b"], 100)})
    frame["age"] = rng.normal(size=100)
    frame["price"] = frame["size"] + np.where(frame.town == "a", 5.0, -5.0)
    frame["rent"] = -frame.age
    frame["label"] = np.where(frame.price > 1e4, "dear", "cheap")
    frame.loc[3, "size"] = np.nan
    frame.loc[4, "town"] = None
    frame.to_csv(tmp_path / "table.csv", index=False)
    return frame


def rows_of(frame, note):
    """The rows as the note in the file asks for them."""
    columns = []
    for column in note["columns"]:
        values = frame[column["name"]]
        if "categories" in column:
            places = {name: i for i, name in enumerate(column["categories"])}
            values = values.map(lambda name, places=places: places.get(name, -1))
        columns.append(values.to_numpy(float))
    return np.stack(columns, axis=1)


def exported(tmp_path, frame, target):
    """The results of the exported model by name, what it says of itself, and the predictions."""
    pullback("train", "table.csv", "--target", target, "--epochs", "3", "--hidden", "8",
             "--out", "run", cwd=tmp_path)  # fmt: skip
    said = pullback("export", "run", "--onnx", "out/model.onnx", cwd=tmp_path)
    assert "out/model.onnx: from rows of" in said
    runner = session(tmp_path / "out" / "model.onnx")
    note = json.loads(runner.get_modelmeta().custom_metadata_map["pullback.table"])
    results = runner.run(None, {"rows": rows_of(frame, note)})
    pullback("predict", "run", "table.csv", "--out", "predictions.csv", cwd=tmp_path)
    names = [o.name.removeprefix("output.") for o in runner.get_outputs()]
    return dict(zip(names, results, strict=True)), note, pd.read_csv(tmp_path / "predictions.csv")


def test_numbers_come_in_their_units(table, tmp_path):
    results, note, predicted = exported(tmp_path, table, "price,rent")
    assert note["task"] == "regression"
    for name in ("price", "rent"):
        np.testing.assert_allclose(results[name], predicted[name], rtol=1e-5, atol=1e-5)


def test_classes_come_with_their_probabilities(table, tmp_path):
    results, note, predicted = exported(tmp_path, table, "label")
    classes = note["targets"][0]["classes"]
    assert list(np.array(classes)[results["class"]]) == list(predicted.label)
    for i, name in enumerate(classes):
        found = results["probabilities"][:, i]
        np.testing.assert_allclose(found, predicted[f"p({name})"], rtol=1e-5, atol=1e-5)


def test_a_folder_without_a_run_is_an_error(tmp_path):
    assert "expected the folder of a run" in pullback("export", ".", cwd=tmp_path, check=2)
