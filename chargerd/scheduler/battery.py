"""What we know of the vehicle's battery: energy between SoC steps, and its rate factor.

Pure. The vehicle reports whole percents; in between the meter's registers are counted.
Every estimate leans to the low side, because a promise rests on it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

SOC_MAX_AGE_S = 10.0
RATE_MAX = 0.95
RATE_MIN = 0.10
_SLOT_S = 10.0
_SLOTS = 360  # one hour
_STEADY_S = 5.0
_BREAK_S = 2.0
_COUNTED_W = 500.0


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
    """One step. A reported s means a true value in [s - 0.5, s + 1.0) percent.

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
    same = before.reported_pct == soc_pct and before.capacity_wh == capacity_wh
    if not same:
        level = soc_pct
        if before.soc_pct is not None and before.reported_pct is not None:
            level = min(max(before.soc_pct, soc_pct - 0.5), soc_pct)
        return Estimate(level, capacity_wh, soc_pct, level, energy_in_wh, energy_out_wh)
    gained_wh = (energy_in_wh - before.anchor_in_wh) * efficiency
    lost_wh = (energy_out_wh - before.anchor_out_wh) / efficiency
    level = before.anchor_pct + (gained_wh - lost_wh) / capacity_wh * 100.0
    level = min(max(level, soc_pct - 0.5), soc_pct + 0.99)
    return before if level == before.soc_pct else replace(before, soc_pct=level)


class Rate:
    """Rate factor rho: min(0.95, 5th percentile of delivered/commanded, last hour).

    A slot is 10 s of steady charging without a break: after a turn or a pause the same
    command finds the power still on its way.
    """

    def __init__(self) -> None:
        self._slots: list[float] = []
        self._sum = 0.0
        self._count = 0
        self._slot_mono = 0.0  # when the slot began
        self._commanded_w = 0.0
        self._since_mono = 0.0
        self._last_mono = float("-inf")
        self.value = RATE_MAX

    def add(self, commanded_w: float, delivered_w: float, now_mono: float) -> None:
        """A sample of charging; only steady commands over 500 W count."""
        moved = abs(commanded_w - self._commanded_w) > 50.0
        if moved or now_mono - self._last_mono > _BREAK_S:
            self._commanded_w, self._since_mono = commanded_w, now_mono
            self._sum, self._count = 0.0, 0
        self._last_mono = now_mono
        settled = now_mono - self._since_mono >= _STEADY_S
        if commanded_w < _COUNTED_W or not settled:
            return
        if self._count == 0:
            self._slot_mono = now_mono
        self._sum += delivered_w / commanded_w
        self._count += 1
        if now_mono - self._slot_mono >= _SLOT_S:
            self._close_slot()

    def _close_slot(self) -> None:
        self._slots.append(self._sum / self._count)
        del self._slots[:-_SLOTS]
        self._sum, self._count = 0.0, 0
        worst = sorted(self._slots)[int(0.05 * len(self._slots))]
        self.value = min(RATE_MAX, max(RATE_MIN, worst))
