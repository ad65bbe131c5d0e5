"""The battery: nothing is made from nothing; SoC falls on discharge."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.ev.battery import Battery, interpolate

currents = st.lists(st.floats(-200.0, 200.0), min_size=1, max_size=30)


@settings(max_examples=60)
@given(currents, st.floats(10.0, 90.0), st.floats(0.01, 0.5))
def test_energy_is_conserved(amps, soc, ohm) -> None:
    battery = Battery(soc, 40_000.0, resistance_ohm=ohm)
    before_wh = battery.stored_wh
    for current_a in amps:
        battery.step(current_a, 1.0)
    through_wh = battery.energy_in_wh - battery.energy_out_wh
    kept_wh = battery.stored_wh - before_wh
    assert through_wh == pytest.approx(kept_wh + battery.loss_wh, abs=1e-6)
    assert battery.loss_wh >= 0.0


@settings(max_examples=60)
@given(st.floats(0.1, 200.0), st.floats(10.0, 90.0))
def test_soc_follows_the_sign(current_a, soc) -> None:
    battery = Battery(soc)
    battery.step(current_a, 1.0)
    assert battery.soc_pct > soc
    battery = Battery(soc)
    battery.step(-current_a, 1.0)
    assert battery.soc_pct < soc


def test_a_round_trip_costs() -> None:
    battery = Battery(50.0)
    battery.step(50.0, 600.0)
    while battery.soc_pct > 50.0:
        battery.step(-50.0, 1.0)
    share = battery.energy_out_wh / battery.energy_in_wh
    assert 0.9 < share < 0.99


@settings(max_examples=60)
@given(st.floats(-20_000.0, 30_000.0), st.floats(10.0, 90.0))
def test_current_for_a_power(power_w, soc) -> None:
    battery = Battery(soc)
    current_a = battery.current_for(power_w)
    terminal_w = (battery.emf_v + current_a * battery.resistance_ohm) * current_a
    assert terminal_w == pytest.approx(power_w, abs=1e-3)


@settings(max_examples=60)
@given(st.floats(0.0, 100.0), st.floats(0.0, 100.0))
def test_voltage_rises_with_charge(a, b) -> None:
    low, high = sorted((a, b))
    assert Battery(low).emf_v <= Battery(high).emf_v


@pytest.mark.parametrize(
    ("soc", "charge_a", "discharge_a"),
    [
        (60.0, 125.0, 100.0),
        (80.0, 125.0, 100.0),
        (90.0, 62.5, 100.0),
        (100.0, 0.0, 100.0),
        (10.0, 125.0, 50.0),
        (5.0, 125.0, 0.0),
        (0.0, 125.0, 0.0),
    ],
)
def test_limits_taper(soc, charge_a, discharge_a) -> None:
    battery = Battery(soc)
    assert battery.charge_limit_a() == pytest.approx(charge_a)
    assert battery.discharge_limit_a() == pytest.approx(discharge_a)


def test_heat_rises_derates_and_cools_down() -> None:
    battery = Battery(60.0, 4_000_000.0, resistance_ohm=0.3)
    for _ in range(600):
        battery.step(200.0, 1.0)
    assert battery.temperature_c > 45.0
    assert battery.charge_limit_a() < battery.charge_a
    hot_c = battery.temperature_c
    for _ in range(600):
        battery.step(0.0, 1.0)
    assert 25.0 < battery.temperature_c < hot_c


def test_over_discharge_is_visible() -> None:
    battery = Battery(1.0, 1_000.0)
    battery.step(-100.0, 10.0)
    assert battery.soc_pct < 0.0


@pytest.mark.parametrize("kw", [{"soc_pct": -1.0}, {"soc_pct": 101.0}])
def test_nonsense_is_refused(kw) -> None:
    with pytest.raises(ValueError, match="soc"):
        Battery(**kw)
    with pytest.raises(ValueError, match="capacity"):
        Battery(50.0, 0.0)


def test_interpolation_goes_on_outside() -> None:
    line = ((0.0, 0.0), (1.0, 2.0), (2.0, 3.0))
    assert [interpolate(line, x) for x in (-1.0, 0.5, 1.5, 3.0)] == [
        -2.0,
        1.0,
        2.5,
        4.0,
    ]
