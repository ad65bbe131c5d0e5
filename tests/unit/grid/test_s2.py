"""The S2 resource manager's core: handshake, both control types, instructions' lives.

The message shapes are s2-python's; the semantics are EN 50491-12-2's as its schema's
descriptions tell them.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from chargerd.model import Promise
from tests.unit.grid.openadr3_stand import sized
from tests.unit.grid.s2_stand import ANYBODY, FRBC, PEBC, Stand
from tests.unit.grid.stand import report

NOBODY = "00000000-0000-0000-0000-000000000000"


def test_a_session_begins() -> None:
    stand = Stand()
    stand.manager.begin(stand.now)
    (hello,) = stand.said()
    assert (hello["role"], hello["supported_protocol_versions"]) == (
        "RM",
        ["0.0.2-beta"],
    )
    assert [m["status"] for m in stand.tell("Handshake", role="CEM")] == ["OK"]
    ok, details = stand.tell(
        "HandshakeResponse", selected_protocol_version="0.0.2-beta"
    )
    assert ok["status"] == "OK"
    assert details["available_control_types"] == [FRBC, PEBC]
    assert details["provides_power_measurement_types"] == ["ELECTRIC.POWER.L1"]


@pytest.mark.parametrize(
    ("kind", "fields", "reason"),
    [
        ("Handshake", {"role": "RM"}, "role"),
        ("HandshakeResponse", {"selected_protocol_version": "9"}, "version"),
        ("SelectControlType", {"control_type": FRBC}, "order"),
        ("PowerMeasurement", {}, "malformed"),
        ("Nonsense", {}, "malformed"),
        ("FRBC.StorageStatus", {"present_fill_level": 1.0}, "unexpected"),
    ],
)
def test_what_does_not_belong(kind: str, fields: Any, reason: str) -> None:
    stand = Stand()
    stand.manager.begin(stand.now)
    stand.said()
    (answer,) = stand.tell(kind, **fields)
    assert answer["status"] != "OK"
    assert stand.manager.status()["refused"] == {reason: 1}


@pytest.mark.parametrize("value", ["1e400", '{"a": [1, -1e400]}', "[0.5, 1e999]"])
def test_a_number_that_is_not_finite_is_refused_wherever_it_is(value: str) -> None:
    stand = Stand()
    stand.up()
    head = f'"message_type":"Handshake","role":"CEM","message_id":"{ANYBODY}"'
    text = f'{{{head},"x":{value}}}'
    stand.manager.receive(text, stand.now)
    (answer,) = stand.said()
    assert answer["status"] == "INVALID_MESSAGE"
    assert stand.manager.status()["refused"] == {"range": 1}


@pytest.mark.parametrize(
    ("ident", "about"),
    [
        ("msg-1", "msg-1"),
        ("x" * 64, "x" * 64),
        ("x" * 65, NOBODY),
        ("m", NOBODY),
        ("a b", NOBODY),
        ("ab\n", NOBODY),
        (["ab"], NOBODY),
        (None, NOBODY),
    ],
)
def test_an_answer_names_an_id_that_s2_knows_or_nobody(ident: Any, about: str) -> None:
    """S2's schema of an ID: [a-zA-Z0-9\\-_:]{2,64}."""
    stand = Stand()
    stand.up()
    text = json.dumps({"message_type": "Nonsense", "message_id": ident})
    stand.manager.receive(text, stand.now)
    (answer,) = map(json.loads, stand.manager.to_send)
    assert answer["subject_message_id"] == about


def test_what_the_vehicle_can_do() -> None:
    """From 55 % of 40 kWh; 3 kW flow out, 3 more could, and 9 down to 6 in."""
    stand = Stand()
    stand.up()
    system = stand.described["FRBC.SystemDescription"]
    modes = {
        m["diagnostic_label"]: m for m in system["actuators"][0]["operation_modes"]
    }
    ranges = {
        name: tuple(
            mode["elements"][0]["power_ranges"][0][side]
            for side in ("start_of_range", "end_of_range")
        )
        for name, mode in modes.items()
    }
    assert ranges == {
        "idle": (0.0, 0.0),
        "charge": (0.0, 6000.0),
        "discharge": (-6000.0, 0.0),
    }
    rate = modes["charge"]["elements"][0]["fill_rate"]["end_of_range"]
    assert rate == pytest.approx(6000 * 0.94 / 3600 / 40_000 * 100)
    assert stand.described["FRBC.StorageStatus"]["present_fill_level"] == 55.0
    assert stand.described["PowerMeasurement"]["values"][0]["value"] == -2990.0


