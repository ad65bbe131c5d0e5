"""The SunSpec server: Modbus bytes, registers, what a write means, reversion, pulse.

Registers are found by name in the layout; that the layout is SunSpec's is tested with
pysunspec2's model files (tests/interop).
"""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargerd.grid.errors import GridError
from chargerd.grid.sunspec import Server
from chargerd.grid.sunspec_modbus import MOST_READ, MOST_WRITTEN, Stream
from chargerd.grid.sunspec_points import BASE, END, POINTS, encode
from chargerd.model import (
    ActiveFault,
    DispatchSignal,
    EvseReport,
    OperationMode,
    Priority,
    SessionPhase,
)
from firmware_bridge.api import (
    MeterReading,
    PilotReading,
    PilotState,
    Reading,
    StageMode,
    StageReading,
)
from tests.unit.grid.stand import UTC0, config, report

BY_NAME = {point.name: point for point in POINTS}
HOLD_S, PULSE_S = 900.0, 30.0
NOT_IMPLEMENTED = {1: 0xFFFF, 2: 0xFFFF_FFFF, 4: (1 << 64) - 1}


def server(evse: dict[str, Any] | None = None, **values: Any) -> Server:
    asked = config(sunspec={"controllers": ["127.0.0.1/32"], **values})
    assert asked.grid.sunspec is not None
    evses = tuple(one.model_copy(update=evse or {}) for one in asked.evse)
    return Server(asked.grid.sunspec, asked.station, evses)


def ask(
    at: Server, pdu: bytes, *, unit: int = 1, now: float = 100.0, may_write: bool = True
) -> tuple[bytes, list[DispatchSignal]]:
    """One PDU in, one PDU out, through the framing."""
    adu = struct.pack(">HHHB", 7, 0, len(pdu) + 1, unit) + pdu
    (request,) = Stream().feed(adu)
    answer, signals = at.serve(request, now, may_write=may_write)
    tid, protocol, length, back = struct.unpack_from(">HHHB", answer)
    assert (tid, protocol, length, back) == (7, 0, len(answer) - 6, unit)
    return answer[7:], signals


def raw(at: Server, name: str, **where: Any) -> int:
    point = BY_NAME[name]
    answer, _ = ask(at, struct.pack(">BHH", 3, point.address, point.words), **where)
    assert answer[:2] == bytes((3, 2 * point.words)), answer.hex()
    signed = point.kind in ("int16", "int32", "sunssf")
    return int.from_bytes(answer[2:], "big", signed=signed)


def text(at: Server, name: str) -> str:
    point = BY_NAME[name]
    answer, _ = ask(at, struct.pack(">BHH", 3, point.address, point.words))
    return answer[2:].rstrip(b"\0").decode()


def put(
    at: Server, *pairs: tuple[str, int], now: float = 100.0, **where: Any
) -> tuple[bytes, list[DispatchSignal]]:
    """Points that lie side by side, in one write."""
    first = BY_NAME[pairs[0][0]]
    words: list[int] = []
    for name, value in pairs:
        assert BY_NAME[name].address == first.address + len(words)
        words += encode(BY_NAME[name], value)
    head = struct.pack(">BHHB", 16, first.address, len(words), 2 * len(words))
    return ask(at, head + struct.pack(f">{len(words)}H", *words), now=now, **where)


def order(at: Server, now: float = 100.0, **points: int) -> list[DispatchSignal]:
    """Each point in a write of its own; the signals of the last."""
    signals: list[DispatchSignal] = []
    for name, value in points.items():
        answer, signals = put(at, (f"704.{name}", value), now=now)
        assert answer[0] == 16, answer.hex()
    return signals


