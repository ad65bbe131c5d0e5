"""One EVSE of the rig: its devices, its plant and the vehicle at its connector. Pure.

`step` moves everything by some milliseconds and hands back the bytes and frames that
leave on the wires. Must never reach for a clock or a wire itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from hil.ev.base import Ev, Given, Seen
from hil.rig import infy, isocha, sdm630, sdm630ev
from hil.rig.bench import EvseBench, Limits
from hil.rig.faults import WIRE_KINDS, Faults, RigError
from hil.rig.infy import Infy
from hil.rig.isocha import IsoCha
from hil.rig.mcu import Inputs, Mcu
from hil.rig.plant import Drive, Plant, Source
from hil.rig.sdm630 import Sdm630
from hil.rig.sdm630ev import Sdm630Ev

CEILING_MARGIN = 1.02  # what a measurement may be off before it counts as exceeding
MAINS_MIN_V = 50.0
ISLAND_A_PER_S = 10_000.0  # a made voltage follows its load at once

MCU_KINDS: Mapping[str, str] = {
    **WIRE_KINDS,
    "reboot": "resets now: outputs off, silent for a moment, then its safe state",
    "diode": "the vehicle's pilot diode is missing (seen while PWM is on)",
    "cp_short": "the pilot is short to earth",
    "pilot_invalid": "the pilot voltage is out of range",
    "pp_invalid": "the proximity resistor is out of range",
    "emergency_stop": "the button is pressed",
    "rcm": "the residual-current monitor tripped",
    "lock_jammed": "the connector lock does not move",
    "temperature": "the contact is at `celsius` (default 110); from 100 the MCU stops",
}
VEHICLE_KINDS: Mapping[str, str] = {
    "silent": "no frame of the vehicle arrives",
    "comm_loss": "the CAN wire is cut, both ways",
    "bus_off": "the adapter refuses every frame",
}
CONTACTOR_KINDS: Mapping[str, str] = {
    "dc_weld": "the DC contactor does not open",
    "dc_stuck_open": "the DC contactor does not close",
    "ac_weld": "the AC contactor does not open",
    "ac_stuck_open": "the AC contactor does not close",
}
MAINS_KINDS: Mapping[str, str] = {
    "off": "this EVSE's breaker, behind its meter, has tripped",
}
CABLE_LIMIT_PP = 3  # 32 A, for vehicles that use the pilot


@dataclass(slots=True)
class Grid:
    """The grid connection and the house behind it: values all EVSEs share."""

    frequency_hz: float
    voltage_v: float
    house_load_w: float
    relay: bool = False  # fitted
    relay_open: bool = False
    island_v: float = 0.0  # what an EVSE makes behind the open relay

    @property
    def house_v(self) -> float:
        return self.island_v if self.relay_open else self.voltage_v

    @property
    def load_w(self) -> float:
        """What the house takes: nothing without voltage."""
        return self.house_load_w if self.house_v > MAINS_MIN_V else 0.0


@dataclass(frozen=True, slots=True)
class Outbox:
    """What leaves on the wires after a step."""

    mcu: bytes = b""
    vehicle: tuple[tuple[int, bytes], ...] = ()


class EvseRig:
    """`event(name, **facts)` is told what happens, for the trace."""

    def __init__(
        self,
        bench: EvseBench,
        limits: Limits,
        grid: Grid,
        seed: int,
        now: float,
        event: Callable[..., None],
    ) -> None:
        self.id = bench.id
        self.v2g = bench.v2g
        self.limits = limits
        self.grid = grid
        signing = bench.meter.model == "sdm630ev"
        self.faults = {
            name: Faults(f"evse{bench.id}-{name}", kinds)
            for name, kinds in (
                ("mcu", MCU_KINDS),
                ("stage", infy.KINDS),
                ("vehicle", VEHICLE_KINDS),
                ("insulation", isocha.KINDS),
                ("meter", sdm630ev.KINDS if signing else sdm630.KINDS),
                ("reader", WIRE_KINDS),
                ("contactor", CONTACTOR_KINDS),
                ("mains", MAINS_KINDS),
            )
        }
        self.plant = Plant()
        self.mcu = Mcu(bench.mcu, now)
        self.stage = Infy(bench.stage, self.faults["stage"], now)
        self.insulation = IsoCha(
            bench.insulation, self.faults["insulation"], seed + 1, now
        )
        counted = {
            "refresh_s": bench.meter.refresh_s,
            "import_kwh": 812.0 + bench.id,
            "export_kwh": 345.0 + bench.id,
        }
        self.meter = (
            Sdm630Ev(self.faults["meter"], seed + 2, f"BENCH-{bench.id}", **counted)
            if signing
            else Sdm630(self.faults["meter"], seed + 2, **counted)
        )
        self.ev: Ev | None = None
        self.given = Given()
        self.ceiling_hit = ""
        self.pulled_under_load = 0
        self.island_load_w = 0.0  # what all others would take from our island
        self.island_trips = 0
        self._tripped = False
        self._event = event

    # -- the vehicle ------------------------------------------------------------

    def plug_in(self, ev: Ev) -> None:
        if self.ev is not None:
            raise RigError(
                f"connector {self.id} has a vehicle ({self.ev.kind}); plug_out first"
            )
        self.ev = ev

    def plug_out(self) -> bool:
        """Pull the connector, whatever flows; True if it was under load or locked."""
        if self.ev is None:
            raise RigError(f"connector {self.id} has no vehicle")
        loaded = abs(self.plant.current_a) > 1.0 or abs(self.plant.outlet_w) > 100.0
        self.pulled_under_load += loaded
        self.ev.unplugged()
        self.ev = None
        self.given = Given()
        return loaded or self.mcu.locked

    def waiting(self) -> bool:
        """A vehicle is plugged and no power flows yet."""
        idle = not (self.plant.dc.closed or self.plant.ac.closed)
        return self.ev is not None and idle

    def can(self, ident: int, data: bytes, now: float) -> None:
        """A frame from the station on the vehicle's bus."""
        if self.ev is not None and not self.faults["vehicle"].deaf:
            self.ev.can(ident, data, now)

    # -- time -------------------------------------------------------------------

    @property
    def mains(self) -> bool:
        live = self.grid.house_v > MAINS_MIN_V
        return live and "off" not in self.faults["mains"]

    def step(self, now: float, dt_s: float) -> Outbox:
        """Move by `dt_s`; what leaves on the MCU's and the vehicle's wire."""
        plant = self.plant
        if self.ev is not None:
            self.given = self.ev.step(now, dt_s, self._seen())
        given = self.given
        self.mcu.inputs = self._inputs(given)
        mcu_out = self.mcu.step(now)
        self._move_contactors(dt_s)
        self._sense()
        self.stage.step(now)
        source = Source(given.contactor_closed, given.emf_v, given.resistance_ohm)
        drive = self._feed(self.stage.drive(now))
        powered = self.mains or self.forming
        plant.step(dt_s, drive, source, given.ac_power_w, powered)
        self._check_ceiling()
        self._measure(now, dt_s)
        frames = () if self.faults["vehicle"].mute else given.frames
        return Outbox(mcu_out, frames)

    @property
    def forming(self) -> bool:
        """This stage makes the house's voltage."""
        return self.stage.measured.island and not self._tripped

    def _feed(self, drive: Drive) -> Drive:
        """In an island the loads say what flows, the setpoint what may. Too much of it
        and the voltage is gone until the firmware lets a new island begin."""
        if not self.mcu.island:
            self._tripped = False
        if not (self.forming and drive.on and drive.discharge):
            return drive
        plant = self.plant
        volts = max(plant.connector_v, 1.0)
        dc_w = (self.island_load_w + plant.IDLE_W + plant.AUX_W) / (
            1.0 - plant.LOSS_RATIO
        )
        if dc_w / volts > drive.current_a:
            self._tripped = True
            self.island_trips += 1
            self._event("island_tripped", load_w=round(self.island_load_w, 1))
            return Drive()
        return replace(drive, current_a=dc_w / volts, ramp_a_per_s=ISLAND_A_PER_S)

    @property
    def feeds(self) -> bool:
        """There is voltage at the house from here now."""
        joined = self.plant.dc.closed and self.given.contactor_closed
        return self.forming and joined and self.stage.setpoint.on

    def _seen(self) -> Seen:
        plant, mcu = self.plant, self.mcu
        return Seen(
            pilot_duty=mcu.duty,
            d1=mcu.d1,
            d2=mcu.d2,
            locked=mcu.locked,
            dc_voltage_v=plant.connector_v,
            dc_current_a=plant.current_a,
            ac_live=plant.ac.closed and self.mains,
            ac_power_w=plant.outlet_w,
        )

    def _inputs(self, given: Given) -> Inputs:
        faults, plant = self.faults["mcu"], self.plant
        pilot_cable = self.ev is not None and not given.proximity
        warm_c = 25.0 + 0.004 * plant.current_a**2
        return Inputs(
            pilot=given.pilot_state,
            pp=7 if "pp_invalid" in faults else CABLE_LIMIT_PP if pilot_cable else 0,
            proximity=given.proximity,
            permission=given.permission,
            dc_closed=plant.dc.closed,
            ac_closed=plant.ac.closed,
            emergency_stop="emergency_stop" in faults,
            rcm_tripped="rcm" in faults,
            diode_fault="diode" in faults,
            cp_short="cp_short" in faults,
            pilot_invalid="pilot_invalid" in faults,
            lock_jammed="lock_jammed" in faults,
            grid_open=self.grid.relay_open if self.grid.relay else None,
            line_alive=self.grid.voltage_v > MAINS_MIN_V,
            house_alive=self.grid.house_v > MAINS_MIN_V,
            temperature_c=faults.number("temperature", "celsius", 110.0)
            if "temperature" in faults
            else warm_c,
        )

    def _move_contactors(self, dt_s: float) -> None:
        faults, plant, mcu = self.faults["contactor"], self.plant, self.mcu
        free = not self.ceiling_hit
        for name, contactor, command, amps in (
            ("dc", plant.dc, mcu.close_dc, plant.current_a),
            ("ac", plant.ac, mcu.close_ac, plant.outlet_w / 230.0),
        ):
            contactor.welded = f"{name}_weld" in faults
            contactor.stuck_open = f"{name}_stuck_open" in faults
            if contactor.step(command and free, dt_s, amps):
                self._event(
                    "contactor",
                    contactor=name,
                    closed=contactor.closed,
                    current_a=round(amps, 3),
                    safe_state=mcu.safe,
                )

    def _sense(self) -> None:
        seen, plant = self.stage.measured, self.plant
        seen.voltage_v, seen.current_a = plant.output_v, plant.current_a
        seen.line_v, seen.frequency_hz = self.grid.house_v, self.grid.frequency_hz
        seen.island = self.mcu.island
        seen.ac_w = plant.ac_w - plant.outlet_w - plant.AUX_W
        seen.mains = self.mains
        seen.ambient_c = 75.0 if "over_temperature" in self.faults["stage"] else 30.0

    def _check_ceiling(self) -> None:
        """The bench's own limits: exceeding them opens the contactors for good."""
        plant, top = self.plant, self.limits
        for what, value, limit in (
            ("voltage_v", abs(plant.connector_v), top.voltage_v),
            ("current_a", abs(plant.current_a), top.current_a),
            ("power_w", abs(plant.power_w), top.power_w),
        ):
            if value > limit * CEILING_MARGIN and not self.ceiling_hit:
                self.ceiling_hit = f"{what} {value:.1f} over the bench's {limit:.1f}"
                self._event("ceiling_hit", text=self.ceiling_hit)

    def phases_w(self) -> tuple[float, float, float]:
        """True AC power per phase: the stage on all three, the outlet on L1."""
        third = (self.plant.ac_w - self.plant.outlet_w) / 3
        return third + self.plant.outlet_w, third, third

    def _measure(self, now: float, dt_s: float) -> None:
        grid = self.grid
        self.meter.step(
            now, dt_s, self.phases_w(), grid.house_v, grid.frequency_hz
        )  # fmt: skip
        self.insulation.step(now, self.ev is not None, self.plant.connector_v)
