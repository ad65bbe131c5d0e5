"""DataTransfer (block P), its hook, and the battery swaps we do not do (block S)."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from chargerd.model import SessionPhase
from chargerd.ocpp.effects import CallError, OcppError, Payload
from chargerd.ocpp.jobs.vendor import AskVendor, VendorAnswer, ask_vendor
from tests.unit.ocpp.station_rig import V21, V201, Rig, config

req = pytest.mark.req
BOTH = pytest.mark.parametrize("version", [V21, V201])
HOOK = {"vendor": "com.example", "messages": ["lamp"], "socket": "/run/lamp.sock"}
LAMP = {"vendorId": "com.example", "messageId": "lamp", "data": {"on": True}}


def rig(version: str = V21) -> Rig:
    return Rig(config(data_transfer=[HOOK]), version=version).boot()


@BOTH
@req("P01.FR.05")
def test_an_unknown_vendor(version: str) -> None:
    answer = rig(version).call("DataTransfer", {"vendorId": "org.other"})
    assert answer == {"status": "UnknownVendorId"}


@BOTH
@req("P01.FR.06")
def test_an_unknown_message(version: str) -> None:
    answer = rig(version).call("DataTransfer", {**LAMP, "messageId": "horn"})
    assert answer == {"status": "UnknownMessageId"}


@BOTH
@req("P01.FR.03", "P01.FR.07")
@pytest.mark.parametrize(
    ("value", "answer"),
    [
        (VendorAnswer("Accepted", [1]), {"status": "Accepted", "data": [1]}),
        (VendorAnswer("Rejected"), {"status": "Rejected"}),
    ],
)
def test_the_vendors_program_answers(
    version: str, value: VendorAnswer, answer: Payload
) -> None:
    station = rig(version)
    promised = station.call_later("DataTransfer", LAMP)
    (task,) = station.works.values()
    assert task == AskVendor(Path("/run/lamp.sock"), LAMP, 5.0)
    station.worked(AskVendor, value)
    assert station.replied(promised) == answer


def test_a_program_that_fails_is_a_refusal() -> None:
    station = rig()
    promised = station.call_later("DataTransfer", LAMP)
    station.worked(AskVendor, OcppError("no answer in 5 s"))
    answer = station.replied(promised)
    assert isinstance(answer, dict)
    assert answer["status"] == "Rejected"


def test_a_flood_is_refused_and_passes() -> None:
    station = rig()
    for _ in range(8):
        promised = station.call_later("DataTransfer", LAMP)
    answer = station.call("DataTransfer", LAMP)
    assert isinstance(answer, dict)
    assert answer["statusInfo"]["reasonCode"] == "OutOfMemory"
    for handle in list(station.works):
        station.station.worked(handle, VendorAnswer("Accepted"), station.now)
        station.over(handle)
    station.drain()
    assert station.replied(promised) == {"status": "Accepted"}
    station.call_later("DataTransfer", LAMP)


@req("P02.FR.02")
def test_the_station_needs_no_extension_itself() -> None:
    station = rig()
    station.observe(SessionPhase.ENERGY, authorised=True)
    station.run_s(60.0)
    station.observe()
    assert station.events()[-1]["eventType"] == "Ended"
    assert station.payloads("DataTransfer") == []


def test_no_battery_swaps() -> None:
    request = {"requestId": 1, "idToken": {"idToken": "A", "type": "Central"}}
    answer = rig().call("RequestBatterySwap", request)
    assert isinstance(answer, CallError)
    assert answer.code == "NotSupported"


# The socket.


async def asked(path: Path, reply: bytes, timeout_s: float = 5.0) -> Any:
    heard = []
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readline())
        writer.write(reply)
        if not reply:
            await reader.read()  # until the other side gives up
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        ended.set()

    server = await asyncio.start_unix_server(serve, path)
    async with server:
        try:
            values = [v async for v in ask_vendor(AskVendor(path, LAMP, timeout_s))]
        finally:
            await ended.wait()
    assert b'"lamp"' in heard[0]
    return values


@pytest.mark.asyncio
async def test_one_line_each_way(tmp_path: Path) -> None:
    (value,) = await asked(tmp_path / "s", b'{"status":"Accepted","data":"x"}\n')
    assert value == VendorAnswer("Accepted", "x")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "reply",
    [
        b"no json\n",
        b"[]\n",
        b'{"status":"Fine"}\n',
        b'{"status":"Accepted","data":NaN}\n',
        b"[" * 300_000 + b"\n",
        b"[" * 100_000 + b"\n",
        b"\n",
        b"",
    ],
)
async def test_what_is_no_answer(tmp_path: Path, reply: bytes) -> None:
    with pytest.raises(OcppError, match="vendor program"):
        await asked(tmp_path / "s", reply, 5.0 if reply else 0.05)


@pytest.mark.asyncio
async def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(OcppError, match="vendor program"):
        async for _ in ask_vendor(AskVendor(tmp_path / "none", LAMP, 5.0)):
            pass
