from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from pullback import nn
from pullback.core import pytree
from pullback.core.errors import ConfigError, DTypeError, ShapeError, TreeError


class Pair(nn.Module):
    first: Any
    second: Any
    name: str = nn.static("pair")


def test_fields_are_children_and_static_fields_are_structure() -> None:
    pair = Pair(np.ones(2), {"x": np.zeros(3)}, name="a")
    leaves, structure = pytree.flatten(pair)
    assert [leaf.shape for leaf in leaves] == [(2,), (3,)]
    back = pytree.unflatten(structure, leaves)
    assert isinstance(back, Pair)
    assert back.name == "a"
    assert back.first is pair.first
    assert pytree.structure(Pair(1, {"x": 2}, name="a")) == structure
    assert pytree.structure(Pair(1, {"x": 2}, name="b")) != structure


def test_a_missing_bias_is_an_empty_subtree() -> None:
    assert len(pytree.leaves(nn.Linear(np.ones((2, 3)), None))) == 1


def test_models_of_different_structure_do_not_map_together() -> None:
    with_bias = nn.Linear(np.ones((2, 3)), np.ones(3))
    with pytest.raises(TreeError):
        pytree.map(np.add, with_bias, nn.Linear(np.ones((2, 3))))


def test_paths_name_the_fields() -> None:
    model = nn.Sequential([nn.Linear(np.ones((2, 3)), np.ones(3))])
    assert pytree.paths(model) == [".layers[0].weight", ".layers[0].bias"]


def test_modules_are_immutable_and_replace_copies() -> None:
    pair = Pair(1, 2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        pair.first = 3  # type: ignore[misc]
    changed = nn.replace(pair, first=3, name="other")
    assert (changed.first, changed.second, changed.name) == (3, 2, "other")
    assert (pair.first, pair.name) == (1, "pair")
    with pytest.raises(ConfigError, match="Pair has no field 'third'; its fields are first, sec"):
        nn.replace(pair, third=1)


def test_subclasses_of_layers_keep_their_fields() -> None:
    class Scaled(nn.Linear):
        scale: float = nn.static(2.0)

        def __call__(self, x: Any) -> Any:
            return self.scale * super().__call__(x)

    layer = Scaled(np.ones((1, 1)), np.ones(1), scale=3.0)
    doubled = pytree.map(lambda leaf: 2 * leaf, layer)
    np.testing.assert_array_equal(doubled(np.ones((1, 1))), [[12.0]])


def test_repr_shows_shapes_and_breaks_long_lines() -> None:
    assert repr(Pair(np.ones(2), None)) == "Pair(first=f64[2], second=None, name='pair')"
    wide = Pair([np.ones((100, 100))] * 12, {"key": (1.5,)})
    lines = repr(wide).splitlines()
    assert lines[:3] == ["Pair(", "  first=[", "    f64[100,100],"]
    assert lines[-3:] == ["  second={'key': (1.5)},", "  name='pair',", ")"]


def test_errors_name_the_path_to_the_layer_in_modules_of_the_user_too() -> None:
    class Net(nn.Module):
        body: Any
        heads: dict[str, Any]

        def __call__(self, x: Any) -> Any:
            x = self.body(x)
            return {name: head(x) for name, head in self.heads.items()}

    body = nn.Sequential([nn.Residual(nn.Linear(np.ones((2, 2)))), nn.Linear(np.ones((2, 3)))])
    net = Net(body, {"a": nn.Linear(np.ones((3, 1))), "b": nn.Linear(np.ones((4, 1)))})
    with pytest.raises(ShapeError, match=r"^heads\['b'\]: Linear\(4 -> 1\): x: expected") as info:
        net(np.ones((5, 2)))
    assert str(info.value).count("heads") == 1
    with pytest.raises(ShapeError, match=r"^body\.layers\[0\]\.inner: Linear\(2 -> 2\)"):
        net(np.ones((5, 3)))
    with pytest.raises(ShapeError, match=r"^body\.layers\[0\]\.inner: Linear\(2 -> 2\)"):
        nn.training_call(net, np.ones((5, 3)))
    with pytest.raises(DTypeError, match=r"^layers\[0\]: Embedding\(4\): indices: expected integ"):
        nn.Sequential([nn.Embedding(np.ones((4, 2)))])(np.ones(3))


def test_a_module_that_sets_a_field_is_told_what_to_write():
    class Scale(nn.Module):
        factor: Any

        def __init__(self, size):
            self.factor = np.ones(size)

    with pytest.raises(AttributeError, match=r"Scale: cannot set 'factor'.*classmethod"):
        Scale(3)
    with pytest.raises(AttributeError, match="Linear: cannot set 'bias'"):
        nn.Linear(np.ones((2, 2))).bias = np.ones(2)
