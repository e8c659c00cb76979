from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback import optim
from pullback.core import pytree
from pullback.core.errors import ConfigError, DTypeError, ShapeError, TreeError

STEPS = 20
OPTIMIZERS: dict[str, Callable[..., optim.Optimizer]] = dict(optim.OPTIMIZERS)


def gradient(params: Any) -> Any:
    """Return a gradient that depends on the parameters, with curvature of both signs."""
    return pytree.map(lambda p: np.sin(3 * p) + 0.1 * p, params)


def run(optimizer: optim.Optimizer, params: Any, steps: int = STEPS) -> tuple[Any, Any]:
    state = optimizer.init(params)
    for _ in range(steps):
        params, state = optimizer.update(gradient(params), state, params)
    return params, state


def start(dtype: Any = np.float64) -> dict[str, Any]:
    generator = np.random.default_rng(0)
    return {
        "w": generator.normal(size=(4, 3)).astype(dtype),
        "b": [generator.normal(size=3).astype(dtype)],
    }


def by_hand(name: str, p: np.ndarray, rate: float) -> np.ndarray:
    """Run the recurrences, written down a second time."""
    v = np.zeros_like(p)
    m = np.zeros_like(p)
    for t in range(1, STEPS + 1):
        g = np.sin(3 * p) + 0.1 * p
        if name == "sgd":
            p = p - rate * g
        elif name == "momentum":
            v = 0.9 * v + g
            p = p - rate * v
        elif name == "nesterov":
            v = 0.9 * v + g
            p = p - rate * (g + 0.9 * v)
        elif name in ("adam", "adamw"):
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g**2
            step = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
            p = p - rate * step - (rate * 0.01 * p if name == "adamw" else 0)
        elif name == "lion":
            p = p - rate * np.sign(0.9 * m + 0.1 * g)
            m = 0.99 * m + 0.01 * g
        elif name == "lamb":
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g**2
            step = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-6)
            p = p - rate * np.linalg.norm(p) / np.linalg.norm(step) * step
        elif name == "rmsprop":
            v = 0.99 * v + 0.01 * g**2
            p = p - rate * g / (np.sqrt(v) + 1e-8)
        elif name == "adagrad":
            v = v + g**2
            p = p - rate * g / (np.sqrt(v) + 1e-10)
    return p


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_updates_follow_the_recurrence(name: str) -> None:
    params = start()
    result, state = run(OPTIMIZERS[name](0.05), params)
    np.testing.assert_allclose(result["w"], by_hand(name, params["w"], 0.05), rtol=1e-10)
    np.testing.assert_allclose(result["b"][0], by_hand(name, params["b"][0], 0.05), rtol=1e-10)
    assert state["step"] == STEPS


