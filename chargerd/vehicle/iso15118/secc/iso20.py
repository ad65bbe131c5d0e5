"""One ISO 15118-20 session, sans-I/O: messages, offers and `now` in; answers out.

Owns order, session id and silence; handlers own the meaning of each request, the path
owns the contactor, iso20_view.py tells the heart. Must never read a clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from chargerd.model import VehicleOffer, VehicleState
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.messages.common import SessionSetupReq
from chargerd.vehicle.iso15118.messages.common_types import V2GRequest
from chargerd.vehicle.iso15118.messages.declare import Complex
from chargerd.vehicle.iso15118.secc import iso20_authorise as authorise
from chargerd.vehicle.iso15118.secc import iso20_graph as at
from chargerd.vehicle.iso15118.secc import iso20_loop as loop
from chargerd.vehicle.iso15118.secc import iso20_metering as metering
from chargerd.vehicle.iso15118.secc import iso20_power as power
from chargerd.vehicle.iso15118.secc import iso20_steps as steps
from chargerd.vehicle.iso15118.secc import iso20_view
from chargerd.vehicle.iso15118.secc.causes import FAULTS, Cause
from chargerd.vehicle.iso15118.secc.dc_steps import DcPath
from chargerd.vehicle.iso15118.secc.dc_table import AT_ONCE
from chargerd.vehicle.iso15118.secc.flow import (
    TIMES_20,
    Answer,
    RandomBytes,
    Timers,
    Times,
)
from chargerd.vehicle.iso15118.secc.iso20_course import (
    NO_SESSION,
    Course,
    Paused,
    Refusal,
    Reply,
)
from chargerd.vehicle.iso15118.secc.iso20_failed import REQUESTS, failed
from chargerd.vehicle.iso15118.secc.station import Setup, station

Handler = Callable[..., Reply | Refusal]

HANDLERS: dict[str, Handler] = {
    "SessionSetupReq": steps.session_setup,
    "AuthorizationSetupReq": authorise.authorization_setup,
    "CertificateInstallationReq": authorise.certificate_installation,
    "AuthorizationReq": authorise.authorization,
    "ServiceDiscoveryReq": steps.service_discovery,
    "ServiceDetailReq": steps.service_detail,
    "ServiceSelectionReq": steps.service_selection,
    "VehicleCheckInReq": steps.vehicle_check_in,
    "DC_ChargeParameterDiscoveryReq": power.dc_parameters,
    "AC_ChargeParameterDiscoveryReq": power.ac_parameters,
    "ScheduleExchangeReq": steps.schedule_exchange,
    "DC_CableCheckReq": power.cable_check,
    "DC_PreChargeReq": power.pre_charge,
    "PowerDeliveryReq": power.power_delivery,
    "DC_ChargeLoopReq": loop.dc_loop,
    "AC_ChargeLoopReq": loop.ac_loop,
    "MeteringConfirmationReq": metering.metering_confirmation,
    "DC_WeldingDetectionReq": power.welding,
    "VehicleCheckOutReq": steps.vehicle_check_out,
    "SessionStopReq": steps.session_stop,
}

# Too long Ongoing: whose fault that is.
_LATE = {
    "AuthorizationReq": Cause.NOT_AUTHORISED,
    "DC_CableCheckReq": Cause.CABLE_CHECK,
}
GRACE_S = 5.0  # ours: how long the vehicle may still say after its power was taken


class Iso20Session:
    """One session on one connection. See flow.Session."""

    def __init__(
        self,
        setup: Setup,
        random: RandomBytes,
        now_mono: float,
        *,
        peer: bytes = b"",
        paused: Paused | None = None,
        times: Times = TIMES_20,
    ) -> None:
        """`peer`: the vehicle's TLS certificate; `paused`: what may be resumed."""
        fresh_id = random(len(NO_SESSION))
        if len(fresh_id) != len(NO_SESSION) or fresh_id == NO_SESSION:
            raise V2gError("a session id must be 8 bytes and not 0: mend `random`")
        self._course = Course(random, fresh_id, peer, paused)
        self._times = times
        self._timers = Timers()
        self._ongoing = Timers()
        self._now = station(setup, VehicleOffer(at_mono=float("-inf")), now_mono)
        self._open = Answer(None, close=True)  # what goes out when nothing better came
        self._timers.set("silence", now_mono + times.setup_s)

    # -- inputs ---------------------------------------------------------------------

    def request(self, message: Complex, now_mono: float, raw: bytes = b"") -> Answer:
        """One request in, one answer out, at once."""
        self._look(self._now.offer, now_mono)
        name = type(message).__name__
        course = self._course
        if not isinstance(message, V2GRequest) or name not in REQUESTS:
            course.stop(Cause.SEQUENCE)
            self._over()
            return Answer(None, close=True, request=name)
        course.raw = raw
        outcome = self._judge(name, message)
        if isinstance(outcome, Reply):
            outcome = self._patience(name, outcome)
        if isinstance(outcome, Refusal):
            return self._refuse(name, message, outcome)
        course.state = at.GRAPH.step(course.state, name, outcome.following)
        if course.state == at.ENDED:
            self._over()
        else:
            self._listen(name)
        within_s = self._times.answer(name)
        answer = Answer(outcome.message, outcome.close, name, within_s, outcome.hold_s)
        if not outcome.open:
            return answer
        self._open = replace(answer, hold_s=0.0)
        return replace(answer, message=None, open=True)

    def late(self, now_mono: float) -> Answer:
        """The central system's answer as it came, or ours that there is none."""
        self._look(self._now.offer, now_mono)
        exi = authorise.answered(self._course, self._now)
        answer = self._open
        self._course.question = None
        return answer if exi is None else replace(answer, message=None, raw=exi)

    def may_send(self, now_mono: float) -> bool:
        """A start is answered when power can flow, a stop when the current has gone, a
        question of the vehicle when the central system has spoken."""
        self._look(self._now.offer, now_mono)
        course, path = self._course, self._course.path
        if course.state == at.AUTHORIZATION:
            return authorise.settled(course, self._now)
        if path is None or course.state not in at.STARTED:
            return not isinstance(path, DcPath) or path.still
        return path.energy or path.ended

    def command(self, offer: VehicleOffer, now_mono: float) -> None:
        """The station's word of this tick."""
        self._look(offer, now_mono)

    def on_timer(self, now_mono: float) -> bool:
        """True: close the connection. Power has ended, the path may still end."""
        self._look(self._now.offer, now_mono)
        if not self._timers.over("silence", now_mono):
            return False
        self._course.stop(Cause.SILENT)
        self._over()
        return True

    def disconnected(self, now_mono: float) -> None:
        """The connection is gone; power ends unless the session was over."""
        self._look(self._now.offer, now_mono)
        if self._course.state != at.ENDED:
            self._course.stop(Cause.DISCONNECTED)
            self._over()

    def unplugged(self, now_mono: float) -> None:
        """The connector is out: everything off at once; nothing can be resumed."""
        self._look(self._now.offer, now_mono)
        self._course.stop(Cause.UNPLUGGED)
        self._course.pausing = False
        self._over()

    # -- outputs --------------------------------------------------------------------

    @property
    def at(self) -> str:
        """Where the session stands: a state of iso20_graph.py."""
        return self._course.state

    def next_timer(self) -> float | None:
        """When `on_timer` is wanted."""
        path = self._course.path
        wanted = (self._timers.next(), path.next_timer() if path else None)
        return min((time for time in wanted if time is not None), default=None)

    def paused(self) -> Paused | None:
        """After SessionStop(Pause): what the next connection's session needs."""
        course = self._course
        if not course.pausing:
            return None
        return Paused(
            course.session_id, course.evccid, course.peer, course.choice, course.proof
        )

    def state(self) -> VehicleState:
        """The session as the heart sees it."""
        return iso20_view.state(self._course, self._now)

    # -- the machinery --------------------------------------------------------------

    def _look(self, offer: VehicleOffer, now_mono: float) -> None:
        """The newest view; an end that the path found by itself ends the session."""
        course, before = self._course, self._course.path
        was_up = before is not None and not before.ended
        self._now = station(self._now.setup, offer, now_mono)
        if before is None:
            return
        before.turn(self._now)
        if was_up and before.ended and course.cause is None:
            course.cause = before.cause
            self._timers.set("silence", now_mono + GRACE_S)

    def _judge(self, name: str, message: V2GRequest) -> Reply | Refusal:
        """Session [V2G20-460], order [V2G20-459] and power path, before the handler."""
        course = self._course
        known = message.Header.SessionID == course.session_id
        if not isinstance(message, SessionSetupReq) and not known:
            return Refusal("FAILED_UnknownSession", Cause.SESSION_ID)
        if at.GRAPH.following(course.state, name) is None:
            return Refusal("FAILED_SequenceError", Cause.SEQUENCE)
        if self._dead() and not power.stops(message):
            return Refusal("FAILED", course.cause or Cause.SEQUENCE)
        handler: Any = HANDLERS[name]
        outcome: Reply | Refusal = handler(course, message, self._now)
        return outcome

    def _dead(self) -> bool:
        """The path ended in a way that leaves nothing to agree on with the vehicle."""
        path = self._course.path
        if path is None or not path.ended or self._course.state not in at.POWER:
            return False
        return path.cause in AT_ONCE or path.cause in FAULTS

    def _patience(self, name: str, reply: Reply) -> Reply | Refusal:
        """Ongoing has an end for each kind of request, silence or not."""
        processing = getattr(reply.message, "EVSEProcessing", "Finished")
        now_mono = self._now.now_mono
        if processing == "Finished":
            self._ongoing.clear(name)
            return reply
        self._ongoing.begin(name, now_mono + self._times.ongoing(name))
        if not self._ongoing.over(name, now_mono):
            return reply
        return Refusal("FAILED", _LATE.get(name, Cause.ONGOING_TOO_LONG))

    def _refuse(self, name: str, message: V2GRequest, refusal: Refusal) -> Answer:
        """FAILED once, then only SessionStop; FAILED twice closes the connection."""
        course = self._course
        again = course.state in (at.FAILED, at.ENDED)
        answer = failed(message, refusal.code, course.header(self._now))
        course.stop(refusal.cause)
        if again:
            self._over()
        else:
            course.state = at.FAILED
            self._timers.set("silence", self._now.now_mono + GRACE_S)
        return Answer(answer, again, name, self._times.answer(name))

    def _listen(self, name: str) -> None:
        """The vehicle's next request is due; a side stream does not keep power up."""
        course = self._course
        if course.state in at.LOOPS and name == "MeteringConfirmationReq":
            return
        silence_s = self._times.silence(course.state)
        if course.path is not None and course.path.ended and not course.renewing:
            silence_s = min(silence_s, GRACE_S)
        self._timers.set("silence", self._now.now_mono + silence_s)

    def _over(self) -> None:
        """No more requests; the path goes on until it is dark."""
        course = self._course
        course.state = at.ENDED
        self._timers.clear()
        self._ongoing.clear()
        if course.path is not None:
            course.path.release(course.cause or Cause.VEHICLE_STOP)
