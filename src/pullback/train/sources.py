"""Where training data comes from: a built-in name, or tables in files."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pullback.core.checks import check_share
from pullback.core.errors import ConfigError, DataError
from pullback.train import mnist
from pullback.train.arrow import FORMATS, ArrowTable, open_tables, tables_in
from pullback.train.dataset import Dataset
from pullback.train.frames import as_table, target_names
from pullback.train.image_folder import is_image_folder, stream_images
from pullback.train.images import ImagePreprocessor
from pullback.train.stream import DEFAULT_WINDOW, Stream
from pullback.train.table import Feature, TablePreprocessor, Target, require_columns
from pullback.train.table_stream import stream_table

if TYPE_CHECKING:
    import pandas as pd

BUILT_IN = ("houses", "houses-generated", "digits", "mnist")
STREAM_BYTES = 10**9
"""Tables that take more in memory are streamed."""


@dataclass(frozen=True, slots=True)
class Source:
    """Training and validation data, and how they were made from columns: what `load` returns.

    `preprocessing` turns further tables into inputs, and outputs into the targets' own units.
    """

    name: str
    train: Dataset | Stream
    validation: Dataset | Stream
    preprocessing: TablePreprocessor | ImagePreprocessor


def load(
    source: str | Path,
    target: str | Sequence[str] | None = None,
    task: Literal["auto", "regression", "classification"] = "auto",
    seed: int = 0,
    validation: float = 0.2,
    window: int | str | None = None,
) -> Source:
    """Load a built-in source ("houses", "houses-generated", "digits", "mnist") or a table.

    A table (a .csv, .parquet, .arrow or .feather file, or a folder of such) needs `target`, the
    columns to predict. A share `validation` of the rows, drawn by `seed`, is held out; mnist has
    its own test part, which is used instead. "mnist:FOLDER" names the folder of the files.
    With `window`, rows as in 100000 or bytes as in "256MB", or where it is larger than 1 GB, a
    table is a `Stream`, read anew in each epoch and shuffled in windows. A folder with a
    sub-folder of images for each class is what `load_images` makes of it.
    Raises DataError for data that cannot be used, ConfigError for options that do not fit.

    >>> source = load("houses-generated")
    >>> source.train.inputs.shape, source.train.targets.shape
    ((800, 3), (800, 2))
    """
    source = str(source)
    check_share(validation=validation)
    if source == "mnist" or source.startswith("mnist:"):
        if target is not None or task == "regression":
            raise ConfigError("mnist: is classified by its label; --target and --task do not apply")
        return _mnist(source.partition(":")[2] or None)
    if source not in BUILT_IN and is_image_folder(source) and not (target and tables_in(source)):
        if target is not None or task == "regression":
            raise ConfigError(
                f"{source}: images are classified by their folders; --target and --task do not "
                "apply"
            )
        return load_images(source, seed, validation, window or DEFAULT_WINDOW)
    table = _larger_than_memory(source, window)
    if table is not None:
        _named_target(source, target, table.columns)
        size = DEFAULT_WINDOW if window is None else window
        train, held = stream_table(table, target or (), task, seed, validation, size)
        return Source(source, train, held, train.preprocessing)
    frame, default = _frame(source)
    wanted = default if target is None else target
    _named_target(source, wanted, list(frame.columns))
    return from_frame(frame, wanted or (), task, seed, validation, source)


def _larger_than_memory(source: str, window: int | str | None) -> ArrowTable | None:
    """Open the table that is to be streamed; None where it is to be read as a whole."""
    if source in BUILT_IN:
        if window is not None:
            raise ConfigError(f"window: {source} fits into memory; leave the window out")
        return None
    path = Path(source)
    if window is None and path.suffix.lower() == ".csv":
        small = not path.is_file() or path.stat().st_size <= STREAM_BYTES
        return None if small else open_tables(path)
    if not path.is_dir() and path.suffix.lower() not in FORMATS:
        return None
    table = open_tables(path)
    return table if window is not None or table.bytes > STREAM_BYTES else None


def _named_target(source: str, target: object, columns: Sequence[str]) -> None:
    if target is None:
        raise ConfigError(
            f"--target: expected the column(s) of {source} to predict, got none; the columns are "
            f"{', '.join(columns)}"
        )


def load_images(
    folder: str | Path,
    seed: int = 0,
    validation: float = 0.2,
    window: int | str = DEFAULT_WINDOW,
    image_size: int | None = None,
    grey: bool | None = None,
    augment: Sequence[str] = (),
) -> Source:
    """Load a folder with a sub-folder of images for each class; see `stream_images`.

    `image_size` is the side of a square that images are made; `augment` may hold "flip" and "crop".

    >>> import tempfile
    >>> import numpy as np
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for i in range(8):
    ...         path = Path(folder) / "ab"[i % 2] / f"{i}.png"
    ...         path.parent.mkdir(exist_ok=True)
    ...         Image.fromarray(np.full((8, 8), 30 * i, np.uint8)).save(path)
    ...     source = load_images(folder)
    ...     len(source.train), len(source.validation), source.preprocessing.input_shape
    (6, 2, (8, 8, 1))
    """
    train, held = stream_images(folder, seed, validation, window, image_size, grey, augment)
    return Source(str(folder), train, held, train.preprocessing)


def restore_preprocessing(stored: dict[str, Any]) -> TablePreprocessor | ImagePreprocessor:
    """Return the preprocessing that `to_json` made `stored` of. Raises DataError as `from_json`."""
    kind = ImagePreprocessor if stored.get("kind") == "images" else TablePreprocessor
    return kind.from_json(stored)


def from_frame(
    frame: pd.DataFrame,
    target: str | Sequence[str],
    task: Literal["auto", "regression", "classification"] = "auto",
    seed: int = 0,
    validation: float = 0.2,
    name: str = "table",
) -> Source:
    """Split the rows of `frame` and learn its preprocessing from the training part.

    The options are those of `load`; `name` stands in messages.
    Raises DataError for columns that cannot be used, or too few rows, ConfigError for options that
    do not fit.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"size": range(10), "town": list("abab" "abab" "ab")})
    >>> frame["price"] = 3.5 * frame["size"]
    >>> source = from_frame(frame, ["price"])
    >>> source.train.inputs.shape, source.validation.targets.shape
    ((8, 4), (2, 1))
    """
    check_share(validation=validation)
    frame = as_table(frame)
    require_columns(target_names(target), frame)
    held_out = round(len(frame) * validation)
    if held_out < 1 or held_out >= len(frame):
        raise DataError(
            f"{name}: {len(frame)} rows are too few to hold out {validation:.0%} for validation"
        )
    order = np.random.default_rng(seed).permutation(len(frame))
    rest, held = frame.iloc[order[held_out:]], frame.iloc[order[:held_out]]
    preprocessing = TablePreprocessor.fit(rest, target, task, classes_in=frame)
    return Source(name, preprocessing.transform(rest), preprocessing.transform(held), preprocessing)


def read_table(path: str | Path) -> pd.DataFrame:
    """Return the table in a CSV, Parquet or Arrow file, or in the files of a folder.

    Raises DataError where it is not readable.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "houses.csv"
    ...     _ = path.write_text("area,price\\n50,110\\n80,170\\n")
    ...     read_table(path).shape
    (2, 2)
    """
    pandas = _pandas()
    path = Path(path)
    if path.is_dir() or FORMATS.get(path.suffix.lower(), "csv") != "csv":
        frames = list(open_tables(path).frames())
        return pandas.concat(frames)  # type: ignore[no-any-return]
    if not path.is_file():
        raise DataError(f"{path}: no such file; expected a .csv or .parquet file")
    try:
        frame = _read_csv(pandas, path)
    except pandas.errors.ParserWarning:
        raise DataError(
            f"{path}: expected a CSV table, got rows with more cells than the header has; put "
            "quotes around texts with commas, and separate cells by commas only"
        ) from None
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise DataError(
            f"{path}: expected a CSV table in UTF-8, got byte 0x{byte:02x}; write it anew, in UTF-8"
        ) from None
    except Exception as error:  # pandas and its engines raise many kinds
        raise DataError(f"{path}: expected a CSV or Parquet table, got {error}") from None
    if len(frame) == 0:
        raise DataError(f"{path}: the table has no rows; expected at least one")
    frame.columns = frame.columns.map(str)
    return frame  # type: ignore[no-any-return]


def _read_csv(pandas: Any, path: Path) -> Any:
    with warnings.catch_warnings():
        # a row longer than the header would shift or cut the columns with no more than a warning
        warnings.simplefilter("error", pandas.errors.ParserWarning)
        return pandas.read_csv(path, skipinitialspace=True, index_col=False)


def _frame(source: str) -> tuple[pd.DataFrame, list[str] | None]:
    if source == "houses":
        return read_table(Path(__file__).parent / "data" / "houses.csv"), ["price"]
    if source == "houses-generated":
        return generated_houses(), ["price", "fee"]
    if source == "digits":
        return _digits(), ["digit"]
    if not Path(source).exists():
        raise DataError(
            f"{source}: no such file; expected a .csv or .parquet file, a folder of them, or one "
            f"of {', '.join(BUILT_IN)}"
        )
    return read_table(source), None


def generated_houses(n: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Return `n` made-up houses: area (m2), rooms, year -> price and agency fee (1,000 euros)."""
    rng = np.random.default_rng(seed)
    area = rng.uniform(40, 250, n).round(1)
    rooms = np.round(area / 30 + rng.normal(0, 0.7, n)).clip(1)
    year = rng.integers(1930, 2025, n)
    price = 2.1 * area + 12 * rooms + 0.8 * (year - 1930) + rng.normal(0, 15, n)
    fee = 5 + 0.03 * price + rng.normal(0, 1, n)
    columns = {"area": area, "rooms": rooms, "year": year, "price": price, "fee": fee}
    return _pandas().DataFrame(columns)  # type: ignore[no-any-return]


def _digits() -> pd.DataFrame:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise DataError(
            'digits: scikit-learn, which ships them, is not installed: pip install "pullback[app]"'
        ) from None
    data = load_digits()
    frame = _pandas().DataFrame(data.data, columns=[f"pixel_{i}" for i in range(64)])
    frame["digit"] = data.target
    return frame  # type: ignore[no-any-return]


def _mnist(folder: str | None) -> Source:
    x, labels, x_test, labels_test = mnist.load(folder)
    pixels = [Feature(f"pixel_{i}", "numeric", 0.0, 255.0) for i in range(x.shape[1])]
    digit = Target("digit", classes=tuple(map(str, range(10))))
    preprocessing = TablePreprocessor("classification", tuple(pixels), (digit,))
    return Source("mnist", Dataset(x, labels, 10), Dataset(x_test, labels_test, 10), preprocessing)


def _pandas() -> Any:
    try:
        import pandas
    except ImportError:
        raise DataError(
            'tables need pandas, which is not installed: pip install "pullback[app]"'
        ) from None
    return pandas
