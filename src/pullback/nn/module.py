"""Models as pytrees: a module is a frozen dataclass whose array fields are its parameters.

`model(x)` is an ordinary function of the model and of x, so every transformation applies:
`pb.grad(lambda model: loss(model(x), t))(model)` is a model whose fields are the gradients.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, dataclass_transform

from pullback.core import pytree
from pullback.core.aval import aval_of
from pullback.core.errors import ConfigError
from pullback.nn.places import telling_places

M = TypeVar("M", bound="Module")

_LINE = 80
_OPEN = "_open"
"""The attribute of modules that `training_call` works on."""


def static(default: Any = dataclasses.MISSING) -> Any:
    """Declare a field that is configuration, not a parameter: a string, a number, a tuple.

    Its value must be hashable; models whose static fields differ have different structures.

    >>> class Scale(Module):
    ...     factor: float = static(2.0)
    ...     def __call__(self, x):
    ...         return x * self.factor
    >>> Scale()(3.0)
    6.0
    >>> pytree.leaves(Scale())
    []
    """
    return dataclasses.field(default=default, metadata={"static": True})


def state(default: Any = dataclasses.MISSING) -> Any:
    """Declare a field that training changes, but not by gradients: running statistics, a key.

    `partition` sets such fields apart from the parameters; `training_call` returns them changed.

    >>> import numpy as np
    >>> from pullback.nn import training_call
    >>> class Counter(Module):
    ...     calls: np.ndarray = state()
    ...     def __call__(self, x):
    ...         self.remember(calls=self.calls + 1)
    ...         return x
    >>> outputs, after = training_call(Counter(np.array([0])), 3.0)
    >>> outputs, after.calls
    (3.0, array([1]))
    """
    return dataclasses.field(default=default, metadata={"state": True})


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(static, state))
class Module:
    """Base of all layers and models: subclass it with annotated fields, as for a dataclass.

    Fields that hold arrays, modules, or lists and dicts of them are children of the pytree; fields
    declared with `static()` belong to its structure. Modules are immutable: see `replace`. Errors
    that a layer raises in a call begin with its path in the model.

    >>> import numpy as np
    >>> class Affine(Module):
    ...     a: np.ndarray
    ...     b: np.ndarray
    ...     def __call__(self, x):
    ...         return self.a * x + self.b
    >>> model = Affine(np.float32([2.0]), np.float32([1.0]))
    >>> model
    Affine(a=f32[1], b=f32[1])
    >>> pytree.map(lambda leaf: 10 * leaf, model)(1.0)
    array([30.], dtype=float32)
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__call__" in cls.__dict__:
            cls.__call__ = telling_places(cls.__dict__["__call__"])  # type: ignore[method-assign]
        has_own_init = "__init__" in cls.__dict__
        dataclasses.dataclass(frozen=True, eq=False, repr=False)(cls)
        cls.__setattr__ = _refuse_change  # type: ignore[method-assign]
        if hasattr(cls, "create") and not has_own_init and _begins_with_parameter(cls):
            cls.__init__ = _of_arrays(cls.__init__)  # type: ignore[method-assign]
        _register(cls)

    @property
    def training(self) -> bool:
        """Whether the call in progress is one of `training_call`."""
        return _OPEN in self.__dict__

    def remember(self, **changes: Any) -> None:
        """Set state fields to what `training_call` is to return; outside of it do nothing."""
        if self.training:
            self.__dict__.update(changes)

    def __repr__(self) -> str:
        return _call_text(
            type(self).__name__,
            [f"{field.name}={_show(getattr(self, field.name))}" for field in _fields(self)],
        )


def _refuse_change(module: Any, name: str, value: Any) -> None:
    raise dataclasses.FrozenInstanceError(
        f"{type(module).__name__}: cannot set {name!r}, since modules are immutable. Take a copy, "
        f"nn.replace(module, {name}=...); in place of an __init__ that sets it write a classmethod "
        "that returns cls(...)."
    )


def _begins_with_parameter(cls: type[Module]) -> bool:
    fields = _fields(cls)
    return bool(fields) and not fields[0].metadata  # neither static nor state


