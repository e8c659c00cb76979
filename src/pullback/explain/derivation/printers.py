"""Formulas as Unicode text, LaTeX and MathML: for each, a table of what a box becomes."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping

from pullback.explain.derivation.expr import Expr
from pullback.explain.derivation.layout import BINDING, Box, boxed

Draw = Callable[[Box, list[str]], str]
Printer = Mapping[str, Draw]

GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "Delta": "Δ", "epsilon": "ε", "eta": "η",
    "theta": "θ", "Theta": "Θ", "kappa": "κ", "lambda": "λ", "lam": "λ", "lmbda": "λ",
    "Lambda": "Λ", "mu": "μ", "nu": "ν", "xi": "ξ", "rho": "ρ", "sigma": "σ", "Sigma": "Σ",
    "tau": "τ", "phi": "φ", "Phi": "Φ", "psi": "ψ", "omega": "ω", "Omega": "Ω",
}  # fmt: skip
_LATEX_GREEK = {sign: "\\" + name for name, sign in GREEK.items() if name not in ("lam", "lmbda")}
_LATEX_OPERATORS = {
    "∘": r"\circ", "⊘": r"\oslash", "⊗": r"\otimes", "∗": "*",
    "⋆": r"\star", "∗ᵀ": r"*^{\top}", "−": "-", "·": r"\cdot", "": r"\,",
}  # fmt: skip
_LATEX_EXPONENTS = {
    "⊤": r"\top",
    "−": "-",
    "∘": r"\circ ",
    "½": "1/2",
    "×": r" \times ",
    "∞": r"\infty",
}
_LATEX_FUNCTIONS = {"σ", "φ", "Φ"}
_LATEX_NAMED = {"ln", "exp", "sin", "cos", "sinh", "cosh", "tanh", "det"}
_SUBSCRIPTS = dict(zip("0123456789", "₀₁₂₃₄₅₆₇₈₉", strict=True))
_SUPERSCRIPTS = dict(zip("0123456789−⊤", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻ᵀ", strict=True))
_VULGAR = {"1/2": "½", "1/3": "⅓", "2/3": "⅔", "1/4": "¼", "3/4": "¾", "1/8": "⅛"}


def unicode_text(expr: Expr) -> str:
    """Return `expr` as a line of text."""
    return drawn(boxed(expr), UNICODE)


def drawn(box: Box, printer: Printer) -> str:
    """Return `box` as `printer` draws it."""
    return printer[box.kind](box, [drawn(part, printer) for part in box.parts])


def name_parts(name: str) -> tuple[str, str]:
    """Return the letter or word of a name, and its subscript: W1, W_1, W_q and Wq have one.

    >>> name_parts("W12"), name_parts("beta_0"), name_parts("x")
    (('W', '12'), ('β', '0'), ('x', ''))
    """
    stem, _, sub = name.partition("_")
    digits = re.search(r"\d+$", stem)
    if not sub and digits and digits.start():
        stem, sub = stem[: digits.start()], digits.group()
    if not sub and re.fullmatch(r"W[A-Za-z]{1,2}|b[a-z]", stem):
        stem, sub = stem[0], stem[1:]
    if not stem:
        stem, sub = name, ""
    return GREEK.get(stem, stem), sub


def _join(box: Box, parts: list[str]) -> str:
    return "".join(parts)


def _around(left: str, right: str) -> Draw:
    return lambda box, parts: left + parts[0] + right


# Unicode


def _unicode_name(box: Box, parts: list[str]) -> str:
    stem, sub = name_parts(box.text)
    if not sub:
        return stem
    if all(c in _SUBSCRIPTS for c in sub):
        return stem + "".join(_SUBSCRIPTS[c] for c in sub)
    return f"{stem}_{sub}"


def _unicode_sub(box: Box, parts: list[str]) -> str:
    above, below = parts
    if below.isdigit():
        return above + "".join(_SUBSCRIPTS[c] for c in below)
    return f"{above}_{below}"


def _unicode_sup(box: Box, parts: list[str]) -> str:
    base, exponent = parts
    if all(c in _SUPERSCRIPTS for c in exponent):
        return base + "".join(_SUPERSCRIPTS[c] for c in exponent)
    return f"{base}^{exponent}"


def _unicode_fraction(box: Box, parts: list[str]) -> str:
    above, below = (
        f"({text})" if BINDING.get(part.kind, 9) < limit else text
        for part, text, limit in zip(box.parts, parts, (BINDING["product"], 8), strict=True)
    )
    plain = f"{above}/{below}"
    if all(part.kind in ("number", "root") for part in box.parts):
        return _VULGAR.get(plain, f"({plain})")
    return f"{above} / {below}"


UNICODE: Printer = {
    "name": _unicode_name,
    "number": lambda box, parts: box.text,
    "function": lambda box, parts: box.text,
    "operator": lambda box, parts: box.text,
    "ones": lambda box, parts: "𝟏",
    "row": _join,
    "sum": _join,
    "product": _join,
    "hadamard": _join,
    "sup": _unicode_sup,
    "sub": _unicode_sub,
    "fraction": _unicode_fraction,
    "root": lambda box, parts: f"√{parts[0]}" if parts[0].isalnum() else f"√({parts[0]})",
    "brackets": _around("(", ")"),
    "square": _around("[", "]"),
    "bars": _around("|", "|"),
    "norm": _around("‖", "‖"),
    "derivative": lambda box, parts: f"∂{parts[0]}/∂{parts[1]}",
}


# LaTeX


def _latex_word(text: str) -> str:
    if text in _LATEX_GREEK:
        return _LATEX_GREEK[text]
    return text if len(text) <= 1 else r"\mathrm{" + text.replace("_", r"\_") + "}"


def _latex_name(box: Box, parts: list[str]) -> str:
    stem, sub = name_parts(box.text)
    word = _latex_word(stem)
    return word if not sub else f"{word}_{{{sub if sub.isdigit() else _latex_word(sub)}}}"


def _latex_function(box: Box, parts: list[str]) -> str:
    name = box.text.rstrip("′")
    primes = "'" * (len(box.text) - len(name))
    if name in _LATEX_NAMED:
        return "\\" + name + primes
    if name in _LATEX_FUNCTIONS:
        return _LATEX_GREEK[name] + primes
    return r"\operatorname{" + name.replace("_", r"\_") + "}" + primes


def _latex_operator(box: Box, parts: list[str]) -> str:
    sign = box.text.strip()
    return f" {_LATEX_OPERATORS.get(sign, sign)} " if sign != "," else ", "


def _latex_exponent(text: str) -> str:
    for sign, command in _LATEX_EXPONENTS.items():
        text = text.replace(sign, command)
    return text


LATEX: Printer = {
    "name": _latex_name,
    "number": lambda box, parts: _latex_exponent(box.text),
    "function": _latex_function,
    "operator": _latex_operator,
    "ones": lambda box, parts: r"\mathbf{1}",
    "row": _join,
    "sum": _join,
    "product": _join,
    "hadamard": _join,
    "sup": lambda box, parts: f"{parts[0]}^{{{parts[1]}}}",
    "sub": lambda box, parts: f"{parts[0]}_{{{parts[1]}}}",
    "fraction": lambda box, parts: rf"\frac{{{parts[0]}}}{{{parts[1]}}}",
    "root": _around(r"\sqrt{", "}"),
    "brackets": _around(r"\left(", r"\right)"),
    "square": _around(r"\left[", r"\right]"),
    "bars": _around(r"\left|", r"\right|"),
    "norm": _around(r"\left\lVert ", r" \right\rVert"),
    "derivative": lambda box, parts: rf"\frac{{\partial {parts[0]}}}{{\partial {parts[1]}}}",
}


# MathML


def _row(*parts: str) -> str:
    return "<mrow>" + "".join(parts) + "</mrow>"


def _mathml_row(box: Box, parts: list[str]) -> str:
    return _row(*parts)


def _mathml_identifier(text: str) -> str:
    return f"<mi>{html.escape(text)}</mi>"


def _mathml_name(box: Box, parts: list[str]) -> str:
    stem, sub = name_parts(box.text)
    if not sub:
        return _mathml_identifier(stem)
    below = f"<mn>{sub}</mn>" if sub.isdigit() else _mathml_identifier(sub)
    return f"<msub>{_mathml_identifier(stem)}{below}</msub>"


def _mathml_function(box: Box, parts: list[str]) -> str:
    name = box.text.rstrip("′")
    if name == box.text:
        return _mathml_identifier(name)
    return f"<msup>{_mathml_identifier(name)}<mo>′</mo></msup>"


def _mathml_operator(box: Box, parts: list[str]) -> str:
    sign = box.text.strip()
    if not sign:
        return '<mspace width="0.17em"/>'
    return f"<mo>{html.escape(sign)}</mo>"


def _mathml_number(box: Box, parts: list[str]) -> str:
    signs = re.findall(r"[−⊤∘]|[^−⊤∘]+", box.text)
    drawn = [f"<mo>{s}</mo>" if s in "−⊤∘" else f"<mn>{html.escape(s)}</mn>" for s in signs]
    return drawn[0] if len(drawn) == 1 else _row(*drawn)


def _mathml_sup(box: Box, parts: list[str]) -> str:
    base, exponent = parts
    if base.startswith("<msub>") and box.parts[0].kind in ("name", "sub"):
        return f"<msubsup>{base.removeprefix('<msub>').removesuffix('</msub>')}{exponent}</msubsup>"
    return f"<msup>{base}{exponent}</msup>"


def _mathml_fence(left: str, right: str) -> Draw:
    return lambda box, parts: _row(f"<mo>{left}</mo>", parts[0], f"<mo>{right}</mo>")


def _mathml_tag(tag: str) -> Draw:
    return lambda box, parts: f"<{tag}>" + "".join(parts) + f"</{tag}>"


MATHML: Printer = {
    "name": _mathml_name,
    "number": _mathml_number,
    "function": _mathml_function,
    "operator": _mathml_operator,
    "ones": lambda box, parts: "<mn>𝟏</mn>",
    "row": _mathml_row,
    "sum": _mathml_row,
    "product": _mathml_row,
    "hadamard": _mathml_row,
    "sup": _mathml_sup,
    "sub": _mathml_tag("msub"),
    "fraction": _mathml_tag("mfrac"),
    "root": _mathml_tag("msqrt"),
    "brackets": _mathml_fence("(", ")"),
    "square": _mathml_fence("[", "]"),
    "bars": _mathml_fence("|", "|"),
    "norm": _mathml_fence("‖", "‖"),
    "derivative": lambda box, parts: (
        f"<mfrac>{_row('<mo>∂</mo>', parts[0])}{_row('<mo>∂</mo>', parts[1])}</mfrac>"
    ),
}
