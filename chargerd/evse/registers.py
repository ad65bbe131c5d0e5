"""How much of what a meter's registers say has flowed: a leap that this EVSE could not
have delivered since the last reading was another meter, or a wrong reading.

Pure. The registers themselves stay as read (OCPP J02.FR.17); what leapt is known apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from firmware_bridge.api import MeterReading, Reading

Pair = tuple[float, float]  # import and export, Wh

MARGIN = 1.5  # over the rating: overshoot, and a clock of the meter's own
COARSE_WH = 1000.0  # a register may count whole kWh
NOISE_WH = 1.0  # it may step back by rounding


@dataclass(frozen=True, slots=True)
class State:
    """`leapt_wh`: the sum of all leaps; it is kept over a restart."""

    leapt_wh: Pair = (0.0, 0.0)
    read_wh: Pair | None = None
    at_mono: float = 0.0
    note: str = ""  # the last leap, in the step that found it

    @property
    def counted_wh(self) -> Pair | None:
        """As `Snapshot.counted_wh`."""
        if self.read_wh is None:
            return None
        (in_wh, out_wh), (leapt_in, leapt_out) = self.read_wh, self.leapt_wh
        return in_wh - leapt_in, out_wh - leapt_out


NEW = State()


def step(state: State, meter: Reading[MeterReading] | None, most_w: float) -> State:
    """One tick. `most_w`: what the EVSE can take or give at most."""
    if meter is None or meter.at_mono <= state.at_mono:
        return replace(state, note="") if state.note else state
    read = (meter.value.import_wh, meter.value.export_wh)
    if not all(math.isfinite(wh) for wh in read):
        return state
    leapt, note = state.leapt_wh, ""
    if state.read_wh is not None:
        span_s = meter.at_mono - state.at_mono
        in_wh, out_wh = read[0] - state.read_wh[0], read[1] - state.read_wh[1]
        if not (_may_be(in_wh, span_s, most_w) and _may_be(out_wh, span_s, most_w)):
            leapt = (leapt[0] + in_wh, leapt[1] + out_wh)
            note = f"import {in_wh:+.0f} Wh, export {out_wh:+.0f} Wh in {span_s:.1f} s"
    return State(leapt, read, meter.at_mono, note)


def _may_be(moved_wh: float, span_s: float, most_w: float) -> bool:
    return -NOISE_WH <= moved_wh <= most_w * span_s * MARGIN / 3600.0 + COARSE_WH


def read(value: object) -> State:
    """From what was stored; anything else: nothing has leapt yet."""
    if not isinstance(value, list) or len(value) != 2:
        return NEW
    if not all(isinstance(wh, int | float) and math.isfinite(wh) for wh in value):
        return NEW
    return State((float(value[0]), float(value[1])))
