"""Graph, timers, margins and the station's view."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chargerd.faults import FAULTS as FAULT_TABLE
from chargerd.model import VehicleOffer
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.secc import causes
from chargerd.vehicle.iso15118.secc.flow import (
    TIMES_2,
    TIMES_20,
    Answer,
    Graph,
    Margins,
    Timers,
)
from chargerd.vehicle.iso15118.secc.station import Energy, Ratings, Setup, station
from firmware_bridge.api import (
    InsulationReading,
    PilotReading,
    PilotState,
    Reading,
    StageMode,
    StageReading,
    Telemetry,
)

GRAPH = Graph("a", {"a": {"GoReq": ("b", "a")}, "b": {"StopReq": ("a",)}})
RATINGS = Ratings(150.0, 500.0, 60.0, 40.0, 20_000.0, 10_000.0)
SETUP = Setup("DE*ABC*E1", RATINGS, (Energy.DC_BPT,), utc_offset_s=1_000.5)


@pytest.mark.parametrize(
    ("state", "request_", "wanted", "expected"),
    [
        ("a", "GoReq", None, "b"),
        ("a", "GoReq", "a", "a"),
        ("b", "StopReq", None, "a"),
    ],
)
def test_graph_steps(
    state: str, request_: str, wanted: str | None, expected: str
) -> None:
    assert GRAPH.step(state, request_, wanted) == expected


@pytest.mark.parametrize(
    ("state", "request_", "wanted"),
    [("b", "GoReq", None), ("a", "GoReq", "c"), ("x", "GoReq", None)],
)
def test_graph_refuses(state: str, request_: str, wanted: str | None) -> None:
    with pytest.raises(V2gError):
        GRAPH.step(state, request_, wanted)


def test_timers_keep_the_earliest() -> None:
    timers = Timers()
    assert timers.next() is None
    timers.set("silence", 10.0)
    timers.begin("ongoing", 5.0)
    timers.begin("ongoing", 9.0)  # runs already
    assert timers.next() == 5.0
    assert timers.over("ongoing", 5.0)
    assert not timers.over("silence", 9.9)
    assert not timers.over("nothing", 1e9)
    timers.clear("ongoing")
    assert timers.next() == 10.0
    timers.clear()
    assert timers.next() is None


@pytest.mark.parametrize(
    ("times", "request_", "answer_s"),
    [
        (TIMES_2, "CurrentDemandReq", 0.025),
        (TIMES_2, "ServiceDetailReq", 4.5),
        (TIMES_2, "SessionSetupReq", 1.5),
        (TIMES_20, "DC_ChargeLoopReq", 0.25),
    ],
)
def test_performance_times(times: object, request_: str, answer_s: float) -> None:
    assert times.answer(request_) == answer_s  # type: ignore[attr-defined]


def test_silence_in_a_loop_is_short() -> None:
    assert TIMES_20.silence("loop_dc") == 0.5
    assert TIMES_20.silence("pre_charge") == 60.0
    assert TIMES_2.ongoing("CableCheckReq") == 38.0
    assert TIMES_2.ongoing("ChargeParameterDiscoveryReq") == 55.0


def test_margins_remember_the_worst() -> None:
    margins = Margins()
    answer = Answer(None, request="CurrentDemandReq", within_s=0.025)
    assert margins.note(answer, 0.005) == pytest.approx(0.020)
    assert margins.note(answer, 0.030) == pytest.approx(-0.005)
    assert margins.note(answer, 0.001) == pytest.approx(0.024)
    assert margins.worst_s["CurrentDemandReq"] == pytest.approx(-0.005)
    assert margins.late == 1


def offer(now: float, **changes: object) -> VehicleOffer:
    told = VehicleOffer(
        at_mono=now,
        energise=True,
        charge_a=100.0,
        discharge_a=-100.0,
        voltage_max_v=450.0,
        voltage_min_v=100.0,
        telemetry=Telemetry(
            pilot=Reading(PilotReading(PilotState.C, locked=True), now),
            stage=Reading(StageReading(400.0, -5.0, StageMode.DISCHARGE, True), now),
            insulation=Reading(InsulationReading(1e6), now),
        ),
    )
    return replace(told, **changes)  # type: ignore[arg-type]


def test_the_view_is_bounded_by_the_ratings() -> None:
    view = station(SETUP, offer(50.0), 50.0)
    assert (view.charge_a, view.discharge_a) == (60.0, -40.0)
    assert (view.charge_w, view.discharge_w) == (20_000.0, -10_000.0)
    assert (view.voltage_max_v, view.voltage_min_v) == (450.0, 150.0)
    assert (view.voltage_v, view.current_a) == (400.0, -5.0)
    assert view.energised_pilot
    assert view.locked
    assert view.safe
    assert SETUP.utc_s(50.0) == 1_050


@pytest.mark.parametrize(
    "changes", [{"energise": False}, {"fault_stop": True}, {"at_mono": 48.9}]
)
def test_without_the_stations_word_nothing_may_flow(changes: dict[str, object]) -> None:
    view = station(SETUP, offer(50.0, **changes), 50.0)
    assert not view.authorised
    assert (view.charge_a, view.discharge_a) == (0.0, 0.0)
    assert (view.charge_w, view.discharge_w) == (0.0, 0.0)


def test_wrong_signs_in_an_offer_are_no_flow() -> None:
    view = station(SETUP, offer(50.0, charge_a=-5.0, discharge_a=5.0), 50.0)
    assert (view.charge_a, view.discharge_a) == (0.0, 0.0)


def test_stale_telemetry_is_absent() -> None:
    old = offer(50.0)
    telemetry = replace(
        old.telemetry,
        pilot=Reading(PilotReading(PilotState.C, locked=True), 48.5),
        stage=Reading(StageReading(400.0, 0.0, StageMode.OFF, False), 48.5),
        insulation=Reading(InsulationReading(1e6), 48.5),
    )
    view = station(SETUP, replace(old, telemetry=telemetry), 50.0)
    assert view.pilot is None
    assert view.stage is None
    assert view.insulation is not None  # polled about once a second
    assert not view.energised_pilot
    assert not view.locked
    assert not view.safe


def test_a_silent_station_shows_nothing() -> None:
    view = station(SETUP, offer(50.0), 51.5)
    assert view.silent
    assert view.pilot is None
    assert view.stage is None
    assert view.insulation is None


@pytest.mark.parametrize(
    ("state", "plugged", "energised"),
    [
        (PilotState.A, False, False),
        (PilotState.B, True, False),
        (PilotState.C, True, True),
        (PilotState.D, True, True),
        (PilotState.E, False, False),
        (PilotState.F, False, False),
        (PilotState.UNKNOWN, False, False),
    ],
)
def test_pilot_states(state: PilotState, plugged: bool, energised: bool) -> None:
    telemetry = Telemetry(pilot=Reading(PilotReading(state), 50.0))
    view = station(SETUP, offer(50.0, telemetry=telemetry), 50.0)
    assert view.plugged is plugged
    assert view.energised_pilot is energised


def test_every_fault_of_a_cause_is_in_the_table() -> None:
    for cause, name in causes.FAULTS.items():
        assert name in FAULT_TABLE, cause
