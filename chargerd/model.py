"""Values that everybody shares: frozen, neutral, with units in their names.

Owns no behaviour but reading itself, imports no door. Positive power = into the vehicle
(charge, grid import), negative = discharge. Times end in `_mono` or `_utc`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, IntEnum

from chargerd.clock import Now
from chargerd.model_grid import Curve, GridRulesRequest
from chargerd.model_vehicle import (
    CertificateAnswer,
    CertificateHash,
    CertificateQuestion,
    Contract,
    DataLink,
    EnergySchedule,
    Greeting,
    Promise,
    Revocable,
    SchedulePart,
    VehicleDemand,
    VehicleDoor,
    VehicleLimits,
    VehicleNeeds,
    VehicleOffer,
    VehiclePhase,
    VehiclePlan,
    VehicleSchedule,
    VehicleState,
)
from firmware_bridge.api import Telemetry

__all__ = [  # of model_grid.py and model_vehicle.py; what is defined here needs no list
    "CertificateAnswer",
    "CertificateHash",
    "CertificateQuestion",
    "Contract",
    "Curve",
    "DataLink",
    "EnergySchedule",
    "Greeting",
    "GridRulesRequest",
    "Promise",
    "Revocable",
    "SchedulePart",
    "VehicleDemand",
    "VehicleDoor",
    "VehicleLimits",
    "VehicleNeeds",
    "VehicleOffer",
    "VehiclePhase",
    "VehiclePlan",
    "VehicleSchedule",
    "VehicleState",
]


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
    CENTRAL = 35  # a central system that is to come before all other setpoints
    SETPOINT = 30  # OCPP, OpenADR, IEEE 2030.5, S2
    HOME = 20  # ECHONET Lite, HEMS
    LOCAL = 10  # MQTT, CLI
    YIELDING = 5  # gives way to every other wish


@dataclass(frozen=True, slots=True)
class Band:
    """Power at the connection, W: beyond a threshold it is brought to the target."""

    low_w: float
    low_to_w: float
    high_w: float
    high_to_w: float


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
    band: Band | None = None  # the same, only where it is left
    setpoint_var: float | None = None  # reactive power, + = as a coil takes it
    curve_step: float = 0.0  # a smaller change of the curve's x is none
    sleep: bool = False  # Idle with the power stage off
    # Made on the site (>= 0). It bounds nothing: the CSMS's limits rise by it.
    generation_w: float | None = None


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


@dataclass(frozen=True, slots=True)
class Token:
    """An identity as read. `kind` is an OCPP IdTokenEnumType value; never logged."""

    value: str = field(repr=False)
    kind: str = "ISO14443"
    group: str = field(default="", repr=False)
    details: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # of a payment


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
    REQ_ENERGY_TRANSFER_REJECTED = "ReqEnergyTransferRejected"
    OTHER = "Other"


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


NEVER_S = 1.0e6  # the age of what was never heard


@dataclass(frozen=True, slots=True)
class SiteState:
    """The grid connection as seen now. `export_limit_w` <= 0."""

    import_limit_w: float
    export_limit_w: float
    discharge_permitted: bool  # grid code, utility and owner all said yes
    permit: str = ""  # which permit, for the record
    others_w: float = 0.0  # house load plus the other EVSEs at most, signed
    others_least_w: float | None = None  # the same at least; None = `others_w`
    meter_age_s: float | None = None  # None: no site meter; NEVER_S: not heard yet
    meter_delay_s: float = 0.0  # what a reading is older than its stamp, at most
    meter_mono: float = 0.0  # of the reading that `grid_w` rests on
    grid_w: float | None = None  # at the connection once all commands are obeyed
    frequency_hz: float | None = None
    frequency_age_s: float = 0.0
    voltage_v: float | None = None  # the highest phase to neutral
    voltage_low_v: float | None = None  # the lowest
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
    at_utc: datetime | None = None
    asleep: bool = False  # the power stage is off, as asked


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
    reserve_up_w: float = 0.0  # of `up_w` and `down_w`, kept free for a reserve
    reserve_down_w: float = 0.0


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
    leapt_wh: tuple[float, float] = (0.0, 0.0)  # of import and export, never flowed

    @property
    def counted_wh(self) -> tuple[float, float] | None:
        """The meter's import and export register, to be compared with those of another
        time: without what never flowed. What is told as a register is as read."""
        if self.telemetry.meter is None:
            return None
        meter = self.telemetry.meter.value
        in_wh, out_wh = self.leapt_wh
        return meter.import_wh - in_wh, meter.export_wh - out_wh


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
class ResumeRequest:
    """Take up a session that a restart of the daemon interrupted. Without a token it
    was not authorised. Nothing happens where another session has begun."""

    evse_id: int
    session_id: str
    token: Token | None
    plugged_utc: datetime | None = None
    discharge_allowed: bool = True
    remote_start_id: int | None = None
    energy_in_wh: float = 0.0
    energy_out_wh: float = 0.0
    connect_s: float = 60.0  # its vehicle may come back within this time


@dataclass(frozen=True, slots=True)
class KeepRequest:
    """How long an authorised session waits for its vehicle when the plug is pulled;
    None: it ends. `evse_id` 0 = all."""

    evse_id: int
    connect_s: float | None


@dataclass(frozen=True, slots=True)
class AvailabilityRequest:
    """Takes effect when no session runs; `evse_id` 0 = the whole station."""

    evse_id: int
    operative: bool


@dataclass(frozen=True, slots=True)
class FrequencyTest:
    """A frequency in the place of the measured one, as a lease; None ends it."""

    evse_id: int
    hertz: float | None
    until_mono: float


@dataclass(frozen=True, slots=True)
class DischargePermission:
    """May the vehicle of the session that runs be discharged? From now on."""

    evse_id: int
    allowed: bool


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
class DriverLimits:
    """Where the driver wants a session's energy to stop; None = no such limit."""

    energy_wh: float | None = None  # into the vehicle
    time_s: float | None = None
    soc_pct: float | None = None
    cost: float | None = None  # in the tariff's currency


