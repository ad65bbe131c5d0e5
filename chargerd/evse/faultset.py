"""The faults of one EVSE that are present now: raise, and clear by the table's rule.

Pure. Causes come in fresh every tick as name -> measured value; what this remembers is
since when a fault is present and since when its cause is gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from chargerd.clock import Now
from chargerd.faults import Clear, Fault, lookup
from chargerd.model import ActiveFault, StopReason


@dataclass(frozen=True, slots=True)
class _Entry:
    row: Fault
    active: ActiveFault
    gone_mono: float | None = None  # None: the cause is still there


@dataclass(frozen=True, slots=True)
class FaultSet:
    """All present faults, and their summed effect, ready for the tick."""

    entries: tuple[_Entry, ...] = ()
    active: tuple[ActiveFault, ...] = ()
    names: tuple[str, ...] = ()
    stops_power: bool = False
    no_discharge: bool = False
    ends_session: StopReason | None = None
    raised: tuple[str, ...] = field(default=(), compare=False)
    cleared: tuple[str, ...] = field(default=(), compare=False)


EMPTY = FaultSet()


def step(
    faults: FaultSet,
    causes: Mapping[str, str],
    evse_id: int,
    now: Now,
    *,
    station: frozenset[str] = frozenset(),
    unplugged: bool = False,
    reset: bool = False,
) -> FaultSet:
    """One tick. `causes` maps the names whose cause is present to what was measured.

    Names in `station` concern the whole station. `unplugged` is true while no vehicle
    is connected; `reset` once, when a technician restarts the station.
    """
    if not causes and not faults.entries:
        return faults if not faults.cleared else EMPTY
    kept: list[_Entry] = []
    for entry in faults.entries:
        if entry.row.name in causes or entry.active.name in causes:
            if entry.gone_mono is not None:
                entry = _Entry(entry.row, entry.active)
            kept.append(entry)
            continue
        gone = now.mono if entry.gone_mono is None else entry.gone_mono
        if not _clears(entry.row, now.mono - gone, unplugged, reset):
            kept.append(_Entry(entry.row, entry.active, gone))
    have = {entry.active.name for entry in kept}
    for name, info in causes.items():
        if name not in have:
            row = lookup(name)
            whose = 0 if name in station else evse_id
            kept.append(_Entry(row, ActiveFault(name, whose, now.utc, info)))
    return _summed(tuple(kept), faults.names)


def _clears(row: Fault, gone_s: float, unplugged: bool, reset: bool) -> bool:
    if row.clear is Clear.GONE:
        return gone_s >= row.clear_after_s
    if row.clear is Clear.UNPLUG:
        return unplugged or reset
    return reset


def _summed(entries: tuple[_Entry, ...], before: tuple[str, ...]) -> FaultSet:
    names = tuple(entry.active.name for entry in entries)
    ends = [entry.row for entry in entries if entry.row.ends_session]
    worst = min(ends, key=lambda row: row.severity) if ends else None
    return FaultSet(
        entries=entries,
        active=tuple(entry.active for entry in entries),
        names=names,
        stops_power=any(entry.row.stops_power for entry in entries),
        no_discharge=any(
            entry.row.discharge_only or entry.row.stops_power for entry in entries
        ),
        ends_session=worst.stop_reason if worst else None,
        raised=tuple(name for name in names if name not in before),
        cleared=tuple(name for name in before if name not in names),
    )
