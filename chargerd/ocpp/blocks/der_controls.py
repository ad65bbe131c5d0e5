"""The DER controls of the station: which exist, which is superseded, which runs (R04).

Pure: no clock, no message. Of each control type one runs: the scheduled one whose time
it is, else the default; of several the one with the lowest priority value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from chargerd.ocpp.effects import Payload

MOST = 200  # controls kept at once, superseded ones included


@dataclass(frozen=True, slots=True)
class Control:
    """One SetDERControl. `field` names its body in the message; times are POSIX."""

    id: str
    kind: str  # DERControlEnumType
    field: str
    body: Payload
    is_default: bool
    number: int  # order of arrival: of equal priorities the first one stays
    start_s: float = -math.inf
    end_s: float = math.inf
    superseded: bool = False
    told: bool = False  # its start has been reported

    @property
    def priority(self) -> int:
        """0 is the highest."""
        return int(self.body["priority"])

    def runs(self, at_s: float) -> bool:
        return not self.superseded and self.start_s <= at_s < self.end_s


@dataclass(frozen=True, slots=True)
class Started:
    """A scheduled control begins, and ends those it has waited for (FR.20, FR.21)."""

    control: Control
    supersedes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """A scheduled control's time is over (FR.22)."""

    control: Control


class Controls:
    """All of them by id. A new one with a known id takes the place of the old one."""

    def __init__(self, saved: Iterable[Control] = ()) -> None:
        self._by_id = {control.id: control for control in saved}
        self._number = max((c.number for c in self._by_id.values()), default=0)

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, control_id: str) -> bool:
        return control_id in self._by_id

    def add(self, control: Control, now_s: float) -> tuple[str, ...]:
        """Keep it; the ids that are superseded at once, its own when it loses."""
        self._by_id.pop(control.id, None)
        self._number += 1
        control = replace(control, number=self._number)
        rivals = [
            other
            for other in self._by_id.values()
            if (other.kind, other.is_default) == (control.kind, control.is_default)
            and not other.superseded
        ]
        if any(other.priority < control.priority for other in rivals):
            self._by_id[control.id] = replace(control, superseded=True)
            return (control.id,)
        beaten = [
            other
            for other in rivals
            if other.priority > control.priority
            and (control.is_default or not other.runs(now_s))
        ]
        for other in beaten:
            self._by_id[other.id] = replace(other, superseded=True)
        self._by_id[control.id] = control
        return tuple(other.id for other in beaten)

    def step(self, now_s: float) -> list[Started | Ended]:
        """What has begun and ended until now; what is over is forgotten (FR.10)."""
        events: list[Started | Ended] = []
        for control in sorted(self._by_id.values(), key=lambda c: c.end_s):
            if now_s < control.end_s:
                continue
            del self._by_id[control.id]
            if control.told and not control.superseded:
                events.append(Ended(control))
        for control in sorted(self._by_id.values(), key=lambda c: c.start_s):
            if control.is_default or control.told or not control.runs(now_s):
                continue
            if self.running(control.kind, now_s) is not control:
                continue  # an equal one came first and still runs
            supersedes = self._supersede(control, now_s)
            self._by_id[control.id] = replace(control, told=True)
            events.append(Started(control, supersedes))
        return events

    def _supersede(self, control: Control, now_s: float) -> tuple[str, ...]:
        """Those of lower priority that ran until this one's start (FR.07)."""
        beaten = [
            other
            for other in self._by_id.values()
            if other.kind == control.kind
            and not other.is_default
            and other.priority > control.priority
            and other.runs(now_s)
        ]
        for other in beaten:
            self._by_id[other.id] = replace(other, superseded=True)
        return tuple(other.id for other in beaten)

    def running(self, kind: str, at_s: float) -> Control | None:
        """The one to execute: scheduled before default, then by priority (FR.11)."""
        live = [c for c in self._by_id.values() if c.kind == kind and c.runs(at_s)]
        return min(
            live, key=lambda c: (c.is_default, c.priority, c.number), default=None
        )

    def next_change_s(self, now_s: float) -> float:
        """When one starts or ends next."""
        times = [t for c in self._by_id.values() for t in (c.start_s, c.end_s)]
        return min((t for t in times if t > now_s), default=math.inf)

    def matching(
        self, is_default: bool | None, kind: str | None, control_id: str | None
    ) -> list[Control]:
        """A missing criterion matches all (FR.30)."""
        return [
            c
            for c in self._by_id.values()
            if (is_default is None or c.is_default == is_default)
            and (kind is None or c.kind == kind)
            and (control_id is None or c.id == control_id)
        ]

    def remove(self, controls: Iterable[Control]) -> None:
        for control in controls:
            self._by_id.pop(control.id, None)

    def all(self) -> dict[str, Control]:
        return dict(self._by_id)


def to_disk(control: Control) -> Payload:
    """JSON has no infinity: a default's times are left out."""
    return {k: v for k, v in asdict(control).items() if v not in (math.inf, -math.inf)}


def from_disk(value: Any, check: Callable[[Control], bool]) -> Control | None:
    """None for what an earlier version wrote otherwise, or `check` refuses."""
    try:
        control = Control(**value)
        return control if check(control) else None
    except (TypeError, KeyError, ValueError, AttributeError):
        return None
