"""Block J: sampled and clock-aligned meter values (J01, J02).

Owns when a value is due; which ones it has is `readings.py`, how one reaches the CSMS
within a transaction `transactions.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime

from chargerd.clock import Now
from chargerd.model import EvseReport
from chargerd.ocpp.blocks.block import Block
from chargerd.ocpp.blocks.desk import Desk, EvseView
from chargerd.ocpp.blocks.readings import ALIGNED, OF_MODES, SAMPLED, Readings
from chargerd.ocpp.blocks.transaction import Transaction
from chargerd.ocpp.blocks.transactions import Transactions
from chargerd.ocpp.blocks.watch import Watch
from chargerd.ocpp.effects import Payload
from chargerd.ocpp.table.metering import signs
from chargerd.ocpp.table.row import Place

DAY_S = 86_400.0
LONGEST_STEP_S = 5.0  # between two reports; more says nothing about the setpoint


class Sampling(Block):
    def __init__(
        self, desk: Desk, transactions: Transactions, readings: Readings
    ) -> None:
        self._desk = desk
        self._transactions = transactions
        self._readings = readings
        self._due_s: dict[str, float] = {}  # AlignedDataCtrlr: next grid time, POSIX
        # The last sample of a transaction, by variable and transaction.
        self._sampled_mono: dict[tuple[str, str], float] = {}

    def observe(self, view: EvseView, report: EvseReport, now: Now) -> None:
        """Count what following the setpoint exactly would move."""
        watch = self._transactions.watches[view.config.id]
        step_s = now.mono - watch.wish_mono
        if 0.0 < step_s <= LONGEST_STEP_S:
            watch.wish_wh += report.decision.wanted_w * step_s / 3600.0
        watch.wish_mono = now.mono

    def on_second(self, now: Now) -> None:
        self._tell_keys()
        running = list(self._transactions.running())
        ids = {tx.id for _, _, _, tx in running}
        self._sampled_mono = {
            key: mono for key, mono in self._sampled_mono.items() if key[1] in ids
        }
        for view, report, watch, tx in running:
            self._sample(view, report, watch, tx, now)
        for variable in ("Interval", "TxEndedInterval"):
            at_utc = self._grid_time(variable, now)
            if at_utc is not None:
                self._aligned(variable, at_utc, now)

    def _tell_keys(self) -> None:
        """The public keys of meters that sign, as they tell them."""
        for evse_id, view in self._desk.evses.items():
            told = view.report.snapshot.telemetry.signed if view.report else None
            if told is not None and signs(Place(self._desk.config, view.config)):
                self._desk.model.update(
                    "FiscalMetering", "PublicKey", told.value.public_key, evse_id
                )

    # Sampled.

    def _sample(
        self,
        view: EvseView,
        report: EvseReport,
        watch: Watch,
        tx: Transaction,
        now: Now,
    ) -> None:
        ended_s = self._every_s("TxEndedInterval", tx)
        if self._is_due("TxEndedInterval", tx, ended_s, now):
            value = self._readings.periodic(
                "TxEndedMeasurands", view, report, watch, now
            )
            if value:
                tx.keep(value)
        updated_s = self._every_s("TxUpdatedInterval", tx)
        if self._is_due("TxUpdatedInterval", tx, updated_s, now):
            value = self._readings.periodic(
                "TxUpdatedMeasurands", view, report, watch, now
            )
            if value:
                self._transactions.sample(view, watch, "MeterValuePeriodic", value, now)

    def _every_s(self, variable: str, tx: Transaction) -> int:
        """The operation mode's own interval, where it has one."""
        model = self._desk.model
        if (variable, tx.mode) in OF_MODES:
            own = model.text("V2XChargingCtrlr", variable, tx.mode, tx.evse_id)
            if int(own):
                return int(own)
        return model.number(SAMPLED, variable)

    def _is_due(self, variable: str, tx: Transaction, every_s: int, now: Now) -> bool:
        """Counted from the start of the transaction, without drift."""
        key = variable, tx.id
        last = self._sampled_mono.setdefault(key, now.mono - tx.age_s(now.mono))
        if not every_s:
            self._sampled_mono[key] = now.mono
            return False
        late_s = now.mono - last - every_s
        if late_s < 0.0:
            return False
        self._sampled_mono[key] = now.mono - (late_s if late_s < every_s else 0.0)
        return True

    # Clock-aligned.

    def _grid_time(self, variable: str, now: Now) -> datetime | None:
        """The grid time that has just come, counted from midnight UTC."""
        every_s = self._desk.model.number(ALIGNED, variable)
        if not every_s:
            self._due_s.pop(variable, None)
            return None
        now_s = now.utc.timestamp()
        due_s = self._due_s.get(variable, math.inf)
        midnight_s = now_s - now_s % DAY_S
        steps = math.floor((now_s - midnight_s) / every_s) + 1
        self._due_s[variable] = midnight_s + min(steps * every_s, DAY_S)
        if due_s <= now_s < due_s + every_s:
            return datetime.fromtimestamp(due_s, UTC)
        return None

    def _aligned(self, variable: str, at_utc: datetime, now: Now) -> None:
        only_idle = self._desk.model.flag(ALIGNED, "SendDuringIdle")
        busy = any(watch.tx for watch in self._transactions.watches.values())
        if only_idle and busy and variable == "Interval":
            return  # J01.FR.20: the variable is the whole station's
        for view, report, watch in self._wanted():
            tx = watch.tx
            if variable == "TxEndedInterval":
                if tx is not None:
                    value = self._readings.aligned(
                        "TxEndedMeasurands", view, report, watch, at_utc, now
                    )
                    if value:
                        tx.keep(value)
                continue
            value = self._readings.aligned(
                "Measurands", view, report, watch, at_utc, now
            )
            if value is None:
                continue
            if tx is None:
                self._message(view.config.id, value, now)
            else:
                self._transactions.sample(view, watch, "MeterValueClock", value, now)

    def _wanted(self) -> Iterator[tuple[EvseView, EvseReport, Watch]]:
        for evse_id, view in self._desk.evses.items():
            if view.report is not None:
                yield view, view.report, self._transactions.watches[evse_id]

    def _message(self, evse_id: int, value: Payload, now: Now) -> None:
        self._desk.send(
            "MeterValues",
            {"evseId": evse_id, "meterValue": [value]},
            now,
            self._desk.queue_class(),
        )
