"""The grid connection: what it leaves to all EVSEs, and to each. From readings only."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from chargerd import config
from chargerd.model import FrequencyTest
from chargerd.scheduler.allot import ALL
from chargerd.scheduler.connection import Connection
from chargerd.scheduler.share import SPLIT_3, Split, Track, split
from chargerd.scheduler.terms import Verdict
from firmware_bridge.api import MeterReading, Reading
from tests.unit.scheduler.stand import make_evse
from tests.unit.scheduler.test_decide import run, session

MONO = 10.0
METER = {"driver": "x", "at": "serial:/dev/null"}
L1 = split(1, 1)
GATED = run(None, session=session(authorised=False))


@dataclass
class Evse:
    evse_id: int
    measured_w: float = 0.0
    power_w: float = 0.0
    split: Split = SPLIT_3
    energise: bool = True
    verdict: Verdict | None = field(default_factory=lambda: run(-6000.0))
    track: Track = field(default_factory=Track)


def connect(
    members: list[Evse],
    grid_w: float | None,
    *,
    caps: tuple[float, float] = (-9e9, 9e9),
    at_mono: float = MONO,
    phases: tuple[float, ...] = (),
    **site: object,
) -> Connection:
    """A connection that has looked once; the meter reads `grid_w` at `at_mono`."""
    values = {"import_w": 9000, "export_w": 4000, "export_permit": "T", "meter": METER}
    made = config.Site.model_validate(values | site)
    connection = Connection((make_evse(1), make_evse(2)), made)
    meter = None
    if grid_w is not None:
        reading = MeterReading(grid_w, 0.0, 0.0, 50.2, phase_power_w=phases)
        meter = Reading(reading, at_mono)
    for member in members:
        member.track.add(MONO, member.measured_w)
    connection.look(meter, {m.evse_id: m for m in members}, MONO, caps)
    return connection


@pytest.mark.parametrize(
    ("grid_w", "powers", "caps", "high_w", "low_w"),
    [
        (0.0, (0.0, 0.0), (-9e9, 9e9), 9000.0, -4000.0),
        (1000.0, (0.0, 0.0), (-9e9, 9e9), 8000.0, -5000.0),  # the house takes 1 kW
        (-2000.0, (0.0, 0.0), (-9e9, 9e9), 11_000.0, -2000.0),
        (1000.0, (0.0, 0.0), (-3000.0, 6000.0), 6000.0, -3000.0),  # the station's
        # Import is tight: what one feeds, measured and commanded, is room.
        (5000.0, (0.0, -3000.0), (-9e9, 9e9), 4000.0, -12_000.0),
        # Export is tight: what one takes is room to feed.
        (-1000.0, (0.0, 2000.0), (-9e9, 9e9), 12_000.0, -3000.0),
    ],
)
def test_all_evses_share_what_the_house_leaves(
    grid_w: float,
    powers: tuple[float, float],
    caps: tuple[float, float],
    high_w: float,
    low_w: float,
) -> None:
    members = [Evse(n + 1, w, w) for n, w in enumerate(powers)]
    connection = connect(members, grid_w, caps=caps)
    shares = [connection.share(member) for member in members]
    assert connection.house_w == grid_w - sum(powers)
    assert sum(share.high_w for share in shares) == pytest.approx(high_w, abs=0.1)
    assert sum(share.low_w for share in shares) == pytest.approx(low_w, abs=0.1)


def test_one_evse_without_a_fuse_is_bound_by_the_site_alone() -> None:
    one = Evse(1)
    assert connect([one], 0.0).share(one) == ALL
    fused = connect([one], 0.0, fuse_a=10.0)
    assert fused.share(one).high_w == pytest.approx(3 * 10.0 * 230.0)


@pytest.mark.parametrize(
    ("grid_w", "at_mono", "known"),
    [(500.0, MONO, True), (500.0, MONO - 2.9, True), (500.0, MONO - 3.1, False),
     (None, MONO, False)],
)  # fmt: skip
def test_blind_all_share_the_failsafe(
    grid_w: float | None, at_mono: float, *, known: bool
) -> None:
    members = [Evse(1), Evse(2)]
    connection = connect(
        members, grid_w, at_mono=at_mono, failsafe_import_w=1000, fuse_a=40.0
    )
    shares = [connection.share(member) for member in members]
    state = connection.site_state(members[0], None, MONO)
    expected = (8500.0, -4500.0) if known else (1000.0, 0.0)
    assert sum(share.high_w for share in shares) == pytest.approx(expected[0], abs=0.1)
    assert sum(share.low_w for share in shares) == pytest.approx(expected[1], abs=0.1)
    assert state.grid_w == (500.0 if known else None)


def test_without_a_site_meter_the_limits_are_shared_as_they_are() -> None:
    members = [Evse(1), Evse(2)]
    connection = connect(members, None, meter=None)
    shares = [connection.share(member).high_w for member in members]
    assert shares == pytest.approx([4500.0, 4500.0], abs=0.1)
    state = connection.site_state(members[0], None, MONO)
    assert (state.meter_age_s, state.grid_w) == (None, None)


@pytest.mark.parametrize(
    ("phases", "high_w"),
    [
        ((3000.0, 0.0, 0.0), 10.0 * 230.0 * 2 - 3000.0),
        ((), 4600.0 - 3000.0),  # the whole house may hang on L1
        ((0.0, 3000.0, 0.0), 4600.0),
    ],
)
def test_the_fuse_of_one_phase(phases: tuple[float, ...], high_w: float) -> None:
    one = Evse(1, split=L1)
    share = connect([one], 3000.0, phases=phases, fuse_a=20.0).share(one)
    assert share.high_w == pytest.approx(high_w, abs=0.1)


def test_beside_what_another_still_takes_of_the_phase() -> None:
    """It is told to go down, and has not yet."""
    members = [Evse(1, split=L1), Evse(2, 3000.0, 1000.0, split=L1)]
    connection = connect(members, 3000.0, fuse_a=20.0)
    highs = [connection.share(member).high_w for member in members]
    assert highs == pytest.approx([4600.0 - 3000.0, 2300.0], abs=0.1)


@pytest.mark.parametrize(
    ("grid_w", "order"), [(8000.0, [2, 1, 3]), (-8000.0, [3, 1, 2])]
)
def test_those_that_make_room_decide_first(grid_w: float, order: list[int]) -> None:
    members = [Evse(1), Evse(2, power_w=-2000.0), Evse(3, power_w=2000.0)]
    assert connect(members, grid_w).order() == order


@pytest.mark.parametrize(
    ("own", "test", "hertz", "age_s"),
    [
        (None, None, 50.2, 0.5),
        ((49.9, 0.1), None, 49.9, 0.1),
        ((49.9, 0.9), None, 50.2, 0.5),  # the younger one
        ((None, 0.1), None, 50.2, 0.5),
        (None, FrequencyTest(1, 51.0, MONO + 1.0), 51.0, 0.0),
        (None, FrequencyTest(1, 51.0, MONO), 50.2, 0.5),  # it has ended
        (None, FrequencyTest(1, None, MONO + 1.0), 50.2, 0.5),
        (None, FrequencyTest(2, 51.0, MONO + 1.0), 50.2, 0.5),  # another EVSE's
    ],
)
def test_which_frequency_counts(
    own: tuple[float | None, float] | None,
    test: FrequencyTest | None,
    hertz: float,
    age_s: float,
) -> None:
    one = Evse(1)
    connection = connect([one], 0.0, at_mono=MONO - 0.5)
    meter = None
    if own is not None:
        reading = MeterReading(0.0, 0.0, 0.0, own[0], voltage_v=(231.0, 228.0, 230.0))
        meter = Reading(reading, MONO - own[1])
    if test is not None:
        connection.test(test)
    state = connection.site_state(one, meter, MONO)
    assert (state.frequency_hz, state.frequency_age_s) == (hertz, pytest.approx(age_s))
    volts = (231.0, 228.0) if own else (None, None)
    assert (state.voltage_v, state.voltage_low_v) == volts


@pytest.mark.parametrize(
    ("idle", "expected"),
    [
        (Evse(2, verdict=None), 7000.0),
        (Evse(2, verdict=GATED, energise=False), 7000.0),
        (Evse(2, verdict=GATED), 4500.0),  # it is about to
        (Evse(2), 4500.0),
    ],
)
def test_an_idle_evse_takes_no_part(idle: Evse, expected: float) -> None:
    one = Evse(1)
    connection = connect([one, idle], 0.0)
    assert connection.share(one).sure_w == pytest.approx(expected, abs=0.1)