def known(**changes: Any) -> EvseReport:
    made = report(**changes.pop("decision", {}))
    vehicle = replace(made.snapshot.vehicle, capacity_wh=40_000.0)
    meter = MeterReading(-2990.0, 1000.0, 500.0, 49.98, (231.0,), (-13.0,), (-2990.0,))
    stage = StageReading(380.0, -8.0, StageMode.DISCHARGE, on=True)
    telemetry = replace(
        made.snapshot.telemetry,
        meter=Reading(meter, 99.9),
        stage=Reading(stage, 99.9),
        pilot=Reading(PilotReading(PilotState.C, temperature_c=21.4), 99.9),
    )
    snapshot = replace(
        made.snapshot, **{"vehicle": vehicle, "telemetry": telemetry, **changes}
    )
    return replace(made, snapshot=snapshot)


def test_the_map_begins_and_ends_as_sunspec_wants() -> None:
    at = server()
    answer, _ = ask(at, struct.pack(">BHH", 3, BASE, 4))
    assert answer[2:] == b"SunS" + struct.pack(">HH", 1, 66)
    answer, _ = ask(at, struct.pack(">BHH", 3, END - 2, 2))
    assert answer[2:] == b"\xff\xff\x00\x00"


def test_the_whole_map_in_any_pieces() -> None:
    at = server()
    at.report(known())

    def pieces(size: int) -> bytes:
        parts = []
        for start in range(BASE, END, size):
            count = min(size, END - start)
            answer, _ = ask(at, struct.pack(">BHH", 3, start, count))
            parts.append(answer[2:])
        return b"".join(parts)

    assert pieces(MOST_READ) == pieces(1)


VALUES = [
    ("701.W", 2990),  # into the grid is positive here
    ("701.WL1", 2990),
    ("701.TotWhInj", 500),
    ("701.TotWhAbs", 1000),
    ("701.Hz", 49_980),
    ("701.LNV", 2310),
    ("701.A", 130),
    ("701.VL1", 2310),
    ("701.AL1", 130),
    ("701.TmpOt", 21),
    ("701.St", 1),
    ("701.ConnSt", 1),
    ("701.InvSt", 3),
    ("701.Alrm", 0),
    ("702.WMaxRtg", 6000),
    ("702.WChaRteMaxRtg", 7000),
    ("702.CtrlModes", 3),
    ("702.VNom", 2300),
    ("713.Sta", 0),
    ("713.SoC", 550),
    ("713.WHRtg", 4000),
    ("713.WHAvail", 2200),
    ("714.DCW", 3040),
    ("714.DCA", 80),
    ("714.Prt_DCW", 3040),
    ("714.Prt_DCA", 80),
    ("714.Prt_DCSta", 1),
    ("714.Prt_DCV", 3800),
    ("714.Prt_PrtTyp", 2),
    ("714.NPrt", 1),
    ("715.LocRemCtl", 0),
    ("715.DERHb", 100),
    ("704.WSetEna", 0),
    ("704.WSetMod", 1),
    ("704.WMaxLimPct", 1000),
]


@pytest.mark.parametrize(("name", "value"), VALUES)
def test_a_report_is_read_as_registers(name: str, value: int) -> None:
    at = server()
    at.report(known())
    assert raw(at, name) == value


@pytest.mark.parametrize(
    ("vehicle", "values"),
    [
        ({"soc_pct": None}, {"713.WHRtg": 4000, "713.SoC": 0xFFFF}),
        ({"capacity_wh": None}, {"713.SoC": 550, "713.WHRtg": 0xFFFF}),
    ],
)
def test_what_a_vehicle_does_not_tell(
    vehicle: dict[str, None], values: dict[str, int]
) -> None:
    at = server()
    at.report(known(vehicle=replace(known().snapshot.vehicle, **vehicle)))
    assert {name: raw(at, name) for name in values} == values
    assert raw(at, "713.WHAvail") == 0xFFFF


@pytest.mark.parametrize("name", ["701.Hz", "713.SoH", "701.VA", "715.OpCtl"])
def test_what_is_not_known_is_not_implemented(name: str) -> None:
    at = server()
    at.report(report())
    unsigned = raw(at, name) & NOT_IMPLEMENTED[BY_NAME[name].words]
    signed = BY_NAME[name].kind == "int16"
    assert unsigned == (0x8000 if signed else NOT_IMPLEMENTED[BY_NAME[name].words])


