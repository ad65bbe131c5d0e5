"""Which meter values an event or a message carries: SampledDataCtrlr, AlignedDataCtrlr
and, in a V2X mode, V2XChargingCtrlr.

Owns the intervals of Energy.*.Interval: each series of values has its own last one.
Sends nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from chargerd.clock import Now
from chargerd.model import EvseReport
from chargerd.ocpp.blocks.desk import Desk, EvseView
from chargerd.ocpp.blocks.metering import Interval, fresh_meter, meter_value
from chargerd.ocpp.blocks.watch import Watch
from chargerd.ocpp.effects import Payload
from chargerd.ocpp.table import TABLE
from chargerd.ocpp.variable import split
from firmware_bridge.api import MeterReading

SAMPLED, ALIGNED = "SampledDataCtrlr", "AlignedDataCtrlr"
OF_MODES = frozenset(  # variables that V2XChargingCtrlr has for an operation mode
    (row.variable, row.instance)
    for row in TABLE
    if row.component == "V2XChargingCtrlr" and row.instance
)


@dataclass(frozen=True, slots=True)
class Last:
    """Where a series stood at its last value."""

    counted_wh: tuple[float, float]
    leapt_wh: tuple[float, float]
    meter: MeterReading
    wish_wh: float


class Readings:
    """The values of one station's EVSEs."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._last: dict[tuple[str, int], Last] = {}

    def sampled(
        self,
        variable: str,
        view: EvseView,
        report: EvseReport,
        mode: str,
        context: str,
        now: Now,
    ) -> Payload | None:
        """By SampledDataCtrlr's list `variable`, "" mode = outside a transaction."""
        names = self.sampled_names(variable, mode, view.config.id)
        return meter_value(report, names, context, now, location=_place(view))

    def periodic(
        self, variable: str, view: EvseView, report: EvseReport, watch: Watch, now: Now
    ) -> Payload | None:
        """A value of a series: it also says what passed since the one before."""
        mode = watch.tx.mode if watch.tx else ""
        names = self.sampled_names(variable, mode, view.config.id)
        interval = self._interval(SAMPLED + variable, view, report, watch, now)
        return meter_value(
            report, names, "Sample.Periodic", now,
            interval=interval, location=_place(view),
        )  # fmt: skip

    def aligned(
        self,
        variable: str,
        view: EvseView,
        report: EvseReport,
        watch: Watch,
        at_utc: datetime,
        now: Now,
    ) -> Payload | None:
        """A value on the grid of AlignedDataCtrlr."""
        names = self.aligned_names(variable)
        interval = self._interval(ALIGNED + variable, view, report, watch, now)
        return meter_value(
            report, names, "Sample.Clock", now, at_utc,
            interval=interval, location=_place(view),
        )  # fmt: skip

    def triggered(self, view: EvseView, report: EvseReport, now: Now) -> Payload | None:
        """For TriggerMessage MeterValues (F06.FR.06)."""
        names = self.aligned_names("Measurands")
        return meter_value(report, names, "Trigger", now, location=_place(view))

    def begin(self, view: EvseView, report: EvseReport, watch: Watch, now: Now) -> None:
        """A transaction starts: its series count from here."""
        for variable in ("TxUpdatedMeasurands", "TxEndedMeasurands"):
            self._interval(SAMPLED + variable, view, report, watch, now)

    def sampled_names(self, variable: str, mode: str, evse_id: int) -> list[str]:
        """And, in a V2X mode, that mode's own (2.1, table of V2XChargingCtrlr)."""
        if not self._desk.model.flag(SAMPLED, "Enabled"):
            return []
        names = self._desk.model.members(SAMPLED, variable)
        if (variable, mode) in OF_MODES:
            extra = self._desk.model.text("V2XChargingCtrlr", variable, mode, evse_id)
            names += [name for name in split(extra) if name not in names]
        return names

    def aligned_names(self, variable: str) -> list[str]:
        if not self._desk.model.flag(ALIGNED, "Enabled"):
            return []
        return self._desk.model.members(ALIGNED, variable)

    def _interval(
        self, series: str, view: EvseView, report: EvseReport, watch: Watch, now: Now
    ) -> Interval | None:
        """From the last value of the series to this one, which becomes the last."""
        snap = report.snapshot
        reading, counted = fresh_meter(report, now), snap.counted_wh
        if reading is None or counted is None:
            return None
        meter, key = reading.value, (series, view.config.id)
        this = Last(counted, snap.leapt_wh, meter, watch.wish_wh)
        last, self._last[key] = self._last.get(key), this
        if last is None:
            return None
        import_wh = counted[0] - last.counted_wh[0]
        export_wh = counted[1] - last.counted_wh[1]
        if import_wh < 0.0 or export_wh < 0.0:
            return None
        wish_wh = watch.wish_wh - last.wish_wh
        if this.leapt_wh != last.leapt_wh:  # then nobody has judged the others
            return Interval(import_wh, export_wh, wish_wh)
        return Interval(
            import_wh,
            export_wh,
            wish_wh,
            _grown(last.meter.import_varh, meter.import_varh),
            _grown(last.meter.export_varh, meter.export_varh),
        )


def _grown(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def _place(view: EvseView) -> str:
    """Our meters are at the mains: of a DC EVSE that is its inlet."""
    return "Inlet" if view.is_dc else "Outlet"
