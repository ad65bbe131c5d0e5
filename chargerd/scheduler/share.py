"""What else uses the grid connection: the house, and the other EVSEs.

Pure. Sees the site meter and each EVSE's own meter; lines their readings up in time, so
that our own ramp is not taken for a change of the house. Who gets how much of the rest
is in `allot.py`.
"""

from __future__ import annotations

from collections import deque

from firmware_bridge.api import MeterReading, Reading

PATIENCE_S = 0.5
Split = tuple[float, float, float]  # shares of an EVSE's power on L1, L2, L3
SPLIT_3: Split = (1 / 3, 1 / 3, 1 / 3)


def split(phases: int, phase: int) -> Split:
    """How an EVSE's power lies on the phases; `phase` counts for one phase only."""
    if phases == 3:
        return SPLIT_3
    return (float(phase == 1), float(phase == 2), float(phase == 3))


class Track:
    """The last second of one EVSE's own power, to look up what it was at a time."""

    __slots__ = ("_samples",)

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque(maxlen=24)

    def add(self, at_mono: float, power_w: float) -> None:
        """A new reading; repeats of the last one are ignored."""
        if not self._samples or at_mono > self._samples[-1][0]:
            self._samples.append((at_mono, power_w))

    @property
    def last_mono(self) -> float:
        """When the newest sample was taken."""
        return self._samples[-1][0] if self._samples else float("-inf")

    def at(self, at_mono: float) -> float:
        """Power at a time, by straight lines; the nearest end outside the track."""
        later: tuple[float, float] | None = None
        for sample in reversed(self._samples):
            if sample[0] <= at_mono:
                if later is None:
                    return sample[1]
                share = (at_mono - sample[0]) / (later[0] - sample[0])
                return sample[1] + share * (later[1] - sample[1])
            later = sample
        return later[1] if later else 0.0


class House:
    """Grid power less all EVSEs, once per reading of the site meter.

    A reading waits until every EVSE's own meter has spoken after it (at most
    PATIENCE_S): on a ramp, comparing it with an older value would swing the house's
    power, and through the site's caps our own.
    """

    def __init__(self) -> None:
        self.power_w = 0.0
        self.phase_w: tuple[float, ...] = ()  # L1 to L3, () = the meter cannot say
        self.at_mono = float("-inf")  # of the reading it rests on
        self._waiting: Reading[MeterReading] | None = None

    def update(
        self,
        site: Reading[MeterReading] | None,
        tracks: list[tuple[Track, Split]],
        now_mono: float,
    ) -> None:
        """Take a reading, or go on waiting for the meters it is compared with."""
        if self._waiting is None and site is not None and site.at_mono > self.at_mono:
            self._waiting = site
        reading = self._waiting
        if reading is None:
            return
        late = reading.age_s(now_mono) > PATIENCE_S
        if not late and any(track.last_mono < reading.at_mono for track, _ in tracks):
            return
        ours = [(track.at(reading.at_mono), split) for track, split in tracks]
        self.power_w = reading.value.power_w - sum(power for power, _ in ours)
        self.phase_w = tuple(
            seen - sum(power * split[phase] for power, split in ours)
            for phase, seen in enumerate(_phases(reading.value))
        )
        self.at_mono = reading.at_mono
        newer = site is not None and site.at_mono > self.at_mono
        self._waiting = site if newer else None


def _phases(meter: MeterReading) -> tuple[float, ...]:
    """W of each phase as its fuse feels it: apparent power where it is measured."""
    if len(meter.current_a) == len(meter.voltage_v) == len(SPLIT_3):
        return tuple(
            amps * volts
            for amps, volts in zip(meter.current_a, meter.voltage_v, strict=True)
        )
    return meter.phase_power_w if len(meter.phase_power_w) == len(SPLIT_3) else ()


def others_w(
    house_w: float, others: list[tuple[float, float]], *, import_tight: bool
) -> tuple[float, float]:
    """(least, most) of the house plus the other EVSEs, each (measured, commanded).

    An EVSE on its way, or one that takes less than it may, counts with the worse of the
    two: our import must fit beside the most, our export beside the least. On the tight
    side others make room for us by flowing the other way: they have decided before us
    in this tick. On the other side they do not: they may stop after we decided.
    """
    if import_tight:
        least = house_w + sum(min(0.0, *pair) for pair in others)
        return least, house_w + sum(max(pair) for pair in others)
    most = house_w + sum(max(0.0, *pair) for pair in others)
    return house_w + sum(min(pair) for pair in others), most
