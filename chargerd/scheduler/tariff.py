"""The site's tariff as prices to come: a schedule for vehicles, a series for the plan.

Pure. Prices are by local time of day. Must never bound power: what a vehicle is told
here is a frame, the live bounds hold at every moment.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta, tzinfo

from chargerd.clock import Now
from chargerd.config import Tariff, TariffPart
from chargerd.model import EnergySchedule, SchedulePart
from chargerd.plan import PricePart, PriceSeries

HORIZON_S = 86_400.0
PLAN_HORIZON_S = 172_800.0
REMAKE_S = 900.0  # a schedule in use moves no more often


class Prices:
    """Makes each EVSE's schedule and keeps it for a while, so that vehicles are not
    asked to plan anew for nothing."""

    def __init__(self, tariff: Tariff | None, zone: tzinfo) -> None:
        self._tariff, self._zone = tariff, zone
        self._kept: dict[int, tuple[float, EnergySchedule]] = {}
        self._series: tuple[float, PriceSeries] | None = None

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

    def series(self, now: Now) -> PriceSeries | None:
        """The same for the plan layer; None where `schedule` gives none."""
        if self._tariff is None or not now.trusted:
            return None
        if self._series is None or now.mono - self._series[0] >= REMAKE_S:
            self._series = now.mono, series(self._tariff, self._zone, now)
        return self._series[1]


def plan(
    tariff: Tariff, zone: tzinfo, now: Now, charge_w: float, discharge_w: float
) -> EnergySchedule:
    """The next 24 h, from now on."""
    until_mono = now.mono + HORIZON_S
    parts = tuple(
        SchedulePart(start, charge_w, discharge_w, row.buy_per_kwh, row.sell_per_kwh)
        for start, row in _rows(tariff, zone, now, until_mono)
    )
    return EnergySchedule(parts, until_mono, tariff.currency)


def inside(
    schedule: EnergySchedule, charge_w: float, discharge_w: float
) -> EnergySchedule:
    """The central system's schedule within these bounds."""
    parts = tuple(
        replace(
            part,
            charge_w=min(part.charge_w, charge_w),
            discharge_w=max(part.discharge_w, discharge_w),
        )
        for part in schedule.parts
    )
    others = tuple(inside(o, charge_w, discharge_w) for o in schedule.others)
    return replace(schedule, parts=parts, others=others)


def series(tariff: Tariff, zone: tzinfo, now: Now) -> PriceSeries:
    """The next 48 h for the plan layer."""
    until_mono = now.mono + PLAN_HORIZON_S
    parts = tuple(
        PricePart(start, row.buy_per_kwh, row.sell_per_kwh)
        for start, row in _rows(tariff, zone, now, until_mono)
    )
    return PriceSeries("config.site.tariff", parts, until_mono, tariff.currency)


def _rows(
    tariff: Tariff, zone: tzinfo, now: Now, until_mono: float
) -> list[tuple[float, TariffPart]]:
    """When each part of the tariff begins, the first one now."""
    midnight = now.utc.astimezone(zone).replace(
        hour=0, minute=0, second=0, microsecond=0, fold=0
    )
    found: list[tuple[float, TariffPart]] = []
    for day in (-1, 0, 1, 2):
        for row in sorted(tariff.parts, key=lambda row: row.begins):
            hour, minute = (int(digits) for digits in row.begins.split(":"))
            local = (midnight + timedelta(days=day)).replace(hour=hour, minute=minute)
            start_mono = now.mono_at(local)
            if start_mono >= until_mono:
                return found
            if start_mono <= now.mono:
                found, start_mono = [], now.mono  # the one in force so far
            while found and found[-1][0] >= start_mono:
                found.pop()  # it was to begin in the hour that clocks skip
            found.append((start_mono, row))
    return found
