"""ECHONET Lite: frames, services, properties, what settings mean, how long they hold.

Codes are those of the machine readable appendix 1.3.1 (refs: grid 1.1).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargerd.grid.echonet import MOST_PROPERTIES, Node, Work
from chargerd.grid.echonet_frame import (
    Esv,
    Frame,
    Property,
    property_map,
    read,
    write,
)
from chargerd.grid.echonet_objects import Charger, Profile
from chargerd.grid.errors import GridError
from chargerd.model import (
    ActiveFault,
    EvseReport,
    OperationMode,
    Priority,
    Promise,
    SessionPhase,
)
from firmware_bridge.api import (
    MeterReading,
    PilotReading,
    PilotState,
    Reading,
    Telemetry,
)
from tests.unit.grid.stand import UTC0, config, report

HEMS, OTHER_HEMS, NEIGHBOUR = "192.168.1.9", "192.168.1.10", "192.168.1.66"
CONTROLLER = b"\x05\xff\x01"
PROFILE, ONE, ALL = b"\x0e\xf0\x01", b"\x02\x7e\x01", b"\x02\x7e\x00"
HOLD_S = 900.0


def node(**values: Any) -> Node:
    asked = config(
        echonet={
            "controllers": [f"{HEMS}/32", f"{OTHER_HEMS}/32"],
            "requests_per_s": 200,
            **values,
        }
    )
    assert asked.grid.echonet is not None
    chargers = tuple(Charger(e, asked.station, "00000B", 20.0) for e in asked.evse)
    profile = Profile(asked.station, "00000B", chargers)
    return Node(asked.grid.echonet, profile, chargers)


def ask(
    at: Node,
    esv: Esv,
    *properties: tuple[int, bytes],
    target: bytes = ONE,
    host: str = HEMS,
    now: float = 100.0,
    more: tuple[int, ...] = (),
) -> Work:
    frame = Frame(
        0x1234,
        CONTROLLER,
        target,
        esv,
        tuple(Property(*p) for p in properties),
        tuple(Property(epc) for epc in more),
    )
    return at.receive(write(frame), host, now)


def answers(work: Work) -> list[Frame]:
    return [read(out.data) for out in work.outs if out.host is not None]


def announced(work: Work) -> dict[int, bytes]:
    return {
        p.epc: p.edt
        for out in work.outs
        if out.host is None
        for p in read(out.data).properties
    }


def value(at: Node, epc: int, target: bytes = ONE, now: float = 100.0) -> bytes:
    (answer,) = answers(ask(at, Esv.GET, (epc, b""), target=target, now=now))
    return answer.properties[0].edt


def command(at: Node, now: float = 100.0, **sent: int) -> Work:
    """Keywords such as da=0x43; 4 bytes where the class has 4."""
    sizes = {"de": 4, "e0": 4, "eb": 4, "ec": 4}
    return ask(
        at,
        Esv.SETC,
        *(
            (int(code, 16), n.to_bytes(sizes.get(code, 1), "big", signed=n < 0))
            for code, n in sent.items()
        ),
        now=now,
    )


properties = st.lists(
    st.builds(Property, st.integers(0x80, 0xFF), st.binary(max_size=20)), max_size=20
).map(tuple)


@given(st.integers(0, 0xFFFF), st.sampled_from(Esv), properties, properties)
def test_a_frame_survives_the_wire(
    tid: int, esv: Esv, first: tuple[Property, ...], more: tuple[Property, ...]
) -> None:
    two = esv in (Esv.SETGET, Esv.SETGET_RES, Esv.SETGET_SNA)
    frame = Frame(tid, CONTROLLER, ONE, esv, first, more if two else ())
    assert read(write(frame)) == frame


@given(st.binary(max_size=60))
def test_any_bytes_are_a_frame_or_an_error(data: bytes) -> None:
    for candidate in (data, b"\x10\x81" + data):
        try:
            frame = read(candidate)
        except GridError:
            continue
        assert write(frame) == candidate


def codes(edt: bytes) -> set[int]:
    """What a property map names, by another way than the map was made."""
    if edt[0] < 16:
        return set(edt[1:])
    return {e for e in range(0x80, 0x100) if edt[1 + e % 16] & 1 << (e // 16 - 8)}


@given(st.sets(st.integers(0x80, 0xFF)))
def test_a_property_map_tells_every_code(epcs: set[int]) -> None:
    edt = property_map(epcs)
    assert (edt[0], codes(edt)) == (len(epcs), epcs)


def test_the_start_is_announced_with_all_instances() -> None:
    (out,) = node().greet()
    frame = read(out.data)
    assert (out.host, frame.esv, frame.source, frame.target) == (
        None,
        Esv.INF,
        PROFILE,
        PROFILE,
    )
    assert frame.properties == (Property(0xD5, b"\x02\x02\x7e\x01\x02\x7e\x02"),)


def test_the_profile_tells_who_is_there() -> None:
    at = node()
    assert value(at, 0xD6, PROFILE) == b"\x02\x02\x7e\x01\x02\x7e\x02"
    assert value(at, 0xD3, PROFILE) == b"\x00\x00\x02"
    assert value(at, 0xD7, PROFILE) == b"\x01\x02\x7e"
    assert value(at, 0x8A, PROFILE) == b"\x00\x00\x0b"
    identities = {value(at, 0x83, eoj) for eoj in (PROFILE, ONE, b"\x02\x7e\x02")}
    assert {len(identity) for identity in identities} == {17}
    assert len(identities) == 3
    (answer,) = answers(ask(at, Esv.GET, (0xD5, b""), target=PROFILE))
    assert answer.esv is Esv.GET_SNA  # D5 is for announcements


REPORT_VALUES = [
    (0x80, b"\x30"),
    (0x88, b"\x42"),
    (0xC0, (32_000).to_bytes(4, "big")),
    (0xC2, (14_000).to_bytes(4, "big")),  # 55 % less the floor of 20 %, of 40 kWh
    (0xC4, b"\x2b"),  # of the 32 kWh above the floor
    (0xC5, (7000).to_bytes(4, "big")),
    (0xC7, b"\x43"),
    (0xC8, bytes(4) + (7000).to_bytes(4, "big")),
    (0xC6, (6000).to_bytes(4, "big")),
    (0xC9, bytes(4) + (6000).to_bytes(4, "big")),
    (0xCA, bytes(2) + (304).to_bytes(2, "big")),  # 7000 W at 230 V
    (0xCB, bytes(2) + (260).to_bytes(2, "big")),
    (0xCC, b"\x22"),
    (0xD2, (230).to_bytes(2, "big")),
    (0xD4, (-130).to_bytes(2, "big", signed=True)),
    (0xD5, (231).to_bytes(2, "big")),
    (0xCE, (40_000).to_bytes(4, "big")),
    (0xCF, (18_000).to_bytes(4, "big")),
    (0xD3, (-2990).to_bytes(4, "big", signed=True)),
    (0xD6, (500).to_bytes(4, "big")),
    (0xD8, (1000).to_bytes(4, "big")),
    (0xDA, b"\x49"),
    (0xDB, b"\x00"),
    (0xE1, b"\x43"),
    (0xE2, (22_000).to_bytes(4, "big")),
    (0xE4, b"\x37"),
]


def known(up_wh: float = 50_000.0, **changes: Any) -> EvseReport:
    """The stand's report, with a battery of 40 kWh; `changes` go into its snapshot."""
    made = report()
    vehicle = replace(made.snapshot.vehicle, capacity_wh=40_000.0)
    meter = MeterReading(-2990.0, 1000.0, 500.0, voltage_v=(231.0,), current_a=(13.0,))
    told = {"vehicle": vehicle, "telemetry": Telemetry(meter=Reading(meter, 99.9))}
    assert made.flexibility is not None
    return replace(
        made,
        snapshot=replace(made.snapshot, **{**told, **changes}),
        flexibility=replace(made.flexibility, up_wh=up_wh),
    )


