"""Restarts of single EVSEs, on the fake plant."""

from __future__ import annotations

import pytest

from chargerd.model import (
    FaultNotice,
    ResetRequest,
    ResumeRequest,
    SessionPhase,
    StartRequest,
    StopReason,
    StopRequest,
)
from tests.unit.scheduler.stand import TOKEN, Stand


@pytest.mark.req("B11.FR.08", "B13.FR.11")
@pytest.mark.parametrize("immediate", [True, False])
def test_reset_of_one_evse(immediate: bool) -> None:
    stand = Stand(2)
    resets: list[ResetRequest] = []
    stand.cycle.on_reset = resets.append
    stand.start(1)
    stand.start(2)
    before = stand.report().snapshot.session.id
    stand.cycle.request(ResetRequest(1, immediate))
    stand.run(4.0)
    if not immediate:
        assert stand.phase(1) is SessionPhase.ENERGY
        stand.cycle.request(StopRequest(1, StopReason.REMOTE))
        stand.run(2.0)
    assert stand.phase(1) is SessionPhase.CONNECTED  # anew: still plugged in
    assert stand.report(1).snapshot.session.id != before
    assert not stand.bridge.commands[1].pins.close_dc
    reason = StopReason.IMMEDIATE_RESET if immediate else StopReason.REMOTE
    assert [o.reason for o in stand.outcomes] == [reason]
    assert stand.phase(2) is SessionPhase.ENERGY
    assert resets == []
    stand.unplug(1)
    stand.run(1.0)
    stand.start(1)
    assert stand.phase(1) is SessionPhase.ENERGY


@pytest.mark.parametrize("immediate", [True, False])
def test_a_vehicle_that_only_waits_does_not_hold_a_reset_up(immediate: bool) -> None:
    stand = Stand()
    stand.run(1.0)
    stand.plug()
    stand.run(1.0)
    before = stand.report().snapshot.session.id
    stand.cycle.request(ResetRequest(1, immediate))
    stand.run(0.5)
    assert stand.phase() is SessionPhase.CONNECTED
    assert stand.report().snapshot.session.id != before
    assert [o.reason for o in stand.outcomes] == [StopReason.IMMEDIATE_RESET]


def test_nothing_starts_on_an_evse_that_waits_for_its_reset() -> None:
    stand = Stand()
    stand.start()
    stand.cycle.request(ResetRequest(1, immediate=False))
    stand.cycle.request(StartRequest(1, TOKEN, 7))
    stand.run(1.0)
    assert stand.report().snapshot.session.remote_start_id is None


def test_reset_of_an_evse_is_a_technicians_reset() -> None:
    stand = Stand()
    stand.run(1.0)
    stand.cycle.request(FaultNotice(1, "CutCable", True))
    stand.run(0.2)
    stand.cycle.request(FaultNotice(1, "CutCable", False))
    stand.run(1.0)
    assert [f.name for f in stand.report().snapshot.faults] == ["CutCable"]
    stand.cycle.request(ResetRequest(1, immediate=True))
    stand.run(0.2)
    assert stand.report().snapshot.faults == ()


def test_reset_of_an_unknown_evse_is_nothing() -> None:
    stand = Stand()
    stand.cycle.request(ResetRequest(7, immediate=True))
    stand.run(0.2)
    assert stand.phase() is SessionPhase.IDLE


@pytest.mark.req("B13.FR.22")
def test_a_session_taken_up_after_a_restart_locks_its_connector() -> None:
    stand = Stand()
    stand.run(1.0)
    stand.plug()
    stand.run(1.0)
    assert not stand.bridge.commands[1].pins.lock
    stand.cycle.request(ResumeRequest(1, "of before", TOKEN))
    stand.run(3.0)
    assert stand.bridge.commands[1].pins.lock
    assert stand.report().snapshot.session.id == "of before"
