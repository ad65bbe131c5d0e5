"""The VEN's own process: XML in and out, and a VTN's answers that are none."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from lxml import etree
from openleadr import messaging

from chargerd.grid import (
    build,
    openadr2_door,
    openadr2_ven,
    openadr2_words,
    openadr2_xml,
)
from chargerd.grid.errors import GridError
from chargerd.grid.openadr2_door import Openadr2Door, Speaker
from chargerd.grid.openadr2_reports import Telemetry
from chargerd.grid.openadr2_ven import Failed, Ven, unpack
from tests.process import until
from tests.unit.grid.openadr2_stand import URL, Stand, event
from tests.unit.grid.stand import at, config, ports, report

SETTINGS = {"url": "http://x/y", "vtn_fingerprint": "", "sign": False}
START = datetime(2026, 11, 25, 12, 1, 40, tzinfo=UTC)
MEASURE = {"name": "powerReal", "description": "RealPower", "unit": "W"}
EVENTS = {
    "request_id": "Q1",
    "vtn_id": "VTN1",
    "response": {
        "response_code": 200,
        "response_description": "OK",
        "request_id": "Q0",
    },
    "events": [
        {
            "event_descriptor": {
                "event_id": "007",
                "modification_number": 3,
                "modification_date_time": START,
                "priority": 1,
                "market_context": "http://market",
                "created_date_time": START,
                "event_status": "far",
                "test_event": False,
                "vtn_comment": "hello",
            },
            "active_period": {
                "dtstart": START,
                "duration": timedelta(minutes=20),
                "tolerance": {"startafter": timedelta(minutes=5)},
                "notification_period": timedelta(days=1),
                "ramp_up_period": timedelta(minutes=2),
                "recovery_period": None,
            },
            "event_signals": [
                {
                    "signal_name": "LOAD_DISPATCH",
                    "signal_type": "setpoint",
                    "signal_id": "s1",
                    "current_value": -3.0,
                    "intervals": [
                        {
                            "dtstart": START,
                            "duration": timedelta(minutes=10),
                            "signal_payload": value,
                        }
                        for value in (-3.0, 1.5)
                    ],
                    "measurement": {**MEASURE, "scale": "k"}
                    | {"power_attributes": {"hertz": 50, "voltage": 200, "ac": True}},
                }
            ],
            "targets": [{"resource_id": "evse1"}, {"ven_id": "0042"}],
            "response_required": "always",
        }
    ],
}


def made(message: str, **payload: Any) -> bytes:
    text: str = messaging.create_message(message, **payload)
    return text.encode()


def tree(data: bytes) -> Any:
    return messaging.validate_xml_schema(data)


def test_a_list_of_events_is_read_without_a_loss() -> None:
    kind, body = openadr2_xml.read(tree(made("oadrDistributeEvent", **EVENTS)))
    assert kind == "oadrDistributeEvent"
    assert (body["request_id"], body["vtn_id"], body["code"]) == ("Q1", "VTN1", "200")
    (found,) = body["events"]
    assert (found["id"], found["modification"], found["priority"]) == ("007", "3", "1")
    assert (found["status"], found["response"]) == ("far", "always")
    assert found["context"] == "http://market"
    assert found["start"].startswith("2026-11-25T12:01:40")
    assert (found["length"], found["start_after"]) == ("PT20M", "PT5M")
    assert (found["resources"], found["vens"]) == (["evse1"], ["0042"])
    (signal,) = found["signals"]
    assert (signal["name"], signal["type"]) == ("LOAD_DISPATCH", "setpoint")
    assert (signal["item"], signal["unit"], signal["scale"]) == ("powerReal", "W", "k")
    assert signal["intervals"] == [["PT10M", "-3.0"], ["PT10M", "1.5"]]


def test_what_is_read_is_what_the_core_follows() -> None:
    _, body = openadr2_xml.read(tree(made("oadrDistributeEvent", **EVENTS)))
    stand = Stand()
    stand.up({**body["events"][0], "start_after": ""})
    (signal,) = stand.tick().signals
    assert [(s.start_mono, s.setpoint_w) for s in signal.segments] == [
        (100.0, -3000.0),
        (700.0, 1500.0),
    ]
    assert signal.evse_id == 1


CALLS = [
    openadr2_words.register("charger", "", "", sign=False),
    openadr2_words.register("charger", "007", "R1", sign=True),
    openadr2_words.poll("007"),
    openadr2_words.request_events("007"),
    openadr2_words.created_event("007", "Q1", [openadr2_words.Answer("E1", 2, False)]),
    openadr2_words.opt_out("007", "E1", 2, ["evse1"], "2026-11-25T12:00:00+00:00"),
    openadr2_words.opt_out("007", "E1", 2, [], "2026-11-25T12:00:00+00:00"),
    openadr2_words.respond("007", "EiRegisterParty", "Q1"),
    openadr2_words.cancelled_registration("007", "R1", "Q1"),
    openadr2_words.no_reports("007", "Q1"),
    Telemetry({"evse1": 1, "evse2": 2}).offer("007", at(100.0)),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.message)
def test_all_that_we_say_keeps_to_the_schema(call: openadr2_words.Call) -> None:
    wire = json.loads(json.dumps(call.wire()))
    found = tree(made(wire["message"], **unpack(wire["payload"])))
    assert openadr2_xml.read(found)[0] == call.message


def test_telemetry_as_it_is_asked_for() -> None:
    telemetry = Telemetry({"evse1": 1, "evse2": 2})
    words = ("power", "stored", "up", "down", "no")
    asked = {"id": "A", "specifier": "chargerd-telemetry", "granularity": "PT10S"}
    asked |= {"back": "PT20S", "r_ids": [f"evse1.{w}" for w in words]}
    wrong = {**asked, "id": "B", "specifier": "other"}
    call = telemetry.request("007", {"report_requests": [asked, wrong]}, at(100.0))
    assert call is not None
    assert call.payload["pending_reports"] == [{"report_request_id": "A"}]
    assert telemetry.refused == {"report": 1}
    reports = {1: report()}
    sent = [
        update
        for mono in (100.0, 105.0, 110.0, 120.0)
        for update in telemetry.tick("007", reports, at(mono))
    ]
    (update,) = sent
    wire = json.loads(json.dumps(update.wire()))
    assert tree(made("oadrUpdateReport", **unpack(wire["payload"]))) is not None
    values = [
        (i["report_payload"]["r_id"], i["report_payload"]["value"])
        for i in update.payload["reports"][0]["intervals"]
    ]
    one = [("evse1.power", -2990.0), ("evse1.up", 3000.0), ("evse1.down", 9000.0)]
    assert values == 3 * one  # what is stored is not known here
    call = telemetry.cancel("007", {"cancel_reports": ["A"]})
    assert call is not None
    assert tree(made(call.message, **unpack(call.payload))) is not None
    assert list(telemetry.tick("007", reports, at(200.0))) == []


def test_a_report_may_be_asked_for_once() -> None:
    telemetry = Telemetry({"evse1": 1})
    asked = {"id": "A", "specifier": "chargerd-telemetry", "granularity": "PT0S"}
    asked |= {"back": "PT0S", "r_ids": ["evse1.power"]}
    telemetry.request("007", {"report_requests": [asked]}, at(100.0))
    assert len(list(telemetry.tick("007", {1: report()}, at(100.0)))) == 1
    assert list(telemetry.tick("007", {1: report()}, at(9000.0))) == []


# -- a VTN's answers -------------------------------------------------------------------


@asynccontextmanager
async def vtn(answer: bytes) -> AsyncIterator[Ven]:
    """A VEN and a server that says the same to everybody."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"</oadr:oadrPayload>")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, aiohttp.ClientSession() as session:
        yield Ven({**SETTINGS, "url": f"http://127.0.0.1:{port}"}, session)


