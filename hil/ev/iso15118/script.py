"""What the scripts of all protocols share: how a vehicle asks, waits and gives up.

Pure. A script is a generator: it yields a request and is sent the response, or yields
None and is resumed in a later step. It must never read a clock but the car's.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from chargerd.vehicle.iso15118.messages.declare import Complex
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
