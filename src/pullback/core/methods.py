"""The operators, methods and attributes that a traced array has of an ndarray."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from pullback.core import dispatch
from pullback.core.elements import Elements
from pullback.core.errors import NotDifferentiableError

T = TypeVar("T", bound=type)


def _binary(ufunc: np.ufunc) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    def forward(self: Any, other: Any) -> Any:
        return dispatch.ufuncs[ufunc](self, dispatch.as_operand(other))

    def reflected(self: Any, other: Any) -> Any:
        return dispatch.ufuncs[ufunc](dispatch.as_operand(other), self)

    def in_place(self: Any, other: Any) -> Any:
        result = dispatch.ufuncs[ufunc](self, dispatch.as_operand(other))
        if not self.shape and self.origin is None:
            return result  # like NumPy's scalars, which are immutable: other names keep the value
        self[...] = result
        return self

    return forward, reflected, in_place


_BINARY = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.true_divide,
    "floordiv": np.floor_divide,
    "mod": np.remainder,
    "pow": np.power,
    "matmul": np.matmul,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "lshift": np.left_shift,
    "rshift": np.right_shift,
}
_COMPARISON = {
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
}
_UNARY = {"neg": np.negative, "pos": np.positive, "abs": np.absolute, "invert": np.invert}


def _comparison(ufunc: np.ufunc) -> Callable[..., Any]:
    compare, differs = _binary(ufunc)[0], ufunc is np.not_equal

    def comparison(self: Any, other: Any) -> Any:
        if (other is None or isinstance(other, str)) and (differs or ufunc is np.equal):
            return np.full(self.shape, differs)  # no number equals it
        return compare(self, other)

    return comparison


def _method(function: Any) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return dispatch.lookup(dispatch.functions, function)(self, *args, **kwargs)

    method.__doc__ = f"Call np.{function.__name__} on this array."
    return method


_METHODS = (
    "all any argmax argmin argpartition argsort astype choose clip copy cumprod cumsum "
    "diagonal dot max mean min nonzero prod put ravel repeat round searchsorted squeeze std sum "
    "swapaxes take trace var"
)


def _varargs(function: Any) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        rule = dispatch.functions[function]
        if len(args) == 1 and not isinstance(args[0], (int, np.integer)):
            return rule(self, args[0], **kwargs)
        return rule(self, args, **kwargs) if args else rule(self, **kwargs)

    method.__doc__ = f"Call np.{function.__name__} on this array."
    return method


def _in_place(function: Any) -> Callable[..., None]:
    def method(self: Any, *args: Any, **kwargs: Any) -> None:
        self[...] = dispatch.functions[function](self, *args, **kwargs)

    method.__doc__ = f"Call np.{function.__name__} on this array, in place."
    return method


def _fill(self: Any, value: Any) -> None:
    self[...] = value


def _view(self: Any, dtype: Any = None) -> Any:
    if dtype is not None and np.dtype(dtype) != self.dtype:
        raise NotDifferentiableError(
            f"x.view({np.dtype(dtype)}): the bytes of a traced array have no meaning. Write "
            "x.astype(dtype); for pairs as complex numbers x[..., ::2] + 1j * x[..., 1::2]"
        )
    return self[...]


def _assigned(part: Callable[[Any], Any]) -> property:
    """Return the attribute `part`, of which an assignment goes to the elements."""
    return property(part, lambda self, value: part(self).__setitem__(..., value))


_OTHERS: dict[str, Any] = {
    "reshape": _varargs(np.reshape),
    "transpose": _varargs(np.transpose),
    "sort": _in_place(np.sort),
    "partition": _in_place(np.partition),
    "flatten": lambda self, order="C": np.copy(np.ravel(self, order)),
    "compress": lambda self, condition, axis=None: np.compress(condition, self, axis),
    "fill": _fill,
    "view": _view,
    "conj": lambda self: dispatch.ufuncs[np.conjugate](self),
    "conjugate": lambda self: dispatch.ufuncs[np.conjugate](self),
    "T": property(lambda self: dispatch.functions[np.transpose](self)),
    "mT": property(lambda self: dispatch.functions[np.swapaxes](self, -1, -2)),
    "__divmod__": _binary(np.divmod)[0],
    "__rdivmod__": _binary(np.divmod)[1],
    "real": _assigned(lambda self: dispatch.functions[np.real](self)),
    "imag": _assigned(lambda self: dispatch.functions[np.imag](self)),
    "flat": _assigned(Elements),
    "__copy__": lambda self: dispatch.functions[np.copy](self),
    "__deepcopy__": lambda self, memo: dispatch.functions[np.copy](self),
}


def array_methods(kind: T) -> T:
    """Give the class `kind` of traced arrays what an ndarray can do."""
    for name, ufunc in _BINARY.items():
        for prefix, function in zip(("", "r", "i"), _binary(ufunc), strict=True):
            setattr(kind, f"__{prefix}{name}__", function)
    for name, ufunc in _COMPARISON.items():
        setattr(kind, f"__{name}__", _comparison(ufunc))
    for name, ufunc in _UNARY.items():
        setattr(kind, f"__{name}__", lambda self, _u=ufunc: dispatch.ufuncs[_u](self))
    for name in _METHODS.split():
        setattr(kind, name, _method(getattr(np, name)))
    for name, attribute in _OTHERS.items():
        setattr(kind, name, attribute)
    return kind
