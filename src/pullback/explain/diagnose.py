"""Where a NaN, an infinite or a zero gradient comes from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from pullback.core import pytree
from pullback.core.buffer import unwrap
from pullback.core.graph import Graph
from pullback.core.tape import TapeNode, inputs_of
from pullback.core.tracer import Tracer
from pullback.core.tracing import argument_names
from pullback.explain.findings import described, entry, state
from pullback.explain.places import Place
from pullback.explain.probing import flat_entries, singular_entries, undefined_entries
from pullback.explain.watch import Flow, Step, WatchedTape, all_finite, arrays, flow_back

Kind = Literal["forward", "backward", "masked", "cancelled", "undefined", "zero", "constant"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing worth knowing about one call of an operation.

    `kind` tells what: "forward" (its value is the first that is not finite), "backward" (what it
    sends back is the first that is not finite), "masked" (its slope is not finite, but its
    cotangent is 0 there, so that it counts for nothing), "cancelled" (the same, but no mask made
    the 0: 0 times infinity was taken as 0, which need not be the limit), "undefined" (its
    derivative is not unique there, and `convention` was taken), "zero" (its slope of 0 stops the
    gradient), "constant" (no gradient flows through, for it is piecewise constant).
    `index` is the first such entry and `values` what stood there.
    """

    kind: Kind
    op: str
    place: Place
    index: tuple[int, ...]
    values: dict[str, Any]
    convention: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """What `diagnose` found; `str()` of it is meant to be read.

    `value` is that of the function, `gradients` those of the leaves of its arguments by name,
    `findings` is ordered by importance: what breaks comes before what is harmless. `bad_arguments`
    are the leaves that were not finite when they came, by name.
    """

    function: str
    value: Any
    gradients: dict[str, Any]
    findings: tuple[Finding, ...]
    bad_arguments: dict[str, Any]

    @property
    def is_healthy(self) -> bool:
        """Whether the value and all gradients are finite and no gradient is zero throughout."""
        states = [state(g) for g in self.gradients.values()]
        return all_finite(self.value) and all(s == "finite" for s in states)

    @property
    def first(self) -> Finding | None:
        """The finding that explains the most; None where there is nothing to tell."""
        return self.findings[0] if self.findings else None

    def __str__(self) -> str:
        return described(self)


def diagnose(function: Callable[..., Any], *args: Any) -> Diagnosis:
    """Run `function` forward and backward, and tell where a bad gradient comes from.

    `args` are pytrees; the gradient is taken of every floating leaf. The function may return
    arrays of any shape, which are summed. It runs once, slower than under `pb.grad`; outside of
    `diagnose` nothing is recorded of the source, so it costs nothing. A Graph has no source:
    give the function that it was traced from.
    Raises what the function raises.

    >>> import numpy as np, pullback as pb
    >>> diagnosis = pb.diagnose(lambda x: np.sum(np.sqrt(x)), np.array([0.0, 4.0]))
    >>> diagnosis.first.kind, diagnosis.first.op, diagnosis.first.index
    ('backward', 'sqrt', (0,))
    >>> diagnosis.first.convention
    'x = 0: infinite'
    """
    leaves, structure = pytree.flatten(args)
    names = _names(function, args)
    tape = WatchedTape()
    inputs: dict[str, TapeNode] = {}
    traced = []
    for name, leaf in zip(names, leaves, strict=True):
        if np.asarray(leaf).dtype.kind not in "fc":
            traced.append(leaf)
            continue
        x = tape.input(np.asarray(leaf))
        inputs[name] = x.node
        traced.append(x)
    with np.errstate(all="ignore"):
        result = pytree.map(unwrap, function(*pytree.unflatten(structure, traced)))
        outputs = [x for x in pytree.leaves(result) if _on(tape, x)]
        for x in outputs:
            x.refresh()
        roots = [(x.node, np.ones_like(x.value)) for x in outputs]
        flow = flow_back(roots)
        gradients = {n: flow.cotangents.get(x, np.zeros_like(x.out)) for n, x in inputs.items()}
        stopped = [x for name, x in inputs.items() if state(gradients[name]) == "zero"]
        findings = _Examination(tape.steps, flow, roots).findings(stopped)
    value = pytree.map(lambda x: x.value if _on(tape, x) else x, result)
    bad = {name: node.out for name, node in inputs.items() if not all_finite(node.out)}
    return Diagnosis(getattr(function, "__name__", "function"), value, gradients, findings, bad)


def _on(tape: WatchedTape, x: Any) -> bool:
    return isinstance(x, Tracer) and x.context is tape


def _names(function: Any, args: Sequence[Any]) -> list[str]:
    if isinstance(function, Graph):
        return [node.name for node in function.arguments]
    return argument_names(function, args)


