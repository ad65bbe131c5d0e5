"""A station's hardware and a battery for session tests: demand in, offers out."""

from __future__ import annotations

from dataclasses import dataclass, field

from chargerd.model import VehicleOffer, VehiclePhase, VehicleState
from chargerd.vehicle.iso15118.secc.station import (
    Energy,
    Ratings,
    Setup,
    Station,
    station,
)
from firmware_bridge.api import (
    InsulationReading,
    MeterReading,
    PilotReading,
    PilotState,
    Reading,
    StageMode,
    StageReading,
    Telemetry,
)

TICK_S = 0.05
RATINGS = Ratings(
    voltage_min_v=150.0,
    voltage_max_v=500.0,
    charge_max_a=60.0,
    discharge_max_a=40.0,
    charge_max_w=20_000.0,
    discharge_max_w=10_000.0,
    ac_phases=3,
    ac_max_a=32.0,
)
SETUP = Setup(
    "DE*ABC*E1", RATINGS, (Energy.DC, Energy.AC), meter_id="M1", utc_offset_s=1e9
)


@dataclass(slots=True)
class Plant:
    """Mutable: tests break one thing and go on. Voltages in V, currents in A."""

    now: float = 1_000.0
    setup: Setup = SETUP
    pilot: PilotState = PilotState.B
    locked: bool = False
    dc_closed: bool = False
    stage_v: float = 0.0
    current_a: float = 0.0
    ohm: float | None = 1e6
    warning: bool = False
    alarm: bool = False
    battery_v: float = 380.0
    ev_closed: bool = False
    energise: bool = True
    fault_stop: bool = False
    both_ways: bool = True
    emergency_stop: bool = False
    charge_a: float = 50.0
    discharge_a: float = -30.0
    setpoint_a: float = 20.0
    meter_wh: float = 5_000.0
    broken: set[str] = field(default_factory=set)  # lock, stage, contactor, silent...

    def step(self, state: VehicleState, dt_s: float = TICK_S) -> VehicleOffer:
        """Move as `state` demands; what the station then tells."""
        self.now += dt_s
        demand, phase = state.demand, state.phase
        if "lock" not in self.broken:
            self.locked = demand.lock
        if "contactor" not in self.broken:
            self.dc_closed = demand.close_dc
        preparing = phase in (VehiclePhase.CABLE_CHECK, VehiclePhase.PRECHARGE)
        target = demand.voltage_v if preparing and self.energise else 0.0
        self.current_a = 0.0
        live = self.ev_closed and self.dc_closed
        if live:
            self.stage_v = self.battery_v
            energy = phase is VehiclePhase.ENERGY and self.energise
            if energy and state.limits is not None:
                asked = state.limits.requested_a
                top = state.limits.charge_a if asked is None else asked
                self.current_a = min(max(self.setpoint_a, -30.0), top)
        elif "stage_voltage" not in self.broken:
            step_v = 2_000.0 * dt_s
            self.stage_v += max(-step_v, min(step_v, target - self.stage_v))
        return self.offer()

    def offer(self) -> VehicleOffer:
        now, broken = self.now, self.broken
        pilot = PilotReading(
            self.pilot,
            duty=0.05,
            dc_closed=self.dc_closed,
            emergency_stop=self.emergency_stop,
            safe_state="safe_state" in broken,
            locked=self.locked,
        )
        stage = StageReading(self.stage_v, self.current_a, StageMode.CHARGE, True)
        insulation = InsulationReading(
            self.ohm,
            warning=self.warning,
            alarm=self.alarm,
            device_fault="insulation_device" in broken,
        )
        return VehicleOffer(
            at_mono=now - (2.0 if "silent" in broken else 0.0),
            energise=self.energise,
            charge_a=self.charge_a if self.energise else 0.0,
            discharge_a=self.discharge_a if self.energise else 0.0,
            setpoint_a=self.setpoint_a,
            voltage_max_v=500.0,
            voltage_min_v=150.0,
            fault_stop=self.fault_stop,
            both_ways=self.both_ways,
            telemetry=Telemetry(
                pilot=None if "pilot" in broken else Reading(pilot, now),
                stage=None if "stage" in broken else Reading(stage, now),
                meter=Reading(MeterReading(0.0, self.meter_wh, 0.0), now),
                insulation=(
                    None if "insulation" in broken else Reading(insulation, now)
                ),
            ),
        )

    def view(self) -> Station:
        return station(self.setup, self.offer(), self.now)
