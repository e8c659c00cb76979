"""A loop with snapshots has the derivatives of the loop, in the fewest steps there can be."""

import functools
import tracemalloc

import numpy as np
import pytest

import pullback as pb
from pullback.transform.checkpoint_loop import extra_steps

RNG = np.random.default_rng(0)


def plain_loop(step, state, count, *args):
    for _ in range(count):
        state = step(state, *args)
    return state


@functools.cache
def fewest_extra_steps(count, snapshots):
    """By dynamic programming: advance, go back through the rest, go back through the beginning."""
    if count <= 1:
        return 0
    if snapshots == 1:
        return count * (count - 1) // 2
    return min(
        m + fewest_extra_steps(count - m, snapshots - 1) + fewest_extra_steps(m, snapshots)
        for m in range(1, count)
    )


@pytest.mark.parametrize("snapshots", [1, 2, 3, 5, 8, 40])
@pytest.mark.parametrize("count", [1, 2, 3, 7, 10, 21, 33])
def test_steps_are_run_as_few_times_as_possible(count, snapshots):
    runs = 0

    def step(x):
        nonlocal runs
        runs += 1
        return np.sin(x) * 1.1

    gradient = pb.grad(lambda x: pb.checkpointed_loop(step, x, count, snapshots=snapshots))(0.3)
    assert runs == count + fewest_extra_steps(count, snapshots)
    assert extra_steps(count, snapshots) == fewest_extra_steps(count, snapshots)
    assert gradient == pb.grad(lambda x: plain_loop(step, x, count))(0.3)


def test_without_a_number_of_snapshots_no_step_runs_more_than_three_times():
    for count in (1, 5, 30, 200):
        runs = dict.fromkeys(range(count), 0)

        def step(state, runs=runs):
            runs[round(float(state[1]))] += 1
            return np.sin(state[0]), state[1] + 1.0

        pb.grad(lambda x, c=count, s=step: pb.checkpointed_loop(s, (x, 0.0), c)[0])(0.3)
        assert max(runs.values()) <= 3


def move(state, w, scale):
    return {"x": np.tanh(state["x"] @ w) * scale["s"] + state["v"], "v": state["v"] * 0.9}


STATE = {"x": RNG.normal(size=(3, 4)), "v": RNG.normal(size=4)}
ARGS = RNG.normal(size=(4, 4)), {"s": np.float64(0.7)}


def loss(loop):
    return lambda state, w, scale: np.sum(loop(move, state, 11, w, scale)["x"] ** 2)


three = functools.partial(pb.checkpointed_loop, snapshots=3)


def assert_close(a, b):
    for x, y in zip(pb.tree.leaves(a), pb.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-10, atol=1e-13)


def test_gradients_for_pytrees_of_state_and_arguments():
    found, expected = (pb.grad(loss(loop), (0, 1, 2))(STATE, *ARGS) for loop in (three, plain_loop))
    assert_close(found, expected)


def test_forward_mode_second_derivatives_and_vmap():
    primals = (STATE, *ARGS)
    assert_close(pb.jvp(loss(three), primals, primals), pb.jvp(loss(plain_loop), primals, primals))
    assert_close(pb.hvp(loss(three), primals, primals), pb.hvp(loss(plain_loop), primals, primals))

    def penalty(f):
        return pb.grad(lambda w: np.sum(pb.grad(f, 1)(STATE, w, ARGS[1]) ** 2))

    assert_close(penalty(loss(three))(ARGS[0]), penalty(loss(plain_loop))(ARGS[0]))
    weights = np.stack([ARGS[0], -ARGS[0]])

    def each(f):
        return pb.vmap(pb.grad(f, 1), (None, 0, None))(STATE, weights, ARGS[1])

    assert_close(each(loss(three)), each(loss(plain_loop)))