def http(body: bytes, status: str = "200 OK", extra: str = "") -> bytes:
    extra += "Connection: close\r\n"
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
    return head.encode() + body


DATE = "Date: Wed, 25 Nov 2026 12:00:00 GMT\r\n"
GOOD = made("oadrDistributeEvent", **EVENTS)
EVIL = GOOD.replace(
    b"<oadr:oadrPayload", b'<!DOCTYPE x [<!ENTITY a "b">]><oadr:oadrPayload', 1
)


@pytest.mark.asyncio
async def test_an_answer_and_the_vtns_clock() -> None:
    async with vtn(http(GOOD, extra=DATE)) as ven:
        answer = await ven.call("OadrPoll", "oadrPoll", {"ven_id": "007"})
    assert answer["type"] == "oadrDistributeEvent"
    assert answer["date"] == "2026-11-25T12:00:00+00:00"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (http(b"", "500 Oh"), "http"),
        (http(b"", "302 Found", "Location: http://elsewhere/\r\n"), "http"),
        (http(b"<x/>"), "malformed"),
        (http(b"\x00\xff"), "malformed"),
        (http(EVIL), "malformed"),
        (http(GOOD.replace(b"LOAD_DISPATCH", b"<a/>")), "malformed"),
        (http(b" " * ((1 << 20) + 1)), "size"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n<x", "connection"),
        (b"nonsense", "connection"),
        (b"", "connection"),
    ],
)
async def test_an_answer_that_is_none(answer: bytes, kind: str) -> None:
    async with vtn(answer) as ven:
        with pytest.raises(Failed) as failed:
            await ven.call("OadrPoll", "oadrPoll", {"ven_id": "007"})
    assert failed.value.kind == kind


