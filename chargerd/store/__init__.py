"""Durable state: one SQLite file, one thread that touches it, three small faces.

`Store.open(path)` gives `outbox` (messages that must arrive), `kv` (what must survive a
restart) and `sessions` (outcome records). What an `await` returned is on the flash.
"""

from chargerd.store.database import StoreError
from chargerd.store.outbox import Entry, Outbox
from chargerd.store.store import Store

__all__ = ["Entry", "Outbox", "Store", "StoreError"]
