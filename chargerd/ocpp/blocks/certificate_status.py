"""Block M06: fresh OCSP responses about the certificates that vehicles are shown.

Owns when the CSMS is asked for them: once for each certificate of a chain, again in
time. The responses are kept by `jobs/vault.py`; the vehicle door shows them.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import math
from datetime import datetime, timedelta
from typing import Any

from chargerd.clock import Now
from chargerd.model import CertificateHash
from chargerd.ocpp.blocks.block import Block
from chargerd.ocpp.blocks.certificates import Certificates, hash_data
from chargerd.ocpp.blocks.desk import Desk, stamp
from chargerd.ocpp.effects import Answer, Durability, OcppError, Payload
from chargerd.ocpp.jobs.certificates import CHAIN, Inventory, KeepStaple
from chargerd.ocpp.profiles import parse_time
from chargerd.ocpp.v2 import dialect

REFRESH = timedelta(days=6)  # M06.FR.10: at least once a week
BEFORE_END = timedelta(days=1)
RETRY_S = 3600.0
MAX_URL = {dialect.V21: 2000, dialect.V201: 512}


class CertificateStatus(Block):
    def __init__(self, desk: Desk, certificates: Certificates) -> None:
        self._desk = desk
        self._certificates = certificates
        self._asked_utc: dict[str, datetime] = {}  # by serial number: the last good one
        for serial, text in desk.saved.get("ocsp", {}).items():
            with contextlib.suppress(OcppError):  # asked for again
                self._asked_utc[serial] = parse_time(text)
        self._wait_mono: dict[str, float] = {}  # not before

    def on_second(self, now: Now) -> None:
        inventory = self._certificates.inventory
        able = self._desk.online and self._desk.accepted and now.trusted
        if inventory is None or not able:
            return
        ends = dict(inventory.staples)
        for held in inventory.of(CHAIN):
            for name in (held.name, *held.children):
                if self._is_due(name, ends.get(name.serial), now):
                    self._ask(name, now)

    def _is_due(
        self, name: CertificateHash, until_utc: datetime | None, now: Now
    ) -> bool:
        if not 0 < len(name.responder_url) <= MAX_URL[self._desk.version]:
            return False  # it names nobody to ask
        if now.mono < self._wait_mono.get(name.serial, -math.inf):
            return False
        asked_utc = self._asked_utc.get(name.serial)
        if until_utc is None or asked_utc is None:
            return True
        return now.utc >= min(asked_utc + REFRESH, until_utc - BEFORE_END)

    def _ask(self, name: CertificateHash, now: Now) -> None:
        serial = name.serial
        self._wait_mono[serial] = now.mono + RETRY_S

        def answered(request: Payload, answer: Answer, now: Now) -> None:
            der = _der(answer)
            if der:
                task = KeepStaple(serial, der, now.utc if now.trusted else None)
                self._desk.work(task, kept)

        def kept(value: Any, now: Now) -> None:
            match value:
                case Inventory():
                    self._asked_utc[serial] = now.utc
                    self._desk.save("ocsp", serial, stamp(now.utc))
                    self._certificates.take(value)
                case OcppError(description=why):
                    self._desk.security_event("InvalidMessages", now, why)

        data = {**hash_data(name), "responderURL": name.responder_url}
        self._desk.send(
            "GetCertificateStatus",
            {"ocspRequestData": data},
            now,
            Durability.NOW_OR_NEVER,
            answered=answered,
        )


def _der(answer: Answer) -> bytes:
    """The OCSPResponse in DER; empty when the CSMS has none."""
    if not isinstance(answer, dict) or answer["status"] != "Accepted":
        return b""
    try:
        return base64.b64decode(answer.get("ocspResult", ""), validate=True)
    except (binascii.Error, ValueError):
        return b""
