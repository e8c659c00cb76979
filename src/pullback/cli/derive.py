"""`pullback derive`: the gradient of a formula, step by step in matrix form."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from pullback.core.errors import ConfigError

if TYPE_CHECKING:
    from pullback.explain import Derivation


def derive(
    formula: Annotated[
        str, typer.Argument(help='Such as "0.5*norm(sigmoid(W2 @ relu(W1 @ x)) - t)**2".')
    ],
    wrt: Annotated[
        str, typer.Option(help="Names to differentiate by, separated by commas (default: all).")
    ] = "",
    shape: Annotated[
        list[str] | None,
        typer.Option(help="Shapes, such as W1=4x3,x=3; without one a name is a number."),
    ] = None,
    form: Annotated[
        str, typer.Option("--format", help="How it is written: text, latex or html.")
    ] = "text",
    out: Annotated[Path | None, typer.Option(help="File to write (default: the screen).")] = None,
) -> None:
    """Derive the gradient of a formula, step by step in matrix form; every line is checked."""
    from pullback.train.files import write_atomically

    if form not in ("text", "latex", "html"):
        raise ConfigError(f"--format: expected text, latex or html, got {form!r}")
    derivation = derivation_of(formula, wrt, shape or [])
    writers = {"text": derivation.__str__, "latex": derivation.latex, "html": derivation.page}
    text = writers[form]()
    if out is None:
        typer.echo(text)
    else:
        write_atomically(out, f"{text}\n".encode())
        typer.echo(f"written: {out}")


def derivation_of(text: str, wrt: str, shapes: list[str]) -> Derivation:
    """Return the derivation of a formula; raise ConfigError where an option does not fit it."""
    from pullback.cli.formula import Formula, parse_shapes
    from pullback.core.aval import Aval
    from pullback.explain import derive

    formula = Formula(text)
    if not formula.names:
        raise ConfigError(f"FORMULA: {text!r} has no name to differentiate by")
    avals = [Aval(shape, float) for shape in parse_shapes(shapes, formula.names).values()]
    wanted = [name.strip() for name in wrt.split(",")] if wrt else formula.names
    for name in wanted:
        if name not in formula.names:
            known = ", ".join(formula.names)
            raise ConfigError(f"--wrt: the formula has no {name!r}; it has {known}")
    argnums = [formula.names.index(name) for name in wanted]
    with np.errstate(all="ignore"):  # what is not finite is an error that says where
        found = derive(formula.graph(*avals), *avals, argnums=argnums)
    return replace(found, function=text)
