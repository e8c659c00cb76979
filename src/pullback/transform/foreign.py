"""Calls of code that cannot be traced, with derivative rules of the user's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pullback.core import pytree
from pullback.core.arrays import is_array
from pullback.core.aval import Aval, aval_of, is_differentiable
from pullback.core.errors import DTypeError, NotDifferentiableError, ShapeError, TreeError
from pullback.core.op import Op, call
from pullback.ops.batching import aligned, batch_size
from pullback.ops.families import match
from pullback.transform.reverse import pull_back


class ForeignCall:
    """One call of `function`, which sees plain arrays only, and its rules.

    `vjp(cotangent, out, *args, **options)` gives a tuple with one cotangent pytree (None for zero)
    per argument, `jvp(tangents, out, *args, **options)` the tangent of the result. `results` takes
    the arguments with avals for arrays and gives the avals of the result. `elementwise` says that
    the function broadcasts as NumPy's ufuncs do.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        args: Sequence[Any],
        options: Mapping[str, Any],
        *,
        results: Callable[..., Any],
        vjp: Callable[..., Any] | None,
        jvp: Callable[..., Any] | None,
        elementwise: bool = False,
    ) -> None:
        self.function, self.options, self.results = function, options, results
        self.vjp, self.jvp, self.elementwise = vjp, jvp, elementwise
        self.name = getattr(function, "__name__", type(function).__name__)
        self._leaves, self._in_tree = pytree.flatten(tuple(args))
        self._dynamic = [i for i, leaf in enumerate(self._leaves) if is_array(leaf)]
        self._out_tree: pytree.Structure | None = None

    def __repr__(self) -> str:
        return self.name

    def apply(self) -> Any:
        """Make the call, or record it where an argument is traced."""
        leaves = foreign_op(*[self._leaves[i] for i in self._dynamic], call=self)
        return pytree.unflatten(self._tree(), leaves)

    # what the operation does

    def run(self, *arrays: Any) -> tuple[Any, ...]:
        """Call the function on plain arrays."""
        leaves, self._out_tree = pytree.flatten(self.function(*self._args(arrays), **self.options))
        return tuple(np.array(x)[()] for x in leaves)  # copied: foreign code may reuse its buffers

    def infer(self, *avals: Aval) -> tuple[Aval, ...]:
        """Return the avals of the results."""
        leaves, self._out_tree = pytree.flatten(self.results(*self._args(avals), **self.options))
        return tuple(Aval(x.shape, x.dtype) for x in map(aval_of, leaves))

    def pull(self, cotangents: Any, outs: Any, arrays: Sequence[Any]) -> list[Any]:
        """Return the cotangent of every array."""
        args, out = self._args(arrays), pytree.unflatten(self._tree(), outs)
        cotangent = pytree.unflatten(self._tree(), cotangents)
        if self.vjp is not None:
            found = self.vjp(cotangent, out, *args, **self.options)
        elif self.jvp is not None:
            return self._transposed(cotangents, outs, arrays)
        else:
            raise NotDifferentiableError(
                f"{self.name!r} is called as it is, without tracing, and has no derivative rule: "
                "give one with vjp=..., jvp=... or both, or declare its arguments constant with "
                "pb.stop_gradient"
            )
        if not isinstance(found, tuple) or len(found) != len(args):
            raise TreeError(
                f"the vjp rule of {self.name!r} must return a tuple with one cotangent (None for "
                f"zero) for each of its {len(args)} arguments, got {found!r}"
            )
        flat: list[Any] = []
        for i, (ct, arg) in enumerate(zip(found, args, strict=True)):
            structure = pytree.structure(arg)
            empty = [None] * structure.num_leaves
            label = f"cotangent {i} of {self.name!r}"
            flat.extend(empty if ct is None else pytree.match(structure, ct, label))
        chosen = [flat[i] for i in self._dynamic]
        return [self._fitting(ct, x) for ct, x in zip(chosen, arrays, strict=True)]

    def push(self, tangents: Sequence[Any], outs: Any, arrays: Sequence[Any]) -> tuple[Any, ...]:
        """Return the tangent of every result."""
        if self.jvp is None:
            have = "a vjp rule only" if self.vjp is not None else "no derivative rule"
            raise NotDifferentiableError(
                f"{self.name!r} has {have} and was met in forward mode: give it one with jvp=..., "
                "or declare its arguments constant with pb.stop_gradient"
            )
        args, out = self._args(arrays), pytree.unflatten(self._tree(), outs)
        filled = [
            np.zeros_like(x) if t is None else t for t, x in zip(tangents, arrays, strict=True)
        ]
        tangent = self.jvp(self._args(filled), out, *args, **self.options)
        found = pytree.match(self._tree(), tangent, f"the tangent of {self.name!r}")
        return tuple(self._fitting(t, x) for t, x in zip(found, outs, strict=True))

    def _transposed(self, cotangents: Any, outs: Any, arrays: Sequence[Any]) -> list[Any]:
        """Return the cotangents by the jvp rule, whose vjp at zero is its transpose."""
        moving = [i for i, x in enumerate(arrays) if is_differentiable(aval_of(x).dtype)]

        def tangent(*directions: Any) -> Any:
            given = dict(zip(moving, directions, strict=True))
            return self.push([given.get(i) for i in range(len(arrays))], outs, arrays)

        _, transpose = pull_back(tangent, *[np.zeros_like(arrays[i]) for i in moving])
        found = dict(zip(moving, transpose(tuple(cotangents)), strict=True))
        return [found.get(i) for i in range(len(arrays))]

    def _fitting(self, x: Any, model: Any) -> Any:
        """Return a cotangent or tangent in the shape and dtype of what it belongs to."""
        aval = aval_of(model)
        if x is None or not is_differentiable(aval.dtype):
            return None
        x = x if hasattr(x, "dtype") else np.asarray(x)
        if not self.elementwise and x.shape != aval.shape:
            raise ShapeError(
                f"a derivative rule of {self.name!r} returned the shape {x.shape}, expected "
                f"{aval.shape}"
            )
        if x.dtype.kind == "c" and aval.dtype.kind != "c" and not self.elementwise:
            raise DTypeError(
                f"a derivative rule of {self.name!r} returned {x.dtype}, expected {aval.dtype}"
            )
        return match(x, model)

    def _args(self, arrays: Sequence[Any]) -> Any:
        leaves = list(self._leaves)
        for i, x in zip(self._dynamic, arrays, strict=True):
            leaves[i] = x
        return pytree.unflatten(self._in_tree, leaves)

    def _tree(self) -> pytree.Structure:
        assert self._out_tree is not None
        return self._out_tree