def _of_arrays(init: Callable[..., None]) -> Callable[..., None]:
    """Return an `__init__` that refuses a size, which is for `create`, in the place of arrays."""

    @functools.wraps(init)
    def checked(self: Any, *args: Any, **fields: Any) -> None:
        if args and type(args[0]) is int:
            parameters = inspect.signature(self.create).parameters.values()
            wanted = ", ".join(p.name for p in parameters if p.default is p.empty)
            name = type(self).__name__
            raise ConfigError(
                f"{name}: expected arrays, got {args[0]}. Write {name}.create({wanted})."
            )
        init(self, *args, **fields)

    return checked


def replace(module: M, **changes: Any) -> M:
    """Return a copy of `module` with the fields in `changes` set to new values.

    Raises ConfigError if `module` has no such field.

    >>> from pullback.nn import Linear
    >>> import numpy as np
    >>> layer = Linear(np.ones((2, 3)), np.zeros(3))
    >>> replace(layer, bias=None)
    Linear(weight=f64[2,3], bias=None)
    """
    known = [field.name for field in _fields(module)]
    for name in changes:
        if name not in known:
            raise ConfigError(
                f"{type(module).__name__} has no field {name!r}; its fields are {', '.join(known)}."
            )
    return type(module)(**{name: getattr(module, name) for name in known} | changes)


def opened(tree: Any) -> Any:
    """Return a copy of a model whose modules are in training and may change their state.

    Modules that lie in a state field are not: they are evaluated.
    """
    copy = pytree.map(lambda leaf: leaf, tree)
    pending: list[Any] = [copy]
    while pending:
        node = pending.pop()
        if isinstance(node, Module):
            node.__dict__[_OPEN] = True
            pending += [child for field, child in _children(node) if not _holds_state(field)]
        else:
            pending += pytree.children(node)
    return copy


def is_state(tree: Any) -> list[bool]:
    """Return for each leaf of a model, in order, whether it lies in a state field."""
    if pytree.is_leaf(tree):
        return [False]
    if not isinstance(tree, Module):
        return [mark for child in pytree.children(tree) for mark in is_state(child)]
    marks = []
    for field, child in _children(tree):
        inner = is_state(child)
        marks += [True] * len(inner) if _holds_state(field) else inner
    return marks


def _children(module: Any) -> Iterable[tuple[dataclasses.Field[Any], Any]]:
    fields = [field for field in _fields(module) if not field.metadata.get("static")]
    return ((field, getattr(module, field.name)) for field in fields)


def _holds_state(field: dataclasses.Field[Any]) -> bool:
    return bool(field.metadata.get("state"))


def _fields(module: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(module)


def _register(cls: type[Any]) -> None:
    fields = dataclasses.fields(cls)
    fixed = tuple(field.name for field in fields if field.metadata.get("static"))
    children = tuple(field.name for field in fields if not field.metadata.get("static"))

    def flatten(module: Any) -> tuple[Iterable[Any], Any, Iterable[Any]]:
        values = module.__dict__
        return (
            [values[name] for name in children],
            tuple([values[name] for name in fixed]),
            children,
        )

    def unflatten(configuration: Any, leaves: Iterable[Any]) -> Any:
        # Past __init__ and its checks: leaves may be gradients, shapes or any other object.
        module = object.__new__(cls)
        values = module.__dict__
        values.update(zip(children, leaves, strict=True))
        values.update(zip(fixed, configuration, strict=True))
        return module

    pytree.register(cls, flatten, unflatten)


def _show(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        left, right = ("[", "]") if isinstance(value, list) else ("(", ")")
        return _bracket(left, [_show(item) for item in value], right)
    if isinstance(value, dict):
        return _bracket("{", [f"{key!r}: {_show(item)}" for key, item in value.items()], "}")
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return repr(aval_of(value))
    return repr(value)


def _call_text(name: str, items: list[str]) -> str:
    return name + _bracket("(", items, ")")


def _bracket(left: str, items: list[str], right: str) -> str:
    line = left + ", ".join(items) + right
    if len(line) <= _LINE and "\n" not in line:
        return line
    body = "".join("\n  " + item.replace("\n", "\n  ") + "," for item in items)
    return f"{left}{body}\n{right}"
