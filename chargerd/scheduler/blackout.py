"""Who feeds the house while the grid is away: `island.py` with this station's EVSEs.

Pure: readings in, a place for each EVSE out. One vehicle alone makes the voltage; all
others rest. Without `[site.blackout]` every EVSE is always on the grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from typing import Protocol

from chargerd import config
from chargerd.model import Snapshot, VehiclePhase
from chargerd.scheduler import island
from chargerd.scheduler.terms import Context, Unit, Verdict
from chargerd.scheduler.wishes import floor_pct
from firmware_bridge.api import MeterReading, Reading

METER_MAX_AGE_S = 1.0
FRESH_PCT = 1.0  # so much above the floor is needed to begin


class Place(Enum):
    """Where one EVSE stands."""

    GRID = "grid"
    REST = "rest"  # no grid: 0 W
    FEED = "feed"  # no grid: this one makes the house's voltage


class Member(Protocol):
    """What must be known of one EVSE: a Runner."""

    evse_id: int
    snapshot: Snapshot | None
    context: Context
    unit: Unit

    @property
    def verdict(self) -> Verdict | None: ...


class Blackout:
    """`look` once a tick, then `place` for each EVSE. `ask` begins by hand."""

    def __init__(self, evses: tuple[config.Evse, ...], site: config.Site) -> None:
        self._rules: island.Rules | None = None
        if site.blackout is not None and site.nominal_hz is not None:
            volts = max(evse.ac_voltage_v for evse in evses)
            self._rules = island.Rules(
                volts,
                site.nominal_hz,
                site.grid_code.reconnect_s,
                site.blackout.automatic,
            )
        self.state = island.State()
        self._feeder: int | None = None
        self._asked = False
        self._began = False  # the relay's first word has been heard

    def ask(self) -> None:
        """A person wants the house fed; forgotten when the grid is back."""
        self._asked = True

    def look(
        self,
        meter: Reading[MeterReading] | None,
        members: Mapping[int, Member],
        now_mono: float,
    ) -> None:
        """Take this tick's readings: the site meter sits before the relay."""
        if self._rules is None:
            return
        able = [m.evse_id for m in members.values() if _able(m)]
        if self._feeder not in able:
            self._feeder = min(able, default=None)
        seen = _seen(meter, members, now_mono)
        if not self._began and seen.relay_open is not None:
            self._began = True
            if seen.relay_open:  # a start in a blackout: the grid must be well first
                self.state = island.State(island.Phase.LOST, now_mono)
        self.state = island.step(
            self.state,
            seen,
            self._rules,
            now_mono,
            able=self._feeder is not None,
            asked=self._asked,
        )
        if self.state.phase is island.Phase.GRID:
            self._asked = False

    def place(self, evse_id: int) -> Place:
        if self.state.phase is island.Phase.GRID:
            return Place.GRID
        if self.state.form and evse_id == self._feeder:
            return Place.FEED
        return Place.REST


def _seen(
    meter: Reading[MeterReading] | None, members: Mapping[int, Member], now_mono: float
) -> island.Seen:
    young = meter is not None and meter.age_s(now_mono) <= METER_MAX_AGE_S
    value = meter.value if meter is not None and young else None
    pilots = [m.snapshot.telemetry.pilot for m in members.values() if m.snapshot]
    mirrors = [pilot.value.grid_open for pilot in pilots if pilot is not None]
    known = [mirror for mirror in mirrors if mirror is not None]
    return island.Seen(
        max(value.voltage_v, default=None) if value else None,
        value.frequency_hz if value else None,
        all(known) if known else None,
    )


def _able(member: Member) -> bool:
    """A vehicle that may give, above its floor, with nothing wrong."""
    snap, ctx, verdict = member.snapshot, member.context, member.verdict
    soc = ctx.battery.soc_pct
    if snap is None or verdict is None or snap.vehicle.limits is None or soc is None:
        return False
    # Before the island the reserve still holds the floor up: it is not counted.
    floor = floor_pct(snap, member.unit, replace(ctx, islanded=True))
    held = verdict.carry.line.floor_held if ctx.islanded else soc <= floor + FRESH_PCT
    return (
        snap.vehicle.phase is VehiclePhase.ENERGY
        and snap.session.authorised
        and snap.vehicle.limits.discharge_allowed
        and ctx.fresh
        and not (ctx.stops_power or ctx.no_discharge)
        and not held
    )