def test_the_gradient_of_a_batch_of_loops_keeps_the_snapshots_of_the_batch():
    x = RNG.normal(size=(100, 200))
    runs = 0

    def step(x, r):
        nonlocal runs
        runs += 1
        return np.sin(x) * r

    def total(loop):
        return lambda x, r: np.sum(pb.vmap(lambda x: loop(step, x, 11, r))(x))

    found = pb.grad(total(three), (0, 1))(x, 1.1)
    assert runs == 11 + fewest_extra_steps(11, 3)
    assert_close(found, pb.grad(total(plain_loop), (0, 1))(x, 1.1))


def test_a_pullback_can_be_called_twice():
    _, pullback = pb.vjp(loss(three), STATE, *ARGS)
    assert_close(pullback(1.0), pullback(1.0))


def test_simplify_leaves_the_recomputation_in_a_traced_gradient():
    graph = pb.trace(pb.grad(loss(three)), STATE, *ARGS)
    tanhs = [sum(n.op is not None and n.op.name == "tanh" for n in g.nodes)
             for g in (graph, pb.simplify(graph))]  # fmt: skip
    assert tanhs[0] == tanhs[1] >= 11 + fewest_extra_steps(11, 3) - 1
    assert_close(graph(STATE, *ARGS), pb.grad(loss(plain_loop))(STATE, *ARGS))


def test_memory_is_that_of_the_snapshots():
    x = RNG.normal(size=20_000)

    def peak(loop, **options):
        gradient = pb.grad(lambda x: np.sum(loop(np.tanh, x, 100, **options)))
        gradient(x)
        tracemalloc.start()
        try:
            gradient(x)
            return tracemalloc.get_traced_memory()[1] / x.nbytes
        finally:
            tracemalloc.stop()

    assert peak(plain_loop) > 100
    for snapshots in (3, 6, 12):
        assert peak(pb.checkpointed_loop, snapshots=snapshots) < snapshots + 6
    assert peak(pb.checkpointed_loop) < 14 + 6  # C(13 + 2, 2) >= 100


def test_no_steps_and_plain_arrays():
    assert pb.checkpointed_loop(np.sin, 0.5, 0) == 0.5
    assert pb.grad(lambda x: pb.checkpointed_loop(np.sin, x, 0))(0.5) == 1.0
    assert pb.checkpointed_loop(np.sin, 0.5, 2) == np.sin(np.sin(0.5))


def test_a_step_that_closes_over_a_differentiated_value_is_refused():
    with pytest.raises(pb.errors.NotDifferentiableError, match="pass it as an argument"):
        pb.grad(lambda r: pb.checkpointed_loop(lambda x: r * x, r, 3))(2.0)


def test_a_step_that_writes_into_its_state_fails():
    def step(x):
        x *= 0.5
        return x

    with pytest.raises(ValueError, match="read-only"):
        pb.grad(lambda x: np.sum(pb.checkpointed_loop(step, x, 5)))(np.ones(3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: pb.checkpointed_loop(np.sin, x, -1), "ConfigError", "count: expected"),
        (lambda x: pb.checkpointed_loop(np.sin, x, 2.5), "ConfigError", "count: expected"),
        (lambda x: pb.checkpointed_loop(np.sin, x, 3, snapshots=0), "ConfigError", "snapshots"),
        (lambda x: pb.checkpointed_loop(lambda x: x[:1], x, 3)[0], "ShapeError", "keep the shapes"),
        (lambda x: pb.checkpointed_loop(lambda x: (x, x), x, 3), "TreeError", "structure"),
        (lambda x: pb.checkpointed_loop(np.sin, 3, 3), "DTypeError", "int"),
    ],
)
def test_errors_name_what_is_wrong(call, error, message):
    with pytest.raises(getattr(pb.errors, error), match=message):
        pb.grad(lambda x: np.sum(call(x)))(np.ones(3))


def test_a_step_in_place_leaves_the_state_of_the_caller_alone():
    def step(state):
        state *= 2.0
        return state

    state = np.ones(2)
    np.testing.assert_array_equal(pb.checkpointed_loop(step, state, 3), [8.0, 8.0])
    np.testing.assert_array_equal(state, [1.0, 1.0])
