"""What tests of grid doors share: a configuration, ports that keep what they are told,
and a report of one EVSE. Owns no test."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from chargerd.clock import Now
from chargerd.config import Config
from chargerd.grid.ports import Ports
from chargerd.model import DispatchSignal, Request

UTC0 = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def at(mono: float, *, trusted: bool = True) -> Now:
    """One instant; the clocks run side by side."""
    return Now(mono, UTC0 + timedelta(seconds=mono), trusted)


@dataclass
class Told:
    """What a door said, newest last; `mono` is the time it reads."""

    signals: list[DispatchSignal] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    saved: dict[tuple[str, str], Any] = field(default_factory=dict)
    mono: float = 100.0
    accept: bool = True


def ports(told: Told | None = None) -> tuple[Ports, Told]:
    """Ports of a fake daemon."""
    told = told or Told()

    def signal(value: DispatchSignal) -> bool:
        told.signals.append(value)
        return told.accept

    def request(value: Request) -> bool:
        told.requests.append(value)
        return told.accept

    def save(namespace: str, key: str, value: Any) -> None:
        told.saved[namespace, key] = value

    return Ports(signal, request, lambda: at(told.mono), save, {}), told


def config(**grid: Any) -> Config:
    """Two EVSEs and the grid doors given."""
    device = {"driver": "none", "at": "serial:/dev/null"}
    evse = {"devices": {"pilot": device, "meter": device}}
    return Config.model_validate(
        {
            "station": {"id": "CS1"},
            "evse": [{"id": 1, **evse}, {"id": 2, **evse}],
            "grid": grid,
        }
    )
