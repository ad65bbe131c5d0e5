"""Values that everybody shares: frozen, neutral, with units in their names.

Owns no behaviour but reading itself, imports no door. Positive power = into the vehicle
(charge, grid import), negative = discharge. Times end in `_mono` or `_utc`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, IntEnum
from typing import Literal, Protocol

from chargerd.clock import Now
from firmware_bridge.api import Telemetry


class OperationMode(Enum):
    """OCPP 2.1 OperationModeEnumType, the field's words for who decides the power."""

    IDLE = "Idle"
    CHARGING_ONLY = "ChargingOnly"
    CENTRAL_SETPOINT = "CentralSetpoint"
    EXTERNAL_SETPOINT = "ExternalSetpoint"
    EXTERNAL_LIMITS = "ExternalLimits"
    CENTRAL_FREQUENCY = "CentralFrequency"
    LOCAL_FREQUENCY = "LocalFrequency"
    LOCAL_LOAD_BALANCING = "LocalLoadBalancing"


class Priority(IntEnum):
    """Dispatch signals by rank, refs: arbitration stage 7. Higher wins, then newer."""

    EMERGENCY = 50
    RESERVE = 40  # aFRR, LFC
    SETPOINT = 30  # OCPP, OpenADR, IEEE 2030.5, S2
    HOME = 20  # ECHONET Lite, HEMS
    LOCAL = 10  # MQTT, CLI


@dataclass(frozen=True, slots=True)
class Curve:
    """Power over Hz, over a signal's number, or over V. Points ascend in x, W signed.

    Straight between two points, flat outside them. Two points with the same x are a
    step: the later one holds at x.
    """

    kind: Literal["frequency", "signal", "voltage"]
    points: tuple[tuple[float, float], ...]

    def at(self, x: float) -> float:
        """The power at `x`; of an empty curve, or for NaN, 0 W."""
        if not self.points or x != x:
            return 0.0
        x0, w0 = self.points[0]
        if x < x0:
            return w0
        for x1, w1 in self.points:
            if x < x1:
                return w0 + (w1 - w0) * (x - x0) / (x1 - x0)
            x0, w0 = x1, w1
        return w0


@dataclass(frozen=True, slots=True)
class Segment:
    """What a signal asks from `start_mono` on. None = says nothing about it.

    `limit_w` >= 0 and `discharge_limit_w` <= 0 are caps; the others are wishes. With a
    `curve`, `setpoint_w` is the baseline that the curve's power is added to.
    """

    start_mono: float
    mode: OperationMode
    setpoint_w: float | None = None
    limit_w: float | None = None
    discharge_limit_w: float | None = None
    curve: Curve | None = None
    signal: float | None = None  # x of a "signal" curve, e.g. aFRR's number
    follow_w: float | None = None  # LocalLoadBalancing: power wished at the connection
    setpoint_var: float | None = None  # reactive power, + = as a coil takes it


@dataclass(frozen=True, slots=True)
class DispatchSignal:
    """A grid request: newest per (source, evse_id), dead after `valid_until_mono`.

    `evse_id` 0 = the whole station. Segments are in order of start; the last one runs
    to `valid_until_mono`.
    """

    source: str  # "ocpp.tx", "ocpp.site", "mqtt", "cli"
    evse_id: int
    priority: Priority
    segments: tuple[Segment, ...]
    received_mono: float
    valid_until_mono: float

    def at(self, now_mono: float) -> Segment | None:
        """The segment in force, None before the first and after the end."""
        if now_mono >= self.valid_until_mono:
            return None
        current = None
        for segment in self.segments:
            if segment.start_mono > now_mono:
                break
            current = segment
        return current


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
    """The central system's EXI, to be passed on unchanged; None = it has none."""

    number: int
    exi: bytes | None = field(repr=False)


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
    data_link: DataLink = DataLink.ABSENT


@dataclass(frozen=True, slots=True)
class SchedulePart:
    """What may flow and what it costs from `start_mono` on. None = no price known."""

    start_mono: float
    charge_w: float  # >= 0
    discharge_w: float  # <= 0
    buy_per_kwh: float | None = None
    sell_per_kwh: float | None = None


