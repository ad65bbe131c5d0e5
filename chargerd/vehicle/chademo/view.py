"""Everything one turn of the sequence may know, as one frozen value.

Owns the rule that stale telemetry is absent telemetry. Decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from chargerd.config import Chademo
from chargerd.model import VehicleOffer
from chargerd.vehicle.chademo.peer import Peer
from chargerd.vehicle.chademo.steps import Times
from firmware_bridge.api import InsulationReading, PilotReading, Reading, StageReading

OFFER_MAX_AGE_S = 1.0
TELEMETRY_MAX_AGE_S = 1.0  # when the offer was made
INSULATION_MAX_AGE_S = 3.0  # such a monitor is polled about once a second

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ratings:
    """The EVSE's DC side: V and A, both currents as magnitudes."""

    voltage_min_v: float
    voltage_max_v: float
    charge_max_a: float
    discharge_max_a: float


def fresh(reading: Reading[T] | None, max_age_s: float, now_mono: float) -> T | None:
    """The value, or None when it is absent or older than `max_age_s`."""
    if reading is None or reading.age_s(now_mono) > max_age_s:
        return None
    return reading.value


@dataclass(frozen=True, slots=True)
class View:
    """One turn's inputs; `pilot`, `stage`, `insulation` are None when stale."""

    now_mono: float
    offer: VehicleOffer
    peer: Peer
    config: Chademo
    ratings: Ratings
    times: Times
    pilot: PilotReading | None
    stage: StageReading | None
    insulation: InsulationReading | None
    joined: bool  # our contactor is closed: the stage sees the connector
    energy_mono: float  # since when power may flow
    bus_failing: bool
    station_silent: bool  # no offer for OFFER_MAX_AGE_S

    @property
    def sensed(self) -> bool:
        """Somebody measures the connector itself, whatever our contactor does."""
        return self.config.voltage_sense == "connector"

    @property
    def connector_v(self) -> float | None:
        """Voltage where the vehicle is; None: nobody sees it now."""
        if self.joined and self.stage is not None:
            return self.stage.voltage_v
        if self.sensed and self.insulation is not None:
            return self.insulation.voltage_v
        return None

    @property
    def current_a(self) -> float:
        """Measured DC current, positive into the vehicle; 0 when unknown."""
        return self.stage.current_a if self.stage else 0.0

    @property
    def voltage_v(self) -> float:
        """Measured output voltage of the stage; 0 when unknown."""
        return self.stage.voltage_v if self.stage else 0.0

    @property
    def locked(self) -> bool:
        return self.pilot is not None and self.pilot.locked is True

    @property
    def plugged(self) -> bool:
        return self.pilot is not None and self.pilot.chademo_proximity

    @property
    def unplugged(self) -> bool:
        """Known to be pulled; a silent pilot proves nothing."""
        return self.pilot is not None and not self.pilot.chademo_proximity

    @property
    def v2h(self) -> bool:
        """109.4.0: both sides can; fixed for the session with the first 102."""
        able = self.config.discharge and self.ratings.discharge_max_a > 0.0
        return able and self.peer.v2h

    @property
    def full(self) -> bool:
        """200.7 is reached: no more charging, discharging goes on."""
        return self.v2h and self.peer.charge_full()

    @property
    def endless(self) -> bool:
        """101's time does not end this session."""
        return self.config.endless_discharge and self.v2h

    @property
    def left_s(self) -> float | None:
        """What is left of 101's time; None = the vehicle gave none."""
        return self.peer.time_left_s(self.energy_mono, self.now_mono)

    @property
    def time_over(self) -> bool:
        return not self.endless and self.left_s is not None and self.left_s <= 0.0

    @property
    def available_v(self) -> float:
        """108.1-2: our highest voltage now."""
        offered_v, rated_v = self.offer.voltage_max_v, self.ratings.voltage_max_v
        return min(rated_v, offered_v) if offered_v > 0.0 else rated_v

    @property
    def threshold_v(self) -> float:
        """108.4-5: the smaller of the battery's maximum and our own."""
        battery_v = self.peer.battery_max_v
        return min(self.available_v, battery_v) if battery_v else self.available_v

    @property
    def ceiling_v(self) -> float:
        """Where charging ends: the target voltage, never above the threshold."""
        target_v = self.peer.status.target_voltage_v if self.peer.status else 0.0
        return min(self.threshold_v, target_v) if target_v else self.threshold_v

    @property
    def lower_v(self) -> float:
        """208.6-7: below this the station stops discharging."""
        return max(self.ratings.voltage_min_v, self.peer.battery_min_v)

    def below(self, volts: float) -> bool:
        """The output, and the connector where seen, are below `volts`."""
        if self.stage is None or self.stage.voltage_v >= volts:
            return False
        if self.connector_v is None:
            return not self.sensed
        return self.connector_v < volts
