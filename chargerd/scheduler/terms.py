"""What one decision is made of: constants, context, memory and verdict, as values.

Owns no rule. `Carry` is all that one tick hands to the next: from the same snapshots a
restarted fold gives the same decisions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from chargerd.config_battery import ANY, Battery
from chargerd.config_grid_code import GridCode
from chargerd.model import (
    Curve,
    Decision,
    DispatchSignal,
    OperationMode,
    Reason,
    Snapshot,
)
from chargerd.model_grid import NO_RULES, GridRules
from chargerd.plan import Plan
from chargerd.scheduler import balance, droop, grid_rules
from chargerd.scheduler.battery import Estimate
from chargerd.scheduler.promise import FREE, Line

NO_CODE = GridCode()


@dataclass(frozen=True, slots=True)
class Unit:
    """One EVSE's constants: AC ratings as magnitudes, and the owner's standing wish."""

    charge_w: float
    discharge_w: float
    efficiency: float
    voltage_max_v: float
    ac_volts: float  # sum over the phases used, 0 = no AC path
    ac_current_max_a: float
    target_pct: float
    floor_pct: float
    lifetime_s: float
    failsafe_import_w: float
    reserve_pct: float = 0.0  # kept for a blackout, beside the floor
    release_s: float = 0.0  # from a dead setpoint to the plan
    service_hold_s: float = 0.0  # a frequency service's full power lasts so long
    code: GridCode = NO_CODE
    nominal_hz: float | None = None  # None: the nearer of 50 and 60
    mains_v: float = 230.0  # nominal, phase to neutral
    plate: grid_rules.Plate = grid_rules.NO_PLATE


@dataclass(frozen=True, slots=True)
class Wish:
    """What won the last tick: where a release begins when it dies."""

    source: str = ""
    power_w: float = 0.0
    until_mono: float = math.inf


@dataclass(frozen=True, slots=True)
class Release:
    """On the way from a dead setpoint to the plan."""

    source: str
    from_w: float
    since_mono: float


@dataclass(frozen=True, slots=True)
class Move:
    """The plan's last start, stop or turn: it is not undone within a minute."""

    power_w: float
    since_mono: float


@dataclass(frozen=True, slots=True)
class Carry:
    """What a tick remembers for the next."""

    line: Line = FREE
    plan_done: bool = False  # the target was reached, until 2 % below
    wish: Wish = Wish()
    release: Release | None = None
    der: droop.State = droop.REST
    follower: balance.State | None = None
    curve_x: float | None = None  # where the winning curve was read last
    goal_w: float | None = None  # a band was left: so far the connection is brought
    move: Move | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """What the tick knows beyond the snapshot. Defaults are the safe side."""

    fresh: bool = False  # telemetry of every needed device is there and young
    stops_power: bool = True
    no_discharge: bool = True
    derated: bool = False
    battery: Estimate = field(default_factory=Estimate)
    rate: float = 0.95
    carry: Carry = Carry()
    power_w: float = 0.0  # on the wire since the last tick
    station_evses: int = 1  # EVSEs in energy, for setpoints of the whole station
    other_charge_w: float = 0.0  # of the other EVSEs, >= 0
    other_discharge_w: float = 0.0  # <= 0
    share_low_w: float = -math.inf  # this EVSE's share of the connection
    share_high_w: float = math.inf
    share_note: str = ""
    share_sure_w: float = math.inf  # what of it the promise may count on
    discharge_left_wh: float = math.inf  # of the month's cap
    grid_gone: bool = False  # a blackout: nothing may run beside a dead grid
    islanded: bool = False  # but this one, which makes the house's voltage
    plan: Plan | None = None
    profile: Battery = ANY
    rules: GridRules = NO_RULES  # of the network operator
    ruled: grid_rules.State = grid_rules.REST

    @property
    def shared(self) -> bool:
        """The connection is shared out: what the others take is in the share."""
        return self.share_sure_w < math.inf


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision before ramp and envelope. `hard_*` may cut at once, without ramp."""

    wanted_w: float
    low_w: float
    high_w: float
    hard_low_w: float
    hard_high_w: float
    offer_low_w: float  # the same bounds while the power path is still open
    offer_high_w: float
    able_low_w: float  # what EVSE and vehicle could do, were they alone
    able_high_w: float
    want_w: tuple[float, float]  # the wish as bounds, before any other's
    power_permitted: bool
    discharge_permitted: bool
    mode: OperationMode
    source: str
    valid_until_mono: float
    hold_turn: bool
    reasons: tuple[Reason, ...]
    carry: Carry
    floor_pct: float  # nothing is discharged below
    ruled: grid_rules.State  # a trip outlives a session
    sleep: bool  # nothing flows, nothing is wished: the stage may be off
    setpoint_var: float | None = None

    def decision(self, snap: Snapshot, power_w: float) -> Decision:
        """With `power_w` for the wire, after ramp and envelope."""
        return Decision(
            evse_id=snap.evse_id,
            at_mono=snap.now.mono,
            valid_until_mono=self.valid_until_mono,
            power_w=power_w,
            wanted_w=self.wanted_w,
            low_w=self.low_w,
            high_w=self.high_w,
            mode=self.mode,
            source=self.source,
            reasons=self.reasons,
            at_utc=snap.now.utc,
            asleep=self.sleep and power_w == 0.0,
        )


@dataclass(frozen=True, slots=True)
class Ask:
    """A live signal's wish, its segment already read."""

    signal: DispatchSignal
    wish_w: float
    mode: OperationMode
    curve: Curve | None = None
    follow_w: float | None = None
    setpoint_var: float | None = None
    x: float | None = None  # where on the curve
    goal_w: float | None = None  # of a band that was left
    sleep: bool = False