def test_who_it_is() -> None:
    at = server()
    assert (text(at, "1.Md"), text(at, "1.SN")) == ("chargerd", "CS1")
    assert raw(at, "1.DA", unit=2) == 2


@pytest.mark.parametrize(
    ("names", "power_w", "alarm", "state"),
    [
        (("GroundFailure",), 0.0, 1 << 0, 6),
        (("EmergencyStop",), 0.0, 1 << 6, 6),
        (("CableOverTempDerate",), 0.0, 1 << 16, 6),
        (("GroundFailure", "EmergencyStop"), 0.0, (1 << 0) | (1 << 6), 6),
        (("CableOverTempDerate",), -3000.0, 1 << 16, 3),  # it goes on, derated
    ],
)
def test_a_fault_is_an_alarm(
    names: tuple[str, ...], power_w: float, alarm: int, state: int
) -> None:
    at = server()
    faults = tuple(ActiveFault(name, 1, UTC0) for name in names)
    at.report(known(faults=faults, decision={"power_w": power_w}))
    assert raw(at, "701.Alrm") == alarm
    assert raw(at, "701.InvSt") == state
    assert raw(at, "713.Sta") == 2
    assert text(at, "701.MnAlrmInfo") == names[0]


@pytest.mark.parametrize(
    ("phase", "power_w", "state"),
    [
        (SessionPhase.IDLE, 0.0, 0),
        (SessionPhase.CONNECTED, 0.0, 7),
        (SessionPhase.STARTING, 0.0, 2),
        (SessionPhase.ENERGY, -3000.0, 3),
        (SessionPhase.ENERGY, 0.0, 7),
        (SessionPhase.STOPPING, 0.0, 5),
    ],
)
def test_operating_state(phase: SessionPhase, power_w: float, state: int) -> None:
    at = server()
    made = known(decision={"power_w": power_w})
    session = replace(made.snapshot.session, phase=phase)
    at.report(replace(made, snapshot=replace(made.snapshot, session=session)))
    assert raw(at, "701.InvSt") == state


MEANINGS = [
    ({"WSet": 3000, "WSetEna": 1}, "setpoint_w", -3000.0),
    ({"WSet": -2500, "WSetEna": 1}, "setpoint_w", 2500.0),
    ({"WSet": 99_000, "WSetEna": 1}, "setpoint_w", -6000.0),
    ({"WSetMod": 0, "WSetPct": 500, "WSetEna": 1}, "setpoint_w", -3000.0),
    ({"WSetMod": 0, "WSetPct": -250, "WSetEna": 1}, "setpoint_w", 1750.0),
    ({"WMaxLimPct": 250, "WMaxLimPctEna": 1}, "discharge_limit_w", -1500.0),
    ({"WMaxLimPct": 0, "WMaxLimPctEna": 1}, "discharge_limit_w", 0.0),
]


@pytest.mark.parametrize(("points", "field", "power_w"), MEANINGS)
def test_what_a_write_means(points: dict[str, int], field: str, power_w: float) -> None:
    (signal,) = order(server(), **points)
    (segment,) = signal.segments
    assert getattr(segment, field) == power_w
    assert (signal.evse_id, signal.priority) == (1, Priority.HOME)
    assert signal.valid_until_mono == 100.0 + HOLD_S
    cap = field == "discharge_limit_w"
    assert signal.source == ("sunspec.limit" if cap else "sunspec.set")
    assert segment.mode is (
        OperationMode.EXTERNAL_LIMITS if cap else OperationMode.EXTERNAL_SETPOINT
    )


UNEQUAL = {"charge_w": 7000.0, "discharge_w": 5000.0}
BIG = {"charge_w": 50_000.0, "discharge_w": 45_000.0}


