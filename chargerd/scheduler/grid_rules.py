"""What the network operator's rules leave of an EVSE's power (stage 4 of law 3).

Pure. Feed curves, caps, trips and soft starts only narrow; the reactive power they ask
for goes beside the active one. Must never make power flow: a curve that would have the
vehicle charge, or feed more, is no wish here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from chargerd.config_grid_code import Droop, GridCode
from chargerd.model import Snapshot
from chargerd.model_grid import Curve, FeedCurve, GridRules, Reactive, nominal
from chargerd.scheduler import droop, grid_trips
from chargerd.scheduler.grid_trips import Grid

METER_FRESH_S = 2.0
AFTER_START_S = 3.0  # rules that come so early are those of the last run
_TO_90_PCT = math.log(10.0)


@dataclass(frozen=True, slots=True)
class Share:
    """Where a feed curve stands between its old value and the new one."""

    share: float
    at_mono: float
    calm_mono: float | None = None  # inside its hysteresis since


@dataclass(frozen=True, slots=True)
class State:
    trips: grid_trips.State = grid_trips.IN_SERVICE
    shares: tuple[tuple[str, Share], ...] = ()
    var: Share | None = None  # of a reactive curve over voltage


REST = State()


@dataclass(frozen=True, slots=True)
class Cap:
    """(low, high) shares of the ratings that one rule leaves, and what was seen."""

    name: str
    low: float = -math.inf
    high: float = math.inf
    note: str = ""
    of_available: bool = False


@dataclass(frozen=True, slots=True)
class Plate:
    """The inverter's ratings: apparent power, and its least power factor."""

    max_va: float = 0.0
    min_factor: float = 1.0

    @property
    def max_var(self) -> float:
        return self.max_va * math.sqrt(max(0.0, 1.0 - self.min_factor**2))


NO_PLATE = Plate()


def overlaid(code: GridCode, rules: GridRules, nominal_hz: float | None) -> GridCode:
    """The grid code with the operator's droop in the place of its own. A side that has
    trips of the operator's is theirs: those say how long to feed on."""
    update: dict[str, Any] = {
        "feed_over_hz" if trip.over else "feed_under_hz": math.inf
        for trip in rules.trips
        if trip.quantity == "frequency"
    }
    wanted = rules.droop
    if wanted is not None:
        hertz = nominal((wanted.over_hz + wanted.under_hz) / 2.0, nominal_hz)
        update["over"] = _side(wanted.over_hz - hertz, wanted.over_droop)
        update["under"] = _side(hertz - wanted.under_hz, wanted.under_droop)
        update["response_s"] = wanted.response_s
    return code.model_copy(update=update)


def _side(deadband_hz: float, per_unit: float) -> Droop:
    return Droop(deadband_hz=deadband_hz, droop_pct=per_unit * 100.0)


def after_start(rules: GridRules) -> State:
    """A program that has just begun may have missed a trip: power waits for the window
    to enter, where there is one."""
    if rules.enter is None:
        return REST
    return State(grid_trips.State(stopped_by=rules.enter.name))


def see(snap: Snapshot, code: GridCode, mains_v: float, rating_w: float) -> Grid:
    """The grid as the meters show it, unknown where they are old."""
    meter, site = snap.telemetry.meter, snap.site
    fresh = meter is not None and meter.age_s(snap.now.mono) <= METER_FRESH_S
    feed_w = -meter.value.power_w if fresh and meter else None
    low, high = site.voltage_low_v, site.voltage_v
    known = fresh and mains_v > 0.0
    return Grid(
        hertz=droop.measured(site, code.frequency_max_age_s),
        volts_low=low / mains_v if known and low is not None else None,
        volts_high=high / mains_v if known and high is not None else None,
        feed_share=feed_w / rating_w if feed_w is not None and rating_w else None,
    )


def step(
    state: State, rules: GridRules, grid: Grid, now_mono: float, reenter_s: float
) -> State:
    """One tick of all rules that remember something."""
    old = dict(state.shares)
    shares = tuple(
        (rule.name, _share(old.get(rule.name), rule, _x(rule.curve, grid), now_mono))
        for rule in rules.feed_curves
    )
    trips = grid_trips.step(state.trips, rules, grid, now_mono, reenter_s)
    return State(trips, shares, _var_share(state.var, rules.reactive, grid, now_mono))


def _var_share(
    held: Share | None, rule: Reactive | None, grid: Grid, now_mono: float
) -> Share | None:
    volts = grid.volts_high
    if rule is None or rule.over_volts is None or volts is None:
        return None
    target = rule.over_volts.at(volts)
    return _lag(held or Share(0.0, now_mono), target, rule.response_s, now_mono)


