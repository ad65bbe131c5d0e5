"""The last clamp before the wire: small, dumb, and trusting nobody above it.

Pure. Knows ratings, hard bounds and permissions; whatever it is given, what comes out
is finite, inside the ratings, and negative only with permission.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ratings:
    """AC ratings in W, both magnitudes."""

    charge_w: float
    discharge_w: float


def clamp(
    power_w: float,
    ratings: Ratings,
    low_w: float,
    high_w: float,
    *,
    power_permitted: bool,
    discharge_permitted: bool,
) -> float:
    """The power that may go to the wire.

    `low_w` <= 0 <= `high_w` are the decision's hard bounds. NaN or infinity anywhere
    gives 0 W; a bound on the wrong side of zero counts as 0, so that no bound can make
    power flow that was not asked for.
    """
    numbers = (power_w, low_w, high_w, ratings.charge_w, ratings.discharge_w)
    if not power_permitted or not all(map(math.isfinite, numbers)):
        return 0.0
    if power_w > 0.0:
        return max(0.0, min(power_w, high_w, ratings.charge_w))
    if power_w < 0.0 and discharge_permitted:
        return min(0.0, max(power_w, low_w, -ratings.discharge_w))
    return 0.0
