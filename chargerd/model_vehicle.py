"""What is said with a vehicle's door: state, demand and contract in, the offer out.

Part of `chargerd.model`, and imported from there: frozen, neutral, without behaviour.
Positive power = into the vehicle. Times end in `_mono` or `_utc`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from firmware_bridge.api import Telemetry


class VehiclePhase(Enum):
    """Where the vehicle's protocol stands, in the words all protocols share."""

    NONE = "none"  # no vehicle, or no communication with it
    HANDSHAKE = "handshake"  # talking, connector not yet locked
    CABLE_CHECK = "cable_check"  # insulation test
    PRECHARGE = "precharge"  # matching voltages, contactors closing
    ENERGY = "energy"  # power may flow
    STOPPING = "stopping"  # current to zero, contactors opening, weld check
    PAUSED = "paused"  # the vehicle sleeps, dark; it will take its session up again
    ENDED = "ended"  # over until the connector is pulled or a new start is asked
    FAULT = "fault"  # over, and the reason is a fault


class DataLink(Enum):
    """The power-line link to a vehicle that talks through a modem (ISO 15118-3)."""

    ABSENT = "absent"  # no modem, or none that answers
    UNMATCHED = "unmatched"
    MATCHING = "matching"  # a vehicle is measured, or joins
    READY = "ready"


@dataclass(frozen=True, slots=True)
class VehicleLimits:
    """What the vehicle allows now, DC side. Discharge values are <= 0."""

    at_mono: float
    charge_a: float = 0.0  # >= 0
    discharge_a: float = 0.0  # <= 0
    voltage_max_v: float = 0.0
    voltage_min_v: float = 0.0
    requested_a: float | None = None  # the current the vehicle asks for when charging
    discharge_allowed: bool = False  # the vehicle's own positive permission
    requested_discharge_a: float | None = None  # <= 0; None: it follows what we do
    charge_w: float | None = None  # AC transfer, at the connector; >= 0
    discharge_w: float | None = None  # AC transfer; <= 0


@dataclass(frozen=True, slots=True)
class VehicleNeeds:
    """What the vehicle asks for as a whole. Energies in Wh from now on, into the
    battery; negative: it has too much. None = it said nothing.

    `min_charge_w` >= 0 and `min_discharge_w` <= 0: it cannot do less, but nothing.
    """

    energy: str = ""  # service in use, ISO 15118-20's words: "DC_BPT", "AC", ...
    dynamic: bool = False  # the station sets the power, not the vehicle's schedule
    by_station: bool = False  # the station knows the driver's needs, too
    target_wh: float | None = None
    max_wh: float | None = None
    min_wh: float | None = None
    v2x_max_wh: float | None = None  # between these two it may be cycled
    v2x_min_wh: float | None = None
    target_soc_pct: float | None = None
    min_soc_pct: float | None = None
    max_soc_pct: float | None = None
    min_charge_w: float | None = None
    min_discharge_w: float | None = None
    asked: int = 0  # how often it has asked for a schedule; 0 = it has not, or cannot
    asked_by_station: bool = False  # the last time because the station wanted it
    max_entries: int | None = None  # of a schedule
    energies: tuple[str, ...] = ()  # services it has shown an interest in


@dataclass(frozen=True, slots=True)
class VehiclePlan:
    """What the vehicle is going to take: (start_mono, W) in order, negative = it gives.

    A new plan has a new `number`. Not `own`: it named the station's schedule alone.
    """

    number: int
    parts: tuple[tuple[float, float], ...]
    until_mono: float
    own: bool = True
    option: int = 0  # which schedule it chose


@dataclass(frozen=True, slots=True)
class VehicleDemand:
    """What the vehicle's protocol needs of pins and stage outside ENERGY.

    In ENERGY the scheduler decides the current; `close_dc`, pins and lock stay the
    protocol's. `voltage_v` is the wanted output voltage in CABLE_CHECK and PRECHARGE,
    and the charge ceiling in ENERGY; `cutoff_v` is the floor in discharge.
    """

    d1: bool = False
    d2: bool = False
    lock: bool = False
    close_dc: bool = False
    insulation_on: bool = False
    voltage_v: float = 0.0
    current_a: float = 0.0  # magnitude, for CABLE_CHECK and PRECHARGE only
    cutoff_v: float = 0.0
    close_ac: bool = False  # AC transfer with high-level communication


@dataclass(frozen=True, slots=True)
class CertificateHash:
    """A certificate as OCPP OCSPRequestDataType names it; hashes and serial in hex."""

    algorithm: str  # "SHA256", "SHA384", "SHA512"
    issuer_name_hash: str
    issuer_key_hash: str
    serial: str
    responder_url: str


