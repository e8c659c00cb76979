"""A derivation prints the textbook's lines, and every line is worth what the graph computes."""

from pathlib import Path

import numpy as np
import pytest

import pullback as pb

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def texts(derivation, section=None):
    return [str(line) for line in derivation.lines if section in (None, line.section)]


def column_network(W1, W2, x, t):
    return 0.5 * np.sum((sigmoid(W2 @ pb.nn.relu(W1 @ x)) - t) ** 2)


def row_network(net, X, T):
    for W, b in net:
        X = sigmoid(X @ W + b)
    return 0.5 * np.sum((X - T) ** 2)


def attention(X, Wq, Wk, Wv, T):
    Q = X @ Wq
    K = X @ Wk
    V = X @ Wv
    S = Q @ K.T / np.sqrt(Q.shape[1])
    A = pb.nn.softmax(S)
    Y = A @ V
    return 0.5 * np.sum((Y - T) ** 2)


def test_the_recursion_of_a_network_with_samples_as_columns():
    derivation = pb.derive(column_network, normal(4, 3), normal(2, 4), normal(3), normal(2))
    assert texts(derivation)[:9] == [
        "z₁ = W₁ x",
        "h₁ = relu(z₁)",
        "z₂ = W₂ h₁",
        "h₂ = σ(z₂)",
        "E = ½ ‖h₂ − t‖²",
        "δ₂ = ∂E/∂z₂ = (h₂ − t) ∘ σ′(z₂)",
        "δ₁ = ∂E/∂z₁ = (W₂ᵀ δ₂) ∘ relu′(z₁)",
        "∂E/∂W₁ = δ₁ xᵀ",
        "∂E/∂W₂ = δ₂ h₁ᵀ",
    ]
    assert texts(derivation, "where") == ["σ′(z) = σ(z) (1 − σ(z))", "relu′(z) = [z > 0]"]


def test_batches_as_rows_sum_over_them():
    net = [(normal(3, 5), normal(5)), (normal(5, 2), normal(2))]
    derivation = pb.derive(row_network, net, normal(7, 3), normal(7, 2), argnums=0)
    assert texts(derivation, "backward") == [
        "Δ₂ = ∂E/∂Z₂ = (H₂ − T) ∘ σ′(Z₂)",
        "Δ₁ = ∂E/∂Z₁ = (Δ₂ W₂ᵀ) ∘ σ′(Z₁)",
    ]
    assert texts(derivation, "gradients") == [
        "∂E/∂W₁ = Xᵀ Δ₁",
        "∂E/∂b₁ = Δ₁ᵀ 𝟏",
        "∂E/∂W₂ = H₁ᵀ Δ₂",
        "∂E/∂b₂ = Δ₂ᵀ 𝟏",
    ]


def test_attention_has_the_names_of_its_author():
    args = (normal(6, 5), normal(5, 4), normal(5, 4), normal(5, 3), normal(6, 3))
    derivation = pb.derive(attention, *args, argnums=(1, 2, 3))
    assert texts(derivation)[:5] == [
        "Q = X W_q",
        "K = X W_k",
        "V = X W_v",
        "S = ½ Q Kᵀ",
        "A = softmax(S)",
    ]
    assert texts(derivation, "backward")[:3] == [
        "Δ_Y = ∂E/∂Y = Y − T",
        "Δ_A = ∂E/∂A = Δ_Y Vᵀ",
        "Δ_S = ∂E/∂S = A ∘ (Δ_A − (A ∘ Δ_A) 𝟏 𝟏ᵀ)",
    ]


def test_softmax_with_cross_entropy_leaves_probabilities_minus_targets():
    model = pb.nn.mlp(pb.random.key(0), [3, 5, 2], "tanh")

    def loss(model, X, y):
        return pb.nn.softmax_cross_entropy(model(X), y)

    derivation = pb.derive(loss, model, normal(4, 3), np.array([0, 1, 1, 0]), argnums=0)
    assert texts(derivation, "backward")[0] == "Δ₂ = ∂E/∂Z₂ = ¼ (softmax(Z₂) − onehot(y))"
    assert [g.path for g in derivation.given][:2] == [
        "model.layers[0].weight",
        "model.layers[0].bias",
    ]


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (column_network, (normal(4, 3), normal(2, 4), normal(3), normal(2))),
        (attention, (normal(6, 5), normal(5, 4), normal(5, 4), normal(5, 3), normal(6, 3))),
    ],
)
def test_gradient_lines_have_the_values_of_grad(function, args):
    derivation = pb.derive(function, *args)
    expected = pb.grad(function, argnums=tuple(range(len(args))))(*args)
    lines = {line.name: line for line in derivation.lines if line.section == "gradients"}
    assert len(lines) == len(args)
    for line, gradient in zip(lines.values(), expected, strict=True):
        assert line.shape == gradient.shape
        np.testing.assert_allclose(line.value, gradient, rtol=1e-10, atol=1e-12)


