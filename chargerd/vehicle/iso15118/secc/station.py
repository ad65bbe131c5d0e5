"""The station as a V2G session sees it at one moment, as one frozen value.

Owns the rule that stale telemetry is absent telemetry. Decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import TypeVar

from chargerd.model import VehicleOffer
from chargerd.vehicle.iso15118.pki import Trust
from firmware_bridge.api import (
    InsulationReading,
    MeterReading,
    PilotReading,
    PilotState,
    Reading,
    StageReading,
)

OFFER_MAX_AGE_S = 1.0
TELEMETRY_MAX_AGE_S = 1.0  # when the offer was made
INSULATION_MAX_AGE_S = 3.0  # such a monitor is polled about once a second
METER_MAX_AGE_S = 3.0

T = TypeVar("T")


class Energy(Enum):
    """Ways to transfer energy. Each protocol maps those it knows to its own names."""

    AC = "AC"
    DC = "DC"
    AC_BPT = "AC_BPT"
    DC_BPT = "DC_BPT"
    MCS = "MCS"  # megawatt connector; ISO 15118-20's DC messages
    MCS_BPT = "MCS_BPT"


class Authorise(Enum):
    """How a driver may authorise."""

    EIM = "EIM"  # card, remote start: by other means than the vehicle
    PNC = "PnC"  # contract certificate


@dataclass(frozen=True, slots=True)
class Ratings:
    """The EVSE's limits for its whole life; all are magnitudes, W on the wire's side.

    `ac_*` are the AC connector's; 0 phases = no AC connector.
    """

    voltage_min_v: float
    voltage_max_v: float
    charge_max_a: float
    discharge_max_a: float
    charge_max_w: float
    discharge_max_w: float
    ac_phases: int = 0
    ac_phase_v: float = 230.0
    ac_max_a: float = 0.0
    ac_frequency_hz: float = 50.0


@dataclass(frozen=True, slots=True)
class Setup:
    """What one EVSE is and offers. `utc_offset_s`: UTC since 1970 at monotonic 0.

    `energies` and `authorise` are in the order in which they are offered.
    `outlet_sensed`: the insulation monitor measures the outlet, not the stage.
    `trust`: roots for contracts; None = Plug & Charge is not offered.
    """

    evse_id: str
    ratings: Ratings
    energies: tuple[Energy, ...]
    authorise: tuple[Authorise, ...] = (Authorise.EIM,)
    free: bool = False
    meter_id: str = ""
    utc_offset_s: float = 0.0
    outlet_sensed: bool = False
    trust: Trust | None = None
    utc_trusted: bool = True  # else the dates of certificates are not judged
    receipt_s: float | None = None  # meter readings are confirmed this often
    standby: bool = True  # -20: a vehicle may rest with its session open
    parking: bool = False  # -20: vehicles may check in and out

    def utc_s(self, now_mono: float) -> int:
        """Seconds since 1970, for stamps only."""
        return max(0, int(self.utc_offset_s + now_mono))

    def utc(self, now_mono: float) -> datetime | None:
        """Now, for the dates of certificates; None while the clock is not trusted."""
        if not self.utc_trusted:
            return None
        return datetime.fromtimestamp(self.utc_s(now_mono), UTC)


def fresh(reading: Reading[T] | None, max_age_s: float, now_mono: float) -> T | None:
    """The value, or None when it is absent or older than `max_age_s`."""
    if reading is None or reading.age_s(now_mono) > max_age_s:
        return None
    return reading.value


@dataclass(frozen=True, slots=True)
class Station:
    """The station at one moment, as a request or a timer sees it.

    Readings are None when absent or stale. Made by `station()` and by nobody else.
    """

    now_mono: float
    setup: Setup
    offer: VehicleOffer
    pilot: PilotReading | None
    stage: StageReading | None
    insulation: InsulationReading | None
    meter: MeterReading | None
    silent: bool  # no offer for OFFER_MAX_AGE_S: our lease has run out

    @property
    def authorised(self) -> bool:
        """The station's own word, now: authorised, wanted and without fault."""
        return self.offer.energise and not self.offer.fault_stop and not self.silent

    @property
    def energised_pilot(self) -> bool:
        """The vehicle shows C or D. An unread pilot shows nothing."""
        states = (PilotState.C, PilotState.D)
        return self.pilot is not None and self.pilot.pilot_state in states

    @property
    def plugged(self) -> bool:
        """The vehicle shows B, C or D."""
        states = (PilotState.B, PilotState.C, PilotState.D)
        return self.pilot is not None and self.pilot.pilot_state in states

    @property
    def locked(self) -> bool:
        """Confirmed by the lock; a connector without a lock is never locked."""
        return self.pilot is not None and self.pilot.locked is True

    @property
    def safe(self) -> bool:
        """No emergency stop, and the MCU has not opened everything by itself."""
        pilot = self.pilot
        return pilot is not None and not (pilot.emergency_stop or pilot.safe_state)

    @property
    def voltage_v(self) -> float:
        """Measured output voltage; 0 when unknown."""
        return self.stage.voltage_v if self.stage else 0.0

    @property
    def current_a(self) -> float:
        """Measured DC current, positive into the vehicle; 0 when unknown."""
        return self.stage.current_a if self.stage else 0.0

    @property
    def charge_a(self) -> float:
        """What may flow into the vehicle now, >= 0."""
        if not self.authorised:
            return 0.0
        return max(0.0, min(self.offer.charge_a, self.setup.ratings.charge_max_a))

    @property
    def discharge_a(self) -> float:
        """What may flow out of the vehicle now, <= 0."""
        if not self.authorised:
            return 0.0
        return min(
            0.0, max(self.offer.discharge_a, -self.setup.ratings.discharge_max_a)
        )

    @property
    def charge_w(self) -> float:
        """DC power that may flow into the vehicle now, >= 0."""
        return min(self.charge_a * self._volts, self.setup.ratings.charge_max_w)

    @property
    def discharge_w(self) -> float:
        """DC power that may flow out of the vehicle now, <= 0."""
        return max(self.discharge_a * self._volts, -self.setup.ratings.discharge_max_w)

    @property
    def ac_charge_w(self) -> float:
        """AC power that may flow into the vehicle now, >= 0."""
        if not self.authorised:
            return 0.0
        return max(0.0, min(self.offer.charge_w, self.setup.ratings.charge_max_w))

    @property
    def ac_discharge_w(self) -> float:
        """AC power that may flow out of the vehicle now, <= 0."""
        if not self.authorised:
            return 0.0
        rated_w = self.setup.ratings.discharge_max_w
        return min(0.0, max(self.offer.discharge_w, -rated_w))

    @property
    def voltage_max_v(self) -> float:
        """The station's highest output voltage now."""
        rated_v, offered_v = self.setup.ratings.voltage_max_v, self.offer.voltage_max_v
        return min(rated_v, offered_v) if offered_v > 0.0 else rated_v

    @property
    def voltage_min_v(self) -> float:
        return max(self.setup.ratings.voltage_min_v, self.offer.voltage_min_v)

    @property
    def _volts(self) -> float:
        """What power is counted with before the output has a voltage: its maximum."""
        return self.voltage_v if self.voltage_v > 50.0 else self.voltage_max_v


def station(setup: Setup, offer: VehicleOffer, now_mono: float) -> Station:
    """The newest offer as a view. An offer nobody renewed counts as no telemetry."""
    silent = now_mono - offer.at_mono > OFFER_MAX_AGE_S
    told, telemetry = offer.at_mono, offer.telemetry
    return Station(
        now_mono=now_mono,
        setup=setup,
        offer=offer,
        pilot=None if silent else fresh(telemetry.pilot, TELEMETRY_MAX_AGE_S, told),
        stage=None if silent else fresh(telemetry.stage, TELEMETRY_MAX_AGE_S, told),
        insulation=None
        if silent
        else fresh(telemetry.insulation, INSULATION_MAX_AGE_S, told),
        meter=None if silent else fresh(telemetry.meter, METER_MAX_AGE_S, told),
        silent=silent,
    )
