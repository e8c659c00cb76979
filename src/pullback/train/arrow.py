"""Tables in Parquet, Arrow or CSV files, one or many, read block by block."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pullback.core.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "ipc",
    ".feather": "ipc",
    ".csv": "csv",
}
BUFFER_BYTES = 1 << 16
BLOCK_VALUES = 1 << 16
"""About so many values are turned into numbers at a time."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive rows that can be read by themselves: a row group of Parquet, or another file."""

    fragment: Any
    group: int | None
    first: int
    rows: int

    def read(self, schema: Any, size: int) -> Iterator[Any]:
        """Yield the columns of `schema` in Arrow tables of at most `size` rows."""
        import pyarrow as pa
        from pyarrow.dataset import CsvFileFormat

        if self.group is not None:
            yield from self._read_group(schema, size)
            return
        for batch in self.fragment.to_batches(
            schema=schema, batch_size=size, batch_readahead=0, fragment_readahead=0,
            use_threads=False,
        ):  # fmt: skip
            table = pa.Table.from_batches([batch])
            yield _trimmed(table) if isinstance(self.fragment.format, CsvFileFormat) else table

    def _read_group(self, schema: Any, size: int) -> Iterator[Any]:
        """Read a row group page by page, which datasets of Arrow would hold as a whole."""
        import pyarrow as pa
        from pyarrow import dataset, parquet

        folders = dataset.get_partition_keys(self.fragment.partition_expression)
        inside = [name for name in schema.names if name not in folders]
        with parquet.ParquetFile(
            self.fragment.path,
            metadata=self.fragment.metadata,
            pre_buffer=False,
            buffer_size=BUFFER_BYTES,
        ) as file:
            for batch in file.iter_batches(size, [self.group], inside, use_threads=False):
                table = pa.Table.from_batches([batch])
                for name in schema.names:
                    if name in folders:
                        table = table.append_column(name, pa.repeat(folders[name], len(table)))
                yield table.select(schema.names).cast(schema)


@dataclass(frozen=True, slots=True)
class ArrowTable:
    """The rows of files of one format and one schema, numbered from 0 in the order of the files.

    `columns` are the names; `bytes` is about what all rows take in memory.
    """

    stretches: tuple[Stretch, ...]
    schema: Any
    bytes: int

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(map(str, self.schema.names))

    @property
    def rows(self) -> int:
        """Number of rows."""
        return sum(stretch.rows for stretch in self.stretches)

    def frames(
        self, order: Iterable[int] | None = None, columns: Sequence[str] | None = None
    ) -> Iterator[pd.DataFrame]:
        """Yield all rows, in frames of 65,536 values or less, whose index is the number of the row.

        `order` permutes the stretches; within one, rows come in the order of the file.
        Raises DataError naming the file that is not readable, or holds another number of rows
        than when it was opened.
        """
        import pyarrow as pa

        schema = pa.schema([self.schema.field(name) for name in columns or self.schema.names])
        size = max(1, BLOCK_VALUES // len(schema))
        for stretch in self.stretches if order is None else [self.stretches[i] for i in order]:
            done = 0
            try:
                for block in stretch.read(schema, size):
                    if len(block):
                        yield to_frame(block, stretch.first + done)
                    done += len(block)
            except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
                raise DataError(f"{stretch.fragment.path}: cannot be read: {error}") from None
            if done != stretch.rows:
                raise DataError(
                    f"{stretch.fragment.path}: expected {stretch.rows} rows, got {done}; the file "
                    "changed since it was opened"
                )


def open_tables(source: str | Path | Sequence[str | Path]) -> ArrowTable:
    """Open a file, a folder of files (sub-folders NAME=VALUE are a column NAME), or several files.

    Raises DataError where there are none, they are not readable, of several formats, or their
    columns differ.

    >>> import tempfile, pandas as pd
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for part in range(3):
    ...         frame = pd.DataFrame({"x": [1.0, 2.0], "part": part})
    ...         frame.to_parquet(f"{folder}/{part}.parquet")
    ...     table = open_tables(folder)
    ...     table.rows, table.columns, [len(frame) for frame in table.frames()]
    (6, ['x', 'part'], [2, 2, 2])
    """
    pa, dataset = _pyarrow()
    files = _files(source)
    folder = isinstance(source, str | Path) and Path(source).is_dir()
    kinds = sorted({FORMATS[file.suffix.lower()] for file in files})
    if len(kinds) > 1:
        raise DataError(f"{source}: expected files of one format, got {' and '.join(kinds)}")
    try:
        table = dataset.dataset(
            [str(file) for file in files],
            format=_format(kinds[0]),
            partitioning="hive",
            partition_base_dir=str(source) if folder else str(files[0].parent),
        )
        start, *others = table.get_fragments()
        for fragment in others:
            _same_columns(start, fragment)
        stretches = tuple(_stretches(table, kinds[0]))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{source}: expected a readable Parquet, Arrow or CSV table, got {error}"
        ) from None
    schema = _known_schema(pa, table.schema, kinds[0])
    if not sum(stretch.rows for stretch in stretches):
        raise DataError(f"{source}: the table has no rows; expected at least one")
    return ArrowTable(stretches, schema, _bytes(files, table, kinds[0]))


