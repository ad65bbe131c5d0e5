"""The composite schedule: what all charging profiles together ask, at any instant.

Pure functions: profiles and a context in, `Demand`s with the time they hold until out
(OCPP 2.1 K01, K08, V2X.03-05). Never reads a clock and never changes a profile.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo

from chargerd.model import Curve, OperationMode
from chargerd.ocpp.profiles import Period, Profile, delayed

NEVER = math.inf
NOTHING: tuple[None, float] = (None, NEVER)
DAY_S = 86_400
MAXIMUM = "ChargingStationMaxProfile"
CONSTRAINTS = "ChargingStationExternalConstraints"
TX_PURPOSES = ("PriorityCharging", "TxProfile", "TxDefaultProfile")


@dataclass(frozen=True, slots=True)
class Context:
    """What the profiles depend on. Times in POSIX seconds.

    `relative_s` is when the EVSE was ready to deliver energy (K01.FR.42), None while
    it is not: then a Relative profile starts at the instant asked about (K08.FR.06).
    """

    evse_id: int
    now_s: float
    relative_s: float | None = None
    transaction_id: str = ""
    priority_charging: bool = False
    soc_pct: float | None = None
    offline_since_s: float | None = None
    ignored_offline: frozenset[str] = frozenset()
    offline_limit_w: float = 0.0
    zone: tzinfo = UTC  # of useLocalTime
    seed: str = ""  # of randomizedDelay, the station's own
    dyn_updated_s: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Afrr:
    """An AFRRSignal, in force from `from_s` to `until_s` (POSIX)."""

    value: float
    from_s: float
    until_s: float


@dataclass(frozen=True, slots=True)
class Demand:
    """What the profiles ask; None = nothing. Same signs as model.Segment."""

    mode: OperationMode
    limit_w: float | None = None
    discharge_limit_w: float | None = None
    setpoint_w: float | None = None
    frequency: Curve | None = None
    signal: Curve | None = None
    phases: int | None = None  # the fewest that were told
    limit_phases_w: tuple[float, ...] = ()  # L1 to L3, where they were told apart
    setpoint_var: float | None = None
    sleep: bool = False  # evseSleep


Answer = tuple[Demand | None, float]  # what holds, and until when it surely does
Branch = Callable[[float], Answer]


def running(profile: Profile, ctx: Context, at_s: float) -> tuple[Period | None, float]:
    """The period at `at_s`, and the first later instant that may change it."""
    valid, until = _window(profile, at_s)
    out = _out_offline(profile, ctx)
    if not valid or at_s >= out:
        return None, until
    period, end = _by_schedule(profile, ctx, at_s)
    return period, min(until, end, out)


def _window(profile: Profile, at_s: float) -> tuple[bool, float]:
    """Inside validFrom and validTo (K01.FR.36, .37), and until when."""
    if profile.valid_to_s is not None and at_s >= profile.valid_to_s:
        return False, NEVER
    if profile.valid_from_s is not None and at_s < profile.valid_from_s:
        return False, profile.valid_from_s
    return True, NEVER if profile.valid_to_s is None else profile.valid_to_s


def _out_offline(profile: Profile, ctx: Context) -> float:
    """From when being offline rules the profile out (K01.FR.101)."""
    if ctx.offline_since_s is None:
        return NEVER
    if profile.purpose in ctx.ignored_offline:
        return -NEVER
    if profile.max_offline_s is None:
        return NEVER
    return ctx.offline_since_s + profile.max_offline_s


def _lost(profile: Profile, ctx: Context, at_s: float) -> tuple[bool, float]:
    """Would the profile hold now, had the link not gone? And until when that is so.

    A Dynamic one that ran out while offline is lost too: its update could not come.
    """
    if ctx.offline_since_s is None:
        return False, NEVER
    out = _out_offline(profile, ctx)
    if profile.kind == "Dynamic":
        valid, until = _window(profile, at_s)
        updated = ctx.dyn_updated_s.get(profile.id, -NEVER)
        end = updated + (NEVER if profile.duration_s is None else profile.duration_s)
        if updated == -NEVER or end <= ctx.offline_since_s:
            return False, until
        out = min(out, end)
        return valid and at_s >= out, until if at_s >= out else min(until, out)
    if at_s < out:
        return False, out
    period, until = running(profile, replace(ctx, offline_since_s=None), at_s)
    return period is not None, until


def _by_schedule(
    profile: Profile, ctx: Context, at_s: float
) -> tuple[Period | None, float]:
    """As `running`, by kind and schedule alone (K01.FR.11, .12, .30, .40-.42, K28)."""
    if profile.local:
        return _by_local_time(profile, ctx, at_s)
    if profile.kind == "Dynamic":
        anchor = ctx.dyn_updated_s.get(profile.id, -NEVER)
    elif profile.kind == "Relative":
        anchor = ctx.now_s if ctx.relative_s is None else ctx.relative_s
    else:
        anchor = profile.anchor_s if profile.anchor_s is not None else NEVER
    if anchor == -NEVER:
        return None, NEVER  # a dynamic profile waits for its first update
    return _since(profile, anchor, at_s)


def _since(profile: Profile, anchor: float, at_s: float) -> tuple[Period | None, float]:
    """The period when the schedule began at `anchor`, and until when."""
    again = NEVER
    if at_s < anchor:
        return None, anchor
    if profile.recurrence_s is not None:
        anchor += ((at_s - anchor) // profile.recurrence_s) * profile.recurrence_s
        again = anchor + profile.recurrence_s
    end = again
    if profile.duration_s is not None:
        end = min(end, anchor + profile.duration_s)
    if at_s >= end:
        return None, again
    index = bisect_right(profile.starts_s, at_s - anchor) - 1
    if index + 1 < len(profile.starts_s):
        end = min(end, anchor + profile.starts_s[index + 1])
    # Float dust: an instant that is not after `at_s` would never let time move on.
    return profile.periods[index], max(end, math.nextafter(at_s, NEVER))


def _by_local_time(
    profile: Profile, ctx: Context, at_s: float
) -> tuple[Period | None, float]:
    """The schedule runs on the wall clock: where that jumps, parts of the schedule are
    skipped or come again (K01.FR.90, .91)."""
    offset = offset_s(ctx.zone, at_s)
    anchor = profile.anchor_s if profile.anchor_s is not None else NEVER
    period, until = _since(profile, anchor, at_s + offset)
    end = max(until - offset, math.nextafter(at_s, NEVER))
    return period, min(end, next_jump_s(ctx.zone, at_s))


def offset_s(zone: tzinfo, at_s: float) -> float:
    """Local time minus UTC, with daylight saving."""
    gap = datetime.fromtimestamp(at_s, zone).utcoffset()
    return 0.0 if gap is None else gap.total_seconds()


def next_jump_s(zone: tzinfo, at_s: float) -> float:
    """The next second at which local time jumps, or a day later: look again then."""
    before, low, high = offset_s(zone, at_s), math.floor(at_s), math.floor(at_s) + DAY_S
    if offset_s(zone, high) == before:
        return float(high)
    while high - low > 1:
        middle = (low + high) // 2
        if offset_s(zone, middle) == before:
            low = middle
        else:
            high = middle
    return float(high)


def _cap_at_soc(profile: Profile, period: Period, ctx: Context) -> Period:
    """K01.FR.100: above the state of charge, limit and setpoint are capped; the limit
    bounds what a frequency or an external system asks for, too."""
    if profile.soc_pct is None or ctx.soc_pct is None or ctx.soc_pct < profile.soc_pct:
        return period
    cap = profile.soc_limit_w
    limit, wish, each = period.limit_w, period.setpoint_w, period.limit_phases_w
    return replace(
        period,
        limit_w=max(0.0, cap if limit is None else min(limit, cap)),
        setpoint_w=None if wish is None else min(wish, cap),
        limit_phases_w=tuple(min(w, cap / len(each)) for w in each),
    )


def choose(
    profiles: Iterable[Profile], ctx: Context, at_s: float
) -> tuple[Period | None, float]:
    """Of one purpose, in order: the first that runs; gaps fall through."""
    until = NEVER
    for profile in profiles:
        period, end = running(profile, ctx, at_s)
        until = min(until, end)
        if period is not None:
            return _cap_at_soc(profile, period, ctx), until
    return None, until


class Composite:
    """The profiles that matter for one EVSE, grouped once by purpose."""

    def __init__(self, profiles: Iterable[Profile], ctx: Context) -> None:
        self.ctx = ctx
        self._of: dict[str, list[Profile]] = {}
        for profile in sorted(profiles, key=lambda p: -p.stack_level):
            if profile.evse_id not in (0, ctx.evse_id):
                continue
            if profile.purpose == "TxProfile" and (
                not ctx.transaction_id or profile.transaction_id != ctx.transaction_id
            ):
                continue
            if profile.purpose == "PriorityCharging" and not ctx.priority_charging:
                continue
            if profile.delay_s and ctx.transaction_id:  # none without (K08.FR.06)
                seed = f"{ctx.seed}/{ctx.transaction_id}/{profile.id}"
                profile = delayed(profile, seed)
            self._of.setdefault(profile.purpose, []).append(profile)

    def _period(self, purpose: str, at_s: float) -> tuple[Period | None, float]:
        mine = self._of.get(purpose)
        return choose(mine, self.ctx, at_s) if mine else NOTHING

    def _generation(self, at_s: float) -> tuple[float, float]:
        """LocalGeneration, added to every limit (K27)."""
        period, until = self._period("LocalGeneration", at_s)
        return (period.limit_w or 0.0) if period else 0.0, until

    def site(self, at_s: float) -> Answer:
        """Caps of the station and of external systems: never a setpoint."""
        caps: Demand | None = None
        until = NEVER
        # External systems know nothing of each other's stack levels: each one counts.
        external = self._of.get(CONSTRAINTS, ())
        for period, end in (
            self._period(MAXIMUM, at_s),
            *(running(profile, self.ctx, at_s) for profile in external),
        ):
            until = min(until, end)
            if period is None:
                continue
            limit, floor = period.limit_w, period.discharge_limit_w
            if limit is None and floor is None:
                continue
            mode = OperationMode.EXTERNAL_LIMITS
            caps = merge(caps, Demand(mode, limit, floor, phases=period.phases))
        extra, end = self._generation(at_s)
        if caps is not None and caps.limit_w is not None and extra:
            caps = replace(caps, limit_w=caps.limit_w + extra)
        return caps, min(until, end)

    def tx(self, at_s: float) -> Answer:
        """PriorityCharging, else TxProfile, else TxDefaultProfile, capped (V2X.03-04).

        Offline, where a profile has gone out and nothing is left, the configured safe
        limit holds instead of "no limit" (K01.FR.101, Q11).
        """
        until = NEVER
        for purpose in TX_PURPOSES:
            period, end = self._period(purpose, at_s)
            until = min(until, end)
            if period is None:
                continue
            extra, end = self._generation(at_s)
            until = min(until, end)
            return _demand(period, extra), until
        lost = False
        for purpose in TX_PURPOSES:
            for profile in self._of.get(purpose, ()):
                was, end = _lost(profile, self.ctx, at_s)
                lost, until = lost or was, min(until, end)
        if not lost:
            return None, until
        limit = self.ctx.offline_limit_w
        return Demand(OperationMode.CHARGING_ONLY, limit, 0.0), until

    def whole(self, at_s: float) -> Answer:
        """Everything merged, as GetCompositeSchedule reports it (K08.FR.04, .08)."""
        caps, site_end = self.site(at_s)
        wish, tx_end = self.tx(at_s)
        return merge(caps, wish), min(site_end, tx_end)


def _demand(period: Period, extra_w: float) -> Demand:
    limit = None if period.limit_w is None else period.limit_w + extra_w
    floor = period.discharge_limit_w
    if period.mode is OperationMode.CHARGING_ONLY:
        floor = 0.0  # this mode means: no discharge
    if period.mode is OperationMode.IDLE:
        limit = 0.0
    if period.mode is OperationMode.LOCAL_FREQUENCY:
        base = period.setpoint_w  # the sum with the curve is capped, not the baseline
        return Demand(period.mode, limit, floor, base, period.frequency, period.signal)
    each = period.limit_phases_w
    return Demand(
        period.mode,
        limit,
        floor,
        capped(period.setpoint_w, floor, limit),
        phases=period.phases,
        limit_phases_w=tuple(power_w + extra_w / len(each) for power_w in each),
        setpoint_var=period.setpoint_var,
        sleep=period.sleep,
    )


def with_signals(branch: Branch, signals: Sequence[Afrr]) -> Branch:
    """The branch with a signal's power added to the baseline while it is in force: the
    last one whose time has come."""

    def at(at_s: float) -> Answer:
        demand, until = branch(at_s)
        if demand is None or demand.signal is None:
            return demand, until
        for afrr in reversed(signals):
            if at_s < afrr.from_s:
                until = min(until, afrr.from_s)
            elif at_s < afrr.until_s:
                base = (demand.setpoint_w or 0.0) + demand.signal.at(afrr.value)
                return replace(demand, setpoint_w=base), min(until, afrr.until_s)
        return demand, until

    return at


def capped(
    setpoint_w: float | None, floor_w: float | None, limit_w: float | None
) -> float | None:
    """The setpoint inside [discharge limit, limit] (V2X.03, V2X.04, K08.FR.08)."""
    if setpoint_w is None:
        return None
    if limit_w is not None:
        setpoint_w = min(setpoint_w, limit_w)
    if floor_w is not None:
        setpoint_w = max(setpoint_w, floor_w)
    return setpoint_w


def merge(caps: Demand | None, wish: Demand | None) -> Demand | None:
    """Narrow the Tx branch by the site's caps: lower limit, discharge nearer to 0."""
    if caps is None or wish is None:
        return wish or caps
    limits = [v for v in (caps.limit_w, wish.limit_w) if v is not None]
    floors = [
        v for v in (caps.discharge_limit_w, wish.discharge_limit_w) if v is not None
    ]
    phases = [n for n in (caps.phases, wish.phases) if n is not None]
    limit = min(limits, default=None)
    floor = max(floors, default=None)
    setpoint = wish.setpoint_w
    if wish.mode is not OperationMode.LOCAL_FREQUENCY:
        setpoint = capped(setpoint, floor, limit)
    each = wish.limit_phases_w
    if each and caps.limit_w is not None:
        each = tuple(min(power_w, caps.limit_w / len(each)) for power_w in each)
    return replace(
        wish,
        limit_w=limit,
        discharge_limit_w=floor,
        setpoint_w=setpoint,
        phases=min(phases, default=None),  # K01.FR.140
        limit_phases_w=each,
    )


def timeline(
    branch: Branch, start_s: float, end_s: float, most: int
) -> tuple[list[tuple[float, Demand | None]], float]:
    """(start, demand) of every change in [start, end), and until when the last holds.

    Equal neighbours are one entry. The end may lie beyond `end_s` (inf: for ever), or
    before it when `most` entries are full.
    """
    entries: list[tuple[float, Demand | None]] = []
    at_s = start_s
    while at_s < end_s:
        demand, until = branch(at_s)
        if not entries or entries[-1][1] != demand:
            if len(entries) == most:
                return entries, at_s
            entries.append((at_s, demand))
        at_s = until if until > at_s else math.nextafter(at_s, NEVER)
    return entries, at_s
