"""Makes the one file that a GetLog wants: security log, samples, or diagnostics.

Owns what is in it and the folder it waits in; one at a time. Secrets were redacted when
they were logged, and the configuration is shown without them. Blocks: in a thread.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
import zipfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from chargerd import __version__
from chargerd.config import Config
from chargerd.config_load import dump
from chargerd.ocpp.effects import OcppError
from chargerd.ocpp.jobs import samples, security_log

JOURNAL_S = 60.0  # that journalctl may take
JOURNAL_LINES = 50_000
DIAGNOSTICS, SECURITY, SAMPLES = "DiagnosticsLog", "SecurityLog", "DataCollectorLog"
ENDINGS = {DIAGNOSTICS: "zip", SECURITY: "log", SAMPLES: "csv"}


@dataclass(frozen=True, slots=True)
class PrepareLog:
    """Yields a LogFile; an OcppError when there is no such log. Times None = all.

    `device_model`: text for the diagnostics.
    """

    kind: str  # a LogEnumType value
    name: str
    oldest_utc: datetime | None = None
    latest_utc: datetime | None = None
    device_model: str = ""

    def wants(self, stamp: str) -> bool:
        """Whether a line with this time is asked for; one without is."""
        try:
            at = datetime.fromisoformat(stamp)
        except ValueError:
            return True
        if at.tzinfo is None:
            return True
        early = self.oldest_utc is not None and at < self.oldest_utc
        return not early and (self.latest_utc is None or at <= self.latest_utc)


@dataclass(frozen=True, slots=True)
class LogFile:
    file: Path


class LogMaker:
    def __init__(self, config: Config) -> None:
        self._config = config
        self._folder = config.store.path.parent / "outgoing"
        self._lock = threading.Lock()  # the thread of a job that was stopped goes on

    async def __call__(self, task: PrepareLog) -> AsyncIterator[LogFile]:
        yield await asyncio.to_thread(self._alone, task)

    def _alone(self, task: PrepareLog) -> LogFile:
        with self._lock:
            return self._make(task)

    def _make(self, task: PrepareLog) -> LogFile:
        """Raises OcppError when there is no such log, or no room for it."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for old in self._folder.iterdir():
                old.unlink()
            file = self._folder / task.name
            if task.kind == DIAGNOSTICS:
                self._bundle(task, file)
            elif not self._lines(task, file):
                raise OcppError(f"there is no {task.kind} of that time")
            return LogFile(file)
        except OSError as error:
            raise OcppError(f"{task.kind}: {error}") from error

    def _lines(self, task: PrepareLog, file: Path) -> int:
        """Lines of the log's files, oldest first; how many."""
        count = 0
        with file.open("w", encoding="utf-8") as out:
            for line in self._of(task.kind):
                stamp = line.partition(" ")[0].partition(",")[0]
                if task.wants(stamp):
                    out.write(line)
                    count += 1
        return count

    def _of(self, kind: str) -> Iterator[str]:
        places = (
            security_log.files_of(self._config)
            if kind == SECURITY
            else [file for file in samples.files(self._config) if file.is_file()]
        )
        for place in places:
            with place.open(encoding="utf-8", errors="replace") as lines:
                yield from lines

    def _bundle(self, task: PrepareLog, file: Path) -> None:
        room = self._config.ocpp.logs.max_mib * 1024 * 1024
        packed = zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(file, "w", packed, strict_timestamps=False) as out:
            _put(out, "version.txt", f"chargerd {__version__}\n")
            config = json.dumps(dump(self._config), indent=1)
            _put(out, "config.json", config)
            _put(out, "device-model.json", task.device_model)
            for source, name in self._sources(task):
                room -= source.stat().st_size
                if room < 0:
                    _put(out, "left-out.txt", f"{name}: over ocpp.logs.max_mib\n")
                    break
                out.write(source, name)

    def _sources(self, task: PrepareLog) -> Iterator[tuple[Path, str]]:
        """Files, and their names in the bundle."""
        for file in security_log.files_of(self._config):
            yield file, file.name
        if self._config.ocpp.logs.journal_unit:
            journal = self._folder / "journal.jsonl"
            self._journal(task, journal)
            yield journal, journal.name
        for file in self._config.ocpp.logs.files:
            if file.is_file():
                yield file, f"files/{file.name}"

    def _journal(self, task: PrepareLog, file: Path) -> None:
        """What journalctl says, the newest lines; why not, where it says nothing."""
        unit = self._config.ocpp.logs.journal_unit
        command = ["journalctl", "--unit", unit, "--output", "json", "--no-pager"]
        command += ["--lines", str(JOURNAL_LINES)]
        for option, at in (("--since", task.oldest_utc), ("--until", task.latest_utc)):
            command += [option, f"@{at.timestamp():.0f}"] if at else []
        with file.open("wb") as out:
            try:
                # Fixed words, a checked unit name and two numbers; no shell.
                subprocess.run(  # noqa: S603
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.DEVNULL,
                    timeout=JOURNAL_S,
                    check=True,
                )
            except (OSError, subprocess.SubprocessError) as error:
                out.write(f"no journal: {error}\n".encode())


def _put(out: zipfile.ZipFile, name: str, text: str) -> None:
    """Without the machine's time: where that was never set it is before 1980, the first
    year that ZIP knows."""
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o600 << 16
    out.writestr(info, text, out.compression)
