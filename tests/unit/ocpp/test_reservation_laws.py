"""Reservations in any order of events: against the slow count of who can be served."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from chargerd.model import SessionPhase, Token
from chargerd.ocpp.blocks.reserved import Reservation
from tests.unit.ocpp.auth_kit import ACCEPTED, answers, ask, id_token, reply
from tests.unit.ocpp.station_rig import Rig, config
from tests.unit.ocpp.test_reserved import slow

EVSES = (1, 2, 3)
FREE: dict[str, Any] = {"phase": SessionPhase.IDLE}
STATES: list[dict[str, Any]] = [
    FREE,
    {"phase": SessionPhase.CONNECTED},
    {"phase": SessionPhase.IDLE, "operative": False},
]
OUT_OF_ORDER = 2
STEPS = st.one_of(
    st.tuples(st.just("reserve"), st.integers(1, 4), st.sampled_from((0, *EVSES))),
    st.tuples(st.just("cancel"), st.integers(1, 4), st.just(0)),
    st.tuples(st.just("see"), st.sampled_from(EVSES), st.integers(0, 2)),
    st.tuples(st.just("come"), st.sampled_from(EVSES), st.integers(0, 4)),
    st.tuples(st.just("leave"), st.sampled_from(EVSES), st.just(0)),
    st.tuples(st.just("restart"), st.just(0), st.just(0)),
)


class World:
    def __init__(self) -> None:
        self.rig = Rig(config(evses=len(EVSES))).boot()
        self.seen = dict.fromkeys(EVSES, FREE)
        self.tick()

    def tick(self) -> None:
        for _ in range(2):
            for evse_id, seen in self.seen.items():
                self.rig.observe(evse_id=evse_id, session_id=f"s{evse_id}", **seen)

    def do(self, what: str, a: int, b: int) -> None:
        rig = self.rig
        if what == "reserve":
            ends = rig.now.utc + timedelta(hours=1)
            request = {
                "id": a,
                "expiryDateTime": ends.isoformat(),
                "idToken": id_token(Token(f"T{a}")),
            }
            rig.call("ReserveNow", request | ({"evseId": b} if b else {}))
        elif what == "cancel":
            rig.call("CancelReservation", {"reservationId": a})
        elif what == "see" and not self.seen[a].get("authorised"):
            self.seen[a] = STATES[b]
        elif what == "come" and self.usable(a):
            self.come(a, Token(f"T{b}"))
        elif what == "leave" and self.seen[a].get("authorised"):
            self.seen[a] = FREE
        elif what == "restart":
            self.rig = rig.restarted(after_s=1).boot()

    def come(self, evse_id: int, token: Token) -> None:
        """A driver shows a card that the central system likes."""
        self.rig.clear()
        ask(self.rig, token, evse_id)
        reply(self.rig, ACCEPTED)
        (answer,) = answers(self.rig)
        if answer.accepted:
            phase = SessionPhase.STARTING
            self.seen[evse_id] = {"phase": phase, "authorised": True, "token": token}

    def usable(self, evse_id: int) -> bool:
        seen = self.seen[evse_id]
        return seen.get("operative", True) and not seen.get("authorised", False)

    def held(self) -> list[Reservation]:
        saved = self.rig.saved.get("reservation", {})
        return [Reservation(**value) for value in saved.values()]


@settings(max_examples=60)
@given(st.lists(STEPS, max_size=12))
def test_every_reservation_can_be_kept_at_any_time(
    steps: list[tuple[str, int, int]],
) -> None:
    world = World()
    for what, a, b in steps:
        before = {one.id for one in world.held()}
        world.do(what, a, b)
        world.tick()
        held = world.held()
        gone = before - {one.id for one in held}
        breaks = what == "see" and b == OUT_OF_ORDER
        assert breaks or gone <= {"cancel": {a}, "come": {b}}.get(what, set())
        usable: dict[int, list[str]] = {n: [] for n in EVSES if world.usable(n)}
        assert slow(held, usable) == len(held)
        views = world.rig.station._desk.evses
        reserved = {n for n in EVSES if views[n].reserved}
        assert reserved <= usable.keys()
        for one in held:
            if one.evse_id is not None:
                assert one.evse_id in reserved
        # Whoever takes an EVSE that is not reserved leaves enough for all.
        for evse_id in usable.keys() - reserved:
            rest = {n: types for n, types in usable.items() if n != evse_id}
            assert slow(held, rest) == len(held)
