"""What the plan keeps free for reserves: no lesser wish takes it.

Pure. A wish is held back towards zero, never pushed over it. A reserve's own signal
(priority RESERVE, or a curve) is not asked: the room is there for it. The promise
stands above all of it.
"""

from __future__ import annotations

import math

from chargerd.plan import PlanPart
from chargerd.scheduler import words
from chargerd.scheduler.ledger import Ledger
from chargerd.scheduler.terms import Context


def part_of(ctx: Context, now_mono: float) -> PlanPart | None:
    """The plan's part in force, where it keeps something free."""
    part = ctx.plan.at(now_mono) if ctx.plan else None
    return part if part is not None and (part.up_w or part.down_w) else None


def keep(wish_w: float, ledger: Ledger, ctx: Context, now_mono: float) -> float:
    """The wish, less what it would take from a reserve."""
    part = part_of(ctx, now_mono)
    if part is None:
        return wish_w
    low_w, high_w = _bounds(part, ctx.battery.energy_wh)
    kept_w = min(max(wish_w, low_w), high_w)
    if kept_w != wish_w:
        ledger.say("dispatch", "reserve", kept_w, words.reserve(part))
    return kept_w


def _bounds(part: PlanPart, energy_wh: float | None) -> tuple[float, float]:
    """Without a known energy, or with none to spare, the battery waits."""
    low_w, high_w = -math.inf, math.inf
    if part.up_w > 0.0:
        spare = energy_wh is not None and energy_wh > part.low_wh
        low_w = min(0.0, part.low_w) if spare else 0.0
    if part.down_w > 0.0:
        spare = energy_wh is not None and energy_wh < part.high_wh
        high_w = max(0.0, part.high_w) if spare else 0.0
    return low_w, high_w
