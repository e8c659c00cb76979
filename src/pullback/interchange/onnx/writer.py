"""Writing an ONNX graph node by node, so that a rule of the exporter reads like an expression."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.interchange.onnx.sizes import Length, Size

END, START = np.iinfo(np.int64).max, np.iinfo(np.int64).min
"""Ends of a slice that reach past the last and before the first element."""

_RESULTS = {
    **dict.fromkeys(
        ("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "IsNaN", "IsInf"), np.bool_
    ),
    **dict.fromkeys(("Shape", "Size", "ArgMax", "ArgMin"), np.int64),
}
"""The dtype of results that are not of that of the arguments."""


class Value(str):
    """The name of a value, and its dtype."""

    __slots__ = ("dtype",)
    dtype: np.dtype[Any]

    def __new__(cls, name: str, dtype: Any) -> Value:
        value = super().__new__(cls, name)
        value.dtype = np.dtype(dtype)
        return value


class Names:
    """Gives names that no other value of the model has."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}

    def new(self, stem: str) -> str:
        """Return `stem`, with a number where it is taken."""
        count = self._taken[stem] = self._taken.get(stem, -1) + 1
        return self.new(f"{stem}_{count}") if count else stem


class Writer:
    """The nodes of one graph: `w.Exp(x)` adds a node and returns the value it computes.

    Arguments of an operator may also be numbers, which take the dtype of the values beside them;
    arrays; and lists of lengths, which are int64. `None` leaves an optional argument out. `batched`
    is a value whose axis of the number beside it has the length of the batch.
    """

    def __init__(self, names: Names, batched: tuple[Value, int] | None = None) -> None:
        self.nodes: list[Any] = []
        self.names = names
        self._constants: dict[Any, Value] = {}
        self._batched = batched

    def __getattr__(self, operator: str) -> Callable[..., Any]:
        if operator.startswith("_"):
            raise AttributeError(operator)

        def add(*inputs: Any, outputs: int = 1, dtype: Any = None, **attributes: Any) -> Any:
            return self.add(operator, inputs, outputs, dtype, attributes)

        return add

    def add(
        self, operator: str, inputs: Sequence[Any], outputs: int, dtype: Any, attributes: Any
    ) -> Any:
        """Add a node; return the value, or several."""
        from onnx import helper

        values = [x.dtype for x in inputs if isinstance(x, Value) and x.dtype != np.bool_]
        values = values or [x.dtype for x in inputs if isinstance(x, Value)]
        number = values[-1] if values else None
        names = ["" if x is None else self.value(x, number) for x in inputs]
        if dtype is None:
            dtype = _RESULTS.get(operator, number if operator == "Where" else None)
            dtype = dtype or next(x.dtype for x in names if isinstance(x, Value))
        results = [Value(self.names.new(operator.lower()), dtype) for _ in range(outputs)]
        self.nodes.append(helper.make_node(operator, names, results, **attributes))
        return results[0] if outputs == 1 else results

    def value(self, x: Any, dtype: Any = None) -> Value:
        """Return `x` as a value: a value itself, or a constant."""
        if isinstance(x, Value):
            return x
        if isinstance(x, (list, tuple)):
            return self.lengths(x)
        return self.constant(np.asarray(x, dtype if isinstance(x, (int, float)) else None))

    def constant(self, array: Any) -> Value:
        """Return the value of a constant array."""
        array = np.asarray(array)
        key = (array.shape, array.dtype.str, array.tobytes())
        if key not in self._constants:
            from onnx import helper

            name = Value(self.names.new("constant"), array.dtype)
            self.nodes.append(helper.make_node("Constant", [], [name], value=tensor(array)))
            self._constants[key] = name
        return self._constants[key]

    def lengths(self, sizes: Sequence[Size]) -> Value:
        """Return lengths as a vector of int64, computed where they depend on the batch."""
        if not any(isinstance(n, Length) for n in sizes):
            return self.constant(np.asarray(sizes, np.int64))
        return self.Concat(*[self._length(n) for n in sizes], axis=0)  # type: ignore[no-any-return]

    def _length(self, n: Size) -> Value:
        if not isinstance(n, Length):
            return self.constant(np.asarray([n], np.int64))
        if ("length", n) not in self._constants:
            assert self._batched is not None
            x, axis = self._batched
            length = self.Gather(self.Shape(x), self.constant(np.array([axis])), axis=0)
            if n.factor != 1:
                length = self.Mul(length, n.factor)
            if n.offset:
                length = self.Add(length, n.offset)
            self._constants["length", n] = length
        return self._constants["length", n]

    def reshape(self, x: Value, shape: Sequence[Size]) -> Value:
        """Return `x` in another shape, one of whose lengths may depend on the batch."""
        changing = [i for i, n in enumerate(shape) if isinstance(n, Length)]
        if len(changing) == 1 and 0 not in shape:
            shape = [-1 if i in changing else n for i, n in enumerate(shape)]
        zero = {"allowzero": 1} if 0 in shape else {}
        return self.Reshape(x, list(shape), **zero)  # type: ignore[no-any-return]

    def expand(self, x: Value, shape: Sequence[Size]) -> Value:
        """Return `x` broadcast to `shape`."""
        return self.Expand(x, list(shape))  # type: ignore[no-any-return]

    def cast(self, x: Value, dtype: Any) -> Value:
        """Return `x` in `dtype`."""
        if x.dtype == dtype:
            return x
        return self.Cast(x, to=element_type(dtype), dtype=dtype)  # type: ignore[no-any-return]

    def slice(self, x: Value, axis: int, start: int, end: int = END, step: int = 1) -> Value:
        """Return x[start:end:step] along `axis`."""
        return self.Slice(x, [start], [end], [axis], [step])  # type: ignore[no-any-return]

    def name(self, x: Value, name: str) -> Value:
        """Return `x` under another name."""
        from onnx import helper

        self.nodes.append(helper.make_node("Identity", [x], [name]))
        return Value(name, x.dtype)

    def count(self, n: Size) -> Value:
        """Return 0, 1, ..., n - 1, as int64."""
        if not isinstance(n, Length):
            return self.constant(np.arange(n))
        return self.Range(  # type: ignore[no-any-return]
            self.constant(np.int64(0)), self.Squeeze(self.lengths([n])), self.constant(np.int64(1))
        )

    def inner(self) -> Writer:
        """Return the writer of a subgraph, which sees the values of this one."""
        return Writer(self.names, self._batched)


def element_type(dtype: Any) -> int:
    """Return ONNX's number of `dtype`; raise KeyError where it has none."""
    from onnx import helper

    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def tensor(array: Any, name: str = "") -> Any:
    """Return an array as a TensorProto."""
    from onnx import numpy_helper

    return numpy_helper.from_array(np.asarray(array, order="C"), name)
