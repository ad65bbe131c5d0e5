"""Samples as CSV: a head line of names, UTC stamps, empty where nothing was known."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import TextIO

from chargerd.records.sample import NUMBERS, TEXTS, Row, iso

COLUMNS = ("utc", "evse_id", *(c.name for c in NUMBERS), *TEXTS)


def write_csv(rows: Iterable[Row], file: TextIO) -> int:
    """Rows written. Raises OSError as the file does."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    count = 0
    for row in rows:
        values = [row.get(name) for name in COLUMNS[1:]]
        writer.writerow([iso(row["utc_ms"]), *map(_cell, values)])
        count += 1
    return count


def _cell(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.10g}"
    return "" if value is None else value
