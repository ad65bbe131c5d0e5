"""The plant: physics holds, energy is conserved, contactors are counted."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hil.rig.plant import WS_PER_WH, Contactor, Drive, Plant, Source

STEP_S = 0.005
CAR = Source(closed=True, emf_v=370.0, resistance_ohm=0.1)
CHARGE = Drive(on=True, voltage_v=450.0, current_a=15.0)
DISCHARGE = Drive(on=True, discharge=True, voltage_v=300.0, current_a=15.0)


def live() -> Plant:
    """A plant with both contactors closed on a car, stage off."""
    plant = Plant()
    plant.output_v = 370.0
    plant.dc.closed = True
    run(plant, 0.05, Drive(), CAR)
    return plant


def run(
    plant: Plant, seconds: float, drive: Drive, source: Source, *, mains: bool = True
) -> None:
    for _ in range(round(seconds / STEP_S)):
        plant.step(STEP_S, drive, source, 0.0, mains)


@pytest.mark.parametrize(
    ("drive", "amps"),
    [
        (CHARGE, 15.0),
        (DISCHARGE, -15.0),
        (Drive(), 0.0),
        (Drive(on=True, voltage_v=371.0, current_a=15.0), 10.0),  # voltage-limited
        (Drive(on=True, voltage_v=300.0, current_a=15.0), 0.0),  # set below the car
        (Drive(on=True, discharge=True, voltage_v=369.5, current_a=15.0), -5.0),
        (Drive(on=True, discharge=True, voltage_v=380.0, current_a=15.0), 0.0),
    ],
)
def test_current_by_mode(drive: Drive, amps: float) -> None:
    plant = live()
    run(plant, 1.0, drive, CAR)
    assert plant.current_a == pytest.approx(amps, abs=1e-6)
    assert plant.output_v == pytest.approx(370.0 + 0.1 * amps)


def test_sign_and_efficiency() -> None:
    plant = live()
    run(plant, 1.0, CHARGE, CAR)
    into_w = 15 * 371.5
    assert plant.power_w == pytest.approx(into_w)
    assert plant.ac_w == pytest.approx(into_w * 1.055 + 98.0)
    run(plant, 1.0, DISCHARGE, CAR)
    out_w = 15 * 368.5
    assert plant.ac_w == pytest.approx(-out_w * 0.945 + 98.0)


def test_ramp() -> None:
    plant = live()
    run(plant, 0.05, CHARGE, CAR)
    assert plant.current_a == pytest.approx(5.0)  # 100 A/s


def test_direction_change_starts_from_zero() -> None:
    plant = live()
    run(plant, 1.0, CHARGE, CAR)
    plant.step(STEP_S, DISCHARGE, CAR, 0.0, True)
    assert plant.current_a == pytest.approx(-0.5)


@pytest.mark.parametrize("discharge", [False, True])
def test_rated_power_limits(discharge: bool) -> None:
    plant = live()
    drive = Drive(
        on=True, discharge=discharge, voltage_v=0.0 if discharge else 1000.0,
        current_a=73.3,
    )  # fmt: skip
    run(plant, 2.0, drive, CAR)
    assert abs(plant.power_w) == pytest.approx(22_000.0, rel=1e-6)


def test_no_mains_no_power() -> None:
    plant = live()
    run(plant, 1.0, CHARGE, CAR)
    run(plant, 0.01, CHARGE, CAR, mains=False)
    assert plant.current_a == 0.0
    assert plant.ac_w == pytest.approx(plant.AUX_W)


def test_capacitor_charges_and_bleeds_as_in_the_trace() -> None:
    plant = Plant()
    alone = Source()
    run(plant, 0.5, Drive(on=True, voltage_v=505.0, current_a=1.0), alone)
    assert plant.output_v == pytest.approx(505.0)
    assert plant.connector_v == 0.0
    run(plant, 0.6, Drive(), alone)
    assert plant.output_v < 10.0


def test_closing_on_an_empty_output_is_counted() -> None:
    plant = Plant()
    plant.dc.closed = True
    run(plant, 0.01, Drive(), CAR)
    assert plant.inrush_count == 1
    matched = live()
    assert matched.inrush_count == 0


def test_the_vehicle_breaking_the_current_is_counted() -> None:
    plant = live()
    run(plant, 1.0, CHARGE, CAR)
    run(plant, 0.01, CHARGE, Source())
    assert plant.vehicle_breaks_under_load == 1
    assert plant.current_a == 0.0


@pytest.mark.parametrize(("amps", "breaks"), [(0.0, 0), (4.9, 0), (5.1, 1), (-15.0, 1)])
def test_contactor_under_load(amps: float, breaks: int) -> None:
    contactor = Contactor()
    assert not contactor.step(True, 0.02, 0.0)
    assert contactor.step(True, 0.02, 0.0)
    assert contactor.closed
    contactor.step(False, 0.02, amps)
    assert not contactor.closed
    assert contactor.breaks_under_load == breaks


def test_a_welded_contactor_stays() -> None:
    contactor = Contactor()
    contactor.closed = contactor.welded = True
    assert not contactor.step(False, 1.0, 0.0)
    assert contactor.closed
    contactor.welded = False
    assert contactor.step(False, 1.0, 0.0)


DRIVES = st.builds(
    Drive,
    on=st.booleans(),
    discharge=st.booleans(),
    voltage_v=st.floats(0, 600),
    current_a=st.floats(0, 73),
)
SOURCES = st.builds(
    Source,
    closed=st.booleans(),
    emf_v=st.floats(200, 450),
    resistance_ohm=st.floats(0.02, 0.5),
)
STEPS = st.tuples(
    DRIVES, SOURCES, st.booleans(), st.floats(0, 7000), st.booleans(),
    st.integers(1, 40),
)  # fmt: skip


FALLEN = [
    (Drive(True, True, 0.0, 1.0), Source(True, 200.0, 0.5), True, 0.0, True, 2),
    (Drive(True, True, 0.0, 0.0), Source(True, 200.0, 0.5), True, 0.0, True, 1),
]


@settings(max_examples=60, deadline=None)
@example(FALLEN)
@given(st.lists(STEPS, min_size=1, max_size=8))
def test_energy_is_conserved(steps: list[tuple[Drive, Source, bool, float, bool, int]]):
    plant = Plant()
    for drive, source, closed, outlet_w, mains, count in steps:
        plant.dc.closed, plant.ac.closed = closed, not closed
        for _ in range(count):
            before_a = abs(plant.current_a)
            plant.step(STEP_S, drive, source, outlet_w, mains)
            if drive.discharge:
                assert plant.current_a <= 0
            elif drive.on:
                assert plant.current_a >= 0
            # A limit that falls is met by a ramp: until then the current only falls.
            assert abs(plant.current_a) <= max(drive.current_a, before_a) + 1e-9
    e = plant.energies
    stored_wh = 0.5 * plant.CAPACITANCE_F * plant.output_v**2 / WS_PER_WH
    into_wh = e.ac_import_wh - e.ac_export_wh + e.inrush_wh
    out_wh = e.dc_charge_wh - e.dc_discharge_wh + e.ac_path_wh + e.loss_wh + stored_wh
    assert into_wh == pytest.approx(out_wh, abs=1e-6)
