"""Stations on a simulated power line, moved by a fake clock."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

from chargerd.vehicle.slac.matching import Matching, Settings, State
from hil.slac import frames
from hil.slac.ev import EvSlac
from hil.slac.powerline import Modem, Powerline


def mac(number: int) -> bytes:
    return bytes((0x02, 0, 0, 0, 0, number))


class Line:
    """`run(seconds)` moves all stations; frames take no time."""

    def __init__(self, far_db: int = 60) -> None:
        self.power = Powerline(far_db)
        self.evses: dict[str, Matching] = {}
        self.evs: dict[str, EvSlac] = {}
        self.strangers: dict[str, list[bytes]] = {}  # what they heard
        self.seen: list[tuple[str, frames.Frame]] = []  # by station, all that was sent
        self.now = 100.0
        self._numbers = itertools.count(1)

    def _modem(self, name: str) -> bytes:
        number = next(self._numbers)
        self.power.add(name, Modem(mac(0x80 + number)))
        return mac(number)

    def evse(self, name: str, settings: Settings | None = None) -> Matching:
        own = self._modem(name)
        keys = (bytes((own[5], n)) * 8 for n in itertools.count(1))
        self.evses[name] = Matching(
            own, settings or Settings(), lambda size: next(keys), self.now
        )
        self.evses[name].pilot("A", self.now)
        return self.evses[name]

    def ev(self, name: str, quirks: frozenset[str] = frozenset()) -> EvSlac:
        own = self._modem(name)
        self.evs[name] = EvSlac(own, random.Random(own[5]).randbytes, quirks=quirks)
        return self.evs[name]

    def stranger(self, name: str) -> bytes:
        self.strangers[name] = []
        return self._modem(name)

    def say(self, name: str, raw: bytes) -> None:
        """Any station's frame, now."""
        frame = frames.unpack(raw)
        if frame is not None:
            self.seen.append((name, frame))
        for to, data in self.power.send(name, raw, self.now):
            if to in self.evses:
                self.evses[to].receive(data, self.now)
            elif to in self.evs:
                self.evs[to].receive(data, self.now)
            else:
                self.strangers[to].append(data)

    def _settle(self) -> None:
        moved = True
        while moved:
            moved = False
            for name, machine in (*self.evses.items(), *self.evs.items()):
                for raw in machine.to_send():
                    moved = True
                    self.say(name, raw)

    def run(self, seconds: float, each: Callable[[], None] = lambda: None) -> None:
        end = self.now + seconds
        while self.now < end - 1e-9:
            for evse in self.evses.values():
                evse.on_timer(self.now)
            for ev in self.evs.values():
                ev.on_timer(self.now)
            self._settle()
            each()
            self.now += 0.01

    def plug(self, evse: str, ev: str) -> None:
        self.evses[evse].pilot("B", self.now)
        self.evs[ev].plug(self.now)

    def state(self, evse: str) -> State:
        return self.evses[evse].status().state

    def sent(self, name: str, kind: int) -> list[frames.Frame]:
        return [f for by, f in self.seen if by == name and f.kind == kind]
