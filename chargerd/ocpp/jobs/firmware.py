"""Jobs of a firmware update beside its download: check, install, reboot.

Owns their tasks and values, and the face of an installer. Cryptography and D-Bus load
only for the first job.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol, get_args

from chargerd.config import Config
from chargerd.machine import boot_id
from chargerd.ocpp.effects import OcppError


@dataclass(frozen=True, slots=True)
class CheckSigner:
    """May this certificate sign firmware? Yields a Signer. `now_utc` None: the clock
    is not trusted."""

    certificate: str
    now_utc: datetime | None


@dataclass(frozen=True, slots=True)
class Signer:
    """`problem` "" = it may."""

    problem: str


@dataclass(frozen=True, slots=True)
class CheckFirmware:
    """With a certificate it yields Signed first; a right one, or none, is followed by a
    Candidate. An OcppError: the installer cannot use it."""

    file: Path
    certificate: str
    signature: str


@dataclass(frozen=True, slots=True)
class Signed:
    """The maker's signature over the whole file is right, or not."""

    right: bool


@dataclass(frozen=True, slots=True)
class Running:
    """What was booted, and an id of that boot of the machine ("" = not known)."""

    slot: str
    boot_id: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """The version in the file, and what runs now."""

    version: str
    running: Running


@dataclass(frozen=True, slots=True)
class InstallFirmware:
    """Yields InstallEnded."""

    file: Path


@dataclass(frozen=True, slots=True)
class InstallEnded:
    """The next boot is the new version's."""


@dataclass(frozen=True, slots=True)
class ReadSlot:
    """Yields a Running."""


@dataclass(frozen=True, slots=True)
class Reboot:
    """Of the machine. Yields nothing when it works."""


Task = CheckSigner | CheckFirmware | InstallFirmware | ReadSlot | Reboot
TASKS = get_args(Task)
Value = Signer | Signed | Candidate | InstallEnded | Running


class Installer(Protocol):
    """What writes a new system and boots it. Each raises OcppError, saying why."""

    async def version(self, file: Path) -> str: ...
    async def slot(self) -> str: ...
    async def install(self, file: Path) -> None: ...
    async def reboot(self) -> None: ...


class FirmwareWorker:
    def __init__(self, config: Config, installer: Installer | None = None) -> None:
        self._folder = config.ocpp.certificates_dir
        self._kind = config.ocpp.firmware.installer
        self._given = installer

    async def __call__(self, task: Task) -> AsyncIterator[Value]:
        match task:
            case CheckSigner():
                yield await asyncio.to_thread(self._signer, task)
            case CheckFirmware():
                async for value in self._check(task):
                    yield value
            case InstallFirmware():
                await self._installer().install(task.file)
                with contextlib.suppress(OSError):  # it is installed all the same
                    task.file.unlink()
                yield InstallEnded()
            case ReadSlot():
                yield await self._running()
            case Reboot():
                await self._installer().reboot()

    def _signer(self, task: CheckSigner) -> Signer:
        from chargerd.ocpp.jobs.signed import signer_problem

        return Signer(signer_problem(task.certificate, self._folder, task.now_utc))

    async def _check(self, task: CheckFirmware) -> AsyncIterator[Value]:
        if task.certificate:
            right = await asyncio.to_thread(_is_signed, task)
            yield Signed(right)
            if not right:
                return
        version = await self._installer().version(task.file)
        yield Candidate(version, await self._running())

    async def _running(self) -> Running:
        return Running(await self._installer().slot(), boot_id())

    def _installer(self) -> Installer:
        from chargerd.ocpp.jobs.rauc import Rauc

        if self._kind == "none":
            raise OcppError("ocpp.firmware.installer is none")
        self._given = self._given or Rauc()
        return self._given


def _is_signed(task: CheckFirmware) -> bool:
    from chargerd.ocpp.jobs.signed import is_signed

    try:
        return is_signed(task.file, task.certificate, task.signature)
    except OSError as error:
        raise OcppError(f"{task.file}: {error}") from error
