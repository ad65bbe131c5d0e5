"""The composite schedule against an oracle that looks at every second by itself."""

from __future__ import annotations

import dataclasses
import math
from datetime import datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from chargerd.model import OperationMode
from chargerd.ocpp.composite import Composite, Context, Demand, timeline
from chargerd.ocpp.profiles import Period, Profile, delayed

BASE = 1_000_000
SPAN = 120  # seconds looked at
TX = "T1"
EXTERNAL = "ChargingStationExternalConstraints"
POWERS = st.sampled_from([0.0, 1000.0, 2000.0, 3500.0, 6000.0])
SECONDS = st.integers(0, SPAN)


class Jumps(tzinfo):
    """Local time is UTC, and `by_s` more from BASE + `at_s` on."""

    def __init__(self, at_s: int, by_s: int) -> None:
        self.at_s, self.by_s = at_s, by_s

    def offset_s(self, t: float) -> int:
        return self.by_s if t >= BASE + self.at_s else 0

    def fromutc(self, dt: datetime) -> datetime:
        offset = self.offset_s((dt.replace(tzinfo=None) - EPOCH).total_seconds())
        moved = dt + timedelta(seconds=offset)
        return moved.replace(fold=1 if offset else 0)

    def utcoffset(self, dt: datetime | None) -> timedelta:
        fold = dt is not None and dt.fold == 1
        return timedelta(seconds=self.by_s if fold else 0)


EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - as the naive times it is compared with


@st.composite
def periods(draw: st.DrawFn, purpose: str, dynamic: bool) -> list[tuple[float, Period]]:
    count = 1 if dynamic else draw(st.integers(1, 4))
    gaps = draw(st.lists(st.integers(1, 40), min_size=count - 1, max_size=count - 1))
    starts = [0]
    for gap in gaps:
        starts.append(starts[-1] + gap)
    made = []
    for start in starts:
        central = purpose in ("TxProfile", "TxDefaultProfile") and draw(st.booleans())
        if not central:
            period = Period(OperationMode.CHARGING_ONLY, draw(POWERS))
        else:
            limit = draw(st.none() | POWERS)
            floor = draw(st.none() | POWERS.map(lambda w: -w))
            wish = draw(st.floats(-7000, 7000, allow_nan=False))
            low, high = floor or -8000.0, 8000.0 if limit is None else limit
            period = Period(
                OperationMode.CENTRAL_SETPOINT, limit, floor, min(max(wish, low), high)
            )
        made.append((float(start), period))
    return made


@st.composite
def profiles(draw: st.DrawFn) -> list[Profile]:
    made = []
    levels: set[tuple[str, int]] = set()
    for number in range(draw(st.integers(0, 6))):
        purpose = draw(
            st.sampled_from(
                [
                    "ChargingStationMaxProfile",
                    "TxDefaultProfile",
                    "TxProfile",
                    "PriorityCharging",
                    "LocalGeneration",
                    EXTERNAL,
                ]
            )
        )
        level = draw(st.integers(0, 2))
        if (purpose, level) in levels and purpose != EXTERNAL:
            continue
        levels.add((purpose, level))
        kind = draw(st.sampled_from(["Absolute", "Recurring", "Relative", "Dynamic"]))
        plan = draw(periods(purpose, kind == "Dynamic"))
        anchored = kind in ("Absolute", "Recurring")
        made.append(
            Profile(
                id=number,
                evse_id=draw(st.sampled_from([0, 1, 2])),
                purpose=purpose,
                kind=kind,
                stack_level=level,
                starts_s=tuple(start for start, _ in plan),
                periods=tuple(period for _, period in plan),
                anchor_s=BASE + draw(st.integers(-60, 60)) if anchored else None,
                duration_s=draw(st.none() | st.integers(1, 90).map(float)),
                recurrence_s=float(draw(st.integers(20, 70)))
                if kind == "Recurring"
                else None,
                valid_from_s=draw(st.none() | SECONDS.map(lambda s: float(BASE + s))),
                valid_to_s=draw(st.none() | SECONDS.map(lambda s: float(BASE + s))),
                max_offline_s=draw(st.none() | st.integers(0, 60).map(float)),
                transaction_id=TX,
                local=anchored and draw(st.booleans()),
                soc_pct=draw(st.none() | st.just(80.0)),
                soc_limit_w=draw(POWERS),
            )
        )
    return made


