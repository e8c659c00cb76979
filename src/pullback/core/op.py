"""Operations: one frozen record per primitive, with all that pullback knows of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pickle import PicklingError, UnpicklingError
from typing import Any, Literal

import numpy as np

from pullback.core import dispatch
from pullback.core.aval import Aval
from pullback.core.tracer import highest_trace

Vjp = Callable[[int, Any, Any, Sequence[Any], Mapping[str, Any]], Any]
VjpAll = Callable[[Any, Any, Sequence[Any], Mapping[str, Any]], Sequence[Any]]
Jvp = Callable[[Sequence[Any], Any, Sequence[Any], Mapping[str, Any]], Any]
Batch = Callable[[Sequence[Any], Sequence[bool], Mapping[str, Any]], Any]
Samples = Callable[["np.random.Generator"], Sequence[tuple[tuple[Any, ...], dict[str, Any]]]]


@dataclass(frozen=True, slots=True)
class Notation:
    """How an operation prints in mathematics; precedence grows with the tightness of binding."""

    style: Literal["call", "infix", "prefix", "postfix"]
    symbol: str
    precedence: int = 100


def call(symbol: str) -> Notation:
    """Notation of a function call, `symbol(x, y)`."""
    return Notation("call", symbol)


def infix(symbol: str, precedence: int) -> Notation:
    """Notation between two operands, `x symbol y`."""
    return Notation("infix", symbol, precedence)


def prefix(symbol: str, precedence: int) -> Notation:
    """Notation before one operand, `symbol x`."""
    return Notation("prefix", symbol, precedence)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Op:
    """A primitive operation on arrays. Calling it computes, or records where a tracer is given.

    `forward(*arrays, **params)` computes with NumPy; `infer(*avals, **params)` gives the abstract
    result; `vjp(i, cotangent, out, args, params)` is the cotangent of argument `i`, or None where
    it is zero; `jvp(tangents, out, args, params)` the tangent of the result (a tangent None is
    zero). `vjp` and `jvp` are None for a piecewise constant operation.
    `batch(args, batched, params)` runs it for many arguments at once: those that are `batched` have
    the batch as their first axis, and so has the result. `samples(rng)` draws valid arguments,
    `undefined_at` says where the derivative is not unique and the convention taken.
    `vjp_all(cotangent, out, args, params)` gives all cotangents at once where they share work.
    """

    name: str
    kind: Literal["elementwise", "linear", "bilinear", "general"]
    forward: Callable[..., Any]
    infer: Callable[..., Aval | tuple[Aval, ...]]
    vjp: Vjp | None
    jvp: Jvp | None
    batch: Batch
    notation: Notation
    samples: Samples
    undefined_at: str
    vjp_all: VjpAll | None = None

    def __call__(self, *args: Any, **params: Any) -> Any:
        top = highest_trace(args)
        if top is None:
            return self.forward(*args, **params)
        return top.process(self, args, params)

    def bprop(self, inputs: Sequence[Any], cotangent: Any, **params: Any) -> tuple[Any, ...]:
        """Return the cotangent of every input, given the inputs and the result's cotangent.

        This is the textbook interface: `inputs` are arrays, `cotangent` has the result's shape.

        >>> import numpy as np
        >>> from pullback.core.op import OPS
        >>> OPS["multiply"].bprop((np.float64(3.0), np.float64(4.0)), np.float64(1.0))
        (np.float64(4.0), np.float64(3.0))
        """
        if self.vjp is None and self.vjp_all is None:
            return (None,) * len(inputs)
        out = self(*inputs, **params)
        if self.vjp_all is not None:
            return tuple(self.vjp_all(cotangent, out, inputs, params))
        assert self.vjp is not None
        return tuple(self.vjp(i, cotangent, out, inputs, params) for i in range(len(inputs)))

    def __repr__(self) -> str:
        return f"Op({self.name})"

    def __deepcopy__(self, memo: Any) -> Op:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        if OPS.get(self.name) is not self:
            raise PicklingError(
                f"{self.name!r} has rules of the user's own, which cannot be pickled; pickle the "
                "function and trace it again"
            )
        return _defined, (self.name,)


OPS: dict[str, Op] = {}
"""Every operation by name: the generic test goes through this table."""


def _defined(name: str) -> Op:
    """Return the operation of this name, for pickle."""
    if name not in OPS:
        dispatch.load_deferred()
    if name not in OPS:
        raise UnpicklingError(
            f"no operation named {name!r} is known: import the module of pullback that has it "
            "first, such as pullback.scipy.linalg"
        )
    return OPS[name]


def define(op: Op) -> Op:
    """Enter `op` into the table of operations; a name stands for one operation only."""
    if op.name in OPS:
        raise ValueError(f"an operation named {op.name!r} exists already")
    OPS[op.name] = op
    return op