@pytest.mark.parametrize(("epc", "edt"), REPORT_VALUES)
def test_a_report_is_read_as_properties(epc: int, edt: bytes) -> None:
    at = node()
    at.report(known())
    assert value(at, epc) == edt


def test_the_drivers_floor_counts() -> None:
    at = node()
    session = replace(known().snapshot.session, promise=Promise(1e4, 80.0, 30.0))
    at.report(known(session=session))
    assert value(at, 0xC2) == (10_000).to_bytes(4, "big")


def test_what_the_promise_needs_is_not_told_as_dischargeable() -> None:
    at = node()
    at.report(known(up_wh=8000.0))
    assert value(at, 0xC2) == (8000).to_bytes(4, "big")
    assert value(at, 0xC4) == b"\x19"


def test_what_may_not_be_discharged_now_is_told_by_the_battery_alone() -> None:
    at = node()
    made = known(up_wh=8000.0)
    at.report(replace(made, decision=replace(made.decision, low_w=0.0)))
    assert value(at, 0xC2) == (14_000).to_bytes(4, "big")


def test_a_floor_at_the_top_leaves_nothing() -> None:
    at = node()
    session = replace(known().snapshot.session, promise=Promise(1e4, 80.0, 100.0))
    at.report(known(session=session))
    assert (value(at, 0xC0), value(at, 0xC2), value(at, 0xC4)) == (
        bytes(4), bytes(4), b"\0",
    )  # fmt: skip


