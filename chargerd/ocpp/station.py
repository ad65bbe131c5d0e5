"""The OCPP station: CALLs, reports and `now` in; answers and effects out.

Owns the routing between the functional blocks (`blocks/`) for OCPP 2.1 and 2.0.1. Does
no I/O and reads no clock. Incoming payloads are schema-valid camelCase dicts with
finite numbers; `to_send()` is to be drained after every other call.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chargerd.clock import Now
from chargerd.config import Config
from chargerd.model import (
    AuthQuestion,
    CertificateAsk,
    DisplayText,
    DriverLimits,
    EvseReport,
    PaymentDone,
    Revocable,
)
from chargerd.ocpp.blocks.block import Block, Handler
from chargerd.ocpp.blocks.desk import Desk
from chargerd.ocpp.blocks.parts import Parts
from chargerd.ocpp.blocks.provisioning import BOOT_REASONS
from chargerd.ocpp.connection import Connection
from chargerd.ocpp.effects import (
    Answer,
    CallError,
    Effect,
    Later,
    OcppError,
    Payload,
)
from chargerd.ocpp.v2 import dialect

SECOND_S = 1.0
START = "RequestStartTransaction"


class OcppStation:
    """One station for one CSMS; survives links, versions and (by `saved`) restarts."""

    def __init__(
        self,
        config: Config,
        saved: Mapping[str, Mapping[str, Any]],
        boot_reason: str = "Unknown",
    ) -> None:
        """`saved`: namespace -> key -> value as given by Save effects. `boot_reason`: a
        BootReasonEnumType value. Raises OcppError for bad presets, reason or URL.
        """
        if boot_reason not in BOOT_REASONS:
            raise OcppError(f"{boot_reason!r} is no boot reason; use {BOOT_REASONS}")
        self._desk = desk = Desk(config, saved)
        self._parts = Parts(desk, boot_reason)
        self._blocks = self._parts.in_order
        self._handlers = _routes(self._blocks)
        self._observers = _overriding(self._blocks, "observe")
        self._timed = _overriding(self._blocks, "next_timer")
        self._durable = {
            action: block for block in self._blocks for action in block.durable
        }
        self._begun = False
        self._second_mono = -math.inf

    def _begin(self, now: Now) -> None:
        if self._begun:
            return
        self._begun = True
        self._desk.offline_since_mono = now.mono
        reason = self._parts.provisioning.reason
        self._desk.security_event("StartupOfTheDevice", now, reason)
        for block in self._blocks:
            block.begin(now)

    # The CSMS.

    def handles(self, action: str) -> bool:
        """False for actions this station answers with NotSupported."""
        old = self._desk.version == dialect.V201 and action in dialect.ONLY_21
        return action in self._handlers and not old

    def call(self, action: str, payload: Payload, now: Now) -> Answer | Later:
        """Answer a CALL. Never raises for what a CSMS can send."""
        self._begin(now)
        if self._parts.provisioning.rejected:  # B03.FR.08
            return CallError("SecurityError", "BootNotification was rejected")
        if not self.handles(action):
            return CallError("NotSupported", f"{action} is not supported")
        answer = self._handlers[action](payload, now)
        if isinstance(answer, dict):
            return dialect.reduced_answer(self._desk.version, action, answer)
        return answer

    def prepare(self, action: str, payload: Payload) -> None:
        """The slow part of a large CALL, before `call`; changes nothing that is known
        here, so that it may run in another thread (law 7)."""
        profile = payload.get("chargingProfile")
        if profile is not None and action in ("SetChargingProfile", START):
            self._parts.charging.prepare(profile, payload.get("evseId", 0))
        if action == "SendLocalList":
            self._parts.local_list.prepare(payload)

    def send(self, action: str, payload: Payload, now: Now) -> None:
        """A SEND (type 6). A CSMS has none to send in 2.1: ignored."""
        self._begin(now)

    def result(
        self, handle: int, action: str, request: Payload, answer: Answer, now: Now
    ) -> None:
        """The outcome of a CALL of ours, also of one queued before a restart."""
        self._begin(now)
        durable = self._durable.get(action)
        if durable is not None:
            durable.result(request, answer, now)
            return
        was_accepted = self._desk.accepted
        self._desk.answered(handle, action, request, answer, now)
        if self._desk.accepted and not was_accepted:
            self._registered(now)

    def _registered(self, now: Now) -> None:
        for block in self._blocks:
            block.registered(now)
        self._report_again(now)

    def worked(self, handle: int, value: Any, now: Now) -> None:
        """What a job yielded (effects.Work), or the OcppError that ended it."""
        self._begin(now)
        self._desk.worked(handle, value, now)

    def work_over(self, handle: int) -> None:
        """The job has ended; `worked` has had all it gave."""
        self._desk.work_over(handle)

    def queued(self, waiting: Counter[str]) -> None:
        """Messages on disk by transaction, those of earlier runs included (E14)."""
        self._parts.transactions.queued(waiting)

    def _report_again(self, now: Now) -> None:
        for view in self._desk.evses.values():
            if view.report is not None:
                self._parts.availability.observe(view, view.report, now)

    # The heart.

    def observe(self, report: EvseReport, now: Now) -> None:
        """One tick of one EVSE; cheap unless something has changed."""
        self._begin(now)
        view = self._desk.evses.get(report.snapshot.evse_id)
        if view is None:
            return
        view.report = report
        for block in self._observers:
            block.observe(view, report, now)
        if now.mono - self._second_mono >= SECOND_S:
            self._second_mono = now.mono
            for block in self._blocks:
                block.on_second(now)

    def ask(self, question: AuthQuestion | CertificateAsk, now: Now) -> None:
        """The answer is a request for the heart: may this token start or stop (an
        Authorisation); what to tell a vehicle about certificates."""
        self._begin(now)
        if isinstance(question, CertificateAsk):
            self._parts.ev_certificates.ask(question, now)
        elif not self._parts.resuming.waits(question, now):
            self._parts.authorization.ask(question, now)

    def set_limits(self, evse_id: int, wish: DriverLimits, now: Now) -> str:
        """Where the driver wants the energy to stop (E16); "" or why not."""
        self._begin(now)
        return self._parts.transactions.set_limits(evse_id, wish, now)

    def refuse_tariff(self, evse_id: int, now: Now) -> str:
        """The driver does not accept the tariff that he is shown (I07.FR.30, .31); ""
        or why that says nothing."""
        self._begin(now)
        return self._parts.running_cost.refused(evse_id, now)

    def texts(self, now: Now) -> list[DisplayText]:
        """What a display shows drivers now."""
        self._begin(now)
        return self._parts.display.texts(now)

    def card_paid(
        self, evse_id: int, psp_ref: str, details: Mapping[str, str], now: Now
    ) -> str:
        """A payment terminal has a card's authorisation (C18); "" or why not wanted."""
        self._begin(now)
        return self._parts.payments.authorised(evse_id, psp_ref, details, now)

    def payment_done(self, told: PaymentDone, now: Now) -> str:
        """A payment terminal has carried out an order (C21); "" or what is wrong."""
        self._begin(now)
        return self._parts.payments.done(told, now)

    def check_vat(self, evse_id: int, number: str, now: Now) -> str:
        """Is this VAT number good? (C18.FR.08) The answer is in `terminal`."""
        self._begin(now)
        return self._parts.payments.check_vat(evse_id, number, now)

    def terminal(self) -> dict[str, Any]:
        """What a payment terminal's driver has to know and to do."""
        return self._parts.payments.terminal()

    def wish_web_payment(self, evse_id: int, limits: DriverLimits, now: Now) -> str:
        """What the driver wants to pay for on the web (C25.FR.03); "" or why not."""
        self._begin(now)
        return self._parts.web_payment.wish(evse_id, limits, now)

    def use_priority(self, evse_id: int, activate: bool, now: Now) -> str:
        """The driver asks for priority charging, or ends it (K22); "" or why not."""
        self._begin(now)
        return self._parts.priority.by_driver(evse_id, activate, now)

    def chain_status(
        self, chain: Sequence[Revocable], told: Callable[[bool], None], now: Now
    ) -> None:
        """Whether one of a vehicle's certificates is revoked (M07); `told` once."""
        self._begin(now)
        self._parts.chain_status.ask(chain, told, now)

    @property
    def certificate_service(self) -> bool:
        """Whether vehicles' certificate questions can be answered now."""
        wanted = self._desk.model.flag(
            "ISO15118Ctrlr", "ContractCertificateInstallationEnabled"
        )
        return wanted and self._desk.online and self._desk.accepted

    # The link and time.

    def link(self, up: bool, version: str, now: Now) -> None:
        """The connection came up, speaking `version`, or went down."""
        self._begin(now)
        desk = self._desk
        if up:
            since = desk.offline_since_mono
            offline_s = 0.0 if since is None else now.mono - since
            desk.version = version or desk.version
            desk.online, desk.offline_since_mono = True, None
        else:
            offline_s = 0.0
            if desk.online or desk.offline_since_mono is None:
                desk.offline_since_mono = now.mono
            desk.online = False
        for block in self._blocks:
            block.link(up, offline_s, now)
        if up and desk.accepted:
            self._report_again(now)

    def next_timer(self) -> float | None:
        """When `on_timer` is due, monotonic; None = nothing waits."""
        if not self._begun:
            return 0.0
        due = min(block.next_timer() for block in self._timed)
        return None if due == math.inf else due

    def on_timer(self, now: Now) -> None:
        self._begin(now)
        for block in self._timed:
            block.on_timer(now)

    def to_send(self) -> list[Effect]:
        """What the shell has to do, in order; drained."""
        effects, self._desk.effects = self._desk.effects, []
        return effects

    def connection(self) -> Connection:
        """Where to connect to next, and as whom."""
        return self._parts.certificates.dressed(self._parts.network.connection())

    def security_event(self, kind: str, info: str, now: Now) -> None:
        """The shell or the house has noticed one (A04)."""
        self._begin(now)
        self._parts.security.noticed(kind, info, now)

    def unreachable(self, event: str, now: Now) -> None:
        """An attempt to connect failed; `event`: the security event it is worth."""
        self._begin(now)
        self._parts.certificates.unreachable(event)
        self._parts.network.unreachable(now)

    def number(self, component: str, variable: str, instance: str = "") -> int:
        """An integer of the device model, for the link's settings."""
        return self._desk.model.number(component, variable, instance)


def _routes(blocks: tuple[Block, ...]) -> dict[str, Handler]:
    """Raises OcppError when two blocks answer the same action."""
    routes: dict[str, Handler] = {}
    for block in blocks:
        for action, handler in block.routes().items():
            if action in routes:
                raise OcppError(f"two blocks answer {action}")
            routes[action] = handler
    return routes


def _overriding(blocks: tuple[Block, ...], name: str) -> list[Block]:
    return [b for b in blocks if getattr(type(b), name) is not getattr(Block, name)]