@pytest.mark.parametrize("name", sorted(OPTIMIZERS.keys() - {"lion", "lamb"}))  # it has no such
def test_updates_equal_those_of_torch_in_float64(name: str) -> None:
    torch = pytest.importorskip("torch")
    theirs = {
        "sgd": lambda p: torch.optim.SGD(p, lr=0.05),
        "momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
        "nesterov": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
        "adam": lambda p: torch.optim.Adam(p, lr=0.05),
        "adamw": lambda p: torch.optim.AdamW(p, lr=0.05, weight_decay=0.01),
        "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.05),
        "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.05),
    }
    params = start()
    parameter = torch.nn.Parameter(torch.from_numpy(params["w"].copy()))
    optimizer = theirs[name]([parameter])
    for _ in range(STEPS):
        parameter.grad = torch.from_numpy(gradient(parameter.detach().numpy()))
        optimizer.step()
    ours, _ = run(OPTIMIZERS[name](0.05), params)
    np.testing.assert_allclose(ours["w"], parameter.detach().numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("rate", [0.01, optim.cosine(0.01, steps=10)])
def test_float32_stays_float32_and_the_step_stays_a_0d_int64_array(name: str, rate: Any) -> None:
    params, state = run(OPTIMIZERS[name](rate), start(np.float32), steps=2)
    assert {leaf.dtype for leaf in pytree.leaves(params)} == {np.dtype(np.float32)}
    step = state.pop("step")
    assert isinstance(step, np.ndarray)
    assert (step.shape, step.dtype) == ((), np.dtype(np.int64))
    assert {leaf.dtype for leaf in pytree.leaves(state)} <= {np.dtype(np.float32)}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_update_changes_nothing_in_place(name: str) -> None:
    optimizer = OPTIMIZERS[name](0.1)
    params = start()
    before = pytree.map(np.copy, params)
    state = optimizer.init(params)
    optimizer.update(gradient(params), state, params)
    pytree.map(np.testing.assert_array_equal, params, before)
    assert state["step"] == 0
    assert not any(leaf.any() for leaf in pytree.leaves(state))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_descends_a_parabola(name: str) -> None:
    optimizer = OPTIMIZERS[name](0.05)
    p = np.array([2.0, -3.0])
    state = optimizer.init(p)
    for _ in range(100):
        p, state = optimizer.update(p, state, p)
    assert np.square(p).sum() < 13 * 0.9


@pytest.mark.parametrize("name", ["adamw", "lion", "lamb"])
def test_weight_decay_is_that_of_the_formula(name: str) -> None:
    p, g, rate, w = np.array([3.0, -4.0]), np.array([0.7, 0.7]), 0.1, 0.5
    create: Any = OPTIMIZERS[name]
    optimizer = create(rate, weight_decay=w)
    found, _ = optimizer.update(g, optimizer.init(p), p)
    step = np.ones(2)  # the first of all three, eps apart
    if name == "lamb":
        u = step + w * p
        expected = p - rate * 5 / np.linalg.norm(u) * u
    else:
        expected = p - rate * (step + w * p)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_lamb_moves_parameters_and_gradients_of_zero_as_adam_does() -> None:
    optimizer = optim.lamb(0.1)
    zeros, g = np.zeros(3), np.array([1.0, -2.0, 0.5])
    after, _ = optimizer.update(g, optimizer.init(zeros), zeros)
    np.testing.assert_allclose(after, -0.1 * np.sign(g), rtol=1e-5)
    still, _ = optimizer.update(zeros, optimizer.init(g), g)
    np.testing.assert_array_equal(still, g)


def test_the_rate_of_a_schedule_is_that_of_the_updates_made_so_far() -> None:
    seen: list[int] = []

    def schedule(step: Any) -> Any:
        seen.append(int(step))
        return 1.0 if step == 0 else 0.0

    result, _ = run(optim.sgd(schedule), np.array([0.5]), steps=3)
    assert seen == [0, 1, 2]
    np.testing.assert_allclose(result, 0.5 - np.sin(1.5) - 0.05)


def test_mismatched_gradients_are_named() -> None:
    optimizer = optim.momentum(0.1)
    params = start()
    state = optimizer.init(params)
    with pytest.raises(TreeError, match="grads has another structure"):
        optimizer.update({"w": params["w"]}, state, params)
    with pytest.raises(ShapeError, match=r"grads\['b'\]\[0\]: expected shape \(3,\).*got \(2,\)"):
        optimizer.update({"w": params["w"], "b": [np.zeros(2)]}, state, params)
    with pytest.raises(DTypeError, match=r"grads\['w'\]: expected float64.*got float32"):
        optimizer.update({"w": np.zeros((4, 3), np.float32), "b": params["b"]}, state, params)
    with pytest.raises(TreeError, match=r"state\['velocity'\]"):
        optimizer.update(params, optimizer.init(params["w"]), params)


@pytest.mark.parametrize(
    ("create", "name"),
    [
        (lambda: optim.sgd(0.0), "learning_rate"),
        (lambda: optim.sgd(float("nan")), "learning_rate"),
        (lambda: optim.momentum(0.1, decay=1.0), "decay"),
        (lambda: optim.adam(0.1, beta2=1.5), "beta2"),
        (lambda: optim.adamw(0.1, weight_decay=-1), "weight_decay"),
        (lambda: optim.lion(0.1, weight_decay=-1), "weight_decay"),
        (lambda: optim.lamb(0.1, eps=0), "eps"),
        (lambda: optim.lbfgs(history=0), "history"),
        (lambda: optim.sgd(optim.Adjustable(0.0)), "learning_rate"),
        (lambda: optim.linear(0.1, steps=0), "steps"),
        (lambda: optim.exponential(0.1, steps=5, final=0), "final"),
        (lambda: optim.one_cycle(0.1, steps=5, rise=1.0), "rise"),
        (lambda: optim.rmsprop(0.1, eps=0), "eps"),
        (lambda: optim.constant(-1), "value"),
        (lambda: optim.cosine(0.1, steps=0), "steps"),
        (lambda: optim.cosine(0.1, steps=5, final=-1), "final"),
        (lambda: optim.step_decay(0.1, every=0), "every"),
        (lambda: optim.warmup(0, then=0.1), "steps"),
    ],
)
def test_bad_hyperparameters_are_named(create: Callable[[], Any], name: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name}: expected"):
        create()


@pytest.mark.parametrize("make", [optim.adam, optim.lbfgs])
def test_an_array_at_two_places_is_refused(make):
    w = np.ones((2, 3))
    for tied in ({"a": w, "b": w}, {"a": w, "b": w.T}):
        with pytest.raises(ConfigError, match=r"a.* and .*b.* are one array"):
            make(0.1).init(tied)
    halves = np.ones(6)
    make(0.1).init({"a": halves[:3], "b": halves[3:]})


@pytest.mark.parametrize("rate", ["fast", None, 0, -1.0, np.nan])
def test_a_learning_rate_that_is_no_positive_number_is_named(rate):
    with pytest.raises(ConfigError, match="learning_rate: expected a positive number"):
        optim.adam(rate)


def test_hyperparameters_may_be_arrays_without_axes_and_have_gradients():
    def after(rate: Any, decay: Any) -> Any:
        optimizer, one = optim.momentum(rate, decay), np.ones(1, np.float32)
        params, state = optimizer.update(3 * one, optimizer.init(one), one)
        return optimizer.update(3 * one, state, params)[0]

    np.testing.assert_array_equal(after(np.array(0.5), np.float64(0.5)), after(0.5, 0.5))
    assert after(np.float64(0.5), np.array(0.5)).dtype == np.float32
    gradients = pb.grad(lambda *rates: np.sum(after(*rates)), argnums=(0, 1))(0.5, 0.25)
    np.testing.assert_allclose(gradients, [-3 * 2.25, -0.5 * 3])


@pytest.mark.parametrize("make", [optim.adam, optim.lbfgs])
@pytest.mark.parametrize("wrong", [2.0, 3, "relu", np.tanh, np.ones(2, int), np.ones(2, bool)])
def test_what_cannot_be_learned_is_refused(make, wrong):
    message = r"'b'\]: expected an array of floating numbers, got .*nn.static"
    with pytest.raises(DTypeError, match=message):
        make(0.1).init({"a": np.ones(2), "b": wrong})


def test_an_array_of_no_dimension_is_learned():
    params = {"a": np.float64(1.0), "b": np.array(1.0)}
    after, _ = optim.sgd(0.1).update(params, optim.sgd(0.1).init(params), params)
    assert after == {"a": 0.9, "b": 0.9}
