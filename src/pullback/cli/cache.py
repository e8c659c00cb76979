"""`pullback cache`: the machine code that is kept on the disk."""

from __future__ import annotations

from typing import Annotated

import typer


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove all of it.")] = False,
) -> None:
    """Say where machine code is kept between runs and how much it is, or clear it away."""
    from pullback.native import cache as kept

    if clear:
        kept.trim()
    held = kept.entries().values()
    size = sum(entry.st_size for entry in held)
    typer.echo(f"{kept.folder() or 'off'}: {len(held)} entries, {size:,} bytes")
