"""The signals cell: the newest dispatch signal per (source, evse_id), nothing older.

Pure: no clock, no queue. Refuses what is not finite or has the wrong sign, keeps a
bounded number, and forgets what is dead. Must never extend a signal's life (law 2).
"""

from __future__ import annotations

import math

from chargerd.model import Curve, DispatchSignal, OperationMode, Segment

MAX_SIGNALS = 64
MAX_SEGMENTS = 1024
MAX_POINTS = 100
MAX_W = 2_000_000.0
# A signal is let go this long before it dies: the lease that rests on it may then end
# with it while the next tick has already decided without it.
GUARD_S = 0.1


class SchedulerError(Exception):
    """A value the scheduler refuses; the text says which field and why."""


def check(signal: DispatchSignal) -> DispatchSignal:
    """Return `signal`, or raise SchedulerError: finite, bounded, ordered, signed right.

    Requirements S03 to S05: a limit is never negative, a discharge limit never
    positive, so that none can turn into a wish in the other direction.
    """
    where = f"signal {signal.source[:50]!r}"
    if not signal.source or len(signal.source) > 100:
        raise SchedulerError(f"{where}: source must have 1 to 100 characters")
    if not (math.isfinite(signal.valid_until_mono) and _time(signal.received_mono)):
        raise SchedulerError(f"{where}: times must be finite")
    if len(signal.segments) > MAX_SEGMENTS:
        raise SchedulerError(f"{where}: more than {MAX_SEGMENTS} segments")
    last = -math.inf
    for number, segment in enumerate(signal.segments):
        _check_segment(segment, f"{where} segment {number}")
        if segment.start_mono < last:
            raise SchedulerError(f"{where} segment {number}: starts before the last")
        last = segment.start_mono
    return signal


def _time(value: float) -> bool:
    return math.isfinite(value)


def _check_segment(segment: Segment, where: str) -> None:
    if not _time(segment.start_mono):
        raise SchedulerError(f"{where}: start is not finite")
    low_high = (
        ("setpoint_w", segment.setpoint_w, -MAX_W, MAX_W),
        ("limit_w", segment.limit_w, 0.0, math.inf),
        ("discharge_limit_w", segment.discharge_limit_w, -math.inf, 0.0),
        ("signal", segment.signal, -math.inf, math.inf),
        ("follow_w", segment.follow_w, -MAX_W, MAX_W),
        ("setpoint_var", segment.setpoint_var, -MAX_W, MAX_W),
        ("curve_step", segment.curve_step, 0.0, math.inf),
        ("generation_w", segment.generation_w, 0.0, MAX_W),
    )
    for name, value, low, high in low_high:
        if value is None:
            continue
        if not math.isfinite(value) or not low <= value <= high:
            raise SchedulerError(f"{where}: {name} {value!r} is not in {low}..{high}")
    if segment.curve is not None:
        _check_curve(segment.curve, where)
    band = segment.band
    if band is not None and not (
        -MAX_W <= band.low_w < band.high_w <= MAX_W
        and abs(band.low_to_w) <= MAX_W
        and abs(band.high_to_w) <= MAX_W
    ):
        raise SchedulerError(f"{where}: the band {band!r} is none")


def _check_curve(curve: Curve, where: str) -> None:
    """Finite, bounded, ascending in x (a step may repeat one)."""
    if not 1 <= len(curve.points) <= MAX_POINTS:
        raise SchedulerError(f"{where}: a curve has 1 to {MAX_POINTS} points")
    last = -math.inf
    for x, power_w in curve.points:
        if not (math.isfinite(x) and -MAX_W <= power_w <= MAX_W):
            raise SchedulerError(f"{where}: curve point ({x!r}, {power_w!r})")
        if x < last:
            raise SchedulerError(f"{where}: the curve's points must ascend")
        last = x


def limits(segment: Segment) -> tuple[float, float]:
    """(low, high) of a signal's segment; ChargingOnly means no discharge."""
    low, high = -math.inf, math.inf
    if segment.limit_w is not None:
        high = segment.limit_w
    if segment.discharge_limit_w is not None:
        low = segment.discharge_limit_w
    if segment.mode is OperationMode.CHARGING_ONLY:
        low = 0.0
    return low, high


class Signals:
    """The cell. `put` from any door's call on the loop, `live` once a tick and EVSE."""

    def __init__(self) -> None:
        self._newest: dict[tuple[str, int], DispatchSignal] = {}
        self.refused = 0

    def put(self, signal: DispatchSignal, now_mono: float) -> None:
        """Take the place of the last signal of the same source and EVSE.

        Raises SchedulerError for a bad signal, or when too many sources are alive. A
        signal that is dead at once withdraws its predecessor.
        """
        key = (signal.source, signal.evse_id)
        try:
            check(signal)
        except SchedulerError:
            self.refused += 1
            raise
        if signal.valid_until_mono <= now_mono:
            self._newest.pop(key, None)
            return
        self._drop_dead(now_mono)
        if key not in self._newest and len(self._newest) >= MAX_SIGNALS:
            self.refused += 1
            raise SchedulerError(f"more than {MAX_SIGNALS} live signal sources")
        self._newest[key] = signal

    def _drop_dead(self, now_mono: float) -> None:
        dead = [k for k, s in self._newest.items() if s.valid_until_mono <= now_mono]
        for key in dead:
            del self._newest[key]

    def live(self, evse_id: int, now_mono: float) -> tuple[DispatchSignal, ...]:
        """Signals for this EVSE or the whole station that stay alive for a tick."""
        if not self._newest:
            return ()
        end = now_mono + GUARD_S
        return tuple(
            s
            for s in self._newest.values()
            if s.evse_id in (evse_id, 0) and s.valid_until_mono > end
        )

    def station_caps(self, now_mono: float) -> tuple[float, float]:
        """(low, high) that the live signals for the whole station leave to all."""
        low, high = -math.inf, math.inf
        for signal in self.live(0, now_mono):
            segment = signal.at(now_mono)
            if segment is not None:
                floor, top = limits(segment)
                low, high = max(low, floor), min(high, top)
        return low, high

    def next_change_mono(self, now_mono: float) -> float:
        """When a live signal next starts a segment or is let go; inf = never."""
        first = math.inf
        for signal in self._newest.values():
            end = signal.valid_until_mono - GUARD_S
            if end > now_mono:
                first = min(first, end)
            for segment in signal.segments:
                if segment.start_mono > now_mono:
                    first = min(first, segment.start_mono)
                    break
        return first