@st.composite
def contexts(draw: st.DrawFn) -> Context:
    offline = draw(st.none() | st.integers(-30, 0))  # it is offline, or it is not
    return Context(
        evse_id=1,
        now_s=float(BASE),
        relative_s=draw(st.none() | st.just(BASE - 15.0)),
        transaction_id=draw(st.sampled_from(["", TX])),
        priority_charging=draw(st.booleans()),
        soc_pct=draw(st.none() | st.sampled_from([50.0, 90.0])),
        offline_since_s=None if offline is None else float(BASE + offline),
        ignored_offline=frozenset(draw(st.sets(st.sampled_from(["TxProfile"])))),
        offline_limit_w=123.0,
        zone=Jumps(draw(st.integers(-5, 100)), draw(st.sampled_from([-30, 30, 0]))),
        dyn_updated_s={
            number: float(BASE + draw(st.integers(-60, 0))) for number in range(0, 6, 2)
        },
    )


# The oracle: no bisect, no "until", no grouping; just the rules at one second.


def offline_cut(profile: Profile, ctx: Context) -> float:
    if ctx.offline_since_s is None:
        return math.inf
    if profile.purpose in ctx.ignored_offline:
        return ctx.offline_since_s
    if profile.max_offline_s is None:
        return math.inf
    return ctx.offline_since_s + profile.max_offline_s


def runs(profile: Profile, ctx: Context, t: float) -> Period | None:
    if profile.valid_from_s is not None and t < profile.valid_from_s:
        return None
    if profile.valid_to_s is not None and t >= profile.valid_to_s:
        return None
    gone = ctx.offline_since_s is not None and profile.purpose in ctx.ignored_offline
    if gone or t >= offline_cut(profile, ctx):
        return None
    if profile.kind == "Dynamic":
        if profile.id not in ctx.dyn_updated_s:
            return None
        begin = ctx.dyn_updated_s[profile.id]
    elif profile.kind == "Relative":
        begin = ctx.now_s if ctx.relative_s is None else ctx.relative_s
    else:
        begin = profile.anchor_s or 0.0
    if profile.local:  # the wall clock's seconds
        assert isinstance(ctx.zone, Jumps)
        t += ctx.zone.offset_s(t)
    while profile.recurrence_s and begin + profile.recurrence_s <= t:
        begin += profile.recurrence_s
    if t < begin or (profile.duration_s and t >= begin + profile.duration_s):
        return None
    current = None
    for start, period in zip(profile.starts_s, profile.periods, strict=True):
        if begin + start <= t:
            current = period
    return current


def best(purpose: str, every: list[Profile], ctx: Context, t: float) -> Any:
    mine = [p for p in every if p.purpose == purpose and p.evse_id in (0, 1)]
    if purpose == "TxProfile" and ctx.transaction_id != TX:
        mine = []
    if purpose == "PriorityCharging" and not ctx.priority_charging:
        mine = []
    found = [(p.stack_level, p) for p in mine if runs(p, ctx, t) is not None]
    if not found:
        return None, mine
    profile = max(found, key=lambda pair: pair[0])[1]
    period = runs(profile, ctx, t)
    limit, wish = period.limit_w, period.setpoint_w
    soc = ctx.soc_pct is not None and profile.soc_pct is not None
    if soc and ctx.soc_pct >= profile.soc_pct:
        cap = profile.soc_limit_w
        limit = cap if limit is None else min(limit, cap)
        wish = None if wish is None else min(wish, cap)
    return (period.mode, limit, period.discharge_limit_w, wish), mine


def oracle(every: list[Profile], ctx: Context, t: float) -> tuple[Any, Any]:
    """(mode, limit, discharge limit, setpoint) of the site and of the Tx branch."""
    generation, _ = best("LocalGeneration", every, ctx, t)
    extra = generation[1] if generation else 0.0
    cap, _ = best("ChargingStationMaxProfile", every, ctx, t)
    caps = [] if cap is None else [cap[1]]
    for profile in every:  # each external system's limit counts, by itself
        if profile.purpose == EXTERNAL and profile.evse_id in (0, 1):
            period = runs(profile, ctx, t)
            caps += [] if period is None else [period.limit_w]
    site = min(caps) + extra if caps else None
    candidates: list[Profile] = []
    for purpose in ("PriorityCharging", "TxProfile", "TxDefaultProfile"):
        found, mine = best(purpose, every, ctx, t)
        candidates += mine
        if found:
            mode, limit, floor, wish = found
            limit = None if limit is None else limit + extra
            floor = 0.0 if mode is OperationMode.CHARGING_ONLY else floor
            if wish is not None and limit is not None and wish > limit:
                wish = limit
            if wish is not None and floor is not None and wish < floor:
                wish = floor
            return site, (mode, limit, floor, wish)
    if any(put_out(profile, ctx, t) for profile in candidates):
        return site, (OperationMode.CHARGING_ONLY, 123.0, 0.0, None)
    return site, None


