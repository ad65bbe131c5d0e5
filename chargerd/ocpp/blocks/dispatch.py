"""Charging profiles -> dispatch signals: leases in W on the monotonic clock.

Owns the two signals of each EVSE ("ocpp.site" caps, "ocpp.tx" wish and limits) and the
station's "ocpp.site" (evse_id 0). Recomputed on change and at the next instant a
profile changes, never per tick. A vanished profile's signal is sent once more, dead.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from zoneinfo import ZoneInfo

from chargerd.clock import Now
from chargerd.model import DispatchSignal, OperationMode, Priority, Segment
from chargerd.ocpp.blocks.desk import Desk, EvseView
from chargerd.ocpp.blocks.v2x_check import band
from chargerd.ocpp.composite import (
    Afrr,
    Branch,
    Composite,
    Context,
    Demand,
    timeline,
    with_signals,
)
from chargerd.ocpp.effects import Dispatch
from chargerd.ocpp.profiles import Profile
from chargerd.ocpp.variable import split

HORIZON_S = 3600.0
LEASE_S = 86_400.0
MOST_SEGMENTS = 200
SITE, TX = "ocpp.site", "ocpp.tx"
STATION = 0


def context(
    desk: Desk, evse_id: int, now: Now, dyn_mono: Mapping[int, float]
) -> Context:
    """The composite's context of an EVSE (0 = the station) at `now`."""
    posix = now.utc.timestamp()
    view = desk.evses.get(evse_id)
    ignored = desk.model.text("SmartChargingCtrlr", "IgnoredProfilePurposesOffline")
    since = desk.offline_since_mono
    return Context(
        evse_id=evse_id,
        now_s=posix,
        relative_s=_posix(now, view.ready_mono if view else None),
        transaction_id=view.transaction_id if view else "",
        priority_charging=view is not None and view.priority,
        soc_pct=soc_of(view),
        offline_since_s=_posix(now, since),
        ignored_offline=frozenset(split(ignored)),
        offline_limit_w=desk.config.ocpp.offline_limit_w,
        zone=ZoneInfo(desk.model.text("ClockCtrlr", "TimeZone")),
        seed=desk.config.station.id,
        dyn_updated_s={
            number: posix + (mono - now.mono) for number, mono in dyn_mono.items()
        },
    )


def soc_of(view: EvseView | None) -> float | None:
    if view is None or view.report is None:
        return None
    return view.report.snapshot.vehicle.soc_pct


def _posix(now: Now, mono: float | None) -> float | None:
    return None if mono is None else now.utc.timestamp() + (mono - now.mono)


