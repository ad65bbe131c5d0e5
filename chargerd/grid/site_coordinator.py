"""The coordinator's side of a shared connection: asks in, leases out, never too much.

Pure. At every moment the sum of what its members may take, at worst, is within the
site's power: a member counts with its safe limit, and with every lease that it might
still hold.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from chargerd.grid import site_share
from chargerd.grid.site_rules import DRIFT, Rules
from chargerd.grid.site_share import Want
from chargerd.grid.site_words import Ask, Beacon, Lease

SHARE_S = 0.5  # shares are worked out anew when they are older


@dataclass(frozen=True, slots=True)
class _Given:
    boot: str
    number: int
    charge_w: float
    discharge_w: float
    until_mono: float


@dataclass(slots=True)
class _Known:
    """One member, as far as it was heard."""

    ask: Ask | None = None
    asked_mono: float = float("-inf")
    vote_until_mono: float = float("-inf")
    given: list[_Given] = field(default_factory=list)

    def worst(self, safe_w: float, now_mono: float) -> tuple[float, float]:
        """The most it may take and give now."""
        charge_w, discharge_w = safe_w, 0.0
        for given in self.given:
            if given.until_mono > now_mono:
                charge_w = max(charge_w, given.charge_w)
                discharge_w = max(discharge_w, given.discharge_w)
        return charge_w, discharge_w


class Coordinator:
    """`epoch` must be new at every start: what the last run gave is not known."""

    def __init__(self, rules: Rules, name: str, epoch: str, now_mono: float) -> None:
        self._rules, self._name, self._epoch = rules, name, epoch
        self._digest = rules.digest
        self._known = {member: _Known() for member in rules.members}
        self._charge_w, self._discharge_w = rules.charge_w, rules.discharge_w
        self._pause_s = rules.lease_s * (1.0 + DRIFT)
        self._quiet_until_mono = now_mono + self._pause_s
        self._majority_until_mono = float("-inf")
        self._shared_mono = float("-inf")
        self._charge: dict[str, float] = {}
        self._discharge: dict[str, float] = {}
        self.refused: Counter[str] = Counter()

    def beacon(self, now_mono: float) -> Beacon:
        """To be sent each period."""
        return Beacon(self._name, self._epoch, now_mono, self._digest)

    def hear(self, beacon: Beacon, now_mono: float) -> None:
        """Another coordinator. One that is not on our list, has other rules, or is
        another of our own name: nothing is given while it can be heard."""
        other = (beacon.coordinator, beacon.epoch) != (self._name, self._epoch)
        known = beacon.coordinator in self._rules.coordinators
        alike = known and beacon.rules == self._digest
        if other and (not alike or beacon.coordinator == self._name):
            self.refused["rival"] += 1
            self._quiet_until_mono = now_mono + self._pause_s

    def limit(self, charge_w: float, discharge_w: float) -> None:
        """What is left for all members now, e.g. less a house; never over the rules."""
        self._charge_w = min(max(0.0, charge_w), self._rules.charge_w)
        self._discharge_w = min(max(0.0, discharge_w), self._rules.discharge_w)

    def receive(self, ask: Ask, now_mono: float) -> Lease | None:
        """A member asks: its lease, or None while nothing may be given to it."""
        known = self._known.get(ask.member)
        if known is None:
            self.refused["stranger"] += 1
            return None
        if ask.rules != self._digest:  # its safe limit, or its time, may be another
            self.refused["other rules"] += 1
            self._quiet_until_mono = now_mono + self._pause_s
            return None
        last = known.ask
        if last is not None and last.boot == ask.boot and ask.number <= last.number:
            self.refused["repeated"] += 1
            return None
        known.ask, known.asked_mono = ask, now_mono
        # It holds `held` or newer: what was given before that is over.
        known.given = [
            given
            for given in known.given
            if given.until_mono > now_mono
            and (given.boot != ask.boot or given.number >= ask.held)
        ]
        if (ask.coordinator, ask.epoch) != (self._name, self._epoch):
            self._leads(now_mono)
            return None
        if ask.stamp_mono > now_mono:
            self.refused["forged"] += 1
            return None
        word_s = self._rules.lease_s * (1.0 - DRIFT)
        known.vote_until_mono = max(known.vote_until_mono, ask.stamp_mono + word_s)
        if not self._leads(now_mono):
            return None
        return self._give(ask, known, now_mono)

    def _leads(self, now_mono: float) -> bool:
        """More than half follow us, have done so for a lease time, and still do."""
        needed = self._rules.votes_needed
        until_mono = float("inf")
        if needed:
            ends = sorted(k.vote_until_mono for k in self._known.values())
            until_mono = ends[-needed]
        if self._majority_until_mono <= now_mono < until_mono and needed:
            self._quiet_until_mono = max(
                self._quiet_until_mono, now_mono + self._pause_s
            )
        self._majority_until_mono = until_mono
        return until_mono > now_mono >= self._quiet_until_mono

    def _give(self, ask: Ask, known: _Known, now_mono: float) -> Lease:
        if now_mono - self._shared_mono >= SHARE_S:
            self._share(now_mono)
        others = [
            other.worst(self._rules.safe_w, now_mono)
            for other in self._known.values()
            if other is not known
        ]
        charge_free_w = self._charge_w - sum(charge for charge, _ in others)
        discharge_free_w = self._discharge_w - sum(give for _, give in others)
        charge_w = min(self._charge.get(ask.member, 0.0), charge_free_w)
        discharge_w = min(self._discharge.get(ask.member, 0.0), discharge_free_w)
        given = _Given(
            ask.boot,
            ask.number,
            max(0.0, charge_w),
            max(0.0, discharge_w),
            now_mono + self._rules.lease_s * (1.0 + DRIFT),
        )
        known.given.append(given)
        return Lease(
            ask.member,
            ask.boot,
            ask.number,
            self._name,
            self._epoch,
            given.charge_w,
            given.discharge_w,
            self._rules.lease_s,
        )

    def _share(self, now_mono: float) -> None:
        """Each one's share: the safe limit is everybody's, the rest is shared out."""
        self._shared_mono = now_mono
        safe_w = self._rules.safe_w
        charge: dict[str, Want] = {}
        discharge: dict[str, Want] = {}
        for name, known in self._known.items():
            ask = known.ask
            if ask is None or now_mono - known.asked_mono > self._rules.lease_s:
                continue
            charge[name] = Want(
                max(0.0, ask.charge_w - safe_w),
                max(0.0, ask.must_w - safe_w),
                max(0.0, ask.least_w - safe_w),
                ask.energy_wh,
                self._charge.get(name, 0.0) > safe_w,
            )
            discharge[name] = Want(ask.discharge_w)
        reserved_w = safe_w * len(self._known)
        extra = site_share.shares(self._charge_w - reserved_w, charge)
        self._charge = {name: safe_w + share for name, share in extra.items()}
        self._discharge = site_share.shares(self._discharge_w, discharge)

    def measured_w(self, now_mono: float, but: str = "") -> float:
        """What the members that were heard say they take, without `but`."""
        return sum(
            known.ask.power_w
            for name, known in self._known.items()
            if known.ask is not None
            and name != but
            and now_mono - known.asked_mono <= self._rules.lease_s
        )

    def status(self, now_mono: float) -> dict[str, Any]:
        """For people."""
        known = self._known.values()
        worst = [k.worst(self._rules.safe_w, now_mono) for k in known]
        fresh = [k for k in known if now_mono - k.asked_mono <= self._rules.lease_s]
        return {
            "gives": self._leads(now_mono),
            "followers": sum(k.vote_until_mono > now_mono for k in known),
            "needed": self._rules.votes_needed,
            "heard": len(fresh),
            "members": len(self._known),
            "charge_w": self._charge_w,
            "given_charge_w": sum(charge for charge, _ in worst),
            "given_discharge_w": sum(give for _, give in worst),
            "measured_w": self.measured_w(now_mono),
            "refused": dict(self.refused),
        }
