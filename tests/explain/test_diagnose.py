"""A diagnosis names the operation, the line, the values, the mask and the convention."""

import linecache

import numpy as np
import pytest
import scipy.special as sp
from gradient_cases import array

import pullback as pb
from pullback.core.op import OPS


def kinds(diagnosis):
    return [(finding.kind, finding.op) for finding in diagnosis.findings]


def masked_loss(w, x):
    distance = np.sqrt(np.sum(w * w, axis=1))
    logs = np.where(x > 0, np.log(x), 0.0)
    return np.sum(distance) + np.sum(logs)


def test_the_first_bad_gradient_is_named_with_the_users_line():
    diagnosis = pb.diagnose(masked_loss, np.array([[3.0, 4.0], [0.0, 0.0]]), array(1, 2))
    first = diagnosis.first
    assert (first.kind, first.op, first.index) == ("backward", "sqrt", (1,))
    assert first.place.file == __file__
    assert linecache.getline(__file__, first.place.line).startswith("    distance = np.sqrt")
    assert first.values["input"] == 0
    assert first.values["cotangent"] == 1
    assert first.convention == OPS["sqrt"].undefined_at
    assert not diagnosis.is_healthy


def test_the_report_can_be_read():
    text = str(pb.diagnose(masked_loss, np.array([[0.0, 0.0]]), array(0, 2)))
    assert text.startswith("diagnosis of masked_loss\n  gradient of w: 2 of 2 entries NaN")
    assert "gradient of x: finite" in text
    assert "sqrt at [0]: first gradient that is not finite" in text
    assert f"{__file__}:" in text
    assert "distance = np.sqrt(np.sum(w * w, axis=1))" in text
    assert "x = 0: infinite" in text
    assert "log at [0]: not finite, but behind a mask" in text


def test_a_masked_branch_is_told_to_be_harmless():
    diagnosis = pb.diagnose(masked_loss, np.ones((1, 2)), array(2, 0, -1))
    assert kinds(diagnosis) == [("masked", "log")]
    assert diagnosis.first.index == (1,)
    assert diagnosis.is_healthy


def test_what_follows_from_an_overflow_is_no_finding_of_its_own():
    def softmax(z):
        return np.sum(np.log(np.exp(z) / np.sum(np.exp(z))))

    diagnosis = pb.diagnose(softmax, array(0, 1000))
    assert diagnosis.first.index == (1,)
    assert ("forward", "exp") in kinds(diagnosis)
    assert {("masked", "exp"), ("undefined", "divide")}.isdisjoint(kinds(diagnosis))


def test_an_infinite_slope_that_a_computed_zero_cancels_is_no_mask():
    diagnosis = pb.diagnose(lambda x: np.sum(np.sqrt(x) ** 2), array(4, 0))
    assert kinds(diagnosis) == [("cancelled", "sqrt")]
    assert diagnosis.first.index == (1,)
    weighted = pb.diagnose(lambda x: np.sum(np.sqrt(x) * array(1, 0)), array(4, 0))
    assert kinds(weighted) == [("masked", "sqrt")]


@pytest.mark.parametrize("saturated", [lambda x: 1 / (1 + np.exp(-x)), lambda x: np.tanh(x**3)])
def test_a_saturated_function_is_no_cancellation(saturated):
    assert "cancelled" not in dict(kinds(pb.diagnose(saturated, -1000.0)))


def test_the_bad_entry_that_counts_is_told_and_not_the_masked_one():
    def f(x):
        return np.sum(np.where(array(0, 1, 1) > 0, np.sqrt(x), 0.0))

    assert pb.diagnose(f, array(0, 4, 0)).first.index == (2,)


def test_the_first_bad_value_comes_before_the_bad_gradients():
    def f(x):
        y = np.log(x)
        return np.sum(y * y)

    diagnosis = pb.diagnose(f, array(1, -1))
    assert (diagnosis.first.kind, diagnosis.first.op) == ("forward", "log")
    assert diagnosis.first.index == (1,)
    assert np.isnan(diagnosis.value)


