"""Asks a program of the charger's maker: one JSON line each way on a unix socket.

Owns the limits of that talk: size, time, and what an answer must look like. What the
program says goes to the CSMS and moves no power.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chargerd.ocpp.effects import OcppError

MAX_BYTES = 256 * 1024
STATUSES = ("Accepted", "Rejected", "UnknownMessageId", "UnknownVendorId")


@dataclass(frozen=True, slots=True)
class AskVendor:
    """Yields a VendorAnswer. `request`: a DataTransferRequest."""

    socket: Path
    request: dict[str, Any]
    timeout_s: float


@dataclass(frozen=True, slots=True)
class VendorAnswer:
    """A DataTransferResponse's status and data; None = no data."""

    status: str
    data: Any = None


async def ask_vendor(task: AskVendor) -> AsyncIterator[VendorAnswer]:
    try:
        async with asyncio.timeout(task.timeout_s):
            line = await _talk(task)
    except (OSError, TimeoutError, ValueError) as error:
        why = str(error) or f"no answer in {task.timeout_s:g} s"
        raise OcppError(f"vendor program {task.socket}: {why}") from error
    yield _read(line, task.socket)


async def _talk(task: AskVendor) -> bytes:
    """Raises ValueError for a line that is too long."""
    reader, writer = await asyncio.open_unix_connection(task.socket, limit=MAX_BYTES)
    try:
        writer.write(json.dumps(task.request).encode() + b"\n")
        await writer.drain()
        return await reader.readline()
    finally:
        writer.close()


def _read(line: bytes, socket: Path) -> VendorAnswer:
    try:
        said = json.loads(line, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise OcppError(f"vendor program {socket}: no JSON line") from error
    if not isinstance(said, dict) or said.get("status") not in STATUSES:
        raise OcppError(f"vendor program {socket}: status is not one of {STATUSES}")
    return VendorAnswer(said["status"], said.get("data"))


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")