@dataclass(frozen=True, slots=True)
class Revocable:
    """A certificate, and where its CA tells whether it is revoked."""

    name: CertificateHash
    source: str  # "OCSP" or "CRL"
    urls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract certificate whose key the vehicle has proved to own (Plug & Charge).

    `trusted`: its chain ends at a root of ours; else the central system must judge it.
    """

    emaid: str = field(repr=False)
    chain_pem: str = field(repr=False)  # leaf first
    hashes: tuple[CertificateHash, ...] = ()
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class CertificateQuestion:
    """A vehicle's CertificateInstallationReq or -UpdateReq for the central system.

    `exi` is passed on as it was received. A new question has a new `number`.
    """

    number: int
    schema: str  # namespace, e.g. "urn:iso:15118:2:2013:MsgDef"
    update: bool
    exi: bytes = field(repr=False)
    max_chains: int | None = None  # ISO 15118-20 only
    emaids: tuple[str, ...] = field(default=(), repr=False)  # ISO 15118-20 only


@dataclass(frozen=True, slots=True)
class CertificateAnswer:
    """The central system's EXI, to be passed on; None = it has none. `remaining`: how
    many more contracts wait for the vehicle, None = not said."""

    number: int
    exi: bytes | None = field(repr=False)
    remaining: int | None = None


@dataclass(frozen=True, slots=True)
class Greeting:
    """How a vehicle introduced itself. Protocols as "namespace,major,minor"."""

    agreed: str
    supported: tuple[str, ...]  # the one it likes best comes first
    certificate: bytes = b""  # its own, DER; empty: it showed none


@dataclass(frozen=True, slots=True)
class VehicleState:
    """A vehicle door's whole view, replaced as one value."""

    protocol: str = ""  # "chademo", "iso15118-20", ... ; "" = none
    phase: VehiclePhase = VehiclePhase.NONE
    limits: VehicleLimits | None = None
    demand: VehicleDemand = field(default_factory=VehicleDemand)
    soc_pct: float | None = None
    soc_at_mono: float = 0.0
    capacity_wh: float | None = None
    departure_mono: float | None = None
    vehicle_id: str = ""
    stop_cause: str = ""  # name of the stop cause, "" while running
    faults: frozenset[str] = frozenset()  # names in chargerd.faults
    contract: Contract | None = None  # stays until the session ends
    certificate_question: CertificateQuestion | None = None  # stays until answered
    needs: VehicleNeeds | None = None
    plan: VehiclePlan | None = None
    data_link: DataLink = DataLink.ABSENT
    greeting: Greeting | None = None


@dataclass(frozen=True, slots=True)
class SchedulePart:
    """What may flow and what it costs from `start_mono` on. None = no price known.

    `level`: a price as a rank from 0 (the cheapest), where no money is told.
    """

    start_mono: float
    charge_w: float  # >= 0
    discharge_w: float  # <= 0
    buy_per_kwh: float | None = None
    sell_per_kwh: float | None = None
    level: int | None = None


@dataclass(frozen=True, slots=True)
class EnergySchedule:
    """Parts in order of start, the last one to `until_mono`; at the AC terminals.

    `others`: schedules that the vehicle may choose instead, without others themselves.
    """

    parts: tuple[SchedulePart, ...]
    until_mono: float
    currency: str = ""  # ISO 4217; "" = no prices
    others: tuple[EnergySchedule, ...] = ()

    def option(self, number: int) -> EnergySchedule:
        """The first is 0; beyond the last one it is the first again."""
        chosen = self.others[number - 1 : number] if number > 0 else ()
        return chosen[0] if chosen else self


@dataclass(frozen=True, slots=True)
class VehicleSchedule:
    """The central system's frame for a vehicle; None = it has none. Until
    `awaited_until_mono` a better one may come: a vehicle that asks may wait for it."""

    evse_id: int
    schedule: EnergySchedule | None
    awaited_until_mono: float = 0.0


@dataclass(frozen=True, slots=True)
class Promise:
    """Energy by departure. `target_wh` and `floor_wh` count in the battery."""

    departure_mono: float
    target_soc_pct: float
    floor_soc_pct: float = 0.0
    reachable_soc_pct: float | None = None  # < target when the target is out of reach
    slack_s: float | None = None  # time left before charging must start
    forced: bool = False  # the must-charge line holds the setpoint up now
    by_vehicle: bool = False  # the driver told the vehicle, not the station


@dataclass(frozen=True, slots=True)
class VehicleOffer:
    """What the station tells a vehicle door each tick. DC side; discharge_a <= 0."""

    at_mono: float
    energise: bool = False  # authorised and wanted: start, or keep going
    charge_a: float = 0.0
    discharge_a: float = 0.0
    setpoint_a: float = 0.0  # signed DC current the station is about to drive
    voltage_max_v: float = 0.0
    voltage_min_v: float = 0.0
    fault_stop: bool = False  # stop at once, a fault is present
    telemetry: Telemetry = field(default_factory=Telemetry)
    charge_w: float = 0.0  # AC transfer: bounds and setpoint at the connector
    discharge_w: float = 0.0  # <= 0
    setpoint_w: float = 0.0
    contract_refused: str = ""  # why the contract shown may not be used; "" = not so
    certificate_service: bool = False  # certificate questions can be answered now
    certificate_answer: CertificateAnswer | None = None
    schedule: EnergySchedule | None = None  # None = flat: the live bounds, no prices
    schedule_awaited: bool = False  # a better one is about to come
    promise: Promise | None = None  # the driver told the station, not the vehicle
    both_ways: bool = True  # services that discharge may be used


class VehicleDoor(Protocol):
    """A vehicle protocol's shell. `offer` and `state` never wait."""

    def offer(self, offer: VehicleOffer) -> None: ...
    def state(self) -> VehicleState: ...
    async def run(self) -> None: ...