@pytest.mark.asyncio
async def test_an_unsigned_message_where_a_signature_must_be() -> None:
    async with vtn(http(GOOD)) as ven:
        ven._fingerprint = "AA:BB:CC:DD:EE:FF:00:11:22:33"
        with pytest.raises(Failed) as failed:
            await ven.call("OadrPoll", "oadrPoll", {"ven_id": "007"})
    assert failed.value.kind == "signature"


def signed() -> tuple[bytes, str]:
    """The list of events, signed, and the fingerprint of who did."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "vtn")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    by = {"cert": certificate.public_bytes(pem), "key": key.private_bytes(pem, *plain)}
    digest = certificate.fingerprint(hashes.SHA256())[-10:]
    return made("oadrDistributeEvent", **EVENTS, **by), digest.hex(":").upper()


def changed(data: bytes) -> bytes:
    return data.replace(b"<ei:value>-3.0</ei:value>", b"<ei:value>-9.0</ei:value>")


def wrapped(data: bytes) -> bytes:
    """The signed object hidden in the signature, another one in its place."""
    root = etree.fromstring(data)
    original = next(e for e in root if e.tag.endswith("}oadrSignedObject"))
    signature = next(e for e in root if e.tag.endswith("}Signature"))
    evil = etree.fromstring(changed(etree.tostring(original)))
    evil.set("{http://openadr.org/oadr-2.0b/2012/07}Id", "other")
    root.replace(original, evil)
    hidden = "{http://www.w3.org/2000/09/xmldsig#}Object"
    etree.SubElement(signature, hidden).append(original)
    found: bytes = etree.tostring(root)
    return found


@pytest.mark.asyncio
@pytest.mark.parametrize("spoil", [changed, wrapped])
async def test_only_what_was_signed_is_read(spoil: Callable[[bytes], bytes]) -> None:
    data, fingerprint = signed()
    async with vtn(http(spoil(data))) as ven:
        ven._fingerprint = fingerprint
        with pytest.raises(Failed, match=r"igned|igest"):
            await ven.call("OadrPoll", "oadrPoll", {"ven_id": "007"})
    async with vtn(http(data)) as ven:
        ven._fingerprint = fingerprint
        answer = await ven.call("OadrPoll", "oadrPoll", {"ven_id": "007"})
        assert answer["type"] == "oadrDistributeEvent"
        with pytest.raises(Failed) as replayed:
            await ven.call("OadrPoll", "oadrPoll", {"ven_id": "007"})
    assert replayed.value.kind == "signature"


def test_a_second_signed_object_is_not_read() -> None:
    """However it is hidden: a signature could be that one's."""
    assert openadr2_xml.read(tree(wrapped(signed()[0]))) == ("", {})


def test_the_schema_parser_loads_nothing_from_elsewhere() -> None:
    with pytest.raises((Failed, etree.XMLSyntaxError)):
        tree(b'<!DOCTYPE x SYSTEM "file:///etc/hostname"><x/>')


