"""What the demo saw: samples, events, signals. Filled while it runs, judged after."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

CURRENCY = "JPY"
RATING_W = 10_000.0  # of the EVSE, in and out


@dataclass(frozen=True, slots=True)
class Tick:
    """One look at the daemon: its decision, on the machine's monotonic clock."""

    t_mono: float
    power_w: float
    low_w: float
    high_w: float
    source: str
    why: str


@dataclass(frozen=True, slots=True)
class Signal:
    """What the central system sent, and the power that it means from then on."""

    t_mono: float
    power_w: float
    text: str


@dataclass(slots=True)
class Record:
    """The whole evening. `rig` holds the rig's own trace rows, true values included."""

    start_mono: float = 0.0  # plug-in
    departure_mono: float = 0.0
    promise_soc_pct: float = 0.0
    price_per_kwh: float = 0.0
    feed_limit_w: float = 0.0  # of the network operator, from `feed_limit_mono` on
    feed_limit_mono: float = 0.0
    ticks: list[Tick] = field(default_factory=list)
    events: list[tuple[float, str]] = field(default_factory=list)  # t_mono, text
    signals: list[Signal] = field(default_factory=list)
    rig: list[dict[str, Any]] = field(default_factory=list)
    transaction: list[dict[str, Any]] = field(default_factory=list)  # TransactionEvents
    vehicle: dict[str, Any] = field(default_factory=dict)  # its own view, at the end

    def note(self, t_mono: float, text: str) -> None:
        self.events.append((t_mono, text))
