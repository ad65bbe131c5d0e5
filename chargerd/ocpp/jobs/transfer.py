"""Jobs that send a file or fetch one, by whatever protocol its URL names.

Owns the tasks and which trust anchors count: the CSMS's roots and the system's
(N01.FR.15, .16). The protocols are modules of their own.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from chargerd.config import Config
from chargerd.ocpp.effects import OcppError, Payload
from chargerd.ocpp.jobs import ftp_transfer, http_transfer, sftp_transfer
from chargerd.ocpp.jobs.address import TransferError, Url, dial, read_url
from chargerd.ocpp.jobs.halt import Halt, Line, in_thread
from chargerd.ocpp.jobs.part import Part
from chargerd.trust import layout

RETRIES, RETRY_S = 3, 60.0  # when the CSMS leaves it to us
MOST_RETRIES, SHORTEST_S = 100, 1.0
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Upload:
    """Yields Uploaded; a TransferError says why not. The file is gone then."""

    url: str
    file: Path
    name: str


@dataclass(frozen=True, slots=True)
class Uploaded:
    """All of it is there."""


@dataclass(frozen=True, slots=True)
class Download:
    """Yields Downloaded. What is there of `file` already is not fetched again."""

    url: str
    file: Path
    most_bytes: int


@dataclass(frozen=True, slots=True)
class Downloaded:
    size: int


def retries(request: Payload) -> tuple[int, float]:
    """How often a transfer is tried again, and after how many seconds."""
    wait_s = float(request.get("retryInterval", RETRY_S))
    return min(request.get("retries", RETRIES), MOST_RETRIES), max(SHORTEST_S, wait_s)


class Transfers:
    def __init__(self, config: Config) -> None:
        self._config = config.ocpp.transfer
        self._certificates = config.ocpp.certificates_dir

    async def upload(self, task: Upload) -> AsyncIterator[Uploaded]:
        url = self._read(task.url)
        if url.scheme == "sftp":
            connection = await in_thread(partial(self._dial, url))
            await _disk(
                sftp_transfer.put(url, task.file, task.name, connection, self._config)
            )
        else:
            put = http_transfer.put if _is_http(url) else ftp_transfer.put

            def send(halt: Halt) -> None:
                put(url, task.file, task.name, self._line(halt))

            await _disk(in_thread(send))
        with contextlib.suppress(OSError):  # the next log clears the folder
            task.file.unlink()
        yield Uploaded()

    async def download(self, task: Download) -> AsyncIterator[Downloaded]:
        url = self._read(task.url)
        part = Part(task.file, task.url, task.most_bytes)
        if url.scheme == "sftp":
            connection = await in_thread(partial(self._dial, url))
            size = await _disk(sftp_transfer.get(url, part, connection, self._config))
        else:
            get = http_transfer.get if _is_http(url) else ftp_transfer.get

            def fetch(halt: Halt) -> int:
                return get(url, part, self._line(halt))

            size = await _disk(in_thread(fetch))
        yield Downloaded(size)

    def _read(self, text: str) -> Url:
        try:
            return read_url(text, self._config.protocols)
        except OcppError as error:
            raise TransferError(error.description, "NotSupportedOperation") from error

    def _dial(self, url: Url, halt: Halt) -> socket.socket:
        return dial(url, self._config, halt.watch)

    def _line(self, halt: Halt) -> Line:
        return Line(lambda url: self._dial(url, halt), self._tls, halt)

    def _tls(self) -> ssl.SSLContext:
        """Reads files. Raises TransferError for roots that cannot be read."""
        try:
            context = ssl.create_default_context()
            for root in layout.csms_roots(self._certificates, before=False):
                context.load_verify_locations(cafile=root)
        except (OSError, ssl.SSLError) as error:
            raise TransferError(f"certificates: {error}") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


def _is_http(url: Url) -> bool:
    return url.scheme in ("http", "https")


async def _disk(transfer: Awaitable[Result]) -> Result:
    """What is left of OSErrors comes from our own disk."""
    try:
        return await transfer
    except OSError as error:
        raise TransferError(f"disk: {error}") from error
