"""One SQLite file and the single thread that touches it. Nothing runs on the loop.

Jobs that wait together share one transaction, so one fsync. When `run` returns, the
job is on the flash (WAL, synchronous=FULL). A damaged file is moved aside and a fresh
one started; `fault` then says so. Disk trouble is a StoreError, never a crash.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from chargerd.store import schema

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], T]

# 512-byte pages: a queued event costs one page in and one page out (docs: refs ocpp 6).
PAGE_BYTES = 512
CHECKPOINT_PAGES = 4000  # about 2 MB of WAL between checkpoints
ANSWER_TIMEOUT_S = 20.0
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class StoreError(Exception):
    """Any failure of the store: disk full, read-only, locked, damaged, closed."""


class Database:
    """Open with `await Database.open(path)`; share by `run`; end with `close`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._lock = threading.Lock()
        self._jobs: list[tuple[Job[Any], Future[Any]]] = []
        self._reads: list[tuple[Job[Any], Future[Any]]] = []
        self._riders: list[tuple[Job[None], Callable[[], None]]] = []
        self._scheduled = False
        self._db: sqlite3.Connection | None = None
        self.damage = ""  # what was lost or set aside since the start; stays
        self.trouble = ""  # why the last write failed; "" again when one works

    @classmethod
    async def open(cls, path: Path) -> Database:
        """Open or create the file; StoreError if its folder or the disk forbids it."""
        database = cls(path)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await loop.run_in_executor(database._thread, database._open)
        except (TimeoutError, StoreError):
            database._thread.shutdown(wait=False, cancel_futures=True)
            raise
        return database

    @property
    def fault(self) -> str:
        """ "" = healthy; else one sentence for the fault's info."""
        return self.trouble or self.damage

    def ride_along(self, job: Job[None], committed: Callable[[], None]) -> None:
        """`job` runs first in every write, `committed` after its commit."""
        self._riders.append((job, committed))

    def wake(self) -> None:
        """Ask for a transaction soon; any thread."""
        with self._lock:
            self._schedule()

    async def run(self, job: Job[T]) -> T:
        """Run `job` in the store's thread, in a transaction; durable on return.

        Raises StoreError when it failed (nothing of it is kept) or did not answer in
        ANSWER_TIMEOUT_S; in that last case it may still happen.
        """
        return await self._answer(self._jobs, job)

    async def read(self, job: Job[T]) -> T:
        """Run a job that only reads: works on a full or read-only disk, too."""
        return await self._answer(self._reads, job)

    async def _answer(
        self, queue: list[tuple[Job[Any], Future[Any]]], job: Job[T]
    ) -> T:
        future: Future[T] = Future()
        with self._lock:
            queue.append((job, future))
            self._schedule()
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            raise StoreError(
                f"{self._path}: no answer from the disk in {ANSWER_TIMEOUT_S:.0f} s"
            ) from error

    async def close(self) -> None:
        """Write what waits, fold the WAL into the file, close."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            await loop.run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    # In the loop's thread or any other, under the lock.

    def _schedule(self) -> None:
        if self._scheduled:
            return
        try:
            self._thread.submit(self._work)
        except RuntimeError as error:
            self._jobs.clear()
            self._reads.clear()
            raise StoreError(f"{self._path}: the store is closed") from error
        self._scheduled = True

    # In the store's thread only.

    def _open(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._db = self._connect()
            except sqlite3.DatabaseError as error:
                if not _is_unusable(error):
                    raise
                self._move_aside(error)
                self._db = self._connect()
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"{self._path}: cannot open the store: {error}; check that the folder "
                "is writable, the disk has room, and no other chargerd uses it"
            ) from error

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, isolation_level=None, timeout=2.0)
        try:
            db.execute(f"PRAGMA page_size={PAGE_BYTES}")
            # One owner: a second daemon is refused, and no -shm file is needed.
            db.execute("PRAGMA locking_mode=EXCLUSIVE")
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            db.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
            db.execute("PRAGMA journal_size_limit=4194304")
            db.execute("PRAGMA cell_size_check=ON")
            verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                raise _Damaged(str(verdict))
            schema.migrate(db)
        except sqlite3.Error:
            db.close()
            raise
        return db

    def _move_aside(self, why: sqlite3.Error) -> None:
        """Keep the newest unusable file for a technician, as `<name>.unusable`."""
        for suffix in ("", "-wal", "-shm"):
            damaged = Path(f"{self._path}{suffix}")
            if damaged.exists():
                os.replace(damaged, f"{self._path}.unusable{suffix}")
        self.damage = f"{self._path}: {why}; kept as .unusable, began anew"

    def _work(self) -> None:
        """All that waits: the writes in one transaction, then the reads."""
        with self._lock:
            writes, reads = self._jobs[:], self._reads[:]
            self._jobs.clear()
            self._reads.clear()
            self._scheduled = False
        self._settle(writes, self._transaction)
        for read in reads:
            self._settle([read], self._look)

    def _settle(
        self,
        batch: list[tuple[Job[Any], Future[Any]]],
        how: Callable[[list[Job[Any]]], list[Any]],
    ) -> None:
        batch = [item for item in batch if item[1].set_running_or_notify_cancel()]
        try:
            results = how([job for job, _ in batch])
        except sqlite3.Error as error:
            self.trouble = f"{self._path}: {error}"
            for _, future in batch:
                future.set_exception(StoreError(self.trouble))
        else:
            for (_, future), result in zip(batch, results, strict=True):
                future.set_result(result)
        finally:
            for _, future in batch:
                if not future.done():  # a bug in a job: say so, keep serving
                    bug = sys.exc_info()[1]
                    future.set_exception(StoreError(f"{self._path}: {bug!r}"))

    def _look(self, jobs: list[Job[Any]]) -> list[Any]:
        return [job(self._connection()) for job in jobs]

    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            raise sqlite3.OperationalError("the store is closed")
        return self._db

    def _transaction(self, jobs: list[Job[Any]]) -> list[Any]:
        db = self._connection()
        changes = db.total_changes
        try:
            db.execute("BEGIN")
            for rider, _ in self._riders:
                rider(db)
            results = [job(db) for job in jobs]
            db.execute("COMMIT")
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")
        for _, committed in self._riders:
            committed()
        if db.total_changes > changes:
            self.trouble = ""
        return results

    def _close(self) -> None:
        if self._db is None:
            return
        try:
            self._work()
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            self.trouble = f"{self._path}: {error}"
        finally:
            self._db.close()
            self._db = None


class _Damaged(sqlite3.DatabaseError):
    """quick_check found damage."""


def _is_unusable(error: sqlite3.DatabaseError) -> bool:
    """Damaged or of another version: only then may the file be set aside."""
    if isinstance(error, _Damaged | schema.NewerSchema):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _DAMAGED
