"""Transactions as the CSMS books them, and the referee, without any socket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.csms.judge import actions, check
from hil.csms.ledger import Ledger, samples
from tests.unit.hil_csms.station import event


def ledger_of(*events) -> Ledger:
    ledger = Ledger()
    for one in events:
        ledger.take(one)
    return ledger


def test_energy_both_ways_with_units() -> None:
    ledger = ledger_of(
        event(0, "Started", wh=(1000.0, 2.0), evse={"id": 2}),
        event(1, wh=(1500.0, 2.0)),
        event(2, wh=(1500.0, 5.5)),
        event(3, "Ended", wh=(1500.0, 5.5)),
    )
    known = ledger.transactions["T1"]
    assert known.import_wh == pytest.approx(500.0)
    assert known.export_wh == pytest.approx(3500.0)
    assert (known.evse_id, known.complete, known.in_order) == (2, True, True)


def test_gaps_duplicates_and_order() -> None:
    events = [event(n, "Started" if n == 0 else "Updated") for n in (0, 1, 4, 3, 3)]
    known = ledger_of(*events).transactions["T1"]
    assert known.gaps == [2]
    assert known.duplicates == [3]
    assert not known.in_order
    assert not known.complete


@given(st.permutations(range(6)), st.lists(st.integers(0, 5), max_size=4))
def test_energy_does_not_depend_on_order_or_repeats(order, repeats) -> None:
    events = [event(n, wh=(100.0 * n, 1.0 * n)) for n in range(6)]
    known = ledger_of(*(events[n] for n in [*order, *repeats])).transactions["T1"]
    assert known.import_wh == pytest.approx(500.0)
    assert known.export_wh == pytest.approx(5000.0)
    assert known.gaps == []
    assert known.duplicates == sorted(set(repeats))


def test_a_repeat_is_not_booked_twice() -> None:
    known = ledger_of(event(0, offline=True), event(0, offline=True)).transactions["T1"]
    assert known.offline_events == 1


def sampled(value, measurand, **more) -> dict:
    return {"value": value, "measurand": measurand, **more}


def test_power_is_signed_and_phases_are_left_out() -> None:
    values = [
        sampled(0.0, "Power.Active.Import"),
        sampled(7.0, "Power.Active.Export", unitOfMeasure={"unit": "kW"}),
        sampled(9.0, "Power.Active.Export", phase="L1"),
        sampled(61.5, "SoC", location="EV", unitOfMeasure={"unit": "Percent"}),
        sampled(3.0, "Voltage", unitOfMeasure={"unit": "V", "multiplier": 2}),
        sampled(3.0, "Voltage", unitOfMeasure={"unit": "V", "multiplier": 4000}),
    ]
    meter = [{"timestamp": "2026-11-23T08:00:00Z", "sampledValue": values}]
    assert ("Voltage", "Outlet", 300.0) in samples(meter)
    known = ledger_of(event(0, meterValue=meter)).transactions["T1"]
    assert known.power_w == pytest.approx(-7000.0)
    assert known.soc_pct == 61.5
    assert ledger_of(event(0)).transactions["T1"].power_w is None


def test_whole_floats_count_as_integers() -> None:
    known = ledger_of(event(0.0), event(2.0)).transactions["T1"]
    assert known.gaps == [1]


def test_active_is_the_newest_running_one() -> None:
    ledger = ledger_of(
        event(0, "Started", "A", evse={"id": 1}),
        event(1, "Ended", "A"),
        event(0, "Started", "B", evse={"id": 1}),
        event(0, "Started", "C", evse={"id": 2}),
    )
    active = ledger.active(1)
    assert active is not None
    assert active.transaction_id == "B"
    ledger.take(event(1, "Ended", "B"))
    assert ledger.active(1) is None


def test_the_referee_knows_all_actions() -> None:
    assert len(actions("ocpp2.0.1")) == 64
    assert len(actions("ocpp2.1")) == 91
    assert "NotifyPeriodicEventStream" in actions("ocpp2.1")


@pytest.mark.parametrize("version", ["ocpp2.1", "ocpp2.0.1"])
def test_the_referee_has_a_schema_for_every_answer(version) -> None:
    for action in actions(version) - {"NotifyPeriodicEventStream"}:
        assert check(version, action, {"nonsense": 1}, answer=True), action


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (float("nan"), "TransactionEventRequest.meterValue[0].sampledValue[0].value"),
        (float("inf"), "TransactionEventRequest.meterValue[0].sampledValue[0].value"),
    ],
)
def test_the_referee_wants_finite_numbers(value, where) -> None:
    found = check("ocpp2.1", "TransactionEvent", event(0, wh=(value, 0.0)))
    assert found == [("PropertyConstraintViolation", f"{where}: not a finite number")]
