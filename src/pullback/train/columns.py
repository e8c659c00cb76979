"""Columns of a table: read as texts or numbers, and summarised block by block."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from pullback.core.errors import DataError

NUMBERS_ONLY = "; classes are learned where they are the only target"
MOST_COUNTED = 100_000
"""Distinct texts that a summary counts; of more, the rarest are forgotten now and then."""
MOST_NUMBERS = 10_000
"""Distinct numbers that may be classes."""
MOST = 1e100
"""Numbers whose squares can be added up, in size."""


class Summary:
    """What the values of a column tell, gathered block by block: count, mean, variance, texts.

    Means and squared deviations of blocks are merged as in Chan, Golub, LeVeque, "Updating
    formulae and a pairwise algorithm for computing sample variances", 1979.

    >>> import pandas as pd
    >>> area = Summary("area")
    >>> area.add(pd.Series([1.0, 2.0]))
    >>> area.add(pd.Series([6.0, None], index=[2, 3]))
    >>> area.rows, area.missing, area.mean, round(area.std, 4)
    (4, 1, 3.0, 2.1602)
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows = self.missing = self.present = 0
        self.mean = self.squares = 0.0
        self.kinds: set[str] = set()
        self.whole = True
        self.texts: Counter[str] = Counter()
        self.forgot = False
        self.first_missing = ""
        self.problem: DataError | None = None

    @property
    def numeric(self) -> bool:
        """Whether the values are numbers or booleans; so they are where all are missing."""
        return "text" not in self.kinds

    @property
    def std(self) -> float:
        """Standard deviation of the numbers, divided by their count."""
        return float(np.sqrt(self.squares / self.present)) if self.present else 0.0

    @property
    def varies(self) -> bool:
        """Whether the numbers differ by more than rounding."""
        return self.std > 1e-12 * abs(self.mean)

    def add(self, column: Any, target: bool = False) -> None:
        """Take in the values of a block; those of a target both as numbers and as texts.

        Raises DataError where some blocks hold numbers and others text.
        """
        gaps = column.isna().to_numpy()
        self.rows += len(column)
        if gaps.any() and not self.missing:
            self.first_missing = row(column, gaps)
        self.missing += int(gaps.sum())
        if gaps.all():
            return
        self.kinds.add(_kind(column))
        if {"text", "number"} <= self.kinds:
            raise DataError(
                f"column {self.name!r}: expected numbers or text throughout, got both; the change "
                f"is after {row(column, ~gaps)}. Write the table as Parquet, with one type"
            )
        if not is_numeric(column) or (target and not self.forgot):
            self._count(column, MOST_NUMBERS if is_numeric(column) else MOST_COUNTED)
        try:
            if target or is_numeric(column):
                remedy = NUMBERS_ONLY if target else ""
                self._merge(as_numbers(column, self.name, remedy)[~gaps])
        except DataError as error:  # matters only where numbers are asked for
            self.problem = self.problem or error

    def _merge(self, values: Any) -> None:
        largest = float(np.abs(values).max())
        if largest > MOST:
            raise DataError(
                f"column {self.name!r}: expected numbers up to {MOST:g}, got {largest:g}; divide it"
            )
        mean, count = float(values.mean()), self.present + len(values)
        shift = mean - self.mean
        self.squares += float(((values - mean) ** 2).sum())
        self.squares += shift**2 * self.present * len(values) / count
        self.mean += shift * len(values) / count
        self.present = count
        self.whole = self.whole and bool((values == values.round()).all())

    def _count(self, column: Any, most: int) -> None:
        codes, texts = as_codes(column)
        for text, count in zip(texts, np.bincount(codes[codes >= 0]), strict=True):
            self.texts[text] += int(count)
        if len(self.texts) > most:
            self.texts = Counter(dict(self.texts.most_common(most // 2)))
            self.forgot = True


def is_numeric(column: Any) -> bool:
    """Return whether `column` holds numbers or booleans."""
    from pandas.api import types

    return bool(types.is_numeric_dtype(column) or types.is_bool_dtype(column))


def _kind(column: Any) -> str:
    from pandas.api import types

    if not is_numeric(column):
        return "text"
    return "boolean" if types.is_bool_dtype(column) else "number"


def as_codes(column: Any) -> tuple[Any, list[str]]:
    """Return the place of each value in the list of distinct texts, -1 where it is missing.

    Whole numbers are written without a decimal point.

    >>> import pandas as pd
    >>> as_codes(pd.Series([2.0, None, 0.5, 2.0]))
    (array([ 0, -1,  1,  0]), ['2', '0.5'])
    """
    codes, values = column.factorize()
    whole = (int(v) if isinstance(v, float) and v.is_integer() else v for v in values)
    return codes, [str(value) for value in whole]


def places(column: Any, known: tuple[str, ...], other: int) -> Any:
    """Return the place in `known` of each value's text; `other` for the rest and the missing."""
    codes, texts = as_codes(column)
    place = {text: i for i, text in enumerate(known)}
    return np.array([*(place.get(text, other) for text in texts), other], np.int64)[codes]


def as_numbers(column: Any, name: str, remedy: str = "") -> Any:
    """Return the values as float64, NaN where missing.

    Raises DataError naming the first row that holds text or infinity.
    """
    if not is_numeric(column):
        import pandas as pd

        if column.isna().all():
            return np.full(len(column), np.nan)
        numbers = pd.to_numeric(column, errors="coerce")
        wrong = column[numbers.isna() & ~column.isna()]
        if len(wrong):
            where = row(column, column.isin(wrong).to_numpy())
            got = f"expected numbers, got {wrong.iloc[0]!r} in {where}"
            raise DataError(f"column {name!r}: {got}{remedy}")
        column = numbers
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isinf(values).any():
        where = row(column, np.isinf(values))
        raise DataError(f"column {name!r}: expected finite numbers, got infinity in {where}")
    return values


def row(column: Any, wrong: Any) -> str:
    """Name the first row that is wrong by the table's own index, which shuffling leaves alone."""
    return f"row {column.index[int(np.argmax(wrong))]} (the first is row 0)"
