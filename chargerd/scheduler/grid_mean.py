"""The mean voltage of the last ten minutes, renewed every 3 s (EN 50549-1, 4.9.3.4).

Pure. What was not measured counts as nominal: a mean is never made of a moment.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from chargerd.model_grid import MeanVoltage

SLOT_S = 3.0
SLOTS = 200


@dataclass(frozen=True, slots=True)
class State:
    """`slots`: means of 3 s, oldest first; the rest belongs to the slot that runs."""

    slots: tuple[float, ...] = ()
    begun_mono: float | None = None
    total: float = 0.0
    count: int = 0
    mean: float = 1.0
    above_mono: float | None = None


START = State()


def step(
    state: State, rule: MeanVoltage, volts: float | None, now_mono: float
) -> State:
    """`volts` as a share of nominal, None = not known."""
    begun_mono = now_mono if state.begun_mono is None else state.begun_mono
    state = replace(state, begun_mono=begun_mono)
    if volts is not None:
        state = replace(state, total=state.total + volts, count=state.count + 1)
    if now_mono - begun_mono < SLOT_S:
        return state
    slot = state.total / state.count if state.count else 1.0
    slots = (*state.slots, slot)[-SLOTS:]
    mean = (sum(slots) + (SLOTS - len(slots))) / SLOTS
    above = state.above_mono
    if mean <= rule.above:
        above = None
    elif above is None:
        above = now_mono
    return State(slots, now_mono, 0.0, 0, mean, above)


def trips(state: State, rule: MeanVoltage, now_mono: float) -> bool:
    return state.above_mono is not None and now_mono - state.above_mono >= rule.delay_s
