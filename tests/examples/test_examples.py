"""Every example runs, and what it claims holds."""

import runpy
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(name):
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))


def run(name, *args, **kwargs):
    return load(name)["main"](*args, **kwargs)


def test_houses_matrices_equal_the_loop_and_are_faster(capsys):
    found = run("01_houses", steps=20)
    assert found["difference"] < 1e-12
    assert found["speedup"] > 1
    assert "us a step" in capsys.readouterr().out


def test_houses_are_explained_by_a_linear_model():
    assert run("01_houses", steps=100)["explained"] > 0.9


def test_matrix_form_equals_grad_with_loops_and_with_recursion():
    found = run("02_matrix_form")
    assert len(found) == 4
    assert max(found.values()) < 1e-12


def test_mnist_three_ways_end_at_the_same_weights(mnist_dir):
    found = run("03_mnist_epochs", samples=500, rounds=1)
    assert found["difference"] < 1e-10


def test_sigmoid_neuron_has_the_textbook_gradients(tmp_path, capsys):
    found = run("04_sigmoid_neuron", str(tmp_path / "neuron.dot"))
    expected = {"w0": -0.20, "x0": 0.39, "w1": -0.39, "x1": -0.59, "w2": 0.20}
    for name, value in expected.items():
        assert found[f"neuron.{name}"] == pytest.approx(value, abs=0.005)
    assert found["gates.x"] == -8.0  # multiply switches: 2 y
    assert found["gates.y"] == 6.0
    assert found["gates.z"] == 2.0  # max routes
    assert found["gates.w"] == 0.0
    assert (tmp_path / "neuron.dot").read_text().startswith("digraph")
    assert "value" in capsys.readouterr().out


def test_two_paths_add_up_to_the_gradient():
    found = run("05_two_paths")
    assert set(found) == {"w1", "w2"}
    assert max(found.values()) < 1e-12


def test_hessian_vector_products_solve_newtons_equation():
    found = run("06_hessian_vector_products")
    assert found["difference"] < 1e-12
    assert found["gradient"] < 1e-10
    assert found["steps"] < 10


def test_sparse_optimization_solves_its_problems():
    found = run("07_sparse_optimization")
    assert found["residual"] < 1e-5
    assert found["error"] < 0.05
    assert found["lowest"] == pytest.approx(found["exact"], rel=1e-3)


def test_derivations_are_those_of_the_lessons(tmp_path, capsys):
    found = run("08_derivations", str(tmp_path / "derivations.html"))
    assert len(found) == 4
    assert max(found.values()) < 1e-12
    said = capsys.readouterr().out
    assert "Δ₁     = ∂E/∂Z₁ = (Δ₂ W₂ᵀ) ∘ σ′(Z₁)" in said
    assert "δ₁     = ∂E/∂z₁ = (W₂ᵀ δ₂) ∘ σ′(z₁)" in said
    assert "<math" in (tmp_path / "derivations.html").read_text()


def test_lenet_learns_digits(mnist_dir, tmp_path):
    found = run("09_mnist_lenet", str(tmp_path / "lenet.png"), samples=3000, epochs=2)
    assert found["accuracy"] > 0.85
    assert (tmp_path / "lenet.png").stat().st_size > 1000


def test_network_and_peers_predict_a_table(tmp_path):
    pytest.importorskip("sklearn")
    names = ["diabetes", "breast cancer"]
    found = run("10_tables", str(tmp_path / "tables.png"), epochs=20, folds=2, names=names)
    for table, least in zip(names, (0.2, 0.9), strict=True):  # guessing gives 0 and 0.63
        assert len(found[table]) == 3
        assert all(result["test_score"].mean() > least for result in found[table].values())


def test_sunspots_are_forecast_better_than_as_last_year(tmp_path):
    found = run("11_sunspots_lstm", str(tmp_path / "sunspots.png"), networks=1)
    assert found["LSTM"] < 0.7 * found["as last year"]
    assert found["autoregression"] < 0.7 * found["as last year"]


def test_gpt_learns_letters_and_writes(tmp_path, capsys):
    sizes = {"epochs": 2, "features": 16, "layers": 1, "characters": 12_000, "length": 40}
    found = run("12_character_gpt", str(tmp_path / "gpt.png"), **sizes)
    assert found["held_out"] < 0.9 * found["guessing"]
    assert found["loss"] < found["first"]
    assert found["written"] == 40
    assert "|" in capsys.readouterr().out


def test_residual_of_burgers_equation_falls_and_the_solution_comes_near(tmp_path):
    found = run("13_burgers_pinn", str(tmp_path / "burgers.png"), iterations=300, points=300)
    assert found["residual"] < 0.1
    assert found["error"] < 0.4


def test_reference_of_burgers_equation_solves_it():
    burgers, h = load("13_burgers_pinn"), 1e-3
    u, t, x = burgers["reference"], np.full(9, 0.3), np.linspace(-0.9, 0.9, 9)
    u_t = (u(t + h, x) - u(t - h, x)) / (2 * h)
    u_x = (u(t, x + h) - u(t, x - h)) / (2 * h)
    u_xx = (u(t, x + h) - 2 * u(t, x) + u(t, x - h)) / h**2
    assert np.abs(u_t + u(t, x) * u_x - burgers["VISCOSITY"] * u_xx).max() < 1e-3


def test_newton_finds_scikit_learns_optimum(tmp_path):
    pytest.importorskip("sklearn")
    found = run("14_newton_logistic", str(tmp_path / "newton.png"))
    assert found["difference"] < 1e-8
    assert found["gradient"] < 1e-8
    assert found["accuracy"] > 0.98


def test_private_gradients_are_those_of_the_loop_and_learn(mnist_dir, tmp_path):
    picture = str(tmp_path / "private.png")
    found = run("15_private_gradients", picture, samples=2560, epochs=2, rounds=1)
    assert found["difference"] < 1e-5
    assert found["accuracy"] > 0.5


def test_epsilon_of_one_full_batch_is_that_of_the_gaussian_mechanism():
    epsilon = load("15_private_gradients")["epsilon"]
    orders = np.arange(2, 256)
    renyi = orders / (2 * 2.0**2) + np.log(1e5) / (orders - 1)  # Mironov 2017, corollary 3
    assert epsilon(1 - 1e-12, 2.0, 1, 1e-5) == pytest.approx(renyi.min(), rel=1e-6)
    assert epsilon(0.01, 2.0, 100, 1e-5) < epsilon(0.02, 2.0, 100, 1e-5)


def test_every_example_is_tested():
    source = Path(__file__).read_text()
    for path in EXAMPLES.glob("*.py"):
        assert f'"{path.stem}"' in source, f"{path.name} has no test here"