def test_tls_is_asked_of_an_https_vtn() -> None:
    assert openadr2_ven.tls(SETTINGS) is True
    found = openadr2_ven.tls(
        {"url": "https://x/y", "ca": "", "certificate": "", "key": ""}
    )
    assert not isinstance(found, bool)
    assert found.check_hostname


# -- the door --------------------------------------------------------------------------

ECHO = """
import json, sys
settings = sys.stdin.readline()
for line in sys.stdin:
    call = json.loads(line)
    kind = call["message"]
    if kind == sys.argv[1]:
        print(sys.argv[2], flush=True)
        continue
    body = {"code": "200", "ven_id": "007", "registration_id": "R1", "poll": "PT1S"}
    print(json.dumps({"type": "oadrResponse", "body": body}), flush=True)
"""


def echo(message: str = "", answer: str = "") -> Speaker:
    return Speaker({}, (sys.executable, "-c", ECHO, message, answer))


@pytest.mark.asyncio
@pytest.mark.parametrize("answer", ["no JSON", "[1]", "[" * 100_000])
async def test_a_process_that_talks_nonsense_is_begun_anew(answer: str) -> None:
    speaker = echo("oadrPoll", answer)
    found = await speaker.ask({"message": "oadrPoll"})
    assert found == {"error": "process"}
    again = await speaker.ask({"message": "oadrRequestEvent"})
    assert again["type"] == "oadrResponse"
    await speaker.close()


@pytest.mark.asyncio
async def test_a_process_that_is_not_there() -> None:
    assert await Speaker({}, ("/nonexistent",)).ask({}) == {"error": "process"}
    dead = Speaker({}, (sys.executable, "-c", ""))
    assert await dead.ask({}) == {"error": "process"}


@pytest.mark.asyncio
async def test_the_real_process_says_that_files_are_missing() -> None:
    files = {"ca": "/gone/ca.pem", "certificate": "", "key": ""}
    asked = {**SETTINGS, "url": "https://vtn.example/x", **files}
    speaker = Speaker(asked)
    found = await speaker.ask({"service": "", "message": "", "payload": {}})
    await speaker.close()
    assert found["error"] == "files"
    assert "/gone/ca.pem" in found["text"]


@pytest.mark.asyncio
async def test_the_door_registers_follows_and_keeps() -> None:
    body = {"code": "200", "request_id": "Q1", "events": [event()]}
    answer = json.dumps({"type": "oadrDistributeEvent", "body": body})
    speaker = echo("oadrRequestEvent", answer)
    given, told = ports()
    door = Openadr2Door(Stand().ven, speaker, given)
    door.report(report())
    running = asyncio.create_task(door.run())
    for _ in range(400):  # real processes: until it is so, or ten seconds
        if told.signals:
            break
        await asyncio.sleep(0.025)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert told.signals[0].segments[0].setpoint_w == -3000.0
    saved = told.saved["grid.openadr2", "state"]
    assert saved["ven_id"] == "007"
    assert door.status()["events"] == {"E1": "followed: LOAD_DISPATCH setpoint"}
    assert door.status()["problem"] == ""


@pytest.mark.asyncio
async def test_the_door_says_what_its_process_lacks() -> None:
    given, _ = ports()
    door = Openadr2Door(Stand().ven, Speaker({}, ("/nonexistent",)), given)
    running = asyncio.create_task(door.run())

    async def said() -> bool:
        return bool(door.status()["problem"])

    await until("a problem", said)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert door.status()["problem"] == "process"


def test_without_openleadr_the_door_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(openadr2_door, "find_spec", lambda name: None)
    with pytest.raises(GridError, match=r"needs openleadr.*install chargerd\[openadr2"):
        build.build(config(openadr2=URL), ports()[0])


def test_a_door_is_built_with_what_the_last_run_kept() -> None:
    given, _ = ports()
    saved = {"grid.openadr2": {"state": {"ven_id": "007", "registration_id": "R1"}}}
    (door,) = build.build(config(openadr2=URL), replace(given, saved=saved))
    assert door.status()["ven_id"] == "007"
    with pytest.raises(GridError, match="one name for each EVSE"):
        build.build(config(openadr2={**URL, "resources": ["one"]}), given)