def test_only_what_has_changed_is_told_again() -> None:
    stand = Stand()
    stand.up()
    stand.said()
    for _ in range(700):
        stand.tick(0.2)  # longer than descriptions are held back
    assert {m["message_type"] for m in stand.said()} == {"PowerMeasurement"}


def test_without_a_state_of_charge_it_idles() -> None:
    stand = Stand()
    stand.up()
    bare = report()
    vehicle = replace(bare.snapshot.vehicle, soc_pct=None)
    gone = replace(bare, snapshot=replace(bare.snapshot, vehicle=vehicle))
    stand.manager.report(gone)
    stand.tick(1.0)
    (system,) = [m for m in stand.said() if "actuators" in m]
    assert len(system["actuators"][0]["operation_modes"]) == 1
    said = stand.tell("FRBC.Instruction", **stand.frbc("charge", 1.0))
    assert stand.statuses(said) == ["INVALID_CONTENT"]
    stand.manager.report(sized())
    stand.tick(0.2)
    assert "FRBC.SystemDescription" in stand.kinds()


def test_the_promise_is_a_target_profile() -> None:
    stand = Stand()
    stand.up()
    promise = Promise(stand.mono + 7200.0, 90.0, 30.0, reachable_soc_pct=80.0)
    made = sized()
    session = replace(made.snapshot.session, promise=promise)
    stand.manager.report(
        replace(made, snapshot=replace(made.snapshot, session=session))
    )
    stand.tick(0.2)
    (profile,) = [m for m in stand.said() if "elements" in m]
    told = [
        (e["duration"], e["fill_level_range"]["start_of_range"])
        for e in profile["elements"]
    ]
    assert told == [(7_199_800, 30.0), (3_600_000, 80.0)]


@pytest.mark.parametrize(
    ("mode", "factor", "power_w"),
    [
        ("charge", 0.5, 3000.0),
        ("discharge", 0.0, -6000.0),
        ("discharge", 0.75, -1500.0),
        ("idle", 0.0, 0.0),
    ],
)
def test_an_instruction_is_followed(mode: str, factor: float, power_w: float) -> None:
    stand = Stand()
    stand.up()
    said = stand.tell("FRBC.Instruction", **stand.frbc(mode, factor))
    assert stand.statuses(said) == ["OK", "ACCEPTED"]
    assert stand.asked() == {"s2.set": [(0.0, power_w)]}
    (signal,) = stand.signals
    assert (signal.evse_id, signal.valid_until_mono) == (1, stand.mono + 900.0)
    told = stand.said()
    assert stand.statuses(told)[0] == "STARTED"
    if mode != "idle":
        assert told[-1]["operation_mode_factor"] == factor


def test_a_later_one_begins_at_its_time_and_ends_the_first() -> None:
    stand = Stand()
    stand.up()
    stand.tell("FRBC.Instruction", **stand.frbc("charge", 1.0))
    stand.tell("FRBC.Instruction", **stand.frbc("discharge", 0.5, in_s=300.0))
    assert stand.asked() == {"s2.set": [(0.0, 6000.0), (300.0, -3000.0)]}
    stand.said()
    stand.tick(300.0)
    statuses = [m["status_type"] for m in stand.said() if "status_type" in m]
    assert statuses == ["SUCCEEDED", "STARTED"]


def test_it_ends_after_its_hold() -> None:
    stand = Stand(hold_s=60)
    stand.up()
    stand.tell("FRBC.Instruction", **stand.frbc("charge", 1.0))
    stand.tick()
    stand.said()
    (signal,) = stand.tick(60.0)
    assert (signal.source, signal.segments) == ("s2.set", ())
    assert "ABORTED" in stand.statuses(stand.said())


def test_revoked_before_and_while_it_runs() -> None:
    stand = Stand()
    stand.up()
    fields = stand.frbc("charge", 1.0)
    stand.tell("FRBC.Instruction", **fields)
    stand.tick()
    stand.said()
    revoke = {"object_type": "FRBC.Instruction", "object_id": fields["id"]}
    assert stand.statuses(stand.tell("RevokeObject", **revoke)) == ["OK", "REVOKED"]
    assert stand.asked() == {"s2.set": []}
    (idle,) = stand.said()
    assert idle["active_operation_mode_id"] == stand.mode("idle")
    assert stand.statuses(stand.tell("RevokeObject", **revoke)) == ["INVALID_CONTENT"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"operation_mode_factor": 1.01}, "range"),
        ({"operation_mode": ANYBODY}, "unknown"),
        ({"actuator_id": ANYBODY}, "unknown"),
        ({"execution_time": "2026-11-25T11:00:00Z"}, "stale"),
        ({"execution_time": "2026-12-25T11:00:00Z"}, "range"),
        ({"execution_time": "2026-11-25T12:00:00"}, "malformed"),
        ({"id": "x" * 100}, "malformed"),
    ],
)
def test_instructions_that_are_refused(change: dict[str, Any], reason: str) -> None:
    stand = Stand()
    stand.up()
    said = stand.tell("FRBC.Instruction", **{**stand.frbc("charge", 1.0), **change})
    assert stand.statuses(said)[0] != "OK"
    assert stand.asked() == {}
    assert stand.manager.status()["refused"] == {reason: 1}


