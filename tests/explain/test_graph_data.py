"""What the page knows of a graph: values, gradients, rules, costs and layers."""

import json

import numpy as np
import pytest

import pullback as pb
from pullback import nn, random
from pullback.explain import page

RNG = np.random.default_rng(0)
W, X = RNG.normal(size=(3, 2)), RNG.normal(size=(4, 3))


def nodes_of(function, *args):
    return page(function, *args).content["graph"]["nodes"]


def found(nodes, label):
    (node,) = [node for node in nodes if node["label"] == label]
    return node


def test_values_and_gradients_are_those_of_numpy():
    nodes = nodes_of(lambda w, x: np.sum(np.tanh(x @ w)), W, X)
    y = np.tanh(X @ W)
    tanh, product, w = found(nodes, "tanh"), found(nodes, "@"), found(nodes, "w")
    assert tanh["value"]["low"] == pytest.approx(y.min())
    assert tanh["value"]["high"] == pytest.approx(y.max())
    assert tanh["value"]["mean"] == pytest.approx(y.mean())
    assert product["gradient"]["norm"] == pytest.approx(np.linalg.norm(1 - y**2))
    assert w["gradient"]["norm"] == pytest.approx(np.linalg.norm(X.T @ (1 - y**2)))
    assert tanh["flows"] == [pytest.approx(np.linalg.norm(1 - y**2))]
    assert (product["flops"], product["bytes"]) == (2 * 4 * 3 * 2, 4 * 2 * 8)


@pytest.mark.parametrize(
    ("function", "args", "rules"),
    [
        (lambda x: np.tanh(x), (X,), ["∂x = ∂a ∘ (1 − a^∘2)"]),
        (lambda w, x: x @ w, (W, X), ["∂x = ∂a wᵀ", "∂w = xᵀ ∂a"]),
        (lambda x, y: x * y, (X, X + 1), ["∂x = ∂a ∘ y", "∂y = ∂a ∘ x"]),
        (lambda x: np.sum(x), (X,), ["∂x = ∂a 𝟏 𝟏ᵀ"]),
        (lambda x: x.T, (X,), ["∂x = ∂aᵀ"]),
        (lambda x: x / 7, (X,), ["∂x = ∂a / 7"]),
        (lambda x: x > 0, (X,), [""]),
    ],
)
def test_rules_read_like_the_formula(function, args, rules):
    assert nodes_of(function, *args)[-1]["rules"] == rules


def test_nodes_know_their_layer():
    model = nn.Sequential([nn.Residual(nn.mlp(random.key(0), [3, 3])), nn.Activation("tanh")])
    graph = page(lambda model, x: model(x), model, X.astype("f4")).content["graph"]
    paths = [graph["scopes"][node["scope"]]["path"] for node in graph["nodes"]]
    labels = [node["label"].rpartition(".")[2] for node in graph["nodes"]]
    places = dict(zip(labels, paths, strict=True))
    assert places["tanh"] == "layers[1]"
    assert places["@"] == places["weight"] == "layers[0].inner.layers[0]"
    assert places["x"] == "layers[0]"  # used by the inner layer and by the way past it
    for scope in graph["scopes"][1:]:
        assert scope["path"].startswith(graph["scopes"][scope["parent"]]["path"])


def test_every_layer_of_the_library_comes_out_nested():
    block = nn.TransformerBlock.create(random.key(0), 8, heads=2, dropout=0.1)
    graph = page(lambda m, x: m(x), block, np.ones((2, 5, 8), np.float32)).content["graph"]
    kinds = {scope["kind"] for scope in graph["scopes"]}
    assert {"TransformerBlock", "MultiHeadAttention", "LayerNorm", "Linear"} <= kinds


def test_without_numbers_there_is_the_graph_alone():
    nodes = nodes_of(lambda w, x: np.tanh(x @ w), pb.Aval((3,), "f4"), pb.Aval((2, 3), "f4"))
    assert all(node["value"] is None and node["gradient"] is None for node in nodes)
    assert [node["aval"] for node in nodes][-1] == "2 float32"


def test_results_of_any_kind_are_taken():
    def several(x, k):
        sign, logdet = np.linalg.slogdet(x)
        return {"a": logdet * k, "b": x > 0, "c": np.argmax(x), "d": sign}

    graph = pb.trace(several, np.eye(2), np.int64(3))
    for function in (several, graph):
        assert sum(node["result"] for node in nodes_of(function, np.eye(2), np.int64(3))) == 4
    assert nodes_of(lambda x: np.abs(x * 1j), X)[-1]["value"]["low"] >= 0
    assert nodes_of(lambda x: x[:0], X)[-1]["value"]["bad"] == 0


def test_what_is_not_finite_is_told_and_is_json():
    found = page(lambda x: np.sum(np.log(x)), np.array([0.0, 1.0, -1.0]))
    log = found.content["graph"]["nodes"][1]
    assert log["value"]["bad"] == 2
    data = found.html.split('id="data">')[1].split("</script>")[0]

    def refuse(constant):
        raise AssertionError(constant)

    assert json.loads(data, parse_constant=refuse)["title"] == "a function"


def test_names_cannot_end_the_script():
    evil = "</script><script>alert(1)</script><!--&\u2028"
    html = page(lambda x: np.sin(x), X, title=evil).html
    assert html.count("</script>") == 2
    assert "alert(1)</script>" not in html.replace("&lt;", "<")[: html.index("<style>")]
    data = html.split('id="data">')[1].split("</script>")[0]
    assert json.loads(data)["title"] == evil


def test_a_graph_shows_itself(monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    graph = pb.trace(lambda w, x: np.tanh(x @ w), W, X)
    for args in ((), (W, X)):
        path = graph.show(*args)
        assert opened.pop() == path.as_uri()
        assert "tanh" in path.read_text()
    with pytest.raises(pb.errors.ShapeError, match="argument 'w'"):
        graph.show(X, W)


def test_a_gradient_is_a_function_like_any_other():
    def loss(w, x):
        return np.sum(np.tanh(x @ w))

    for gradient in (pb.grad(loss), pb.grad(pb.trace(loss, W, X))):
        (result,) = [node for node in nodes_of(gradient, W, X) if node["result"]]
        assert result["aval"] == "3×2 float64"


def test_arguments_that_nothing_uses_are_left_out():
    labels = [
        node["label"] for node in nodes_of(lambda x, unused, same: (np.sin(x), same), X, X, X)
    ]
    assert labels == ["x", "same", "sin"]


def test_arguments_that_are_no_numbers_are_named():
    with pytest.raises(pb.errors.DTypeError, match="x: expected an array of numbers, got str"):
        page(lambda w, x: w * x, W, "a")
