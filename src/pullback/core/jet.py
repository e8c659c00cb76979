"""Taylor mode: values that carry the coefficients of their Taylor series.

A value is x(t) = x_0 + x_1 t + x_2 t^2 + ...; an operation takes the series of its arguments to
that of its result. Linear operations act on each coefficient, products are convolutions, and every
other operation y = f(x) solves the differential equation that its own forward rule states,
y' = jvp(x', y, x): the rule is run once on series, and y_k = (y')_{k-1} / k needs only what is
known of y already. So one table of rules serves every order, at a cost polynomial in it.
(Griewank and Walther, Evaluating Derivatives, 2nd ed., 2008, chapter 13.)
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pullback.core.buffer import unwrap
from pullback.core.op import Op
from pullback.core.tracer import Trace, Tracer

_COEFFICIENTWISE = {"add", "subtract", "negative", "positive"}
_PRODUCTS = {"multiply", "chain_product", "einsum"}
_DIVISIONS = {"divide": (1, 0, np.multiply), "solve": (0, 1, np.matmul)}
"""Position of the divisor d and of the dividend x, and the product with x = d y."""


class Series:
    """The coefficients x_0, x_1, ... of a value, each found when first asked for; None is zero.

    For an operation with several results a coefficient is the tuple of theirs.
    """

    __slots__ = ("_rule", "derivative", "known")

    def __init__(self, known: Sequence[Any], rule: Callable[[int], Any]) -> None:
        self.known = list(known)
        self.derivative: Series | None = None
        self._rule = rule

    def __getitem__(self, k: int) -> Any:
        while len(self.known) <= k:
            self.known.append(self._rule(len(self.known)))
        return self.known[k]


def polynomial(coefficients: Sequence[Any]) -> Series:
    """Return the series with these coefficients and no others."""
    return Series(coefficients, lambda k: None)


class JetTracer(Tracer):
    """An array x_0 with the Series it begins in `node`; None there is a constant."""

    __slots__ = ()


class Jet(Trace):
    """Carries Taylor series along with the values, to the coefficient of t^order."""

    def __init__(self, order: int) -> None:
        super().__init__()
        self.order = order
        self._in_rule = False
        self._shared: dict[Any, Any] = {}

    def wrap(self, value: Any, series: Series | None = None) -> JetTracer:
        return JetTracer(self, value, series)

    def process(self, op: Op, args: tuple[Any, ...], params: Mapping[str, Any]) -> Any:
        values, series = self.unwrap(args)
        if op.jvp is None or all(s is None for s in series):
            return op(*values, **params)
        if self._in_rule:
            return self._wrapped(*self._once(op, values, series, params))
        self._in_rule = True
        try:
            out, parts = self._result(op, values, series, params)
            for k, part in itertools.product(range(1, self.order + 1), parts):
                part[k]  # one order after the other: no coefficient waits for a chain of others
        finally:
            self._in_rule = False
            self._shared.clear()
        return self._wrapped(out, [polynomial(part.known) for part in parts])

    def unwrap(self, args: Sequence[Any]) -> tuple[list[Any], list[Series | None]]:
        """Return the values that `args` stand for, and their series (None is a constant)."""
        values: list[Any] = []
        series: list[Series | None] = []
        for a in args:
            mine = isinstance(a, Tracer) and a.context is self
            if mine and a.origin is not None:
                a.refresh()
            values.append(a.value if mine else a)
            series.append(a.node if mine else None)
        return values, series

    def coefficient(self, x: Any, k: int) -> Any:
        """Return the coefficient of t^k of `x`, which may be a constant; None is zero."""
        (value,), (series,) = self.unwrap([unwrap(x)])
        if k == 0:
            return value
        return None if series is None else series[k]

    def _wrapped(self, out: Any, parts: Sequence[Series]) -> Any:
        if not isinstance(out, tuple):
            return self.wrap(out, parts[0])
        return tuple(self.wrap(o, s) for o, s in zip(out, parts, strict=True))

    def _once(self, op: Op, values: Any, series: Any, params: Mapping[str, Any]) -> Any:
        """Return the result of `op`; where series are all it takes, the very same one for the same.

        The rule of sin asks for cos(x) and that of cos for sin(x): without sharing, each would
        begin the other anew.
        """
        key = (op, *map(id, series), *params.items())
        if None in series or not _has_hash(key):
            return self._result(op, values, series, params)
        if key not in self._shared:
            self._shared[key] = (self._result(op, values, series, params), series)
        return self._shared[key][0]

    def _result(self, op: Op, values: Any, series: Any, params: Mapping[str, Any]) -> Any:
        """Return the value of `op`, and the series of each of its results."""
        out = op(*values, **params)
        x = [polynomial([v]) if s is None else s for v, s in zip(values, series, strict=True)]
        if op.kind == "linear" or op.name in _COEFFICIENTWISE:
            y = Series([out], lambda k: _pushed(op, [s[k] for s in x], out, values, params))
        elif op.kind == "bilinear" or op.name in _PRODUCTS:
            y = Series([out], lambda k: _convolution(op, x, params, k))
        elif op.name in _DIVISIONS:
            y = Series([out], lambda k: _quotient(op, x, params, y, k))
        else:
            y = Series([out], lambda k: self._integral(slope(), k))
        parts = [_part(y, i) for i in range(len(out))] if isinstance(out, tuple) else [y]

        @functools.cache
        def slope() -> Any:
            args = [
                v if s is None else self.wrap(v, s) for v, s in zip(values, series, strict=True)
            ]
            tangents = [None if s is None else self._derivative(s) for s in series]
            return _pushed(op, tangents, self._wrapped(out, parts), args, params)

        return out, parts

    def _derivative(self, x: Series) -> JetTracer:
        """Return a tracer of x'(t)."""
        if x.derivative is None:
            first = np.zeros_like(x[0]) if x[1] is None else x[1]
            x.derivative = Series([first], lambda k: _scaled(x[k + 1], k + 1))
        return self.wrap(x.derivative[0], x.derivative)

    def _integral(self, slope: Any, k: int) -> Any:
        """Return the coefficient of t^k of what has the derivative `slope`."""
        if isinstance(slope, tuple):
            return tuple(self._integral(s, k) for s in slope)
        return None if slope is None else _scaled(self.coefficient(slope, k - 1), 1 / k)