CONVENTIONS = {
    "abs": (lambda x: np.abs(x), array(1, 0), "absolute"),
    "relu": (lambda x: np.maximum(x, 0.0), array(1, 0), "maximum"),
    "max of ties": (lambda x: np.max(x), array(1, 2, 2), "max"),
    "power": (lambda x: x**0.5, array(4, 0), "power"),
    "hypot": (lambda x: np.hypot(x[0], x[1]), np.zeros(2), "hypot"),
    "remainder": (lambda x: np.mod(7.0, x), array(2, 3.5), "remainder"),
    "arcsin": (lambda x: np.arcsin(x), array(0, 1), "arcsin"),
    "arctan2": (lambda x: np.arctan2(x, x), array(0, 1), "arctan2"),
    "xlogy": (lambda x: sp.xlogy(x, x), array(1, 0), "xlogy"),
    "complex abs": (lambda x: np.abs(x * 1j), array(1, 0), "complex_absolute"),
}


@pytest.mark.parametrize("name", CONVENTIONS)
def test_a_point_where_the_derivative_is_not_unique_is_noticed(name):
    function, x, op = CONVENTIONS[name]
    found = [f for f in pb.diagnose(function, x).findings if f.op == op]
    assert found
    assert found[0].kind in ("undefined", "backward", "forward", "zero")
    assert found[0].convention == OPS[op].undefined_at


@pytest.mark.parametrize("name", CONVENTIONS)
def test_nothing_is_said_beside_such_a_point(name):
    function, x, _ = CONVENTIONS[name]
    assert not pb.diagnose(function, np.linspace(0.31, 0.72, len(x))).findings


def test_a_saturated_unit_stops_the_gradient():
    diagnosis = pb.diagnose(lambda w: np.sum(np.tanh(1e3 * w) ** 2), array(1, 2))
    assert kinds(diagnosis) == [("zero", "tanh")]
    assert not diagnosis.is_healthy
    assert "zero throughout" in str(diagnosis)


def test_a_dead_rectifier_stops_the_gradient():
    def network(w, b):
        return np.sum(np.maximum(w * 2.0 + b, 0.0))

    diagnosis = pb.diagnose(network, array(-1, -2), array(0, 0))
    assert kinds(diagnosis)[0] == ("zero", "maximum")


@pytest.mark.parametrize("op", ["rint", "floor", "sign", "greater", "argmax", "discrete_astype"])
def test_a_piecewise_constant_operation_is_named(op):
    functions = {
        "rint": np.round,
        "floor": np.floor,
        "sign": np.sign,
        "greater": lambda x: np.where(x > 1, 2.0, 3.0),
        "argmax": lambda x: array(1, 2)[int(np.argmax(x))] * np.sum(0 * x),
        "discrete_astype": lambda x: x.astype(int) * 1.0,
    }
    diagnosis = pb.diagnose(functions[op], array(1.2, 2.7))
    (gradient,) = diagnosis.gradients.values()
    assert gradient.tolist() == [0, 0]
    assert diagnosis.first.kind in ("constant", "zero")
    if op != "argmax":
        assert diagnosis.first.op == op


def test_an_argument_that_is_not_used_has_nothing_that_stops_it():
    diagnosis = pb.diagnose(lambda x, y: np.sum(x**2), array(1, 2), array(3))
    assert diagnosis.gradients["y"].tolist() == [0]
    assert not diagnosis.findings
    assert "the result does not depend on y, or takes it as constant" in str(diagnosis)


def test_a_healthy_function_has_nothing_to_remark():
    diagnosis = pb.diagnose(lambda x: np.sum(x**2), array(1, 2))
    assert diagnosis.is_healthy
    assert diagnosis.first is None
    assert "nothing to remark" in str(diagnosis)
    assert diagnosis.value == 5
    np.testing.assert_array_equal(diagnosis.gradients["x"], [2, 4])


