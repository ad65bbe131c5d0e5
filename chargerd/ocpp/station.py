"""The OCPP station: CALLs, reports and `now` in; answers and effects out.

Owns the routing between the functional blocks (`blocks/`) for OCPP 2.1 and 2.0.1. Does
no I/O and reads no clock. Incoming payloads are schema-valid camelCase dicts with
finite numbers; `to_send()` is to be drained after every other call.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from chargerd.clock import Now
from chargerd.config import Config
from chargerd.model import AuthQuestion, CertificateAsk, EvseReport
from chargerd.ocpp.blocks.authorization import Authorization
from chargerd.ocpp.blocks.availability import Availability
from chargerd.ocpp.blocks.desk import Desk
from chargerd.ocpp.blocks.fault_events import FaultEvents
from chargerd.ocpp.blocks.plug_and_charge import EvCertificates
from chargerd.ocpp.blocks.provisioning import BOOT_REASONS, Provisioning
from chargerd.ocpp.blocks.remote_control import RemoteControl
from chargerd.ocpp.blocks.smart_charging import SmartCharging
from chargerd.ocpp.blocks.transactions import Transactions
from chargerd.ocpp.blocks.variables import Variables
from chargerd.ocpp.device_model import split_name
from chargerd.ocpp.effects import Answer, CallError, Effect, OcppError, Payload
from chargerd.ocpp.v2 import dialect

Handler = Callable[[Payload, Now], Answer]
SECOND_S = 1.0


class OcppStation:
    """One station for one CSMS; survives links, versions and (by `saved`) restarts."""

    def __init__(
        self,
        config: Config,
        saved: Mapping[str, Mapping[str, Any]],
        boot_reason: str = "Unknown",
    ) -> None:
        """`saved`: namespace -> key -> value as given by Save effects. `boot_reason`: a
        BootReasonEnumType value. Raises OcppError for bad presets or reason.
        """
        if boot_reason not in BOOT_REASONS:
            raise OcppError(f"{boot_reason!r} is no boot reason; use {BOOT_REASONS}")
        self._desk = desk = Desk(config, saved)
        self._provisioning = Provisioning(desk, boot_reason)
        self._variables = Variables(desk)
        self._authorization = Authorization(desk)
        self._certificates = EvCertificates(desk)
        self._availability = Availability(desk)
        self._faults = FaultEvents(desk)
        self._charging = SmartCharging(desk)
        self._transactions = Transactions(
            desk, self._charging, self._authorization, self._provisioning.reason
        )
        self._remote = RemoteControl(
            desk,
            self._provisioning,
            self._availability,
            self._transactions,
            self._charging,
        )
        self._begun = False
        self._second_mono = -math.inf
        self._handlers = self._routes()

    def _routes(self) -> dict[str, Handler]:
        return {
            "AFRRSignal": self._charging.afrr_signal,
            "ChangeAvailability": self._availability.change,
            "ClearCache": self._authorization.clear_cache,
            "ClearChargingProfile": self._charging.clear,
            "DataTransfer": self._remote.data_transfer,
            "GetBaseReport": self._variables.base_report,
            "GetChargingProfiles": self._charging.get_profiles,
            "GetCompositeSchedule": self._charging.composite,
            "GetReport": self._variables.report,
            "GetVariables": self._variables.get_variables,
            "RequestStartTransaction": self._remote.start,
            "RequestStopTransaction": self._remote.stop,
            "Reset": self._provisioning.reset,
            "SetChargingProfile": self._charging.set_profile,
            "SetVariables": self._variables.set_variables,
            "TriggerMessage": self._remote.trigger,
            "UnlockConnector": self._remote.unlock,
            "UpdateDynamicSchedule": self._charging.update_dynamic,
            "UsePriorityCharging": self._charging.use_priority,
        }

    def _begin(self, now: Now) -> None:
        """The first instant: only now is there a time to stamp events with."""
        if self._begun:
            return
        self._begun = True
        self._desk.offline_since_mono = now.mono
        self._desk.security_event("StartupOfTheDevice", now, self._provisioning.reason)
        self._availability.begin()
        self._charging.refresh(now)

    # The CSMS.

    def handles(self, action: str) -> bool:
        """False for actions this station answers with NotSupported."""
        old = self._desk.version == dialect.V201 and action in dialect.ONLY_21
        return action in self._handlers and not old

    def call(self, action: str, payload: Payload, now: Now) -> Answer:
        """Answer a CALL. Never raises for what a CSMS can send."""
        self._begin(now)
        if not self.handles(action):
            return CallError("NotSupported", f"{action} is not supported")
        answer = self._handlers[action](payload, now)
        if isinstance(answer, dict):
            return dialect.reduced_answer(self._desk.version, action, answer)
        return answer

    def send(self, action: str, payload: Payload, now: Now) -> None:
        """A SEND (type 6). A CSMS has none to send in 2.1: ignored."""
        self._begin(now)

    def result(
        self, handle: int, action: str, request: Payload, answer: Answer, now: Now
    ) -> None:
        """The outcome of a CALL of ours, also of one queued before a restart."""
        self._begin(now)
        if action == "TransactionEvent":
            self._transactions.answered(request, answer, now)
            return
        was_accepted = self._desk.accepted
        self._desk.answered(handle, action, request, answer, now)
        if self._desk.accepted and not was_accepted:
            self._registered(now)

    def _registered(self, now: Now) -> None:
        """B01.FR.05: all connectors report after the registration."""
        self._availability.forget_told()
        self._report_again(now)
        self._charging.link(True, 0.0, now)

    def _report_again(self, now: Now) -> None:
        for view in self._desk.evses.values():
            if view.report is not None:
                self._availability.observe(view, view.report, now)

    # The heart.

    def observe(self, report: EvseReport, now: Now) -> None:
        """One tick of one EVSE; cheap unless something has changed."""
        self._begin(now)
        view = self._desk.evses.get(report.snapshot.evse_id)
        if view is None:
            return
        view.report = report
        self._availability.observe(view, report, now)
        self._faults.observe(view, report, now)
        self._transactions.observe(view, report, now)
        self._charging.observe(view, now)
        if now.mono - self._second_mono >= SECOND_S:
            self._second_mono = now.mono
            self._transactions.on_second(now)

    def ask(self, question: AuthQuestion | CertificateAsk, now: Now) -> None:
        """The answer is a request for the heart: may this token start or stop (an
        Authorisation); what to tell a vehicle about certificates."""
        self._begin(now)
        if isinstance(question, CertificateAsk):
            self._certificates.ask(question, now)
        else:
            self._authorization.ask(question, now)

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
            if offline_s > desk.model.number("OCPPCommCtrlr", "OfflineThreshold"):
                self._availability.forget_told()
        else:
            offline_s = 0.0
            if desk.online or desk.offline_since_mono is None:
                desk.offline_since_mono = now.mono
            desk.online = False
        self._provisioning.link(up, now)
        self._availability.link()
        self._charging.link(up, offline_s, now)
        if up and desk.accepted:
            self._report_again(now)

    def next_timer(self) -> float | None:
        """When `on_timer` is due, monotonic; None = nothing waits."""
        if not self._begun:
            return 0.0
        due = min(self._provisioning.next_timer(), self._charging.next_timer())
        return None if due == math.inf else due

    def on_timer(self, now: Now) -> None:
        self._begin(now)
        self._provisioning.on_timer(now)
        self._charging.on_timer(now)

    def to_send(self) -> list[Effect]:
        """What the shell has to do, in order; drained."""
        effects, self._desk.effects = self._desk.effects, []
        return effects

    def variable(self, component: str, variable: str) -> str:
        """A device model value for the shell, e.g. ("OCPPCommCtrlr",
        "MessageAttempts[TransactionEvent]"); the instance may be left out where there
        is one only. Raises OcppError for a name that is not in the table.
        """
        name, instance = split_name(variable)
        return self._desk.model.text(
            component, name, instance or self._desk.model.only_instance(component, name)
        )

    def number(self, component: str, variable: str, instance: str = "") -> int:
        """An integer of the device model, for the link's settings."""
        return self._desk.model.number(component, variable, instance)
