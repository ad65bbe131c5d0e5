"""What a vehicle needs, told to the CSMS (K15, K17 to K20): NotifyEVChargingNeeds.

Owns when it is told and what its answer leads to. What the vehicle gets for it is
`vehicle_schedules.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chargerd.clock import Now
from chargerd.model import (
    DischargePermission,
    EvseReport,
    SessionPhase,
    StopReason,
    StopRequest,
    VehicleNeeds,
)
from chargerd.ocpp.blocks.block import Block, Trigger
from chargerd.ocpp.blocks.desk import Desk, EvseView, failed, stamp
from chargerd.ocpp.blocks.needs_message import ISO_20, PROTOCOLS, message
from chargerd.ocpp.blocks.vehicle_schedules import VehicleSchedules
from chargerd.ocpp.effects import Answer, Payload
from chargerd.ocpp.v2 import dialect

# Ours: when a vehicle in dynamic control needs something else (K20).
OTHER_DEPARTURE_S, OTHER_WH, OTHER_SHARE, QUIET_S = 60.0, 1_000.0, 0.1, 60.0


@dataclass(slots=True)
class _Told:
    """Of one EVSE's session."""

    session_id: str = ""
    expected: bool = False  # it speaks a protocol in which it will ask
    asked: int = 0
    seen: VehicleNeeds | None = None
    departure_mono: float | None = None
    total_wh: float | None = None  # what it wants, and what it has got already
    at_mono: float = 0.0


class ChargingNeeds(Block):
    def __init__(self, desk: Desk, schedules: VehicleSchedules) -> None:
        self._desk = desk
        self._schedules = schedules
        self._told = {evse_id: _Told() for evse_id in desk.evses}

    def observe(self, view: EvseView, report: EvseReport, now: Now) -> None:
        """At 20 Hz: next to nothing while the vehicle says nothing new."""
        session, vehicle = report.snapshot.session, report.snapshot.vehicle
        told = self._told[view.config.id]
        if session.id != told.session_id:
            told = self._told[view.config.id] = _Told(session.id)
            view.needs_due = view.needs_told = False
            self._schedules.forget(view)
        if vehicle.protocol not in PROTOCOLS:
            self._no_more(view, now)  # it goes on without high-level communication
            return
        needs = vehicle.needs
        if not told.expected:
            told.expected = view.needs_due = True  # no TxProfile yet (K15.FR.17)
            self._schedules.expect(view, now)
        if session.phase is SessionPhase.ENERGY:
            self._no_more(view, now)
        if needs is None or needs is told.seen or not needs.asked:
            return
        if not (view.transaction_id or session.authorised):
            return  # the CSMS should know who it is for first (K15.FR.16)
        told.seen = needs
        if needs.asked != told.asked:
            ours = needs.asked_by_station and told.asked > 0
            told.asked = needs.asked
            if ours:
                return  # the CSMS has just said what it wants (K16.FR.09)
        elif not self._differs(told, view, needs, now):
            return
        self._tell(told, view, now)

    def triggers(self) -> Mapping[str, Trigger]:
        return {"NotifyEVChargingNeeds": self._trigger}

    def _trigger(self, at: Payload, now: Now) -> str:
        """What vehicles want now; nobody waits for a schedule because of it."""
        sent = False
        for view in self._desk.evses.values():
            vehicle = view.report.snapshot.vehicle if view.report else None
            if at.get("id", view.config.id) != view.config.id or vehicle is None:
                continue
            if vehicle.needs is not None and view.transaction_id:
                old = self._desk.version == dialect.V201
                payload = message(view, vehicle, now, old=old)
                self._desk.send("NotifyEVChargingNeeds", payload, now)
                sent = True
        return "Accepted" if sent else "Rejected"

    def _no_more(self, view: EvseView, now: Now) -> None:
        """Power flows, or will, without a question: nothing is held back for one."""
        if view.needs_due:
            view.needs_due = False
            self._schedules.stop_waiting(view, now)

    def _differs(
        self, told: _Told, view: EvseView, needs: VehicleNeeds, now: Now
    ) -> bool:
        """Another departure or aim in dynamic control (K20); in scheduled control the
        vehicle asks for a new schedule itself."""
        report = view.report
        if not needs.dynamic or report is None or now.mono - told.at_mono < QUIET_S:
            return False
        departure = report.snapshot.vehicle.departure_mono
        if _moved(told.departure_mono, departure, OTHER_DEPARTURE_S):
            return True
        most_wh = max(OTHER_WH, OTHER_SHARE * (told.total_wh or 0.0))
        return _moved(told.total_wh, _total_wh(report, needs), most_wh)

    def _tell(self, told: _Told, view: EvseView, now: Now) -> None:
        report = view.report
        if report is None or report.snapshot.vehicle.needs is None:
            return
        vehicle, desk = report.snapshot.vehicle, self._desk
        told.at_mono, told.departure_mono = now.mono, vehicle.departure_mono
        told.total_wh = _total_wh(report, report.snapshot.vehicle.needs)
        view.needs_due, view.needs_told = False, True
        payload = message(view, vehicle, now, old=desk.version == dialect.V201)
        reachable = desk.online and desk.accepted
        if not reachable:  # it may be old when it arrives (K15.FR.20)
            payload["timestamp"] = stamp(now.utc)
        self._schedules.ask(view, now, wait=reachable)
        session_id = told.session_id

        def answered(request: Payload, answer: Answer, later: Now) -> None:
            if self._told[view.config.id].session_id == session_id:
                self._answered(view, answer, later)

        desk.send("NotifyEVChargingNeeds", payload, now, answered=answered)

    def _answered(self, view: EvseView, answer: Answer, now: Now) -> None:
        """Accepted: a schedule is on its way. All else: there is none to wait for."""
        if not failed(answer) and isinstance(answer, dict):
            if answer["status"] == "Accepted":
                return
            refused = answer["status"] == "Rejected" and self._refuses(view)
            if refused and self._has_another(view):
                self._desk.ask(DischargePermission(view.config.id, allowed=False))
                return
            if refused:
                reason = StopReason.REQ_ENERGY_TRANSFER_REJECTED
                self._desk.ask(StopRequest(view.config.id, reason))
        self._schedules.stop_waiting(view, now)

    def _has_another(self, view: EvseView) -> bool:
        """Instead of going both ways the vehicle may just charge: it is asked to choose
        its service anew (Q01.FR.05)."""
        if view.report is None or not view.report.snapshot.session.discharge_authorised:
            return False  # it has been asked to already
        needs = view.report.snapshot.vehicle.needs
        ours = self._desk.model.members(
            "V2XChargingCtrlr", "SupportedEnergyTransferModes", view.config.id
        )
        both_ways = needs is not None and needs.energy.endswith("_BPT")
        return both_ways and any(not name.endswith("_BPT") for name in ours)

    def _refuses(self, view: EvseView) -> bool:
        """Of an ISO 15118-20 vehicle the CSMS refuses the energy transfer itself
        (K18.FR.23, K19.FR.16); in -2 it only has no schedule (K15.FR.04)."""
        report = view.report
        if report is None or self._desk.version == dialect.V201:
            return False
        return report.snapshot.vehicle.protocol == ISO_20


def _moved(old: float | None, new: float | None, by: float) -> bool:
    if old is None or new is None:
        return old is not new
    return abs(new - old) > by


def _total_wh(report: EvseReport, needs: VehicleNeeds) -> float | None:
    """The aim counted from the plug-in, so that charging does not change it."""
    if needs.target_wh is None:
        return None
    session = report.snapshot.session
    return needs.target_wh + session.energy_in_wh - session.energy_out_wh
