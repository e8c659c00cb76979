"""Loops that were unrolled: what each operation of a repetition takes, and if it can be rolled.

An operand is what the repetition itself made, or one up to `MOST_BACK` before it (a carry); or the
same for all repetitions; or one of a series that will be an array with a row for each repetition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from pullback.core.aval import Aval, result_type
from pullback.core.graph import Node
from pullback.core.memory import nbytes
from pullback.core.op import OPS
from pullback.passes.repetitions import Line, Run, fingerprint, moves, numbers
from pullback.passes.rows import progression

MOST_BACK = 4
_PER_CARRY = 64
"""What a carry costs besides its bytes."""


class Own(NamedTuple):
    """What the repetition itself made at `slot`, or the one `back` repetitions before."""

    slot: int
    back: int


class Each(NamedTuple):
    """One value for each repetition."""

    nodes: tuple[Node, ...]

    @property
    def is_shared(self) -> bool:
        """Whether all repetitions take the same."""
        first = self.nodes[0]
        return all(node is first or same_constant(node, first) for node in self.nodes)


Operand = Own | Each
Owner = Callable[[Node], "tuple[Loop, int, int] | None"]
"""Tells the loop that a node is in, its repetition and its slot."""


@dataclass(eq=False)
class Loop:
    """A run as a loop: `carries` says for each slot how many repetitions on it is still read.

    `picks` are the slots of rows of what all repetitions share, `steady` those of what they compute
    of such things only, so that the first one's value is that of all. `stacked` has the slots of
    which values are needed afterwards, and the repetitions of these values.
    """

    run: Run
    nodes: Sequence[Node]
    operands: list[list[Operand]]
    carries: dict[int, int]
    picks: set[int] = field(default_factory=set)
    steady: set[int] = field(default_factory=set)
    reverse: bool = False
    is_needed: bool = False
    stacked: dict[int, set[int]] = field(default_factory=dict)

    @property
    def states(self) -> list[tuple[int, int]]:
        """The carries: of each slot the last value, the one before, ..."""
        return [(slot, back) for slot, most in self.carries.items() for back in range(1, most + 1)]

    @property
    def is_wasteful(self) -> bool:
        """Whether it stacks much that is not read."""
        sizes = {slot: nbytes(self.first(slot)) for slot in self.stacked}
        read = sum(len(rows) * sizes[slot] for slot, rows in self.stacked.items())
        return self.run.times * sum(sizes.values()) > 1.1 * read

    def rows_apart(self) -> set[int]:
        """Return the places of the repetitions where what is needed of them begins or ends."""
        several = (rows for rows in self.stacked.values() if len(rows) < self.run.times)
        ends = {r for rows in several for r in rows if not {r - 1, r + 1} <= rows}
        return {self.run.start + r * self.run.period for r in ends}

    def stack(self, slot: int, repetitions: Iterable[int]) -> None:
        """Note that values of a slot are needed afterwards."""
        self.is_needed = True
        self.stacked.setdefault(slot, set()).update(repetitions)

    def slot_nodes(self, slot: int) -> Sequence[Node]:
        """Return the nodes of a slot, one for each repetition."""
        run = self.run
        return self.nodes[run.start + slot : run.end : run.period]

    def first(self, slot: int) -> Node:
        """Return the node of a slot in the first repetition."""
        return self.nodes[self.run.start + slot]

    def start_of(self, slot: int, back: int) -> Node:
        """Return what a carry is before the first repetition."""
        return self.nodes[self.run.start + slot - back * self.run.period]

    def state_after(self, repetition: int, slot: int) -> int | None:
        """Return which carry, at the end, holds what `repetition` made at `slot`."""
        state = slot, self.run.times - repetition
        return self.states.index(state) if state in self.states else None

    def time(self, repetition: int) -> int:
        """Return which row of the stacked values belongs to a repetition."""
        return self.run.times - 1 - repetition if self.reverse else repetition

    def moves_index(self, slot: int) -> bool:
        """Whether the operation at `slot` has an index that moves with the repetitions."""
        params = self.first(slot).params
        if "index" not in params or not hasattr(params["index"], "parts"):
            return False
        first, second = (n.params["index"] for n in self.slot_nodes(slot)[:2])
        return bool(numbers(first) != numbers(second))


def planned(line: Line, run: Run, owner: Owner) -> Loop | None:
    """Return the loop that `run` can become, maybe without its first and last repetitions."""
    run = _where_least_crosses(line, run)
    while run.is_worth_it() and not _stands_alone(line, run):
        run = Run(run.start + run.period, run.period, run.times - 1)
    if not run.is_worth_it():
        return None
    loop = _loop(line, run)
    first, last = 0, run.times
    for slot in range(run.period):
        for operand in loop.operands[slot]:
            if isinstance(operand, Each) and not operand.is_shared and not is_constant(operand):
                start, end = _longest_series(operand.nodes, owner)
                first, last = max(first, start), min(last, end)
    run = Run(run.start + first * run.period, run.period, last - first)
    if not run.is_worth_it():
        return None
    loop = _loop(line, run)
    if not _can_be_rolled(loop, owner):
        return None
    loop.reverse = _runs_backwards(loop, owner)
    return loop


def _where_least_crosses(line: Line, run: Run) -> Run:
    """Return `run` cut into repetitions where the fewest bytes go from one to the next."""
    p = run.period
    crossing = np.zeros(p + 1)
    for slot, last in _last_uses(line, run).items():
        aval = line.nodes[run.start + slot].aval
        weight = aval.size * aval.dtype.itemsize + _PER_CARRY if isinstance(aval, Aval) else 1e18
        whole, rest = divmod(last - slot, p)
        crossing[:p] += whole * weight
        crossing[slot + 1 : min(slot + rest, p - 1) + 1] += weight
        crossing[: max(slot + rest - p + 1, 0)] += weight
    cut = int(np.argmin(crossing[:p]))
    return Run(run.start + cut, p, run.times - (cut > 0))


def _last_uses(line: Line, run: Run) -> dict[int, int]:
    """Return for each slot that the run itself uses how many places from its start that is."""
    last: dict[int, int] = {}
    for slot, _, operand in _places(line, run):
        if isinstance(operand, Own):
            use = slot + operand.back * run.period
            last[operand.slot] = max(last.get(operand.slot, 0), use)
    return last


def _places(line: Line, run: Run) -> list[tuple[int, int, Any]]:
    """Return for each slot and input what it takes: its own, or the places for all repetitions."""
    p, found = run.period, []
    second = run.start + p
    here = line.inputs[run.start : second]
    step = line.inputs[second : second + p] - here
    for slot in range(p):
        for k in range(len(line.nodes[run.start + slot].inputs)):
            repetition, target = divmod(int(here[slot, k]) - run.start, p)
            own = step[slot, k] == p and -MOST_BACK <= repetition <= 0
            column = line.inputs[run.start + slot : run.end : p, k]
            found.append((slot, k, Own(target, -repetition) if own else column))
    return found


def _stands_alone(line: Line, run: Run) -> bool:
    """Whether all that the run takes of others is there before it begins, and carries fit."""
    for _, _, operand in _places(line, run):
        if isinstance(operand, Own):
            first = line.nodes[run.start + operand.slot].aval
            for back in range(1, operand.back + 1):
                place = run.start + operand.slot - back * run.period
                if place < 0 or line.nodes[place].aval != first:
                    return False
        elif operand.max() >= run.start:
            return False
    return True


def _loop(line: Line, run: Run) -> Loop:
    carries: dict[int, int] = {}
    loop = Loop(run, line.nodes, [[] for _ in range(run.period)], carries)
    for slot, taken in groupby(_places(line, run), lambda place: place[0]):
        operands = loop.operands[slot]
        for _, k, operand in taken:
            if not isinstance(operand, Own):
                operands.append(_each(line, loop.slot_nodes(slot), k, operand))
                continue
            if operand.back:
                carries[operand.slot] = max(carries.get(operand.slot, 0), operand.back)
            is_steady = not operand.back and operand.slot in loop.steady
            operands.append(Each((loop.first(operand.slot),) * run.times) if is_steady else operand)
        _classify(loop, slot)
    loop.carries = dict(sorted(carries.items()))
    return loop


def _each(line: Line, nodes: Sequence[Node], k: int, places: Any) -> Each:
    """Return what `nodes` take as input `k`, from `places` of the line where they are known."""
    pairs = zip(nodes, places.tolist(), strict=True)
    return Each(tuple([line.nodes[at] if at >= 0 else node.inputs[k] for node, at in pairs]))


def _classify(loop: Loop, slot: int) -> None:
    """Note if what is at `slot` is a row of something, or the same for all repetitions."""
    if not all(isinstance(o, Each) and o.is_shared for o in loop.operands[slot]):
        return
    node = loop.first(slot)
    if not loop.moves_index(slot):
        if node.op is not OPS["recompute"]:  # which is not to be kept
            loop.steady.add(slot)
    elif is_pick(node):
        loop.picks.add(slot)


def _can_be_rolled(loop: Loop, owner: Owner) -> bool:
    """Whether each operation of the body will take what it takes, and index as it does."""
    for slot in range(loop.run.period):
        nodes = loop.slot_nodes(slot)
        if slot in loop.picks:
            if progression(nodes) is None:
                return False
            continue
        if loop.moves_index(slot) and not all(
            isinstance(part, int) for part in nodes[0].params["index"].parts if moves(part)
        ):
            return False
        for operand in loop.operands[slot]:
            if isinstance(operand, Own) or operand.is_shared:
                continue
            if is_constant(operand):
                if not _takes_strong(nodes[0]):
                    return False
            elif not is_even(operand.nodes, owner):
                return False
    return True


def _takes_strong(node: Node) -> bool:
    """Whether the result stays the same with arrays in place of Python's numbers."""
    assert node.op is not None
    dtype = result_type(*[i.aval for i in node.inputs])
    avals = [Aval(i.shape, dtype) if i.aval.weak and i.is_constant else i.aval for i in node.inputs]
    return bool(node.op.infer(*avals, **node.params) == node.aval)