class Dispatcher:
    """Remembers what was sent, so that only changes and renewals go out."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._sent: dict[tuple[str, int], DispatchSignal] = {}
        self.next_mono = math.inf
        self.takes_signal = False  # a v2xSignalWattCurve is active

    def refresh(
        self,
        profiles: Iterable[Profile],
        now: Now,
        dyn_mono: Mapping[int, float],
        suspended: Iterable[int],
        afrr: Sequence[Afrr] = (),
    ) -> None:
        """Recompute all signals; sets `next_mono` to when it must happen again.

        `suspended` holds EVSEs whose token became invalid: no energy either way
        (E05.FR.01-04).
        """
        profiles = list(profiles)
        self.next_mono = math.inf
        self.takes_signal = False
        station = Composite(profiles, context(self._desk, STATION, now, dyn_mono))
        self._signal(SITE, STATION, station.site, now)
        for evse_id in self._desk.evses:
            ctx = context(self._desk, evse_id, now, dyn_mono)
            composite = Composite(profiles, ctx)
            self._signal(SITE, evse_id, composite.site, now)
            demand, _ = composite.tx(ctx.now_s)
            self.takes_signal |= demand is not None and demand.signal is not None
            branch = with_signals(composite.tx, afrr)
            if evse_id in suspended:
                branch = _nothing
            self._signal(TX, evse_id, branch, now)

    def _signal(self, source: str, evse_id: int, branch: Branch, now: Now) -> None:
        start = now.utc.timestamp()
        entries, end = timeline(branch, start, start + HORIZON_S, MOST_SEGMENTS)
        live: list[Segment] = []
        rank = self._rank(source, entries[0][1])
        for at_s, demand in entries:
            if demand is None or self._rank(source, demand) is not rank:
                end = at_s if live else end
                break
            live.append(self._segment(now.mono + (at_s - start), evse_id, demand))
        if live:
            held = now.mono + min(end - start, LEASE_S)
            # A true end needs nobody; what goes on is renewed long before it ends.
            goes_on = end - start > LEASE_S or branch(end)[0] is not None
            again = (now.mono + held) / 2 if goes_on else held
        else:
            held = now.mono
            again = now.mono + (entries[1][0] if len(entries) > 1 else end) - start
        self.next_mono = min(self.next_mono, again)
        self._emit(DispatchSignal(source, evse_id, rank, tuple(live), now.mono, held))

    def _rank(self, source: str, demand: Demand | None) -> Priority:
        """Whose setpoint comes first (Q05.FR.01, Q06.FR.20-22)."""
        if source != TX or demand is None:
            return Priority.SETPOINT
        if demand.mode is OperationMode.EXTERNAL_SETPOINT:
            return Priority.YIELDING
        first = self._desk.model.text("SmartChargingCtrlr", "SetpointPriority")
        return Priority.CENTRAL if first == "CSMS" else Priority.YIELDING

    def _segment(self, start_mono: float, evse_id: int, demand: Demand) -> Segment:
        frequency = demand.frequency is not None
        balances = demand.mode is OperationMode.LOCAL_LOAD_BALANCING
        return Segment(
            start_mono,
            demand.mode,
            demand.setpoint_w,
            demand.limit_w,
            demand.discharge_limit_w,
            demand.frequency,
            band=band(self._desk, evse_id) if balances else None,
            setpoint_var=demand.setpoint_var,
            curve_step=self._step_hz(evse_id) if frequency else 0.0,
            sleep=demand.sleep,
        )

    def _step_hz(self, evse_id: int) -> float:
        """LocalFrequencyUpdateThreshold, which is in mHz (Q08.FR.07)."""
        variable = "LocalFrequencyUpdateThreshold"
        text = self._desk.model.text("V2XChargingCtrlr", variable, evse_id=evse_id)
        return float(text) / 1000.0

    def _emit(self, signal: DispatchSignal) -> None:
        key = signal.source, signal.evse_id
        old = self._sent.get(key)
        now_mono = signal.received_mono
        if old is None or old.valid_until_mono <= now_mono:
            if not signal.segments:
                self._sent.pop(key, None)
                return
        elif _same(old, signal):
            return
        if signal.segments:
            self._sent[key] = signal
        else:
            self._sent.pop(key, None)
        self._desk.effects.append(Dispatch(signal))


def _nothing(at_s: float) -> tuple[Demand, float]:
    return Demand(OperationMode.CHARGING_ONLY, 0.0, 0.0), math.inf


def _same(old: DispatchSignal, new: DispatchSignal) -> bool:
    """True when `old`, still running, says all that `new` would and lives on."""
    now_mono = new.received_mono
    ends = abs(old.valid_until_mono - new.valid_until_mono) < 0.5
    both_leases = (
        min(old.valid_until_mono, new.valid_until_mono) > now_mono + LEASE_S / 2 + 1
    )
    if not (ends or both_leases) or old.priority is not new.priority:
        return False
    current = old.at(now_mono)
    rest = [s for s in old.segments if s.start_mono > now_mono]
    left = [current, *rest] if current else rest
    return len(left) == len(new.segments) and all(
        _equal(a, b, now_mono) for a, b in zip(left, new.segments, strict=True)
    )


def _equal(one: Segment, other: Segment, now_mono: float) -> bool:
    starts = max(one.start_mono, now_mono), max(other.start_mono, now_mono)
    return abs(starts[0] - starts[1]) < 0.5 and one == replace(
        other, start_mono=one.start_mono
    )