def _pushed(op: Op, tangents: Sequence[Any], out: Any, args: Any, params: Any) -> Any:
    if op.jvp is None or all(t is None for t in tangents):
        return None
    return op.jvp(tangents, out, args, params)


def _convolution(op: Op, factors: Sequence[Series], params: Mapping[str, Any], k: int) -> Any:
    """Return the coefficient of t^k of a product: the sum over all orders that add up to k."""
    total = None
    for orders in _compositions(k, len(factors)):
        terms = [s[j] for s, j in zip(factors, orders, strict=True)]
        if all(t is not None for t in terms):
            total = _plus(total, op(*terms, **params))
    return total


def _compositions(total: int, count: int) -> Iterator[tuple[int, ...]]:
    """Yield the ways to write `total` as an ordered sum of `count` numbers from 0 on."""
    if count == 1:
        yield (total,)
        return
    for first in range(total + 1):
        for rest in _compositions(total - first, count - 1):
            yield (first, *rest)


def _quotient(op: Op, args: Sequence[Series], params: Any, y: Series, k: int) -> Any:
    """Return the coefficient of t^k of y = x / d, from x = d y."""
    divisor, dividend, product = _DIVISIONS[op.name]
    d, rest = args[divisor], args[dividend][k]
    for j in range(1, k + 1):
        if d[j] is not None and y[k - j] is not None:
            term = product(d[j], y[k - j])
            rest = -term if rest is None else rest - term
    if rest is None:
        return None
    return op(rest, d[0], **params) if divisor == 1 else op(d[0], rest, **params)


def _part(several: Series, i: int) -> Series:
    return Series([several[0][i]], lambda k: None if several[k] is None else several[k][i])


def _has_hash(key: Any) -> bool:
    try:
        hash(key)
    except TypeError:
        return False
    return True


def _plus(total: Any, term: Any) -> Any:
    return term if total is None else total + term


def _scaled(coefficient: Any, factor: float) -> Any:
    return None if coefficient is None else coefficient * factor
