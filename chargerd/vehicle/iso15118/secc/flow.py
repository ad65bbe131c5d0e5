"""What every V2G session shares: ordering graph, timers, answers, the session's face.

Owns the seam between a protocol's session and its shell; decides nothing about power.
Times: ISO 15118-2 Tables 109 and 111; of ISO 15118-20 what other stacks have [K].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from chargerd.model import VehicleOffer, VehicleState
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.messages.declare import Complex

NEVER = float("inf")
RandomBytes = Callable[[int], bytes]  # so many bytes nobody can guess


# --- ordering -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Graph:
    """Which request may come in which state, and which states may follow it.

    `rows[state][request class name]` = the states a handler may go to; the first is
    the one it goes to when it names none. A request without a row is out of order.
    """

    start: str
    rows: Mapping[str, Mapping[str, tuple[str, ...]]]

    def following(self, state: str, request: str) -> tuple[str, ...] | None:
        """Where `request` may lead from `state`; None = out of order."""
        return self.rows.get(state, {}).get(request)

    def step(self, state: str, request: str, wanted: str | None = None) -> str:
        """The next state. Raises V2gError for a step the graph does not have."""
        following = self.following(state, request)
        if following is None:
            raise V2gError(f"{request} may not come in {state}: not in the graph")
        if wanted is None:
            return following[0]
        if wanted not in following:
            raise V2gError(f"{request} in {state} may not lead to {wanted}")
        return wanted


# --- time -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Times:
    """One protocol's limits in s.

    `answer_s`: how soon a request must be answered (performance time), by class name.
    `silence_s`: how long the vehicle may stay silent in a state (sequence time).
    `ongoing_s`: how long a request may be answered with Ongoing, by class name.
    """

    answer_s: Mapping[str, float] = field(default_factory=dict)
    answer_default_s: float = 1.5
    silence_s: Mapping[str, float] = field(default_factory=dict)
    silence_default_s: float = 60.0
    ongoing_s: Mapping[str, float] = field(default_factory=dict)
    ongoing_default_s: float = 55.0
    setup_s: float = 18.0  # connection to the answer of SessionSetup

    def answer(self, request: str) -> float:
        return self.answer_s.get(request, self.answer_default_s)

    def silence(self, state: str) -> float:
        return self.silence_s.get(state, self.silence_default_s)

    def ongoing(self, request: str) -> float:
        return self.ongoing_s.get(request, self.ongoing_default_s)


_SLOW = dict.fromkeys(
    (
        "ServiceDetailReq",
        "PaymentDetailsReq",
        "PowerDeliveryReq",
        "CertificateInstallationReq",
        "CertificateUpdateReq",
    ),
    4.5,
)

# ISO 15118-2 and DIN 70121. [V2G2-443] silence, [V2G2-713] ongoing.
TIMES_2 = Times(
    answer_s={**_SLOW, "CurrentDemandReq": 0.025},
    ongoing_s={"CableCheckReq": 38.0, "PreChargeReq": 5.0},
)

# ISO 15118-20: the vehicle's times as other stacks have them [K]; ours are 3/4 of them.
LOOP_SILENCE_S = 0.5
STARTED_SILENCE_S = 5.0  # ours: live contactors wait no minute for the first loop
TIMES_20 = Times(
    answer_s={
        "ServiceDetailReq": 3.75,
        "CertificateInstallationReq": 3.75,
        "DC_ChargeLoopReq": 0.25,
        "AC_ChargeLoopReq": 0.25,
    },
    silence_s={
        "started_dc": STARTED_SILENCE_S,
        "started_ac": STARTED_SILENCE_S,
        "loop_dc": LOOP_SILENCE_S,
        "loop_ac": LOOP_SILENCE_S,
    },
    ongoing_s={
        "AuthorizationReq": 180.0,
        "DC_CableCheckReq": 38.0,
        "DC_PreChargeReq": 9.0,
    },
)


class Timers:
    """Named deadlines of one session; a name has one deadline."""

    def __init__(self) -> None:
        self._at_mono: dict[str, float] = {}

    def set(self, name: str, at_mono: float) -> None:
        """Start or restart."""
        self._at_mono[name] = at_mono

    def begin(self, name: str, at_mono: float) -> None:
        """Start, unless it runs: for what may last as a whole."""
        self._at_mono.setdefault(name, at_mono)

    def clear(self, *names: str) -> None:
        """Stop the named ones; without names, all."""
        for name in names or tuple(self._at_mono):
            self._at_mono.pop(name, None)

    def over(self, name: str, now_mono: float) -> bool:
        """Whether it runs and its time has come."""
        return now_mono >= self._at_mono.get(name, NEVER)

    def next(self) -> float | None:
        """The earliest deadline; None while nothing runs."""
        return min(self._at_mono.values(), default=None)


class Margins:
    """How much of the performance time each answer had left, by request name."""

    def __init__(self) -> None:
        self.worst_s: dict[str, float] = {}
        self.late = 0

    def note(self, answer: Answer, taken_s: float) -> float:
        """Request bytes in to response bytes out; negative = the answer was late."""
        margin_s = answer.within_s - taken_s
        worst_s = self.worst_s.get(answer.request, NEVER)
        self.worst_s[answer.request] = min(worst_s, margin_s)
        self.late += margin_s < 0.0
        return margin_s

    def add(self, other: Margins) -> None:
        """Another connection's, too."""
        for request, margin_s in other.worst_s.items():
            self.worst_s[request] = min(self.worst_s.get(request, NEVER), margin_s)
        self.late += other.late


# --- the session ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back. `within_s`: the performance time, counted from the request.

    `message` None: nothing is sent. `close`: the connection ends after the answer.
    `hold_s` > 0: sent when `Session.may_send` says so, at the latest after this time
    (a stop is answered when the current has gone). `open`: what is sent is known only
    then, and asked of `Session.late`. `raw`: EXI that is sent as it is, in place of
    `message` (an answer of the central system).
    """

    message: Complex | None
    close: bool = False
    request: str = ""  # class name of the request
    within_s: float = 1.5
    hold_s: float = 0.0
    open: bool = False
    raw: bytes | None = None


class Session(Protocol):
    """One V2G session on one connection. Every method takes the time; none waits."""

    def request(self, message: Complex, now_mono: float, raw: bytes = b"") -> Answer:
        """`raw`: the request's EXI as it was received."""
        ...

    def late(self, now_mono: float) -> Answer:
        """What goes out for an answer that was `open`."""
        ...

    def may_send(self, now_mono: float) -> bool:
        """Whether an answer with `hold_s` may go out now."""
        ...

    def command(self, offer: VehicleOffer, now_mono: float) -> None:
        """The station's word of this tick."""

    def next_timer(self) -> float | None: ...
    def on_timer(self, now_mono: float) -> bool:
        """True: close the connection."""
        ...

    def disconnected(self, now_mono: float) -> None:
        """The connection is gone; power ends unless the session was over."""

    def unplugged(self, now_mono: float) -> None:
        """The connector is out: everything off at once."""

    def state(self) -> VehicleState: ...
    def paused(self) -> object | None:
        """After a pause: what the next session of this protocol and plug-in needs."""
        ...