def _longest_series(nodes: Sequence[Node], owner: Owner) -> tuple[int, int]:
    """Return the longest part of `nodes` that can be one array."""
    best, start = (0, 0), 0
    for key, group in groupby(nodes, lambda node: family(node, owner)):
        end = start + len(list(group))
        if key is not None and end - start > best[1] - best[0]:
            best = start, end
        start = end
    return best


def family(node: Node, owner: Owner) -> Any:
    """Return what is the same for nodes that together can be one array, and None for no such."""
    home = owner(node)
    if home is not None:
        loop, _, slot = home
        if slot not in loop.picks:
            return id(loop), slot
    if is_pick(node):
        return node.inputs[0], fingerprint(node.params)
    if node.op is not None and node.op.name == "reshape" and home is None:
        inner = family(node.inputs[0], owner)
        return None if inner is None else (node.aval, inner)
    return None


def is_even(nodes: Sequence[Node], owner: Owner) -> bool:
    """Whether nodes of one family are rows of an array at even distances."""
    seen = [seen_through(node, owner) for node in nodes]
    homes = [home for home in map(owner, seen) if home and home[2] not in home[0].picks]
    if not homes:
        return progression(seen) is not None
    steps = set(np.diff([repetition for _, repetition, _ in homes]).tolist())
    return len(steps) == 1 and steps != {0}


