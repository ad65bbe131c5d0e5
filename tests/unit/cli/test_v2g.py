"""`chargerctl v2g`: hex and captures read, JSON written, and what could not be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from chargerd.cli import main as cli
from chargerd.cli.client import CliError
from chargerd.cli.pcap import Segment
from chargerd.cli.v2g_trace import Event, trace
from chargerd.vehicle.iso15118 import exi, v2gtp
from tests.unit.cli import capture

SAP_RES = bytes.fromhex("80400040")
DIN_BODY = "809a0220bce2ed7b74d45d51a00120024100c4"
SAP_REQ = {
    "supportedAppProtocolReq": {
        "AppProtocol": [
            {
                "ProtocolNamespace": "urn:din:70121:2012:MsgDef",
                "VersionNumberMajor": 2,
                "VersionNumberMinor": 0,
                "SchemaID": 1,
                "Priority": 1,
            }
        ]
    }
}
SDP_REQUEST = bytes.fromhex("01fe9000000000021000")
SDP_RESPONSE = bytes.fromhex("01fe900100000014fe80000000000000000000000000000bee481000")


def sap_req() -> bytes:
    return exi.encode(exi.from_json("sap", SAP_REQ))


def run(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(cli.app, ["v2g", *arguments], input=text)


def read(*arguments: str) -> list[Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.output.splitlines()]


def refused(*arguments: str, text: str | None = None) -> str:
    error = run(*arguments, text=text).exception
    assert isinstance(error, CliError)
    return str(error)


# --- hex ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "schema", "name"),
    [
        ("80400040", "sap", "supportedAppProtocolRes"),
        (DIN_BODY, "din", "ServiceDiscoveryRes"),
        (DIN_BODY.upper(), "din", "ServiceDiscoveryRes"),
        ("0x" + DIN_BODY, "din", "ServiceDiscoveryRes"),
        (" ".join(DIN_BODY[i : i + 2] for i in range(0, 38, 2)), "din", None),
        (":".join(DIN_BODY[i : i + 2] for i in range(0, 38, 2)), "din", None),
        (v2gtp.pack(0x8001, SAP_RES).hex(), "sap", "supportedAppProtocolRes"),
        (SDP_REQUEST.hex(), "sdp", "SDP request"),
    ],
)
def test_hex_is_known_by_itself(text: str, schema: str, name: str | None) -> None:
    (line,) = read("decode", text)
    assert line["schema"] == schema
    assert name in (None, line["name"])


def test_several_frames() -> None:
    both = v2gtp.pack(0x8001, SAP_RES) + v2gtp.pack(0x8001, bytes.fromhex(DIN_BODY))
    assert [line["schema"] for line in read("decode", both.hex())] == ["sap", "din"]


def test_schema_given() -> None:
    (line,) = read("decode", DIN_BODY, "--schema", "din")
    assert line["message"]["V2G_Message"]["Header"]["SessionID"] == "82F38BB5EDD35175"
    assert refused("decode", DIN_BODY, "--schema", "iso2").startswith("iso2: ")
    assert "no schema set 'x'" in refused("decode", DIN_BODY, "--schema", "x")


def test_tolerated_is_told() -> None:
    (line,) = read("decode", DIN_BODY + "0000")
    assert line["tolerated"] == ["2 zero bytes after the end"]
    assert "  ! 2 zero bytes after the end" in run("decode", DIN_BODY + "0000").output


def test_tree() -> None:
    lines = run("decode", DIN_BODY).output.splitlines()
    assert lines[0] == "ServiceDiscoveryRes (din)"
    assert "        FreeService false" in lines
    assert "        PaymentOption ExternalPayment" in lines


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ({"Exponent": 1, "Value": 40}, "x 400 (40 x 10^1)"),
        ({"Exponent": -2, "Value": -150}, "x -1.50 (-150 x 10^-2)"),
        ({"Exponent": 0, "Value": 7}, "x 7"),
        ({"Multiplier": 0, "Unit": "V", "Value": 400}, "x 400 V"),
        ({"Multiplier": -1, "Unit": "A", "Value": 5}, "x 0.5 A (5 x 10^-1)"),
        ({"Value": 7}, "x"),
        ({"Exponent": 1, "Value": 4, "Other": 1}, "x"),
    ],
)
def test_physical_values(value: dict[str, Any], line: str) -> None:
    from chargerd.cli import v2g

    assert next(v2g._lines({"x": value}, 0)) == line


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("zz", "neither a file nor hex"),
        ("80ff", "no message of sap, din"),
        (DIN_BODY[:-8], "din: "),
        ("01fe8001000000ff80", "ends inside a frame"),
        ("01fe80010000000280400300", "sap"),
        ("02fe", "this one with 02fe"),
    ],
)
def test_hex_that_is_no_message(text: str, reason: str) -> None:
    assert reason in refused("decode", text)


# --- encode ---------------------------------------------------------------------------


def test_encode_is_the_way_back(tmp_path: Path) -> None:
    line = run("decode", DIN_BODY, "--json").output
    file = tmp_path / "message.json"
    file.write_text(line)
    message = json.dumps(json.loads(line)["message"])
    ways = [("-", line), (str(file), None), (message, None), (line, None)]
    for what, text in ways:
        result = run("encode", what, "--schema", "din", text=text)
        assert result.output.strip() == DIN_BODY
    framed = run("encode", line, "--schema", "din", "--frame").output.strip()
    assert framed == v2gtp.pack(0x8001, bytes.fromhex(DIN_BODY)).hex()


@pytest.mark.parametrize(
    ("text", "schema", "reason"),
    [
        ("{", "din", "no JSON"),
        ("[]", "din", "JSON object"),
        ('{"V2G_Message": {}}', "din", "V2G_Message"),
        ('{"V2G_Message": {}}', "x", "no schema set"),
    ],
)
def test_json_that_is_no_message(text: str, schema: str, reason: str) -> None:
    assert reason in refused("encode", text, "--schema", schema)


# --- captures -------------------------------------------------------------------------


def conversation() -> list[bytes]:
    question = v2gtp.pack(0x8001, sap_req())
    answer = v2gtp.pack(0x8001, SAP_RES)
    return [
        capture.ethernet(
            capture.ipv6(
                17, capture.udp(SDP_REQUEST, 50001, 15118), "fe80::a", "ff02::1"
            )
        ),
        capture.ethernet(
            capture.ipv6(
                17, capture.udp(SDP_RESPONSE, 15118, 50001), "fe80::b", "fe80::a"
            )
        ),
        capture.from_car(b"", 99, flags=2),
        capture.from_car(question[:20], 100),
        capture.from_car(question[20:], 120),
        capture.from_station(answer, 7),
    ]


@pytest.mark.parametrize("make", [capture.pcap, capture.pcapng])
def test_capture(tmp_path: Path, make: Any) -> None:
    file = tmp_path / "plc.cap"
    file.write_bytes(make(conversation()))
    lines = read("decode", str(file))
    assert [line["name"] for line in lines] == [
        "SDP request",
        "SDP response",
        "supportedAppProtocolReq",
        "supportedAppProtocolRes",
    ]
    assert lines[1]["message"]["SDP response"]["port"] == 61000
    assert lines[2]["message"] == SAP_REQ
    assert lines[2]["hex"] == sap_req().hex()
    assert (lines[3]["source"], lines[3]["target"]) == (
        ["fe80::b", 61000],
        ["fe80::a", 50000],
    )
    shown = run("decode", str(file)).output
    assert "[fe80::b]:61000 > [fe80::a]:50000: supportedAppProtocolRes" in shown


def test_capture_without_v2g(tmp_path: Path) -> None:
    file = tmp_path / "other.pcap"
    file.write_bytes(capture.pcap([capture.from_car(b"GET / HTTP/1.1\r\n", 1)]))
    assert "no V2G traffic" in refused("decode", str(file))


def parts(*pieces: tuple[int, bytes]) -> list[Segment]:
    car, station = ("fe80::a", 50000), ("fe80::b", 61000)
    return [
        Segment(float(number), True, car, station, data, sequence & 0xFFFFFFFF)
        for number, (sequence, data) in enumerate(pieces)
    ]


def names(events: list[Event]) -> list[str]:
    return [event.reading.name if event.reading else event.text for event in events]


@pytest.mark.parametrize("base", [0, 1000, 0xFFFFFFF8])
def test_segments_repeated_overtaken_overlapping(base: int) -> None:
    stream = v2gtp.pack(0x8001, SAP_RES) * 3
    told = ["supportedAppProtocolRes"] * 3
    orders = [
        parts((base, stream)),
        parts(*((base + i, stream[i : i + 1]) for i in range(len(stream)))),
        parts((base, stream[:5]), (base + 20, stream[20:]), (base + 5, stream[5:20])),
        parts((base, stream[:9]), (base, stream[:9]), (base + 3, stream[3:])),
        parts((base, stream[:20]), (base + 5, stream[5:10]), (base + 20, stream[20:])),
    ]
    for order in orders:
        assert names(list(trace(order))) == told


def test_a_lost_segment_costs_its_own_message() -> None:
    frame = v2gtp.pack(0x8001, SAP_RES)
    lost = parts((0, frame), (12, frame[:4]), (24, frame), (36, frame))
    assert names(list(trace(lost))) == [
        "supportedAppProtocolRes",
        "8 bytes are missing in the capture",
        "supportedAppProtocolRes",
        "supportedAppProtocolRes",
    ]


def test_many_segments_behind_a_gap_are_not_kept() -> None:
    frame = v2gtp.pack(0x8001, SAP_RES)
    behind = [(100 + 12 * number, frame) for number in range(100)]
    found = names(list(trace(parts((0, frame), *behind))))
    assert found.count("supportedAppProtocolRes") == 101
    assert found[1] == "88 bytes are missing in the capture"


def test_what_cannot_be_read_is_named_and_passed() -> None:
    good = v2gtp.pack(0x8001, SAP_RES)
    bad = v2gtp.pack(0x8001, b"\x80\xff") + v2gtp.pack(0x8004, b"\x80")
    sizes = len(good + bad)
    found = names(list(trace(parts((0, good + bad), (sizes, good)))))
    assert found[0] == found[-1] == "supportedAppProtocolRes"
    assert [text.partition(":")[0] for text in found[1:-1]] == [
        "payload type 0x8001",
        "payload type 0x8004",
    ]


def test_tls_is_told_once_and_other_traffic_not() -> None:
    tls = parts((0, b"\x16\x03\x01\x00\x05hello"), (10, b"\x17\x03\x03\x00\x01x"))
    assert names(list(trace(tls))) == ["TLS: encrypted, not read"]
    assert names(list(trace(parts((0, b"SSH-2.0"), (7, b"more"))))) == []


def test_a_stream_that_loses_step() -> None:
    frame = v2gtp.pack(0x8001, SAP_RES)
    broken = parts((0, frame + b"\x00\x00\x00"), (15, frame))
    assert names(list(trace(broken))) == [
        "supportedAppProtocolRes",
        "V2GTP frame does not begin with 01fe: close the connection",
        "supportedAppProtocolRes",
    ]


def test_foreign_datagrams_on_the_port() -> None:
    car, station = ("fe80::a", 50001), ("ff02::1", 15118)
    for data in (b"", b"hello there", v2gtp.pack(0x8001, SAP_RES), b"\x01\xfe" * 9):
        (event,) = trace([Segment(0.0, False, car, station, data)])
        assert event.reading is not None or event.text.startswith("UDP 15118: ")
