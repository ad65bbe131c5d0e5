"""The pilot's story of one plug-in: 5 %, steps, nominal duty, and sleepers.

Each row is a time line: what happens when, and what the pilot shows at which time.
Rules: ISO 15118-3 clause 6 and IEC 61851-1 as `chargerd/evse/hlc.py` names them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargerd.evse import hlc
from chargerd.evse.hlc import Inputs, Settings, Show, Stage, State
from chargerd.model import DataLink, VehicleDemand, VehiclePhase, VehicleState
from firmware_bridge.api import PilotState

AC = Settings(enabled=True, modem=True)
DC = replace(AC, basic=False)
BENCH = Settings(enabled=True)  # Ethernet instead of a modem
PLAIN = Settings()  # no ISO 15118 at all
TICK = 0.5
MATCHING, READY, UNMATCHED = DataLink.MATCHING, DataLink.READY, DataLink.UNMATCHED
HANDSHAKE, ENERGY = VehiclePhase.HANDSHAKE, VehiclePhase.ENERGY
FAULT, ENDED = VehiclePhase.FAULT, VehiclePhase.ENDED
B, C = PilotState.B, PilotState.C
START = Inputs(0.0, PilotState.A, authorised=False)


def story(
    settings: Settings, changes: dict[float, dict[str, Any]], until: float
) -> list[tuple[float, Show]]:
    """(time, what the pilot shows from then on). At nominal duty it is offered."""
    state, inputs = State(), START
    told: list[tuple[float, Show]] = []
    now = 0.0
    while now < until:
        inputs = replace(inputs, **changes.get(now, {}), now_mono=now)
        offered = hlc.show(state) is Show.NOMINAL and inputs.authorised
        state = hlc.step(state, replace(inputs, offered=offered), settings)
        if not told or told[-1][1] is not hlc.show(state):
            told.append((now, hlc.show(state)))
        now += TICK
    return told


PLUG = {"pilot": B, "link": UNMATCHED}
ROWS = {
    "basic charging needs no communication": (
        PLAIN,
        {1.0: PLUG, 2.0: {"authorised": True}, 5.0: {"pilot": C}},
        60.0,
        [(0.0, "x1"), (1.0, "nominal")],
    ),
    "a vehicle that talks stays at 5 %": (
        AC,
        {
            1.0: PLUG,
            3.0: {"link": MATCHING},
            5.0: {"link": READY},
            8.0: {"phase": HANDSHAKE, "authorised": True},
            20.0: {"phase": ENERGY, "pilot": C},
        },
        300.0,
        [(0.0, "x1"), (1.0, "5 %")],
    ),
    "paid, and no match under way: state F, then nominal [V2G3-M06-08]": (
        AC,
        {1.0: PLUG, 15.0: {"authorised": True}, 25.0: {"pilot": C}},
        60.0,
        [(0.0, "x1"), (1.0, "5 %"), (15.0, "f"), (19.0, "nominal")],
    ),
    "paid before the plug: the vehicle still has its 10 s to begin": (
        AC,
        {0.0: {"authorised": True}, 1.0: PLUG, 20.0: {"pilot": C}},
        60.0,
        [(0.0, "x1"), (1.0, "5 %"), (11.0, "f"), (15.0, "nominal")],
    ),
    "paid before the plug, but it begins in time": (
        AC,
        {
            0.0: {"authorised": True},
            1.0: PLUG,
            9.0: {"link": MATCHING},
            12.0: {"link": READY},
            14.0: {"phase": HANDSHAKE},
        },
        60.0,
        [(0.0, "x1"), (1.0, "5 %")],
    ),
    "nobody begins: F and 5 % again, twice, then nominal [V2G3-M06-07]": (
        AC,
        {0.0: PLUG},
        200.0,
        [
            (0.0, "5 %"),
            (40.0, "f"),
            (44.0, "5 %"),
            (84.0, "f"),
            (88.0, "5 %"),
            (128.0, "f"),
            (132.0, "nominal"),
        ],
    ),
    "DC: after two steps 5 % for good, never nominal": (
        DC,
        {0.0: PLUG, 20.0: {"authorised": True}},
        400.0,
        [(0.0, "5 %"), (40.0, "f"), (44.0, "5 %"), (84.0, "f"), (88.0, "5 %")],
    ),
    "a match that strangers keep going is not waited for": (
        AC,
        {0.0: PLUG, 5.0: {"link": MATCHING}},
        74.0,
        [(0.0, "5 %"), (70.0, "f")],
    ),
    "a link, but no session: X1 in the middle [V2G3-M06-06]": (
        AC,
        {0.0: PLUG, 5.0: {"link": READY}},
        80.0,
        [
            (0.0, "5 %"),
            (25.0, "x1"),
            (28.0, "5 %"),
            (48.5, "x1"),
            (51.5, "5 %"),
            (72.0, "x1"),
            (75.0, "nominal"),
        ],
    ),
    "Ethernet, and nobody talks: X1, then nominal at once": (
        BENCH,
        {0.0: PLUG, 5.0: {"authorised": True}},
        60.0,
        [
            (0.0, "5 %"),
            (20.5, "x1"),
            (23.5, "nominal"),
            (54.0, "f"),  # perhaps it sleeps
            (58.0, "nominal"),
        ],
    ),
    "Ethernet, and a DC vehicle that thinks long": (
        replace(BENCH, basic=False),
        {0.0: PLUG, 300.0: {"phase": HANDSHAKE}},
        400.0,
        [(0.0, "5 %")],
    ),
    "a session that breaks is tried again": (
        DC,
        {
            0.0: PLUG,
            5.0: {"link": READY},
            8.0: {"phase": HANDSHAKE},
            20.0: {"phase": FAULT},
            30.0: {"phase": HANDSHAKE},
        },
        100.0,
        [(0.0, "5 %"), (20.0, "x1"), (23.0, "5 %")],
    ),
    "a session that ended well: no PWM until it is wanted again": (
        DC,
        {
            0.0: {**PLUG, "authorised": True},
            5.0: {"link": READY},
            8.0: {"phase": HANDSHAKE},
            50.0: {"phase": ENDED},
            51.0: {"authorised": False},
            90.0: {"authorised": True},
        },
        100.0,
        [(0.0, "5 %"), (50.0, "x1"), (90.0, "5 %")],
    ),
    "after a pause the vehicle itself asks: B, then C": (
        DC,
        {
            0.0: {**PLUG, "authorised": True, "link": READY},
            8.0: {"phase": HANDSHAKE, "pilot": C},
            50.0: {"phase": VehiclePhase.PAUSED},
            52.0: {"pilot": B},
            70.0: {"pilot": C},
        },
        80.0,
        [(0.0, "5 %"), (50.0, "x1"), (70.0, "5 %")],
    ),
    "who talks again gets 5 % at once": (
        DC,
        {
            0.0: {**PLUG, "authorised": True, "link": READY},
            8.0: {"phase": HANDSHAKE, "pilot": C},
            50.0: {"phase": VehiclePhase.PAUSED},
            60.0: {"phase": HANDSHAKE},
        },
        80.0,
        [(0.0, "5 %"), (50.0, "x1"), (60.0, "5 %")],
    ),
    "nominal duty while talking, where it is configured [V2G2-931]": (
        replace(AC, nominal=True),
        {
            0.0: {**PLUG, "link": READY},
            8.0: {"phase": HANDSHAKE},
            20.0: {"authorised": True},
            30.0: {"phase": ENERGY, "pilot": C},
        },
        100.0,
        [(0.0, "5 %"), (20.0, "x1"), (23.0, "nominal")],
    ),
    "a sleeper is woken once": (
        PLAIN,
        {0.0: {**PLUG, "authorised": True}},
        300.0,
        [(0.0, "nominal"), (30.5, "f"), (34.5, "nominal")],
    ),
    "who has charged and is full is no sleeper": (
        PLAIN,
        {0.0: {**PLUG, "authorised": True}, 5.0: {"pilot": C}, 20.0: {"pilot": B}},
        300.0,
        [(0.0, "nominal")],
    ),
    "who has not paid is not woken": (PLAIN, {0.0: PLUG}, 300.0, [(0.0, "nominal")]),
    "waking can be switched off": (
        replace(PLAIN, wake_s=0.0),
        {0.0: {**PLUG, "authorised": True}},
        300.0,
        [(0.0, "nominal")],
    ),
    "unplugged in a step: the next vehicle begins at the beginning": (
        AC,
        {0.0: PLUG, 41.0: {"pilot": PilotState.A}, 42.0: PLUG},
        60.0,
        [(0.0, "5 %"), (40.0, "f"), (41.0, "x1"), (42.0, "5 %")],
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_the_pilot_tells_this_story(name: str) -> None:
    settings, changes, until, told = ROWS[name]
    assert [(at, show.value) for at, show in story(settings, changes, until)] == told


@pytest.mark.parametrize("pilot", [PilotState.E, PilotState.F, PilotState.UNKNOWN])
def test_an_unclear_pilot_is_no_unplug(pilot: PilotState) -> None:
    """Our own state F reads as F: the step must not begin the story anew."""
    state = State(Stage.STEP_EF, 0.0, tries=1)
    held = hlc.step(state, Inputs(1.0, pilot, authorised=False), AC)
    assert held == state
    assert hlc.step(State(), Inputs(1.0, pilot, authorised=False), AC) == State()


def test_a_held_story_waits_but_an_unplug_counts() -> None:
    state = State(Stage.DIGITAL, 0.0, talked=True)
    held = Inputs(50.0, B, authorised=False, held=True)
    assert hlc.step(state, held, DC) == state
    assert hlc.step(state, replace(held, pilot=PilotState.A), DC) == State()


DEMAND = VehicleDemand(lock=True)
BROKE = VehicleState(
    "iso15118-2", FAULT, demand=DEMAND, stop_cause="sequence",
    faults=frozenset({"V2gFault"}), data_link=READY,
)  # fmt: skip
STEP = State(Stage.STEP_X1, 0.0, then=Stage.DIGITAL)


@pytest.mark.parametrize(
    ("state", "vehicle", "hidden"),
    [
        (STEP, BROKE, True),
        (replace(STEP, then=Stage.BASIC), BROKE, True),
        (State(Stage.DIGITAL), BROKE, True),  # the next try, not yet begun
        (State(Stage.BASIC), BROKE, True),
        (STEP, replace(BROKE, faults=frozenset({"VehicleTimeout"})), True),
        (replace(STEP, then=Stage.REST), BROKE, False),  # that was the last one
        (State(Stage.REST), BROKE, False),
        (State(), BROKE, False),  # not this pilot's vehicle
        (replace(STEP, flowed=True), BROKE, False),
        (STEP, replace(BROKE, faults=frozenset({"CableCheckFault"})), False),
        (STEP, replace(BROKE, phase=ENDED), False),
        (State(Stage.DIGITAL), replace(BROKE, phase=HANDSHAKE), False),
    ],
)
def test_a_talk_that_is_tried_again_is_no_failure_yet(
    state: State, vehicle: VehicleState, hidden: bool
) -> None:
    seen = hlc.heard(state, vehicle)
    calm = VehicleState(demand=DEMAND, data_link=vehicle.data_link)
    assert seen == (calm if hidden else vehicle)


moments = st.builds(
    Inputs,
    now_mono=st.just(0.0),
    pilot=st.sampled_from(PilotState),
    authorised=st.booleans(),
    link=st.sampled_from(DataLink),
    phase=st.sampled_from(VehiclePhase),
    offered=st.booleans(),
)


@given(st.lists(st.tuples(moments, st.floats(0.05, 60.0)), max_size=60))
def test_whatever_happens_dc_gets_no_nominal_duty(
    moves: list[tuple[Inputs, float]],
) -> None:
    state, now = State(), 0.0
    for inputs, passed in moves:
        now += passed
        state = hlc.step(state, replace(inputs, now_mono=now), DC)
        assert hlc.show(state) is not Show.NOMINAL


@given(st.lists(st.tuples(moments, st.floats(0.05, 60.0)), max_size=60))
def test_whatever_happens_five_percent_never_becomes_nominal_without_a_step(
    moves: list[tuple[Inputs, float]],
) -> None:
    """[V2G3-M06-05], [V2G3-M06-06]: E/F for 4 s or X1 for 3 s in between."""
    state, now, since = State(), 0.0, 0.0
    for inputs, passed in moves:
        now += passed
        before = state
        state = hlc.step(state, replace(inputs, now_mono=now), AC)
        if state.stage is not before.stage:
            if hlc.show(state) is Show.NOMINAL:
                assert before.stage in (Stage.STEP_EF, Stage.STEP_X1)
                lasts = 4.0 if before.stage is Stage.STEP_EF else 3.0
                assert now - since >= lasts
            since = now
