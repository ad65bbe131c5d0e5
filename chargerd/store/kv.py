"""What must survive a restart, by namespace and key: the newest JSON value of each.

`put` never waits and may be called from any thread; writes to the same key before the
next transaction become one. Every transaction carries the waiting puts, so a message
appended after a put is never on the flash without it.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from typing import Any

from chargerd.store.database import Database, StoreError


class KeyValues:
    """The face `store.kv`. What was put but not yet written is read back by `load`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, str], str | None] = {}
        self._writing: dict[tuple[str, str], str | None] = {}
        database.ride_along(self._write, self._committed)

    def put(self, namespace: str, key: str, value: Any) -> None:
        """Keep `value` (JSON-able, finite numbers); None deletes the key.

        Raises StoreError for what JSON cannot hold. Disk trouble shows in `flush`;
        the value then stays waiting and goes with the next transaction that works.
        """
        text = encoded(namespace, key, value)
        with self._lock:
            self._waiting[namespace, key] = text
        self._database.wake()

    async def flush(self) -> None:
        """Everything put before this call is on the flash when it returns."""
        await self._database.run(_nothing)

    async def load(self) -> dict[str, dict[str, Any]]:
        """All values as {namespace: {key: value}}, waiting ones included."""

        def job(db: sqlite3.Connection) -> dict[str, dict[str, Any]]:
            values: dict[str, dict[str, Any]] = {}
            rows = db.execute("SELECT namespace, key, value FROM kv")
            for namespace, key, text in rows:
                try:
                    values.setdefault(namespace, {})[key] = json.loads(text)
                except ValueError as error:
                    self._database.damage = f"kv {namespace}/{key} unreadable: {error}"
            return values

        return await self._database.run(job)

    def _write(self, db: sqlite3.Connection) -> None:
        """First in every transaction. What a failed one lost is written again."""
        with self._lock:
            self._writing = {**self._writing, **self._waiting}
            self._waiting = {}
        for (namespace, key), text in self._writing.items():
            write(db, namespace, key, text)

    def _committed(self) -> None:
        """The transaction that carried them is on the flash."""
        self._writing = {}


def encoded(namespace: str, key: str, value: Any) -> str | None:
    """The value as it is stored, None for a deletion; StoreError if it is not JSON."""
    if value is None:
        return None
    try:
        return json.dumps(
            value, allow_nan=False, separators=(",", ":"), ensure_ascii=False
        )
    except (TypeError, ValueError) as error:
        raise StoreError(f"kv {namespace}/{key}: not JSON: {error}") from error


def write(db: sqlite3.Connection, namespace: str, key: str, text: str | None) -> None:
    """One value, in the transaction that is open."""
    if text is None:
        db.execute("DELETE FROM kv WHERE namespace = ? AND key = ?", (namespace, key))
        return
    db.execute(
        "INSERT INTO kv VALUES (?, ?, ?) ON CONFLICT (namespace, key)"
        " DO UPDATE SET value = excluded.value WHERE value != excluded.value",
        (namespace, key, text),
    )


def _nothing(_: sqlite3.Connection) -> None:
    """A job whose only effect is the transaction around it."""
