"""A model and a state_dict as trees of the same kind, so that they can be laid side by side."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from pullback import nn
from pullback.core import pytree
from pullback.interchange.torch.layers import IGNORED, layout_of

PARTS = ("weight", "bias", "running_mean", "running_var", IGNORED)
"""Tensors that belong to the layer whose name stands before theirs."""


@dataclass(eq=False)
class Place:
    """A layer with its tensors, or a container; `name` is the whole path to it.

    `parts` stand for a layer that the other side has in several.
    """

    name: str
    tensors: dict[str, Any] = field(default_factory=dict)
    children: list[Place] = field(default_factory=list)
    parts: list[Place] = field(default_factory=list)
    layer: Any = None

    @property
    def last(self) -> str:
        """The last part of the name."""
        return self.name.rpartition(".")[2]

    def layers(self) -> Iterator[Place]:
        """Yield the places of layers in this one, in order."""
        if self.tensors:
            yield self
        for child in self.children:
            yield from child.layers()

    def content(self) -> Any:
        """Return the shapes of all layers in it: what two places of one layer have in common."""
        return tuple(sorted(_shapes(place.tensors) for place in self.layers()))


def tree_of_model(tree: Any, name: str = "") -> Place:
    """Return the places of a model; arrays outside of PyTorch's layers stand for themselves."""
    layout = layout_of(tree)
    if layout is not None:
        several = isinstance(tree, nn.MultiHeadAttention)
        parts = _places(tree, name) if several else []
        return Place(name, layout.to_torch(tree), parts=parts, layer=tree)
    if isinstance(tree, nn.Dropout):
        return Place(name)
    if pytree.is_leaf(tree):
        return Place(name, {"weight": np.asarray(tree)}, layer=tree)
    return Place(name, children=_places(tree, name))


def tree_of_state(state: Mapping[str, Any], name: str = "") -> Place:
    """Return the places of a state_dict, numbers in names ordered as numbers."""
    groups: dict[str, dict[str, Any]] = {}
    own: dict[str, Any] = {}
    for key in sorted(state, key=numbered):
        head, _, rest = key.partition(".")
        if rest:
            groups.setdefault(head, {})[rest] = state[key]
        elif head in PARTS or head.startswith(("weight_", "bias_", "in_proj_")):
            own[head] = state[key]
        else:
            groups.setdefault(head, {})["weight"] = state[key]  # a parameter by itself
    if "in_proj_weight" in own:
        own |= {f"out_proj.{part}": x for part, x in groups.pop("out_proj", {}).items()}
    own.pop(IGNORED, None)
    children = [tree_of_state(inner, f"{name}.{k}" if name else k) for k, inner in groups.items()]
    return Place(name, own, children)


def numbered(name: str) -> list[tuple[int, int | str]]:
    """Return what to sort names by, so that block.10 comes after block.9."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts]


def _places(tree: Any, name: str) -> list[Place]:
    """Return the places of what `tree` holds, without those that hold no arrays."""
    prefix = f"{name}." if name else ""
    found = [tree_of_model(child, f"{prefix}{key}") for key, child in children_of(tree)]
    return [place for place in found if place.tensors or place.children]


def children_of(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Yield what a module or a container holds, by the names that it has in paths."""
    if isinstance(tree, nn.Module):
        for item in fields(tree):  # type: ignore[arg-type]
            if not item.metadata.get("static"):
                yield item.name, getattr(tree, item.name)
    elif isinstance(tree, dict):
        yield from sorted(tree.items())
    elif isinstance(tree, list | tuple):
        yield from enumerate(tree)


def _shapes(tensors: Mapping[str, Any]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple(sorted((name, tuple(np.shape(x))) for name, x in tensors.items()))
