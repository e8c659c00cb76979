"""Functions with a derivative rule of the user's: custom_vjp, custom_jvp, stop_gradient."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pullback.core import pytree
from pullback.core.aval import Aval, aval_of
from pullback.core.errors import NotDifferentiableError, ShapeError, TreeError
from pullback.core.forward import Forward
from pullback.core.op import Notation, Op, call
from pullback.core.tape import Tape
from pullback.core.tracer import Tracer, highest_trace
from pullback.core.tracing import trace
from pullback.ops.batching import pointwise
from pullback.ops.families import general, same_as_first
from pullback.transform.batching import vmap
from pullback.transform.reverse import vjp

_identity = general(
    "stop_gradient",
    lambda x: x,
    vjp=None,
    jvp=None,
    infer=same_as_first,
    batch=pointwise("stop_gradient"),
    samples=lambda rng: [((rng.normal(size=(2, 3)),), {})],
)


def stop_gradient(x: Any) -> Any:
    """Return `x` unchanged, as a constant for every derivative; `x` is a pytree of arrays.

    >>> import numpy as np, pullback as pb
    >>> pb.grad(lambda x: x * pb.stop_gradient(x))(3.0)
    np.float64(3.0)
    """
    return pytree.map(lambda leaf: _identity(leaf) if _is_array(leaf) else leaf, x)


class custom_vjp:
    """Give a function its own reverse rule, in JAX's calling convention.

    `function.defvjp(forward, backward)`: `forward(*args)` returns `(out, residuals)`, and
    `backward(residuals, cotangent)` a tuple with one cotangent pytree (or None for zero) per
    argument. Higher derivatives differentiate `forward` and `backward`.
    A call raises NotDifferentiableError before there is a rule, and in forward mode; TreeError or
    ShapeError where the rule returns something else than told here.

    >>> import numpy as np, pullback as pb
    >>> @pb.custom_vjp
    ... def log1pexp(x):
    ...     return np.log1p(np.exp(x))
    >>> log1pexp.defvjp(
    ...     lambda x: (log1pexp(x), x), lambda x, ct: (ct * (1 - 1 / (1 + np.exp(x))),)
    ... )
    >>> pb.grad(log1pexp)(0.0)
    np.float64(0.5)
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self._rules: tuple[Callable[..., Any], Callable[..., Any]] | None = None

    def defvjp(self, forward: Callable[..., Any], backward: Callable[..., Any]) -> None:
        """Set the rule; see the class."""
        self._rules = (forward, backward)

    def __call__(self, *args: Any) -> Any:
        if self._rules is None:
            raise NotDifferentiableError(
                f"custom_vjp {_name(self.function)!r} has no rule yet: call "
                f"{_name(self.function)}.defvjp(forward, backward) first"
            )
        return _Call(self, args).apply()

    def mapped(self, axes: tuple[Any, ...]) -> custom_vjp:
        """Return this function for a batch of arguments, its rule mapped likewise."""
        assert self._rules is not None
        forward, backward = self._rules
        every = custom_vjp(vmap(self.function, axes))

        def mapped_backward(residuals: Any, cotangent: Any) -> Any:
            found = vmap(backward)(residuals, cotangent)
            return tuple(map(_summed_where_shared, found, axes))

        every.defvjp(vmap(forward, axes), mapped_backward)
        return every

    def on_tape(self, args: Any) -> tuple[Any, Callable[[Any], Any]]:
        """Return the value, and the map from its cotangent to those of `args`."""
        assert self._rules is not None
        forward, backward = self._rules
        out, residuals = _pair(
            forward(*args), f"forward of custom_vjp {_name(self.function)!r}", "(out, residuals)"
        )
        return out, lambda cotangent: backward(residuals, cotangent)

    def on_forward(self, primals: Any, tangents: Any) -> Any:
        """Refuse: there is no forward rule."""
        raise NotDifferentiableError(
            f"custom_vjp {_name(self.function)!r} has a reverse rule only and was met in forward "
            "mode (jvp): give the function a rule with pb.custom_jvp, which serves both modes"
        )


