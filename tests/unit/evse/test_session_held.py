"""A driver whose card is refused while charging: the cable waits for that card."""

from __future__ import annotations

import pytest

from chargerd.config import Connector
from chargerd.model import (
    Authorisation,
    SessionPhase,
    StartRequest,
    StopReason,
    StopRequest,
    TokenRead,
    UnlockRequest,
)
from firmware_bridge.api import PilotState
from tests.unit.evse.test_session import CARD, OTHER, Walk
from tests.unit.scheduler.stand import Stand

req = pytest.mark.req
Phase = SessionPhase
A, C = PilotState.A, PilotState.C


def refused(reason: StopReason = StopReason.DEAUTHORIZED) -> Walk:
    """It charged, then the central system did not like the card."""
    walk = Walk()
    walk.start()
    walk.step(StopRequest(1, reason))
    assert walk.plug(C) is Phase.FINISHED
    return walk


@pytest.mark.parametrize("unplugged", [False, True])
@req("C15.FR.05", "E05.FR.11")
def test_the_cable_waits_for_the_card(unplugged: bool) -> None:
    walk = refused()
    if unplugged:  # at the vehicle, whose driver has its key
        assert walk.plug(A) is Phase.IDLE
    assert walk.state.held_for == CARD
    walk.step(TokenRead((1,), OTHER))
    assert walk.state.held_for == CARD
    walk.step(TokenRead((1,), CARD))
    assert walk.state.held_for is None
    walk.step(Authorisation(1, CARD, False))
    assert not walk.state.energise
    assert walk.state.held_for is None


def test_an_answer_that_comes_late_holds_it_too() -> None:
    walk = Walk()
    walk.start()
    walk.step(Authorisation(1, CARD, False))
    assert walk.state.held_for == CARD


@pytest.mark.parametrize(
    "reason", [r for r in StopReason if r is not StopReason.DEAUTHORIZED]
)
def test_whoever_stops_otherwise_takes_the_cable(reason: StopReason) -> None:
    assert refused(reason).state.held_for is None


@pytest.mark.parametrize(
    "request_", [UnlockRequest(1, 1), StartRequest(1, OTHER)], ids=["unlock", "start"]
)
def test_the_central_system_can_let_it_go(
    request_: UnlockRequest | StartRequest,
) -> None:
    walk = refused()
    walk.step(request_)
    assert walk.state.held_for is None


@pytest.mark.parametrize(("kind", "locked"), [("sType2", True), ("cG105", False)])
@req("C15.FR.05", "E05.FR.11")
def test_only_a_cable_in_a_socket_is_held(kind: str, locked: bool) -> None:
    """A cable of our own goes nowhere."""
    stand = Stand(connectors=(Connector(type=kind),))
    stand.start()
    stand.cycle.request(StopRequest(1, StopReason.DEAUTHORIZED))
    stand.run(5.0)
    stand.unplug()
    stand.run(1.0)
    assert stand.phase() is Phase.IDLE
    assert stand.bridge.commands[1].pins.lock is locked
    stand.cycle.request(UnlockRequest(1, 1))
    stand.run(10.0)
    assert not stand.bridge.commands[1].pins.lock
