"""The OpenADR 3 door over a real socket: what a VTN tells reaches the heart."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest
from structlog.testing import capture_logs

from chargerd.grid import build
from chargerd.grid.errors import GridError
from tests.process import until
from tests.unit.grid.http_stand import answer, server
from tests.unit.grid.openadr3_stand import event, sized
from tests.unit.grid.stand import Told, config, ports


class Vtn:
    """Good enough for one test."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.posted: list[Any] = []

    def respond(self, method: str, path: str, body: bytes) -> bytes:
        path = path.split("?")[0]
        if method == "POST":
            self.posted.append((path, body))
        match path:
            case "/auth/server":
                return answer({"tokenURL": f"http://127.0.0.1:{self.port}/token"})
            case "/token":
                return answer({"access_token": "T", "expires_in": 3600})
            case "/events":
                return answer(self.events)
            case "/vens" if method == "POST":
                return answer({"id": "V1", "venName": "charger"}, "201 Created")
            case "/resources" if method == "POST":
                return answer({"id": "R1"}, "201 Created")
            case "/reports":
                return answer({"id": "RP"}, "201 Created")
        return answer([])

    port = 0


@pytest.mark.asyncio
async def test_an_event_reaches_the_heart_and_ends_with_its_deletion() -> None:
    vtn = Vtn()
    wanted = [{"payloadType": "READING", "frequency": 0}]
    vtn.events = [event(reportDescriptors=wanted)]
    async with server(vtn.respond) as made:
        vtn.port = made.port
        given, told = ports(Told(mono=120.0))
        settings = {
            "url": made.url,
            "ven_name": "charger",
            "client_id": "me",
            "client_secret": "CANARY",
            "poll_s": 1,
            "report_s": 1,
        }
        (door,) = build.build(config(openadr3=settings), given)
        task = asyncio.create_task(door.run())
        try:
            door.report(sized())

            async def asked() -> bool:
                told.mono += 0.2
                return bool(told.signals)

            await until("a signal", asked)
            (segment,) = told.signals[0].segments
            assert segment.setpoint_w == -3000.0

            async def reported() -> bool:
                told.mono += 0.2
                return any(path == "/reports" for path, _ in vtn.posted)

            await until("a report", reported)
            report = json.loads(next(b for p, b in vtn.posted if p == "/reports"))
            payloads = report["resources"][0]["intervals"][0]["payloads"]
            assert payloads == [{"type": "READING", "values": [-2.99]}]
            vtn.events = []

            async def over() -> bool:
                told.mono += 0.2
                return not told.signals[-1].segments

            await until("its end", over)
            assert door.status()["connected"]
            assert door.status()["problem"] == ""
            assert "CANARY" not in json.dumps(door.status())
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        assert made.headers[-1]["authorization"] == "Bearer T"
        assert told.saved["grid.openadr3", "state"]["events"] == []


@pytest.mark.asyncio
async def test_answers_that_are_no_json_or_refusals_are_counted_and_logged() -> None:
    def respond(_method: str, path: str, _body: bytes) -> bytes:
        return answer(b"<html>", "403 No" if path.startswith("/vens") else "200 OK")

    async with server(respond) as made:
        given, told = ports(Told(mono=120.0))
        settings = {"url": made.url, "ven_name": "charger"}
        (door,) = build.build(config(openadr3=settings), given)
        task = asyncio.create_task(door.run())
        try:

            async def counted() -> bool:
                told.mono += 1.0
                refused: dict[str, int] = door.status()["refused"]
                return refused.get("malformed", 0) > 1

            with capture_logs() as logs:
                await until("two refusals", counted)
            assert [log["error"] for log in logs] == ["find ven 403"]
            assert door.status()["problem"] == "find ven 403: <html>"
            assert told.signals == []
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"resources": ["one"]}, "one name for each EVSE"),
        ({"ca": "/no/such.pem"}, "cannot be loaded"),
    ],
)
def test_what_cannot_be_built(settings: dict[str, Any], word: str) -> None:
    asked = {"url": "https://vtn.example", "ven_name": "charger", **settings}
    with pytest.raises(GridError, match=word):
        build.build(config(openadr3=asked), ports()[0])


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"url": "http://vtn.example"}, "without TLS"),
        ({"url": "ftp://vtn.example"}, "must begin with https"),
        ({"key": "/x"}, "belong together"),
        ({"client_id": "x"}, "needs client_secret"),
        ({"poll_s": 600}, "a third of hold_s"),
        ({"token_url": "http://auth.example/"}, "without TLS"),
        ({"resources": ["a", "a"]}, "used twice"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], word: str) -> None:
    asked = {"url": "https://vtn.example", "ven_name": "charger", **settings}
    with pytest.raises(ValueError, match=word):
        config(openadr3=asked)
