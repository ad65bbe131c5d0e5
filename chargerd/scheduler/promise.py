"""The driver's promise: enough energy by departure, whatever the grid asks.

Pure. Owns the must-charge line (the last moment to start charging), the floor and what
is reachable. Must never call a promise infeasible: it says by how much it falls short.
Constants are ours, proven by simulation (tests/property/test_scheduler_promise.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from chargerd.clock import Now
from chargerd.model import Promise, VehicleState
from chargerd.scheduler import words
from chargerd.scheduler.battery import Estimate

SOC_ERROR_PCT = 3.0  # a gauge may be wrong by so much: the taper may begin earlier
KNEE = 0.80  # above this share of capacity the vehicle tapers
LATENCY_S = 5.0  # ramp, turn and mode change of the stage
MARGIN_SHARE = 0.02
MARGIN_MAX_S = 300.0
LOOK_AHEAD_S = 1.0
FLOOR_BAND_PCT = 1.0
_TAIL = 0.01  # of the tapering part: the last bit would take for ever


@dataclass(frozen=True, slots=True)
class Plant:
    """What charging can be counted on: AC watts guaranteed, efficiency, rate factor."""

    power_w: float
    efficiency: float
    rate: float
    knee: float = KNEE

    @property
    def battery_w(self) -> float:
        return max(0.0, self.power_w * self.efficiency * self.rate)


@dataclass(frozen=True, slots=True)
class Line:
    """The promise's word for this tick."""

    must_charge: bool = False
    discharge_ok: bool = True
    floor_held: bool = False  # at the floor, until 1 % above it
    reachable_pct: float | None = None
    slack_s: float | None = None
    note: str = ""


FREE = Line()


def need_s(
    energy_wh: float, target_wh: float, capacity_wh: float, plant: Plant
) -> float:
    """Seconds from `energy_wh` to `target_wh`: linear to the knee, then a taper."""
    if target_wh <= energy_wh:
        return 0.0
    power_w = plant.battery_w
    if power_w <= 0.0:
        return math.inf
    knee_wh = plant.knee * capacity_wh
    linear_wh = max(0.0, min(target_wh, knee_wh) - energy_wh)
    hours = linear_wh / power_w
    if target_wh > knee_wh:
        span = capacity_wh - knee_wh
        left_at_start = capacity_wh - max(energy_wh, knee_wh)
        left_at_end = max(capacity_wh - target_wh, _TAIL * span)
        if left_at_start > left_at_end:
            hours += span / power_w * math.log(left_at_start / left_at_end)
    return hours * 3600.0


def reachable_wh(
    energy_wh: float, target_wh: float, capacity_wh: float, plant: Plant, left_s: float
) -> float:
    """The energy that charging from now for `left_s` reaches, at most the target."""
    low, high = energy_wh, max(energy_wh, target_wh)
    if need_s(energy_wh, high, capacity_wh, plant) <= left_s:
        return high
    for _ in range(30):
        middle = (low + high) / 2.0
        if need_s(energy_wh, middle, capacity_wh, plant) <= left_s:
            low = middle
        else:
            high = middle
    return low


def draw(
    promise: Promise | None,
    battery: Estimate,
    plant: Plant,
    floor_pct: float,
    discharge_w: float,
    before: Line,
    now_mono: float,
) -> Line:
    """Where this tick stands. `discharge_w` is the magnitude discharge may take.

    Unknown SoC: no discharge, and with a promise charging starts at once.
    """
    soc = battery.soc_pct
    due = promise is not None and now_mono < promise.departure_mono
    if soc is None:
        return Line(must_charge=due, discharge_ok=False, note="SoC unknown")
    held_to = floor_pct + (FLOOR_BAND_PCT if before.floor_held else 0.0)
    tick_pct = 0.0
    if battery.capacity_wh:
        tick_wh = discharge_w * LOOK_AHEAD_S / 3600.0 / plant.efficiency
        tick_pct = tick_wh / battery.capacity_wh * 100.0
    held = soc - tick_pct <= held_to
    if promise is None or not due:
        if held == before.floor_held and before.slack_s is None:
            return before if before.discharge_ok is not held else _floor(held)
        return _floor(held)
    if battery.capacity_wh is None:
        behind = soc < promise.target_soc_pct
        note = "capacity unknown: charge first"
        return Line(behind, False, held, note=note if behind else "")
    return _on_line(
        promise, battery.capacity_wh, soc, plant, held, tick_pct, before, now_mono
    )


def _floor(held: bool) -> Line:
    note = "at the floor" if held else ""
    return Line(discharge_ok=not held, floor_held=held, note=note)


def _on_line(
    promise: Promise,
    capacity_wh: float,
    soc_pct: float,
    plant: Plant,
    held: bool,
    tick_pct: float,
    before: Line,
    now_mono: float,
) -> Line:
    energy_wh = capacity_wh * soc_pct / 100.0
    target_wh = capacity_wh * promise.target_soc_pct / 100.0
    left_s = promise.departure_mono - now_mono
    need = need_s(energy_wh, target_wh, capacity_wh, plant)
    margin = LATENCY_S + min(MARGIN_MAX_S, MARGIN_SHARE * need)
    slack = left_s - need - margin
    after_wh = energy_wh - capacity_wh * tick_pct / 100.0
    after = need_s(after_wh, target_wh, capacity_wh, plant)
    slack_after = left_s - LOOK_AHEAD_S - after - margin
    # One step of the SoC (2 %) must not let a forced charge go and come back.
    step_wh = 0.02 * capacity_wh
    release = LATENCY_S + need_s(0.0, step_wh, capacity_wh, plant)
    must = slack <= 0.0 or (before.must_charge and slack <= release)
    must = must and energy_wh < target_wh
    reachable = promise.target_soc_pct
    if need > left_s:
        reach_wh = reachable_wh(energy_wh, target_wh, capacity_wh, plant, left_s)
        reachable = reach_wh / capacity_wh * 100.0
    note = words.slack(slack)
    ok = not held and not must and slack_after > 0.0
    if before.must_charge and not must and slack <= release:
        ok = False  # the target is just met: do not spend it again at once
    return Line(
        must, ok, held, reachable, slack if math.isfinite(slack) else None, note
    )


def of_vehicle(
    vehicle: VehicleState, soc_pct: float | None, floor_pct: float
) -> Promise | None:
    """What the driver told the vehicle: a departure, and a target that can be counted.

    A target in Wh counts from `soc_pct`. None: the vehicle did not say both.
    """
    needs, departure_mono = vehicle.needs, vehicle.departure_mono
    if needs is None or departure_mono is None:
        return None
    target_pct = needs.target_soc_pct
    if target_pct is None:
        if needs.target_wh is None or soc_pct is None or not vehicle.capacity_wh:
            return None
        target_pct = soc_pct + 100.0 * needs.target_wh / vehicle.capacity_wh
    target_pct = min(100.0, max(0.0, target_pct))
    return Promise(
        departure_mono,
        target_pct,
        floor_soc_pct=max(floor_pct, needs.min_soc_pct or 0.0),
        by_vehicle=True,
    )


def next_departure(departure: str, zone: tzinfo, now: Now) -> float | None:
    """Monotonic time of the next "HH:MM" in `zone`; None without one or a clock."""
    if not departure or not now.trusted:
        return None
    hour, minute = (int(part) for part in departure.split(":"))
    local = now.utc.astimezone(zone)
    at: datetime = local.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if at <= local:
        at += timedelta(days=1)
    return now.mono_at(at)