@pytest.mark.parametrize(
    ("evse", "points", "field", "power_w"),
    [
        (UNEQUAL, {"WSet": 9000, "WSetEna": 1}, "setpoint_w", -5000.0),
        (UNEQUAL, {"WSet": -9000, "WSetEna": 1}, "setpoint_w", 7000.0),
        (UNEQUAL, {"WSetMod": 0, "WSetPct": 500, "WSetEna": 1}, "setpoint_w", -2500.0),
        (UNEQUAL, {"WSetMod": 0, "WSetPct": -500, "WSetEna": 1}, "setpoint_w", 3500.0),
        (
            UNEQUAL, {"WMaxLimPct": 500, "WMaxLimPctEna": 1},
            "discharge_limit_w", -2500.0,
        ),
        (BIG, {"WSet": 3000, "WSetEna": 1}, "setpoint_w", -30_000.0),
        (BIG, {"WSet": -4900, "WSetEna": 1}, "setpoint_w", 49_000.0),
    ],
)  # fmt: skip
def test_a_write_counts_by_the_rating_of_its_side(
    evse: dict[str, float], points: dict[str, int], field: str, power_w: float
) -> None:
    (signal,) = order(server(evse), **points)
    assert getattr(signal.segments[0], field) == power_w


@pytest.mark.parametrize(
    ("evse", "values"),
    [
        (UNEQUAL, {"702.WMaxRtg": 5000, "702.WMax": 5000, "702.WChaRteMaxRtg": 7000,
                   "702.WChaRteMax": 7000, "702.WDisChaRteMaxRtg": 5000,
                   "702.WDisChaRteMax": 5000, "702.W_SF": 0}),
        # 32 kW would not fit 16 bits in W.
        (BIG, {"702.WMaxRtg": 4500, "702.WChaRteMaxRtg": 5000, "702.W_SF": 1,
               "701.W_SF": 1, "704.WSet_SF": 1, "714.DCW_SF": 1,
               "701.W": 299, "701.WL1": 299, "714.DCW": 304}),
        ({"charge_w": 50_000.0, "discharge_w": 6000.0},
         {"702.WMaxRtg": 600, "702.WChaRteMaxRtg": 5000, "702.W_SF": 1}),
        ({"charge_w": 6000.0, "discharge_w": 50_000.0},
         {"702.WMaxRtg": 5000, "702.WChaRteMaxRtg": 600, "702.W_SF": 1}),
        ({"ac_phases": 1}, {"701.ACType": 0}),
        ({"ac_phases": 3}, {"701.ACType": 2}),
    ],
)  # fmt: skip
def test_ratings_as_registers(evse: dict[str, float], values: dict[str, int]) -> None:
    at = server(evse)
    at.report(known())
    assert {name: raw(at, name) for name in values} == values


def test_values_without_enable_order_nothing() -> None:
    at = server()
    assert order(at, WSet=3000, WSetRvrtTms=60) == []
    assert raw(at, "704.WSet") == 3000


def test_disable_withdraws() -> None:
    at = server()
    order(at, WSet=3000, WSetEna=1)
    (signal,) = order(at, now=101.0, WSetEna=0)
    assert (signal.segments, signal.valid_until_mono) == ((), 101.0)
    assert order(at, now=102.0, WSetEna=0) == []


def test_the_time_ends_it_and_counts_down() -> None:
    at = server()
    (signal,) = order(at, WSet=3000, WSetRvrtTms=60, WSetEna=1)
    assert signal.valid_until_mono == 160.0
    assert raw(at, "704.WSetRvrtRem", now=130.0) == 30
    assert at.tick(159.9) == []
    (signal,) = at.tick(160.0)
    assert signal.at(160.0) is None
    assert raw(at, "704.WSetEna", now=160.0) == 0
    assert raw(at, "704.WSetRvrtRem", now=160.0) == 0


