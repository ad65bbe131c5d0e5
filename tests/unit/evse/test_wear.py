"""Contactor closings: counted on each rising edge, forgotten after an hour."""

from __future__ import annotations

from chargerd.evse import wear
from tests.unit.scheduler.stand import Stand


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
    assert (note.name, note.info) == ("ContactorWear", "more than 2 in an hour")
