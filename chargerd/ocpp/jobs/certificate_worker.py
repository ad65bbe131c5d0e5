"""Carries out the jobs of `certificates.py`, one at a time.

The hands are `vault.py`, which loads only for the first job: it brings 13 MiB of
cryptography along.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from chargerd.config import Config
from chargerd.ocpp.jobs.certificates import Inventory, ReadCertificates, Task, Value

if TYPE_CHECKING:
    from chargerd.ocpp.jobs.vault import Vault


class CertificateWorker:
    """Carries the jobs out, in a thread, one at a time."""

    def __init__(self, config: Config, changed: Callable[[], None]) -> None:
        """`changed`: files that vehicles' connections depend on are new."""
        self._config = config
        self._changed = changed
        self._lock = asyncio.Lock()
        self._vault: Vault | None = None

    async def __call__(self, task: Task) -> AsyncIterator[Value]:
        async with self._lock:
            values, touched = await asyncio.to_thread(self._do, task)
        if touched:
            self._changed()
        for value in values:
            yield value

    def _do(self, task: Task) -> tuple[list[Value], bool]:
        if isinstance(task, ReadCertificates) and not self._any():
            return [Inventory()], False
        from chargerd.ocpp.jobs.vault import Vault

        if self._vault is None:
            self._vault = Vault.of(self._config)
        return self._vault.do(task)

    def _any(self) -> bool:
        """Whether there may be a certificate, without loading what could read it."""
        words, folder = (
            self._config.vehicle.iso15118,
            self._config.ocpp.certificates_dir,
        )
        named = (words.certificates, words.v2g_roots, words.mo_roots, words.oem_roots)
        return any(named) or next(folder.rglob("*.pem"), None) is not None