def test_the_maps_tell_the_truth() -> None:
    """What 9F names has a value once all is known; nothing else has one."""
    at = node()
    at.report(known())
    for target in (PROFILE, ONE):
        listed = codes(value(at, 0x9F, target))
        for epc in range(0x80, 0x100):
            (answer,) = answers(ask(at, Esv.GET, (epc, b""), target=target))
            assert (answer.esv is Esv.GET_RES) == (epc in listed), hex(epc)


def test_what_is_not_known_is_not_served() -> None:
    at = node()
    (answer,) = answers(ask(at, Esv.GET, (0xE4, b""), (0xC5, b""), (0xC7, b"")))
    assert answer.esv is Esv.GET_SNA
    assert [p.edt for p in answer.properties] == [
        b"",
        (7000).to_bytes(4, "big"),
        b"\xff",
    ]


CONNECTIONS = [
    (SessionPhase.IDLE, {}, 0x30),
    (SessionPhase.CONNECTED, {"low_w": 0.0, "high_w": 0.0}, 0x40),
    (SessionPhase.ENERGY, {"low_w": 0.0, "high_w": 6000.0}, 0x41),
    (SessionPhase.ENERGY, {"low_w": -6000.0, "high_w": 0.0}, 0x42),
]


@pytest.mark.parametrize(("phase", "bounds", "code"), CONNECTIONS)
def test_connection(phase: SessionPhase, bounds: dict[str, float], code: int) -> None:
    at = node()
    made = report(**bounds)
    session = replace(made.snapshot.session, phase=phase)
    at.report(replace(made, snapshot=replace(made.snapshot, session=session)))
    assert value(at, 0xC7) == bytes((code,))


def test_a_pilot_that_nobody_understands_is_no_vehicle_that_can() -> None:
    at = node()
    pilot = Reading(PilotReading(PilotState.UNKNOWN), 99.9)
    at.report(known(telemetry=Telemetry(pilot=pilot)))
    assert value(at, 0xC7) == b"\x44"


@pytest.mark.parametrize(
    ("phase", "power_w", "mode"),
    [
        (SessionPhase.IDLE, 0.0, 0x47),
        (SessionPhase.FINISHED, 0.0, 0x47),
        (SessionPhase.STARTING, 0.0, 0x48),
        (SessionPhase.ENERGY, 100.0, 0x42),
        (SessionPhase.ENERGY, 99.0, 0x44),
        (SessionPhase.ENERGY, -99.0, 0x44),
        (SessionPhase.ENERGY, -100.0, 0x43),
        (SessionPhase.CONNECTED, 0.0, 0x44),
    ],
)
def test_what_it_does(phase: SessionPhase, power_w: float, mode: int) -> None:
    at = node()
    made = report(power_w=power_w)
    session = replace(made.snapshot.session, phase=phase)
    at.report(replace(made, snapshot=replace(made.snapshot, session=session)))
    assert value(at, 0xE1) == bytes((mode,))


