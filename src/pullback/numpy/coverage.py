"""What of NumPy pullback knows: every public function, with its status.

The statuses come of the dispatch tables: a function with a rule is differentiable, unless its rule
has no derivative or it is named below. Functions without a rule are named below, with the reason.
`docs/numpy.md` holds the table; `python -m pullback.numpy.coverage docs/numpy.md` writes it anew.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pullback.core.dispatch import functions, load_deferred, ufuncs
from pullback.core.op import OPS, Op

Status = Literal["differentiable", "piecewise constant", "asks or creates", "not supported"]

NAMESPACES: dict[str, Any] = {"numpy": np, "numpy.fft": np.fft, "numpy.linalg": np.linalg}


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


CONSTANT = _names("""
    all allclose any argmax argmin argpartition argsort argwhere around array_equal array_equiv
    count_nonzero digitize fix flatnonzero isclose iscomplex isin isneginf isposinf isreal ix_
    lexsort matrix_rank nanargmax nanargmin nonzero packbits ravel_multi_index round searchsorted
    unpackbits unravel_index
""")
"""Functions with a rule whose result does not change where it is continuous."""

ASKS_OR_CREATES = _names("""
    arange array2string array_repr array_str bartlett base_repr binary_repr blackman
    broadcast_shapes can_cast common_type diag_indices diag_indices_from einsum_path empty
    empty_like eye fftfreq format_float_positional format_float_scientific from_dlpack frombuffer
    fromfunction fromiter fromstring full get_include get_printoptions getbufsize geterr geterrcall
    hamming hanning identity indices info iscomplexobj isdtype isrealobj isscalar issubdtype
    iterable kaiser mask_indices min_scalar_type mintypecode ndim ones ones_like printoptions
    promote_types result_type rfftfreq set_printoptions setbufsize seterr seterrcall shape
    show_config show_runtime size test tri tril_indices tril_indices_from triu_indices
    triu_indices_from typename zeros zeros_like
""")
"""Functions about shapes, dtypes and settings, or that make arrays of constant numbers."""

_REASONS = {
    "dates have no derivative": _names("""
        busday_count busday_offset datetime_as_string datetime_data is_busday isnat
    """),
    "reads or writes a file; do so outside of the function": _names("""
        fromfile fromregex genfromtxt load loadtxt save savetxt savez savez_compressed
    """),
    "NumPy offers no hook; use pb.numpy.array or pb.numpy.asarray": _names("""
        array asanyarray asarray
    """),
    "NumPy offers no hook; leave it out, for a traced array is an ordinary one": _names("""
        ascontiguousarray asarray_chkfinite asfortranarray require
    """),
    "asks about memory, which traced arrays do not have": _names("""
        isfortran may_share_memory nested_iters nditer shares_memory
    """),
    "calls Python for each element; write it with whole arrays, np.stack or pb.vmap": _names("""
        frompyfunc vectorize
    """),
    "the matrix class, which NumPy discourages; use arrays of two axes": _names("""
        asmatrix bmat matrix
    """),
    "converts its coefficients to an array; use np.polyval and its like": _names("poly1d"),
}
NOT_SUPPORTED = {name: reason for reason, names in _REASONS.items() for name in names}
"""Why a function has no rule, and what to do instead. Classes that people call are named, too."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One public function of NumPy: its names in a namespace, status and what to know of it."""

    namespace: str
    names: tuple[str, ...]
    status: Status
    remark: str


def coverage() -> list[Entry]:
    """Return an entry for every public function of numpy, numpy.fft and numpy.linalg.

    Raises LookupError naming the functions that are neither implemented nor listed with a reason.

    >>> from pullback.numpy.coverage import coverage
    >>> [entry.status for entry in coverage() if "hypot" in entry.names]
    ['differentiable']
    """
    load_deferred()
    entries, unknown = [], []
    for namespace, module in NAMESPACES.items():
        for names, function in _public(module):
            status = _status(names, function)
            if status is None:
                unknown.append(f"{namespace}.{names[0]}")
            else:
                entries.append(Entry(namespace, names, status, _remark(names, function)))
    if unknown:
        raise LookupError(
            f"neither implemented nor listed with a reason: {', '.join(unknown)}. Give each a rule "
            "with @implements, or name it in one of the lists of pullback.numpy.coverage."
        )
    return entries


def _public(module: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the public functions of `module`, each with all its names."""
    found: dict[Any, list[str]] = {}
    for name in sorted(dir(module)):
        value = getattr(module, name)
        called = callable(value) and (not isinstance(value, type) or name in NOT_SUPPORTED)
        if called and not name.startswith("_"):
            found.setdefault(value, []).append(name)
    for function, names in found.items():
        yield tuple(names), function


def _status(names: tuple[str, ...], function: Any) -> Status | None:
    if NOT_SUPPORTED.keys() & names:
        return "not supported"
    if ASKS_OR_CREATES & {*names}:
        return "asks or creates"
    rule = _rule(function)
    if rule is None:
        return None
    constant = CONSTANT & {*names} or (isinstance(rule, Op) and rule.vjp is None)
    return "piecewise constant" if constant else "differentiable"


def _rule(function: Any) -> Any:
    return ufuncs.get(function) or functions.get(function)


def _remark(names: tuple[str, ...], function: Any) -> str:
    for name in names:
        if name in NOT_SUPPORTED:
            return NOT_SUPPORTED[name]
    rule = _rule(function)
    op = rule if isinstance(rule, Op) else next((OPS[n] for n in names if n in OPS), None)
    return op.undefined_at if op is not None else ""


def table() -> str:
    """Return the table of `coverage` in Markdown, one section per namespace."""
    entries = coverage()
    lines = []
    for namespace in NAMESPACES:
        lines += [f"### {namespace}", "", "| function | status | to know |", "|---|---|---|"]
        for e in entries:
            if e.namespace == namespace:
                names = ", ".join(f"`{name}`" for name in e.names)
                remark = e.remark.replace("|", "\\|").replace("**", "\\*\\*")
                lines.append(f"| {names} | {e.status} | {remark} |")
        lines.append("")
    return "\n".join(lines)


MARK = "<!-- generated: python -m pullback.numpy.coverage docs/numpy.md -->\n"


def write(page: Path) -> None:
    """Replace what follows the mark in `page` by the table of the installed NumPy."""
    text, mark, _ = page.read_text().partition(MARK)
    if not mark:
        raise ValueError(f"page: expected a page with the line {MARK!r}, {page} has none")
    version = ".".join(np.__version__.split(".")[:2])
    page.write_text(f"{text}{MARK}\n## NumPy {version}\n\n{table()}")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
