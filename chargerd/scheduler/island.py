"""Blackout operation (自立運転): when the station may feed the house by itself.

Pure. Only asks: the disconnecting relay, its mirror contact and the protection belong
to certified firmware, which refuses an island while its relay is closed or the line is
alive. Must never ask for an island without that mirror, nor go back to a grid that has
not been well for `reconnect_s`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

LOST_S = 1.0  # the grid must be away so long; shorter dips are ride-through's
DEAD_S = 2.0  # the line must be dead so long behind the open relay
STOP_S = 1.0  # from the end of the island to closing the relay
LOST_SHARE = 0.5  # of nominal voltage
DEAD_SHARE = 0.1
WELL_SHARE = (0.9, 1.1)
WELL_HZ = 0.5


class Phase(Enum):
    """Where we stand with the grid."""

    GRID = "grid"
    LOST = "lost"  # no voltage: 0 W, the relay is asked to open
    DEAD = "dead"  # open, and proven dead: an island may begin
    ISLANDED = "islanded"  # we are the voltage of the house
    RETURNING = "returning"  # the island has ended, the grid is well; the relay closes


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of the grid side. None = not known, which proves nothing."""

    volts: float | None = None  # phase to neutral, before the relay
    hertz: float | None = None
    relay_open: bool | None = None  # the mirror contact; None: no such relay


@dataclass(frozen=True, slots=True)
class Rules:
    nominal_v: float
    nominal_hz: float
    reconnect_s: float
    automatic: bool = True  # begin without being asked


@dataclass(frozen=True, slots=True)
class State:
    phase: Phase = Phase.GRID
    since_mono: float = 0.0
    away_mono: float | None = None  # since when the grid is away, or the line is dead
    well_mono: float | None = None  # since when the grid is well again

    @property
    def open_relay(self) -> bool:
        """What we ask of the firmware: keep house and grid apart."""
        return self.phase in (Phase.LOST, Phase.DEAD, Phase.ISLANDED)

    @property
    def form(self) -> bool:
        """What we ask of the firmware: make the house's voltage."""
        return self.phase is Phase.ISLANDED


def step(
    state: State,
    seen: Seen,
    rules: Rules,
    now_mono: float,
    *,
    able: bool,
    asked: bool = False,
) -> State:
    """One tick. `able` = a vehicle may give, above its floor; `asked` = by a person."""
    state = _watch(state, seen, rules, now_mono)
    away_s = 0.0 if state.away_mono is None else now_mono - state.away_mono
    well_s = 0.0 if state.well_mono is None else now_mono - state.well_mono
    back = state.well_mono is not None and well_s >= rules.reconnect_s
    if state.phase is Phase.GRID:
        fitted = seen.relay_open is not None
        lost = state.away_mono is not None and away_s >= LOST_S
        return _to(state, Phase.LOST, now_mono) if fitted and lost else state
    if state.phase is Phase.RETURNING:
        closed = seen.relay_open is False
        waited = now_mono - state.since_mono >= STOP_S
        return _to(state, Phase.GRID, now_mono) if closed and waited else state
    if back:
        return _to(state, Phase.RETURNING, now_mono)
    if state.phase is Phase.LOST:
        dead = seen.relay_open is True and state.away_mono is not None
        if dead and away_s >= LOST_S + DEAD_S and _is_dead(seen, rules):
            return _to(state, Phase.DEAD, now_mono)
        return state
    if seen.relay_open is not True:  # the interlock: no mirror, no island
        return _to(state, Phase.LOST, now_mono)
    if state.phase is Phase.DEAD:
        may = able and (rules.automatic or asked) and _is_dead(seen, rules)
        return _to(state, Phase.ISLANDED, now_mono) if may else state
    return state if able else _to(state, Phase.DEAD, now_mono)


def _watch(state: State, seen: Seen, rules: Rules, now_mono: float) -> State:
    """Since when the grid is away, and since when it is well."""
    if seen.volts is None:
        return replace(state, away_mono=None, well_mono=None)
    share = seen.volts / rules.nominal_v
    away = share < LOST_SHARE
    low, high = WELL_SHARE
    well = low <= share <= high and (
        seen.hertz is not None and abs(seen.hertz - rules.nominal_hz) <= WELL_HZ
    )
    return replace(
        state,
        away_mono=(state.away_mono or now_mono) if away else None,
        well_mono=(state.well_mono or now_mono) if well else None,
    )


def _is_dead(seen: Seen, rules: Rules) -> bool:
    return seen.volts is not None and seen.volts / rules.nominal_v < DEAD_SHARE


def _to(state: State, phase: Phase, now_mono: float) -> State:
    return replace(state, phase=phase, since_mono=now_mono)
