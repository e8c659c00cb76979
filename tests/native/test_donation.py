"""Arrays that are given away: their memory becomes that of the results."""

import numpy as np
import pytest

import pullback as pb
from pullback.core.errors import ConfigError

RNG = np.random.default_rng(0)


def step(model, state, x, t):
    def loss(m):
        return pb.nn.losses.softmax_cross_entropy(m(x), t)

    value, slopes = pb.value_and_grad(loss)(model)
    return *pb.optim.adam(0.01).update(slopes, state, model), value


def test_a_training_step_updates_model_and_state_in_place():
    model = pb.nn.mlp(pb.random.key(0), [5, 4, 4, 3])
    state = pb.optim.adam(0.01).init(model)
    x, t = RNG.normal(size=(6, 5)).astype(np.float32), RNG.integers(0, 3, 6)
    kept = pb.tree.map(np.copy, (model, state))
    plain, donating = pb.compile(step), pb.compile(step, donate_argnums=(0, 1))
    for _ in range(3):
        *kept, wanted = plain(*kept, x, t)
        before = [leaf for leaf in pb.tree.leaves((model, state)) if leaf.ndim]
        model, state, value = donating(model, state, x, t)
        after = [leaf for leaf in pb.tree.leaves((model, state)) if leaf.ndim]
        assert all(a is b for a, b in zip(after, before, strict=True))
        assert value == wanted
        for a, b in zip(pb.tree.leaves((model, state)), pb.tree.leaves(kept), strict=True):
            np.testing.assert_array_equal(a, b)
    assert f"donated     {len(after)} arrays" in donating.report()


CASES = {
    "each element after it was read": (lambda x, y: x * 2 + y, True),
    "elements that are read later": (lambda x, y: x[::-1] + y, False),
    "rows that a product still needs": (lambda x, y: x @ y, False),
    "read by another result afterwards": (lambda x, y: (x + y, np.cumsum(x, 0)), None),
    "as it is": (lambda x, y: (x, x + y), None),
    "changed twice": (lambda x, y: (x + 1) @ y + x, None),
}


@pytest.mark.parametrize("name", CASES)
def test_a_donated_array_never_changes_what_comes_out(name):
    function, in_place = CASES[name]
    x, y = RNG.normal(size=(40, 40)), RNG.normal(size=(40, 40))
    wanted, compiled = function(x, y), pb.compile(function, donate_argnums=0)
    found = compiled(x, y)
    for a, b in zip(pb.tree.leaves(found), pb.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    if in_place is not None:
        assert (found is x) == in_place


def test_two_carries_that_read_each_other_do_not_overwrite_each_other():
    def rotate(x, y):
        return x + y, x - y

    x, y = RNG.normal(size=9), RNG.normal(size=9)
    wanted = rotate(x, y)
    found = pb.compile(rotate, donate_argnums=(0, 1))(x, y)
    np.testing.assert_array_equal(found, wanted)


def test_memory_that_is_donated_may_not_be_another_argument_too():
    compiled = pb.compile(lambda x, y: x + y, donate_argnums=0)
    x = np.zeros((4, 3))
    compiled(x, np.ones((4, 3)))
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"argument 'x' is donated.*'y' lies in the same"):
            compiled(x, x)
    wide = np.zeros((7, 3))
    with pytest.raises(ConfigError):
        compiled(wide[:4], wide[3:])
    np.testing.assert_array_equal(compiled(wide[:3], wide[3:6]), 0)
    np.testing.assert_array_equal(x, 1)  # a call that is refused changes nothing


def test_what_cannot_be_overwritten_is_copied():
    compiled = pb.compile(lambda x: x * 2, donate_argnums=0)
    x = np.ones(3)
    assert compiled(x) is x
    fixed = np.ones(3)
    fixed.flags.writeable = False
    np.testing.assert_array_equal(compiled(fixed), [2, 2, 2])
    np.testing.assert_array_equal(fixed, 1)
    np.testing.assert_array_equal(compiled(np.ones(6)[::2]), [2, 2, 2])
    assert compiled(1.0) == 2.0


def test_an_argument_is_static_or_donated_not_both():
    with pytest.raises(ConfigError, match="donate_argnums"):
        pb.compile(lambda x: x, static_argnums=0, donate_argnums=(0,))
    last = pb.compile(lambda n, x, y: y + x * n, static_argnums=0, donate_argnums=-1)
    x, y = np.ones(3), np.zeros(3)
    assert last(2, x, y) is y
    np.testing.assert_array_equal(y, 2)


@pytest.mark.parametrize("name", ["static_argnums", "donate_argnums"])
@pytest.mark.parametrize("wrong", ["a", (0, 1.0), (True,)])
def test_what_is_no_position_is_refused(name, wrong):
    with pytest.raises(ConfigError, match=f"{name}: expected positions of arguments"):
        pb.compile(lambda x, y=1: x + y, **{name: wrong})
