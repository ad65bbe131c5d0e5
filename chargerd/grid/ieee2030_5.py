"""IEEE 2030.5 controls -> dispatch signals: all EVSEs as one DER.

Pure: the client process's messages, reports and times in; signals out. In the protocol
power out of the DER is positive; here it is negative. Wishes end when the server is
silent for `hold_s`; caps hold `hold_s` beyond the last word of the process.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from chargerd.clock import Now
from chargerd.config import Evse
from chargerd.config_grid_servers import Ieee2030
from chargerd.grid import ieee2030_5_modes as modes
from chargerd.grid import windows
from chargerd.grid.ieee2030_5_modes import Mode, Params, Rated, Refused
from chargerd.grid.readings import fresh
from chargerd.grid.windows import Window
from chargerd.model import (
    DispatchSignal,
    EvseReport,
    OperationMode,
    Priority,
    Segment,
)

SET, LIMIT, DROOP = "ieee2030_5.set", "ieee2030_5.limit", "ieee2030_5.droop"
REFRESH_S = 15.0


class Controls:
    """What the server wants now, by the client's names of its modes."""

    def __init__(
        self, config: Ieee2030, evses: tuple[Evse, ...], nominal_hz: float
    ) -> None:
        self._hold_s = config.hold_s
        self._rated = Rated(
            sum(evse.charge_w for evse in evses),
            sum(evse.discharge_w for evse in evses),
            nominal_hz,
        )
        self._modes: dict[str, Mode] = {}
        self._reports: dict[int, EvseReport] = {}
        self._heard_mono = self._alive_mono = -math.inf
        self._told = windows.Told()
        self._dirty = True
        self._refresh_mono = 0.0
        self.connected, self.lfdi = False, ""
        self.problem = ""  # why there is no connection
        self.refused: Counter[str] = Counter()
        self.accepted = 0

    # -- the process's words ---------------------------------------------------------

    def receive(self, message: Any, now: Now) -> None:
        """One line of the client process."""
        if not isinstance(message, dict):
            self.refused["malformed"] += 1
            return
        self._alive_mono = now.mono
        if "heard_s" in message:
            age_s = message["heard_s"]
            if modes.is_number(age_s) and age_s >= 0.0:
                self._heard_mono = max(self._heard_mono, now.mono - age_s)
        elif "error" in message:
            self.connected, self.problem = False, str(message["error"])[:300]
            self.refused["connection"] += 1
        elif message.get("connected") is True:
            # The process says all that is on anew.
            self.connected, self.lfdi = True, str(message.get("lfdi", ""))[:40]
            self.problem = ""
            self._clear()
        elif message.get("clear") is True:
            self._clear()
        else:
            self._set(message, now)

    def gone(self) -> None:
        """The process has ended. What was on holds until it says anew, or too long."""
        self.connected = False
        self.refused["process"] += 1

    def _clear(self) -> None:
        self._modes.clear()
        self._dirty = True

    def _set(self, message: Params, now: Now) -> None:
        now_w = sum(r.decision.power_w for r in self._reports.values())
        try:
            name, mode = modes.read(message, self._rated, now_w, now.mono)
        except Refused as refused:
            self.refused[refused.reason] += 1
            return
        self.accepted += 1
        self._dirty = True
        self._modes.pop(name, None)
        if mode is not None:
            self._modes[name] = mode  # now the last one

    # -- what follows ----------------------------------------------------------------

    def report(self, report: EvseReport) -> None:
        """Keeps the newest."""
        self._reports[report.snapshot.evse_id] = report

    def tick(self, now: Now) -> list[DispatchSignal]:
        """Several times a second."""
        if not self._dirty and now.mono < self._refresh_mono:
            return []
        self._dirty, self._refresh_mono = False, now.mono + REFRESH_S
        over = [n for n, mode in self._modes.items() if mode.end_mono <= now.mono]
        for name in over:
            del self._modes[name]
        wished_mono = self._heard_mono + self._hold_s
        capped_mono = max(self._heard_mono, self._alive_mono) + self._hold_s
        found = {(DROOP, 0): self._droop_signal(wished_mono, now)}
        for source, end_mono in ((SET, wished_mono), (LIMIT, capped_mono)):
            several = [w for w in self._windows(now) if w.caps == (source == LIMIT)]
            found[source, 0] = windows.compose(source, 0, several, end_mono, now)
        return self._told.all(found, now)

    def _windows(self, now: Now) -> list[Window]:
        """A wish that came later stands above an earlier one."""
        return [
            Window(
                now.mono,
                mode.end_mono,
                rank,
                mode.wish_w,
                mode.limit_w,
                mode.discharge_limit_w,
            )
            for rank, mode in enumerate(self._modes.values())
            if mode.curve is None
        ]

    def _droop_signal(self, end_mono: float, now: Now) -> DispatchSignal | None:
        mode = self._modes.get("droop")
        if mode is None or (end_mono := min(end_mono, mode.end_mono)) <= now.mono:
            return None
        segment = Segment(now.mono, OperationMode.LOCAL_FREQUENCY, curve=mode.curve)
        return windows.made(DROOP, 0, (segment,), end_mono, now.mono, Priority.RESERVE)

    def seen(self) -> dict[str, Any]:
        """The station as one DER, for the process to report. Positive = into it."""
        reports = list(self._reports.values())
        all_meters = (
            fresh(r.snapshot.telemetry.meter, r.snapshot.now.mono) for r in reports
        )
        meters = [meter for meter in all_meters if meter is not None]
        levels = [
            r.snapshot.vehicle.soc_pct
            for r in reports
            if r.snapshot.vehicle.soc_pct is not None
        ]
        capacities = [r.snapshot.vehicle.capacity_wh or 0.0 for r in reports]
        first = meters[0] if meters else None
        flexible = [r.flexibility for r in reports if r.flexibility is not None]
        return {
            "power_w": sum(m.power_w for m in meters) if meters else None,
            "hz": None if first is None else first.frequency_hz,
            "volts": first.voltage_v[0] if first and first.voltage_v else None,
            "charge_w": int(self._rated.charge_w),
            "discharge_w": int(self._rated.discharge_w),
            "capacity_wh": int(sum(capacities)) or None,
            "soc_pct": sum(levels) / len(levels) if levels else None,
            "plugged": bool(levels) or any(r.snapshot.session.id for r in reports),
            "up_w": int(sum(f.up_w for f in flexible)) if flexible else None,
        }

    def status(self) -> dict[str, Any]:
        """For people."""
        return {
            "connected": self.connected,
            "lfdi": self.lfdi,
            "problem": self.problem,
            "modes": sorted(self._modes),
            "accepted": self.accepted,
            "refused": dict(self.refused),
        }
