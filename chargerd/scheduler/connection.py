"""The grid connection in one tick: what it carries, and each EVSE's share of the rest.

Pure: readings and the EVSEs' own powers in, `SiteState` and `Share` out. Must never
give out more than limits, fuses and the house leave.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from chargerd import config
from chargerd.model import NEVER_S, FrequencyTest, SiteState
from chargerd.scheduler.allot import ALL, Room, Share, Want, allot, beside
from chargerd.scheduler.bounds import METER_MAX_AGE_S
from chargerd.scheduler.share import House, Split, Track, others_w
from chargerd.scheduler.terms import Verdict
from firmware_bridge.api import MeterReading, Reading


class Member(Protocol):
    """What the connection must know of one EVSE: a Runner."""

    evse_id: int
    split: Split
    track: Track
    measured_w: float
    power_w: float

    @property
    def energise(self) -> bool:
        """Authorised and wanted: it flows, or is about to."""
        ...

    @property
    def verdict(self) -> Verdict | None: ...


class Connection:
    """`look` once a tick, then `site_state` and `share` for each EVSE."""

    def __init__(self, evses: tuple[config.Evse, ...], site: config.Site) -> None:
        self._site = site
        self._phase_v = max((evse.ac_voltage_v for evse in evses), default=230.0)
        self._house = House()
        self._members: Mapping[int, Member] = {}
        self._shares: dict[int, Share] = {}
        self._room = Room(site.import_w, site.export_w)
        self._meter: Reading[MeterReading] | None = None
        self._age_s: float | None = None
        self._import_tight = True
        self._tests: dict[int, FrequencyTest] = {}

    def test(self, test: FrequencyTest) -> None:
        """For certification: this frequency instead of the measured one."""
        self._tests[test.evse_id] = test

    def order(self) -> list[int]:
        """EVSE ids in the order they decide: first those that make room for others."""
        ids = sorted(self._members, key=lambda number: self._members[number].power_w)
        return ids if self._import_tight else ids[::-1]

    def look(
        self,
        meter: Reading[MeterReading] | None,
        members: Mapping[int, Member],
        now_mono: float,
        caps: tuple[float, float] = (-math.inf, math.inf),
    ) -> None:
        """Take the readings of this tick and share what they leave. `caps` = (low,
        high) of the signals for the whole station."""
        self._members, self._meter = members, meter
        self._age_s = None
        if self._site.meter is not None:
            self._age_s = meter.age_s(now_mono) if meter is not None else NEVER_S
        tracks = [(m.track, m.split) for m in members.values()]
        self._house.update(meter, tracks, now_mono)
        self._room = self._rest()
        self._shares = {}
        if len(members) > 1 or self._site.fuse_a is not None:
            wants = tuple(_want(member) for member in members.values())
            room = replace(
                self._room,
                charge_w=min(self._room.charge_w, caps[1]),
                discharge_w=min(self._room.discharge_w, -caps[0]),
            )
            self._shares = allot(wants, room)

    def _rest(self) -> Room:
        """What all EVSEs together may take and feed."""
        site, house = self._site, self._house
        if self._age_s is not None and self._age_s > METER_MAX_AGE_S:
            return Room(site.failsafe_import_w, 0.0)
        room_in, room_out = site.import_w - house.power_w, site.export_w + house.power_w
        self._import_tight = room_in <= room_out
        powers = [(m.measured_w, m.power_w) for m in self._members.values()]
        if self._import_tight:  # what some feed is room for others
            room_in -= sum(min(0.0, max(pair)) for pair in powers)
        else:
            room_out += sum(max(0.0, min(pair)) for pair in powers)
        if site.fuse_a is None:
            return Room(room_in, room_out)
        fuse_w = site.fuse_a * self._phase_v
        # A meter without phases: the whole house may hang on any of them.
        phases = house.phase_w or (house.power_w,) * 3
        return Room(
            room_in,
            room_out,
            tuple(fuse_w - power for power in phases),
            tuple(fuse_w + power for power in phases),
        )

    @property
    def house_w(self) -> float:
        """What the connection carries beside the EVSEs, as far as it is known."""
        return self._house.power_w

    def share(self, member: Member) -> Share:
        """Of this EVSE, beside what the others have at this very moment."""
        share = self._shares.get(member.evse_id, ALL)
        others = [
            (m.measured_w, m.power_w, m.split)
            for m in self._members.values()
            if m is not member
        ]
        return beside(share, self._room, member.split, others)

    def site_state(
        self, member: Member, own: Reading[MeterReading] | None, now_mono: float
    ) -> SiteState:
        """The connection as this EVSE's decision sees it."""
        site, house = self._site, self._house
        others = [m for m in self._members.values() if m is not member]
        least_w, most_w = others_w(
            house.power_w,
            [(m.measured_w, m.power_w) for m in others],
            import_tight=self._import_tight,
        )
        hertz, hertz_age_s = self._frequency(own, now_mono)
        test = self._tests.get(member.evse_id)
        if test is not None and test.hertz is not None and now_mono < test.until_mono:
            hertz, hertz_age_s = test.hertz, 0.0
        volts = own.value.voltage_v if own is not None else ()
        known = self._age_s is not None and self._age_s <= METER_MAX_AGE_S
        commanded_w = sum(m.power_w for m in self._members.values())
        return SiteState(
            import_limit_w=site.import_w,
            export_limit_w=-site.export_w,
            discharge_permitted=bool(site.export_permit),
            permit=site.export_permit,
            others_w=most_w,
            others_least_w=least_w,
            meter_age_s=self._age_s,
            meter_delay_s=site.meter_delay_s,
            meter_mono=house.at_mono,
            grid_w=house.power_w + commanded_w if known else None,
            frequency_hz=hertz,
            frequency_age_s=hertz_age_s,
            voltage_v=max(volts, default=None),
            voltage_low_v=min(volts, default=None),
            ramp_w_per_s=site.ramp_w_per_s,
        )

    def _frequency(
        self, own: Reading[MeterReading] | None, now_mono: float
    ) -> tuple[float | None, float]:
        """The younger of the EVSE's own meter and the site's."""
        found = [
            (reading.age_s(now_mono), reading.value.frequency_hz)
            for reading in (own, self._meter)
            if reading is not None and reading.value.frequency_hz is not None
        ]
        if not found:
            return None, 0.0
        age_s, hertz = min(found, key=lambda item: item[0])
        return hertz, age_s


def _want(member: Member) -> Want:
    verdict = member.verdict
    if verdict is None:
        return Want(member.evse_id, member.split)
    able_low, able_high = verdict.able_low_w, verdict.able_high_w
    line = verdict.carry.line
    if not (verdict.power_permitted or member.energise) and line.slack_s is None:
        # Nothing flows, begins or is promised: an idle EVSE must not halve what the
        # other's promise may count on.
        return Want(member.evse_id, member.split)
    if not verdict.power_permitted:
        wants = (able_low, able_high) if member.energise else (0.0, 0.0)
        return Want(member.evse_id, member.split, *wants, able_low, able_high)
    low, high = verdict.want_w
    return Want(
        member.evse_id,
        member.split,
        low,
        math.inf if line.must_charge else high,
        able_low,
        able_high,
        line.must_charge,
        line.slack_s if line.slack_s is not None else math.inf,
    )