def test_arguments_are_pytrees_and_integers_take_part_as_constants():
    diagnosis = pb.diagnose(
        lambda p, n: np.sum(p["a"] ** n) + p["b"], {"a": array(1, 2), "b": 3.0}, 2
    )
    assert diagnosis.is_healthy
    assert sorted(diagnosis.gradients) == ["p['a']", "p['b']"]


def test_several_outputs_and_linear_algebra_are_examined():
    def f(a):
        q, r = np.divmod(a, 2.0)
        return {"q": q, "r": np.sqrt(r)}

    diagnosis = pb.diagnose(f, array(2, 3))
    assert (diagnosis.first.kind, diagnosis.first.op) == ("backward", "sqrt")


def test_code_that_works_in_place_is_examined():
    def f(x):
        y = x * 1.0
        top = y[:2]
        y[0] = np.sqrt(x[1])
        return top

    diagnosis = pb.diagnose(f, array(1, 0, 2))
    assert diagnosis.value.tolist() == [0, 0]
    assert (diagnosis.first.kind, diagnosis.first.op) == ("backward", "sqrt")


def test_a_dead_layer_of_a_module_is_named_with_its_line():
    model = pb.nn.Linear.create(pb.random.key(0), 2, 3)

    def loss(model, x):
        return np.sum(np.maximum(model(x) - 100.0, 0.0))

    diagnosis = pb.diagnose(loss, model, np.ones((4, 2)))
    assert (diagnosis.first.kind, diagnosis.first.op) == ("zero", "maximum")
    assert "np.maximum(model(x) - 100.0" in diagnosis.first.place.code


def test_an_overflow_is_a_bad_value():
    diagnosis = pb.diagnose(lambda x: np.sum(np.exp(x)), array(0, 1000))
    assert (diagnosis.first.kind, diagnosis.first.op) == ("forward", "exp")
    assert diagnosis.first.values["input"] == 1000


def test_bad_input_is_told_by_the_gradient():
    diagnosis = pb.diagnose(lambda x: np.sum(x**2), array(1, np.nan))
    assert "1 of 2 entries NaN, at [1]" in str(diagnosis)


def test_an_argument_that_is_not_finite_is_told_before_what_follows_from_it():
    w, x = np.ones((2, 3)), np.array([[1.0, 2.0], [np.inf, 0.0]])
    found = pb.diagnose(lambda w, x: np.sum(np.log(np.exp(x @ w) + 1)), w, x)
    assert list(found.bad_arguments) == ["x"]
    lines = str(found).splitlines()
    assert lines[1] == "  x came with 1 of 4 entries infinite, at [1, 0]"
    assert "derivative at" not in str(found)  # the slope is not infinite by a rule of pullback
    assert pb.diagnose(np.sum, x[:1]).bad_arguments == {}


def test_nothing_is_recorded_of_the_source_outside_of_a_diagnosis(monkeypatch):
    import pullback.explain.watch as watch

    def never():
        raise AssertionError("a frame was looked at")

    monkeypatch.setattr(watch, "user_place", never)
    pb.grad(lambda x: np.sum(np.sqrt(x)))(array(1, 2))
    with pytest.raises(AssertionError, match="frame"):
        pb.diagnose(lambda x: np.sum(np.sqrt(x)), array(1, 2))


def test_a_gradient_inside_the_function_is_examined():
    def steepness(x):
        return np.linalg.norm(pb.grad(lambda x: np.sum(np.sqrt(x)))(x))

    diagnosis = pb.diagnose(steepness, array(0, 1))
    assert diagnosis.first.kind == "forward"
    assert diagnosis.first.place.file == __file__


def test_backward_of_a_graph_keeps_going_past_a_constant_argument():
    graph = pb.trace(lambda x: np.copysign(2.0, np.sin(x)) * x, 1.0)
    table = pb.backward(graph, 0.5)
    assert table.gradients[graph.arguments[0]] == 2
