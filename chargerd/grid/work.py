"""What a core that follows events hands to its shell, and its way to the heart."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from chargerd.grid.ports import Ports
from chargerd.model import DispatchSignal
from chargerd.plan import PriceSeries


@dataclass(slots=True)
class Work:
    signals: list[DispatchSignal] = field(default_factory=list)
    prices: PriceSeries | None = None
    save: dict[str, Any] | None = None  # the new state to keep over restarts


def hand_over(work: Work, ports: Ports, namespace: str, refused: Counter[str]) -> None:
    """What is not taken is counted."""
    for signal in work.signals:
        if not ports.signal(signal):
            refused["heart"] += 1
    if work.prices is not None and not ports.prices(work.prices):
        refused["planner"] += 1
    if work.save is not None:
        ports.save(namespace, "state", work.save)