@dataclass(frozen=True, slots=True)
class PaymentDone:
    """What became of an order to a payment terminal."""

    psp_ref: str = field(repr=False)
    status: str = "Settled"  # or Canceled, Rejected, Failed
    receipt_url: str = ""
    receipt_id: str = ""
    order: str = ""  # which one, "" = the one that stands


@dataclass(frozen=True, slots=True)
class DisplayText:
    """A text for drivers. `evse_id` 0 = for all; `kind`: "tariff", "cost", "total",
    "message", "web_payment", "receipt"."""

    evse_id: int
    kind: str
    content: str
    format: str = "UTF8"  # or ASCII, HTML, URI, QRCODE
    language: str = ""  # RFC 5646, "" = not said


@dataclass(frozen=True, slots=True)
class FaultNotice:
    """A door reports a fault by name, present or gone."""

    evse_id: int
    name: str
    present: bool
    info: str = ""


@dataclass(frozen=True, slots=True)
class ResetRequest:
    """Restart of the daemon (`evse_id` 0), or of one EVSE without one.

    Immediate ends the sessions that run; else it waits until none does.
    """

    evse_id: int = 0
    immediate: bool = False


@dataclass(frozen=True, slots=True)
class IslandRequest:
    """Feed the house while the grid is away, where that does not begin by itself."""

    evse_id: int = 0


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
    | ResumeRequest
    | KeepRequest
    | AvailabilityRequest
    | UnlockRequest
    | PromiseRequest
    | FaultNotice
    | ResetRequest
    | IslandRequest
    | VehicleCertificate
    | VehicleSchedule
    | GridRulesRequest
    | DischargePermission
    | FrequencyTest
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