class _Examination:
    """Goes through the steps of a run and of its way back."""

    def __init__(self, steps: Sequence[Step], flow: Flow, roots: Sequence[tuple[Any, Any]]) -> None:
        self.flow = flow
        self.value_is_finite = all(all_finite(n.out) for n, _ in roots if n is not None)
        self.steps = [s for s in steps if s.node.args is not None]  # not let go of by a checkpoint
        self.step_of = {s.node: s for s in self.steps}

    def findings(self, stopped: Sequence[TapeNode]) -> tuple[Finding, ...]:
        """Return what breaks, then what stops the gradients of `stopped`, then what is harmless."""
        breaking = [self._first_bad_value(), self._first_bad_cotangent()]
        stopping = [self._stopping(node) for node in stopped]
        rest = [self._remarkable(step) for step in self.steps if not step.is_constant]
        found: dict[TapeNode, Finding] = {}
        for node, finding in filter(None, (*breaking, *stopping, *rest)):
            found.setdefault(node, finding)
        return tuple(found.values())

    def _first_bad_value(self) -> tuple[TapeNode, Finding] | None:
        for step in self.steps:
            node = step.node
            if not all_finite(node.out) and all(map(all_finite, node.args)):
                bad = ~np.isfinite(arrays(node.out)[0])
                if self.value_is_finite:
                    bad = self._counting(node, bad)
                if bad.any():
                    return node, self._finding("forward", step, bad)
        return None

    def _first_bad_cotangent(self) -> tuple[TapeNode, Finding] | None:
        for node, position, sent in self.flow.edges:
            step = self.step_of.get(node)
            if step is None or all_finite(sent) or not all_finite(self.flow.cotangents[node]):
                continue
            singular = singular_entries(node, position)
            if singular is not None:
                counting = self._counting(node, _at_finite_arguments(node, singular))
                if counting.any():
                    return node, self._finding("backward", step, counting, sent=sent)
            found = self._finding("backward", step, ~np.isfinite(arrays(sent)[0]), sent=sent)
            return node, replace(found, convention="")
        return None

    def _stopping(self, wanted: TapeNode) -> tuple[TapeNode, Finding] | None:
        """Return the step that a gradient does not get through on its way to an input."""
        for node, position, sent in self.flow.edges:
            parent, step = node.parents[position], self.step_of.get(node)
            ends = state(sent) == "zero" and state(self.flow.cotangents[node]) != "zero"
            if step is not None and parent is not None and ends and wanted in inputs_of(parent):
                undefined = undefined_entries(node, position)
                if undefined is not None and self._counting(node, undefined).any():
                    return node, self._finding("zero", step, self._counting(node, undefined))
                everywhere = np.ones(np.shape(sent), bool)
                return node, replace(self._finding("zero", step, everywhere), convention="")
        for step in self.steps:
            if step.is_constant and any(p and wanted in inputs_of(p) for p in step.node.parents):
                everywhere = np.ones(np.shape(step.node.out), bool)
                return step.node, self._finding("constant", step, everywhere)
        return None

    def _remarkable(self, step: Step) -> tuple[TapeNode, Finding] | None:
        """Return where the derivative is undefined, whether it counts there or is masked."""
        node = step.node
        if node not in self.flow.cotangents:
            return None
        for position, parent in enumerate(node.parents):
            if parent is None:
                continue
            undefined = undefined_entries(node, position)
            if undefined is not None:
                counting = self._counting(node, _at_finite_arguments(node, undefined))
                if counting.any():
                    return node, self._finding("undefined", step, counting)
            singular = singular_entries(node, position)
            if singular is not None and singular.any():
                cancelled = self._cancelled(node, singular)
                if cancelled.any():
                    return node, self._finding("cancelled", step, cancelled)
                masked = singular & ~self._counting(node, singular)
                if masked.any():
                    return node, self._finding("masked", step, masked)
        return None

    def _cancelled(self, node: TapeNode, singular: Any) -> Any:
        """Return where a consumer's slope that only passes through 0 met a singular one."""
        found = np.zeros_like(singular)
        for consumer, position, sent in self.flow.edges:
            if consumer.parents[position] is not node or np.shape(sent) != np.shape(consumer.out):
                continue
            flat = flat_entries(consumer, position)
            if flat is not None and np.shape(flat) == np.shape(singular):
                found |= singular & ~flat & (sent == 0) & (self.flow.cotangents[consumer] != 0)
        return found

    def _counting(self, node: TapeNode, bad: Any) -> Any:
        """Return where `bad` holds and the cotangent is not 0, so that it counts."""
        cotangent = self.flow.cotangents.get(node)
        if cotangent is None:
            return np.zeros_like(bad)
        if isinstance(cotangent, tuple) or np.shape(cotangent) != np.shape(bad):
            return bad & any(np.any(c) for c in arrays(cotangent))
        return bad & (cotangent != 0)

    def _finding(self, kind: Kind, step: Step, bad: Any, sent: Any = None) -> Finding:
        node, shape = step.node, np.shape(bad)
        places = np.argwhere(bad)
        index = tuple(int(i) for i in places[0]) if len(places) else ()
        several = len(node.args) > 1
        values = {
            f"input {k}" if several else "input": entry(a, index, shape)
            for k, a in enumerate(node.args)
        }
        values["output"] = entry(node.out, index, shape)
        if node in self.flow.cotangents:
            values["cotangent"] = entry(self.flow.cotangents[node], index, shape)
        if sent is not None:
            values["sent back"] = entry(sent, index, shape)
        return Finding(kind, step.op.name, step.place, index, values, step.op.undefined_at)


def _at_finite_arguments(node: TapeNode, bad: Any) -> Any:
    """Return where `bad` holds and the arguments are finite: the rest follows from another step."""
    for x in (part for a in node.args for part in arrays(a)):
        bad = bad & (np.isfinite(x) if np.ndim(bad) else np.isfinite(x).all())
    return bad
