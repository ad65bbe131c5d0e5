"""What we know of the vehicle's battery: energy between SoC steps, and its rate factor.

Pure. The vehicle reports whole percents; in between the meter's registers are counted.
Every estimate leans to the low side, because a promise rests on it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

SOC_MAX_AGE_S = 10.0
RATE_MAX = 0.95
RATE_MIN = 0.10
RATE_PROVEN = 0.98
_PROVEN_S = 1800.0
_KEPT_S = 3600.0
_SLOT_S = 10.0
_STEADY_S = 5.0
_MOVED_W = 50.0
_FULL_SHARE = 0.9
_COUNTED_W = 500.0
_HELD_SHARE = 0.97  # of the vehicle's highest voltage: from here on it may hold it


@dataclass(frozen=True, slots=True)
class Estimate:
    """Battery energy now: `soc_pct` is finer than the vehicle's whole percents."""

    soc_pct: float | None = None
    capacity_wh: float | None = None
    reported_pct: float | None = None
    anchor_pct: float = 0.0  # estimate when the reported value last changed
    anchor_in_wh: float = 0.0
    anchor_out_wh: float = 0.0

    @property
    def energy_wh(self) -> float | None:
        """Energy in the battery, None while SoC or capacity is unknown."""
        if self.soc_pct is None or self.capacity_wh is None:
            return None
        return self.capacity_wh * self.soc_pct / 100.0


def estimate(
    before: Estimate,
    soc_pct: float | None,
    capacity_wh: float | None,
    energy_in_wh: float,
    energy_out_wh: float,
    efficiency: float,
) -> Estimate:
    """One step, in percents as the vehicle shows them: the promise is made in these. At
    a step the level is known, whether the vehicle cuts whole percents off or rounds.

    Energies are the session's AC registers. None for `soc_pct` (unknown or stale)
    forgets everything.
    """
    if soc_pct is None or not 0.0 <= soc_pct <= 100.0:
        return before if before == Estimate() else Estimate()
    known = capacity_wh is not None and capacity_wh > 0.0
    if not known or capacity_wh is None:
        if before.soc_pct == soc_pct and before.capacity_wh is None:
            return before
        return Estimate(soc_pct, None, soc_pct)
    gained_wh = (energy_in_wh - before.anchor_in_wh) * efficiency
    lost_wh = (energy_out_wh - before.anchor_out_wh) / efficiency
    level = before.anchor_pct + (gained_wh - lost_wh) / capacity_wh * 100.0
    if before.reported_pct == soc_pct and before.capacity_wh == capacity_wh:
        level = min(max(level, soc_pct - 0.5), soc_pct + 0.99)
        return before if level == before.soc_pct else replace(before, soc_pct=level)
    if before.soc_pct is None or before.reported_pct is None:
        level = soc_pct
    else:
        stepped, net_wh = soc_pct - before.reported_pct, gained_wh - lost_wh
        if stepped == 1.0 and net_wh > 0.0:
            level = soc_pct
        else:
            fell = stepped == -1.0 and net_wh < 0.0
            level = min(max(level, soc_pct - 0.5), soc_pct + (0.99 if fell else 0.0))
    return Estimate(level, capacity_wh, soc_pct, level, energy_in_wh, energy_out_wh)


def counted_w(
    power_w: float,
    told_w: float,
    soc_pct: float | None,
    knee_pct: float,
    volts: float,
    volts_max: float,
) -> float:
    """The command that what is delivered is held against; 0 = nothing is learnt now.

    Above the knee the vehicle may ask for less than was decided: `told_w` is what the
    stage was told, and near the vehicle's highest voltage nobody can tell.
    """
    if soc_pct is None or power_w <= 0.0:
        return 0.0
    if soc_pct < knee_pct:
        return power_w
    return min(power_w, told_w) if 0.0 < volts < _HELD_SHARE * volts_max else 0.0


class _Hour:
    """Ratios of delivered to commanded in the last hour of such charging."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._slots: list[tuple[float, float]] = []  # ratio, seconds

    def add(self, ratio: float, seconds: float) -> None:
        self._slots.append((ratio, seconds))
        self.seconds += seconds
        while self.seconds - self._slots[0][1] >= _KEPT_S:
            self.seconds -= self._slots.pop(0)[1]

    def worst(self) -> float:
        """The 5th percentile of the time; 1 where nothing was seen."""
        left_s = 0.05 * self.seconds
        for ratio, seconds in sorted(self._slots):
            left_s -= seconds
            if left_s < 0.0:
                return ratio
        return 1.0


class Rate:
    """Rate factor rho: 5th percentile of delivered/commanded over the last hour of
    charging; at most 0.95, and 0.98 once half an hour at nearly full power was seen.

    A slot is 10 s or more of steady charging: after a turn or a pause the same command
    finds the power still on its way. At part load a charger that has lost power may
    still deliver all: what is seen there never counts for more than at full power.
    """

    def __init__(self) -> None:
        self._full, self._part = _Hour(), _Hour()
        self._sum = 0.0
        self._count = 0
        self._commanded_w = 0.0
        self._slot_mono = math.inf  # when the slot began; after a move, once it settles
        self.value = RATE_MAX

    def add(
        self, commanded_w: float, delivered_w: float, most_w: float, now_mono: float
    ) -> None:
        """A sample, each tick; 0 W while nothing can be learnt, which is a break.
        `most_w` is what could be commanded now."""
        if abs(commanded_w - self._commanded_w) > _MOVED_W:
            self._commanded_w, self._slot_mono = commanded_w, now_mono + _STEADY_S
            self._sum, self._count = 0.0, 0
        if commanded_w < _COUNTED_W or now_mono < self._slot_mono:
            return
        self._sum += delivered_w / commanded_w
        self._count += 1
        if now_mono - self._slot_mono >= _SLOT_S:
            full = commanded_w >= _FULL_SHARE * most_w
            self._close_slot(self._full if full else self._part, now_mono)

    def _close_slot(self, hour: _Hour, now_mono: float) -> None:
        hour.add(self._sum / self._count, now_mono - self._slot_mono)
        self._sum, self._count, self._slot_mono = 0.0, 0, now_mono
        most = RATE_PROVEN if self._full.seconds >= _PROVEN_S else RATE_MAX
        worst = min(self._full.worst(), self._part.worst())
        self.value = min(most, max(RATE_MIN, worst))
