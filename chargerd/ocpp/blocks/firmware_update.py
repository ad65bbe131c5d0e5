"""One firmware update as it is kept on disk, and what can be said of it without I/O.

Owns the record that survives restarts and the version rule. Sends nothing.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from enum import Enum
from typing import Any

from chargerd.ocpp.effects import OcppError, Payload
from chargerd.ocpp.jobs.transfer import retries
from chargerd.ocpp.profiles import parse_time

_VERSION = re.compile(r"[^0-9]*(\d+(?:\.\d+)*)")


class Step(Enum):
    """Where an update is; a restart begins the step again."""

    WAITING = "waiting"  # for retrieveDateTime
    DOWNLOADING = "downloading"
    CHECKING = "checking"  # signature, version
    READY = "ready"  # waits for installDateTime, then for transactions
    INSTALLING = "installing"
    REBOOTING = "rebooting"
    OVER = "over"


@dataclass(slots=True)
class Update:
    """`told`: its statuses so far, the last one last."""

    request_id: int
    url: str = field(repr=False)
    retrieve_utc: str
    install_utc: str
    certificate: str
    signature: str
    retries: int
    retry_s: float
    step: str = Step.WAITING.value
    told: list[str] = field(default_factory=list)
    slot: str = ""  # that ran before
    boot_id: str = ""  # of that boot of the machine

    @classmethod
    def of(cls, request: Payload) -> Update:
        """Raises OcppError for a time that is none."""
        firmware = request["firmware"]
        update = cls(
            request["requestId"],
            firmware["location"],
            firmware["retrieveDateTime"],
            firmware.get("installDateTime", ""),
            firmware.get("signingCertificate", ""),
            firmware.get("signature", ""),
            *retries(request),
        )
        for text in filter(None, (update.retrieve_utc, update.install_utc)):
            parse_time(text)
        return update

    @classmethod
    def restored(cls, kept: Any) -> Update | None:
        """None for what is no update, e.g. of another version of this program."""
        if not isinstance(kept, dict) or set(kept) != {f.name for f in fields(cls)}:
            return None
        try:
            Step(kept["step"])
            for text in filter(None, (kept["retrieve_utc"], kept["install_utc"])):
                parse_time(text)
        except (OcppError, ValueError, TypeError):
            return None
        return cls(**kept)

    def kept(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)

    @property
    def runs(self) -> bool:
        return self.step != Step.OVER.value

    def wait_s(self, text: str, now_utc: datetime) -> float:
        """Until this time of the update; not positive = it has come."""
        if not text:
            return 0.0
        return (parse_time(text) - now_utc).total_seconds()


def version_problem(new: str, running: str) -> str:
    """Why the new version must not replace the running one (anti-rollback), "" = it
    may. Numbers decide: 1.10 is newer than 1.9, and 2.0-rc1 counts as 2.0."""
    found, here = _VERSION.match(new), _VERSION.match(running)
    if found is None or here is None:
        return f"{new!r} cannot be compared with {running!r}"
    if _numbers(found[1]) < _numbers(here[1]):
        return f"{new!r} is older than {running!r}"
    return ""


def _numbers(text: str) -> list[int]:
    numbers = [int(part) for part in text.split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return numbers
