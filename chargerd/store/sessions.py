"""Outcome records of sessions: one JSON object each, the newest kept for people.

Why a record and not only codes: error codes alone are a poor proxy for a failed charge.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from chargerd.store.database import Database, StoreError

KEEP = 20_000  # more than 12 months of a busy connector


class Sessions:
    """The face `store.sessions`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, record: Mapping[str, Any]) -> None:
        """Keep one finished session; durable on return. StoreError if not JSON-able."""
        try:
            text = json.dumps(record, allow_nan=False, separators=(",", ":"))
        except (TypeError, ValueError) as error:
            raise StoreError(f"session record: not JSON: {error}") from error

        def job(db: sqlite3.Connection) -> None:
            row = db.execute("INSERT INTO session (record) VALUES (?)", (text,))
            newest = row.lastrowid or 0
            db.execute("DELETE FROM session WHERE id <= ?", (newest - KEEP,))

        await self._database.run(job)

    async def last(self, limit: int) -> list[dict[str, Any]]:
        """The newest `limit` records, newest first."""

        def job(db: sqlite3.Connection) -> list[dict[str, Any]]:
            rows = db.execute(
                "SELECT record FROM session ORDER BY id DESC LIMIT ?", (max(0, limit),)
            )
            return [json.loads(row[0]) for row in rows]

        return await self._database.read(job)