def test_a_gradient_has_a_second_form_only_in_place_of_its_deltas():
    def loss(w, x, t):
        return 0.5 * np.sum((np.tanh(x @ w) - t) ** 2)

    derivation = pb.derive(loss, normal(3, 2), normal(4, 3), normal(4, 2))
    assert texts(derivation, "gradients") == ["∂E/∂w = xᵀ Δ", "∂E/∂x = Δ wᵀ", "∂E/∂t = −(H − t)"]

    def logistic(w, F, y):
        return np.sum(np.logaddexp(0, F @ w) - y * (F @ w))

    derivation = pb.derive(logistic, normal(3), normal(4, 3), normal(4), argnums=0)
    assert texts(derivation, "gradients") == ["∂E/∂w = Fᵀ δ", "∂E/∂w = Fᵀ (σ(F w) − y)"]


def test_a_wrong_line_is_not_printed(monkeypatch):
    from pullback.explain.derivation import calculus

    monkeypatch.setitem(calculus.PULLBACKS, "softmax", lambda expr, g: (g,))
    with pytest.raises(pb.errors.GradientError, match="∂E/∂x = y is wrong"):
        pb.derive(lambda x, y: pb.nn.softmax(x) @ y, normal(3), normal(3))


def test_the_second_point_finds_what_zeros_hide(monkeypatch):
    from pullback.explain.derivation import calculus

    monkeypatch.setitem(calculus.PULLBACKS, "norm", lambda expr, g: (expr.args[0],))
    with pytest.raises(pb.errors.GradientError, match="is wrong"):
        pb.derive(lambda x: np.linalg.norm(x), np.zeros(3))


def test_an_operation_without_matrix_form_keeps_its_name():
    derivation = pb.derive(lambda x: np.max(x) + np.sum(x), normal(4))
    assert "u = max(x)" in texts(derivation)
    assert "∂E/∂x = 𝟏 + vjp[max, x](1)" in texts(derivation)


def test_operations_with_several_results_are_checked_too():
    derivation = pb.derive(lambda A: np.linalg.eigh(A @ A.T)[0][0], normal(3, 3))
    assert derivation.lines[-1].shape == (3, 3)


def test_a_result_that_is_no_number_is_part_of_any_loss():
    derivation = pb.derive(lambda X, W, b: X @ W + b, normal(7, 3), normal(3, 2), normal(2))
    assert texts(derivation) == [
        "Y = X W + 𝟏 bᵀ",
        "∂E/∂X = Δ_Y Wᵀ",
        "∂E/∂W = Xᵀ Δ_Y",
        "∂E/∂b = Δ_Yᵀ 𝟏",
    ]
    assert "\n  Δ_Y is ∂E/∂Y, of any number E made of Y\n" in str(derivation)


def test_shapes_alone_will_do():
    derivation = pb.derive(lambda A, x: x @ A @ x, pb.Aval((3, 3), "f8"), pb.Aval((3,), "f8"))
    assert str(derivation.gradient("x")) == "∂E/∂x = (A + Aᵀ) x"


def test_a_graph_is_derived_as_its_function():
    graph = pb.trace(lambda x: np.sum(np.exp(x)), pb.Aval((3,), "f8"))
    assert str(pb.derive(graph, normal(3)).gradient("x")) == "∂E/∂x = exp(x)"


def test_what_does_not_matter_has_gradient_zero():
    derivation = pb.derive(lambda x, y: 3.0 * y, 2.0, 1.0)
    assert texts(derivation, "gradients") == ["∂E/∂x = 0", "∂E/∂y = 3"]


