"""Repetitions in a graph: stretches of its operations that come again and again, wired alike.

The operations stand in a line, in the order of the program. Two of them are alike if they do the
same, and a stretch of p operations repeats if each is like the one p places on, and if what each
takes moves on by the same number of places from every repetition to the next: by none (what all
repetitions share), by p (what the one before made), or by another number (what another stretch
made, forwards or backwards). Candidates for p are the gaps between equal windows of the line, which
are found by hashes over windows of doubling length (Karp, Miller and Rosenberg, Rapid
identification of repeated patterns in strings, trees and arrays, 1972).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from pullback.core.graph import Graph, Node
from pullback.core.op import OPS
from pullback.ops.index import Template

FEWEST = 8
"""So many repetitions at least make a loop."""
LEAST_SAVED = 100
"""So many operations at least must go, if a loop is to be worth it."""

_MOST_INPUTS = 16
_CONSTANT = -(1 << 40)
_BASE = 0x9E3779B97F4A7C15
_WORD = 1 << 64


class Run(NamedTuple):
    """`times` repetitions of `period` operations, from the place `start` of the line."""

    start: int
    period: int
    times: int

    @property
    def end(self) -> int:
        """The place after the last repetition."""
        return self.start + self.period * self.times

    def is_worth_it(self) -> bool:
        """Whether a loop would make the graph much shorter."""
        return self.times >= FEWEST and self.saved >= LEAST_SAVED

    def without(self, places: Iterable[int]) -> list[Run]:
        """Return what is left between the repetitions that have some of `places`."""
        hit = {(at - self.start) // self.period for at in places if self.start <= at < self.end}
        bounds = pairwise([-1, *sorted(hit), self.times])
        parts = [(a + 1, b) for a, b in bounds if b > a + 1]
        return [Run(self.start + a * self.period, self.period, b - a) for a, b in parts]

    @property
    def saved(self) -> int:
        """How many operations there are less with a loop."""
        return (self.times - 1) * self.period


class Line:
    """The operations of a graph in order.

    `codes` says what each does, not to what; `inputs` at which places of the line its inputs stand,
    negative for arguments, and for constants, far from all others. The last column of `inputs`
    holds the numbers in an index.
    """

    def __init__(self, graph: Graph) -> None:
        self.nodes = [node for node in graph.nodes if node.op is not None]
        self.place = {node: k for k, node in enumerate(self.nodes)}
        for k, node in enumerate(graph.arguments, 2):
            self.place[node] = -k
        known: dict[Any, int] = {}
        codes, indices, counts = [], [], []
        places: list[int] = []
        for node in self.nodes:
            codes.append(_code(node, known))
            indices.append(_number(node.params) if node.params else 0)
            inputs = node.inputs if len(node.inputs) <= _MOST_INPUTS else ()
            counts.append(len(inputs))
            places += [self.place.get(i, _CONSTANT) for i in inputs]
        self.codes = np.array(codes, np.int64)
        self.inputs = np.column_stack([_rows(places, counts), np.array(indices, np.int64)])

    def repetitions(self) -> list[Run]:
        """Return the repetitions that are worth a loop, in order; they do not overlap."""
        found = [run for p in _periods(self.codes, self.inputs) for run in self._runs(p)]
        taken = np.zeros(len(self.nodes), bool)
        chosen = []
        for run in sorted(found, key=lambda run: run.saved, reverse=True):
            start, end = _longest_gap(taken, run.start, run.end)
            free = Run(start, run.period, (end - start) // run.period)
            if free.is_worth_it():
                taken[start:end] = True
                chosen.append(free)
        return sorted(chosen)

    def share(self, run: Run, slot: int) -> None:
        """Let all take what the first repetition made at `slot`, where the others take the same."""
        copies = np.zeros(len(self.nodes), bool)
        copies[run.start + slot : run.end : run.period] = True
        taken = self.inputs[:, :-1]
        taken[(taken >= 0) & copies[np.maximum(taken, 0)]] = run.start + slot

    def _runs(self, p: int) -> Iterator[Run]:
        """Yield the longest stretches that repeat with period `p`."""
        moves = self.inputs[p:] - self.inputs[:-p]
        fixed = (moves == 0) | (self.inputs[:-p] >= 0)
        fixed[:, -1] = True
        alike = (self.codes[p:] == self.codes[:-p]) & fixed.all(axis=1)
        steady = alike[:-p] & alike[p:] & (moves[p:] == moves[:-p]).all(axis=1)
        edges = np.flatnonzero(np.diff(steady.astype(np.int8), prepend=0, append=0))
        for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            run = Run(start, p, (end + 2 * p - start) // p)
            if run.is_worth_it():
                yield run


def _rows(numbers: Sequence[int], lengths: Sequence[int]) -> Any:
    """Return `numbers` in rows of these lengths, each filled up to the longest."""
    width = max(lengths, default=0)
    table = np.full((len(lengths), width), _CONSTANT)
    table[np.arange(width) < np.array(lengths, np.int64)[:, None]] = numbers
    return table


def _code(node: Node, known: dict[Any, int]) -> int:
    """Return the number of what `node` does; nodes with very many inputs are like no others."""
    key: Any = node
    if len(node.inputs) <= _MOST_INPUTS:
        key = node.op, node.aval, *[i.aval for i in node.inputs]
        if node.params and node.op is not OPS["recompute"]:  # which run it is does not matter
            key += (fingerprint(node.params),)
    try:
        return known.setdefault(key, len(known))
    except TypeError:  # a parameter that is not hashable
        return known.setdefault(node, len(known))


def _periods(codes: Any, inputs: Any) -> list[int]:
    """Return the most frequent gaps between a window of the line and the next one equal to it.

    Windows of length n are equal if the codes are, and where inputs stand up to n places before.
    """
    found: dict[int, None] = {}
    distances = np.arange(len(codes))[:, None] - inputs[:, :-1]
    distances[inputs[:, :-1] < 0] = len(codes)
    factors = np.array([pow(_BASE, k, _WORD) for k in range(inputs.shape[1])], np.uint64)
    length = 4
    while length < len(codes):
        near = np.where(distances <= length, distances, 0)
        terms = np.column_stack([near, codes + 1]).astype(np.uint64)
        window = _windows((terms * factors).sum(axis=1) * np.uint64(_BASE), length)
        order = np.argsort(window, kind="stable")
        gaps = np.diff(order)[np.diff(window[order]) == 0]
        counts = np.bincount(gaps[gaps <= len(codes) // FEWEST], minlength=1)
        if counts.max() < FEWEST:
            break
        frequent = np.argsort(counts)[:-4:-1]
        found.update(dict.fromkeys(frequent[counts[frequent] >= FEWEST].tolist()))
        length *= 4
    return list(found)


def _windows(terms: Any, length: int) -> Any:
    """Return the hash of each window of `length` terms, a power of two."""
    width = 1
    while width < length:
        factor = np.uint64(pow(_BASE, 3 * width, _WORD))
        terms = terms[:-width] * factor + terms[width:]
        width *= 2
    return terms


def _longest_gap(taken: Any, start: int, end: int) -> tuple[int, int]:
    """Return the longest part of start:end of which no place is taken."""
    free = ~taken[start:end]
    if free.all():
        return start, end
    edges = np.flatnonzero(np.diff(free.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
    if not len(edges):
        return start, start
    first, last = edges[np.argmax(edges[:, 1] - edges[:, 0])].tolist()
    return start + first, start + last


# parameters, and the numbers in an index


def fingerprint(params: Mapping[str, Any]) -> Any:
    """Return what is the same for parameters that differ in the numbers of an index only."""
    return tuple([(name, _fingerprint_of(value)) for name, value in sorted(params.items())])


def _fingerprint_of(value: Any) -> Any:
    if isinstance(value, Template):
        return value.unique, tuple([_width(part) for part in value.parts])
    return tuple(value) if isinstance(value, list) else value


def _width(part: Any) -> Any:
    """Return a part of an index without the place it begins at."""
    if isinstance(part, int):
        return 1
    if isinstance(part, slice):
        if moves(part):
            return "slice", part.stop - part.start
        return "slice", part.start, part.stop, part.step
    return part


def moves(part: Any) -> bool:
    """Whether a part of an index is at one place, which may be another in the next repetition."""
    if isinstance(part, slice):
        return part.step is None and None not in (part.start, part.stop) and part.start >= 0
    return isinstance(part, int)


def numbers(template: Template) -> list[int]:
    """Return the places that the parts of an index begin at."""
    return [p.start if isinstance(p, slice) else p for p in template.parts if moves(p)]


def _number(params: Mapping[str, Any]) -> int:
    """Return one number for those in an index, which moves on evenly if they do."""
    index = params.get("index")
    if not isinstance(index, Template):
        return 0
    return sum(n << (12 * k) for k, n in enumerate(numbers(index)[:4])) % (1 << 62)