@dataclass(frozen=True, slots=True)
class EnergySchedule:
    """Parts in order of start, the last one to `until_mono`; at the AC terminals."""

    parts: tuple[SchedulePart, ...]
    until_mono: float
    currency: str = ""  # ISO 4217; "" = no prices


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
    promise: Promise | None = None  # the driver told the station, not the vehicle


class VehicleDoor(Protocol):
    """A vehicle protocol's shell. `offer` and `state` never wait."""

    def offer(self, offer: VehicleOffer) -> None: ...
    def state(self) -> VehicleState: ...
    async def run(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Token:
    """An identity as read. `kind` is an OCPP IdTokenEnumType value; never logged."""

    value: str = field(repr=False)
    kind: str = "ISO14443"
    group: str = field(default="", repr=False)


class SessionPhase(Enum):
    """Plug-in to plug-out."""

    IDLE = "idle"  # nothing plugged in
    CONNECTED = "connected"  # plugged, waiting for authorisation
    STARTING = "starting"  # authorised, power path not closed yet
    ENERGY = "energy"  # power path closed
    SUSPENDED_EV = "suspended_ev"  # the vehicle takes a break
    SUSPENDED_EVSE = "suspended_evse"  # the station takes a break
    STOPPING = "stopping"
    FINISHED = "finished"  # over, still plugged in


class StopReason(Enum):
    """Why a session ended; values are OCPP 2.x ReasonEnumType."""

    LOCAL = "Local"
    REMOTE = "Remote"
    EV_DISCONNECTED = "EVDisconnected"
    STOPPED_BY_EV = "StoppedByEV"
    DEAUTHORIZED = "DeAuthorized"
    EMERGENCY_STOP = "EmergencyStop"
    IMMEDIATE_RESET = "ImmediateReset"
    POWER_LOSS = "PowerLoss"
    REBOOT = "Reboot"
    TIMEOUT = "Timeout"
    MASTER_PASS = "MasterPass"  # noqa: S105 - an OCPP reason, not a password
    GROUND_FAULT = "GroundFault"
    OVERCURRENT_FAULT = "OvercurrentFault"
    OTHER = "Other"


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
class Session:
    """Plug-in to plug-out on one connector. `id` is "" in IDLE."""

    evse_id: int
    connector_id: int = 1
    phase: SessionPhase = SessionPhase.IDLE
    id: str = ""
    plugged_utc: datetime | None = None
    token: Token | None = None  # who started it
    stop_token: Token | None = None
    authorised: bool = False
    discharge_authorised: bool = True  # Authorize may forbid V2X transfer
    remote_start_id: int | None = None
    stop_reason: StopReason | None = None
    promise: Promise | None = None
    energy_in_wh: float = 0.0  # into the vehicle since plug-in, AC side
    energy_out_wh: float = 0.0


@dataclass(frozen=True, slots=True)
class SiteState:
    """The grid connection as seen now. `export_limit_w` <= 0."""

    import_limit_w: float
    export_limit_w: float
    discharge_permitted: bool  # grid code, utility and owner all said yes
    permit: str = ""  # which permit, for the record
    others_w: float = 0.0  # house load plus the other EVSEs at most, signed
    others_least_w: float | None = None  # the same at least; None = `others_w`
    meter_age_s: float | None = None  # None: no site meter fitted
    meter_delay_s: float = 0.0  # what a reading is older than its stamp, at most
    meter_mono: float = 0.0  # of the reading that `grid_w` rests on
    grid_w: float | None = None  # at the connection once all commands are obeyed
    frequency_hz: float | None = None
    frequency_age_s: float = 0.0
    voltage_v: float | None = None  # the highest phase to neutral
    ramp_w_per_s: float = 1.0e9


@dataclass(frozen=True, slots=True)
class Reason:
    """One stage's word in a decision. `won` marks those that shaped the result."""

    stage: str  # "safety", "vehicle", "grid", "der", "site", "promise", "dispatch", ...
    source: str  # "chademo.200", "config.site.export_w", "ocpp.tx"
    low_w: float
    high_w: float
    wish_w: float | None = None
    won: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """The power for one EVSE at its AC terminals, and why. A lease."""

    evse_id: int
    at_mono: float
    valid_until_mono: float
    power_w: float  # after ramp and envelope: what goes to the wire
    wanted_w: float  # before ramp and envelope
    low_w: float
    high_w: float
    mode: OperationMode
    source: str  # who won
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Flexibility:
    """What an EVSE could do from now on, beside what it does. All magnitudes, AC side.

    `up` = more into the grid (charge less, discharge more), `down` = more out of it.
    Energies count until `until_mono` and leave the promise whole.
    """

    evse_id: int
    at_mono: float
    up_w: float
    down_w: float
    up_wh: float
    down_wh: float
    until_mono: float  # departure, or infinity
    reasons: tuple[str, ...] = ()  # what bounds it: "promise", "config.site", ...


@dataclass(frozen=True, slots=True)
class ActiveFault:
    """A fault from the one table (chargerd.faults) that is present now."""

    name: str
    evse_id: int  # 0 = station
    since_utc: datetime
    info: str = ""  # the measured value, for the technician


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything one tick of one EVSE may know. Never changes during the tick."""

    now: Now
    evse_id: int
    telemetry: Telemetry
    vehicle: VehicleState
    session: Session
    site: SiteState
    signals: tuple[DispatchSignal, ...] = ()
    faults: tuple[ActiveFault, ...] = ()
    operative: bool = True  # ChangeAvailability


@dataclass(frozen=True, slots=True)
class EvseReport:
    """What each tick tells its readers (OCPP, local API): one way, no answer."""

    snapshot: Snapshot
    decision: Decision
    previous_power_w: float = 0.0
    flexibility: Flexibility | None = None  # made each second, None before the first


# Requests into the heart: values in a bounded inbox, drained at the start of a tick.


@dataclass(frozen=True, slots=True)
class TokenRead:
    """A token was presented for one of `evse_ids` (any of them may take it)."""

    evse_ids: tuple[int, ...]
    token: Token


@dataclass(frozen=True, slots=True)
class Authorisation:
    """The answer about a token, from the central system or offline rules."""

    evse_id: int
    token: Token
    accepted: bool
    discharge_allowed: bool = True
    info: str = ""
    connect_s: float | None = None  # to plug in from now; None = the session's default


@dataclass(frozen=True, slots=True)
class StartRequest:
    """Start without a reader: remote start, CLI. `authorised` skips the question."""

    evse_id: int
    token: Token
    remote_start_id: int | None = None
    authorised: bool = True
    connect_s: float | None = None  # as in Authorisation


@dataclass(frozen=True, slots=True)
class StopRequest:
    evse_id: int
    reason: StopReason


@dataclass(frozen=True, slots=True)
class AvailabilityRequest:
    """Takes effect when no session runs; `evse_id` 0 = the whole station."""

    evse_id: int
    operative: bool


@dataclass(frozen=True, slots=True)
class UnlockRequest:
    evse_id: int
    connector_id: int


@dataclass(frozen=True, slots=True)
class PromiseRequest:
    """The owner's wish: `soc_pct` at `departure_mono`; None clears the promise."""

    evse_id: int
    departure_mono: float | None
    soc_pct: float = 0.0
    floor_soc_pct: float | None = None


@dataclass(frozen=True, slots=True)
class FaultNotice:
    """A door reports a fault by name, present or gone."""

    evse_id: int
    name: str
    present: bool
    info: str = ""


@dataclass(frozen=True, slots=True)
class ResetRequest:
    """Restart of the daemon. `evse_id` 0 = all; scheduled waits for sessions to end."""

    evse_id: int = 0
    immediate: bool = False


@dataclass(frozen=True, slots=True)
class VehicleCertificate:
    """What the central system answered to a vehicle's certificate question."""

    evse_id: int
    answer: CertificateAnswer


Request = (
    TokenRead
    | Authorisation
    | StartRequest
    | StopRequest
    | AvailabilityRequest
    | UnlockRequest
    | PromiseRequest
    | FaultNotice
    | ResetRequest
    | VehicleCertificate
)


@dataclass(frozen=True, slots=True)
class AuthQuestion:
    """The heart asks whoever can say: may this token start (or stop) a session?

    `contract`: the token is the eMAID of this contract (Plug & Charge).
    """

    evse_id: int
    token: Token
    contract: Contract | None = None


@dataclass(frozen=True, slots=True)
class CertificateAsk:
    """A vehicle's question for the central system; answered by VehicleCertificate."""

    evse_id: int
    question: CertificateQuestion