def put_out(profile: Profile, ctx: Context, t: float) -> bool:
    """Would it hold now, had the link not gone?"""
    if ctx.offline_since_s is None:
        return False
    cut = offline_cut(profile, ctx)
    if profile.kind != "Dynamic":
        return t >= cut and runs(profile, without_link_loss(ctx), t) is not None
    if profile.valid_from_s is not None and t < profile.valid_from_s:
        return False
    if profile.valid_to_s is not None and t >= profile.valid_to_s:
        return False
    if profile.id not in ctx.dyn_updated_s:
        return False
    end = math.inf
    if profile.duration_s:
        end = ctx.dyn_updated_s[profile.id] + profile.duration_s
    return ctx.offline_since_s < end and t >= min(cut, end)


def without_link_loss(ctx: Context) -> Context:
    return dataclasses.replace(ctx, offline_since_s=None)


def as_tuple(demand: Demand | None) -> Any:
    if demand is None:
        return None
    return demand.mode, demand.limit_w, demand.discharge_limit_w, demand.setpoint_w


def at(entries: list[tuple[float, Demand | None]], t: float) -> Demand | None:
    current = None
    for start, demand in entries:
        if start <= t:
            current = demand
    return current


@settings(max_examples=150, deadline=None)
@given(profiles(), contexts())
def test_every_second_is_what_the_rules_say(every: list[Profile], ctx: Context) -> None:
    composite = Composite(every, ctx)
    site, _ = timeline(composite.site, BASE, BASE + SPAN, 10_000)
    tx, _ = timeline(composite.tx, BASE, BASE + SPAN, 10_000)
    for t in range(BASE, BASE + SPAN):
        cap, wish = oracle(every, ctx, t)
        caps = at(site, t)
        assert (caps.limit_w if caps else None) == cap, t - BASE
        assert as_tuple(at(tx, t)) == wish, t - BASE


@settings(max_examples=100, deadline=None)
@given(profiles(), contexts())
def test_the_whole_is_inside_its_parts(every: list[Profile], ctx: Context) -> None:
    """Merging only narrows, and the setpoint is inside the limits (V2X.03-04)."""
    composite = Composite(every, ctx)
    for t in range(BASE, BASE + SPAN, 7):
        whole = composite.whole(t)[0]
        for part in (composite.site(t)[0], composite.tx(t)[0]):
            if part is None:
                continue
            assert whole is not None
            if part.limit_w is not None:
                assert whole.limit_w is not None
                assert whole.limit_w <= part.limit_w
            if part.discharge_limit_w is not None:
                assert whole.discharge_limit_w is not None
                assert whole.discharge_limit_w >= part.discharge_limit_w
        if whole is None or whole.setpoint_w is None:
            continue
        assert whole.setpoint_w >= (whole.discharge_limit_w or -math.inf)
        if whole.setpoint_w > 0 and whole.limit_w is not None:
            assert whole.setpoint_w <= whole.limit_w


@settings(max_examples=60, deadline=None)
@given(profiles(), contexts(), st.floats(0, 1, allow_nan=False))
def test_time_always_moves_on(
    every: list[Profile], ctx: Context, fraction: float
) -> None:
    composite = Composite(every, ctx)
    t = BASE + fraction * 60
    for _ in range(2000):
        until = composite.whole(t)[1]
        assert until > t
        if until > BASE + SPAN:
            break
        t = until
    else:
        raise AssertionError("more changes than the profiles have")


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=30),
    st.integers(0, 400),
    st.none() | st.integers(1, 900),
    st.text(max_size=9),
)
def test_random_delays_only_move_starts_and_leave_out_what_they_overtake(
    gaps: list[int], delay: int, duration: int | None, seed: str
) -> None:
    """K01.FR.92 to .97, for any gaps, delay and chance."""
    starts = [0]
    for gap in gaps:
        starts.append(starts[-1] + gap)
    plan = tuple(
        Period(OperationMode.CHARGING_ONLY, float(n)) for n in range(len(starts))
    )
    profile = Profile(
        1, 1, "TxProfile", "Relative", 0, tuple(map(float, starts)), plan,
        duration_s=None if duration is None else float(duration), delay_s=float(delay),
    )  # fmt: skip
    moved = delayed(profile, seed)
    assert delayed(profile, seed) == moved  # fixed
    assert (moved.starts_s[0], moved.periods[0]) == (0.0, plan[0])
    assert all(a < b for a, b in pairwise(moved.starts_s))
    for start, period in zip(moved.starts_s, moved.periods, strict=True):
        late = start - starts[plan.index(period)]
        assert 0.0 <= late <= delay
        assert duration is None or start < duration or not delay
    assert (moved.duration_s, moved.anchor_s) == (profile.duration_s, None)
    if duration is None:  # the last period cannot be overtaken
        assert moved.periods[-1] == plan[-1]
