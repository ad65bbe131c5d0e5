"""Trips by the network operator's rules: when power must stop, and may come back.

Pure. Each curve says how long the grid may be beyond a value; between its points the
time is interpolated. Must never give power back before the grid has been well for the
whole delay. It sees what the meters see: a fault of milliseconds is the inverter's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from chargerd.model_grid import EnterService, GridRules, PowerWatch, Trip
from chargerd.scheduler import grid_mean

# Levels nearer than this are one: a value that creeps must not fill the memory.
_STEP = {"frequency": 0.01, "voltage": 0.001}


@dataclass(frozen=True, slots=True)
class Grid:
    """What is measured; None = not known now. Voltages are shares of nominal."""

    hertz: float | None = None
    volts_low: float | None = None
    volts_high: float | None = None
    feed_share: float | None = None  # of the rating, fed back now


# How long the value has been at a level or beyond it, rising: (level, since).
Levels = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class State:
    """`stopped_by`: the rule that holds power at zero, "" = none does."""

    beyond: tuple[tuple[str, Levels], ...] = ()  # by rule, outside its band only
    feeding_mono: float | None = None  # more is fed than the watch begins at
    mean: grid_mean.State = grid_mean.START
    stopped_by: str = ""
    momentary: bool = False
    well_mono: float | None = None  # stopped, and the grid is well since
    entered_mono: float | None = None  # power may grow again since


IN_SERVICE = State()


def _measured(trip: Trip, grid: Grid) -> float | None:
    """Mirrored for a rule about low values, so that more is always worse."""
    if trip.quantity == "frequency":
        value = grid.hertz
    else:
        value = grid.volts_high if trip.over else grid.volts_low
    if value is None:
        return None
    return value if trip.over else -value


def _begins(trip: Trip) -> float:
    """Nearest to nominal: inside of it the rule says nothing."""
    points = trip.curve.points
    return points[0][0] if trip.over else -points[-1][0]


def beyond(trip: Trip, grid: Grid) -> bool:
    value = _measured(trip, grid)
    return value is not None and value > _begins(trip)


def _levels(trip: Trip, grid: Grid, old: Levels, now_mono: float) -> Levels:
    """The stack of levels after this measurement. Unknown: it stays as it is."""
    value = _measured(trip, grid)
    if value is None:
        return old
    if value <= _begins(trip):
        return ()
    step = _STEP[trip.quantity]
    level = math.floor(value / step + 1e-6) * step
    since = now_mono
    kept = []
    for at, mono in old:
        if at <= level:
            kept.append((at, mono))
        else:
            since = min(since, mono)  # it was beyond `at`, so beyond `level` as well
    if not kept or kept[-1][0] < level:
        kept.append((level, since))
    return tuple(kept)


def _time_is_up(trip: Trip, levels: Levels, now_mono: float) -> bool:
    return any(
        now_mono - mono >= trip.curve.at(level if trip.over else -level)
        for level, mono in levels
    )


def _watched(
    watch: PowerWatch | None, state: State, grid: Grid, now_mono: float
) -> tuple[float | None, bool]:
    """(since when too much is fed, the curve is left)."""
    feed = grid.feed_share
    if watch is None or feed is None or feed <= watch.above:
        return None, False
    since = now_mono if state.feeding_mono is None else state.feeding_mono
    return since, feed > watch.curve.at(now_mono - since)


def _mean(
    state: State, rules: GridRules, grid: Grid, now_mono: float
) -> grid_mean.State:
    if rules.mean is None:
        return grid_mean.START
    return grid_mean.step(state.mean, rules.mean, grid.volts_high, now_mono)


def _well(rules: GridRules, grid: Grid, mean: float) -> bool:
    """Inside the window to enter, and known to be inside every curve."""
    if any(_measured(trip, grid) is None or beyond(trip, grid) for trip in rules.trips):
        return False
    if rules.mean is not None and mean > rules.mean.above:
        return False
    window = rules.enter
    return window is None or _inside(window, grid)


def _inside(window: EnterService, grid: Grid) -> bool:
    """Known and inside: what is not measured cannot be well."""
    if grid.hertz is None or grid.volts_low is None or grid.volts_high is None:
        return False
    return (
        window.low_hz <= grid.hertz <= window.high_hz
        and window.low_volts <= grid.volts_low
        and grid.volts_high <= window.high_volts
    )


def step(
    state: State, rules: GridRules, grid: Grid, now_mono: float, reenter_s: float
) -> State:
    """One tick. `reenter_s`: the delay where no rule says one."""
    old = dict(state.beyond)
    stacks = {
        trip.name: _levels(trip, grid, old.get(trip.name, ()), now_mono)
        for trip in rules.trips
    }
    feeding, too_much = _watched(rules.watch, state, grid, now_mono)
    fired = [t for t in rules.trips if _time_is_up(t, stacks[t.name], now_mono)]
    state = replace(
        state,
        beyond=tuple((name, levels) for name, levels in stacks.items() if levels),
        feeding_mono=feeding,
        mean=_mean(state, rules, grid, now_mono),
    )
    must = next((t.name for t in fired if not t.momentary), "")
    if too_much and rules.watch is not None:
        must = must or rules.watch.name
    if rules.mean is not None and grid_mean.trips(state.mean, rules.mean, now_mono):
        must = must or rules.mean.name
    if must and (not state.stopped_by or state.momentary):
        return replace(
            state, stopped_by=must, momentary=False, well_mono=None, entered_mono=None
        )
    if fired and not state.stopped_by:
        return replace(
            state, stopped_by=fired[0].name, momentary=True, entered_mono=None
        )
    return _back(state, rules, grid, now_mono, reenter_s)


def _back(
    state: State, rules: GridRules, grid: Grid, now_mono: float, reenter_s: float
) -> State:
    if not state.stopped_by:
        return state
    if state.momentary:
        held = any(name == state.stopped_by for name, _ in state.beyond)
        return state if held else replace(state, stopped_by="", momentary=False)
    if not _well(rules, grid, state.mean.mean):
        return replace(state, well_mono=None)
    well_mono = now_mono if state.well_mono is None else state.well_mono
    delay_s = reenter_s if rules.enter is None else rules.enter.delay_s
    if now_mono - well_mono < delay_s:
        return replace(state, well_mono=well_mono)
    return replace(state, stopped_by="", well_mono=None, entered_mono=now_mono)


def stop_name(state: State, rules: GridRules) -> str:
    """Who holds power at zero: the trip, then the window that is waited for."""
    waits = state.well_mono is not None and rules.enter is not None
    return rules.enter.name if waits and rules.enter else state.stopped_by


def growth(state: State, rules: GridRules, now_mono: float) -> tuple[float, str]:
    """The share of the rating that power may have since it came back, and by whom."""
    ramps = []
    if rules.enter is not None and rules.enter.ramp_s > 0.0:
        ramps.append((rules.enter.ramp_s, rules.enter.name))
    if rules.soft_s > 0.0:
        ramps.append((rules.soft_s, rules.soft_name))
    if state.entered_mono is None or not ramps:
        return 1.0, ""
    ramp_s, name = max(ramps)
    return min(1.0, (now_mono - state.entered_mono) / ramp_s), name
