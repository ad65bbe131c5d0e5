"""The electrical plant of one EVSE: stage, contactors, cable, battery, AC side. Pure.

Solved algebraically in steps of a few milliseconds, so no step size is unstable. Signs:
positive current and power flow into the vehicle and out of the grid. Keeps the true
energies every simulated meter is judged by; must never round them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

WS_PER_WH = 3600.0
UNDER_LOAD_A = 5.0  # CHAdeMO: current is below 5 A before a contactor opens
INRUSH_V = 20.0  # closing onto more than this is counted


@dataclass(frozen=True, slots=True)
class Drive:
    """What the power stage does now: magnitudes, direction in `discharge`."""

    on: bool = False
    discharge: bool = False
    voltage_v: float = 0.0  # charge: ceiling; discharge: cut-off
    current_a: float = 0.0  # limit, magnitude, already derated
    ramp_a_per_s: float = 100.0
    power_max_w: float = 22_000.0


@dataclass(frozen=True, slots=True)
class Source:
    """The vehicle as the cable sees it."""

    closed: bool = False  # its contactor
    emf_v: float = 0.0
    resistance_ohm: float = 0.1


class Contactor:
    """A contactor with its travel times; a welded one does not open."""

    CLOSE_S = 0.025
    OPEN_S = 0.015

    def __init__(self) -> None:
        self.closed = False
        self.welded = False
        self.stuck_open = False
        self.operations = 0
        self.breaks_under_load = 0
        self.last_break_a = 0.0
        self._travel_s = 0.0

    def step(self, command: bool, dt_s: float, current_a: float) -> bool:
        """Move towards `command`; True when it changed in this step."""
        free = not self.stuck_open if command else not self.welded
        if command == self.closed or not free:
            self._travel_s = 0.0
            return False
        self._travel_s += dt_s
        if self._travel_s < (self.CLOSE_S if command else self.OPEN_S) - 1e-9:
            return False
        self.closed = command
        self._travel_s = 0.0
        self.operations += 1
        if not command and abs(current_a) > UNDER_LOAD_A:
            self.breaks_under_load += 1
            self.last_break_a = current_a
        return True


@dataclass(slots=True)
class Energies:
    """True energies in Wh. `inrush_wh` is what a battery pushed into the capacitor."""

    ac_import_wh: float = 0.0
    ac_export_wh: float = 0.0
    dc_charge_wh: float = 0.0  # through the connector into the vehicle
    dc_discharge_wh: float = 0.0  # positive magnitude
    ac_path_wh: float = 0.0  # through the AC outlet into the vehicle, signed
    loss_wh: float = 0.0
    inrush_wh: float = 0.0


class Plant:
    """State of one EVSE's power circuit."""

    CAPACITANCE_F = 500e-6
    ACTIVE_BLEED_S = 0.15  # stage off: 505 V to under 10 V in 0.6 s, as measured
    PASSIVE_BLEED_S = 0.5  # stage on, set lower than the output stands
    CABLE_BLEED_S = 0.05
    IDLE_W = 90.0
    LOSS_RATIO = 0.055
    STANDBY_W = 15.0
    AUX_W = 8.0  # controller, MCU, contactor coils: before the breaker

    def __init__(self) -> None:
        self.dc = Contactor()
        self.ac = Contactor()
        self.energies = Energies()
        self.output_v = 0.0  # at the stage
        self.connector_v = 0.0
        self.current_a = 0.0  # through the connector
        self.stage_w = 0.0  # DC power leaving the stage
        self.ac_w = 0.0  # at the meter, stage and outlet together
        self.outlet_w = 0.0
        self.inrush_count = 0
        self.vehicle_breaks_under_load = 0
        self._ramped_a = 0.0
        self._discharge = False
        self._joined = False

    @property
    def power_w(self) -> float:
        """DC power through the connector."""
        return self.connector_v * self.current_a

    def step(
        self, dt_s: float, drive: Drive, source: Source, outlet_w: float, mains: bool
    ) -> None:
        """Advance by `dt_s`; `outlet_w` is what the on-board charger wants on AC."""
        if dt_s <= 0:
            return
        if not mains:
            drive = Drive()
        before_ws = self._stored_ws()
        gift_ws = spark_ws = bled_ws = 0.0
        joined = self.dc.closed and source.closed
        if joined and not self._joined:
            gift_ws, spark_ws = self._join(source)
        elif self._joined and not joined and self.dc.closed:
            self._vehicle_broke()
        self._joined = joined
        if joined:
            met_ws = self._stored_ws()
            self._solve(dt_s, drive, source)
            if not drive.on:  # only the battery can move the capacitor then
                gift_ws += self._stored_ws() - met_ws
        else:
            self.current_a = 0.0
            self._ramped_a = 0.0
            bled_ws = self._float(dt_s, drive)
        self._connector(dt_s, source)
        self.outlet_w = outlet_w if mains and self.ac.closed else 0.0
        stored_ws = self._stored_ws() - before_ws
        stage_ws = self.power_w * dt_s + stored_ws + bled_ws + spark_ws - gift_ws
        self.stage_w = stage_ws / dt_s
        own_w = self.STANDBY_W if mains else 0.0
        if drive.on:
            own_w = self.IDLE_W + self.LOSS_RATIO * abs(self.stage_w)
        own_w += self.AUX_W
        self.ac_w = self.stage_w + own_w + self.outlet_w
        self.energies.loss_wh += (own_w * dt_s + bled_ws + spark_ws) / WS_PER_WH
        self.energies.inrush_wh += gift_ws / WS_PER_WH
        self._account(dt_s)

    def _stored_ws(self) -> float:
        return 0.5 * self.CAPACITANCE_F * self.output_v**2

    def _join(self, source: Source) -> tuple[float, float]:
        """The output meets the battery: Ws the battery gave, Ws lost in the spark."""
        rise_v = source.emf_v - self.output_v
        if abs(rise_v) > INRUSH_V:
            self.inrush_count += 1
        self.output_v = source.emf_v
        gift_ws = self.CAPACITANCE_F * rise_v * source.emf_v
        return gift_ws, 0.5 * self.CAPACITANCE_F * rise_v**2

    def _vehicle_broke(self) -> None:
        if abs(self.current_a) > UNDER_LOAD_A:
            self.vehicle_breaks_under_load += 1

    def _solve(self, dt_s: float, drive: Drive, source: Source) -> None:
        """Stage and battery in one loop: current, and the voltage both see."""
        if drive.discharge != self._discharge:
            self._ramped_a = 0.0
        self._discharge = drive.discharge
        if not drive.on:
            self._ramped_a = self.current_a = 0.0
            self.output_v = source.emf_v
            return
        step_a = drive.ramp_a_per_s * dt_s
        wanted_a = min(drive.current_a, self._power_limit_a(drive, source))
        low_a, high_a = self._ramped_a - step_a, self._ramped_a + step_a
        limit_a = min(max(wanted_a, low_a), high_a)
        resistance = max(source.resistance_ohm, 1e-3)
        if drive.discharge:
            room_a = (source.emf_v - drive.voltage_v) / resistance
        else:
            room_a = (drive.voltage_v - source.emf_v) / resistance
        amount_a = max(0.0, min(limit_a, room_a))
        self._ramped_a = amount_a
        self.current_a = -amount_a if drive.discharge else amount_a
        self.output_v = source.emf_v + self.current_a * resistance

    def _power_limit_a(self, drive: Drive, source: Source) -> float:
        """The current at which the stage's DC terminals carry its rated power."""
        emf_v, resistance = source.emf_v, max(source.resistance_ohm, 1e-3)
        if emf_v <= 0:
            return 0.0
        sign = -1.0 if drive.discharge else 1.0
        under = emf_v**2 + 4 * sign * resistance * drive.power_max_w
        if under < 0:  # the battery cannot give that much
            return emf_v / (2 * resistance)
        return abs((-emf_v + math.sqrt(under)) / (2 * resistance))

    def _float(self, dt_s: float, drive: Drive) -> float:
        """No battery on the output: charge or bleed the capacitor; Ws bled."""
        before_ws, volts = self._stored_ws(), self.output_v
        if drive.on and drive.discharge:
            fall_v = drive.current_a / self.CAPACITANCE_F * dt_s
            self.output_v = max(0.0, volts - fall_v)
            return 0.0
        if drive.on and drive.voltage_v >= volts:
            rise_v = drive.current_a / self.CAPACITANCE_F * dt_s
            self.output_v = min(drive.voltage_v, volts + rise_v)
            return 0.0
        constant_s = self.PASSIVE_BLEED_S if drive.on else self.ACTIVE_BLEED_S
        floor_v = drive.voltage_v if drive.on else 0.0
        self.output_v = max(floor_v, volts * math.exp(-dt_s / constant_s))
        return before_ws - self._stored_ws()

    def _connector(self, dt_s: float, source: Source) -> None:
        if self.dc.closed:
            self.connector_v = self.output_v
        elif source.closed:
            self.connector_v = source.emf_v
        else:
            self.connector_v *= math.exp(-dt_s / self.CABLE_BLEED_S)

    def _account(self, dt_s: float) -> None:
        """Book one step: AC in = connector out + losses + capacitor - inrush."""
        books, hours = self.energies, dt_s / WS_PER_WH
        books.ac_import_wh += max(0.0, self.ac_w) * hours
        books.ac_export_wh += max(0.0, -self.ac_w) * hours
        books.dc_charge_wh += max(0.0, self.power_w) * hours
        books.dc_discharge_wh += max(0.0, -self.power_w) * hours
        books.ac_path_wh += self.outlet_w * hours
