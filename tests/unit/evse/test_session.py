"""A session's life as a table of steps; who may start and stop it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from chargerd.evse import authorize, session
from chargerd.evse.outcome import Outcome
from chargerd.evse.session import Inputs, State
from chargerd.model import (
    Authorisation,
    AuthQuestion,
    AvailabilityRequest,
    FaultNotice,
    PromiseRequest,
    Request,
    Session,
    SessionPhase,
    StartRequest,
    StopReason,
    StopRequest,
    Token,
    TokenRead,
    UnlockRequest,
    VehiclePhase,
    VehicleState,
)
from firmware_bridge.api import PilotReading, PilotState
from tests.unit.scheduler.stand import at

A, B, C, D, E, F = (PilotState(letter) for letter in "ABCDEF")
CARD = Token("04AA")
OTHER = Token("04BB")
GROUPED = Token("04CC", group="G")
Phase = SessionPhase


@dataclass
class Walk:
    """Steps a session; the AC path needs no vehicle door."""

    state: State = field(default_factory=lambda: session.fresh(1))
    mono: float = 0.0
    pilot: PilotReading | None = field(default_factory=lambda: PilotReading(A))
    vehicle: VehicleState = field(default_factory=VehicleState)
    events: list[session.Event] = field(default_factory=list)
    extra: dict[str, object] = field(default_factory=dict)

    def step(self, *requests: Request, dt_s: float = 0.05, **extra: object) -> Phase:
        self.mono += dt_s
        values = self.extra | extra
        inputs = Inputs(self.pilot, self.vehicle, requests=requests, **values)  # type: ignore[arg-type]
        self.state, events = session.step(self.state, inputs, at(self.mono))
        self.events += events
        return self.state.session.phase

    def plug(self, state: PilotState = B, *, ac_closed: bool = False) -> Phase:
        self.pilot = PilotReading(state, ac_closed=ac_closed)
        return self.step()

    def start(self) -> None:
        self.plug()
        self.step(StartRequest(1, CARD))
        self.plug(C, ac_closed=True)
        self.step(decided_w=3000.0)
        assert self.state.session.phase is Phase.ENERGY

    def questions(self) -> list[Token]:
        return [e.token for e in self.events if isinstance(e, AuthQuestion)]

    def outcomes(self) -> list[Outcome]:
        return [e for e in self.events if isinstance(e, Outcome)]


@pytest.mark.parametrize("state", [B, C, D])
def test_plug_is_b_c_or_d(state: PilotState) -> None:
    assert Walk().plug(state) is Phase.CONNECTED


@pytest.mark.parametrize("state", [A, E, F, PilotState.UNKNOWN])
def test_no_plug_otherwise(state: PilotState) -> None:
    assert Walk().plug(state) is Phase.IDLE


def test_proximity_is_a_plug_too() -> None:
    walk = Walk(pilot=PilotReading(A, chademo_proximity=True))
    assert walk.step() is Phase.CONNECTED


@pytest.mark.parametrize("state", [E, F, PilotState.UNKNOWN, None])
def test_what_says_nothing_keeps_the_session(state: PilotState | None) -> None:
    walk = Walk()
    walk.plug()
    walk.pilot = PilotReading(state) if state else None
    assert walk.step() is Phase.CONNECTED


def test_token_after_plug_asks_and_starts() -> None:
    walk = Walk()
    walk.plug()
    assert walk.step(TokenRead((1,), CARD)) is Phase.CONNECTED
    assert walk.questions() == [CARD]
    assert not walk.state.energise
    assert walk.step(Authorisation(1, CARD, True)) is Phase.STARTING
    assert walk.state.energise
    assert walk.state.session.token == CARD


def test_token_before_plug_waits_for_the_plug() -> None:
    walk = Walk()
    walk.step(TokenRead((1,), CARD))
    assert walk.step(Authorisation(1, CARD, True)) is Phase.IDLE
    assert walk.state.session.authorised
    walk.step(dt_s=50.0)
    assert walk.plug() is Phase.STARTING


@pytest.mark.req("C01.FR.26")
def test_held_token_expires() -> None:
    walk = Walk()
    walk.step(StartRequest(1, CARD, remote_start_id=7))
    walk.step(dt_s=60.0)
    assert not walk.state.session.authorised
    assert walk.state.session.stop_reason is StopReason.TIMEOUT
    assert walk.plug() is Phase.CONNECTED
    assert walk.state.session.remote_start_id is None


@pytest.mark.parametrize(
    "answer",
    [Authorisation(1, CARD, False), Authorisation(1, OTHER, True)],
)
def test_denied_or_somebody_elses_answer_starts_nothing(answer: Authorisation) -> None:
    walk = Walk()
    walk.plug()
    walk.step(TokenRead((1,), CARD))
    assert walk.step(answer) is Phase.CONNECTED
    assert not walk.state.energise


def test_late_answer_after_unplug_does_not_meet_the_next_vehicle() -> None:
    walk = Walk()
    walk.plug()
    walk.step(TokenRead((1,), CARD))
    walk.plug(A)
    walk.plug(B)
    assert walk.step(Authorisation(1, CARD, True)) is Phase.CONNECTED
    assert not walk.state.session.authorised


def test_unanswered_question_lapses() -> None:
    walk = Walk()
    walk.plug()
    walk.step(TokenRead((1,), CARD))
    walk.step(dt_s=46.0)
    assert walk.step(Authorisation(1, CARD, True)) is Phase.CONNECTED


@pytest.mark.req("C08.FR.02")
def test_no_token_in_time_is_told_and_taken_back() -> None:
    walk = Walk()
    walk.plug()
    walk.step(dt_s=121.0)
    walk.step(StartRequest(1, CARD))
    notices = [e.present for e in walk.events if isinstance(e, FaultNotice)]
    assert notices == [True, False]


@pytest.mark.req("E08.FR.01")
def test_same_token_stops_without_a_question() -> None:
    walk = Walk()
    walk.start()
    assert walk.step(TokenRead((1,), CARD)) is Phase.STOPPING
    assert not walk.questions()
    assert not walk.state.energise
    assert walk.state.session.stop_reason is StopReason.LOCAL
    assert walk.state.session.stop_token == CARD


@pytest.mark.req("E08.FR.02")
def test_same_group_stops_after_the_answer() -> None:
    walk = Walk()
    walk.plug()
    walk.step(StartRequest(1, replace(CARD, group="G")))
    walk.step(TokenRead((1,), Token("04CC")))
    assert walk.questions() == [Token("04CC")]
    walk.step(Authorisation(1, GROUPED, True))
    assert walk.state.session.stop_reason is StopReason.LOCAL
    assert walk.state.session.stop_token == GROUPED
    assert not walk.state.energise


def test_a_stranger_cannot_stop() -> None:
    walk = Walk()
    walk.start()
    walk.step(TokenRead((1,), OTHER))
    assert walk.step(Authorisation(1, OTHER, True), decided_w=3000.0) is Phase.ENERGY
    assert walk.state.session.token == CARD


def test_deauthorised_stops() -> None:
    walk = Walk()
    walk.start()
    walk.step(Authorisation(1, CARD, False))
    assert walk.state.session.stop_reason is StopReason.DEAUTHORIZED
    assert not walk.state.energise


def test_answer_may_forbid_discharge() -> None:
    walk = Walk()
    walk.plug()
    walk.step(TokenRead((1,), CARD))
    walk.step(Authorisation(1, CARD, True, discharge_allowed=False))
    assert not walk.state.session.discharge_authorised


def test_stop_finishes_when_open_and_a_new_token_starts_anew() -> None:
    walk = Walk()
    walk.start()
    first = walk.state.session.id
    assert walk.step(StopRequest(1, StopReason.REMOTE)) is Phase.STOPPING
    assert walk.plug(C, ac_closed=False) is Phase.FINISHED
    assert [o.reason for o in walk.outcomes()] == [StopReason.REMOTE]
    assert walk.step(StartRequest(1, OTHER)) is Phase.STARTING
    assert walk.state.session.id not in ("", first)
    assert walk.state.session.token == OTHER


def test_stop_takes_no_longer_than_its_time() -> None:
    walk = Walk()
    walk.start()
    walk.step(StopRequest(1, StopReason.REMOTE))
    assert walk.step(dt_s=19.0) is Phase.STOPPING
    assert walk.step(dt_s=1.0) is Phase.FINISHED


def test_unplug_is_reported_once_then_idle() -> None:
    walk = Walk()
    walk.start()
    assert walk.plug(A) is Phase.FINISHED
    assert walk.state.session.stop_reason is StopReason.EV_DISCONNECTED
    assert not walk.state.energise
    assert walk.step() is Phase.IDLE
    assert walk.state.session == Session(1)
    assert len(walk.outcomes()) == 1


def test_pause_of_the_vehicle_and_of_the_station() -> None:
    walk = Walk()
    walk.start()
    assert walk.plug(B, ac_closed=False) is Phase.SUSPENDED_EV
    assert walk.state.energise
    walk.plug(C, ac_closed=True)
    assert walk.step(decided_w=3000.0) is Phase.ENERGY
    assert walk.step(decided_w=0.0) is Phase.ENERGY, "not for a blink"
    assert walk.step(decided_w=0.0, dt_s=2.0) is Phase.SUSPENDED_EVSE
    assert walk.step(decided_w=-500.0) is Phase.ENERGY


@pytest.mark.parametrize(
    ("phase", "reason"),
    [
        (VehiclePhase.ENDED, StopReason.STOPPED_BY_EV),
        (VehiclePhase.STOPPING, StopReason.STOPPED_BY_EV),
        (VehiclePhase.FAULT, StopReason.OTHER),
    ],
)
def test_the_vehicles_protocol_ends_it(phase: VehiclePhase, reason: StopReason) -> None:
    walk = Walk(pilot=PilotReading(A, chademo_proximity=True))
    walk.vehicle = VehicleState("chademo", VehiclePhase.ENDED)  # of the last session
    walk.step()
    assert walk.step(StartRequest(1, CARD)) is Phase.STARTING
    walk.vehicle = VehicleState("chademo", VehiclePhase.ENERGY)
    assert walk.step() is Phase.ENERGY
    walk.vehicle = VehicleState("chademo", phase)
    walk.step()
    assert walk.state.session.stop_reason is reason
    assert not walk.state.energise


@pytest.mark.parametrize("tail", [VehiclePhase.STOPPING, VehiclePhase.FAULT])
def test_the_end_of_the_last_vehicles_protocol_is_not_this_ones(
    tail: VehiclePhase,
) -> None:
    walk = Walk()
    walk.vehicle = VehicleState("chademo", tail)
    walk.plug()
    assert walk.step(StartRequest(1, CARD)) is Phase.STARTING
    walk.step(dt_s=1.0)
    walk.vehicle = VehicleState("chademo", VehiclePhase.ENDED)
    assert walk.step() is Phase.STARTING
    walk.vehicle = VehicleState("chademo", VehiclePhase.HANDSHAKE)
    walk.step()
    walk.vehicle = VehicleState("chademo", VehiclePhase.ENERGY)
    assert walk.step(decided_w=3000.0) is Phase.ENERGY
    walk.vehicle = VehicleState("chademo", VehiclePhase.STOPPING)
    walk.step()
    assert walk.state.session.stop_reason is StopReason.STOPPED_BY_EV


def test_fault_ends_it_and_blocks_a_start() -> None:
    walk = Walk()
    walk.start()
    walk.extra = {"stop": StopReason.GROUND_FAULT, "faults": ("GroundFailure",)}
    walk.step()
    assert not walk.state.energise
    walk.plug(C, ac_closed=False)
    assert walk.step(StartRequest(1, CARD)) is Phase.FINISHED
    assert walk.outcomes()[0].reason is StopReason.GROUND_FAULT
    assert walk.outcomes()[0].faults == ("GroundFailure",)
    assert not walk.outcomes()[0].success


def test_availability_waits_for_the_session_and_bars_the_next() -> None:
    walk = Walk()
    walk.start()
    walk.step(AvailabilityRequest(1, False), decided_w=3000.0)
    assert walk.state.operative
    assert walk.state.session.phase is Phase.ENERGY
    walk.plug(A)
    walk.step()
    assert not walk.state.operative
    walk.plug(B)
    assert walk.step(StartRequest(1, CARD)) is Phase.CONNECTED
    walk.plug(A)
    walk.step(AvailabilityRequest(1, True))
    walk.step()
    assert walk.state.operative


def held() -> Walk:
    """An accepted card, and no plug yet."""
    walk = Walk()
    walk.step(StartRequest(1, CARD, connect_s=60.0))
    assert walk.state.session.authorised
    return walk


@pytest.mark.parametrize("back", [False, True], ids=["stays_out", "comes_back"])
@pytest.mark.req("C01.FR.26", "G03.FR.05")
def test_who_has_shown_a_card_may_still_plug_in(back: bool) -> None:
    """The EVSE goes out of service after that session; its card is shown once."""
    walk = held()
    walk.step(AvailabilityRequest(1, False))
    assert walk.state.operative
    walk.step(AvailabilityRequest(1, back), dt_s=30.0)
    assert walk.plug() is Phase.STARTING
    assert walk.state.session.token == CARD
    walk.plug(A)
    walk.step()
    assert walk.state.operative is back


@pytest.mark.req("C01.FR.26")
def test_a_card_whose_driver_does_not_come_holds_nothing_open() -> None:
    walk = held()
    walk.step(AvailabilityRequest(1, False))
    walk.step(dt_s=61.0)
    walk.step()
    assert not walk.state.session.authorised
    assert not walk.state.operative
    assert walk.plug() is Phase.CONNECTED


def test_a_fault_that_is_gone_before_the_plug_costs_no_card() -> None:
    walk = held()
    walk.step(stop=StopReason.OTHER)
    walk.step()
    assert walk.plug() is Phase.STARTING


def test_a_fault_that_is_there_with_the_plug_ends_it() -> None:
    """Nothing is energised, and nothing starts by itself when the fault has gone."""
    walk = held()
    walk.extra = {"stop": StopReason.OTHER}
    walk.plug()
    walk.step()
    assert walk.state.session.phase is Phase.FINISHED
    walk.extra = {}
    assert walk.step() is Phase.FINISHED


def test_unlock_only_without_a_session() -> None:
    walk = Walk()
    walk.start()
    walk.step(UnlockRequest(1, 1))
    assert walk.state.unlock_until_mono == 0.0
    walk.step(StopRequest(1, StopReason.LOCAL))
    walk.plug(C, ac_closed=False)
    walk.step(UnlockRequest(1, 1))
    assert walk.state.unlock_until_mono > walk.mono


@pytest.mark.parametrize(("connect_s", "held_s"), [(None, 60.0), (5.0, 5.0)])
def test_the_plug_must_come_in_time(connect_s: float | None, held_s: float) -> None:
    for request in (
        [StartRequest(1, CARD, connect_s=connect_s)],
        [TokenRead((1,), CARD), Authorisation(1, CARD, True, connect_s=connect_s)],
    ):
        walk = Walk()
        walk.step(*request)
        walk.step(dt_s=held_s - 0.1)
        assert walk.state.session.authorised
        walk.step(dt_s=0.2)
        assert not walk.state.session.authorised
        assert walk.state.session.stop_reason is StopReason.TIMEOUT


def test_no_start_in_the_tick_that_pulls_the_plug() -> None:
    walk = Walk()
    walk.plug()
    walk.pilot = PilotReading(A)
    walk.step(TokenRead((1,), CARD), Authorisation(1, CARD, True))
    assert not walk.state.energise
    assert walk.step() is Phase.IDLE
    assert not walk.state.session.authorised


def test_a_start_ends_an_unlock() -> None:
    """Else the lock would stand open under the next vehicle."""
    walk = Walk()
    walk.step(UnlockRequest(1, 1))
    walk.plug()
    assert walk.state.unlock_until_mono > walk.mono
    walk.step(StartRequest(1, CARD))
    assert walk.state.energise
    assert walk.state.unlock_until_mono == 0.0


def test_promise_belongs_to_a_session() -> None:
    walk = Walk()
    wish = PromiseRequest(1, 5000.0, 70.0, 30.0)
    walk.step(wish)
    assert walk.state.session.promise is None
    walk.plug()
    walk.step(wish)
    promise = walk.state.session.promise
    assert promise is not None
    assert (promise.target_soc_pct, promise.floor_soc_pct) == (70.0, 30.0)
    walk.step(PromiseRequest(1, None))
    assert walk.state.session.promise is None


def test_energy_is_what_the_registers_counted() -> None:
    walk = Walk()
    walk.start()
    for counted_wh in [
        (100.0, 10.0),
        (150.0, 10.0),
        None,
        (150.0, 30.0),
        (149.9, 31.0),
    ]:
        walk.step(counted_wh=counted_wh, decided_w=3000.0)
    held = walk.state.session
    assert (held.energy_in_wh, held.energy_out_wh) == pytest.approx((49.9, 21.0))


def _sessions(**phases: Phase) -> dict[int, Session]:
    return {
        int(name[1:]): Session(int(name[1:]), phase=phase, token=CARD)
        for name, phase in phases.items()
    }


@pytest.mark.parametrize(
    ("phases", "token", "chosen"),
    [
        ({"e1": Phase.IDLE, "e2": Phase.CONNECTED}, OTHER, 2),
        ({"e1": Phase.CONNECTED, "e2": Phase.ENERGY}, CARD, 2),
        ({"e1": Phase.ENERGY, "e2": Phase.IDLE}, OTHER, 2),
        ({"e1": Phase.ENERGY, "e2": Phase.FINISHED}, OTHER, 2),
        ({"e1": Phase.ENERGY, "e2": Phase.ENERGY}, OTHER, 1),
        ({"e1": Phase.IDLE, "e2": Phase.IDLE}, OTHER, 1),
    ],
)
def test_a_shared_reader(phases: dict[str, Phase], token: Token, chosen: int) -> None:
    assert authorize.take(token, (1, 2), _sessions(**phases)) == chosen
    assert authorize.take(token, (9,), _sessions(**phases)) == 0


def test_groups_compare_without_letter_case() -> None:
    session = Session(1, token=Token("04AA", group="Fleet"))
    assert authorize.may_stop(session, Token("04BB", group="FLEET"))
    assert not authorize.may_stop(session, Token("04BB", group="FLEET2"))
    assert not authorize.may_stop(Session(1, token=Token("04AA")), Token("04BB"))


def test_tokens_compare_by_value_and_kind() -> None:
    assert authorize.same(Token("04aa"), Token("04AA"))
    assert not authorize.same(Token("04AA", "Central"), Token("04AA"))
    assert not authorize.same(None, None)
