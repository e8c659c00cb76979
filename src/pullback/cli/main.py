"""The `pullback` command: its sub-commands, and errors as one readable message."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from pullback.cli.bench import bench
from pullback.cli.cache import cache
from pullback.cli.derive import derive
from pullback.cli.export import export
from pullback.cli.predict import predict
from pullback.cli.report import report
from pullback.cli.train import train
from pullback.core.errors import PullbackError

app = typer.Typer(
    help="Gradients for NumPy code, and networks trained by them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data = typer.Typer(help="Data sets that are not shipped.", no_args_is_help=True)
app.command()(train)
app.command()(predict)
app.command()(report)
app.command()(export)
app.command()(derive)
app.command()(cache)
app.command()(bench)
app.add_typer(data, name="data")


@data.command()
def fetch(
    name: Annotated[str, typer.Argument(help="What to download: mnist")],
    to: Annotated[Path, typer.Option(help="Folder to put it in.")] = Path("data"),
) -> None:
    """Download a data set from its public mirror, and check its SHA-256."""
    from pullback.core.errors import ConfigError
    from pullback.train import mnist

    if name != "mnist":
        raise ConfigError(f"NAME: expected mnist, got {name!r}")
    place = mnist.fetch(to)
    typer.echo(f"Now train on it: PULLBACK_DATA={place.parent} pullback train mnist --hidden 128")


def _version(wanted: bool) -> None:
    if wanted:
        import pullback

        typer.echo(f"pullback {pullback.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Gradients for NumPy code, and networks trained by them."""


def main() -> None:
    """Run the command line; an error of ours or of the system is one message, exit code 2."""
    try:
        app()
    except PullbackError as error:
        _fail(str(error))
    except OSError as error:  # a folder that cannot be made, a full disk
        place = f"{error.filename}: " if error.filename else ""
        _fail(f"{place}{error.strerror or error}")


def _fail(message: str) -> NoReturn:
    typer.secho(f"error: {message}", err=True, fg=typer.colors.RED)
    sys.exit(2)


if __name__ == "__main__":
    main()