def to_frame(table: Any, first: int = 0) -> pd.DataFrame:
    """Return the Arrow `table` as a frame of pandas whose rows are numbered from `first`.

    Decimals become floating, booleans keep their type where some are missing.
    Raises DataError for columns of lists, records or bytes.
    """
    import pandas as pd
    import pyarrow as pa

    for i, field in enumerate(table.schema):
        kind = field.type
        if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            raise DataError(
                f"column {field.name!r}: expected numbers, text, times or categories, got {kind}; "
                "leave it out, or write its parts as columns"
            )
        if pa.types.is_decimal(kind):
            table = table.set_column(i, field.name, table.column(i).cast(pa.float64()))
    frame = table.to_pandas(types_mapper={pa.bool_(): pd.BooleanDtype()}.get, ignore_metadata=True)
    frame.index = pd.RangeIndex(first, first + len(frame))
    frame.columns = frame.columns.map(str)
    return frame  # type: ignore[no-any-return]


def tables_in(folder: str | Path) -> list[Path]:
    """Return the files of tables in `folder` and below, in the order of their names."""
    folder = Path(folder)
    found = (path for path in folder.rglob("*") if path.suffix.lower() in FORMATS)
    visible = (p for p in found if not p.relative_to(folder).as_posix().startswith((".", "_")))
    return sorted(path for path in visible if path.is_file() and path.name[0] not in "._")


def _files(source: str | Path | Sequence[str | Path]) -> list[Path]:
    if not isinstance(source, str | Path):
        files = [Path(path) for path in source]
    elif Path(source).is_dir():
        files = tables_in(source)
    else:
        files = [Path(source)]
    if not files:
        raise DataError(f"{source}: expected tables ({', '.join(FORMATS)}), got no such file there")
    for file in files:
        if not file.is_file():
            raise DataError(f"{file}: no such file; expected a table ({', '.join(FORMATS)})")
        if file.suffix.lower() not in FORMATS:
            raise DataError(f"{file}: expected a name that ends in {', '.join(FORMATS)}")
    return files


def _format(kind: str) -> Any:
    from pyarrow import csv, dataset

    if kind != "csv":
        return kind
    missing = [*csv.ConvertOptions().null_values, "None", "<NA>"]  # what pandas takes as missing
    options = csv.ConvertOptions(null_values=missing, strings_can_be_null=True)
    return dataset.CsvFileFormat(convert_options=options)


def _trimmed(table: Any) -> Any:
    """Return `table` without blanks before texts, as pandas reads CSV here."""
    import pyarrow as pa
    from pyarrow import compute

    for i, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            trimmed = compute.utf8_ltrim_whitespace(table.column(i))
            table = table.set_column(i, field.name, trimmed)
    return table


def _known_schema(pa: Any, schema: Any, kind: str) -> Any:
    """Return `schema` without pandas' index, for CSV with types that later rows rarely contradict.

    Times in CSV stay the texts they are, as where pandas reads the file.
    """
    if kind != "csv":
        index = (schema.pandas_metadata or {}).get("index_columns", [])
        return pa.schema([field for field in schema if field.name not in index])
    padded = [name for name in schema.names if name != name.strip()]
    if padded:
        raise DataError(
            f"column {padded[0]!r}: expected a name without blanks around it; a CSV file that is "
            "streamed has none after its commas"
        )

    def wider(kind: Any) -> Any:
        text = pa.types.is_null(kind) or pa.types.is_temporal(kind)
        return pa.string() if text else pa.float64() if pa.types.is_integer(kind) else kind

    return pa.schema([field.with_type(wider(field.type)) for field in schema])


def _stretches(table: Any, kind: str) -> Iterator[Stretch]:
    first = 0
    for fragment in table.get_fragments():
        if kind == "parquet":
            sizes = [(group.id, group.num_rows) for group in fragment.row_groups]
        else:
            sizes = [(None, fragment.count_rows())]
        for group, rows in sizes:
            if rows:
                yield Stretch(fragment, group, first, rows)
            first += rows


def _same_columns(expected: Any, fragment: Any) -> None:
    wanted, found = expected.physical_schema.names, fragment.physical_schema.names
    for name in [*wanted, *found]:
        if name not in wanted or name not in found:
            near = difflib.get_close_matches(name, found if name in wanted else wanted)
            hint = f"; is it {near[0]!r}?" if near else ""
            one, other = (expected, fragment) if name in wanted else (fragment, expected)
            raise DataError(f"{other.path}: has no column {name!r}, which {one.path} has{hint}")


def _bytes(files: Sequence[Path], table: Any, kind: str) -> int:
    if kind != "parquet":
        return sum(file.stat().st_size for file in files)
    return sum(
        group.total_byte_size for fragment in table.get_fragments() for group in fragment.row_groups
    )


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.dataset
    except ImportError:
        raise DataError(
            'tables of Arrow need pyarrow, which is not installed: pip install "pullback[app]"'
        ) from None
    return pyarrow, pyarrow.dataset
