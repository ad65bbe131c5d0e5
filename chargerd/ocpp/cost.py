"""What a transaction costs by a tariff, added up exactly (I12). Pure.

Owns which price counts when, the sums, the periods and the caps. Times are whole
milliseconds, energies decimals, sums fractions: nothing is rounded before it is told
(`cost_details.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from fractions import Fraction

from chargerd.ocpp.tariff import TIMES, ZERO, Cap, Moment, Tariff

MOST_PERIODS = 1000
MINUTE_MS = 60_000
MICRO = Decimal("0.000001")
RUNNING = ("energy", "chargingTime", "idleTime")
Used = tuple[int | None, ...]  # per RUNNING


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the meter; signed, into the vehicle is positive. `energy_wh` counts
    on from anywhere; None = the meter does not say."""

    energy_wh: Decimal | None = None
    power_w: Decimal = ZERO
    current_a: Decimal = ZERO


@dataclass(slots=True)
class Period:
    """A time in which the same prices counted."""

    tariff_id: str
    start_ms: int  # POSIX
    energy_wh: Decimal = ZERO
    charging_ms: int = 0
    idle_ms: int = 0
    power_w: tuple[Decimal, Decimal] | None = None  # least, most
    current_a: tuple[Decimal, Decimal] | None = None

    def note(self, sample: Sample) -> None:
        self.power_w = _widened(self.power_w, sample.power_w)
        self.current_a = _widened(self.current_a, sample.current_a)


@dataclass(slots=True)
class Sums:
    """Of one thing that costs, without and with tax."""

    excl: Fraction = Fraction(0)
    incl: Fraction = Fraction(0)


