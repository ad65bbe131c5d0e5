"""Who gets how much of one grid connection: fair shares for several EVSEs.

Pure. First those whose promise forces them: each what it may count on, then more, the
shortest slack first; then all that want power, equally; what is left goes to whoever
could use it. Total and phases are never given out twice. Export is shared alike, never
through import's phase counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from chargerd.scheduler.share import Split

_LEAST_W = 0.01  # less than this is nothing


@dataclass(frozen=True, slots=True)
class Room:
    """What the connection has for all EVSEs together. Magnitudes, in W."""

    charge_w: float
    discharge_w: float
    phase_charge_w: tuple[float, ...] = ()  # L1 to L3, () = no fuse to keep
    phase_discharge_w: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Want:
    """One EVSE. Bounds as elsewhere: `low` <= 0 <= `high`; may be infinite."""

    evse_id: int
    split: Split
    want_low_w: float = 0.0
    want_high_w: float = 0.0
    able_low_w: float = 0.0
    able_high_w: float = 0.0
    forced: bool = False
    slack_s: float = math.inf


@dataclass(frozen=True, slots=True)
class Share:
    """Bounds for one EVSE; `note` says how they came about.

    `sure_w`: what it can have for charging whenever it must, whatever the others want.
    A promise rests on this alone: the bounds of a moment follow everybody's wishes.
    """

    low_w: float = -math.inf
    high_w: float = math.inf
    note: str = ""
    sure_w: float = math.inf


ALL = Share()


def allot(wants: tuple[Want, ...], room: Room) -> dict[int, Share]:
    """A share for each EVSE; the sum of the shares fits total and phases."""
    sure = {w.evse_id: 0.0 for w in wants}
    _fill(wants, sure, _left(room.charge_w, room.phase_charge_w), _able_high)
    charge = {w.evse_id: 0.0 for w in wants}
    left = _left(room.charge_w, room.phase_charge_w)
    forced = sorted((w for w in wants if w.forced), key=lambda w: w.slack_s)
    for w in forced:
        _fill([w], charge, left, lambda w: min(_want_high(w), sure[w.evse_id]))
    for w in forced:
        _fill([w], charge, left, _want_high)
    _fill(wants, charge, left, _want_high)
    _fill(wants, charge, left, _able_high)
    discharge = {w.evse_id: 0.0 for w in wants}
    left = _left(room.discharge_w, room.phase_discharge_w)
    _fill(wants, discharge, left, _want_low)
    _fill(wants, discharge, left, lambda w: max(0.0, -w.able_low_w))
    note = f"share of {len(wants)} EVSEs" if len(wants) > 1 else "fuse"
    return {
        w.evse_id: Share(
            -discharge[w.evse_id], charge[w.evse_id], note, sure[w.evse_id]
        )
        for w in wants
    }


def _able_high(want: Want) -> float:
    return max(0.0, want.able_high_w)


def _want_high(want: Want) -> float:
    return max(0.0, min(want.want_high_w, want.able_high_w))


def _want_low(want: Want) -> float:
    return max(0.0, -max(want.want_low_w, want.able_low_w))


def _left(room_w: float, phase_room_w: tuple[float, ...]) -> list[float]:
    return [max(0.0, room_w), *(max(0.0, w) for w in phase_room_w)]


def beside(
    share: Share, room: Room, split: Split, others: Iterable[tuple[float, float, Split]]
) -> Share:
    """The share, less what the others' (measured, commanded) powers still take of the
    phases: they may be on their way down."""
    low, high = share.low_w, share.high_w
    taken = tuple(others)
    for phase, part in enumerate(split):
        if part <= 0.0 or not room.phase_charge_w:
            continue
        into = sum(max(0.0, a, b) * s[phase] for a, b, s in taken)
        out = sum(max(0.0, -a, -b) * s[phase] for a, b, s in taken)
        high = min(high, max(0.0, room.phase_charge_w[phase] - into) / part)
        low = max(low, -max(0.0, room.phase_discharge_w[phase] - out) / part)
    return replace(share, low_w=low, high_w=high)


def _fill(
    wants: Iterable[Want],
    given: dict[int, float],
    left: list[float],
    top: Callable[[Want], float],
) -> None:
    """Raise all together until each has met its top or a limit of its own."""
    active = [w for w in wants if top(w) - given[w.evse_id] > _LEAST_W]
    while active:
        loads = [float(len(active))]
        loads += [sum(w.split[i] for w in active) for i in range(len(left) - 1)]
        step = min(top(w) - given[w.evse_id] for w in active)
        for room, load in zip(left, loads, strict=True):
            if load > 0.0:
                step = min(step, room / load)
        for w in active:
            given[w.evse_id] += step
        for index, load in enumerate(loads):
            left[index] = max(0.0, left[index] - step * load)
        full = [room <= _LEAST_W for room in left]
        if full[0]:
            return
        active = [
            w
            for w in active
            if top(w) - given[w.evse_id] > _LEAST_W
            and not any(
                full[1 + i] and part > 0.0
                for i, part in enumerate(w.split[: len(left) - 1])
            )
        ]
