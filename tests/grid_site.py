"""A whole site in simulated time: members, coordinators, a network that loses, delays,
repeats and cuts. Owns the truth that tests judge by: what everybody takes at each
moment. Runs the pure cores alone.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from chargerd.grid.site_coordinator import Coordinator
from chargerd.grid.site_member import Grant, Member, Wish
from chargerd.grid.site_rules import DRIFT, Rules
from chargerd.grid.site_words import Ask, Beacon, Lease

EVERY_S = 2.0


@dataclass
class Net:
    """How messages fare. `island` cuts: who is in different islands does not hear."""

    loss: float = 0.0
    delay_s: float = 0.02
    late: float = 0.0  # share that comes up to `late_s` late
    late_s: float = 0.0
    twice: float = 0.0
    islands: dict[str, int] = field(default_factory=dict)
    broker_up: bool = True


@dataclass
class _Charger:
    core: Member
    rate: float  # of its clock against the true one
    offset_s: float
    wish: Wish
    alive: bool = True
    # (true time, draw, feed): what its power may still be, as slow as allowed.
    limits: list[tuple[float, float, float]] = field(default_factory=list)


@dataclass
class _Leader:
    core: Coordinator
    rate: float
    offset_s: float
    alive: bool = True


class Site:
    """Events in true time; `over_w` is the worst excess ever seen.

    The sum is judged after each event, or only every `judge_s`.
    """

    def __init__(
        self, rules: Rules, seed: int, wish: Wish, judge_s: float = 0.0
    ) -> None:
        self._judge_s, self._judged = judge_s, float("-inf")
        self.rules, self.net = rules, Net()
        self.chance = random.Random(seed)
        self.now = 0.0
        self.messages = 0
        self.over_w = float("-inf")
        self.worst_w = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._boots = itertools.count(1)
        self.wishes = dict.fromkeys(rules.members, wish)
        self.chargers = {name: self._charger(name) for name in rules.members}
        self.leaders = {name: self._leader(name) for name in rules.coordinators}
        for name in rules.members:
            self.after(self.chance.uniform(0, EVERY_S), self._ask_loop(name))
        for name in rules.coordinators:
            self.after(self.chance.uniform(0, EVERY_S), self._beacon_loop(name))

    # -- building --------------------------------------------------------------

    def _clock(self) -> tuple[float, float]:
        half = DRIFT / 2.0 * 0.99
        return 1.0 + self.chance.uniform(-half, half), self.chance.uniform(0, 1e5)

    def _charger(self, name: str) -> _Charger:
        rate, offset = self._clock()
        boot = f"b{next(self._boots)}"
        core = Member(self.rules, name, boot, offset + self.now * rate)
        return _Charger(core, rate, offset, self.wishes[name])

    def _leader(self, name: str) -> _Leader:
        rate, offset = self._clock()
        epoch = f"e{next(self._boots)}"
        core = Coordinator(self.rules, name, epoch, offset + self.now * rate)
        return _Leader(core, rate, offset)

    def restart_charger(self, name: str, *, away_s: float = 0.0) -> None:
        """Killed, and back later: its power ends with its command's life."""
        self.chargers[name].alive = False

        def back() -> None:
            self.chargers[name] = self._charger(name)

        self.after(away_s, back)

    def restart_leader(self, name: str, *, away_s: float = 0.0) -> None:
        """It forgets everything."""
        self.leaders[name].alive = False

        def back() -> None:
            self.leaders[name] = self._leader(name)

        self.after(away_s, back)

    # -- time ------------------------------------------------------------------

    def after(self, wait_s: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + wait_s, next(self._count), what))

    def run(self, until: float) -> None:
        """All events up to `until`."""
        while self._events and self._events[0][0] <= until:
            self.now, _, what = heapq.heappop(self._events)
            what()
            if self.now - self._judged >= self._judge_s:
                self._judged = self.now
                self._judge()
        self.now = until

    # -- the chargers' power ---------------------------------------------------

    def _most(self, name: str) -> tuple[float, float]:
        """The most it may draw and feed: as slow to follow a cut as the rules allow."""
        charger = self.chargers[name]
        if not charger.alive:
            return 0.0, 0.0
        mono = charger.offset_s + self.now * charger.rate
        held = charger.core.grant(mono)
        limits = charger.limits
        limits.append((self.now, held.charge_w, held.discharge_w))
        while limits and limits[0][0] < self.now - self.rules.fall_s * 0.98:
            limits.pop(0)
        return max(draw for _, draw, _ in limits), max(feed for _, _, feed in limits)

    def _judge(self) -> None:
        most = [self._most(name) for name in self.chargers]
        draw, feed = sum(d for d, _ in most), sum(f for _, f in most)
        self.worst_w = max(self.worst_w, draw)
        over_w = max(draw - self.rules.charge_w, feed - self.rules.discharge_w)
        self.over_w = max(self.over_w, over_w)

    def held_w(self) -> float:
        """What all members may take now, by their own leases."""
        return sum(grant.charge_w for grant in self._held())

    def held_out_w(self) -> float:
        """What all members may feed now."""
        return sum(grant.discharge_w for grant in self._held())

    def _held(self) -> list[Grant]:
        return [
            c.core.grant(c.offset_s + self.now * c.rate)
            for c in self.chargers.values()
            if c.alive
        ]

    # -- talking ---------------------------------------------------------------

    def _send(self, one: str, other: str, what: Callable[[], None]) -> None:
        """From one station to another, by the broker."""
        net = self.net
        self.messages += 1
        apart = net.islands.get(one, 0) != net.islands.get(other, 0)
        if apart or not net.broker_up or self.chance.random() < net.loss:
            return
        copies = 2 if self.chance.random() < net.twice else 1
        for _ in range(copies):
            wait_s = self.chance.uniform(0.0, net.delay_s)
            if self.chance.random() < net.late:
                wait_s += self.chance.uniform(0.0, net.late_s)
            self.after(wait_s, what)

    def _ask_loop(self, name: str) -> Callable[[], None]:
        def tick() -> None:
            charger = self.chargers[name]
            self.after(EVERY_S, tick)
            if not charger.alive:
                return
            mono = charger.offset_s + self.now * charger.rate
            ask = charger.core.ask(self.wishes[name], mono)
            for leader in self.rules.coordinators:
                self._send(f"m:{name}", f"c:{leader}", self._asked(leader, ask))

        return tick

    def _asked(self, leader: str, ask: Ask) -> Callable[[], None]:
        def arrive() -> None:
            lead = self.leaders[leader]
            if not lead.alive:
                return
            lease = lead.core.receive(ask, lead.offset_s + self.now * lead.rate)
            if lease is not None:
                self._send(f"c:{leader}", f"m:{ask.member}", self._leased(lease))

        return arrive

    def _leased(self, lease: Lease) -> Callable[[], None]:
        def arrive() -> None:
            charger = self.chargers[lease.member]
            if charger.alive:
                mono = charger.offset_s + self.now * charger.rate
                charger.core.take(lease, mono)
                ends = charger.core.grant(mono).until_mono - mono
                if 0.0 < ends < 1e6:  # judge around the end, too
                    self.after(ends / charger.rate + 1e-6, lambda: None)

        return arrive

    def _beacon_loop(self, name: str) -> Callable[[], None]:
        def tick() -> None:
            lead = self.leaders[name]
            self.after(EVERY_S / 2.0, tick)
            if not lead.alive:
                return
            mono = lead.offset_s + self.now * lead.rate
            beacon = lead.core.beacon(mono)
            for member in self.rules.members:
                self._send(f"c:{name}", f"m:{member}", self._heard(member, beacon))
            for other in self.rules.coordinators:
                if other != name:
                    self._send(f"c:{name}", f"c:{other}", self._rival(other, beacon))

        return tick

    def _heard(self, member: str, beacon: Beacon) -> Callable[[], None]:
        def arrive() -> None:
            charger = self.chargers[member]
            if charger.alive:
                charger.core.hear(beacon, charger.offset_s + self.now * charger.rate)

        return arrive

    def _rival(self, leader: str, beacon: Beacon) -> Callable[[], None]:
        def arrive() -> None:
            lead = self.leaders[leader]
            if lead.alive:
                lead.core.hear(beacon, lead.offset_s + self.now * lead.rate)

        return arrive


def rules(members: int, coordinators: int = 1, **changes: Any) -> Rules:
    """10 kW for each member's 11 kW wish, and a little to stand on."""
    values: dict[str, Any] = {
        "members": tuple(f"m{n}" for n in range(members)),
        "coordinators": tuple(f"c{n}" for n in range(coordinators)),
        "safe_w": 1400.0,
        "charge_w": members * 4000.0,
        "discharge_w": members * 2000.0,
        "lease_s": 20.0,
        "fall_s": 5.0,
    }
    return Rules(**{**values, **changes})


WISH = Wish(charge_w=11_000.0, least_w=1400.0, discharge_w=5000.0)