@dataclass(slots=True)
class Account:
    """Of one transaction. `begin` once, `advance` often; between two calls holds what
    was seen at the first."""

    tariff: Tariff
    zone: tzinfo
    is_dc: bool = False
    payment: tuple[str, str] = ("", "")
    sums: dict[str, Sums] = field(default_factory=dict)  # by names of TariffType
    periods: list[Period] = field(default_factory=list)
    energy_wh: Decimal = ZERO
    charging_ms: int = 0
    idle_ms: int = 0
    idle_run_ms: int = 0  # of the idle time that lasts now
    reservation_s: int | None = None
    frozen: bool = False  # maxCost is reached
    merged: bool = False  # too many periods to tell each
    charging: bool = False
    last: Sample = field(default_factory=Sample)  # its register and flows are known
    judged: tuple[Decimal, ...] = (ZERO, ZERO, ZERO)  # FLOWS that conditions go by
    blind: bool = True  # the register is not known now
    mono_ms: int = 0
    used: Used = ()

    def begin(
        self,
        now: tuple[int, datetime],
        sample: Sample,
        *,
        charging: bool,
        fees: bool = True,
        reservation_s: int | None = None,
    ) -> None:
        """`now`: monotonic milliseconds and UTC. Fees are due once (I12.FR.06, .30)."""
        self.mono_ms, utc = now
        self.charging = charging
        self._see(sample)
        self.judge()
        if fees:
            self._fees(utc, reservation_s)
        self._switch(_ms(utc))

    def _fees(self, utc: datetime, reservation_s: int | None) -> None:
        moment = Moment(utc.astimezone(self.zone), self.is_dc, self.payment)
        self._once("fixedFee", moment, Fraction(1))
        if reservation_s is None:
            return
        self.reservation_s = reservation_s
        self._once("reservationFixed", moment, Fraction(1))
        self._once("reservationTime", moment, Fraction(reservation_s, 60))

    def _once(self, name: str, moment: Moment, volume: Fraction) -> None:
        element = self.tariff.elements.get(name)
        index = element.used(moment) if element else None
        if index is not None:
            self._add({name: (index, volume)})

    def resume(self, mono_ms: int) -> None:
        """After a restart: time without the station costs nothing."""
        self.mono_ms = mono_ms

    def change(self, tariff: Tariff, utc: datetime) -> None:
        """Another tariff from now on (I11.FR.08); `advance` first."""
        self.tariff = tariff
        self.used = ()
        self.frozen = self._room({}) <= 0
        self._switch(_ms(utc))

    def advance(
        self, now: tuple[int, datetime], sample: Sample, *, charging: bool
    ) -> None:
        """Up to now, in parts in which the same prices count."""
        mono_ms, utc = now
        span = max(0, mono_ms - self.mono_ms)
        moved = ZERO
        if sample.energy_wh is not None and self.last.energy_wh is not None:
            moved = (sample.energy_wh - self.last.energy_wh).quantize(MICRO)
        end_ms, left, energy = _ms(utc), span, moved
        while left > 0:
            part = min(left, self._ahead(end_ms - left))
            share = energy
            if part < left:
                share = (moved * part / span).quantize(MICRO)
            self._spend(part, share)
            energy -= share
            left -= part
            self._switch(end_ms - left)
        if energy != ZERO:
            self._spend(0, energy)
        self.mono_ms = mono_ms
        if charging and not self.charging:
            self.idle_run_ms = 0
        self.charging = charging
        self._see(sample)
        self._switch(end_ms)

    def _ahead(self, at_ms: int) -> int:
        """Milliseconds to the next instant at which another price may count: a whole
        minute (I12.FR.37: wherever local time jumps, it is at one) or a duration."""
        ahead = MINUTE_MS - at_ms % MINUTE_MS
        for kind, value in zip(TIMES, self._durations(), strict=True):
            for seconds in self.tariff.thresholds(kind):
                gap = int(seconds * 1000) - value
                if 0 < gap < ahead:
                    ahead = gap
        return ahead

    def _durations(self) -> tuple[int, int, int]:
        return self.charging_ms + self.idle_ms, self.charging_ms, self.idle_run_ms

    def _spend(self, part_ms: int, energy_wh: Decimal) -> None:
        self.energy_wh += energy_wh
        period = self.periods[-1]
        period.energy_wh += energy_wh
        if self.charging:
            self.charging_ms += part_ms
            period.charging_ms += part_ms
        else:
            self.idle_ms += part_ms
            self.idle_run_ms += part_ms
            period.idle_ms += part_ms
        time = "chargingTime" if self.charging else "idleTime"
        volumes = {
            "energy": Fraction(energy_wh) / 1000,
            time: Fraction(part_ms, MINUTE_MS),
        }
        self._add(
            {
                name: (index, volumes[name])
                for name, index in zip(RUNNING, self.used, strict=True)
                if index is not None and name in volumes
            }
        )

    # Sums.

    def _add(self, volumes: dict[str, tuple[int, Fraction]]) -> None:
        """By name the price that counts and how much of it; no further than maxCost,
        even within one step (I12.FR.39)."""
        if self.frozen:
            return
        step: dict[str, Sums] = {}
        for name, (index, volume) in volumes.items():
            element = self.tariff.elements[name]
            excl = Fraction(element.prices[index].amount) * volume
            step[name] = Sums(excl, excl * Fraction(element.tax))
        room = self._room(step)
        self.frozen = room <= 1
        part = max(Fraction(0), min(Fraction(1), room))
        for name, sums in step.items():
            known = self.sums.setdefault(name, Sums())
            known.excl += sums.excl * part
            known.incl += sums.incl * part

    def _room(self, step: dict[str, Sums]) -> Fraction:
        """How often `step` still fits under maxCost; more than 1: it is not reached."""
        cap = self.tariff.max_cost
        room = Fraction(2)
        if cap is None:
            return room
        more = (total(step.values()), total(self.sums.values()))
        for most, add, have in (
            (cap.excl, more[0].excl, more[1].excl),
            (cap.incl, more[0].incl, more[1].incl),
        ):
            if most is None:
                continue
            if add > 0:
                room = min(room, (Fraction(most) - have) / add)
            elif have >= Fraction(most):
                room = min(room, Fraction(0))
        return room

    def total(self) -> Sums:
        return total(self.sums.values())

    def too_low(self, cap: Cap) -> bool:
        """Whether all is less than minCost (I12.FR.38)."""
        have = self.total()
        return (cap.excl is not None and have.excl < Fraction(cap.excl)) or (
            cap.incl is not None and have.incl < Fraction(cap.incl)
        )

    # Which prices.

    def _see(self, sample: Sample) -> None:
        self.blind = sample.energy_wh is None
        if not self.blind:
            self.last = sample
            if self.periods:
                self.periods[-1].note(sample)

    def judge(self) -> None:
        """Conditions about energy, current and power go by what is seen now."""
        self.judged = (self.energy_wh, self.last.current_a, self.last.power_w)

    def _switch(self, at_ms: int) -> None:
        """A new period where other prices count (I12.FR.35, .36)."""
        durations = tuple(Decimal(ms) / 1000 for ms in self._durations())
        moment = Moment(
            (_EPOCH + timedelta(milliseconds=at_ms)).astimezone(self.zone),
            self.is_dc,
            self.payment,
            (*self.judged, *durations),
        )
        elements = self.tariff.elements
        used = tuple(
            elements[name].used(moment) if name in elements else None
            for name in RUNNING
        )
        if used == self.used:
            return
        self.used = used
        period = self.periods[-1] if self.periods else None
        if period is not None and period.start_ms == at_ms and not period.energy_wh:
            period.tariff_id = self.tariff.id
        elif len(self.periods) >= MOST_PERIODS:
            self.merged = True
        else:
            self.periods.append(Period(self.tariff.id, at_ms))
            if not self.blind:
                self.periods[-1].note(self.last)


def total(parts: Iterable[Sums]) -> Sums:
    made = Sums()
    for part in parts:
        made.excl += part.excl
        made.incl += part.incl
    return made


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _ms(utc: datetime) -> int:
    return (utc - _EPOCH) // timedelta(milliseconds=1)


def _widened(
    span: tuple[Decimal, Decimal] | None, value: Decimal
) -> tuple[Decimal, Decimal]:
    if span is None:
        return value, value
    return min(span[0], value), max(span[1], value)
