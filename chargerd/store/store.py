"""The store as the daemon holds it: outbox, kv and sessions over one database."""

from __future__ import annotations

from pathlib import Path

from chargerd.store.database import Database
from chargerd.store.kv import KeyValues
from chargerd.store.outbox import Outbox
from chargerd.store.sessions import Sessions


class Store:
    """Open with `await Store.open(path)`, end with `await store.close()`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.outbox = Outbox(database)
        self.kv = KeyValues(database)
        self.sessions = Sessions(database)

    @classmethod
    async def open(cls, path: Path) -> Store:
        """Open or create the file and bring its schema up to date.

        A damaged file is set aside as `<name>.unusable` and `fault` says so; StoreError
        if the folder or the disk does not allow a file at all.
        """
        return cls(await Database.open(path))

    @property
    def fault(self) -> str:
        """ "" = healthy; else the sentence for the fault StoreFault."""
        return self._database.fault

    async def close(self) -> None:
        """Write what waits and close; the store cannot be used afterwards."""
        await self._database.close()
