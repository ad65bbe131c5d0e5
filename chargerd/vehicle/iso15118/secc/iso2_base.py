"""What sessions of DIN 70121 and ISO 15118-2 share: order, ids, timers, failures.

A handler per request decides a response code and moves the session; an answer function
per response builds it from the session, so that a FAILED answer is as whole as an OK
one. Must never wait, nor build an answer from anything but the newest view.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any, ClassVar

from chargerd.model import (
    CertificateQuestion,
    Contract,
    VehicleDemand,
    VehicleLimits,
    VehicleNeeds,
    VehicleOffer,
    VehiclePlan,
    VehicleState,
)
from chargerd.vehicle.iso15118.messages.declare import Complex
from chargerd.vehicle.iso15118.secc.ac_path import AcPath
from chargerd.vehicle.iso15118.secc.causes import Cause
from chargerd.vehicle.iso15118.secc.dc_steps import DcPath
from chargerd.vehicle.iso15118.secc.dc_table import DcStep
from chargerd.vehicle.iso15118.secc.flow import (
    TIMES_2,
    Answer,
    Graph,
    RandomBytes,
    Timers,
    Times,
)
from chargerd.vehicle.iso15118.secc.iso2_graph import FAILED, OVER
from chargerd.vehicle.iso15118.secc.limits import (
    Control,
    EvLimits,
    Window,
    ac_limits,
    dc_limits,
)
from chargerd.vehicle.iso15118.secc.station import Setup, Station, station

NO_SESSION = bytes(8)
RAMP_S = 1.0  # a stop is answered after this even under current
SILENT_LOOP_S = 1.0  # ours: without a request for so long no current is asked
Handler = Callable[[Any, Any], str]  # (session, request) -> ResponseCode
Builder = Callable[[Any, str], Complex]  # (session, ResponseCode) -> response


@dataclass(slots=True)
class Vehicle:
    """What the vehicle has said of itself so far."""

    evccid: bytes = b""
    limits: EvLimits = field(default_factory=EvLimits)
    at_mono: float = 0.0  # of the newest request with limits or targets
    soc_pct: float | None = None
    soc_at_mono: float = 0.0
    capacity_wh: float | None = None
    departure_mono: float | None = None
    mode: str = ""  # RequestedEnergyTransferMode
    needs: VehicleNeeds | None = None
    plan: VehiclePlan | None = None


class TwoSession:
    """One session of the -2 family; subclasses bring the tables. See flow.Session."""

    protocol: ClassVar[str]
    messages: ClassVar[ModuleType]
    graph: ClassVar[Graph]
    handlers: ClassVar[Mapping[str, Handler]]
    answers: ClassVar[Mapping[str, Builder]]

    def __init__(
        self,
        setup: Setup,
        random: RandomBytes,
        *,
        times: Times = TIMES_2,
    ) -> None:
        self.setup = setup
        self.times = times
        self.timers = Timers()
        self.at = self.graph.start
        self.id = NO_SESSION
        self.vehicle = Vehicle()
        self.processing = "Finished"
        self.schedule_id = 1
        self.detail = 0  # the service ServiceDetail asks for
        self.view: Station = station(setup, VehicleOffer(at_mono=float("-inf")), 0.0)
        self.path: DcPath | AcPath = DcPath(
            self.view, outlet_sensed=setup.outlet_sensed
        )
        self.random = random
        self._offer = self.view.offer
        self._wanted: str | None = None
        self._heard_mono = float("-inf")  # the newest request
        self.done = False  # the vehicle wants no more current
        self.contract: Contract | None = None  # its key is proved
        self.question: CertificateQuestion | None = None

    # -- inputs ---------------------------------------------------------------------

    def request(self, message: Complex, now_mono: float, raw: bytes = b"") -> Answer:
        """One V2G_Message in, one out; a message that is no request ends it."""
        self._look(now_mono)
        self._heard_mono = now_mono
        body = getattr(getattr(message, "Body", None), "BodyElement", None)
        name = request_name(body)
        if body is None or name not in self.answers:
            self.end(Cause.SEQUENCE)
            return Answer(None, close=True, request=name)
        self.timers.clear("silence")
        code = self._refused(name, message) or self._handle(name, body, message)
        if code.startswith("FAILED"):
            self._fail(code)
        if self.at != OVER:
            self.timers.set("silence", now_mono + self.times.silence(self.at))
        response = self.answers[name](self, code)
        stopping = name == "PowerDeliveryReq" and not self.may_send(now_mono)
        return Answer(
            self._wrap(response),
            self.at == OVER,
            name,
            self.times.answer(name),
            RAMP_S if stopping else 0.0,
        )

    def late(self, now_mono: float) -> Answer:
        """No answer of this session is open."""
        return Answer(None, close=True)

    def paused(self) -> object | None:
        """DIN 70121 knows no pause."""
        return None

    def may_send(self, now_mono: float) -> bool:
        """A stop is answered when the current has gone."""
        self._look(now_mono)
        return self.path.step is not DcStep.RAMP_DOWN

    def command(self, offer: VehicleOffer, now_mono: float) -> None:
        """The station's word of this tick."""
        self._offer = offer
        self._look(now_mono)

    def on_timer(self, now_mono: float) -> bool:
        """True: close the connection. Power has ended, the weld check may go on."""
        self._look(now_mono)
        if self.at == OVER:
            return False
        late = [
            name for name in ("setup", "silence") if self.timers.over(name, now_mono)
        ]
        if not late:
            return False
        self.end(Cause.SILENT)
        self._over()
        return True

    def disconnected(self, now_mono: float) -> None:
        """The connection is gone; power ends unless it has ended already."""
        self._look(now_mono)
        self.end(Cause.DISCONNECTED)
        self._over()

    def unplugged(self, now_mono: float) -> None:
        """The connector is out: everything off at once."""
        self._look(now_mono)
        self.path.stop(Cause.UNPLUGGED)
        self._over()

    # -- outputs --------------------------------------------------------------------

    def next_timer(self) -> float | None:
        """When `on_timer` is wanted."""
        wanted = (self.timers.next(), self.path.next_timer())
        return min((at for at in wanted if at is not None), default=None)

    def state(self) -> VehicleState:
        """The session as the heart sees it."""
        vehicle, cause = self.vehicle, self.path.cause
        return VehicleState(
            protocol=self.protocol,
            phase=self.path.phase,
            limits=self._limits(),
            demand=self._demand(),
            soc_pct=vehicle.soc_pct,
            soc_at_mono=vehicle.soc_at_mono,
            capacity_wh=vehicle.capacity_wh,
            departure_mono=vehicle.departure_mono,
            vehicle_id=vehicle.evccid.hex().upper(),
            stop_cause=cause.value if cause is not None else "",
            faults=frozenset(self.path.faults),
            contract=self.contract,
            certificate_question=self.question,
            needs=vehicle.needs,
            plan=vehicle.plan,
        )

    def _limits(self) -> VehicleLimits | None:
        """What the vehicle allows; None before it has said so."""
        vehicle, ev = self.vehicle, self.vehicle.limits
        if not vehicle.mode:
            return None
        if isinstance(self.path, AcPath):
            return ac_limits(ev, Window(), at_mono=vehicle.at_mono, bidirectional=False)
        if self.asleep or self.done:
            ev = replace(ev, charge_a=0.0, target_a=0.0)
        return dc_limits(
            ev,
            Window(),
            Control.SCHEDULED,
            at_mono=vehicle.at_mono,
            volts=self.view.voltage_v,
            bidirectional=False,
        )

    def _demand(self) -> VehicleDemand:
        if isinstance(self.path, AcPath):
            return self.path.demand()
        ev = self.vehicle.limits
        tops = (ev.voltage_max_v, ev.target_v or 0.0, self.view.voltage_max_v)
        return self.path.demand(min((top for top in tops if top > 0.0), default=0.0))

    # -- what handlers use ----------------------------------------------------------

    def go(self, state: str) -> None:
        """Where this request leads, when it is not the graph's first choice."""
        self._wanted = state

    def ongoing(self, name: str) -> bool:
        """Whether `name` may be answered Ongoing once more."""
        timer = f"ongoing {name}"
        self.timers.begin(timer, self.view.now_mono + self.times.ongoing(name))
        self.processing = "Ongoing"
        return not self.timers.over(timer, self.view.now_mono)

    def finished(self, name: str) -> None:
        self.timers.clear(f"ongoing {name}")
        self.processing = "Finished"

    def end(self, cause: Cause) -> None:
        """Power ends, in order or at once as the cause says; the first cause stays."""
        if not self.path.ended:
            self.path.stop(cause)

    @property
    def broken(self) -> bool:
        """The power path has ended, and it was not the vehicle who ended it."""
        mine = (Cause.VEHICLE_STOP, Cause.VEHICLE_PAUSE, Cause.VEHICLE_FAULT)
        return self.path.ended and self.path.cause not in mine

    @property
    def stop_wanted(self) -> bool:
        """The station asks the vehicle to stop: once it was started, and only then."""
        started = self.path.step.value not in ("idle", "lock")
        return self.path.ended or (started and not self.view.authorised)

    @property
    def notification(self) -> str:
        """EVSENotification."""
        return "StopCharging" if self.stop_wanted else "None"

    @property
    def asleep(self) -> bool:
        """No request for so long that no current is driven on old words."""
        return self.view.now_mono - self._heard_mono > SILENT_LOOP_S

    # -- the machinery --------------------------------------------------------------

    def _look(self, now_mono: float) -> None:
        self.view = station(self.setup, self._offer, now_mono)
        if self.id == NO_SESSION and self.at != OVER:
            self.timers.begin("setup", now_mono + self.times.setup_s)
        self.path.turn(self.view)

    def _refused(self, name: str, message: Any) -> str | None:
        """Session and order, before anything is looked at."""
        if name != "SessionSetupReq" and message.Header.SessionID != self.id:
            self.end(Cause.SESSION_ID)
            return "FAILED_UnknownSession"
        if self.graph.following(self.at, name) is None:
            self.end(Cause.SEQUENCE)
            return "FAILED_SequenceError"
        return None

    def _handle(self, name: str, body: Complex, message: Any) -> str:
        self._wanted, self.header = None, message.Header
        self.processing = "Finished"
        code = self.handlers[name](self, body)
        if not code.startswith("FAILED"):
            self.at = self.graph.step(self.at, name, self._wanted)
            if self.at == OVER:
                self._over()
        return code

    def _fail(self, code: str) -> None:
        """After a FAILED answer only SessionStop is understood."""
        self.processing = "Finished"
        if self.at != OVER:
            self.at = FAILED
        self.end(Cause.PARAMETER)
        self.path.release()

    def _over(self) -> None:
        self.at = OVER
        self.timers.clear()
        self.path.release()

    def _wrap(self, response: Complex) -> Complex:
        m = self.messages
        message: Complex = m.V2G_Message(
            Header=m.MessageHeader(SessionID=self.id),
            Body=m.Body(BodyElement=response),
        )
        return message

    # -- SessionSetup, the same for all ---------------------------------------------

    def open(self, evccid: bytes) -> str:
        """A new session; its id is random and never 0."""
        self.timers.clear("setup")
        self.vehicle.evccid = evccid
        self.id = self.random(len(NO_SESSION))
        return "OK_NewSessionEstablished"


def request_name(body: object) -> str:
    """The element name of a request; DIN's SessionStop type has another."""
    name = type(body).__name__
    return "SessionStopReq" if name == "SessionStop" else name
