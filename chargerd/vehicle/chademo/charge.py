"""The charge current we advertise (108.3) and what the vehicle makes of it.

The vehicle's request follows 108.3 and it faults when 10 A of its request do not come,
so 108.3 stays close above what the station will drive. A request that settles below
108.3 is the vehicle's own limit (taper). Keeps two numbers; knows no step.
"""

from __future__ import annotations

import math

HEADROOM_A = 2.0  # ours: room to see that the vehicle would take more
SHORT_A = 1.0  # 102.3 counts in whole amperes
SETTLED_S = 1.0  # ours: request and offer unchanged for so long
LIFT_A_PER_S = 5.0  # ours: how fast a taper limit is tried again


class ChargeCurrent:
    """`advertised_a` goes into 108.3, `limit_a` is what the vehicle takes at most."""

    def __init__(self, rated_a: float) -> None:
        self._rated_a = rated_a
        self.advertised_a = float(math.floor(rated_a))
        self.limit_a = rated_a
        self._request_a = 0.0
        self._changed_mono = float("-inf")
        self._last_mono: float | None = None

    def update(
        self, cap_a: float, setpoint_a: float, request_a: float, now_mono: float
    ) -> None:
        """One turn: the station's cap and setpoint, the vehicle's request, all >= 0."""
        advertised_a = 0.0
        if setpoint_a > 0.0 and cap_a > 0.0:
            wanted_a = min(math.ceil(cap_a), math.ceil(setpoint_a) + HEADROOM_A)
            advertised_a = min(float(math.floor(self._rated_a)), wanted_a)
        if (advertised_a, request_a) != (self.advertised_a, self._request_a):
            self._changed_mono = now_mono
        self.advertised_a, self._request_a = advertised_a, request_a
        last_mono = now_mono if self._last_mono is None else self._last_mono
        self._last_mono = now_mono
        if request_a >= advertised_a - SHORT_A:
            lifted_a = self.limit_a + LIFT_A_PER_S * (now_mono - last_mono)
            self.limit_a = min(self._rated_a, lifted_a)
        elif now_mono - self._changed_mono >= SETTLED_S:
            self.limit_a = min(request_a, self._rated_a)
