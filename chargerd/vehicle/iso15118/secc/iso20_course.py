"""What one ISO 15118-20 session remembers from SessionSetup to its end: values only.

Made new for each session, so that nothing of the last one can count in this one.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from chargerd.model import CertificateQuestion, Contract, VehicleLimits, VehiclePlan
from chargerd.vehicle.iso15118.messages.common import PnC_AReqAuthorizationMode
from chargerd.vehicle.iso15118.messages.common_types import (
    MessageHeader,
    MeterInfo,
    ResponseCode,
    V2GResponse,
)
from chargerd.vehicle.iso15118.messages.xmldsig import Signature
from chargerd.vehicle.iso15118.secc.ac_path import AcPath
from chargerd.vehicle.iso15118.secc.causes import FAULTS, Cause
from chargerd.vehicle.iso15118.secc.dc_steps import DcPath
from chargerd.vehicle.iso15118.secc.flow import RandomBytes
from chargerd.vehicle.iso15118.secc.iso20_graph import SETUP
from chargerd.vehicle.iso15118.secc.iso20_plan import Plan
from chargerd.vehicle.iso15118.secc.iso20_services import Choice
from chargerd.vehicle.iso15118.secc.limits import EvLimits, Window
from chargerd.vehicle.iso15118.secc.quirks import Quirk
from chargerd.vehicle.iso15118.secc.station import Energy, Station
from chargerd.vehicle.iso15118.signature import PublicKey

NO_SESSION = bytes(8)
METERS_KEPT = 20  # readings told lately; a confirmation may be a few loops behind
NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Proof:
    """A contract that the vehicle has shown, and the key that signed for it."""

    contract: Contract
    key: PublicKey
    shown_mono: float
    words: PnC_AReqAuthorizationMode
    seal: Signature  # over `words`


@dataclass(frozen=True, slots=True)
class Paused:
    """What a paused session needs to be taken up again, on a new connection.

    `peer`: the vehicle's TLS certificate, empty without one.
    """

    session_id: bytes
    evccid: str
    peer: bytes = b""
    choice: Choice | None = None
    proof: Proof | None = None


@dataclass(slots=True)
class Standby:
    """The vehicle rests with its contactors closed, and no power flows.

    `had_power`: it could have had some; else it may be woken once there is some.
    """

    had_power: bool


@dataclass(slots=True)
class Course:
    """`path` exists from ServiceSelection on."""

    random: RandomBytes
    fresh_id: bytes
    peer: bytes = b""
    paused: Paused | None = None
    state: str = SETUP
    raw: bytes = b""  # the request's EXI as it was received
    session_id: bytes = NO_SESSION
    evccid: str = ""
    # Authorisation.
    challenge: bytes = b""  # the last one only
    refused: int = 0  # contracts that were not good
    proof: Proof | None = None
    question: CertificateQuestion | None = None  # while it is open
    questions: int = 0
    # Services and power.
    listed: tuple[Energy, ...] = ()  # energy services that the vehicle was told
    able: set[Energy] = field(default_factory=set)  # those it has shown an interest in
    offered: dict[tuple[int, int], Choice] = field(default_factory=dict)
    choice: Choice | None = None
    path: DcPath | AcPath | None = None
    quirks: frozenset[Quirk] = frozenset()
    ev: EvLimits = field(default_factory=EvLimits)
    window: Window = field(default_factory=Window)
    limits: VehicleLimits | None = None
    soc_at_mono: float = 0.0
    capacity_wh: float | None = None
    departure_mono: float | None = None
    plan: Plan | None = None  # the one agreed on, or the first on offer
    plans: tuple[Plan, ...] = ()  # on offer
    asked: int = 0  # how often the vehicle has asked for a schedule
    asking: bool = False  # its question is open
    asked_by_station: bool = False  # the last time because we wanted it
    max_entries: int | None = None
    vehicle_plan: VehiclePlan | None = None
    standby: Standby | None = None
    moved_mono: float = NEVER  # since when the plan is out of date
    confirmed_mono: float | None = None  # newest meter confirmation, or the start
    meters: deque[MeterInfo] = field(default_factory=lambda: deque(maxlen=METERS_KEPT))
    # The end.
    pausing: bool = False  # SessionStop(Pause) was accepted
    renewing: bool = False  # a new service is being chosen: a new path is due
    cause: Cause | None = None
    faults: set[str] = field(default_factory=set)

    def stop(self, cause: Cause) -> None:
        """The session's first cause names its end; the path stops in order."""
        if self.cause is None:
            self.cause = cause
        if cause in FAULTS:
            self.faults.add(FAULTS[cause])
        if self.path is not None:
            self.path.stop(cause)

    def header(self, now: Station) -> MessageHeader:
        return MessageHeader(
            SessionID=self.session_id, TimeStamp=now.setup.utc_s(now.now_mono)
        )

    @property
    def negative(self) -> bool:
        """This vehicle sends discharge limits negative."""
        return Quirk.NEGATIVE_DISCHARGE_LIMITS in self.quirks


@dataclass(frozen=True, slots=True)
class Reply:
    """A handler's yes: the answer, and where it leads (None = the graph's first).

    `open`: `message` is what goes out when nothing better came within `hold_s`.
    """

    message: V2GResponse
    following: str | None = None
    hold_s: float = 0.0
    close: bool = False
    open: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """A handler's no: a FAILED code; `cause` ends the power path."""

    code: ResponseCode
    cause: Cause
