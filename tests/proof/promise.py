"""Sessions against the promise: derating, taper, noise, early unplug, lost sources.

Dispatch and plan are as hostile as they can be: mostly full discharge. Judged by the
SoC that the vehicle shows, which is wrong by up to 3 %: nobody sees another one. Where
a charger loses power after the promise was made, what was told TOLD_S before departure
counts: nobody can deliver more, but the driver must know.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace

from chargerd import config
from chargerd.model import PromiseRequest
from chargerd.plan import Plan, PlanPart
from tests.proof.plant import NO_RAMP, RATED_W, Car, Site

COARSE_S, FINE_S = 119.83, 9.83
SLACK_PER_S = 6.0  # slack that a second of discharge takes at most, high in the taper
LAST_S = 60.0
TOLD_S = 300.0
ALLOWED_PCT = 1.0
METER_S = 3.0
EXPORT_W = 6000.0
IMPORT_W = 9000.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one session showed. `missed_pct` > 0 = less than was promised."""

    seed: int
    ended: bool  # at departure, not before
    missed_pct: float
    below_floor_pct: float
    over_limit: int
    blind_export: int
    ticks: int
    cuts: int
    forced: bool
    sagged: bool  # the charger lost power on the way
    taken_back: bool  # and less than promised was told

    @property
    def broken(self) -> bool:
        return self.missed_pct > ALLOWED_PCT

    @property
    def good(self) -> bool:
        wrong = self.over_limit or self.blind_export or self.below_floor_pct > 0.6
        return not (self.broken or wrong)


