"""What parameters of operations are made of, as JSON and back: a closed list, no code."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core.aval import Aval, DType
from pullback.core.errors import FormatError
from pullback.core.graph import Graph
from pullback.core.step import Step
from pullback.ops.index import HOLE, Template
from pullback.transform.control.repeat_op import Pulled, Pushed, Repeat

NUMBERS = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64", "complex64", "complex128", "bfloat16",
)  # fmt: skip
"""The names of the dtypes that a file may hold."""

LARGEST = 2**48
"""So many elements no array has that a computer can hold."""

RECORDS: dict[str, Any] = {
    "index": Template,
    "step": Step,
    "repeat": Repeat,
    "pushed": Pushed,
    "pulled": Pulled,
}
"""Parameters with fields, by the name they have in files."""


def encode(value: Any, number: Callable[[Graph], int]) -> Any:
    """Return `value` as JSON; `number` gives the place of a graph among those of the file.

    Raises FormatError for what no file can hold, such as a Python function.
    """
    if value is None or type(value) in (bool, int, str):
        return value
    if isinstance(value, np.bool_ | np.integer):
        return value.item()
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"float": repr(float(value))}
    if type(value) is complex:
        return {"complex": [encode(value.real, number), encode(value.imag, number)]}
    if type(value) is tuple:
        return [encode(item, number) for item in value]
    if isinstance(value, np.dtype):
        return {"dtype": _name_of(value)}
    if isinstance(value, slice):
        return {"slice": encode((value.start, value.stop, value.step), number)}
    if value is Ellipsis or value is HOLE:
        return {"hole" if value is HOLE else "ellipsis": True}
    if isinstance(value, Aval):
        return {"type": encode_aval(value)}
    if isinstance(value, Graph):
        return {"graph": number(value)}
    for name, cls in records().items():
        if type(value) is cls:
            return {name: {f: encode(getattr(value, f), number) for f in fields(cls)}}
    what = getattr(value, "__name__", repr(value))
    raise FormatError(f"{what!r}, a {type(value).__name__}, has no place in a file")


def decode(content: Any, graphs: Sequence[Graph]) -> Any:
    """Return what `encode` made `content` of. Raises FormatError where it made it of nothing."""
    if content is None or type(content) in (bool, int, float, str):
        return content
    if type(content) is list:
        return tuple(decode(item, graphs) for item in content)
    if type(content) is not dict or len(content) != 1:
        raise FormatError(f"expected one entry, got {_short(content)}")
    ((kind, inner),) = content.items()
    if kind in _DECODERS:
        return _DECODERS[kind](inner)
    if kind == "graph" and whole(inner, 0, len(graphs)):
        return graphs[inner]
    cls = records().get(kind)
    if cls is not None and type(inner) is dict and set(inner) == set(fields(cls)):
        return cls(**{name: decode(item, graphs) for name, item in inner.items()})
    raise FormatError(f"{_short(content)} is no value of a parameter")


def encode_aval(aval: Any) -> Any:
    """Return a shape and dtype, or a tuple of them, as JSON."""
    if isinstance(aval, tuple):
        return {"several": [encode_aval(each) for each in aval]}
    return [_name_of(aval.dtype), list(aval.shape), *([True] if aval.weak else [])]


def decode_aval(content: Any) -> Any:
    """Return a shape and dtype, or a tuple of them. Raises FormatError where they make no sense."""
    if type(content) is dict and content.keys() == {"several"} and type(content["several"]) is list:
        return tuple(decode_aval(each) for each in content["several"])
    if type(content) is list and len(content) in (2, 3) and content[2:] in ([], [True]):
        name, shape = content[:2]
        if type(shape) is list and len(shape) <= 64 and all(whole(n, 0) for n in shape):
            if math.prod(shape) >= LARGEST:
                raise FormatError(f"expected a shape that a computer can hold, got {shape}")
            return Aval(shape, _dtype(name), weak=len(content) == 3)
    raise FormatError(f"expected a dtype and a shape, got {_short(content)}")


def whole(n: Any, least: int, end: float = math.inf) -> bool:
    """Whether `n` is an integer from `least` to before `end`."""
    return type(n) is int and least <= n < end


def records() -> dict[str, Any]:
    """Return `RECORDS`, and that of differential equations where these are in use."""
    module = sys.modules.get("pullback.scipy.integrate.adjoint")
    return RECORDS if module is None else {**RECORDS, "problem": module.Problem}


def fields(cls: Any) -> tuple[str, ...]:
    """Return the names of the fields of a named tuple or a dataclass."""
    if dataclasses.is_dataclass(cls):
        return tuple(field.name for field in dataclasses.fields(cls))
    return tuple(cls._fields)


def _name_of(dtype: DType) -> str:
    if dtype.name not in NUMBERS:
        raise FormatError(f"an array of {dtype} has no place in a file")
    return dtype.name


def _dtype(name: Any) -> DType:
    if type(name) is not str or name not in NUMBERS:
        raise FormatError(f"expected a dtype of numbers, got {_short(name)}")
    if name == "bfloat16":
        try:
            import ml_dtypes
        except ImportError:
            raise FormatError("arrays of bfloat16 need ml_dtypes: pip install ml_dtypes") from None
        name = ml_dtypes.bfloat16
    dtype: DType = np.dtype(name)
    return dtype


def _float(text: Any) -> float:
    if text not in ("inf", "-inf", "nan"):
        raise FormatError(f"expected inf, -inf or nan, got {_short(text)}")
    return float(text)


def _complex(parts: Any) -> complex:
    real, imag = (decode(part, ()) for part in _list(parts, 2))
    if type(real) is not float or type(imag) is not float:
        raise FormatError(f"expected two numbers, got {_short(parts)}")
    return complex(real, imag)


def _slice(ends: Any) -> slice:
    if not all(end is None or type(end) is int for end in _list(ends, 3)):
        raise FormatError(f"expected integers, got {_short(ends)}")
    return slice(*ends)


def _list(content: Any, length: int) -> list[Any]:
    if type(content) is not list or len(content) != length:
        raise FormatError(f"expected {length} entries, got {_short(content)}")
    return content


def _short(content: Any) -> str:
    text = repr(content)
    return text if len(text) <= 80 else text[:77] + "..."


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "float": _float,
    "complex": _complex,
    "dtype": _dtype,
    "slice": _slice,
    "ellipsis": lambda _: Ellipsis,
    "hole": lambda _: HOLE,
    "type": decode_aval,
}
