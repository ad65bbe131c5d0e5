"""Holds a transaction's energy back: limits (E16) and an invalid token (E05).

Owns which limits are in force and what happens when one is reached. Energy stops by a
suspended lease, or by asking the heart; the arithmetic is `transaction_limits.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from chargerd.clock import Now
from chargerd.model import EvseReport, StopReason, StopRequest
from chargerd.ocpp.blocks import transaction_limits as limits
from chargerd.ocpp.blocks.desk import Desk, EvseView
from chargerd.ocpp.blocks.metering import fresh_meter
from chargerd.ocpp.blocks.smart_charging import SmartCharging
from chargerd.ocpp.blocks.transaction import Transaction
from chargerd.ocpp.blocks.watch import Watch

Tell = Callable[[EvseView, Watch, EvseReport, str, Now], None]


class Limiter:
    """Of all EVSEs. `tell` sends Updated with the state of now and a triggerReason."""

    def __init__(self, desk: Desk, charging: SmartCharging, tell: Tell) -> None:
        self._desk = desk
        self._charging = charging
        self._tell = tell

    def check(self, view: EvseView, watch: Watch, report: EvseReport, now: Now) -> None:
        """About once a second, and when a limit is new (E16.FR.05, .06, E05.FR.03)."""
        tx = watch.tx
        if tx is None:
            return
        note_meter(tx, report, now)
        progress = _progress(tx, view, report, now)
        if tx.invalid and not self._may_go_on(progress):
            tx.invalid = False
            self._no_energy(view, watch, now)
        trigger = "" if tx.reached else limits.reached(tx.limits, progress)
        if not trigger:
            return
        tx.reached = trigger
        if self._ends_with_energy:
            tx.ending_by_limit = True
            self._desk.ask(StopRequest(view.config.id, StopReason.LOCAL))
        else:
            self._charging.suspend(view.config.id, "limit", now)
            self._tell(view, watch, report, trigger, now)

    def set(
        self,
        view: EvseView,
        watch: Watch,
        told: Mapping[str, Any],
        now: Now,
        *,
        of_csms: bool,
    ) -> bool:
        """New limits; those that are kept are told back (E16.FR.03, .13)."""
        tx, report = watch.tx, view.report
        supported = self._desk.model.members("TxCtrlr", "SupportedLimits")
        known = limits.understood(told, supported)
        if tx is None or report is None or not known:
            return False
        if of_csms:
            confirmed = tx.limits_of_csms.items() & tx.limits_told.items()
            if known.items() <= confirmed:
                return True  # it comes with each answer, and each event has one
            tx.limits_of_csms |= known
            tx.limits_told = {}  # a confirmation, even of what was known
        else:
            known = limits.capped(known, tx.limits_of_csms)
        tx.limits |= known
        progress = _progress(tx, view, report, now)
        over = tx.ending_by_limit or limits.reached(tx.limits, progress)
        if tx.reached and not over:
            tx.reached = ""  # E16.FR.14
            self._charging.unsuspend(view.config.id, "limit", now)
        self._tell(view, watch, report, "LimitSet", now)
        self.check(view, watch, report, now)  # E16.FR.10
        return True

    def invalid(self, view: EvseView, watch: Watch, now: Now) -> None:
        """The CSMS does not accept the token of the transaction (E05): deauthorise,
        or hold the energy back, at once or after MaxEnergyOnInvalidId."""
        tx = watch.tx
        if tx is None or view.report is None:
            return
        if self._desk.model.flag("TxCtrlr", "StopTxOnInvalidId"):
            self._desk.ask(StopRequest(view.config.id, StopReason.DEAUTHORIZED))
        elif self._may_go_on(_progress(tx, view, view.report, now)):
            tx.invalid = True
        else:
            self._no_energy(view, watch, now)

    def _no_energy(self, view: EvseView, watch: Watch, now: Now) -> None:
        """Told once: an event for each answer that says so would never end."""
        tx = watch.tx
        if self._ends_with_energy:
            self._desk.ask(StopRequest(view.config.id, StopReason.DEAUTHORIZED))
        elif view.report is not None and tx is not None and not tx.refused:
            tx.refused = True
            self._charging.suspend(view.config.id, "token", now)
            self._tell(view, watch, view.report, "ChargingStateChanged", now)

    @property
    def _ends_with_energy(self) -> bool:
        return "EnergyTransfer" in self._desk.model.members("TxCtrlr", "TxStopPoint")

    def _may_go_on(self, progress: limits.Progress) -> bool:
        most_wh = self._desk.model.number("TxCtrlr", "MaxEnergyOnInvalidId")
        known = progress.energy_wh is not None
        return known and not limits.reached({"maxEnergy": float(most_wh)}, progress)


def note_meter(tx: Transaction, report: EvseReport, now: Now) -> None:
    """The register that the transaction's energy counts from."""
    counted = report.snapshot.counted_wh
    if tx.first_wh is None and counted is not None and fresh_meter(report, now):
        tx.first_wh = counted[0]


def _progress(
    tx: Transaction, view: EvseView, report: EvseReport, now: Now
) -> limits.Progress:
    reading, counted = fresh_meter(report, now), report.snapshot.counted_wh
    energy_wh = None
    if reading is not None and counted is not None and tx.first_wh is not None:
        energy_wh = counted[0] - tx.first_wh
    return limits.Progress(
        time_s=tx.age_s(now.mono),
        energy_wh=energy_wh,
        power_w=reading.value.power_w if reading else 0.0,
        soc_pct=report.snapshot.vehicle.soc_pct,
        cost=view.running_cost,
    )