class Session:
    """One seeded session."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        rng = self.rng = random.Random(seed)
        car = Car(rng.choice([24_000.0, 40_000.0, 62_000.0]), rng.uniform(15, 85))
        car.error_pct = rng.uniform(-3.0, 3.0)
        self.floor = rng.choice([10.0, 20.0, 30.0])
        self.length_s = rng.uniform(2.0, 9.0) * 3600.0
        self.target = rng.uniform(40.0, 100.0)
        self.leaves_s = self.length_s
        if rng.random() < 0.15:
            self.leaves_s *= rng.uniform(0.05, 0.95)
        heavy = rng.random() < 0.2
        self.derate = rng.uniform(0.7, 0.95) if heavy else rng.uniform(0.96, 1.0)
        self.heavy = heavy
        chance = random.Random(f"sag {seed}")
        self.sags_s = math.inf
        if not heavy and chance.random() < 0.1:
            self.sags_s = chance.uniform(0.0, 1.0) * self.length_s
        self.sagged = chance.uniform(0.7, 0.95)
        owner = config.Owner(departure="", floor_soc_pct=self.floor)
        site = config.Site.model_validate(
            {
                "import_w": IMPORT_W,
                "export_w": EXPORT_W,
                # Covers charger and house: else a lost meter is a lost promise.
                "failsafe_import_w": IMPORT_W,
                "export_permit": "PROOF",
                "ramp_w_per_s": NO_RAMP,
                "meter": {"driver": "x", "at": "serial:/dev/null"},
            }
        )
        self.site = Site(car, owner=owner, site=site, with_site=True)
        self.car = car
        self.over_limit = self.blind_export = self.ticks = self.cuts = 0
        self.meter_until = self.mute_until = self.ask_until = 0.0
        self.meter_gone = 0.0
        self.forced = self.forced_now = False

    def run(self) -> Outcome:
        """From plug to unplug."""
        site, rng = self.site, self.rng
        site.begin()
        began = site.mono
        departure = began + self.length_s
        site.cycle.request(PromiseRequest(1, departure, self.target, self.floor))
        if self.heavy:
            self._learn()
        site.move(0.05)
        promised = told = self._promised()
        start = lowest = self.car.shown_pct
        while (left := began + self.leaves_s - site.mono) > 0.05:
            self._events(rng)
            if site.mono - began > self.sags_s:
                self.derate = self.sagged
            noise = rng.uniform(-0.005, 0.005)
            site.derate = min(1.0, self.derate + noise)
            site.go(min(left, self._step_s(left)))
            self._check()
            lowest = min(lowest, self.car.shown_pct)
            if departure - site.mono > TOLD_S:
                told = self._told(told)
        sagged = self.derate == self.sagged
        due = min(promised, told) if sagged else promised
        ended = self.leaves_s == self.length_s
        return Outcome(
            self.seed,
            ended,
            due - self.car.shown_pct if ended else 0.0,
            min(start, self.floor) - lowest,
            self.over_limit,
            self.blind_export,
            self.ticks,
            self.cuts,
            self.forced,
            sagged,
            due < promised,
        )

    def _step_s(self, left_s: float) -> float:
        """As long as no edge can be passed unseen: the line, the floor, departure."""
        slack_s, power_w = self._slack(), self.site.power_w
        ahead_s = COARSE_S if left_s > LAST_S else FINE_S
        if not self.forced_now:
            ahead_s = min(ahead_s, slack_s / (SLACK_PER_S if power_w < 0.0 else 2.0))
        if power_w < 0.0:
            over_wh = (self.car.shown_pct - self.floor) / 100.0 * self.car.full_wh
            ahead_s = min(ahead_s, over_wh / (2.0 * -power_w) * 3600.0)
        return max(FINE_S, ahead_s)

    def _learn(self) -> None:
        """A heavily derated charger was seen charging before, in this session."""
        site = self.site
        site.derate = self.derate
        site.setpoint(RATED_W, 60.0)
        for _ in range(24):
            site.move(1.03)

    def _promised(self) -> float:
        self.site.move(1.03)  # told once a second
        return self._told(self.target)

    def _told(self, otherwise: float) -> float:
        """What the driver is told that will be in it."""
        wish = self.site.report().snapshot.session.promise
        if wish is None:
            raise RuntimeError("the promise was not taken")
        reachable = wish.reachable_soc_pct
        return otherwise if reachable is None else reachable

    def _slack(self) -> float:
        wish = self.site.report().snapshot.session.promise
        if wish is None or wish.slack_s is None:
            return 0.0
        self.forced_now = wish.forced
        self.forced = self.forced or wish.forced
        return wish.slack_s

    def _events(self, rng: random.Random) -> None:
        """New asks, new plans, a changed house, and sources that go silent."""
        site, now = self.site, self.site.mono
        if rng.random() < 0.03:
            asked = rng.choice([-RATED_W, -RATED_W, -3000.0, 0.0, 4000.0])
            site.setpoint(asked, rng.uniform(60.0, 5400.0))
        if rng.random() < 0.01:
            self._plan(rng.choice([-RATED_W, 0.0, RATED_W]), rng.uniform(600, 7200))
        if rng.random() < 0.05:
            site.bridge.house_w = rng.uniform(-500.0, 1900.0)
            self._answer()
        if rng.random() < 0.004 and now > self.meter_until:
            self._cut_meter(rng.uniform(4.0, 900.0))
        if now > self.meter_until and "site" in site.bridge.silent:
            site.bridge.silent.discard("site")
            self._answer()
        if rng.random() < 0.004:
            self.mute_until = now + rng.uniform(5.0, 600.0)
            self.cuts += 1
        self.car.mute = now < self.mute_until

    def _plan(self, wish_w: float, seconds: float) -> None:
        now = self.site.mono
        part = PlanPart(now, wish_w, -RATED_W, RATED_W, 0.0, 1e6, 0.0)
        plan = Plan(1, (part,), now, now + seconds, "proof", 0.0)
        session_id = self.site.report().snapshot.session.id
        self.site.cycle.plan(replace(plan, session_id=session_id))

    def _answer(self) -> None:
        """A house that jumps is seen, and answered, within two real ticks."""
        self.site.move(0.05)
        self.site.move(0.05)

    def _cut_meter(self, seconds: float) -> None:
        """The site meter stops; the next 4 s in short ticks."""
        site = self.site
        self.cuts += 1
        site.bridge.silent.add("site")
        self.meter_gone, self.meter_until = site.mono, site.mono + seconds
        for _ in range(16):
            site.move(0.25)
            self._check()

    def _check(self) -> None:
        """Limits as the decision could know them, in this tick."""
        self.ticks += 1
        site = self.site
        power = site.decision().power_w
        total = power + site.bridge.house_w
        silent = "site" in site.bridge.silent
        blind = silent and site.mono - self.meter_gone > METER_S + 0.26
        if blind and power < -1.0:
            self.blind_export += 1
        over = total > IMPORT_W + 1.0 or total < -EXPORT_W - 1.0
        if over and not silent:
            self.over_limit += 1


def run(seed: int) -> Outcome:
    return Session(seed).run()
