"""Model 704's controls of one EVSE, with their reversion, and model 715's heartbeat.

Pure. Two levers: WSet (a wish) and WMaxLimPct (a cap on what goes into the grid). An
enabled lever always ends: by its reversion time, `hold_s` where none was written, or
with the heartbeat of a controller that had one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from chargerd.config_grid import Sunspec
from chargerd.grid.errors import GridError
from chargerd.grid.sunspec_points import Value
from chargerd.grid.sunspec_state import PCT_SF, Rating
from chargerd.model import DispatchSignal, OperationMode, Priority, Segment

HEARTBEAT = "715.ControllerHb"
_W_SET, _LIMIT = "704.WSet", "704.WMaxLimPct"
_PERCENT = 100.0 * 10.0**-PCT_SF
_BY_WATTS = 1  # WSetMod; 0 = by percent of the rating


@dataclass(slots=True)
class _Lever:
    """One control: `settings` are the points that have a twin for the reversion."""

    prefix: str
    settings: tuple[str, ...]
    ends_mono: float | None = None
    reverted: bool = False


class Control:
    """What was written to one EVSE, and what it means for power."""

    def __init__(self, evse_id: int, rated: Rating, config: Sunspec) -> None:
        self._evse_id, self._rated, self._config = evse_id, rated, config
        self._levers = (
            _Lever(_W_SET, ("704.WSet", "704.WSetPct")),
            _Lever(_LIMIT, ("704.WMaxLimPct",)),
        )
        self._values = {
            f"{lever.prefix}{end}": 0
            for lever in self._levers
            for end in ("Ena", "EnaRvrt", "RvrtTms")
        }
        for lever in self._levers:
            for name in lever.settings:
                self._values[name] = self._values[f"{name}Rvrt"] = 0
        self._values["704.WSetMod"] = _BY_WATTS
        self._values[_LIMIT] = self._values[f"{_LIMIT}Rvrt"] = int(_PERCENT)
        self._values[HEARTBEAT] = 0
        self._heard_mono: float | None = None

    @property
    def writable(self) -> frozenset[str]:
        return frozenset(self._values)

    def values(self, now_mono: float) -> dict[str, Value]:
        """As they read back."""
        found: dict[str, Value] = dict(self._values)
        for lever in self._levers:
            left_s = 0.0 if lever.ends_mono is None else lever.ends_mono - now_mono
            found[f"{lever.prefix}RvrtRem"] = math.ceil(max(0.0, left_s))
        return found

    def write(
        self, asked: Mapping[str, int | None], now_mono: float
    ) -> list[DispatchSignal]:
        """All of it or, by GridError, nothing."""
        for name, value in asked.items():
            self._check(name, value)
        self._values |= {n: v for n, v in asked.items() if v is not None}
        if HEARTBEAT in asked:
            self._heard_mono = now_mono
        signals = []
        for lever in self._levers:
            if any(name.startswith(lever.prefix) for name in asked):
                signals += self._start(lever, now_mono)
        return signals

    def _check(self, name: str, value: int | None) -> None:
        low, high = 0.0, math.inf
        if name.endswith(("Ena", "EnaRvrt", "Mod")):
            high = 1.0
        elif name.endswith("Tms"):
            high = self._config.hold_max_s
        elif name.startswith("704.WSetPct"):
            low, high = -_PERCENT, _PERCENT
        elif name.startswith("704.WMaxLimPct"):
            high = _PERCENT
        elif name.startswith("704.WSet"):
            low = -math.inf
        if value is None or not low <= value <= high:
            raise GridError(f"{name}: {value} is not in {low:g}..{high:g}")

    def _start(self, lever: _Lever, now_mono: float) -> list[DispatchSignal]:
        """Any write to a lever's points begins its time anew [K]."""
        was = lever.ends_mono is not None
        lever.reverted = False
        if not self._values[f"{lever.prefix}Ena"]:
            lever.ends_mono = None
            return [self._signal(lever, now_mono)] if was else []
        life_s = self._values[f"{lever.prefix}RvrtTms"] or self._config.hold_s
        lever.ends_mono = now_mono + life_s
        return [self._signal(lever, now_mono)]

    def tick(self, now_mono: float) -> list[DispatchSignal]:
        """What has come to its end reverts."""
        heard, silence_s = self._heard_mono, self._config.heartbeat_s
        silent = heard is not None and now_mono - heard >= silence_s
        if silent:
            self._heard_mono = None
        signals = []
        for lever in self._levers:
            ends = lever.ends_mono
            if ends is not None and (silent or now_mono >= ends):
                self._revert(lever, now_mono if silent else ends)
                signals.append(self._signal(lever, now_mono))
        return signals

    def _revert(self, lever: _Lever, at_mono: float) -> None:
        """To its reversion values for `hold_s`, where they are enabled; then off."""
        if lever.reverted or not self._values[f"{lever.prefix}EnaRvrt"]:
            self._values[f"{lever.prefix}Ena"] = 0
            lever.ends_mono = None
            return
        for name in lever.settings:
            self._values[name] = self._values[f"{name}Rvrt"]
        lever.reverted = True
        lever.ends_mono = at_mono + self._config.hold_s

    def _signal(self, lever: _Lever, now_mono: float) -> DispatchSignal:
        """What holds now, and what will hold after the reversion."""
        ends = lever.ends_mono
        segments: list[Segment] = []
        if ends is not None:
            segments.append(self._segment(lever.prefix, "", now_mono))
            if self._values[f"{lever.prefix}EnaRvrt"] and not lever.reverted:
                segments.append(self._segment(lever.prefix, "Rvrt", ends))
                ends += self._config.hold_s
        return DispatchSignal(
            source="sunspec.set" if lever.prefix == _W_SET else "sunspec.limit",
            evse_id=self._evse_id,
            priority=Priority.HOME,
            segments=tuple(segments),
            received_mono=now_mono,
            valid_until_mono=now_mono if ends is None else ends,
        )

    def _segment(self, prefix: str, end: str, start_mono: float) -> Segment:
        if prefix == _LIMIT:
            share = self._values[f"{_LIMIT}{end}"] / _PERCENT
            return Segment(
                start_mono,
                OperationMode.EXTERNAL_LIMITS,
                discharge_limit_w=-share * self._rated.discharge_w,
            )
        if self._values["704.WSetMod"] == _BY_WATTS:
            out_w = self._values[f"704.WSet{end}"] * 10.0**self._rated.w_sf
        else:
            share = self._values[f"704.WSetPct{end}"] / _PERCENT
            rated = self._rated
            out_w = share * (rated.discharge_w if share > 0 else rated.charge_w)
        bounded = min(max(-out_w, -self._rated.discharge_w), self._rated.charge_w)
        return Segment(start_mono, OperationMode.EXTERNAL_SETPOINT, setpoint_w=bounded)
