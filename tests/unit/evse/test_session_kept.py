"""Sessions that outlive a pulled plug, or a restart of the daemon."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chargerd.evse.actuate import Memory, actuate
from chargerd.model import (
    Authorisation,
    AvailabilityRequest,
    Contract,
    KeepRequest,
    ResumeRequest,
    SessionPhase,
    StartRequest,
    StopReason,
    StopRequest,
    Token,
    TokenRead,
    VehiclePhase,
    VehicleState,
)
from firmware_bridge.api import PilotReading, PilotState
from tests.unit.evse.test_actuate import INTENT, RATINGS, telemetry
from tests.unit.evse.test_session import CARD, OTHER, Walk

Phase = SessionPhase
A, C = PilotState.A, PilotState.C
RESUME = ResumeRequest(
    1, "1-old", CARD, remote_start_id=7, energy_in_wh=500.0, connect_s=30.0
)


def away(keep_s: float = 60.0) -> Walk:
    """A session whose plug was pulled, and which is kept."""
    walk = Walk()
    walk.step(KeepRequest(0, keep_s))
    walk.start()
    walk.plug(A)
    return walk


@pytest.mark.req("E09.FR.01")
def test_without_the_setting_a_pulled_plug_is_the_end() -> None:
    """Who plugs in again has to be authorised again."""
    walk = Walk()
    walk.start()
    walk.plug(A)
    assert walk.state.session.stop_reason is StopReason.EV_DISCONNECTED
    walk.step()
    assert walk.plug(C) is Phase.CONNECTED
    assert not walk.state.energise
    assert not walk.state.session.authorised


def test_a_kept_session_energises_nothing() -> None:
    walk = away()
    assert walk.state.session.phase is Phase.IDLE
    assert not walk.state.energise
    assert walk.state.session.authorised
    assert walk.outcomes() == []


def test_plugged_in_again_it_goes_on_with_its_id() -> None:
    walk = away()
    session = walk.state.session
    walk.step(dt_s=30.0)
    assert walk.plug(C) is Phase.STARTING
    assert walk.state.session.id == session.id
    assert walk.state.session.token == CARD
    assert walk.state.energise


@pytest.mark.req("E10.FR.02")
def test_who_does_not_come_back_is_given_up() -> None:
    walk = away()
    walk.step(dt_s=59.8)
    assert walk.outcomes() == []
    walk.step(dt_s=0.2)
    assert walk.state.session.phase is Phase.FINISHED
    assert walk.state.session.stop_reason is StopReason.EV_DISCONNECTED
    (outcome,) = walk.outcomes()
    assert outcome.reason is StopReason.EV_DISCONNECTED
    assert walk.step() is Phase.IDLE
    assert not walk.state.session.authorised
    walk.plug(C)
    assert walk.state.session.phase is Phase.CONNECTED


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (TokenRead((1,), CARD), StopReason.LOCAL),
        (StopRequest(1, StopReason.REMOTE), StopReason.REMOTE),
    ],
)
def test_a_kept_session_can_be_stopped(
    request_: TokenRead | StopRequest, reason: StopReason
) -> None:
    walk = away()
    walk.step(request_)
    assert walk.state.session.stop_reason is reason
    assert walk.state.session.phase is Phase.FINISHED
    walk.step()
    assert not walk.state.session.authorised


def test_another_card_neither_stops_nor_takes_it() -> None:
    walk = away()
    walk.step(TokenRead((1,), OTHER))
    walk.step(StartRequest(1, OTHER))
    assert walk.state.session.token == CARD
    assert walk.questions() == []


def test_it_is_not_idle_to_those_who_wait_for_the_end() -> None:
    walk = away()
    walk.step(AvailabilityRequest(1, operative=False))
    assert walk.state.operative
    walk.step(dt_s=61.0)
    walk.step()
    assert not walk.state.operative


@pytest.mark.parametrize("phase_before", [Phase.STOPPING, Phase.FINISHED])
def test_what_has_ended_is_not_kept(phase_before: Phase) -> None:
    walk = Walk()
    walk.step(KeepRequest(0, 60.0))
    walk.start()
    walk.step(StopRequest(1, StopReason.LOCAL))
    if phase_before is Phase.FINISHED:
        walk.plug(C)
    walk.plug(A)
    walk.step()
    assert not walk.state.session.authorised


@pytest.mark.req("E10.FR.01")
def test_a_cable_in_our_socket_stays_locked() -> None:
    intent = replace(INTENT, energise=False, unplugged=True, keep_locked=True)
    command = actuate(Memory(), intent, VehicleState(), telemetry(), RATINGS)[1]
    assert command.pins.lock
    free = replace(intent, keep_locked=False)
    command = actuate(Memory(), free, VehicleState(), telemetry(), RATINGS)[1]
    assert not command.pins.lock  # E06.FR.10: the session is over


@pytest.mark.req(
    "B13.FR.20", "E06.FR.10", "E07.FR.07", "E08.FR.03", "E09.FR.02", "F04.FR.02",
)  # fmt: skip
@pytest.mark.parametrize("unplugged", [False, True], ids=["stopped", "unplugged"])
def test_the_end_of_a_session_unlocks_the_cable(unplugged: bool) -> None:
    """Whoever ended it, with the central system or without."""
    runs = replace(INTENT, ac_path=True)
    command = actuate(Memory(), runs, VehicleState(), telemetry(), RATINGS)[1]
    assert command.pins.lock
    over = replace(runs, energise=False, over=True, unplugged=unplugged)
    command = actuate(Memory(), over, VehicleState(), telemetry(), RATINGS)[1]
    assert not command.pins.lock


def test_a_session_of_before_a_restart_goes_on() -> None:
    walk = Walk()
    walk.plug(C)
    assert walk.step(RESUME) is Phase.STARTING
    session = walk.state.session
    assert (session.id, session.token, session.authorised) == ("1-old", CARD, True)
    assert (session.remote_start_id, session.energy_in_wh) == (7, 500.0)
    walk.step(counted_wh=(1000.0, 0.0))
    walk.step(counted_wh=(1040.0, 0.0))
    assert walk.state.session.energy_in_wh == 540.0


def test_without_a_token_it_only_keeps_its_name() -> None:
    walk = Walk()
    walk.plug(C)
    assert walk.step(replace(RESUME, token=None)) is Phase.CONNECTED
    assert walk.state.session.id == "1-old"
    assert not walk.state.energise


def test_unplugged_it_waits_for_its_vehicle() -> None:
    walk = Walk()
    assert walk.step(RESUME) is Phase.IDLE
    assert walk.state.session.authorised
    walk.step(dt_s=29.0)
    assert walk.plug(C) is Phase.STARTING
    assert walk.state.session.id == "1-old"


@pytest.mark.parametrize("hindrance", ["session", "fault", "inoperative"])
def test_it_is_not_forced_on_anybody(hindrance: str) -> None:
    walk = Walk()
    if hindrance == "session":
        walk.start()
    if hindrance == "inoperative":
        walk.step(AvailabilityRequest(1, operative=False))
    walk.pilot = PilotReading(C)
    stop = StopReason.GROUND_FAULT if hindrance == "fault" else None
    walk.step(RESUME, stop=stop)
    assert walk.state.session.id != "1-old"


EMAID = Token("JPABCC123456789", "eMAID")
SHOWS = VehicleState(
    "iso15118-2", VehiclePhase.HANDSHAKE, contract=Contract(EMAID.value, "PEM")
)


@pytest.mark.req("E17.FR.10")
@pytest.mark.parametrize("token", [CARD, EMAID])
def test_an_open_question_about_a_contract_does_not_hinder_it(token: Token) -> None:
    """The vehicle was quicker than the station's clock; its contract is no reason to
    begin anew, and its late answer changes nothing."""
    walk = Walk(vehicle=SHOWS)
    walk.plug(C)
    assert walk.questions() == [EMAID]
    assert walk.step(replace(RESUME, token=token)) is Phase.STARTING
    assert walk.state.session.id == "1-old"
    walk.step(Authorisation(1, EMAID, True))
    assert walk.state.session.token == token
    assert walk.questions() == [EMAID]
    assert walk.state.shown.refused == ""


def test_a_contract_is_asked_about_where_nobody_had_authorised() -> None:
    walk = Walk(vehicle=SHOWS)
    walk.plug(C)
    walk.step(replace(RESUME, token=None))
    assert walk.questions() == [EMAID, EMAID]
    assert walk.step(Authorisation(1, EMAID, True)) is Phase.STARTING
    assert (walk.state.session.id, walk.state.session.token) == ("1-old", EMAID)


@pytest.mark.parametrize("token", [Token("JPOTHER00000001", "eMAID"), CARD])
def test_another_contract_or_card_hinders_it(token: Token) -> None:
    walk = Walk(vehicle=SHOWS if token.kind == "eMAID" else VehicleState())
    walk.plug(C)
    if token is CARD:
        walk.step(TokenRead((1,), OTHER))
    walk.step(replace(RESUME, token=token))
    assert walk.state.session.id != "1-old"