def _runs_backwards(loop: Loop, owner: Owner) -> bool:
    """Whether most of what the loop reads row by row is read from the last row on."""
    votes = 0
    for slot, operands in enumerate(loop.operands):
        if slot in loop.picks:
            step = progression(loop.slot_nodes(slot))
            votes += int(np.sign(step[2])) if step else 0
            continue
        for operand in operands:
            if isinstance(operand, Own) or is_constant(operand) or operand.is_shared:
                continue
            first, second = (owner(seen_through(node, owner)) for node in operand.nodes[:2])
            if first is not None and second is not None:
                votes += int(np.sign(second[0].time(second[1]) - first[0].time(first[1])))
    return votes < 0


# what nodes are


def is_constant(operand: Each) -> bool:
    """Whether the values are all known."""
    return operand.nodes[0].is_constant


def same_constant(node: Node, other: Node) -> bool:
    """Whether both are the same number, or the very same array."""
    if not (node.is_constant and other.is_constant and node.aval == other.aval):
        return False
    value, its = node.value, other.value
    return value is its or (
        np.ndim(value) == 0 and type(value) is type(its) and repr(value) == repr(its)
    )


def is_pick(node: Node) -> bool:
    """Whether `node` is x[index] with the index known."""
    if node.op is None or node.op.name != "getitem" or len(node.inputs) > 1:
        return False
    return bool(numbers(node.params["index"]))


def seen_through(node: Node, owner: Owner) -> Node:
    """Return what `node` is a reshape of, outside of loops."""
    while node.op is not None and node.op.name == "reshape" and owner(node) is None:
        node = node.inputs[0]
    return node
