"""The command line as a user runs it: output, files, errors, exit codes."""

import signal
import sys

import numpy as np
import pytest
from command_line import pullback
from processes import interruptible, wait_for_text

pd = pytest.importorskip("pandas")


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    x, kind = rng.normal(size=120), rng.choice(["a", "b"], 120)
    frame = pd.DataFrame({"x": x, "kind": kind})
    frame["y"] = 3 * x + np.where(kind == "a", 1.0, -1.0)
    frame["z"] = -x
    frame["label"] = np.where(frame.y > 0, "up", "down")
    frame.loc[3, "x"] = np.nan
    path = tmp_path / "table.csv"
    frame.to_csv(path, index=False)
    return path


def test_train_and_predict_several_targets(table, tmp_path):
    said = pullback(
        "train", table, "--target", "y,z", "--hidden", "16", "--epochs", "30", "--lr", "0.01",
        "--out", "run", cwd=tmp_path,
    )  # fmt: skip
    assert "regression of y, z" in said
    assert "RMSE" in said
    run = tmp_path / "run"
    for name in ("model.safetensors", "config.json", "metrics.csv", "curves.png"):
        assert (run / name).stat().st_size > 0
    assert len(pd.read_csv(run / "metrics.csv")) == 30
    said = pullback("predict", "run", table, cwd=tmp_path)
    found = pd.read_csv(run / "predictions.csv")
    assert list(found.columns) == ["y", "z"]
    truth = pd.read_csv(table)
    kept = truth.x.notna()
    assert np.abs(found.y - truth.y)[kept].mean() < 1.0


def test_classes_are_predicted_by_name(table, tmp_path):
    pullback("train", table, "--target", "label", "--epochs", "10", "--out", "run", cwd=tmp_path)
    pullback("predict", "run", table, "--out", "p.csv", cwd=tmp_path)
    found = pd.read_csv(tmp_path / "p.csv")
    assert set(found.label) <= {"up", "down"}
    np.testing.assert_allclose(found["p(up)"] + found["p(down)"], 1, rtol=1e-5)


def test_resume_continues_bitwise(tmp_path):
    options = ["train", "houses-generated", "--hidden", "8"]
    pullback(*options, "--epochs", "4", "--out", "a", cwd=tmp_path)
    pullback(*options, "--epochs", "2", "--out", "b", cwd=tmp_path)
    said = pullback("train", "--resume", "b", "--epochs", "4", cwd=tmp_path)
    assert "4 epochs" in said
    first, second = ((tmp_path / r / "model.safetensors").read_bytes() for r in "ab")
    assert first == second


def test_ctrl_c_ends_with_a_checkpoint_and_says_how_to_go_on(tmp_path):
    command = [sys.executable, "-m", "pullback.cli.main", "train", "houses-generated"]
    command += ["--epochs", "100000", "--out", "run"]
    with interruptible(command, cwd=tmp_path) as process:
        wait_for_text(tmp_path / "run" / "metrics.csv", process)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "pullback train --resume run" in said
    assert "Traceback" not in said


def test_unnamed_runs_get_a_folder_of_their_own(tmp_path):
    for _ in range(2):
        pullback("train", "houses-generated", "--epochs", "1", cwd=tmp_path)
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == [
        "houses-generated-1",
        "houses-generated-2",
    ]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["train", "nowhere.csv", "--target", "y"], "nowhere.csv: no such file"),
        (["train", "table.csv"], "the columns are x, kind, y, z, label"),
        (["train", "table.csv", "--target", "yy"], "did you mean 'y'"),
        (["train", "houses", "--activation", "foo"], "--activation: expected one of sigmoid"),
        (["train", "houses", "--optimizer", "foo"], "--optimizer: expected one of sgd"),
        (["train", "houses", "--schedule", "foo"], "--schedule: expected one of constant"),
        (["train", "houses", "--task", "foo"], "--task: expected one of auto"),
        (["train", "houses", "--hidden", "a,b"], "--hidden: expected whole numbers"),
        (["train", "houses", "--hidden", "0"], "--hidden: expected widths of 1 or more"),
        (["train", "houses", "--lr", "-1"], "--lr: expected a number above 0, got -1"),
        (["train", "houses", "--batch-size", "0"], "--batch-size: expected 1 or more"),
        (["train", "houses", "--epochs", "0"], "--epochs: expected 1 or more"),
        (["train", "houses", "--l2", "-1"], "--l2"),
        (["train", "--resume", "nowhere"], "nowhere: expected the folder of a run"),
        (["predict", "nowhere", "table.csv"], "nowhere: expected the folder of a run"),
        (["data", "fetch", "imagenet"], "expected mnist, got 'imagenet'"),
    ],
)
def test_errors_are_one_message_and_nothing_is_written(table, tmp_path, args, message):
    before = sorted(tmp_path.iterdir())
    said = pullback(*args, cwd=tmp_path, check=2)
    assert message in said.replace("\n", " ")
    assert sorted(tmp_path.iterdir()) == before


def test_a_run_is_not_overwritten(tmp_path):
    pullback("train", "houses-generated", "--epochs", "1", "--out", "run", cwd=tmp_path)
    said = pullback("train", "houses-generated", "--out", "run", cwd=tmp_path, check=2)
    assert "--resume run" in said
    (tmp_path / "run" / "config.json").write_text("{")
    said = pullback("train", "--resume", "run", cwd=tmp_path, check=2)
    assert "not a readable configuration" in said