class custom_jvp:
    """Give a function its own forward rule, which serves reverse mode too (it is transposed).

    `function.defjvp(rule)`: `rule(primals, tangents)` takes two tuples with one entry per argument
    and returns `(out, tangent_out)`; the tangent must be linear in `tangents`.
    A call raises NotDifferentiableError before there is a rule; TreeError or ShapeError where the
    rule returns something else than told here.

    >>> import numpy as np, pullback as pb
    >>> @pb.custom_jvp
    ... def safe_sqrt(x):
    ...     return np.sqrt(x)
    >>> def rule(primals, tangents):
    ...     (x,), (t,) = primals, tangents
    ...     y = safe_sqrt(x)
    ...     return y, t * np.where(x > 0, 0.5 / np.maximum(y, 1e-300), 0.0)
    >>> _ = safe_sqrt.defjvp(rule)
    >>> pb.grad(safe_sqrt)(4.0), pb.grad(safe_sqrt)(0.0)
    (np.float64(0.25), np.float64(0.0))
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self._rule: Callable[..., Any] | None = None

    def defjvp(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Set the rule `rule(primals, tangents) -> (out, tangent_out)`; returns it unchanged."""
        self._rule = rule
        return rule

    def __call__(self, *args: Any) -> Any:
        if self._rule is None:
            raise NotDifferentiableError(
                f"custom_jvp {_name(self.function)!r} has no rule yet: call "
                f"{_name(self.function)}.defjvp(rule) first"
            )
        return _Call(self, args).apply()

    def mapped(self, axes: tuple[Any, ...]) -> custom_jvp:
        """Return this function for a batch of arguments, its rule mapped likewise."""
        assert self._rule is not None
        every = custom_jvp(vmap(self.function, axes))
        every.defjvp(vmap(self._rule, (axes, axes)))
        return every

    def on_tape(self, args: Any) -> tuple[Any, Callable[[Any], Any]]:
        """Return the value, and the map from its cotangent to those of `args`."""
        out = self(*args)

        def pullback(cotangent: Any) -> Any:
            # The tangent is linear in the tangents, so its vjp at zero is its transpose.
            zeros = [pytree.map(lambda x: np.zeros_like(x) if _is_array(x) else x, a) for a in args]
            moving = [i for i, a in enumerate(args) if _differentiable(a)]

            def tangent_of(*tangents: Any) -> Any:
                full = list(zeros)
                for i, t in zip(moving, tangents, strict=True):
                    full[i] = t
                return self.on_forward(args, tuple(full))[1]

            _, transpose = vjp(tangent_of, *[zeros[i] for i in moving])
            found = dict(zip(moving, transpose(cotangent), strict=True))
            return tuple(found.get(i) for i in range(len(args)))

        return out, pullback

    def on_forward(self, primals: Any, tangents: Any) -> Any:
        """Return the value and its tangent."""
        assert self._rule is not None
        return _pair(
            self._rule(primals, tangents),
            f"the rule of custom_jvp {_name(self.function)!r}",
            "(out, tangent_out)",
        )


