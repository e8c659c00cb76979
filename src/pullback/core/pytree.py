"""Pytrees: nested containers of arrays, through optree in pullback's own namespace.

Tuples, lists, dicts, named tuples and modules are containers; everything else is a leaf.
`None` is an empty subtree; the keys of a dict are taken in sorted order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import optree

from pullback.core.errors import TreeError

NAMESPACE = "pullback"

Structure = optree.PyTreeSpec


def flatten(tree: Any) -> tuple[list[Any], Structure]:
    """Return the leaves of `tree` and the structure that puts them back.

    >>> leaves, structure = flatten({"b": 2, "a": (1, None)})
    >>> leaves
    [1, 2]
    >>> unflatten(structure, [10, 20])
    {'b': 20, 'a': (10, None)}
    """
    leaves, structure = optree.tree_flatten(tree, namespace=NAMESPACE)
    return leaves, structure


def unflatten(structure: Structure, leaves: Iterable[Any]) -> Any:
    """Put `leaves` back into the containers of `structure`: the inverse of `flatten`.

    >>> unflatten(structure([0, {"a": 0}]), ["first", "second"])
    ['first', {'a': 'second'}]
    """
    return optree.tree_unflatten(structure, leaves)


def leaves(tree: Any) -> list[Any]:
    """Return the leaves of `tree` in order.

    >>> leaves({"b": 2, "a": (1, None)})
    [1, 2]
    """
    return optree.tree_leaves(tree, namespace=NAMESPACE)


def structure(tree: Any) -> Structure:
    """Return the structure of `tree` without its leaves.

    >>> structure((1, [2])) == structure((3, [4])), structure((1, [2])) == structure((1, 2))
    (True, False)
    """
    return optree.tree_structure(tree, namespace=NAMESPACE)


def paths(tree: Any) -> list[str]:
    """Return a readable path for each leaf of `tree`, in the order of `leaves`.

    >>> paths({"a": (1, 2)})
    ["['a'][0]", "['a'][1]"]
    """
    accessors = optree.tree_accessors(tree, namespace=NAMESPACE)
    return [accessor.codify("") for accessor in accessors]


def names(tree: Any) -> list[str]:
    """Return for each leaf of `tree` what leads to it, joined by dots: a name for files.

    >>> names({"layers": [1, {"weight": 2}]})
    ['layers.0', 'layers.1.weight']
    """
    accessors = optree.tree_accessors(tree, namespace=NAMESPACE)
    return [".".join(str(step.entry) for step in accessor) for accessor in accessors]


def map(function: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    """Apply `function` to corresponding leaves of one or several trees of one structure.

    Raises TreeError where the structures differ.

    >>> map(lambda a, b: a + b, {"x": 1, "y": [2]}, {"x": 10, "y": [20]})
    {'x': 11, 'y': [22]}
    """
    first, wanted = flatten(tree)
    others = [match(wanted, other, name=f"tree {i}") for i, other in enumerate(rest, 2)]
    return unflatten(wanted, [function(*group) for group in zip(first, *others, strict=True)])


def match(wanted: Structure, tree: Any, name: str) -> list[Any]:
    """Return the leaves of `tree`, which must have the structure `wanted`.

    Raises TreeError naming `name`, the structure expected and the one that came.

    >>> match(structure((0, 0)), ("left", "right"), name="the pair")
    ['left', 'right']
    """
    found, got = flatten(tree)
    if got != wanted:
        raise TreeError(
            f"{name} has another structure than expected: expected {_show(wanted)}, "
            f"got {_show(got)}. Give a pytree with the same containers and keys."
        )
    return found


def spread_prefix(prefix: Any, tree: Any, name: str) -> list[Any]:
    """Return one leaf of `prefix`, which may be None, for each leaf of `tree` below it.

    Raises TreeError naming `name` where `prefix` has containers that `tree` has not.

    >>> spread_prefix((0, None), ([1, 2], {"a": 3}), "axes")
    [0, 0, None]
    """
    options: Any = {"none_is_leaf": True, "namespace": NAMESPACE}
    try:
        spread = optree.broadcast_prefix(prefix, tree, **options)
    except ValueError:
        raise TreeError(
            f"{name}: expected the containers of the tree it is for, "
            f"{_show(structure(tree))}, or the outer ones of them, got {prefix!r}"
        ) from None
    below = optree.tree_leaves(tree, **options)
    return [entry for entry, leaf in zip(spread, below, strict=True) if leaf is not None]


def is_leaf(node: Any) -> bool:
    """Return whether `node` is no container.

    >>> is_leaf(3), is_leaf([3]), is_leaf(None)
    (True, False, False)
    """
    return optree.tree_is_leaf(node, namespace=NAMESPACE)


def children(node: Any) -> list[Any]:
    """Return what the container `node` holds itself; nothing for a leaf.

    >>> children({"b": [1, 2], "a": 3})
    [3, [1, 2]]
    """
    if is_leaf(node):
        return []
    return list(optree.tree_flatten_one_level(node, namespace=NAMESPACE).children)


def select(first: Any, second: Any) -> Any:
    """Return the tree that has the leaves of `first`, and those of `second` where it has None.

    Raises TreeError where they do not fit together.

    >>> select({"a": None, "b": 2}, {"a": 1, "b": None})
    {'a': 1, 'b': 2}
    """
    options: Any = {"none_is_leaf": True, "namespace": NAMESPACE}
    left, wanted = optree.tree_flatten(first, **options)
    right, got = optree.tree_flatten(second, **options)
    if got != wanted:
        raise TreeError(f"the second tree is no complement of the first: {got} against {wanted}")
    chosen = [b if a is None else a for a, b in zip(left, right, strict=True)]
    return optree.tree_unflatten(wanted, chosen)


def register(
    cls: type[Any],
    flatten: Callable[[Any], tuple[Iterable[Any], Any, Iterable[Any]]],
    unflatten: Callable[[Any, Iterable[Any]], Any],
) -> None:
    """Make `cls` a container; `flatten` gives (children, auxiliary data, child names).

    The auxiliary data is hashable, and part of the structure; the names appear in messages.

    >>> class Interval:
    ...     def __init__(self, low, high):
    ...         self.low, self.high = low, high
    >>> register(
    ...     Interval,
    ...     lambda interval: ((interval.low, interval.high), None, ("low", "high")),
    ...     lambda _, ends: Interval(*ends),
    ... )
    >>> map(lambda end: 10 * end, Interval(1, 2)).high
    20
    """
    optree.register_pytree_node(
        cls,
        flatten,
        unflatten,
        path_entry_type=optree.GetAttrEntry,
        namespace=NAMESPACE,
    )


def _show(structure: Structure) -> str:
    inner = str(structure).removeprefix("PyTreeSpec(").removesuffix(")")
    return inner.removesuffix(", namespace='pullback'")


def flat(count: int) -> Structure:
    """Return the structure of a tuple of `count` leaves."""
    return structure((0,) * count)
