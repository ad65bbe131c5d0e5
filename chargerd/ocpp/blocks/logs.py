"""Block N01: logs are sent where the CSMS wants them.

Owns which upload runs, its retries and its LogStatusNotifications. The file is made
first (`jobs/logs.py`), for the answer says whether there is one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chargerd.clock import Now
from chargerd.ocpp.blocks.block import Block, Handler, Trigger
from chargerd.ocpp.blocks.desk import Desk, refusal
from chargerd.ocpp.blocks.variables import Variables
from chargerd.ocpp.effects import Answer, Durability, Later, OcppError, Payload
from chargerd.ocpp.jobs.address import TransferError, read_url
from chargerd.ocpp.jobs.logs import DIAGNOSTICS, ENDINGS, SAMPLES, LogFile, PrepareLog
from chargerd.ocpp.jobs.transfer import Upload, Uploaded, retries
from chargerd.ocpp.profiles import parse_time


@dataclass(slots=True)
class _Running:
    """One upload, from the request to its last status."""

    request: Payload
    url: str
    name: str
    promised: Later | None  # the answer to GetLog is still owed
    accepted: str  # the status that the answer will have
    retries: int
    retry_s: float
    work: int = 0
    task: Upload | None = None  # once the file is made
    retry_mono: float = math.inf


class Logs(Block):
    def __init__(self, desk: Desk, variables: Variables) -> None:
        self._desk = desk
        self._variables = variables
        self._running: _Running | None = None

    def routes(self) -> Mapping[str, Handler]:
        return {"GetLog": self.get_log}

    def triggers(self) -> Mapping[str, Trigger]:
        return {"LogStatusNotification": self.trigger}

    def trigger(self, at: Payload, now: Now) -> str:
        """Uploading while one runs, else Idle (N01.FR.13, F06.FR.15)."""
        running = self._running
        payload: Payload = {"status": "Idle"}
        if running is not None and running.promised is None:
            request_id = running.request["requestId"]
            payload = {"status": "Uploading", "requestId": request_id}
        self._desk.send(
            "LogStatusNotification", payload, now, Durability.NOW_OR_NEVER,
            while_gated=True,
        )  # fmt: skip
        return "Accepted"

    # The request.

    def get_log(self, request: Payload, now: Now) -> Answer | Later:
        log, kind = request["log"], request["logType"]
        if kind == SAMPLES and not self._desk.config.ocpp.test_components:
            return refusal("NotEnabled", "there is no DataCollector here")
        try:
            read_url(log["remoteLocation"], self._desk.config.ocpp.transfer.protocols)
            oldest, latest = (
                _time(log, "oldestTimestamp"),
                _time(log, "latestTimestamp"),
            )
        except OcppError as error:
            return refusal("InvalidURL", error.description)
        canceled = self._cancel(now)
        name = _name(kind, self._desk.config.station.id, now)
        promised = self._desk.later("GetLog")
        self._running = running = _Running(
            request,
            log["remoteLocation"],
            name,
            promised,
            "AcceptedCanceled" if canceled else "Accepted",
            *retries(request),
        )
        text = self._device_model(now) if kind == DIAGNOSTICS else ""
        task = PrepareLog(kind, name, oldest, latest, text)
        running.work = self._desk.work(task, self._prepared)
        return promised

    def _cancel(self, now: Now) -> bool:
        """N01.FR.12, .20: the upload that runs ends."""
        running, self._running = self._running, None
        if running is None:
            return False
        self._desk.stop_work(running.work)
        if running.promised is not None:  # never answered: it gives way to this one
            answer = refusal("UnsupportedRequest", "another GetLog came")
            self._desk.reply(running.promised, answer)
            return False
        self._tell(running, {"status": "AcceptedCanceled"}, now)
        return True

    def _device_model(self, now: Now) -> str:
        self._variables.refresh_all(now)
        values = {
            variable.key_of(name): value
            for variable in self._desk.model
            for name, value in variable.values.items()
            if variable.mutability(name) != "WriteOnly"
        }
        return json.dumps(values, indent=1)

    def _prepared(self, value: Any, now: Now) -> None:
        running = self._running
        if running is None or running.promised is None:
            return
        promised, running.promised = running.promised, None
        if not isinstance(value, LogFile):  # N01.FR.05
            self._running = None
            self._desk.reply(promised, refusal("NotFound", str(value)))
            return
        answer: Payload = {"status": running.accepted, "filename": running.name}
        self._desk.reply(promised, answer)
        self._tell(running, {"status": "Uploading"}, now)
        running.task = Upload(running.url, value.file, running.name)
        self._upload(running, running.task)

    # The upload.

    def _upload(self, running: _Running, task: Upload) -> None:
        running.work = self._desk.work(task, self._uploaded)

    def _uploaded(self, value: Any, now: Now) -> None:
        running = self._running
        if running is None:
            return
        if isinstance(value, Uploaded):
            self._running = None
            self._tell(running, {"status": "Uploaded"}, now)
            return
        status, reason = "UploadFailure", ""
        if isinstance(value, TransferError):
            status, reason = value.status, value.reason
        if status == "UploadFailure" and not reason and running.retries > 0:
            running.retries -= 1
            running.retry_mono = now.mono + running.retry_s
            return
        self._running = None
        self._tell(running, refusal(reason or "Unspecified", str(value), status), now)

    def next_timer(self) -> float:
        return self._running.retry_mono if self._running else math.inf

    def on_timer(self, now: Now) -> None:
        running = self._running
        if running is None or running.task is None:
            return
        if now.mono >= running.retry_mono:
            running.retry_mono = math.inf
            self._upload(running, running.task)

    # Telling.

    def _tell(self, running: _Running, said: Payload, now: Now) -> None:
        payload = {**said, "requestId": running.request["requestId"]}
        self._desk.send("LogStatusNotification", payload, now)


def _name(kind: str, station_id: str, now: Now) -> str:
    """A file name of plain letters."""
    station = "".join(c if c.isascii() and c.isalnum() else "-" for c in station_id)
    return f"{kind}-{station}-{now.utc:%Y%m%dT%H%M%SZ}.{ENDINGS[kind]}"


def _time(log: Payload, name: str) -> datetime | None:
    return parse_time(log[name]) if name in log else None
