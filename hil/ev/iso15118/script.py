"""What the scripts of all protocols share: how a vehicle asks, waits and gives up.

Pure. A script is a generator: it yields a request and is sent the response, or yields
None and is resumed in a later step. It must never read a clock but the car's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping
from typing import Any, ClassVar

from chargerd.vehicle.iso15118.messages.declare import Complex
from chargerd.vehicle.iso15118.secc.flow import Graph
from hil.ev.iso15118.car import Car

# Yields requests, is sent responses, returns T.
Script = Generator[Complex | None, Any, Any]

OPEN_A = 1.0  # a contactor may open below this
OPEN_PATIENCE_S = 2.0  # ... or after so long, whatever flows
PRECHARGE_V = 20.0  # refs/iso15118.md 4.4: it closes when nearer than this [K]
DEAD_V = 60.0
WELD_PATIENCE_S = 4.0
CABLE_CHECK_S = 40.0  # refs 4.1, 4.2
PRECHARGE_S = 7.0
PRECHARGE_20_S = 10.0
ONGOING_S = 60.0
RENEW, PAUSE = "renew", "pause"  # ends of a loop that are not the session's
AUTHORISE_S = 180.0  # [K] a driver who looks for the card; the standard has 60


class EvError(Exception):
    """The vehicle ends this session; the text is why. `said`: the station refused."""

    def __init__(self, why: str, *, said: bool = False) -> None:
        super().__init__(why)
        self.said = said


def wait(car: Car, seconds: float) -> Script:
    """So long nothing is said."""
    until_s = car.now_s + seconds
    while car.now_s < until_s:
        yield None


def until(
    car: Car, done: Callable[[], bool], limit_s: float, otherwise: str | None
) -> Script:
    """Wait for `done`; EvError(`otherwise`) after `limit_s` (None: go on)."""
    end_s = car.now_s + limit_s
    while not done():
        if car.now_s >= end_s:
            if otherwise is None:
                return
            raise EvError(otherwise)
        yield None


def open_contactor(car: Car) -> Script:
    """Open once the current is gone; under load only when it never goes."""

    def quiet() -> bool:
        return abs(car.seen.dc_current_a) < OPEN_A

    yield from until(car, quiet, OPEN_PATIENCE_S, None)
    car.wanted_closed = False
    yield from until(car, lambda: not car.closed, 1.0, None)


class Patience:
    """A loop that may last `limit_s` in all."""

    def __init__(self, car: Car, limit_s: float, what: str) -> None:
        self._car = car
        self._end_s = car.now_s + limit_s * car.profile.patience
        self._what = what

    def check(self) -> None:
        if self._car.now_s >= self._end_s:
            raise EvError(f"{self._what} takes too long")


class SessionScript(ABC):
    """One session; `run()` is the script. `session_id` of a paused one is resumed.

    `station` has the newest values it was told; `paused`: the session ended in a pause,
    and `id` is kept for the next one.
    """

    graph: ClassVar[Graph]
    protocol: ClassVar[str]
    loop_names: ClassVar[tuple[str, ...]]
    timeouts_s: ClassVar[Mapping[str, float]]  # of responses; all others TIMEOUT_S

    def __init__(self, car: Car, session_id: bytes = bytes(8)) -> None:
        self.car = car
        self.profile = car.profile
        self.id = session_id
        self.service = ""
        self.station: dict[str, Any] = {}
        self.paused = False
        self.started_s: float | None = None  # of the first loop request

    def run(self) -> Script:
        """From SessionSetup to SessionStop. EvError: why it ended otherwise."""
        try:
            yield from self.course()
        except EvError as error:
            self.car.off()
            if error.said:
                yield from self.goodbye("Terminate")
            raise

    @abstractmethod
    def course(self) -> Script: ...

    @abstractmethod
    def goodbye(self, how: Any) -> Script: ...

    @property
    def dc(self) -> bool:
        return self.service.startswith("DC")

    def until_finished(
        self, ask: Callable[[], Script], limit_s: float, what: str
    ) -> Script:
        """Ask again while the station answers Ongoing; its last response."""
        patience = Patience(self.car, limit_s, what)
        while True:
            response = yield from ask()
            if response.EVSEProcessing == "Finished":
                return response
            patience.check()
            yield from wait(self.car, self.profile.poll_s)

    # -- what ends a loop -------------------------------------------------------------

    def begin(self) -> float:
        """A loop begins; when."""
        self.started_s = self.started_s or self.car.now_s
        return self.car.now_s

    def wish(self, *, gives: bool = False) -> str:
        """Why the vehicle itself wants no more; "" = go on. One that gives energy back
        is never full."""
        if self.car.leaves:
            return "leaves"
        if self.car.full and not gives:
            return "full"
        return "" if self.car.digital() else "the PWM is gone"

    def planned(self, since_s: float) -> str:
        """What the profile wants after so long in the loop."""
        lasted_s, profile = self.car.now_s - since_s, self.profile
        if 0.0 < profile.pause_after_s <= lasted_s:
            return PAUSE
        return RENEW if 0.0 < profile.renew_after_s <= lasted_s else ""
