"""Frames of pandas, checked at the door: texts as names, columns that can be learned from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pandas as pd

REMEDY = "leave it out, or write its parts as columns"
_NUMBERS = ("integer", "floating", "mixed-integer-float", "decimal")


def as_table(frame: Any) -> pd.DataFrame:
    """Return `frame` with texts as column names, and numbers that lie there as objects as numbers.

    Raises DataError where it is no frame, a column stands twice, or holds complex numbers, lists,
    records or bytes.

    >>> import pandas as pd
    >>> as_table(pd.DataFrame({0: [1, 2], "b": pd.Series([1, 2.5], dtype=object)})).dtypes
    0      int64
    b    float64
    dtype: object
    """
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        raise DataError(
            f"frame: expected a pandas DataFrame, got {type(frame).__name__}; write "
            "pandas.DataFrame(...), with a name for each column"
        )
    texts = all(isinstance(name, str) for name in frame.columns)
    named = frame if texts else frame.set_axis(frame.columns.map(str), axis=1)  # may copy it
    repeated = named.columns[named.columns.duplicated()]
    if len(repeated):
        raise DataError(f"column {repeated[0]!r} stands twice in the table; rename one")
    columns = {name: _as_column(name, named[name]) for name in named.columns}
    changed = {name: column for name, column in columns.items() if column is not None}
    return named.assign(**changed) if changed else named


def _as_column(name: str, column: Any) -> Any:
    """Return the numbers in a column of objects; None for a column that may stay as it is."""
    from pandas.api import types

    if types.is_complex_dtype(column):
        raise DataError(f"column {name!r}: expected real numbers, got {column.dtype}; {REMEDY}")
    if not types.is_object_dtype(column):
        return None
    kind = types.infer_dtype(column, skipna=True)
    if kind in _NUMBERS:
        return column.where(column.notna(), np.nan).astype(float)
    if kind in ("bytes", "complex", "mixed"):
        for value in column:
            if isinstance(value, bytes | complex) or not types.is_hashable(value):
                raise DataError(
                    f"column {name!r}: expected numbers, text, times or categories, got "
                    f"{type(value).__name__}; {REMEDY}"
                )
    return None


def target_names(target: str | Sequence[str]) -> list[str]:
    """Return the names of the columns to predict; raise ConfigError for none, or one twice.

    >>> target_names("price"), target_names(3)
    (['price'], ['3'])
    """
    several = isinstance(target, Iterable) and not isinstance(target, str)
    names = [str(name) for name in (target if several else [target])]
    if not names or len(set(names)) < len(names):
        raise ConfigError(
            f"target: expected the names of the columns to predict, each once, got {target!r}"
        )
    return names