class _Call:
    """One call of a custom function: its array leaves, and what each kind of trace does."""

    def __init__(self, custom: custom_vjp | custom_jvp, args: tuple[Any, ...]) -> None:
        self.custom = custom
        self.function = custom.function
        self.name = _name(custom.function)
        self.leaves, self.in_tree = pytree.flatten(args)
        self.dynamic = [i for i, leaf in enumerate(self.leaves) if _is_array(leaf)]
        self.out_tree: pytree.Structure | None = None

    def apply(self) -> Any:
        """Run the call on its own leaves."""
        leaves = self.run(*[self.leaves[i] for i in self.dynamic])
        assert self.out_tree is not None
        return pytree.unflatten(self.out_tree, leaves)

    def run(self, *arrays: Any) -> tuple[Any, ...]:
        """Run the call on other arrays, under whatever traces they carry."""
        top = highest_trace(arrays)
        if isinstance(top, Tape):
            return self._record(top, arrays)
        if isinstance(top, Forward):
            return self._push(top, arrays)
        if top is not None:
            return top.process(self._op(), arrays, {})  # type: ignore[no-any-return]
        return self._flat_out(self.function(*self._args(arrays)))

    def batched(self, arrays: Any, batched: Sequence[bool], params: Any) -> tuple[Any, ...]:
        """Run the call for a batch: the batching rule of its operation."""
        axes: list[int | None] = [None] * len(self.leaves)
        for i, moves in zip(self.dynamic, batched, strict=True):
            axes[i] = 0 if moves else None
        mapped = self.custom.mapped(pytree.unflatten(self.in_tree, axes))
        return self._flat_out(mapped(*self._args(arrays)))

    def _op(self, vjp_all: Any = None) -> Op:
        return _CustomOp(self, vjp_all)

    def _args(self, arrays: Sequence[Any]) -> Any:
        full = list(self.leaves)
        for i, x in zip(self.dynamic, arrays, strict=True):
            full[i] = x
        return pytree.unflatten(self.in_tree, full)

    def _flat_out(self, out: Any) -> tuple[Any, ...]:
        leaves, self.out_tree = pytree.flatten(out)
        return tuple(x if hasattr(x, "dtype") else np.asarray(x) for x in leaves)

    def _infer(self, *avals: Aval) -> tuple[Aval, ...]:
        graph = trace(lambda *arrays: self.function(*self._args(arrays)), *avals)
        self.out_tree = graph.out_tree
        return tuple(node.aval for node in graph.results)

    def _record(self, tape: Tape, arrays: Sequence[Any]) -> tuple[Any, ...]:
        values, parents = tape.unwrap(arrays)
        out, pullback = self.custom.on_tape(self._args(values))
        leaves = self._flat_out(out)
        out_tree = self.out_tree
        assert out_tree is not None

        def vjp_all(ct: Any, out: Any, args: Any, params: Mapping[str, Any]) -> list[Any]:
            found = pullback(pytree.unflatten(out_tree, ct))
            return self._cotangents(found, values)

        return tape.record(self._op(vjp_all), values, {}, leaves, parents)  # type: ignore[no-any-return]

    def _cotangents(self, found: Any, values: Sequence[Any]) -> list[Any]:
        args = self._args(values)
        if not isinstance(found, (tuple, list)) or len(found) != len(args):
            raise TreeError(
                f"the backward rule of {self.name!r} must return a tuple with one cotangent for "
                f"each of its {len(args)} arguments (None for zero), got {found!r}"
            )
        flat: list[Any] = []
        for position, (cotangent, arg) in enumerate(zip(found, args, strict=True)):
            structure = pytree.structure(arg)
            if cotangent is None:
                flat.extend([None] * structure.num_leaves)
            else:
                name = f"cotangent {position} of {self.name!r}"
                flat.extend(pytree.match(structure, cotangent, name))
        chosen = [flat[i] for i in self.dynamic]
        for ct, value in zip(chosen, values, strict=True):
            if ct is not None and np.shape(ct) != np.shape(value):
                raise ShapeError(
                    f"the backward rule of {self.name!r} returned a cotangent of shape "
                    f"{np.shape(ct)}, expected {np.shape(value)} as its argument has"
                )
        return [_like(ct, v) for ct, v in zip(chosen, values, strict=True)]

    def _push(self, forward: Forward, arrays: Sequence[Any]) -> tuple[Any, ...]:
        values, tangents = forward.unwrap(arrays)
        leaves, pushed = self._value_and_tangent(values, tangents)
        wrapped = []
        for x, t in zip(leaves, pushed, strict=True):
            tracer = forward.wrap(x)
            tracer.node = t
            wrapped.append(tracer)
        return tuple(wrapped)

    def tangent(self, tangents: Any, out: Any, args: Any, params: Any) -> tuple[Any, ...]:
        """Return the tangent of each result: the forward rule of its operation."""
        return self._value_and_tangent(args, tangents)[1]

    def _value_and_tangent(self, values: Any, tangents: Any) -> tuple[Any, tuple[Any, ...]]:
        filled = [
            np.zeros_like(v) if t is None else t for v, t in zip(values, tangents, strict=True)
        ]
        out, tangent = self.custom.on_forward(self._args(values), self._args(filled))
        leaves = self._flat_out(out)
        assert self.out_tree is not None
        pushed = pytree.match(self.out_tree, tangent, f"the tangent of {self.name!r}")
        for x, t in zip(leaves, pushed, strict=True):
            if np.shape(t) != np.shape(x):
                raise ShapeError(
                    f"the jvp rule of {self.name!r} returned a tangent of shape {np.shape(t)}, "
                    f"expected {np.shape(x)} as its result has"
                )
        return leaves, tuple(_like(t, x) for x, t in zip(leaves, pushed, strict=True))


class _CustomOp(Op):
    """The record of a custom call in a graph or on a tape; running it applies its rule."""

    __slots__ = ("custom",)
    custom: _Call

    def __init__(self, custom: _Call, vjp_all: Any) -> None:
        notation: Notation = call(custom.name)
        super().__init__(
            custom.name, "general", custom.run, custom._infer, None, custom.tangent, custom.batched,
            notation, lambda rng: [], "", vjp_all,
        )  # fmt: skip
        object.__setattr__(self, "custom", custom)

    def __call__(self, *args: Any, **params: Any) -> Any:
        return self.custom.run(*args)


def _pair(found: Any, rule: str, expected: str) -> Any:
    if not isinstance(found, (tuple, list)) or len(found) != 2:
        got = f"{type(found).__name__}" + (
            f" of {len(found)}" if isinstance(found, (tuple, list)) else ""
        )
        raise TreeError(f"{rule}: expected it to return a pair {expected}, got {got}")
    return found


def _summed_where_shared(cotangent: Any, axes: Any) -> Any:
    """Sum over the examples the cotangents of arguments that all of them share."""
    if cotangent is None:
        return None
    leaves, structure = pytree.flatten(cotangent)
    places = pytree.spread_prefix(axes, cotangent, "cotangent")
    summed = [np.sum(x, axis=0) if a is None else x for x, a in zip(leaves, places, strict=True)]
    return pytree.unflatten(structure, summed)


def _like(x: Any, model: Any) -> Any:
    dtype = aval_of(model).dtype
    if x is None or (hasattr(x, "dtype") and x.dtype == dtype):
        return x
    return x.astype(dtype) if hasattr(x, "astype") else np.asarray(x, dtype)


def _is_array(x: Any) -> bool:
    return isinstance(x, (Tracer, np.ndarray, np.generic, float, complex)) and not isinstance(
        x, np.str_
    )


def _differentiable(tree: Any) -> bool:
    leaves = pytree.leaves(tree)
    return bool(leaves) and all(_is_array(x) and aval_of(x).dtype.kind in "fc" for x in leaves)


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", "function")
