"""Plug & Charge in a session: a contract is a token that the vehicle shows; pauses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chargerd.model import (
    Authorisation,
    AuthQuestion,
    Contract,
    SessionPhase,
    StartRequest,
    StopReason,
    StopRequest,
    Token,
    VehiclePhase,
    VehicleState,
)
from firmware_bridge.api import PilotReading, PilotState
from tests.unit.evse.test_session import CARD, Walk

CONTRACT = Contract("JPABCC123456789", "PEM")
EMAID = Token(CONTRACT.emaid, "eMAID")
SHOWS = VehicleState("iso15118-2", VehiclePhase.HANDSHAKE, contract=CONTRACT)
TALKS = replace(SHOWS, contract=None)
Phase = SessionPhase


def showing() -> Walk:
    """A vehicle that is plugged in and shows its contract."""
    walk = Walk()
    walk.plug()
    walk.vehicle = SHOWS
    walk.step()
    return walk


def asked(walk: Walk) -> list[AuthQuestion]:
    return [event for event in walk.events if isinstance(event, AuthQuestion)]


def test_a_contract_is_asked_about_once_with_its_chain() -> None:
    walk = showing()
    for _ in range(5):
        walk.step()
    assert asked(walk) == [AuthQuestion(1, EMAID, CONTRACT)]
    assert not walk.state.energise


def test_accepted_it_starts_the_session() -> None:
    walk = showing()
    assert walk.step(Authorisation(1, EMAID, True)) is Phase.STARTING
    assert walk.state.energise
    assert walk.state.session.token == EMAID
    assert walk.state.shown.refused == ""


def test_refused_the_vehicle_is_told_why() -> None:
    walk = showing()
    told = Authorisation(1, EMAID, False, info="CertificateRevoked")
    assert walk.step(told) is Phase.CONNECTED
    assert walk.state.shown.refused == "CertificateRevoked"
    assert not walk.state.energise
    walk.step()
    assert len(asked(walk)) == 1


def test_no_answer_is_a_refusal() -> None:
    walk = showing()
    walk.step(dt_s=46.0)
    assert walk.state.shown.refused == "no answer in time"


def test_a_new_session_of_the_vehicle_may_show_it_again() -> None:
    walk = showing()
    walk.step(Authorisation(1, EMAID, False, info="Invalid"))
    walk.vehicle = TALKS
    walk.step()
    assert walk.state.shown.refused == ""
    walk.vehicle = SHOWS
    walk.step()
    assert len(asked(walk)) == 2


def test_a_card_is_enough() -> None:
    walk = Walk()
    walk.plug()
    walk.step(StartRequest(1, CARD))
    walk.vehicle = SHOWS
    walk.step()
    assert not asked(walk)
    assert walk.state.session.token == CARD


def test_the_contract_waits_for_an_open_question() -> None:
    walk = Walk()
    walk.plug()
    walk.step(StartRequest(1, CARD, authorised=False))
    walk.vehicle = SHOWS
    walk.step()
    assert len(asked(walk)) == 1
    walk.step(Authorisation(1, CARD, False))
    walk.step()
    assert asked(walk)[-1].token == EMAID


def test_unplugged_a_late_answer_starts_nobody() -> None:
    walk = showing()
    walk.vehicle = VehicleState()
    walk.plug(PilotState.A)
    walk.step(Authorisation(1, EMAID, True))
    assert walk.state.session.phase is Phase.IDLE
    assert not walk.state.session.authorised


def running() -> Walk:
    """In energy by contract, DC: no AC contactor takes part."""
    walk = showing()
    walk.step(Authorisation(1, EMAID, True))
    walk.vehicle = replace(SHOWS, phase=VehiclePhase.ENERGY)
    walk.pilot = PilotReading(PilotState.C)
    walk.step(decided_w=5000.0)
    assert walk.state.session.phase is Phase.ENERGY
    return walk


def end(walk: Walk, phase: VehiclePhase) -> None:
    """The vehicle stops its power, then its session ends as `phase`."""
    walk.vehicle = replace(walk.vehicle, phase=VehiclePhase.STOPPING)
    assert walk.step() is Phase.STOPPING
    walk.pilot = PilotReading(PilotState.B, dc_closed=False)
    walk.vehicle = replace(walk.vehicle, phase=phase)
    walk.step()


def test_a_pause_is_no_end() -> None:
    walk = running()
    end(walk, VehiclePhase.PAUSED)
    assert walk.state.session.phase is Phase.SUSPENDED_EV
    assert walk.state.energise
    assert walk.state.session.stop_reason is None
    assert not walk.outcomes()
    walk.step(dt_s=3600.0)
    walk.vehicle = replace(SHOWS, phase=VehiclePhase.ENERGY)
    walk.step(decided_w=5000.0)
    assert walk.state.session.phase is Phase.ENERGY
    assert len(asked(walk)) == 1


def test_the_stations_own_stop_ends_also_a_vehicle_that_pauses() -> None:
    walk = running()
    walk.step(StopRequest(1, StopReason.REMOTE))
    walk.vehicle = replace(SHOWS, phase=VehiclePhase.PAUSED)
    assert walk.step() is Phase.FINISHED


@pytest.mark.parametrize(
    ("reason", "again"),
    [(None, True), (StopReason.REMOTE, False), (StopReason.DEAUTHORIZED, False)],
)
def test_after_the_end_only_the_vehicle_that_ended_it_begins_anew(
    reason: StopReason | None, again: bool
) -> None:
    walk = running()
    if reason is None:
        end(walk, VehiclePhase.ENDED)
    else:
        walk.step(StopRequest(1, reason))
        walk.vehicle = replace(SHOWS, phase=VehiclePhase.ENDED)
        walk.step()
    assert walk.state.session.phase is Phase.FINISHED
    walk.vehicle = TALKS
    walk.step()
    walk.vehicle = SHOWS
    walk.step()
    assert (len(asked(walk)) == 2) is again