def test_reversion_is_known_beforehand_and_ends_too() -> None:
    """The heart has both parts: a late tick of ours makes no gap."""
    at = server()
    (signal,) = order(
        at, WSetRvrt=-1000, WSetEnaRvrt=1, WSet=3000, WSetRvrtTms=60, WSetEna=1
    )
    now, then = signal.segments
    assert (now.setpoint_w, then.start_mono, then.setpoint_w) == (-3000.0, 160.0, 1000)
    (signal,) = at.tick(163.0)
    (segment,) = signal.segments
    assert segment.setpoint_w == 1000.0
    assert signal.valid_until_mono == 160.0 + HOLD_S
    assert raw(at, "704.WSet", now=163.0) == -1000
    (signal,) = at.tick(160.0 + HOLD_S)
    assert signal.segments == ()
    assert raw(at, "704.WSetEna", now=1100.0) == 0


def test_the_levers_have_times_of_their_own() -> None:
    at = server()
    order(at, WSet=3000, WSetRvrtTms=60, WSetEna=1)
    order(at, now=110.0, WMaxLimPct=500, WMaxLimPctRvrtTms=60, WMaxLimPctEna=1)
    assert [s.source for s in at.tick(165.0)] == ["sunspec.set"]
    assert [s.source for s in at.tick(175.0)] == ["sunspec.limit"]


def test_a_read_finds_what_is_due_already_reverted() -> None:
    at = server()
    order(at, WSet=3000, WSetRvrtTms=60, WSetEna=1)
    point = BY_NAME["704.WSetEna"]
    answer, signals = ask(at, struct.pack(">BHH", 3, point.address, 1), now=161.0)
    assert answer == b"\x03\x02\x00\x00"
    assert [s.segments for s in signals] == [()]


def test_a_pulse_that_stops_ends_all() -> None:
    at = server()
    put(at, ("715.ControllerHb", 1))
    order(at, WSet=3000, WSetEna=1, WMaxLimPct=500, WMaxLimPctEna=1)
    put(at, ("715.ControllerHb", 2), now=110.0)
    assert at.tick(110.0 + PULSE_S - 0.1) == []
    assert len(at.tick(110.0 + PULSE_S)) == 2
    assert raw(at, "704.WSetEna", now=140.0) == 0
    assert raw(at, "715.ControllerHb", now=140.0) == 2


def test_without_a_pulse_time_alone_counts() -> None:
    at = server()
    order(at, WSet=3000, WSetEna=1)
    assert at.tick(100.0 + HOLD_S - 1) == []


def test_one_write_of_many_points_is_one_order() -> None:
    at = server()
    _, signals = put(
        at,
        ("704.WSetEna", 1),
        ("704.WSetMod", 1),
        ("704.WSet", 2000),
        ("704.WSetRvrt", 0),
    )
    (signal,) = signals
    assert signal.segments[0].setpoint_w == -2000.0


def test_single_register_write() -> None:
    at = server()
    order(at, WSet=3000)
    pdu = struct.pack(">BHH", 6, BY_NAME["704.WSetEna"].address, 1)
    answer, signals = ask(at, pdu)
    assert answer == pdu
    assert signals[0].segments[0].setpoint_w == -3000.0


@given(st.integers(-3_000_000, 3_000_000), st.sampled_from(POINTS))
def test_no_value_reads_as_absent_or_wraps(value: int, point: Any) -> None:
    if point.kind.startswith("string"):
        return
    words = encode(point, value)
    data = b"".join(word.to_bytes(2, "big") for word in words)
    signed = point.kind in ("int16", "int32", "sunssf", "pad")
    found = int.from_bytes(data, "big", signed=signed)
    low = -(1 << (16 * point.words - 1)) if signed else 0
    assert found >= low + signed
    assert (found < 0) == (value < 0 and signed)


