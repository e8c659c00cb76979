"""A derivation as a whole: sections, aligned equations, shapes, and what the signs mean."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pullback.explain.derivation.expr import Expr, walk
from pullback.explain.derivation.layout import Box, boxed
from pullback.explain.derivation.printers import LATEX, MATHML, UNICODE, Printer, drawn

if TYPE_CHECKING:
    from pullback.explain.derivation.derivation import Derivation, Given, Line

SECTIONS = ("forward", "backward", "gradients", "where")


def shape_text(shape: tuple[int, ...]) -> str:
    """Return 4×3 for a matrix, 4 for a vector, "number" for a number."""
    return "×".join(map(str, shape)) or "number"


def _sides(line: Line, printer: Printer) -> tuple[str, str]:
    """Return an equation as its left sides, but for the last, and the rest."""
    first, *others = [drawn(boxed(x), printer) for x in (*line.left, line.expression)]
    return first, printer["operator"](EQUALS, []).join(others)


def notes(derivation: Derivation) -> list[str]:
    """Return what a reader needs to know of the signs that stand in the lines."""
    parts = [p for line in derivation.lines for p in walk(line.expression)]
    kinds = {p.kind for p in parts}
    found = _cotangent_notes(derivation, parts)
    if any(p.kind == "ones" and 1 in _lengths(p) for p in parts):
        found.append("𝟏 is the vector of ones: Δᵀ 𝟏 adds up the rows of Δ")
    if "hadamard" in kinds or any(p.kind == "power" and not p.is_scalar for p in parts):
        found.append("∘ and ⊘ multiply and divide entry by entry")
    found += _convolution_notes(parts)
    if any(p.kind == "call" and p.data.name == "sum" and not p.is_scalar for p in parts):
        found.append("sum₀₁(Δ) adds up over the axes 0 and 1")
    if any(p.kind == "call" and p.data.name == "transpose" for p in parts):
        found.append("transpose₁₀₂(X) puts the axes of X in the order 1, 0, 2")
    if "vjp" in kinds:
        found.append("vjp[f, x](δ) is the transposed derivative of f in x, applied to δ")
    return found


def _cotangent_notes(derivation: Derivation, parts: Sequence[Expr]) -> list[str]:
    """Return what the cotangent is that the last value comes with, where that is no number."""
    known = {line.name for line in derivation.lines} | {str(g.symbol) for g in derivation.given}
    symbols = dict.fromkeys(str(p) for p in parts if p.kind == "symbol")
    free = [name for name in symbols if name[0] in "δΔ" and name not in known]
    *_, result = [line.name for line in derivation.lines if line.section == "forward"] or [""]
    return [f"{name} is ∂E/∂{result}, of any number E made of {result}" for name in free]


def _convolution_notes(parts: Sequence[Expr]) -> list[str]:
    """Return the definitions of the convolutions in `parts`, in indices."""
    calls = {p.data.name: p.data.params for p in parts if p.kind == "call"}
    found = []
    for name, note in CONVOLUTIONS.items():
        if name in calls:
            params = calls[name]
            found.append(note.format(place=_place(params)))
            if params["groups"] > 1:
                found.append(f"  in each of {params['groups']} groups of channels")
    return found


def _place(params: Mapping[str, Any]) -> str:
    """Return which position of x the window at p sees at its place k."""
    strides, dilation, padding = params["strides"], params["dilation"], params["padding"]
    stride = "p" if set(strides) == {1} else f"{_each(strides)} p"
    step = "k" if set(dilation) == {1} else f"{_each(dilation)} k"
    before = [pair[0] for pair in padding]
    return f"{stride} + {step}" + (f" − {_each(before)}" if any(before) else "")


def _each(numbers: Sequence[int]) -> str:
    return str(numbers[0]) if len(set(numbers)) == 1 else str(tuple(numbers))


CONVOLUTIONS = {
    "conv": "(x ∗ w)[n, p, o] = Σ x[n, {place}, i] w[k, i, o] over k, i",
    "conv_input": "(Δ ∗ᵀ w)[n, {place}, i] = Σ Δ[n, p, o] w[k, i, o] over p, k, o",
    "conv_kernel": "(x ⋆ Δ)[k, i, o] = Σ x[n, {place}, i] Δ[n, p, o] over n, p",
}
"""What the signs of convolution mean, for samples n, positions p, places k in the window."""


def _lengths(x: Expr) -> tuple[int, ...]:
    return tuple(1 if n is None else n for n in x.shape)


def as_text(derivation: Derivation) -> str:
    """Return the derivation as Unicode text."""
    blocks = [("given", [_given(g) for g in derivation.given])] if derivation.given else []
    for section in SECTIONS:
        lines = [line for line in derivation.lines if line.section == section]
        if lines:
            blocks.append((section, [(*_sides(line, UNICODE), _shape(line)) for line in lines]))
    rows = [row for _, group in blocks for row in group]
    left, right = (max((len(row[k]) for row in rows), default=0) for k in (0, 1))
    out = [f"derivation of {derivation.function}"]
    for title, group in blocks:
        out.append("")
        for k, (name, text, shape) in enumerate(group):
            sign = "=" if text else " "
            row = (
                f"  {title if not k else '':9s}  {name:<{left}s} {sign} {text:<{right}s}   {shape}"
            )
            out.append(row.rstrip())
    explained = notes(derivation)
    return "\n".join([*out, *([""] if explained else []), *[f"  {note}" for note in explained]])


def _given(given: Given) -> tuple[str, str, str]:
    path = given.path if given.path != given.symbol.data else ""
    return str(given.symbol), path, shape_text(given.shape)


def _shape(line: Line) -> str:
    return shape_text(line.shape) if line.section != "where" else ""


def as_latex(derivation: Derivation) -> str:
    """Return the equations as an `aligned` environment."""
    rows = []
    for line in derivation.lines:
        left, right = _sides(line, LATEX)
        shape = r" \times ".join(map(str, line.shape))
        note = rf" && \in \mathbb{{R}}^{{{shape}}}" if shape else r" && \in \mathbb{R}"
        rows.append(f"{left} &= {right}{note if line.section != 'where' else ''}")
    return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"


def as_html(derivation: Derivation) -> str:
    """Return the derivation as a table of MathML."""
    rows = []
    title = "given"
    for given in derivation.given:
        name, path, shape = _given(given)
        text = f"<code>{html.escape(path)}</code>" if path else ""
        rows.append(_row(title, _math(drawn(boxed(given.symbol), MATHML)), text, shape))
        title = ""
    for section in SECTIONS:
        title = section
        for line in derivation.lines:
            if line.section == section:
                left, right = _sides(line, MATHML)
                rows.append(_row(title, _math(left), _math("<mo>=</mo>" + right), _shape(line)))
                title = ""
    explained = "".join(f"<p>{html.escape(note)}</p>" for note in notes(derivation))
    name = html.escape(derivation.function)
    return (
        f'<div class="pullback-derivation"><style>{STYLE}</style>'
        f"<p>derivation of <code>{name}</code></p>"
        f"<table>{''.join(rows)}</table>{explained}</div>"
    )


def as_page(derivation: Derivation) -> str:
    """Return the derivation as an HTML page that needs nothing else, light or dark."""
    title = html.escape(f"derivation of {derivation.function}")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        "<style>:root { color-scheme: light dark; } body { margin: 24px; }</style></head>"
        f"<body>{as_html(derivation)}</body></html>"
    )


def _math(inside: str) -> str:
    return f'<math display="inline"><mstyle displaystyle="true">{inside}</mstyle></math>'


def _row(title: str, left: str, right: str, shape: str) -> str:
    first = ' class="first"' if title else ""
    return (
        f"<tr{first}><th>{title}</th><td>{left}</td><td>{right}</td>"
        f"<td>{shape.replace('number', '')}</td></tr>"
    )


EQUALS = Box("operator", text=" = ")
STYLE = """
.pullback-derivation { font: 15px/1.5 system-ui, sans-serif; }
.pullback-derivation table { border-collapse: collapse; border: 0; }
.pullback-derivation th { text-align: left; font-weight: 600; opacity: .6; }
.pullback-derivation th { padding: 2px 18px 2px 0; border: 0; vertical-align: baseline; }
.pullback-derivation td { text-align: left; padding: 3px 6px 3px 0; border: 0; }
.pullback-derivation tr { background: none !important; }
.pullback-derivation tr.first > * { padding-top: 12px; }
.pullback-derivation td:last-child { padding-left: 24px; opacity: .6; white-space: nowrap; }
.pullback-derivation math { font-size: 1.15em; }
.pullback-derivation p { margin: 6px 0; opacity: .75; }
"""
"""Colours are those of the page, so that light and dark pages both are right."""
