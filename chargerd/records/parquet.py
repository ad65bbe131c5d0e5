"""Samples as Parquet, for those who count with columns. Needs the extra `records`.

Owns the types of the columns. Never imported by the daemon: pyarrow is loaded when an
export is asked for, and batches bound its memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from chargerd.records.errors import RecordsError
from chargerd.records.sample import NUMBERS, TEXTS, Row

BATCH_ROWS = 50_000


def write_parquet(rows: Iterable[Row], path: Path) -> int:
    """Rows written. RecordsError: pyarrow is not there; OSError as the file does."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise RecordsError(
            "Parquet needs pyarrow: pip install 'chargerd[records]', or copy the "
            "folder to a machine that has it and use --folder there"
        ) from error
    word = pa.dictionary(pa.int32(), pa.string())
    schema = pa.schema(
        [
            pa.field("utc", pa.timestamp("ms", tz="UTC"), nullable=False),
            pa.field("evse_id", pa.int32(), nullable=False),
            *(pa.field(column.name, pa.float64()) for column in NUMBERS),
            *(pa.field(name, word) for name in TEXTS),
        ]
    )
    left, count = iter(rows), 0
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        while some := list(islice(left, BATCH_ROWS)):
            table = {
                "utc": [row["utc_ms"] for row in some],
                "evse_id": [row["evse_id"] for row in some],
                **{
                    name: [row.get(name) for row in some]
                    for name in (*(column.name for column in NUMBERS), *TEXTS)
                },
            }
            writer.write_table(pa.table(table, schema=schema))
            count += len(some)
    return count
