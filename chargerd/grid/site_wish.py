"""What a charger asks of its site, and what the house leaves for all chargers.

Pure. Reports of this station's EVSEs in, a member's `Wish` and a coordinator's free
power out.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

from chargerd.config import Evse
from chargerd.grid.readings import fresh
from chargerd.grid.site_member import Wish
from chargerd.model import EvseReport, SessionPhase

MAX_AGE_S = 3.0  # older reports count for nothing; so does an older site meter
MIN_A = 6.0  # IEC 61851-1: the pilot cannot offer less
USE_S = 60.0  # a vehicle is watched so long before its wish follows what it takes
USE_SHARE, USE_W = 1.1, 500.0  # it may take that much more at once
HOUSE_S = 10.0  # the house counts with its peak of so long
_TAKING = (SessionPhase.STARTING, SessionPhase.ENERGY, SessionPhase.SUSPENDED_EVSE)


class Wishes:
    """The newest report of each EVSE of this station."""

    def __init__(self, evses: tuple[Evse, ...]) -> None:
        self._evses = {evse.id: evse for evse in evses}
        self._newest: dict[int, EvseReport] = {}
        self._uses = {evse.id: Use() for evse in evses}

    def report(self, report: EvseReport) -> None:
        """A reporter of the cycle."""
        self._newest[report.snapshot.evse_id] = report

    def fresh(self, now_mono: float) -> list[EvseReport]:
        """What is not older than the cycle's own failure."""
        return [
            report
            for report in self._newest.values()
            if now_mono - report.snapshot.now.mono <= MAX_AGE_S
        ]

    def wish(self, now_mono: float) -> Wish:
        """Of all EVSEs together. A vehicle that may be charged or discharged counts
        with all it can, whatever it does now: a signal may come at any moment."""
        wishes = [self._one(report) for report in self.fresh(now_mono)]
        least = [w.least_w for w in wishes if w.charge_w > 0.0]
        return Wish(
            charge_w=sum(w.charge_w for w in wishes),
            must_w=sum(w.must_w for w in wishes),
            least_w=min(least, default=0.0),
            discharge_w=sum(w.discharge_w for w in wishes),
            energy_wh=sum(w.energy_wh for w in wishes),
            power_w=sum(w.power_w for w in wishes),
        )

    def _one(self, report: EvseReport) -> Wish:
        evse = self._evses[report.snapshot.evse_id]
        snapshot, session = report.snapshot, report.snapshot.session
        meter = fresh(snapshot.telemetry.meter, snapshot.now.mono)
        power_w = meter.power_w if meter is not None else report.decision.power_w
        if not session.authorised or session.phase not in _TAKING:
            return Wish(power_w=power_w)
        charge_w, discharge_w, least_w = _able(evse, report)
        used_w = self._uses[evse.id].most_w(report)
        charge_w = min(charge_w, max(used_w, least_w))
        forced = session.promise is not None and session.promise.forced
        return Wish(
            charge_w=charge_w,
            must_w=charge_w if forced else 0.0,
            least_w=least_w,
            discharge_w=discharge_w if snapshot.site.discharge_permitted else 0.0,
            energy_wh=session.energy_in_wh,
            power_w=power_w,
        )


class Use:
    """What a vehicle takes of what it is offered, where it does not say so."""

    def __init__(self) -> None:
        self._session = ""
        self._seen: deque[tuple[float, float]] = deque()

    def most_w(self, report: EvseReport) -> float:
        """What it will take soon, at most; infinite while it takes all there is, or
        was not watched for long enough."""
        snapshot, mono = report.snapshot, report.snapshot.now.mono
        meter, session = fresh(snapshot.telemetry.meter, mono), snapshot.session
        offered_w = report.decision.power_w
        idle = session.phase is not SessionPhase.ENERGY or offered_w <= USE_W
        if meter is None or idle or session.id != self._session:
            self._session = session.id
            self._seen.clear()
            return math.inf
        self._seen.append((mono, meter.power_w))
        began_mono = self._seen[0][0]
        while self._seen[0][0] < mono - USE_S:
            self._seen.popleft()
        if mono - began_mono < USE_S:
            return math.inf
        peak_w = max(power_w for _, power_w in self._seen)
        most_w = max(0.0, peak_w) * USE_SHARE + USE_W
        return most_w if offered_w > most_w else math.inf


def _able(evse: Evse, report: EvseReport) -> tuple[float, float, float]:
    """(charge, discharge, least) that EVSE and vehicle can do, magnitudes."""
    limits = report.snapshot.vehicle.limits
    per_a = evse.ac_voltage_v * evse.ac_phases
    if limits is None:  # the pilot alone
        return evse.ac_current_max_a * per_a, 0.0, MIN_A * per_a
    charge_w, discharge_w = evse.charge_w, evse.discharge_w
    if limits.charge_w is not None:
        charge_w = min(charge_w, limits.charge_w)
        discharge_w = min(discharge_w, -(limits.discharge_w or 0.0))
    elif limits.voltage_max_v > 0.0:
        volts = min(limits.voltage_max_v, evse.voltage_max_v)
        charge_w = min(charge_w, limits.charge_a * volts / evse.efficiency)
        discharge_w = min(discharge_w, -limits.discharge_a * volts)
    return charge_w, discharge_w if limits.discharge_allowed else 0.0, 0.0


class House:
    """What else the shared connection feeds, by its peak of the last seconds."""

    def __init__(self, reserve_w: float) -> None:
        self._reserve_w = reserve_w
        self._seen: deque[tuple[float, float]] = deque()

    def free_w(
        self, reports: Iterable[EvseReport], others_w: float, now_mono: float
    ) -> float:
        """Left for all members; 0 while the site meter is silent.

        `others_w`: what the members on other stations say they take.
        """
        mine = list(reports)
        if not mine:
            return 0.0
        site = mine[0].snapshot.site
        age_s = site.meter_age_s
        if site.grid_w is None or age_s is None or age_s > MAX_AGE_S:
            return 0.0
        ours_w = sum(report.decision.power_w for report in mine)
        self._seen.append((now_mono, site.grid_w - ours_w - others_w))
        while self._seen[0][0] < now_mono - HOUSE_S:
            self._seen.popleft()
        peak_w = max(house_w for _, house_w in self._seen)
        return max(0.0, site.import_limit_w - peak_w - self._reserve_w)
