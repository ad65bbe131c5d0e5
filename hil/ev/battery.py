"""A traction battery: charge, open-circuit voltage, limits, losses, heat. Pure.

Energy-based: `stored_wh` moves by emf x current, so what crosses the terminals is
always stored, given back or lost; nothing is clamped, so a station that discharges an
empty battery is seen as a state of charge below zero. Positive current charges.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

# Open-circuit volts of one lithium-ion NMC cell over state of charge [K: typical].
OCV_CELL: tuple[tuple[float, float], ...] = (
    (0.0, 3.20),
    (5.0, 3.45),
    (10.0, 3.53),
    (20.0, 3.60),
    (50.0, 3.72),
    (80.0, 3.95),
    (100.0, 4.17),
)
J_PER_WH = 3600.0


def interpolate(points: tuple[tuple[float, float], ...], x: float) -> float:
    """Piecewise linear through `points`; the end pieces go on outside."""
    knots = [point[0] for point in points]
    index = min(max(bisect_right(knots, x), 1), len(points) - 1)
    (x0, y0), (x1, y1) = points[index - 1], points[index]
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)


@dataclass(slots=True)
class Battery:
    """`charge_a` and `discharge_a` are the limits of a battery at ease, both >= 0."""

    soc_pct: float = 60.0
    capacity_wh: float = 40_000.0
    cells: int = 96
    resistance_ohm: float = 0.1
    charge_a: float = 125.0
    discharge_a: float = 100.0
    taper_from_pct: float = 80.0  # charging slows down above
    weak_below_pct: float = 15.0  # discharging slows down below
    empty_pct: float = 5.0  # no discharging at or below
    stored_efficiency: float = 0.99  # share of charged energy that can come back
    temperature_c: float = 25.0
    ambient_c: float = 25.0
    heat_capacity_j_per_k: float = 180_000.0
    cooling_w_per_k: float = 60.0
    hot_c: float = 45.0  # limits fall linearly from here to zero at `too_hot_c`
    too_hot_c: float = 60.0
    energy_in_wh: float = 0.0  # at the terminals
    energy_out_wh: float = 0.0
    loss_wh: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.soc_pct <= 100.0:
            raise ValueError(f"soc {self.soc_pct}: must be 0 to 100 percent")
        if self.capacity_wh <= 0.0:
            raise ValueError(f"capacity_wh {self.capacity_wh}: must be above 0")
        if min(self.cells, self.resistance_ohm, self.heat_capacity_j_per_k) <= 0.0:
            raise ValueError("cells, resistance_ohm, heat_capacity_j_per_k: above 0")
        if self.taper_from_pct >= 100.0 or self.weak_below_pct <= self.empty_pct:
            raise ValueError("need taper_from_pct < 100 and weak_below_pct > empty_pct")
        if self.too_hot_c <= self.hot_c:
            raise ValueError("need too_hot_c > hot_c")

    @property
    def emf_v(self) -> float:
        """The voltage behind the resistance; 0 at worst."""
        return max(0.0, self.cells * interpolate(OCV_CELL, self.soc_pct))

    @property
    def max_v(self) -> float:
        return self.cells * OCV_CELL[-1][1]

    @property
    def min_v(self) -> float:
        return self.cells * OCV_CELL[0][1]

    @property
    def stored_wh(self) -> float:
        return self.capacity_wh * self.soc_pct / 100.0

    def charge_limit_a(self) -> float:
        """What it can take now; 0 when full or too hot."""
        room = (100.0 - self.soc_pct) / (100.0 - self.taper_from_pct)
        return self.charge_a * _share(room) * self._cool()

    def discharge_limit_a(self) -> float:
        """What it can give now, as a positive number; 0 when empty or too hot."""
        left = (self.soc_pct - self.empty_pct) / (self.weak_below_pct - self.empty_pct)
        return self.discharge_a * _share(left) * self._cool()

    def current_for(self, power_w: float) -> float:
        """Amperes that bring `power_w` to the terminals (root of (emf + I R) I = P)."""
        emf, ohm = self.emf_v, self.resistance_ohm
        root = max(0.0, emf * emf + 4.0 * ohm * power_w) ** 0.5
        return float((root - emf) / (2.0 * ohm))

    def step(self, current_a: float, dt_s: float) -> None:
        """`current_a` flowed for `dt_s`: move the charge, the counters and the heat."""
        hours = dt_s / 3600.0
        inner_wh = self.emf_v * current_a * hours
        copper_wh = self.resistance_ohm * current_a * current_a * hours
        terminal_wh = inner_wh + copper_wh
        change_wh = inner_wh * self.stored_efficiency if inner_wh > 0.0 else inner_wh
        lost_wh = terminal_wh - change_wh
        self.soc_pct += 100.0 * change_wh / self.capacity_wh
        self.loss_wh += lost_wh
        if terminal_wh > 0.0:
            self.energy_in_wh += terminal_wh
        else:
            self.energy_out_wh -= terminal_wh
        cooling_j = self.cooling_w_per_k * (self.temperature_c - self.ambient_c) * dt_s
        warmth_j = lost_wh * J_PER_WH - cooling_j
        self.temperature_c += warmth_j / self.heat_capacity_j_per_k

    def state(self) -> dict[str, float]:
        """True values, as the rig's `state` verb shows them."""
        return {
            "soc_pct": round(self.soc_pct, 4),
            "capacity_wh": self.capacity_wh,
            "stored_wh": round(self.stored_wh, 3),
            "emf_v": round(self.emf_v, 3),
            "temperature_c": round(self.temperature_c, 3),
            "energy_in_wh": round(self.energy_in_wh, 4),
            "energy_out_wh": round(self.energy_out_wh, 4),
            "loss_wh": round(self.loss_wh, 4),
            "charge_limit_a": round(self.charge_limit_a(), 2),
            "discharge_limit_a": round(self.discharge_limit_a(), 2),
        }

    def _cool(self) -> float:
        span = self.too_hot_c - self.hot_c
        return _share((self.too_hot_c - self.temperature_c) / span)


def _share(value: float) -> float:
    return min(1.0, max(0.0, value))