def test_complex_arguments_and_several_results_are_refused():
    with pytest.raises(pb.errors.DTypeError, match="x is complex128: expected real"):
        pb.derive(lambda x: np.abs(x), 1j)
    with pytest.raises(pb.errors.ShapeError, match="one result, got 2"):
        pb.derive(lambda x: (x, x), 1.0)


def test_latex_and_html_are_complete():
    derivation = pb.derive(column_network, normal(4, 3), normal(2, 4), normal(3), normal(2))
    latex = derivation.latex()
    assert r"\delta_{1} &= \frac{\partial E}{\partial z_{1}} = " in latex
    assert latex.count("{") == latex.count("}")
    assert latex.startswith(r"\begin{aligned}")
    assert derivation._repr_html_().count("<math") == derivation.html().count("</math>")
    assert "<msub><mi>W</mi><mn>1</mn></msub>" in derivation.html()


def test_convolutions_are_written_by_each_other():
    def loss(w, b, x, t):
        z = pb.nn.functional.conv(x, w, padding=1) + b
        return 0.5 * np.sum((np.tanh(z) - t) ** 2)

    args = (normal(3, 3, 2, 4), normal(4), normal(2, 6, 6, 2), normal(2, 6, 6, 4))
    derivation = pb.derive(loss, *args)
    assert texts(derivation)[:7] == [
        "z = x ∗ w + b",
        "H = tanh(z)",
        "E = ½ ‖H − t‖_F²",
        "Δ = ∂E/∂z = (H − t) ∘ tanh′(z)",
        "∂E/∂w = x ⋆ Δ",
        "∂E/∂b = sum₀₁₂(Δ)",
        "∂E/∂x = Δ ∗ᵀ w",
    ]
    assert "(x ∗ w)[n, p, o] = Σ x[n, p + k − 1, i] w[k, i, o] over k, i" in str(derivation)


def test_several_heads_of_attention_are_stacks_of_matrices():
    def loss(X, Wq, Wk, Wv, T):
        def heads(Y):
            return Y.reshape(len(Y), 2, -1).transpose(1, 0, 2)

        Q = heads(X @ Wq)
        K = heads(X @ Wk)
        S = Q @ K.transpose(0, 2, 1) / np.sqrt(Q.shape[-1])
        A = pb.nn.softmax(S)
        Y = A @ heads(X @ Wv)
        return 0.5 * np.sum((Y - T) ** 2)

    args = (normal(6, 4), normal(4, 4), normal(4, 4), normal(4, 4), normal(2, 6, 2))
    found = texts(pb.derive(loss, *args, argnums=(1, 2, 3)))
    assert "S = (1/√2) Q Kᵀ" in found
    assert "Δ_S = ∂E/∂S = A ∘ (Δ_A − sum₂(A ∘ Δ_A))" in found
    assert "Δ_K = ∂E/∂K = (1/√2) Δ_Sᵀ Q" in found


def test_the_page_of_the_documentation_shows_what_is_printed():
    page = (Path(__file__).parents[2] / "docs" / "derive.md").read_text()
    namespace = {}
    exec(page.split("```python\n")[1].split("```")[0].replace("print(", "str("), namespace)
    assert str(namespace["derivation"]) in page


def test_a_function_with_a_rule_of_its_own_keeps_its_name():
    @pb.custom_vjp
    def half_steep(x):
        return np.tanh(x)

    half_steep.defvjp(lambda x: (np.tanh(x), x), lambda x, ct: (0.5 * ct * (1 - np.tanh(x) ** 2),))
    derivation = pb.derive(lambda W, x: np.sum(half_steep(W @ x)), normal(3, 2), normal(2))
    assert texts(derivation, "gradients")[0] == "∂E/∂W = vjp[half_steep, W x](𝟏) xᵀ"


def test_a_graph_in_float32_is_checked_as_far_as_it_goes():
    graph = pb.trace(lambda w, x: np.sum(np.tanh(x @ w)), *[np.ones(s, "f4") for s in (3, (4, 3))])
    derivation = pb.derive(graph, normal(3), normal(4, 3))
    assert str(derivation.gradient("w")) == "∂E/∂w = xᵀ tanh′(z)"


def test_names_of_arguments_are_not_taken_by_values():
    def loss(z, h, W, x):
        return np.sum(np.tanh(W @ x)) + z @ h

    assert "v₁ = W x" in texts(pb.derive(loss, normal(3), normal(3), normal(3, 2), normal(2)))
