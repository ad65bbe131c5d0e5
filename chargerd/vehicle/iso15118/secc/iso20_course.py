"""What one ISO 15118-20 session remembers from SessionSetup to its end: values only.

Made new for each session, so that nothing of the last one can count in this one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from chargerd.model import VehicleLimits
from chargerd.vehicle.iso15118.messages.common_types import (
    EvseNotification,
    MessageHeader,
    ResponseCode,
    V2GResponse,
)
from chargerd.vehicle.iso15118.secc.ac_path import AcPath
from chargerd.vehicle.iso15118.secc.causes import FAULTS, Cause
from chargerd.vehicle.iso15118.secc.dc_steps import DcPath
from chargerd.vehicle.iso15118.secc.iso20_graph import SETUP
from chargerd.vehicle.iso15118.secc.iso20_services import Choice
from chargerd.vehicle.iso15118.secc.limits import EvLimits, Window
from chargerd.vehicle.iso15118.secc.quirks import Quirk
from chargerd.vehicle.iso15118.secc.station import Station

NO_SESSION = bytes(8)


@dataclass(frozen=True, slots=True)
class Paused:
    """What a paused session needs to be taken up again, on a new connection."""

    session_id: bytes
    evccid: str


@dataclass(frozen=True, slots=True)
class Power:
    """One schedule on offer, W: charge >= 0, discharge <= 0."""

    charge_w: float
    discharge_w: float


@dataclass(slots=True)
class Course:
    """`path` exists from ServiceSelection on."""

    fresh_id: bytes
    paused: Paused | None = None
    state: str = SETUP
    session_id: bytes = NO_SESSION
    evccid: str = ""
    choice: Choice | None = None
    path: DcPath | AcPath | None = None
    quirks: frozenset[Quirk] = frozenset()
    ev: EvLimits = field(default_factory=EvLimits)
    window: Window = field(default_factory=Window)
    limits: VehicleLimits | None = None
    soc_at_mono: float = 0.0
    capacity_wh: float | None = None
    departure_mono: float | None = None
    schedules: dict[int, Power] = field(default_factory=dict)
    notify: EvseNotification | None = None  # asked of the vehicle in each loop
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
    """A handler's yes: the answer, and where it leads (None = the graph's first)."""

    message: V2GResponse
    following: str | None = None
    hold_s: float = 0.0
    close: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """A handler's no: a FAILED code; `cause` ends the power path."""

    code: ResponseCode
    cause: Cause