def test_version(tmp_path):
    assert pullback("--version", cwd=tmp_path).strip() == "pullback 0.1.0"


def test_the_machine_code_that_is_kept_can_be_cleared(tmp_path):
    kept = {"cwd": tmp_path, "PULLBACK_CACHE": str(tmp_path / "code")}
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / ("0" * 64)).write_bytes(b"machine code")
    assert f"{tmp_path / 'code'}: 1 entries, 12 bytes" in pullback("cache", **kept)
    assert "0 entries, 0 bytes" in pullback("cache", "--clear", **kept)


def test_derive_prints_a_formula_step_by_step(tmp_path):
    said = pullback(
        "derive", "0.5*norm(sigmoid(W2 @ relu(W1 @ x)) - t)**2", "--wrt", "W1,W2",
        "--shape", "W1=4x3,W2=2x4", "--shape", "x=3,t=2", cwd=tmp_path,
    )  # fmt: skip
    assert "δ₂     " in said
    assert "= ∂E/∂z₂ = (h₂ − t) ∘ σ′(z₂)" in said
    assert "∂E/∂W₁   = δ₁ xᵀ" in said
    assert "∂E/∂x" not in said


def test_derive_writes_latex_and_pages(tmp_path):
    said = pullback("derive", "x @ A @ x", "--shape", "A=3x3,x=3", "--format", "latex",
                    cwd=tmp_path)  # fmt: skip
    assert r"\frac{\partial E}{\partial x} &= \left(A + A^{\top}\right) \, x" in said
    pullback("derive", "log(det(X))", "--shape", "X=3x3", "--format", "html", "--out", "d.html",
             cwd=tmp_path)  # fmt: skip
    assert (tmp_path / "d.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["__import__('os').system('touch pwned')"], "is not allowed"),
        (["().__class__.__bases__"], "is not allowed"),
        (["x.__class__"], "'x.__class__' is not allowed"),
        (["[x for x in y]"], "is not allowed"),
        (["(lambda: x)()"], "is not allowed"),
        (["norm(x, ord=1)"], "is not allowed"),
        (["'a' * 9"], "is not allowed"),
        (["eval(x)"], "no function is called 'eval'"),
        (["nrom(x)"], "did you mean norm?"),
        (["x +"], "cannot read 'x +'"),
        (["(" * 500 + "x" + ")" * 500], "cannot read"),
        (["0" + "-" * 1900 + "x"], "nested too deeply"),
        (["x" * 3000], "2000 characters at most"),
        (["1 + 1"], "has no name"),
        (["x * 9**9**9"], "cannot be computed"),
        (["norm() * x"], "cannot be computed"),
        (["A @ x", "--shape", "A=2x3,x=2"], "do not fit"),
        (["norm(x)", "--shape", "x=axb"], "--shape: expected NAME=4x3"),
        (["norm(x)", "--shape", "x=-3"], "--shape: expected NAME=4x3"),
        (["norm(x)", "--shape", "y=3"], "the formula has no 'y'; it has x"),
        (["norm(x)", "--shape", "x=9999999"], "entries at most"),
        (["sum(kron(x, x))", "--shape", "x=900x900"], "more than 1000000 entries"),
        (["norm(x)", "--wrt", "z"], "the formula has no 'z'; it has x"),
        (["log(-x)"], "not finite"),
        (["exp(1000) * x"], "error: derive: E = ∞ x is not finite"),
        (["norm(x)", "--format", "pdf"], "--format: expected text, latex or html"),
    ],
)
def test_derive_refuses_what_is_no_formula(tmp_path, args, message):
    said = pullback("derive", *args, cwd=tmp_path, check=2)
    assert message in said.replace("\n", " ")
    assert "Warning" not in said
    assert not list(tmp_path.iterdir())


def test_report_of_a_run_is_one_page(table, tmp_path):
    pullback("train", table, "--target", "label", "--epochs", "2", "--out", "run", cwd=tmp_path)
    said = pullback("report", "run", cwd=tmp_path)
    assert "report.html" in said
    text = (tmp_path / "run" / "report.html").read_text()
    assert "confusion" in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    pullback("report", "run", "--out", "elsewhere/page.html", cwd=tmp_path)
    assert (tmp_path / "elsewhere" / "page.html").read_text() == text


def test_report_refuses_other_data(table, tmp_path):
    pullback("train", table, "--target", "y", "--epochs", "1", "--out", "run", cwd=tmp_path)
    frame = pd.read_csv(table)
    frame["y"] = frame["y"] * 2 + np.arange(len(frame))
    frame.to_csv(table, index=False)
    said = pullback("report", "run", cwd=tmp_path, check=2)
    assert "not those that" in said
    assert "--source" in said
    said = pullback("report", ".", cwd=tmp_path, check=2)
    assert "expected the folder of a run" in said


def test_train_warns_of_layers_that_do_not_learn(tmp_path):
    said = pullback(
        "train", "houses-generated", "--hidden", ",".join(["8"] * 20), "--activation", "sigmoid",
        "--epochs", "1", "--no-compile", "--out", "run", cwd=tmp_path,
    )  # fmt: skip
    assert "the gradient vanishes" in said
    assert "Remedy: use relu" in said
    assert (tmp_path / "run" / "layers.json").exists()
