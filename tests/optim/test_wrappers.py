"""Clipping, accumulation, averages, groups: their formulas, alone, together and as machine code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback import nn, optim
from pullback.core.errors import ConfigError, ShapeError

RNG = np.random.default_rng(0)
PARAMS = {"w": RNG.normal(size=(3, 2)), "b": [RNG.normal(size=2)]}


def gradients(count: int = 6) -> list[Any]:
    return [pb.tree.map(lambda p: RNG.normal(size=p.shape) * 3, PARAMS) for _ in range(count)]


def run(optimizer: optim.Optimizer, grads: list[Any], params: Any = PARAMS) -> tuple[Any, Any]:
    state = optimizer.init(params)
    for g in grads:
        params, state = optimizer.update(g, state, params)
    return params, state


def close(first: Any, second: Any, rtol: float = 1e-12) -> None:
    pb.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol), first, second)


def test_clipping_by_norm_equals_torch(torch: Any) -> None:
    for g in gradients(3):
        for limit in (0.5, 1e6):
            tensors = [torch.zeros(leaf.shape).double() for leaf in pb.tree.leaves(g)]
            for tensor, leaf in zip(tensors, pb.tree.leaves(g), strict=True):
                tensor.grad = torch.from_numpy(leaf.copy())
            torch.nn.utils.clip_grad_norm_(tensors, limit)
            ours, _ = run(optim.clip_norm(optim.sgd(1.0), limit), [g])
            for p, start, tensor in zip(
                pb.tree.leaves(ours), pb.tree.leaves(PARAMS), tensors, strict=True
            ):
                # theirs divides by the norm + 1e-6
                np.testing.assert_allclose(start - p, tensor.grad.numpy(), rtol=1e-6, atol=1e-12)


def test_the_clipped_norm_is_the_limit_even_where_float32_squares_overflow() -> None:
    params, grads = np.zeros(2, np.float32), np.float32([3e30, 4e30])
    after, _ = run(optim.clip_norm(optim.sgd(1.0), 5.0), [grads], params)
    np.testing.assert_allclose(after, [-3, -4], rtol=1e-6)
    assert after.dtype == np.float32


def test_a_gradient_of_infinity_is_not_hidden_by_clipping() -> None:
    with np.errstate(invalid="ignore"):
        after, _ = run(optim.clip_norm(optim.sgd(1.0), 5.0), [np.array([np.inf, 1])], np.zeros(2))
    assert np.isnan(after[0])


def test_clipping_by_value_clips_each_entry() -> None:
    (g,) = gradients(1)
    clipped, _ = run(optim.clip_value(optim.sgd(1.0), 0.5), [g])
    close(clipped, pb.tree.map(lambda p, g: p - np.clip(g, -0.5, 0.5), PARAMS, g))


@pytest.mark.parametrize("name", ["sgd", "adam", "lamb"])
def test_accumulated_minibatches_equal_the_big_batch(name: str) -> None:
    x, t = RNG.normal(size=(24, 3)), RNG.normal(size=(24, 2))
    model = nn.Linear(RNG.normal(size=(3, 2)), np.zeros(2))
    gradient = pb.grad(lambda m, x, t: nn.mean_squared_error(m(x), t))

    def train(optimizer: optim.Optimizer, size: int) -> Any:
        params, state = model, optimizer.init(model)
        for _ in range(2):
            for rows in np.split(np.arange(24), 24 // size):
                params, state = optimizer.update(gradient(params, x[rows], t[rows]), state, params)
        return params, state

    rate = optim.linear(0.1, steps=4)
    big, _ = train(optim.OPTIMIZERS[name](rate), 12)
    small, state = train(optim.accumulate(optim.OPTIMIZERS[name](rate), 3), 4)
    close(small, big, rtol=1e-9)
    assert int(state["step"]) == 4
    assert int(state["batches"]) == 0


def test_averages_are_those_of_the_parameters_after_each_update() -> None:
    grads, decay = gradients(), 0.7
    optimizer = optim.ema(optim.sgd(0.1), decay)
    path = [run(optim.sgd(0.1), grads[: k + 1])[0]["w"] for k in range(len(grads))]
    params, state = run(optimizer, grads)
    weights = decay ** np.arange(len(path))[::-1]
    np.testing.assert_allclose(params["w"], path[-1])
    np.testing.assert_allclose(
        optimizer.final(state, params)["w"], np.average(path, axis=0, weights=weights)
    )


@pytest.mark.parametrize("outer", ["ema", "accumulate"])
def test_averages_and_accumulation_nest_either_way(outer: str) -> None:
    grads = gradients(8)
    mean = [pb.tree.map(lambda a, b: (a + b) / 2, *grads[k : k + 2]) for k in range(0, 8, 2)]
    expected = optim.ema(optim.sgd(0.1), 0.7)
    after, state = run(expected, mean)
    if outer == "ema":
        nested = optim.ema(optim.accumulate(optim.sgd(0.1), 2), 0.7)
    else:
        nested = optim.accumulate(optim.ema(optim.sgd(0.1), 0.7), 2)
    found, nested_state = run(nested, grads)
    close(found, after)
    close(nested.final(nested_state, found), expected.final(state, after))


def test_groups_are_updated_by_their_own_optimizers() -> None:
    grads = gradients()
    optimizer = optim.grouped(
        lambda path, p: "weights" if optim.is_weight(path, p) else "biases",
        {"weights": optim.ema(optim.adam(0.1), 0.5), "biases": optim.sgd(0.01)},
    )
    params, state = run(optimizer, grads)
    of_weights = optim.ema(optim.adam(0.1), 0.5)
    w, w_state = run(of_weights, [g["w"] for g in grads], PARAMS["w"])
    b, _ = run(optim.sgd(0.01), [g["b"] for g in grads], PARAMS["b"])
    close(params, {"w": w, "b": b})
    close(optimizer.final(state, params), {"w": of_weights.final(w_state, w), "b": b})
    assert int(state["step"]) == len(grads)


def test_groups_may_be_chosen_by_path() -> None:
    model = nn.mlp(pb.random.key(0), [2, 3, 1])
    seen = []
    optimizer = optim.grouped(
        lambda path, p: seen.append(path) or "all",  # type: ignore[func-returns-value]
        {"all": optim.sgd(0.1)},
    )
    optimizer.init(model)
    assert seen == [
        ".layers[0].weight", ".layers[0].bias", ".layers[2].weight", ".layers[2].bias",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["adamw", "lion", "lamb"])
def test_masked_parameters_do_not_decay(name: str) -> None:
    create: Any = optim.OPTIMIZERS[name]
    grads = gradients()
    masked, _ = run(create(0.01, weight_decay=0.3, decays=optim.is_weight), grads)
    all_decay, _ = run(create(0.01, weight_decay=0.3), grads)
    none_decays, _ = run(create(0.01, weight_decay=0.0), grads)
    close(masked["w"], all_decay["w"])
    close(masked["b"], none_decays["b"])
    assert np.abs(all_decay["b"][0] - none_decays["b"][0]).max() > 1e-3
    by_path, _ = run(create(0.01, weight_decay=0.3, decays=lambda path, p: "b" not in path), grads)
    close(by_path, masked)


def test_an_adjusted_rate_is_the_rate_times_the_factor() -> None:
    grads = gradients(2)
    optimizer = optim.grouped(
        lambda path, p: "all",
        {"all": optim.clip_norm(optim.adam(optim.Adjustable(optim.linear(0.1, 10))), 1.0)},
    )
    state = optim.adjust(optim.adjust(optimizer.init(PARAMS), 0.5), 0.1)
    params, state = optimizer.update(grads[0], state, PARAMS)
    same = optim.clip_norm(optim.adam(optim.linear(0.01, 10)), 1.0)
    close(params, run(same, grads[:1])[0])
    factor = state["groups"]["all"]["rate_factor"]
    assert (factor.shape, factor.dtype, float(factor)) == ((), np.float64, 0.1)
    with pytest.raises(ConfigError, match="Adjustable"):
        optim.adjust(optim.adam(0.1).init(PARAMS), 0.5)


WRAPPED = {
    "clipped": optim.clip_value(optim.clip_norm(optim.adam(0.01), 0.1), 0.05),
    "accumulated": optim.accumulate(optim.adamw(optim.one_cycle(0.1, 8)), 2),
    "averaged": optim.ema(optim.lion(0.01), 0.9),
    "grouped": optim.grouped(
        lambda path, p: "weights" if optim.is_weight(path, p) else "biases",
        {"weights": optim.lamb(0.01), "biases": optim.sgd(optim.Adjustable(0.1))},
    ),
    "nested": optim.accumulate(optim.ema(optim.clip_norm(optim.adam(0.01), 1.0), 0.9), 3),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_wrapped_optimizers_run_as_machine_code_alone(name: str) -> None:
    """In the loop of the Trainer, too: nothing of them falls back to NumPy."""
    from pullback.train.step import make_step
    from pullback.train.steps import Steps

    x = RNG.normal(size=(40, 3)).astype(np.float32)
    data = pb.train.Dataset(x, (x[:, 0] > 0).astype(np.int64), classes=2)
    model = nn.mlp(pb.random.key(0), [3, 5, 2])
    optimizer = WRAPPED[name]
    ends = []
    for compiled in (True, False):
        steps = Steps(make_step(nn.softmax_cross_entropy, optimizer), compiled)
        stretches = list(steps.epoch(model, optimizer.init(model), data, np.arange(40), 4))
        ends.append(stretches[-1])
        assert compiled == (len(stretches) < 10)
    pairs = zip(*(pb.tree.leaves((e.model, e.state)) for e in ends), strict=True)
    for a, b in pairs:
        assert np.asarray(a).dtype == np.asarray(b).dtype
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-6)


def test_bad_options_are_named() -> None:
    with pytest.raises(ConfigError, match="limit: expected a positive number"):
        optim.clip_norm(optim.sgd(0.1), 0.0)
    with pytest.raises(ConfigError, match="limit: expected a positive number"):
        optim.clip_value(optim.sgd(0.1), -1.0)
    with pytest.raises(ConfigError, match=r"batches: expected a whole number.*got 1\.5"):
        optim.accumulate(optim.sgd(0.1), 1.5)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="decay"):
        optim.ema(optim.sgd(0.1), 1.0)
    with pytest.raises(ConfigError, match="accumulate or average once only"):
        optim.ema(optim.ema(optim.sgd(0.1))).init(PARAMS)
    with pytest.raises(ConfigError, match=r"choose: expected one of a for \['b'\]\[0\], got 'c'"):
        optim.grouped(lambda path, p: "c", {"a": optim.sgd(0.1)}).init(PARAMS)
    with pytest.raises(ConfigError, match="optimizers"):
        optim.grouped(lambda path, p: "c", {})
    for wrapped in WRAPPED.values():
        with pytest.raises(ShapeError, match=r"grads\['w'\]"):
            wrapped.update({"w": np.zeros(2), "b": PARAMS["b"]}, wrapped.init(PARAMS), PARAMS)


@pytest.mark.parametrize("wrap", [optim.clip_norm, optim.clip_value, optim.accumulate, optim.ema])
def test_only_optimizers_are_wrapped(wrap):
    with pytest.raises(ConfigError, match=r"optimizer: expected one of pb.optim"):
        wrap("adam", 1)


def test_only_optimizers_are_grouped():
    with pytest.raises(ConfigError, match=r"optimizer: expected one of pb.optim, .* got 'sgd'"):
        optim.grouped(lambda path, parameter: "all", {"all": "sgd"})