def _lag(held: Share, target: float, response_s: float, now_mono: float) -> Share:
    """At 90 % of the way after `response_s`; 0: at once."""
    tau_s = response_s / _TO_90_PCT
    gone_s = max(0.0, now_mono - held.at_mono)
    left = math.exp(-gone_s / tau_s) if tau_s > 0.0 else 0.0
    return Share(target + (held.share - target) * left, now_mono, held.calm_mono)


def _x(curve: Curve, grid: Grid) -> float | None:
    return grid.hertz if curve.kind == "frequency" else grid.volts_high


def _share(
    held: Share | None, rule: FeedCurve, x: float | None, now_mono: float
) -> Share:
    """Down with the response time; back up by the hysteresis, where it has one."""
    if x is None:
        return Share(1.0, now_mono) if held is None else replace(held, at_mono=now_mono)
    target = min(1.0, max(0.0, rule.curve.at(x)))
    if held is None:
        return Share(target, now_mono)
    dt_s = max(0.0, now_mono - held.at_mono)
    back, calm = rule.hysteresis, None
    if target > held.share and back is not None:
        calm = held.calm_mono
        if not back.low <= x <= back.high:
            return Share(held.share, now_mono)
        calm = now_mono if calm is None else calm
        if now_mono - calm < back.delay_s:
            return Share(held.share, now_mono, calm)
        if back.gradient_per_s is not None:
            grown = min(target, held.share + back.gradient_per_s * dt_s)
            return Share(grown, now_mono, calm)
    return _lag(replace(held, calm_mono=calm), target, rule.response_s, now_mono)


def caps(state: State, rules: GridRules, grid: Grid, now_mono: float) -> Iterator[Cap]:
    """What each rule leaves now; those that leave all are silent."""
    name = grid_trips.stop_name(state.trips, rules)
    if name:
        yield Cap(name, 0.0, 0.0, f"stopped: {_seen(grid)}")
    for rule in rules.feed_curves:
        share = dict(state.shares)[rule.name].share
        if share < 1.0:
            note = f"{_seen(grid)}: {share:.0%}"
            yield Cap(rule.name, -share, math.inf, note, rule.of_available)
    if rules.feed_share is not None:
        note = f"{rules.feed_share:.0%} may be fed"
        yield Cap(rules.feed_name, -rules.feed_share, math.inf, note)
    grown, name = grid_trips.growth(state.trips, rules, now_mono)
    if grown < 1.0:
        yield Cap(name, -grown, grown, "back slowly")


def _seen(grid: Grid) -> str:
    hertz = "? Hz" if grid.hertz is None else f"{grid.hertz:.2f} Hz"
    volts = "? V" if grid.volts_high is None else f"{grid.volts_high:.1%} of nominal V"
    return f"{hertz}, {volts}"


# Reactive power.


def reactive(
    rule: Reactive, plate: Plate, state: State, power_w: float, rating_w: float
) -> float:
    """The reactive power (+ as a coil takes it) beside `power_w`; unknown: none."""
    factor = _factor(rule, power_w, rating_w)
    if factor is not None:
        size = min(1.0, max(abs(factor), plate.min_factor))
        return math.copysign(abs(power_w) * math.sqrt(1.0 - size**2) / size, factor)
    share = rule.share
    if share is None and rule.over_volts is not None:
        share = None if state.var is None else state.var.share
    if share is None and rule.over_power is not None and rating_w > 0.0:
        share = rule.over_power.at(-power_w / rating_w)
    if share is None:
        return 0.0
    most = plate.max_var
    if rule.of_available:
        most = min(most, math.sqrt(max(0.0, plate.max_va**2 - power_w**2)))
    return most * min(1.0, max(-1.0, share))


def _factor(rule: Reactive, power_w: float, rating_w: float) -> float | None:
    if rule.factor_over_power is not None and rating_w > 0.0:
        off = rule.factor_over_power.at(-power_w / rating_w)
        return math.copysign(1.0 - abs(off), off)
    if rule.charge_factor is None and rule.discharge_factor is None:
        return None
    factor = rule.charge_factor if power_w > 0.0 else rule.discharge_factor
    return 1.0 if factor is None else factor


def beside_w(
    rule: Reactive, plate: Plate, state: State, power_w: float, rating_w: float
) -> float:
    """The active power that apparent power leaves beside what the rule asks."""
    factor = _factor(rule, power_w, rating_w)
    if factor is not None:
        return plate.max_va * max(abs(factor), plate.min_factor)
    var = reactive(rule, plate, state, power_w, rating_w)
    return math.sqrt(max(0.0, plate.max_va**2 - var**2))
