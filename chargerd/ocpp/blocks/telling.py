"""Puts TransactionEvents on the wire, each with the transaction's record.

Owns what every event carries beside its reason: token, limits, phases, reservation, and
Ended's wait for the meter's signature. Decides nothing: `transactions.py` says when.
"""

from __future__ import annotations

import math
from collections import Counter

from chargerd.clock import Now
from chargerd.model import EvseReport
from chargerd.ocpp.blocks import signing
from chargerd.ocpp.blocks.costs import Costs
from chargerd.ocpp.blocks.desk import Desk, EvseView, stamp
from chargerd.ocpp.blocks.metering import fresh_meter
from chargerd.ocpp.blocks.tokens import id_token, with_vehicle
from chargerd.ocpp.blocks.transaction import Transaction
from chargerd.ocpp.blocks.transaction_limits import as_told
from chargerd.ocpp.blocks.watch import Ending, Watch
from chargerd.ocpp.effects import Durability, Payload, Save
from chargerd.ocpp.table.metering import signs
from chargerd.ocpp.table.row import Place

SIGN_WAIT_S = 15.0  # a meter's driver gives up after 10 s
NO_TIME = ("Reboot", "ImmediateReset")  # the daemon ends in a moment, too
PHASE_A = 1.0  # a phase with less is not used


class Teller:
    """Of all EVSEs' transactions."""

    def __init__(self, desk: Desk, costs: Costs) -> None:
        self._desk = desk
        self._costs = costs
        self._can_sign = signs(Place(desk.config))
        self.queued: Counter[str] = Counter()  # messages by transaction (E14)

    def tell(
        self,
        view: EvseView,
        watch: Watch,
        kind: str,
        trigger: str,
        values: list[Payload | None],
        now: Now,
        *,
        durability: Durability = Durability.DURABLE,
        while_gated: bool = False,
    ) -> None:
        """Started or Updated. The record goes to the disk with the event: no crash can
        part them."""
        tx = watch.tx
        if tx is None:
            return
        event = self._event(view, tx, kind, trigger, values, now)
        view.transaction_authorised = tx.authorised
        tx.seen_utc = stamp(now.utc)
        self.queued[tx.id] += 1
        self._send(
            tx, event, now, durability, tx.saved(now.mono), while_gated=while_gated
        )

    def end(
        self,
        view: EvseView,
        tx: Transaction,
        trigger: str,
        stopped: str,
        values: list[Payload | None],
        now: Now,
        watch: Watch,
    ) -> None:
        """Ended: at once, or as soon as the meter has signed the transaction."""
        event = self._event(view, tx, "Ended", trigger, values, now)
        event["transactionInfo"]["stoppedReason"] = stopped
        session_id = str(tx.session.get("id", ""))
        waits = view.report is not None and self._signs(view.report, tx)
        waits = waits and stopped not in NO_TIME
        until = now.mono + SIGN_WAIT_S if waits else now.mono
        self.queued[tx.id] += 1
        watch.ending = Ending(tx, event, session_id, until)
        self.settle(view, watch, now)

    def settle(
        self, view: EvseView, watch: Watch, now: Now, *, at_once: bool = False
    ) -> None:
        """Send the Ended that waits, if it need not wait any longer."""
        ending = watch.ending
        if ending is None:
            return
        report = view.report
        signed = None
        if report is not None and self._wanted_signed:
            signed = signing.signed_reading(report, ending.session_id)
        if signed is not None:
            rule = self._desk.model.text(
                "OCPPCommCtrlr", "PublicKeyWithSignedMeterValue"
            )
            value = signing.signed_value(signed, with_key=rule != "Never")
            signing.put_in(ending.event.get("meterValue", []), value)
        elif (
            now.mono < ending.until_mono
            and not at_once
            and (report is not None and not signing.failed(report, ending.session_id))
        ):
            return
        watch.ending = None
        self._send(ending.tx, ending.event, now, Durability.DURABLE, None)

    @property
    def _wanted_signed(self) -> bool:
        return self._can_sign and self._desk.model.flag(
            "SampledDataCtrlr", "SignReadings"
        )

    def _signs(self, report: EvseReport, tx: Transaction) -> bool:
        told = report.snapshot.telemetry.signed
        return self._wanted_signed and told is not None and bool(tx.session.get("id"))

    def _event(
        self,
        view: EvseView,
        tx: Transaction,
        kind: str,
        trigger: str,
        values: list[Payload | None],
        now: Now,
    ) -> Payload:
        event = tx.event(
            kind,
            trigger,
            stamp(now.utc),
            offline=not (self._desk.online and self._desk.accepted),
            now_mono=now.mono,
        )
        if tx.stop_token is not None and not tx.stop_token_told:
            event["idToken"] = tx.stop_token  # E07.FR.02: the next event has it
            tx.stop_token_told = True
        if view.report is not None:
            self._of_report(view, tx, view.report, event, now)
        self._costs.dress(view, tx, event, now)
        if tx.limits != tx.limits_told:
            event["transactionInfo"]["transactionLimit"] = as_told(tx.limits)
            tx.limits_told = {**tx.limits}
        known = [value for value in values if value is not None]
        if known:
            event["meterValue"] = known
            tx.last_value = known[-1]
        return event

    def _of_report(
        self,
        view: EvseView,
        tx: Transaction,
        report: EvseReport,
        event: Payload,
        now: Now,
    ) -> None:
        """Token, reservation, phases in use (E02.FR.18, .19) and the cable's rating,
        when they are news; of a transaction that a restart cut off not what the next
        driver has brought.
        """
        session = report.snapshot.session
        mine = tx.is_of(session)
        if tx.token is None and session.token is not None and mine:
            tx.token = event.setdefault("idToken", id_token(session.token))
        if mine and view.ended_reservation_id is not None:
            event["reservationId"] = view.ended_reservation_id
            view.ended_reservation_id = None
        if "idToken" in event:
            event["idToken"] = with_vehicle(event["idToken"], report)
        if report.decision.asleep:
            event["evseSleep"] = True  # Q10.FR.04; absent is false
        phases = _phases(view, report, now)
        if tx.charging_state == "Charging" and phases not in (None, tx.phases_told):
            event["numberOfPhasesUsed"] = tx.phases_told = phases
        pilot = report.snapshot.telemetry.pilot
        cable_a = pilot.value.cable_limit_a if pilot else None
        if event["eventType"] == "Started" and cable_a is not None:
            event["cableMaxCurrent"] = math.floor(cable_a)

    def _send(
        self,
        tx: Transaction,
        event: Payload,
        now: Now,
        durability: Durability,
        record: Payload | None,
        *,
        while_gated: bool = False,
    ) -> None:
        self._desk.send(
            "TransactionEvent", event, now, durability, while_gated=while_gated,
            save=Save("transaction", str(tx.evse_id), record),
        )  # fmt: skip


def _phases(view: EvseView, report: EvseReport, now: Now) -> int | None:
    """Of an AC EVSE, by its meter's currents; None = not known."""
    reading = fresh_meter(report, now)
    if view.is_dc or reading is None:
        return None
    used = sum(1 for current_a in reading.value.current_a if abs(current_a) >= PHASE_A)
    return used or None