def _pull_one(i: int, ct: Any, out: Any, args: Any, params: Any) -> Any:
    return params["call"].pull(ct, out, args)[i]


def _batch(args: Sequence[Any], batched: Sequence[bool], params: Any) -> Any:
    if params["call"].elementwise:
        return foreign_op(*aligned(args, batched), **params)
    return each_example(foreign_op, args, batched, params)


def each_example(op: Op, args: Sequence[Any], batched: Sequence[bool], params: Any) -> Any:
    """Batching rule of an operation that can only be called for one example after the other."""
    size = batch_size(args, batched)
    if size == 0:
        avals = [
            Aval(x.shape[1:] if b else x.shape, x.dtype)
            for x, b in zip(map(aval_of, args), batched, strict=True)
        ]
        return tuple(np.zeros((0, *a.shape), a.dtype) for a in op.infer(*avals, **params))  # type: ignore[union-attr]
    rows = [
        op(*[x[k] if b else x for x, b in zip(args, batched, strict=True)], **params)
        for k in range(size)
    ]
    return tuple(np.stack(column) for column in zip(*rows, strict=True))


foreign_op = Op(  # not in the table of operations: its rules are the user's
    name="foreign",
    kind="general",
    forward=lambda *arrays, call: call.run(*arrays),
    infer=lambda *avals, call: call.infer(*avals),
    vjp=_pull_one,
    jvp=lambda tangents, out, args, params: params["call"].push(tangents, out, args),
    batch=_batch,
    notation=call("foreign"),
    samples=lambda rng: [],
    undefined_at="",
    vjp_all=lambda ct, out, args, params: params["call"].pull(ct, out, args),
)
