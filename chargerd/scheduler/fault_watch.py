"""What is wrong with one EVSE, tick by tick: causes, doubts, contactors, notices.

Holds what the judges of `chargerd/evse` have to remember, and what is present now.
Decides no power and ends no session: it says what asks for that.
"""

from __future__ import annotations

from chargerd import config
from chargerd.clock import Now
from chargerd.evse import causes, faultset, plausibility, registers, wear
from chargerd.model import FaultNotice, VehicleState
from chargerd.scheduler.blackout import Place
from chargerd.scheduler.surroundings import Surroundings
from firmware_bridge.api import StageSetpoint, Telemetry


class FaultWatch:
    """The memory; `look` is called once a tick."""

    def __init__(
        self,
        evse: config.Evse,
        fitted: causes.Fitted,
        started_mono: float,
        worn: wear.Wear,
        counted: registers.State,
    ) -> None:
        self._evse_id, self._fitted = evse.id, fitted
        self._efficiency = evse.efficiency
        self._closings_max = evse.closings_per_hour
        self._started_mono = started_mono
        self._plausible = plausibility.State()
        ac_w = evse.ac_current_max_a * evse.ac_voltage_v * evse.ac_phases
        self._most_w = max(evse.charge_w, evse.discharge_w, ac_w)
        self.registers = counted
        self._contactor = causes.Watch()
        self._excess_mono: float | None = None
        self.faults = faultset.EMPTY
        self.notices: dict[str, str] = {}  # what others have found: name -> measured
        self.wear = worn

    @property
    def doubts_meter(self) -> bool:
        return self._plausible.wrong_mono is not None

    def notice(self, notice: FaultNotice) -> None:
        """A fault reported by name, present or gone."""
        if notice.present:
            self.notices[notice.name] = notice.info
        else:
            self.notices.pop(notice.name, None)

    def look(
        self,
        now: Now,
        telemetry: Telemetry,
        vehicle: VehicleState,
        told: StageSetpoint,
        closed: tuple[bool, bool],
        around: Surroundings,
        *,
        unplugged: bool,
    ) -> None:
        """`told` and `closed` (DC, AC): what the last tick commanded."""
        up_s = now.mono - self._started_mono
        found = causes.find(telemetry, vehicle, self._fitted, up_s, now.mono)
        if up_s >= causes.GRACE_S:
            found.update(self._doubts(telemetry, closed[1], now.mono))
        found.update(self._wrong(telemetry, told, closed, now.mono))
        self.registers = registers.step(self.registers, telemetry.meter, self._most_w)
        if self.registers.note:
            found["MeterLeap"] = self.registers.note
        if around.place is not Place.GRID:
            found.pop("PowerLoss", None)  # that is what the island is for
        found.update(self.notices)
        self.faults = faultset.step(
            self.faults,
            found,
            self._evse_id,
            now,
            station=around.station_faults,
            unplugged=unplugged,
            reset=around.reset,
        )

    def _doubts(
        self, telemetry: Telemetry, ac_closed: bool, now_mono: float
    ) -> dict[str, str]:
        ac_flows = ac_closed or not self._fitted.stage
        stage = None if ac_flows else telemetry.stage
        self._plausible, doubts = plausibility.step(
            self._plausible, telemetry.meter, stage, self._efficiency, now_mono
        )
        return doubts

    def _wrong(
        self,
        telemetry: Telemetry,
        told: StageSetpoint,
        closed: tuple[bool, bool],
        now_mono: float,
    ) -> dict[str, str]:
        """Contactors and stage that do other than they are told, or too often."""
        found: dict[str, str] = {}
        self._contactor, wrong = causes.contactor(
            self._contactor, closed, telemetry, now_mono
        )
        if wrong:
            found["EVSEContactorFault"] = wrong
        self._excess_mono, wrong = causes.runaway(
            self._excess_mono, told, telemetry, now_mono
        )
        if wrong:
            found["OverCurrentFailure"] = wrong
        self.wear = wear.step(self.wear, any(closed), now_mono)
        if len(self.wear.closings_mono) > self._closings_max:
            most, total = self._closings_max, self.wear.total
            found["ContactorWear"] = f"more than {most} in an hour, {total} in all"
        return found
