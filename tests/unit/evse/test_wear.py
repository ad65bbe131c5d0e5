"""Contactor closings: counted on each rising edge, forgotten after an hour."""

from __future__ import annotations

import json

import pytest

from chargerd.clock import Now
from chargerd.evse import wear
from tests.unit.scheduler.stand import Stand, at


def test_closings_of_the_last_hour() -> None:
    state = wear.Wear()
    for index in range(10):
        mono = 1000.0 + 600.0 * index
        state = wear.step(state, True, mono)
        state = wear.step(state, True, mono + 1.0)  # it stays closed: no cycle
        state = wear.step(state, False, mono + 300.0)
    assert len(state.closings_mono) == 6  # at 6700: from 3400 on
    assert wear.step(state, False, 1e6).closings_mono == ()


def test_too_many_are_told_and_dispatch_costs_none() -> None:
    stand = Stand(closings_per_hour=2)
    for _ in range(2):
        stand.start()
        for power_w in (3000.0, 0.0, -3000.0, 0.0):  # no cycle of the contactor
            stand.setpoint(power_w, 60.0)
            stand.run(2.0)
        stand.unplug()
        stand.run(1.0)
    assert stand.report().snapshot.faults == ()
    stand.start()
    (note,) = stand.report().snapshot.faults
    said = "more than 2 in an hour, 3 in all"
    assert (note.name, note.info) == ("ContactorWear", said)


def test_the_last_hour_and_the_life_outlive_a_restart() -> None:
    first = wear.Wear((400.0, 4000.0), True, 70)
    kept = json.loads(json.dumps(wear.pack(first, at(3100.0))))  # 4100 s on its clock
    again = Now(5.0, at(3160.0).utc)  # a minute later, another monotonic clock
    assert wear.read(kept, again) == wear.Wear((-155.0,), False, 70)
    back = Now(5.0, at(0.0).utc)  # the clock was set back: nothing is forgotten
    assert wear.read(kept, back).closings_mono == (-595.0, 5.0)


@pytest.mark.parametrize(
    "value",
    [None, [], 7, {}, {"total": -1}, {"total": True}, {"total": "7"}],
)
def test_a_store_that_lies_is_a_new_contactor(value: object) -> None:
    assert wear.read(value, at(0.0)) == wear.Wear()


@pytest.mark.parametrize("stamps", [None, "x", [7, None, "yesterday", "2026-13-01"]])
def test_a_bad_stamp_is_left_out(stamps: object) -> None:
    found = wear.read({"total": 3, "closings_utc": stamps}, at(0.0))
    assert found == wear.Wear((), False, 3)


def test_a_restart_gives_no_new_budget() -> None:
    first = Stand(closings_per_hour=2)
    for _ in range(2):
        first.start()
        first.unplug()
        first.run(3.0)
    assert first.kept["wear"]["1"]["total"] == 2
    again = Stand(closings_per_hour=2, kept=first.kept)
    again.start()
    again.run(1.0)
    assert again.kept["wear"]["1"]["total"] == 3
    assert "ContactorWear" in {f.name for f in again.report().snapshot.faults}
