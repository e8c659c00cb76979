"""What `derive` returns: its lines as objects, and the whole as text, LaTeX and HTML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pullback.explain.derivation.expr import Expr
from pullback.explain.derivation.steps import Section


@dataclass(frozen=True, slots=True)
class Given:
    """An argument: its symbol, where it is in the function's arguments, and its shape."""

    symbol: Expr
    path: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One equation: all of `left` is equal to `expression`, an array of `shape`.

    `value` is what the expression is worth at the arguments, computed from the values of the
    symbols in it, and found equal to the graph's. `section` is "forward", "backward" (deltas),
    "gradients" or "where" (the slopes of activations, whose value is that at 0.4).
    """

    section: Section
    left: tuple[Expr, ...]
    expression: Expr
    shape: tuple[int, ...]
    value: Any

    @property
    def name(self) -> str:
        """What the line defines, such as "z₁", "δ₁" or "∂E/∂W₁"."""
        return str(self.left[0])

    def __str__(self) -> str:
        return " = ".join(map(str, (*self.left, self.expression)))


@dataclass(frozen=True, slots=True)
class Derivation:
    """A gradient, derived: `given` are the arguments and constants, `lines` the equations.

    `str()` of it is Unicode text; `latex()` and `html()` need nothing but a reader of theirs.
    """

    function: str
    given: tuple[Given, ...]
    lines: tuple[Line, ...]

    def gradient(self, name: str) -> Line:
        """Return the line of the gradient of the argument called `name`.

        The one without deltas is taken where there is one. Raises KeyError for another name.
        """
        found = [
            line
            for line in self.lines
            if line.section == "gradients" and line.left[0].args[1].data == name
        ]
        if not found:
            raise KeyError(name)
        return found[-1]

    def __str__(self) -> str:
        from pullback.explain.derivation.render import as_text

        return as_text(self)

    def latex(self) -> str:
        """Return the lines as an `aligned` environment, for any TeX mathematics."""
        from pullback.explain.derivation.render import as_latex

        return as_latex(self)

    def html(self) -> str:
        """Return the derivation as HTML with MathML, which browsers draw by themselves."""
        from pullback.explain.derivation.render import as_html

        return as_html(self)

    def page(self) -> str:
        """Return `html()` as a whole page, to be opened as a file."""
        from pullback.explain.derivation.render import as_page

        return as_page(self)

    _repr_html_ = html

    def _repr_latex_(self) -> str:
        return f"${self.latex()}$"
