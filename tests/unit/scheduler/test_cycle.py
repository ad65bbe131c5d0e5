"""The story on a fake plant: plug, authorise, charge, discharge, change, expire, stop."""

from __future__ import annotations

import pytest

from chargerd.model import SessionPhase, StopReason, StopRequest, TokenRead
from firmware_bridge.api import StageMode
from tests.unit.scheduler.stand import TOKEN, Stand


def test_charges_after_plug_and_token() -> None:
    stand = Stand()
    stand.run(1.0)
    stand.plug()
    stand.beat()
    assert stand.phase() is SessionPhase.CONNECTED
    stand.cycle.request(TokenRead((1,), TOKEN))
    stand.beat()
    assert [q.token for q in stand.questions] == [TOKEN]
    assert stand.bridge.power_w[1] == 0.0
    stand.answer()
    stand.run(3.0)
    assert stand.phase() is SessionPhase.ENERGY
    assert stand.decision().power_w == pytest.approx(7400.0)
    assert stand.bridge.power_w[1] == pytest.approx(7400.0, rel=0.02)
    assert stand.decision().source in ("plan", "rating")


def test_follows_a_negative_setpoint_and_its_changes() -> None:
    stand = Stand()
    stand.start()
    stand.setpoint(-7000.0)
    stand.run(4.0)
    assert stand.decision().power_w == pytest.approx(-7000.0)
    assert stand.bridge.power_w[1] == pytest.approx(-7000.0, rel=0.02)
    assert stand.bridge.commands[1].stage.mode is StageMode.DISCHARGE
    stand.setpoint(-3000.0)
    stand.run(2.0)
    assert stand.bridge.power_w[1] == pytest.approx(-3000.0, rel=0.02)


def test_stop_ends_at_zero_then_opens() -> None:
    stand = Stand()
    stand.start()
    stand.cycle.request(StopRequest(1, StopReason.REMOTE))
    stand.beat()
    assert stand.bridge.commands[1].stage.mode is StageMode.OFF
    assert stand.decision().power_w == 0.0
    stand.run(1.0)
    assert stand.phase() is SessionPhase.FINISHED
    assert not stand.bridge.commands[1].pins.close_dc
    assert stand.outcomes[0].reason is StopReason.REMOTE