EXTERNAL, FOLLOW = OperationMode.EXTERNAL_SETPOINT, OperationMode.LOCAL_LOAD_BALANCING
MEANINGS: list[tuple[dict[str, int], OperationMode, dict[str, float | None]]] = [
    ({"da": 0x42}, EXTERNAL, {"setpoint_w": 7000.0}),
    ({"dc": 3, "eb": 2500, "da": 0x42}, EXTERNAL, {"setpoint_w": 2500.0}),
    ({"dc": 3, "eb": 99_000, "da": 0x42}, EXTERNAL, {"setpoint_w": 7000.0}),
    ({"dc": 3, "e0": 1200, "da": 0x42}, EXTERNAL, {"setpoint_w": 1200.0}),
    ({"dc": 3, "e0": -1200, "da": 0x42}, EXTERNAL, {"setpoint_w": 0.0}),
    ({"dc": 2, "da": 0x42}, FOLLOW, {"follow_w": 0.0, "discharge_limit_w": 0.0}),
    (
        {"dc": 5, "de": 500, "da": 0x42},
        FOLLOW,
        {"follow_w": 500.0, "discharge_limit_w": 0.0, "limit_w": None},
    ),
    ({"da": 0x43}, EXTERNAL, {"setpoint_w": -6000.0}),
    ({"dd": 3, "ec": 3000, "da": 0x43}, EXTERNAL, {"setpoint_w": -3000.0}),
    ({"dd": 3, "e0": -700, "da": 0x43}, EXTERNAL, {"setpoint_w": -700.0}),
    ({"dd": 3, "e0": 700, "da": 0x43}, EXTERNAL, {"setpoint_w": 0.0}),
    ({"dd": 2, "da": 0x43}, FOLLOW, {"follow_w": 0.0, "limit_w": 0.0}),
    (
        {"dd": 5, "de": 500, "da": 0x43},
        FOLLOW,
        {"follow_w": 500.0, "limit_w": 0.0, "discharge_limit_w": None},
    ),
    ({"da": 0x44}, OperationMode.IDLE, {"setpoint_w": None}),
    ({"da": 0x47}, OperationMode.IDLE, {"limit_w": None}),
    ({"da": 0x46}, FOLLOW, {"follow_w": 0.0, "limit_w": None}),
    ({"e0": -4000, "da": 0x46}, EXTERNAL, {"setpoint_w": -4000.0}),
]


@pytest.mark.parametrize(("sent", "mode", "says"), MEANINGS)
def test_what_a_setting_means(
    sent: dict[str, int], mode: OperationMode, says: dict[str, float | None]
) -> None:
    work = command(node(), **sent)
    (signal,) = work.signals
    (segment,) = signal.segments
    assert (signal.source, signal.evse_id, signal.priority) == (
        "echonet",
        1,
        Priority.HOME,
    )
    assert signal.valid_until_mono == 100.0 + HOLD_S
    assert segment.mode is mode
    assert {name: getattr(segment, name) for name in says} == says


def test_v2g_leaves_it_to_whoever_speaks_for_the_grid() -> None:
    (signal,) = command(node(), dd=6, da=0x43).signals
    assert signal.at(100.0) is None


def test_amounts_first_then_the_mode() -> None:
    """As HEMSs do: nothing is ordered until the mode is set (refs: grid 1.1)."""
    at = node()
    assert command(at, dd=3, ec=2000).signals == []
    (signal,) = command(at, da=0x43).signals
    assert signal.segments[0].setpoint_w == -2000.0
    (signal,) = command(at, now=101.0, ec=2500).signals
    assert signal.segments[0].setpoint_w == -2500.0
    assert signal.valid_until_mono == 101.0 + HOLD_S


