"""What a resource manager tells its CEM unasked: measurements, what the vehicle can do,
its state of charge, what the promise needs, which mode is on.

Pure. Says only what has changed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from chargerd.clock import Now
from chargerd.config import Evse
from chargerd.config_grid_servers import S2
from chargerd.grid import s2_words as words
from chargerd.grid.readings import fresh
from chargerd.grid.s2_words import Able, Json, Words
from chargerd.model import EvseReport

POWER_STEP_W = 100.0  # what the vehicle can do is told in steps
DESCRIBE_S = 10.0  # and at most so often
SOC_STEP_PCT = 0.5
AFTER_S = 3600.0  # a promise's state of charge is to hold after the departure


class Teller:
    """Of one EVSE."""

    def __init__(self, config: S2, evse: Evse, made: Words) -> None:
        self._config, self._evse, self._words = config, evse, made
        self._measure_mono = 0.0
        self.forget()

    def forget(self) -> None:
        """A new CEM, or a new control type: all is told anew."""
        self.able: Able | None = None  # as it was told last
        self._soc_pct: float | None = None
        self._mode = ("", -1.0)
        self._promise: tuple[float, float, float] | None = None
        self._describe_mono = 0.0

    def tick(
        self,
        report: EvseReport,
        mode: tuple[str, float] | None,
        now: Now,
        *,
        storage: bool,
    ) -> Iterator[Json]:
        """`storage`: FRBC is selected; `mode` is the active instruction's."""
        if now.mono >= self._measure_mono:
            self._measure_mono = now.mono + self._config.every_s
            meter = fresh(report.snapshot.telemetry.meter, report.snapshot.now.mono)
            if meter is not None:
                yield self._words.measurement(meter.power_w, now.utc)
        if storage:
            yield from self._storage(report, now)
            mode = mode or (words.IDLE, 0.0)
            if mode != self._mode:
                yield self._words.actuator(*mode)
                self._mode = mode

    def _storage(self, report: EvseReport, now: Now) -> Iterator[Json]:
        able = self._able(report)
        told = self.able
        came_or_left = told is None or (able.soc_pct is None) != (told.soc_pct is None)
        if came_or_left or now.mono >= self._describe_mono:
            self._describe_mono = now.mono + DESCRIBE_S
            if came_or_left or _differs(able, told):
                yield self._words.system(able, now.utc)
                self.able = able
        soc_pct = able.soc_pct
        if soc_pct is None:
            return
        if self._soc_pct is None or abs(soc_pct - self._soc_pct) >= SOC_STEP_PCT:
            yield self._words.storage(soc_pct)
            self._soc_pct = soc_pct
        yield from self._target(report, now)

    def _target(self, report: EvseReport, now: Now) -> Iterator[Json]:
        promise = report.snapshot.session.promise
        if promise is None:
            return
        target_pct = promise.target_soc_pct
        if promise.reachable_soc_pct is not None:
            target_pct = min(target_pct, promise.reachable_soc_pct)
        found = (round(promise.departure_mono), promise.floor_soc_pct, target_pct)
        left_s = promise.departure_mono - now.mono
        if found != self._promise and 1.0 < left_s < math.inf:
            self._promise = found
            parts = [(left_s, promise.floor_soc_pct), (AFTER_S, target_pct)]
            yield self._words.target(parts, now.utc)

    def _able(self, report: EvseReport) -> Able:
        """What may be asked, without what the promise needs."""
        vehicle, flexibility = report.snapshot.vehicle, report.flexibility
        charge_w, discharge_w = self._evse.charge_w, self._evse.discharge_w
        if flexibility is not None:
            power_w = report.decision.power_w
            charge_w = min(charge_w, max(0.0, flexibility.down_w + power_w))
            discharge_w = min(discharge_w, max(0.0, flexibility.up_w - power_w))
        return Able(
            charge_w // POWER_STEP_W * POWER_STEP_W,
            discharge_w // POWER_STEP_W * POWER_STEP_W,
            vehicle.soc_pct if vehicle.capacity_wh else None,
            vehicle.capacity_wh,
        )


def _differs(one: Able, other: Able | None) -> bool:
    """The state of charge has a message of its own."""
    return other is None or (one.charge_w, one.discharge_w, one.capacity_wh) != (
        other.charge_w,
        other.discharge_w,
        other.capacity_wh,
    )
