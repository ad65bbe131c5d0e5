"""The site's tariff as a schedule for vehicles: bounds and prices of the next 24 h.

Pure. Prices are by local time of day. Must never bound power: what a vehicle is told
here is a frame, the live bounds hold at every moment.
"""

from __future__ import annotations

from datetime import timedelta, tzinfo

from chargerd.clock import Now
from chargerd.config import Tariff
from chargerd.model import EnergySchedule, SchedulePart

HORIZON_S = 86_400.0
REMAKE_S = 900.0  # a schedule in use moves no more often


class Prices:
    """Makes each EVSE's schedule and keeps it for a while, so that vehicles are not
    asked to plan anew for nothing."""

    def __init__(self, tariff: Tariff | None, zone: tzinfo) -> None:
        self._tariff, self._zone = tariff, zone
        self._kept: dict[int, tuple[float, EnergySchedule]] = {}

    def schedule(
        self, evse_id: int, now: Now, charge_w: float, discharge_w: float
    ) -> EnergySchedule | None:
        """None without a tariff, or while the time of day is not known.

        `charge_w` >= 0 and `discharge_w` <= 0: what EVSE and site have at most.
        """
        if self._tariff is None or not now.trusted:
            return None
        made_mono, kept = self._kept.get(evse_id, (-REMAKE_S, None))
        if kept is not None and now.mono - made_mono < REMAKE_S:
            return kept
        made = plan(self._tariff, self._zone, now, charge_w, discharge_w)
        self._kept[evse_id] = (now.mono, made)
        return made


def plan(
    tariff: Tariff, zone: tzinfo, now: Now, charge_w: float, discharge_w: float
) -> EnergySchedule:
    """The next 24 h, from now on."""
    until_mono = now.mono + HORIZON_S
    midnight = now.utc.astimezone(zone).replace(
        hour=0, minute=0, second=0, microsecond=0, fold=0
    )
    parts: list[SchedulePart] = []
    for day in (-1, 0, 1):
        for row in sorted(tariff.parts, key=lambda row: row.begins):
            hour, minute = (int(digits) for digits in row.begins.split(":"))
            local = (midnight + timedelta(days=day)).replace(hour=hour, minute=minute)
            start_mono = now.mono_at(local)
            if start_mono >= until_mono:
                break
            if start_mono <= now.mono:
                parts, start_mono = [], now.mono  # the one in force so far
            parts.append(
                SchedulePart(
                    start_mono,
                    charge_w,
                    discharge_w,
                    row.buy_per_kwh,
                    row.sell_per_kwh,
                )
            )
    return EnergySchedule(tuple(parts), until_mono, tariff.currency)
