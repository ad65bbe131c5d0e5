"""What a core that follows events hands to its shell, and its way to the heart."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from chargerd.clock import Now
from chargerd.grid.ports import Ports
from chargerd.model import DispatchSignal
from chargerd.plan import PriceSeries

Json = dict[str, Any]


@dataclass(slots=True)
class Work:
    signals: list[DispatchSignal] = field(default_factory=list)
    prices: PriceSeries | None = None
    save: Json | None = None  # the new state to keep over restarts


class Kept:
    """What is in the store for the next run, so that it is not written in vain."""

    def __init__(self, hold_s: float) -> None:
        self._third_s = hold_s / 3.0
        self._state: Json = {}
        self._heard_mono = -math.inf

    def changed(self, state: Json, heard_mono: float | None, now: Now) -> Json | None:
        """`state` with the time of the server's last word, where it has changed or that
        word is older by much. `heard_mono` None: the word does not matter."""
        due_mono = self._heard_mono + self._third_s
        older = heard_mono is not None and heard_mono >= due_mono
        if state == self._state and not older:
            return None
        self._state = state
        if heard_mono is None:
            return state
        self._heard_mono = heard_mono
        return {**state, "heard_utc": now.utc_at(heard_mono).isoformat()}


def hand_over(work: Work, ports: Ports, namespace: str, refused: Counter[str]) -> None:
    """What is not taken is counted."""
    for signal in work.signals:
        if not ports.signal(signal):
            refused["heart"] += 1
    if work.prices is not None and not ports.prices(work.prices):
        refused["planner"] += 1
    if work.save is not None:
        ports.save(namespace, "state", work.save)