@given(st.lists(st.integers(1, 40), max_size=8))
def test_requests_survive_any_cut(cuts: list[int]) -> None:
    adus = b"".join(
        struct.pack(">HHHBBHH", tid, 0, 6, 1, 3, BASE + tid, 2) for tid in range(5)
    )
    stream, found, at = Stream(), [], 0
    for cut in (*cuts, len(adus)):
        found += stream.feed(adus[at : at + cut])
        at += cut
    assert [request.address for request in found] == [BASE + n for n in range(5)]


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x00\x01\x00\x06\x01",  # another protocol
        b"\x00\x01\x00\x00\x00\x01\x01",  # no function
        b"\x00\x01\x00\x00\x01\x00\x01",  # longer than Modbus has
        b"GET / HTTP/1.1\r\n",
    ],
)
def test_a_stream_that_is_no_modbus(data: bytes) -> None:
    with pytest.raises(GridError, match="no Modbus"):
        Stream().feed(data)


WSET = BY_NAME["704.WSet"].address
REFUSED = [
    ("function", 1, struct.pack(">BHH", 4, BASE, 1)),
    ("function", 1, b"\x2b\x0e\x01\x00"),
    ("malformed", 3, struct.pack(">BHH", 3, BASE, 0)),
    ("malformed", 3, struct.pack(">BHH", 3, BASE, MOST_READ + 1)),
    ("malformed", 3, b"\x03\x9c"),
    ("malformed", 3, struct.pack(">BHHB", 16, WSET, 2, 2) + bytes(4)),
    ("malformed", 3, struct.pack(">BHHB", 16, WSET, 2, 4) + bytes(2)),
    ("malformed", 3, struct.pack(">BHHB", 16, WSET, MOST_WRITTEN + 1, 248)),
    ("address", 2, struct.pack(">BHH", 3, 0, 3)),
    ("address", 2, struct.pack(">BHH", 3, END - 1, 2)),
    ("address", 2, struct.pack(">BHH", 6, WSET, 1)),  # half a point
    ("address", 2, struct.pack(">BHH", 6, WSET + 1, 1)),
    ("address", 2, struct.pack(">BHH", 6, 65_535, 1)),
    ("read only", 2, struct.pack(">BHH", 6, BY_NAME["702.WMax"].address, 9999)),
    ("read only", 2, struct.pack(">BHH", 6, BY_NAME["704.AntiIslEna"].address, 0)),
    ("range", 3, struct.pack(">BHH", 6, BY_NAME["704.WSetEna"].address, 2)),
    ("range", 3, struct.pack(">BHH", 6, BY_NAME["704.WSetEna"].address, 0xFFFF)),
    ("range", 3, struct.pack(">BHH", 6, BY_NAME["704.WSetPct"].address, 1001)),
    ("range", 3, struct.pack(">BHH", 6, BY_NAME["704.WMaxLimPct"].address, 1001)),
    ("range", 3, struct.pack(">BHHBi", 16, WSET, 2, 4, -0x8000_0000)),
    (
        "range",
        3,
        struct.pack(">BHHBI", 16, BY_NAME["704.WSetRvrtTms"].address, 2, 4, 86_401),
    ),
]


@pytest.mark.parametrize(("reason", "code", "pdu"), REFUSED)
def test_refused_and_counted(reason: str, code: int, pdu: bytes) -> None:
    at = server()
    order(at, WSet=3000, WSetEna=1)
    answer, signals = ask(at, pdu)
    assert answer == bytes((pdu[0] | 0x80, code))
    assert signals == []
    assert at.status()["refused"] == {reason: 1}
    assert raw(at, "704.WSet") == 3000


def test_half_of_a_bad_write_is_not_followed() -> None:
    at = server()
    answer, signals = put(at, ("704.WSetEna", 1), ("704.WSetMod", 7))
    assert (answer, signals) == (b"\x90\x03", [])
    assert raw(at, "704.WSetEna") == 0


def test_who_may_not_write() -> None:
    at = server()
    answer, signals = put(at, ("704.WSetEna", 1), may_write=False)
    assert (answer, signals) == (b"\x90\x01", [])
    assert at.status()["refused"] == {"unauthorised": 1}


@pytest.mark.parametrize("unit", [0, 3, 255])
def test_a_unit_that_is_not_there(unit: int) -> None:
    answer, _ = ask(server(), struct.pack(">BHH", 3, BASE, 2), unit=unit)
    assert answer == b"\x83\x0b"
