"""Which layer of a state_dict is which layer of a model.

Places are paired by what they hold, the names and shapes of their tensors, from the outside in. A
place without a counterpart is opened: what it holds stands for it. Where several hold the same,
names decide, if they can: equal ones, words that tell an embedding from a layer, or names that
differ in their numbers only. Otherwise the caller has to say.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pullback import nn
from pullback.core.errors import FormatError
from pullback.interchange.torch.trees import Place

Pairs = list[tuple[Place, Place]]

WORDS = {
    nn.Positions: re.compile(r"pos|wpe"),
    nn.Embedding: re.compile(r"emb|wte|tok|vocab"),
}
"""What the names of tables have that are not those of layers."""

_SHOWN = 12


def paired(ours: Place, theirs: Place, names: Mapping[str, str] | None = None) -> Pairs:
    """Return the layers of both, in pairs; `names` tells of some places what they are there.

    Raises FormatError that lists layers without a counterpart, or of which more than one could be.
    """
    found: Pairs = []
    for name, other in (names or {}).items():
        mine, its = _taken(ours, name, "the model"), _taken(theirs, other, "the state_dict")
        found += _pair([mine], [its])
    return found + _pair([ours], [theirs])


def _pair(ours: Sequence[Place], theirs: Sequence[Place]) -> Pairs:
    mine, its = _opened(ours, theirs)
    found: Pairs = []
    for content in dict.fromkeys(place.content() for place in mine):
        for a, b in _in_order(_alike(mine, content), _alike(its, content)):
            one = len(content) == 1
            found += [(next(a.layers()), next(b.layers()))] if one else _pair(_open(a), _open(b))
    return found


def _alike(places: Sequence[Place], content: Any) -> list[Place]:
    return [place for place in places if place.content() == content]


def _opened(ours: Sequence[Place], theirs: Sequence[Place]) -> tuple[list[Place], list[Place]]:
    """Return both with places opened until each content is as often in one as in the other."""
    mine, its = ([place for place in side if place.content()] for side in (ours, theirs))
    while True:
        mine_alone, its_alone = _surplus(mine, its), _surplus(its, mine)
        alone = [*mine_alone, *its_alone]
        if not alone:
            return mine, its
        largest = max((p for p in alone if p.children or p.parts), key=_size, default=None)
        if largest is None:
            raise FormatError(_unmatched(mine_alone, its_alone))
        mine, its = _with_opened(mine, largest), _with_opened(its, largest)


def _surplus(places: Sequence[Place], others: Sequence[Place]) -> list[Place]:
    """Return the places whose content is not as often among the others."""
    counts, wanted = (Counter(p.content() for p in side) for side in (places, others))
    return [p for p in places if counts[p.content()] != wanted[p.content()]]


def _with_opened(places: Sequence[Place], opened: Place) -> list[Place]:
    return [x for place in places for x in (_open(place) if place is opened else [place])]


def _open(place: Place) -> list[Place]:
    """Return what stands for a place: its own tensors and its children, or its parts."""
    if place.parts:
        return place.parts
    own = [Place(place.name, place.tensors, layer=place.layer)] if place.tensors else []
    return own + place.children


def _size(place: Place) -> int:
    return sum(1 for _ in place.layers())


def _in_order(ours: list[Place], theirs: list[Place]) -> Pairs:
    """Pair places that hold the same."""
    if len(ours) == 1:
        return list(zip(ours, theirs, strict=True))
    by_name = {place.last: place for place in theirs}
    told = len(by_name) == len(theirs) and not any(name.isdigit() for name in by_name)
    if told and by_name.keys() == {place.last for place in ours}:
        return [(place, by_name[place.last]) for place in ours]
    kinds = [[_kind_of_layer(p.layer) for p in ours], [_kind_of_name(p.name) for p in theirs]]
    if len(set(kinds[0])) > 1 and Counter(kinds[0]) == Counter(kinds[1]):
        return [
            pair
            for kind in dict.fromkeys(kinds[0])
            for pair in _in_order(
                [p for p, k in zip(ours, kinds[0], strict=True) if k == kind],
                [p for p, k in zip(theirs, kinds[1], strict=True) if k == kind],
            )
        ]
    if len({re.sub(r"\d+", "#", place.name) for place in theirs}) == 1:
        return list(zip(ours, theirs, strict=True))
    raise FormatError(
        "several layers have the same shapes: say which is which with names="
        + "{" + ", ".join(f"{a.name!r}: {b.name!r}" for a, b in zip(ours, theirs, strict=True))
        + "} in the right order"
    )  # fmt: skip


def _kind_of_layer(layer: Any) -> Any:
    return next((cls for cls in WORDS if isinstance(layer, cls)), None)


def _kind_of_name(name: str) -> Any:
    return next((cls for cls, words in WORDS.items() if words.search(name.lower())), None)


def _taken(tree: Place, name: str, where: str) -> Place:
    """Take the place of that name out of the tree."""
    for place in _all(tree):
        if any(part.name == name for part in place.parts):
            place.tensors, place.children, place.parts = {}, place.parts, []
        for child in place.children:
            if child.name == name:
                place.children.remove(child)
                return child
    raise FormatError(f"names: {where} has no {name!r}")


def _all(tree: Place) -> list[Place]:
    return [tree, *(place for child in tree.children for place in _all(child))]


def _unmatched(ours: list[Place], theirs: list[Place]) -> str:
    lines = ["another architecture than that of the model"]
    for label, places in (("missing", ours), ("unexpected", theirs)):
        lines += [f"  {label}: {_text(place)}" for place in places[:_SHOWN]]
    return "\n".join(lines)


def _text(place: Place) -> str:
    shapes = ", ".join(f"{name} {tuple(x.shape)}" for name, x in place.tensors.items())
    return f"{place.name or 'the model'}: {shapes}"