def test_a_command_ends_by_itself_and_says_so() -> None:
    at = node()
    at.report(report())
    assert announced(command(at, now=102.0, da=0x43)) == {0xDA: b"\x43"}
    assert at.tick(102.0 + HOLD_S - 0.1).signals == []
    work = at.tick(102.0 + HOLD_S)
    (signal,) = work.signals
    assert signal.at(102.0 + HOLD_S) is None
    assert announced(work) == {0xDA: b"\x49"}
    assert value(at, 0xDA) == b"\x49"
    assert at.tick(102.0 + HOLD_S).signals == []


def test_automatic_withdraws() -> None:
    at = node()
    command(at, da=0x43)
    (signal,) = command(at, now=101.0, da=0x49).signals
    assert (signal.segments, signal.valid_until_mono) == ((), 101.0)
    assert command(at, now=102.0, da=0x49).signals == []


@pytest.mark.parametrize(
    ("kept", "host", "alive"),
    [(True, HEMS, True), (True, OTHER_HEMS, False), (False, HEMS, False)],
)
def test_questions_keep_a_command_where_that_is_wanted(
    kept: bool, host: str, alive: bool
) -> None:
    at = node(kept_by_get=kept)
    command(at, da=0x43)
    for now in range(110, 1100, 10):
        ask(at, Esv.GET, (0xDA, b""), host=host, now=float(now))
        at.tick(float(now))
    assert (value(at, 0xDA, now=1101.0) == b"\x43") is alive


def test_each_service_has_its_answer() -> None:
    at = node()
    good, bad = (0xDA, b"\x44"), (0xDA, b"\x99")
    cases: list[tuple[Esv, tuple[int, bytes], Esv | None, bytes]] = [
        (Esv.SETC, good, Esv.SET_RES, b""),
        (Esv.SETC, bad, Esv.SETC_SNA, b"\x99"),
        (Esv.SETI, good, None, b""),
        (Esv.SETI, bad, Esv.SETI_SNA, b"\x99"),
        (Esv.GET, (0xDA, b""), Esv.GET_RES, b"\x44"),
        (Esv.GET, (0xCD, b""), Esv.GET_SNA, b""),
        (Esv.INF_REQ, (0xF9, b""), Esv.INF_SNA, b""),
        (Esv.INFC, (0xDA, b"\x43"), Esv.INFC_RES, b""),
    ]
    for esv, sent, answer, edt in cases:
        frames = answers(ask(at, esv, sent))
        if answer is None:
            assert frames == []
            continue
        (frame,) = frames
        assert (frame.esv, frame.tid, frame.source, frame.target) == (
            answer,
            0x1234,
            ONE,
            CONTROLLER,
        )
        assert frame.properties == (Property(sent[0], edt),)
    assert value(at, 0xDA) == b"\x44"


def test_an_announcement_asked_for_goes_to_everybody() -> None:
    work = ask(node(), Esv.INF_REQ, (0xDA, b""))
    assert announced(work) == {0xDA: b"\x49"}
    work = ask(node(), Esv.INF_REQ, (0xD5, b""), target=PROFILE)
    assert set(announced(work)) == {0xD5}


def test_set_and_get_in_one() -> None:
    at = node()
    (frame,) = answers(ask(at, Esv.SETGET, (0xDA, b"\x44"), more=(0xDA, 0xC5)))
    assert frame.esv is Esv.SETGET_RES
    assert [p.edt for p in frame.more] == [b"\x44", (7000).to_bytes(4, "big")]
    (frame,) = answers(ask(at, Esv.SETGET, (0xDA, b"\x42"), more=(0xE4,)))
    assert (frame.esv, frame.more) == (Esv.SETGET_SNA, (Property(0xE4),))


def test_instance_zero_is_every_charger() -> None:
    at = node()
    work = ask(at, Esv.SETC, (0xDA, b"\x44"), target=ALL)
    assert [signal.evse_id for signal in work.signals] == [1, 2]
    assert [frame.source[2] for frame in answers(work)] == [1, 2]