def test_a_replay_is_refused() -> None:
    stand = Stand()
    stand.up()
    fields = stand.frbc("charge", 1.0)
    stand.tell("FRBC.Instruction", **fields)
    assert stand.statuses(stand.tell("FRBC.Instruction", **fields)) == [
        "INVALID_CONTENT"
    ]
    assert stand.manager.status()["refused"] == {"replayed": 1}


def test_another_control_type_or_none_ends_what_was_asked() -> None:
    for control in (PEBC, "NO_SELECTION"):
        stand = Stand()
        stand.up()
        stand.tell("FRBC.Instruction", **stand.frbc("charge", 1.0))
        stand.tick()
        stand.said()
        said = stand.tell("SelectControlType", control_type=control)
        assert stand.statuses(said)[:2] == ["OK", "ABORTED"]
        assert stand.asked() == {"s2.set": []}
        refused = stand.tell("FRBC.Instruction", **stand.frbc("charge", 1.0))
        assert stand.statuses(refused) == ["INVALID_CONTENT"]


def test_the_socket_s_end_ends_what_was_asked() -> None:
    stand = Stand()
    stand.up()
    stand.tell("FRBC.Instruction", **stand.frbc("charge", 1.0))
    stand.tick()
    stand.manager.end(stand.now)
    assert stand.asked() == {"s2.set": []}
    assert stand.manager.to_send == []


def test_an_envelope_caps_and_may_force() -> None:
    stand = Stand()
    stand.up(PEBC)
    told = stand.described
    assert "FRBC.SystemDescription" not in told
    steps = [(60, -2000, 3000), (60, -4000, -1000), (60, 500, 500)]
    said = stand.tell("PEBC.Instruction", **stand.pebc(*steps))
    assert stand.statuses(said) == ["OK", "ACCEPTED"]
    assert stand.asked() == {
        "s2.limit": [
            (0.0, (3000.0, -2000.0)),
            (60.0, (0.0, -4000.0)),
            (120.0, (500.0, 0.0)),
        ],
        "s2.set": [(0.0, (None, None)), (60.0, -1000.0), (120.0, 500.0)],
    }
    stand.tick(180.0)
    assert {s.source: s.segments for s in stand.signals} == {
        "s2.limit": (),
        "s2.set": (),
    }
    assert "SUCCEEDED" in stand.statuses(stand.said())


@pytest.mark.parametrize(
    ("elements", "change", "reason"),
    [
        ([(60, -6001, 0)], {}, "range"),
        ([(60, 0, 7001)], {}, "range"),
        ([(60, 1000, -1000)], {}, "range"),
        ([(0, 0, 0)], {}, "range"),
        ([(1e6, 0, 0)], {}, "range"),
        ([(60, 0, 0)], {"power_constraints_id": ANYBODY}, "stale"),
        ([(60, 0, 0)], {"power_envelopes": []}, "unit"),
    ],
)
def test_envelopes_that_are_refused(elements: Any, change: Any, reason: str) -> None:
    stand = Stand()
    stand.up(PEBC)
    said = stand.tell("PEBC.Instruction", **{**stand.pebc(*elements), **change})
    assert stand.statuses(said)[0] != "OK"
    assert stand.asked() == {}
    assert stand.manager.status()["refused"] == {reason: 1}


def test_the_cem_may_end_the_session() -> None:
    stand = Stand()
    stand.up()
    assert stand.statuses(stand.tell("SessionRequest", request="TERMINATE")) == ["OK"]
    assert stand.manager.over


def test_status_is_plain() -> None:
    stand = Stand()
    stand.up()
    stand.tell("FRBC.Instruction", **stand.frbc("charge", 1.0))
    stand.tick()
    status = json.loads(json.dumps(stand.manager.status()))
    assert status["instruction"] == "FRBC.Instruction charge"
    assert (status["accepted"], status["sessions"]) == (1, 1)
