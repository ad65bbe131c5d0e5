"""Plans and prices as values that everybody shares: frozen, neutral, units in names.

Positive power = into the vehicle. A plan is an envelope that dispatch moves in, never
a bound: limits, promise and dispatch signals stand above it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PricePart:
    """Prices from `start_mono` on, per kWh at the grid connection."""

    start_mono: float
    buy_per_kwh: float
    sell_per_kwh: float | None = None  # None: what is fed in earns nothing
    co2_g_per_kwh: float | None = None


@dataclass(frozen=True, slots=True)
class PriceSeries:
    """Parts in order of start, the last one to `until_mono`. The newest series of the
    highest `rank` counts; after its end the next one does."""

    source: str  # "config.site.tariff", "openadr3", "mqtt"
    parts: tuple[PricePart, ...]
    until_mono: float
    currency: str = ""  # ISO 4217
    rank: int = 0


@dataclass(frozen=True, slots=True)
class PlanPart:
    """From `start_mono` on: powers at the AC terminals, energies in the battery.

    Inside `low_w` .. `high_w` power may move without spoiling what the plan keeps free
    (reserve, site); `low_wh` .. `high_wh` is where the energy may be at the part's end.
    `up_w` and `down_w` are kept free for reserves: corridors have them taken off.
    """

    start_mono: float
    wish_w: float
    low_w: float  # <= 0
    high_w: float  # >= 0
    low_wh: float
    high_wh: float
    end_wh: float  # where the plan itself will be
    note: str = ""  # prices in words
    up_w: float = 0.0  # magnitudes: more into the grid ...
    down_w: float = 0.0  # ... and more out of it


@dataclass(frozen=True, slots=True)
class Plan:
    """Parts in order of start, the last one to `valid_until_mono`."""

    evse_id: int
    parts: tuple[PlanPart, ...]
    made_mono: float
    valid_until_mono: float
    solver: str  # "highs", "rule"
    start_wh: float  # energy in the battery when it was made
    cost: float | None = None  # of the whole site, in `currency`
    currency: str = ""
    session_id: str = ""  # it was made for; for no other

    def at(self, now_mono: float) -> PlanPart | None:
        """The part in force; None before the first and after the end."""
        if now_mono >= self.valid_until_mono:
            return None
        current = None
        for part in self.parts:
            if part.start_mono > now_mono:
                break
            current = part
        return current

    def energy_wh(self, now_mono: float) -> float | None:
        """Where the energy should be now, straight between the parts' ends."""
        before_wh = self.start_wh
        for index, part in enumerate(self.parts):
            last = index + 1 == len(self.parts)
            end_mono = (
                self.valid_until_mono if last else self.parts[index + 1].start_mono
            )
            if part.start_mono <= now_mono < end_mono:
                share = (now_mono - part.start_mono) / (end_mono - part.start_mono)
                return before_wh + share * (part.end_wh - before_wh)
            before_wh = part.end_wh
        return None


def wish_w(part: PlanPart, energy_wh: float) -> float:
    """The plan's power while the battery holds `energy_wh`: it stops where the energy
    would leave its corridor."""
    if part.wish_w > 0.0 and energy_wh >= part.high_wh:
        return 0.0
    if part.wish_w < 0.0 and energy_wh <= part.low_wh:
        return 0.0
    return part.wish_w
