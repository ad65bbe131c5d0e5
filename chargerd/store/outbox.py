"""Messages that must arrive: appended durably, read in order, removed when answered.

Owns ids that grow for ever and thinning (E12.FR.04). Knows nothing of OCPP's contents.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from chargerd.store import kv
from chargerd.store.database import Database, StoreError
from chargerd.store.packing import PackingError, pack, unpack

MAX_BODY_BYTES = 1_000_000
_RESERVE = 256  # ids taken from the counter at once: one page write for many rows
# A backlog drains by moving a mark, one page each; rows behind it go many at once.
_PURGE_ROWS = 64


@dataclass(frozen=True, slots=True)
class Entry:
    """One waiting message. `attempts` counts sends since this start of the daemon."""

    id: int
    kind: str
    body: bytes
    attempts: int = 0


class Outbox:
    """The durable queue. Every method raises StoreError on disk trouble."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._next = 0  # touched in the store's thread only
        self._reserved = 0
        self._behind = 0  # rows at or below the mark that are still in the table

    async def append(
        self,
        kind: str,
        body: bytes,
        *,
        thinnable: bool,
        put: tuple[str, str, Any] | None = None,
    ) -> int:
        """Store one message; on return it survives power loss. Returns its id.

        `put`: namespace, key and value for the key-values, in the same transaction:
        both or neither are there after a crash.
        """
        if len(body) > MAX_BODY_BYTES:
            raise StoreError(
                f"outbox: a {kind} of {len(body)} bytes is over {MAX_BODY_BYTES}"
            )

        record = None if put is None else (*put[:2], kv.encoded(*put))

        def job(db: sqlite3.Connection) -> int:
            if record is not None:
                kv.write(db, *record)
            number = self._take_id(db)
            db.execute(
                "INSERT INTO outbox VALUES (?, ?, ?)",
                (number, int(thinnable), pack(kind.encode() + b"\0" + body)),
            )
            return number

        return await self._database.run(job)

    async def batch(self, after: int, limit: int) -> list[Entry]:
        """Up to `limit` messages with id > `after`, oldest first."""

        def job(db: sqlite3.Connection) -> list[tuple[int, bytes]]:
            return db.execute(
                "SELECT id, message FROM outbox WHERE id > ? ORDER BY id LIMIT ?",
                (max(after, _mark(db)), max(0, limit)),
            ).fetchall()

        entries, damaged = [], []
        for number, packed in await self._database.read(job):
            try:
                kind, _, body = unpack(packed).partition(b"\0")
                entries.append(Entry(number, kind.decode(), body))
            except (PackingError, UnicodeDecodeError) as error:
                damaged.append(number)
                self._database.damage = f"outbox: message {number} dropped: {error}"
        await self.remove(damaged)  # or they would block those behind them for ever
        return entries

    async def remove(self, ids: Sequence[int]) -> None:
        """Forget messages that were answered or given up; unknown ids are no error."""

        def job(db: sqlite3.Connection) -> None:
            self._remove(db, set(ids))

        if ids:
            await self._database.run(job)

    async def count(self) -> int:
        return await self._database.read(_count)

    async def thin(self, keep: int) -> int:
        """Drop thinnable messages until at most `keep` remain; returns how many.

        Every second one first, the oldest pairs first (E12.FR.04), then every second
        of the rest. Others are never dropped, even if more than `keep` remain.
        """

        def job(db: sqlite3.Connection) -> int:
            rows = db.execute(
                "SELECT id FROM outbox WHERE thinnable AND id > ? ORDER BY id",
                (_mark(db),),
            )
            dropped = thinned([row[0] for row in rows], _count(db) - keep)
            db.executemany("DELETE FROM outbox WHERE id = ?", [(i,) for i in dropped])
            return len(dropped)

        return await self._database.run(job)

    def _remove(self, db: sqlite3.Connection, ids: set[int]) -> None:
        """The oldest of a backlog: move the mark. Others, and the last: delete."""
        oldest = _column(
            db.execute(
                "SELECT id FROM outbox WHERE id > ? ORDER BY id LIMIT ?",
                (_mark(db), len(ids) + 1),
            )
        )
        is_drain = len(oldest) > len(ids) and set(oldest[:-1]) == ids
        if is_drain:
            self._behind += len(ids)
            _set_counter(db, "outbox_removed", max(ids))
            if self._behind < _PURGE_ROWS:
                return
        else:
            db.executemany("DELETE FROM outbox WHERE id = ?", [(i,) for i in ids])
        db.execute("DELETE FROM outbox WHERE id <= ?", (_mark(db),))
        self._behind = 0

    def _take_id(self, db: sqlite3.Connection) -> int:
        reserved = _counter(db, "outbox")
        # After a start, or when a rolled-back transaction lost the reservation, go on
        # above whatever the file says: gaps are free, a number used twice is not.
        if self._next >= reserved or self._reserved != reserved:
            self._next = max(self._next, reserved)
            self._reserved = self._next + _RESERVE
            _set_counter(db, "outbox", self._reserved)
        self._next += 1
        return self._next


def _mark(db: sqlite3.Connection) -> int:
    """Ids up to here were removed, whether or not their rows are still there."""
    return _counter(db, "outbox_removed")


def _count(db: sqlite3.Connection) -> int:
    query = "SELECT count(*) FROM outbox WHERE id > ?"
    return int(db.execute(query, (_mark(db),)).fetchone()[0])


def _counter(db: sqlite3.Connection, name: str) -> int:
    row = db.execute("SELECT value FROM counter WHERE name = ?", (name,)).fetchone()
    return int(row[0]) if row else 0


def _set_counter(db: sqlite3.Connection, name: str, value: int) -> None:
    db.execute(
        "INSERT INTO counter VALUES (?, ?)"
        " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, value),
    )


def _column(rows: Iterable[tuple[int]]) -> list[int]:
    return [row[0] for row in rows]


def thinned(ids: Sequence[int], excess: int) -> list[int]:
    """Which of `ids` (oldest first) go when `excess` must: the 1st, 3rd, 5th and so on
    (E12.FR.05); then of those that are left, too."""
    dropped: list[int] = []
    left = list(ids)
    while left and len(dropped) < excess:
        taken = left[0::2][: excess - len(dropped)]
        dropped += taken
        gone = set(taken)
        left = [i for i in left if i not in gone]
    return dropped
