"""The sign table: the wire's numbers and ours, in both control modes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargerd.vehicle.iso15118.messages.common_types import RationalNumber
from chargerd.vehicle.iso15118.secc.limits import (
    Control,
    EvLimits,
    Window,
    ac_limits,
    ac_target,
    charge,
    dc_limits,
    discharge,
    magnitude,
    number,
    rational,
)
from chargerd.vehicle.iso15118.secc.quirks import (
    Quirk,
    Row,
    Sign,
    quirks_of,
    sign_of,
)


@pytest.mark.parametrize(
    ("value", "exponent", "wire"),
    [
        (0.0, 0, 0),
        (-0.0, 0, 0),
        (400.0, 0, 400),
        (400.1, -1, 4001),
        (-32.5, -3, -32500),
        (12345.67, 0, 12346),
        (32767.0, 0, 32767),
        (50_000.0, 1, 5000),
        (-150_000.0, 1, -15000),
        (math.nan, 0, 0),
        (math.inf, 5, 10000),
    ],
)
def test_rational(value: float, exponent: int, wire: int) -> None:
    assert rational(value) == RationalNumber(Exponent=exponent, Value=wire)


@given(st.floats(-1e9, 1e9))
def test_rational_comes_back(value: float) -> None:
    back = number(rational(value))
    assert back == pytest.approx(value, rel=2e-4, abs=6e-4)


@pytest.mark.parametrize(
    ("exponent", "value", "expected"),
    [(3, 11, 11_000.0), (-1, -5, -0.5), (127, 1, 1e9), (127, -1, -1e9), (-128, 1, 0.0)],
)
def test_number_is_bounded(exponent: int, value: int, expected: float) -> None:
    wire = RationalNumber(Exponent=exponent, Value=value)
    assert number(wire) == pytest.approx(expected)
    assert number(None) is None


SIGNS = [
    # what the vehicle sends, its quirk -> our charge limit, our discharge limit
    (20.0, False, 20.0, -20.0),
    (0.0, False, 0.0, 0.0),
    (-20.0, False, 0.0, 0.0),  # the wrong sign is no flow
    (20.0, True, 20.0, -20.0),
    (-20.0, True, 0.0, -20.0),
    (0.0, True, 0.0, 0.0),
]


@pytest.mark.parametrize(("sent", "quirk", "charge_a", "discharge_a"), SIGNS)
def test_limits_are_magnitudes_on_the_wire(
    sent: float, quirk: bool, charge_a: float, discharge_a: float
) -> None:
    assert charge(sent) == charge_a
    ours = discharge(sent, negative_sent=quirk)
    assert ours == discharge_a
    assert ours is not None
    assert math.copysign(1.0, ours) == (-1.0 if discharge_a else 1.0)  # never -0.0
    assert magnitude(ours) == abs(discharge_a)


def test_nothing_said_stays_nothing() -> None:
    assert charge(None) is None
    assert discharge(None) is None


EV = EvLimits(
    charge_w=20_000.0,
    charge_a=100.0,
    discharge_w=-8_000.0,
    discharge_a=-50.0,
    voltage_max_v=450.0,
    voltage_min_v=300.0,
)


def of(
    ev: EvLimits = EV,
    window: Window = Window(),  # noqa: B008 - frozen
    control: Control = Control.DYNAMIC,
    *,
    volts: float = 400.0,
    bidirectional: bool = True,
    discharging: bool = False,
) -> tuple[float, float, bool]:
    limits = dc_limits(
        ev,
        window,
        control,
        at_mono=1.0,
        volts=volts,
        bidirectional=bidirectional,
        discharging=discharging,
    )
    return limits.charge_a, limits.discharge_a, limits.discharge_allowed


def test_power_limits_become_current() -> None:
    assert of() == (50.0, -20.0, True)


def test_without_a_voltage_power_says_nothing_about_current() -> None:
    low = EvLimits(100.0, 30.0, -100.0, -30.0, 450.0, 0.0)
    assert of(low, volts=10.0) == (30.0, -30.0, True)


@pytest.mark.parametrize(
    ("ev", "window", "bidirectional"),
    [
        (EV, Window(), False),
        (EvLimits(charge_a=10.0, voltage_min_v=1.0), Window(), True),
        (EvLimits(charge_a=10.0, discharge_a=0.0, discharge_w=-5e3), Window(), True),
        (EvLimits(charge_a=10.0, discharge_a=-9.0, discharge_w=0.0), Window(), True),
        (EV, Window(min_wh=0.0), True),
        (EV, Window(min_wh=5.0), True),
        (EV, Window(min_wh=-5.0, v2x_min_wh=0.0), True),
        (EV, Window(soc_pct=20.0, soc_min_pct=20.0), True),
    ],
)
def test_discharge_needs_every_permission(
    ev: EvLimits, window: Window, bidirectional: bool
) -> None:
    charge_a, discharge_a, allowed = of(ev, window, bidirectional=bidirectional)
    assert (discharge_a, allowed) == (0.0, False)
    assert charge_a > 0.0


@pytest.mark.parametrize(
    "window",
    [
        Window(min_wh=-1.0),
        Window(min_wh=-1.0, v2x_min_wh=-1.0),
        Window(soc_pct=21.0, soc_min_pct=20.0),
        Window(soc_min_pct=20.0),
    ],
)
def test_above_the_floor_discharge_is_allowed(window: Window) -> None:
    assert of(window=window) == (50.0, -20.0, True)


def test_a_full_battery_only_gives() -> None:
    assert of(window=Window(max_wh=-10.0, min_wh=-20.0)) == (0.0, -20.0, True)


@pytest.mark.parametrize(
    ("volts", "discharging", "allowed"),
    [(300.0, True, False), (304.0, True, True), (304.0, False, False), (306, False, 1)],
)
def test_an_empty_battery_does_not_chatter(
    volts: float, discharging: bool, allowed: bool
) -> None:
    assert of(volts=volts, discharging=discharging)[2] is bool(allowed)


TARGETS = [
    # EVTargetCurrent -> asked charge, asked discharge
    (30.0, 30.0, 0.0),
    (0.0, 0.0, 0.0),
    (-30.0, 0.0, -30.0),
]


@pytest.mark.parametrize(("target_a", "charge_a", "discharge_a"), TARGETS)
def test_scheduled_the_vehicle_sets_the_current(
    target_a: float, charge_a: float, discharge_a: float
) -> None:
    ev = EvLimits(charge_a=99.0, discharge_a=-99.0, target_a=target_a)
    limits = dc_limits(
        ev,
        Window(),
        Control.SCHEDULED,
        at_mono=1.0,
        volts=400.0,
        bidirectional=True,
    )
    assert limits.requested_a == charge_a
    assert limits.requested_discharge_a == discharge_a
    assert (limits.charge_a, limits.discharge_a) == (99.0, -99.0)  # no latch


def test_dynamic_the_station_sets_the_current() -> None:
    ev = EvLimits(charge_a=99.0, discharge_a=-99.0, target_a=5.0)
    limits = dc_limits(
        ev, Window(), Control.DYNAMIC, at_mono=1.0, volts=400.0, bidirectional=True
    )
    assert limits.requested_a is None
    assert limits.requested_discharge_a is None


@pytest.mark.parametrize(
    ("ev", "window", "bidirectional", "expected"),
    [
        (EvLimits(11e3, discharge_w=-7e3), Window(), True, (11e3, -7e3, True)),
        (EvLimits(11e3, discharge_w=-7e3), Window(), False, (11e3, 0.0, False)),
        (EvLimits(11e3, discharge_w=0.0), Window(), True, (11e3, 0.0, False)),
        (EvLimits(11e3), Window(), True, (11e3, 0.0, False)),
        (EvLimits(11e3, discharge_w=-7e3), Window(max_wh=0.0), True, (0.0, -7e3, True)),
        (EvLimits(), Window(), True, (0.0, 0.0, False)),
    ],
)
def test_ac_limits(
    ev: EvLimits,
    window: Window,
    bidirectional: bool,
    expected: tuple[float, float, bool],
) -> None:
    limits = ac_limits(ev, window, at_mono=1.0, bidirectional=bidirectional)
    found = (limits.charge_w, limits.discharge_w, limits.discharge_allowed)
    assert found == expected
    assert (limits.charge_a, limits.discharge_a) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("setpoint_w", "station", "expected"),
    [
        (5e3, (-9e3, 9e3), 5e3),
        (-5e3, (-9e3, 9e3), -5e3),
        (20e3, (-9e3, 9e3), 9e3),
        (20e3, (-9e3, 30e3), 11e3),
        (-20e3, (-9e3, 9e3), -7e3),
        (-20e3, (-3e3, 9e3), -3e3),
        (-5e3, (0.0, 9e3), 0.0),
        (5e3, (-9e3, 0.0), 0.0),
        (math.nan, (-9e3, 9e3), 0.0),
    ],
)
def test_ac_target_is_inside_both_sides(
    setpoint_w: float, station: tuple[float, float], expected: float
) -> None:
    ev = ac_limits(
        EvLimits(11e3, discharge_w=-7e3), Window(), at_mono=1.0, bidirectional=True
    )
    assert ac_target(setpoint_w, station, ev) == expected


@given(
    st.floats(-1e6, 1e6),
    st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)),
    st.floats(-1e6, 1e6),
    st.floats(-1e6, 1e6),
)
def test_a_limit_of_zero_never_flips(
    setpoint_w: float, station: tuple[float, float], charge_w: float, sent_w: float
) -> None:
    ev = EvLimits(charge(charge_w), discharge_w=discharge(sent_w))
    limits = ac_limits(ev, Window(), at_mono=1.0, bidirectional=True)
    target = ac_target(setpoint_w, station, limits)
    if charge_w <= 0.0 or station[1] <= 0.0:
        assert target <= 0.0
    if sent_w <= 0.0 or station[0] >= 0.0:
        assert target >= 0.0
    assert abs(target) <= abs(setpoint_w)


@pytest.mark.parametrize(
    ("sent", "sign"),
    [
        ((), Sign.NONE),
        ((None, 0.0), Sign.NONE),
        ((11e3, 20.0, 0.0), Sign.POSITIVE),
        ((-11e3, -20.0, 0.0, None), Sign.NEGATIVE),
        ((-11e3, 20.0), Sign.MIXED),
    ],
)
def test_sign_of(sent: tuple[float | None, ...], sign: Sign) -> None:
    assert sign_of(sent) is sign


@pytest.mark.parametrize(
    ("evccid", "sign", "found"),
    [
        ("", Sign.NONE, False),
        ("001122AABBCC", Sign.POSITIVE, False),
        ("001122AABBCC", Sign.MIXED, False),
        ("001122AABBCC", Sign.NEGATIVE, True),
        ("00:11:33:aa:bb:cc", Sign.NONE, True),
        ("001133", Sign.NONE, True),
    ],
)
def test_quirks_by_id_and_by_behaviour(evccid: str, sign: Sign, found: bool) -> None:
    table = (
        Row(Quirk.NEGATIVE_DISCHARGE_LIMITS, sign=Sign.NEGATIVE),
        Row(Quirk.NEGATIVE_DISCHARGE_LIMITS, evccid="00-11-33"),
    )
    has = Quirk.NEGATIVE_DISCHARGE_LIMITS in quirks_of(evccid, sign, table)
    assert has is found


def test_the_shipped_table_knows_the_behaviour() -> None:
    assert quirks_of("X", Sign.NEGATIVE) == {Quirk.NEGATIVE_DISCHARGE_LIMITS}
    assert not quirks_of("X", Sign.POSITIVE)
