"""Every example runs, and what it claims holds."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name, *args, **kwargs):
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"](*args, **kwargs)


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


def test_every_example_is_tested():
    source = Path(__file__).read_text()
    for path in EXAMPLES.glob("*.py"):
        assert f'"{path.stem}"' in source, f"{path.name} has no test here"
