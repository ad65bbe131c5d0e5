"""Blocks A02 and A03: certificates of the station are renewed, by request or by date.

Owns the signing requests that are under way, for the station's own certificate and for
those that vehicles are shown. The keys are `jobs/vault.py`'s and stay there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from chargerd.clock import Now
from chargerd.ocpp.blocks.block import Block, Handler, Trigger
from chargerd.ocpp.blocks.certificates import Certificates, hash_data
from chargerd.ocpp.blocks.desk import Desk, refusal
from chargerd.ocpp.blocks.security import RECONFIGURED
from chargerd.ocpp.connection import MUTUAL_PROFILE
from chargerd.ocpp.effects import Answer, Later, OcppError, Payload, Reconnect
from chargerd.ocpp.jobs.certificates import (
    STATION,
    V2G,
    V2G20,
    Csr,
    Held,
    Inventory,
    MakeKey,
    Subject,
    Taken,
    TakeSigned,
)

TRIGGERS = {
    "SignChargingStationCertificate": STATION,
    "SignV2GCertificate": V2G,
    "SignV2G20Certificate": V2G20,
}
BEFORE_END = timedelta(days=30)  # A03.FR.02
LOOK_EVERY_S = 3600.0
NEXT = "next"


@dataclass(slots=True)
class Request:
    """A CSR that the CSMS has, or is to have. `tries`: how often the wait doubled."""

    id: int
    csr: str
    root: Payload | None
    tries: int = 0
    due_mono: float = math.inf


class Renewal(Block):
    def __init__(self, desk: Desk, certificates: Certificates) -> None:
        self._desk = desk
        self._certificates = certificates
        self._making: set[str] = set()
        self._given_up: set[str] = set()  # till the CSMS asks (A02.FR.19, .20)
        saved = dict(desk.saved.get("signing", {}))
        self._next = int(saved.pop(NEXT, 1))
        self._open = {
            use: Request(made["id"], made["csr"], made["root"])
            for use, made in saved.items()
        }
        self._look_mono = -math.inf

    def routes(self) -> Mapping[str, Handler]:
        return {"CertificateSigned": self.signed}

    # A key and its request.

    def triggers(self) -> Mapping[str, Trigger]:
        """A02.FR.02, .22, .23. One certificate for both doors is not used here."""
        return {name: partial(self._trigger, use) for name, use in TRIGGERS.items()}

    def _trigger(self, use: str, at: Payload, now: Now) -> str:
        if use != STATION and not self._for_vehicles:
            return "Rejected"
        self._given_up.discard(use)
        self._start(use, now)
        return "Accepted"

    @property
    def _for_vehicles(self) -> bool:
        return self._desk.model.flag(
            "ISO15118Ctrlr", "V2GCertificateInstallationEnabled"
        )

    def _start(self, use: str, now: Now) -> None:
        if use in self._making:
            return
        self._making.add(use)

        def made(value: Any, now: Now) -> None:
            self._making.discard(use)
            if isinstance(value, Csr):
                root = None if value.root is None else hash_data(value.root)
                self._open[use] = Request(self._next, value.pem, root)
                self._next += 1
                self._desk.save("signing", NEXT, self._next)
                self._keep(use)
                self._ask(use, now)

        self._desk.work(MakeKey(use, self._subject(use)), made)

    def _subject(self, use: str) -> Subject:
        """A00.FR.509, .511; DC=CPO for vehicles [V2G2-925]."""
        text, station = self._desk.model.text, self._desk.config.station
        if use == STATION:
            name = (station.serial or station.id)[:64]
            return Subject(name, text("SecurityCtrlr", "OrganizationName")[:64])
        return Subject(
            text("ISO15118Ctrlr", "SeccId")[:64],
            text("ISO15118Ctrlr", "OrganizationName")[:64],
            text("ISO15118Ctrlr", "CountryName"),
            "CPO",
        )

    def _keep(self, use: str) -> None:
        request = self._open.get(use)
        value = None
        if request is not None:
            fields = asdict(request)
            value = {name: fields[name] for name in ("id", "csr", "root")}
        self._desk.save("signing", use, value)

    def _ask(self, use: str, now: Now) -> None:
        request = self._open[use]
        payload: Payload = {
            "csr": request.csr,
            "certificateType": use,
            "requestId": request.id,
        }
        if request.root is not None:
            payload["hashRootCertificate"] = request.root

        def answered(sent: Payload, answer: Answer, now: Now) -> None:
            if self._open.get(use) is not request:
                return
            refused = isinstance(answer, dict) and answer["status"] == "Rejected"
            if refused:
                self._refused(use)
            else:
                request.due_mono = now.mono + self._wait_s(request)

        request.due_mono = math.inf
        self._desk.send(
            "SignCertificate", payload, now, answered=answered, while_gated=True
        )

    def _refused(self, use: str) -> None:
        self._drop(use)
        self._given_up.add(use)
        if use == V2G:  # A02.FR.21: until the next start
            self._desk.model.update("ISO15118Ctrlr", "PnCEnabled", "false")

    def _wait_s(self, request: Request) -> float:
        first = self._desk.model.number("SecurityCtrlr", "CertSigningWaitMinimum")
        return float(first * 2**request.tries)

    def _drop(self, use: str) -> None:
        self._open.pop(use, None)
        self._keep(use)

    # The signed chain.

    def signed(self, request: Payload, now: Now) -> Answer | Later:
        """CertificateSigned (A02.FR.06 to .08, .16, .26)."""
        chain = request["certificateChain"]
        use = request.get("certificateType") or self._only_open()
        mine = self._open.get(use)
        number = request.get("requestId")
        if mine is None or number not in (None, mine.id):
            if number is not None and 0 < number < self._next:
                text = f"CertificateSigned {number}"
                self._desk.security_event("AttemptedReplayAttacks", now, text)
            return refusal("InvalidMessageSeq", "no such request is under way")
        most = self._desk.model.number("SecurityCtrlr", "MaxCertificateChainSize")
        if len(chain) > most:
            return refusal("TooLargeElement", f"at most {most} characters")
        promised = self._desk.later("CertificateSigned")
        mine.due_mono = math.inf
        task = TakeSigned(
            use, chain, self._subject(use), now.utc if now.trusted else None
        )

        def done(value: Any, now: Now) -> None:
            match value:
                case Inventory():
                    self._certificates.take(value)
                case Taken(refused=""):
                    self._in_place(use, promised, now)
                case Taken(refused=why) | OcppError(description=why):
                    self._invalid(use, promised, why, now)

        self._desk.work(task, done)
        return promised

    def _only_open(self) -> str:
        """2.0.1 may leave out which certificate it is."""
        return next(iter(self._open)) if len(self._open) == 1 else STATION

    def _in_place(self, use: str, promised: Later, now: Now) -> None:
        self._drop(use)
        self._desk.security_event(RECONFIGURED, now, f"{use} renewed")
        self._desk.reply(promised, {"status": "Accepted"})
        profile = self._desk.model.number("SecurityCtrlr", "SecurityProfile")
        if use == STATION and profile >= MUTUAL_PROFILE:
            self._desk.effects.append(Reconnect("the station's certificate is new"))

    def _invalid(self, use: str, promised: Later, why: str, now: Now) -> None:
        """A02.FR.07, .20."""
        self._drop(use)
        self._given_up.add(use)
        event = "InvalidChargingStationCertificate"
        self._desk.security_event(event, now, f"{use}: {why}")
        self._desk.reply(promised, refusal("InvalidCertificate", why))

    # Time.

    def registered(self, now: Now) -> None:
        for use, request in self._open.items():
            if request.due_mono == math.inf and use not in self._making:
                request.due_mono = now.mono + self._wait_s(request)

    def on_second(self, now: Now) -> None:
        """A03: what ends within a month is renewed, once the clock is trusted."""
        inventory = self._certificates.inventory
        if not (self._desk.accepted and now.trusted) or inventory is None:
            return
        if now.mono - self._look_mono < LOOK_EVERY_S:
            return
        self._look_mono = now.mono
        for held in inventory.held:
            use = held.signing
            due = now.utc + BEFORE_END >= held.until_utc and self._wanted(held)
            if due and use not in self._open and use not in self._given_up:
                self._start(use, now)

    def _wanted(self, held: Held) -> bool:
        if held.signing == STATION:
            profile = self._desk.model.number("SecurityCtrlr", "SecurityProfile")
            return profile >= MUTUAL_PROFILE
        return bool(held.signing) and self._for_vehicles

    def next_timer(self) -> float:
        if not self._desk.accepted:
            return math.inf
        return min((each.due_mono for each in self._open.values()), default=math.inf)

    def on_timer(self, now: Now) -> None:
        """A02.FR.17 to .19: ask again, each time after twice the wait."""
        most = self._desk.model.number("SecurityCtrlr", "CertSigningRepeatTimes")
        for use, request in list(self._open.items()):
            if now.mono < request.due_mono or not self._desk.accepted:
                continue
            if request.tries >= most:
                request.due_mono = math.inf
                self._given_up.add(use)
            else:
                request.tries += 1
                self._ask(use, now)
