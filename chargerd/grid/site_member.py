"""A charger's side of a shared connection: whom it follows, what it may take, how long.

Pure. Without a living lease it may take `safe_w` and give nothing, whatever it hears.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

from chargerd.grid.site_rules import Rules
from chargerd.grid.site_words import Ask, Beacon, Lease

MAX_ASKS = 64  # asks whose answer may still come


@dataclass(frozen=True, slots=True)
class Wish:
    """What the charger could use; see Ask."""

    charge_w: float = 0.0
    must_w: float = 0.0
    least_w: float = 0.0
    discharge_w: float = 0.0
    energy_wh: float = 0.0
    power_w: float = 0.0


@dataclass(frozen=True, slots=True)
class Grant:
    """What holds now: until `until_mono`, then the safe limit."""

    charge_w: float
    discharge_w: float
    until_mono: float


@dataclass(frozen=True, slots=True)
class _Heard:
    beacon: Beacon
    at_mono: float


class Member:
    """One charger. `boot` must be new at every start."""

    def __init__(self, rules: Rules, name: str, boot: str, now_mono: float) -> None:
        self._rules, self._name, self._boot = rules, name, boot
        self._digest = rules.digest
        self._heard: dict[str, _Heard] = {}
        self._followed: Beacon | None = None
        # The run before may have followed anybody: nobody else for a lease time.
        wait_s = rules.lease_s if rules.votes_needed else 0.0
        self._bound_until_mono = now_mono + wait_s
        self._number = 0
        self._sent: deque[tuple[int, float]] = deque(maxlen=MAX_ASKS)
        self._taken: deque[tuple[int, float]] = deque(maxlen=MAX_ASKS)
        self._held = 0
        self._grant = Grant(rules.safe_w, 0.0, now_mono)
        self.refused: Counter[str] = Counter()

    @property
    def coordinator(self) -> str:
        """Who is followed, "" = nobody."""
        return self._followed.coordinator if self._followed else ""

    def hear(self, beacon: Beacon, now_mono: float) -> None:
        """A coordinator is alive. One that has restarted counts when its last run has
        been silent for a lease time."""
        if beacon.coordinator not in self._rules.coordinators:
            self.refused["stranger"] += 1
            return
        if beacon.rules != self._digest:
            self.refused["other rules"] += 1
            return
        last = self._heard.get(beacon.coordinator)
        if last is not None and now_mono - last.at_mono < self._rules.lease_s:
            same = last.beacon.epoch == beacon.epoch
            if not same or beacon.stamp_mono <= last.beacon.stamp_mono:
                self.refused["late beacon" if same else "old epoch"] += 1
                return
        self._heard[beacon.coordinator] = _Heard(beacon, now_mono)

    def ask(self, wish: Wish, now_mono: float) -> Ask:
        """The next ask, to be sent now."""
        self._choose(now_mono)
        self._number += 1
        self._sent.append((self._number, now_mono))
        followed = self._followed or Beacon("", "", 0.0, "")
        return Ask(
            self._name,
            self._boot,
            self._number,
            followed.coordinator,
            followed.epoch,
            followed.stamp_mono,
            self._followed_by_power(now_mono),
            self._digest,
            wish.charge_w,
            wish.must_w,
            wish.least_w,
            wish.discharge_w,
            wish.energy_wh,
            wish.power_w,
        )

    def _followed_by_power(self, now_mono: float) -> int:
        """The newest lease that power has surely followed: no older one matters."""
        found = 0
        for number, taken_mono in self._taken:
            if now_mono - taken_mono >= self._rules.fall_s:
                found = number
        return found

    def _choose(self, now_mono: float) -> None:
        """Stay with the best that is heard; leave only when our word has run out."""
        best = self._best(now_mono)
        bound = now_mono < self._bound_until_mono
        if bound and (best is None or not self._follows(best.beacon)):
            return
        self._followed = best.beacon if best else None
        if best is not None:
            self._bound_until_mono = best.at_mono + self._rules.lease_s

    def _best(self, now_mono: float) -> _Heard | None:
        for name in self._rules.coordinators:
            heard = self._heard.get(name)
            if heard is not None and now_mono - heard.at_mono < self._rules.lease_s:
                return heard
        return None

    def _follows(self, other: Beacon | Lease) -> bool:
        mine = self._followed
        return mine is not None and (mine.coordinator, mine.epoch) == (
            other.coordinator,
            other.epoch,
        )

    def take(self, lease: Lease, now_mono: float) -> bool:
        """A lease arrived; False and counted when it is not for us, or not for now.

        Its time began when we asked, however late it comes.
        """
        reason = self._objection(lease, now_mono)
        if reason:
            self.refused[reason] += 1
            return False
        until_mono = self._until_mono(lease)
        self._held = lease.number
        self._taken.append((lease.number, now_mono))
        self._grant = Grant(lease.charge_w, lease.discharge_w, until_mono)
        return True

    def _objection(self, lease: Lease, now_mono: float) -> str:
        if (lease.member, lease.boot) != (self._name, self._boot):
            return "not ours"
        if not self._follows(lease) or now_mono >= self._bound_until_mono:
            return "not followed"
        if lease.number <= self._held:
            return "repeated"
        if lease.lease_s > self._rules.lease_s:
            return "too long"
        most = (self._rules.charge_w, self._rules.discharge_w)
        if lease.charge_w > most[0] or lease.discharge_w > most[1]:
            return "too much"
        return "" if now_mono < self._until_mono(lease) else "late"

    def _until_mono(self, lease: Lease) -> float:
        """Power must have followed when the giver counts it as over."""
        for number, sent_mono in self._sent:
            if number == lease.number:
                return sent_mono + lease.lease_s - self._rules.fall_s
        return float("-inf")

    def grant(self, now_mono: float) -> Grant:
        """What holds now, and until when; past its end the safe limit, for ever."""
        if now_mono < self._grant.until_mono:
            return self._grant
        return Grant(self._rules.safe_w, 0.0, float("inf"))