def test_changes_are_announced_once_and_not_too_often() -> None:
    at = node()
    first = Work(outs=at.report(report()))
    assert set(announced(first)) == {0x80, 0x81, 0x88, 0xC7, 0xDA}
    assert at.report(report(mono=105.0)) == []
    fault = ActiveFault("GroundFault", 1, UTC0)
    made = report(mono=106.0)
    faulty = replace(made, snapshot=replace(made.snapshot, faults=(fault,)))
    assert announced(Work(outs=at.report(faulty))) == {0x88: b"\x41"}
    assert at.report(report(mono=106.5)) == []  # told a moment later
    assert announced(Work(outs=at.report(report(mono=107.1)))) == {0x88: b"\x42"}


def test_the_place_is_kept() -> None:
    at = node()
    work = ask(at, Esv.SETC, (0x81, b"\x08"))
    assert work.signals == []
    assert value(at, 0x81) == b"\x08"
    assert announced(work)[0x81] == b"\x08"


REFUSED = [
    ("unauthorised", Esv.SETC, ((0xDA, b"\x43"),), NEIGHBOUR, ONE),
    ("unauthorised", Esv.SETI, ((0xDA, b"\x43"),), NEIGHBOUR, ALL),
    ("unauthorised", Esv.SETGET, ((0xDA, b"\x43"),), NEIGHBOUR, ONE),
    ("unknown host", Esv.GET, ((0xDA, b""),), "8.8.8.8", ONE),
    ("contradictory", Esv.SETC, ((0xDA, b"\x42"), (0xDA, b"\x43")), HEMS, ONE),
    ("no such object", Esv.SETC, ((0xDA, b"\x43"),), HEMS, b"\x02\x7e\x03"),
    ("no such object", Esv.SETC, ((0xDA, b"\x43"),), HEMS, b"\x02\x7d\x01"),
    ("size", Esv.GET, ((0xDA, b""),) * (MOST_PROPERTIES + 1), HEMS, ONE),
]


@pytest.mark.parametrize(("reason", "esv", "sent", "host", "target"), REFUSED)
def test_refused_and_counted(
    reason: str, esv: Esv, sent: tuple[Any, ...], host: str, target: bytes
) -> None:
    at = node()
    work = ask(at, esv, *sent, host=host, target=target)
    assert work.signals == []
    assert at.status()["refused"] == {reason: 1}
    assert value(at, 0xDA) == b"\x49"


BAD_VALUES = [
    (0xDA, b""),
    (0xDA, b"\x43\x43"),
    (0xDA, b"\x40"),
    (0xDA, b"\x48"),
    (0xDC, b"\x04"),
    (0xDD, b"\x07"),
    (0xCD, b"\x11"),
    (0xEB, b"\x00\x10"),
    (0xEB, (1_000_000_000).to_bytes(4, "big")),
    (0xE0, (-1_000_000_000).to_bytes(4, "big", signed=True)),
    (0xE4, b"\x10"),  # can be read only
    (0x80, b"\x31"),
    (0x81, b"\xff"),
    (0xF0, b"\x00"),
]


@pytest.mark.parametrize(("epc", "edt"), BAD_VALUES)
def test_a_bad_value_goes_back_as_it_came(epc: int, edt: bytes) -> None:
    at = node()
    command(at, da=0x44)
    work = ask(at, Esv.SETC, (epc, edt))
    (frame,) = answers(work)
    assert (frame.esv, frame.properties) == (Esv.SETC_SNA, (Property(epc, edt),))
    assert work.signals == []


def test_half_of_a_set_is_not_followed() -> None:
    """Without its bad amount this would be a discharge with all there is."""
    at = node()
    sent = (0x81, b"\x08"), (0xDD, b"\x03"), (0xEC, b"\xff" * 4), (0xDA, b"\x43")
    work = ask(at, Esv.SETC, *sent)
    (frame,) = answers(work)
    assert frame.esv is Esv.SETC_SNA
    assert [(p.epc, p.edt) for p in frame.properties] == list(sent)
    assert work.signals == []
    assert (value(at, 0xDA), value(at, 0xDD), value(at, 0x81)) == (
        b"\x49",
        b"\x01",
        b"i",
    )
