"""The socket: peers checked, hostile lines answered, caps hold, watch streams."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chargerd.config import Local
from chargerd.local import api
from chargerd.local.api import LocalApi
from chargerd.local.metrics import Metrics, render
from chargerd.local.values import LocalError
from chargerd.store import StoreError
from tests.unit.local.test_verbs import Heart
from tests.unit.local.values import a_report

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def _serving(folder: Path, **kwargs: Any) -> AsyncIterator[Path]:
    path = folder / "api.sock"
    logins = kwargs.pop("logins", [])
    server = LocalApi(
        Local(socket=path, group=kwargs.pop("group", "")),
        kwargs.pop("ports", None) or Heart().ports(),
        lambda accepted, uid: logins.append((accepted, uid)),
        **kwargs,
    )
    task = asyncio.create_task(server.run())
    try:
        await asyncio.wait_for(server.ready.wait(), 5)
        yield path
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=5)
    assert not path.exists()


async def _ask(streams: Streams, line: bytes | dict[str, Any]) -> dict[str, Any]:
    reader, writer = streams
    data = line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n"
    writer.write(data)
    answer = await asyncio.wait_for(reader.readline(), 5)
    value: dict[str, Any] = json.loads(answer)
    return value


@pytest.mark.asyncio
async def test_questions_are_answered_in_order(tmp_path: Path) -> None:
    logins: list[tuple[bool, int]] = []
    async with _serving(tmp_path, logins=logins) as path:
        assert path.stat().st_mode & 0o777 == 0o660
        streams = await asyncio.open_unix_connection(str(path))
        assert await _ask(streams, {"verb": "ping", "id": 7}) == {
            "ok": True,
            "pong": True,
            "id": 7,
        }
        status = await _ask(streams, {"verb": "status"})
        assert status["evses"][0]["meter_w"] == -4990.0
        assert status["station"]["link"] == "up"
        streams[1].close()
        again = await asyncio.open_unix_connection(str(path))
        await _ask(again, {"verb": "ping"})
        again[1].close()
    assert logins == [(True, os.getuid())]  # one event, not one per connection


@pytest.mark.asyncio
async def test_hostile_lines_are_refused_and_the_connection_lives(
    tmp_path: Path,
) -> None:
    async with _serving(tmp_path) as path:
        streams = await asyncio.open_unix_connection(str(path))
        for line in (
            b"\n",
            b"nonsense\n",
            b"[]\n",
            b"\xff\xfe\n",
            b"[" * 60_000 + b"\n",
            b'{"verb": "simulate", "power_w": NaN}\n',
            b'{"verb": "simulate", "power_w": 1e400}\n',
            b'{"verb": "simulate", "power_w": ' + b"9" * 5000 + b"}\n",
        ):
            answer = await _ask(streams, line)
            assert answer["ok"] is False, line[:40]
            assert answer["error"]
        assert (await _ask(streams, {"verb": "ping"}))["ok"]
        streams[1].close()


@pytest.mark.asyncio
async def test_a_broken_store_is_an_answer(tmp_path: Path) -> None:
    async def broken(last: int) -> list[dict[str, Any]]:
        raise StoreError("disk full")

    ports = replace(Heart().ports(), sessions=broken)
    async with _serving(tmp_path, ports=ports) as path:
        streams = await asyncio.open_unix_connection(str(path))
        answer = await _ask(streams, {"verb": "session"})
        assert answer == {"ok": False, "error": "disk full"}
        assert (await _ask(streams, {"verb": "ping"}))["ok"]
        streams[1].close()


@pytest.mark.asyncio
async def test_an_endless_line_ends_that_connection_only(tmp_path: Path) -> None:
    async with _serving(tmp_path) as path:
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b"x" * (3 * api.MAX_LINE_BYTES))
        assert b"over 65536 bytes" in await asyncio.wait_for(reader.readline(), 5)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        other = await asyncio.open_unix_connection(str(path))
        assert (await _ask(other, {"verb": "ping"}))["ok"]
        other[1].close()


@pytest.mark.asyncio
async def test_at_the_cap_the_idlest_peer_makes_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "MAX_CONNECTIONS", 2)
    async with _serving(tmp_path) as path:
        first, second = [await asyncio.open_unix_connection(str(path)) for _ in "12"]
        for streams in (first, second, first):
            await _ask(streams, {"verb": "ping"})
        third = await asyncio.open_unix_connection(str(path))
        assert (await _ask(third, {"verb": "ping"}))["ok"]
        assert await asyncio.wait_for(second[0].read(), 5) == b""
        assert (await _ask(first, {"verb": "ping"}))["ok"]
        for _, writer in (first, second, third):
            writer.close()


@pytest.mark.asyncio
async def test_a_peer_that_never_reads_is_let_go_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection too: those of many such peers would use up the daemon's files."""
    monkeypatch.setattr(api, "WRITE_TIMEOUT_S", 0.2)
    async with _serving(tmp_path) as path:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(str(path))
            peer.setblocking(False)
            line = json.dumps({"verb": "help"}).encode() + b"\n"
            with contextlib.suppress(OSError):  # until nobody takes any more
                for _ in range(10_000):
                    peer.sendall(line * 10)
                    await asyncio.sleep(0)
            ends = select.poll()
            ends.register(peer, select.POLLHUP)
            for _ in range(100):
                if ends.poll(0):
                    break
                await asyncio.sleep(0.05)
            assert ends.poll(0)


@pytest.mark.asyncio
async def test_a_stranger_is_refused_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "_peer", lambda link: (4711, frozenset({4711})))
    logins: list[tuple[bool, int]] = []
    async with _serving(tmp_path, logins=logins, own_uid=1) as path:
        reader, writer = await asyncio.open_unix_connection(str(path))
        answer = json.loads(await asyncio.wait_for(reader.readline(), 5))
        assert not answer["ok"]
        assert "4711" in answer["error"]
        assert await reader.read() == b""
        writer.close()
    assert logins == [(False, 4711)]


@pytest.mark.asyncio
async def test_peers_that_are_left_are_no_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the stop, and when a place is needed: nothing to alarm anybody about."""
    monkeypatch.setattr(api, "MAX_CONNECTIONS", 2)
    alarms: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: alarms.append(context))
    async with _serving(tmp_path) as path:
        held = [await asyncio.open_unix_connection(str(path)) for _ in range(3)]
        await _ask(held[2], {"verb": "ping"})
    for reader, writer in held:
        await asyncio.wait_for(reader.read(), 5)
        writer.close()
    assert alarms == []


@pytest.mark.asyncio
async def test_strangers_take_no_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "MAX_CONNECTIONS", 1)
    async with _serving(tmp_path) as path:
        friend = await asyncio.open_unix_connection(str(path))
        await _ask(friend, {"verb": "ping"})
        monkeypatch.setattr(api, "_peer", lambda link: (4711, frozenset({4711})))
        for _ in range(3):
            reader, writer = await asyncio.open_unix_connection(str(path))
            assert b"may not use" in await asyncio.wait_for(reader.readline(), 5)
            writer.close()
        assert (await _ask(friend, {"verb": "ping"}))["ok"]
        friend[1].close()


@pytest.mark.asyncio
async def test_a_member_of_the_group_is_admitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gid = os.getgid()
    monkeypatch.setattr(api, "_group_id", lambda name: gid if name else None)
    monkeypatch.setattr(api, "_peer", lambda link: (4711, frozenset({4711, gid})))
    async with _serving(tmp_path, group="people", own_uid=1) as path:
        streams = await asyncio.open_unix_connection(str(path))
        assert (await _ask(streams, {"verb": "ping"}))["ok"]
        streams[1].close()


def test_the_kernel_tells_who_the_peer_is() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        uid, groups = api._peer(ours)
    assert uid == os.getuid()
    assert groups >= {os.getgid(), *os.getgroups()}


@pytest.mark.asyncio
async def test_an_unknown_group_is_an_error(tmp_path: Path) -> None:
    config = Local(socket=tmp_path / "s", group="no-such-group-here")
    with pytest.raises(LocalError, match="no-such-group-here"):
        await LocalApi(config, Heart().ports()).run()


@pytest.mark.asyncio
async def test_watch_streams_until_the_peer_leaves(tmp_path: Path) -> None:
    async with _serving(tmp_path) as path:
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b'{"verb": "watch", "interval_s": 0.1}\n')
        for _ in range(3):
            line = json.loads(await asyncio.wait_for(reader.readline(), 5))
            assert line["evses"][0]["phase"] == "energy"
        writer.close()
        streams = await asyncio.open_unix_connection(str(path))
        refused = await _ask(streams, {"verb": "watch", "interval_s": 0})
        assert "interval_s" in refused["error"]
        streams[1].close()


@pytest.mark.parametrize("address", ["0.0.0.0:9464", "example:1", "127.0.0.1", "::1"])
def test_metrics_only_on_loopback(address: str) -> None:
    with pytest.raises(LocalError, match="loopback"):
        Metrics(address, list, dict)


def test_metrics_text_leaves_out_what_is_not_known() -> None:
    ports = Heart().ports(evse_ids=(1, 2))
    ports.read.report(a_report(2.0))
    text = render(ports.read.status(), {"ticks": 12, "link": "up", "nan": float("nan")})
    assert 'chargerd_meter_watts{evse="1"} -4990' in text
    assert 'chargerd_soc_percent{evse="1"} 58' in text
    assert "chargerd_ticks 12" in text
    assert "nan" not in text
    assert "link" not in text
    found = {"late_answers": 3, "margins_ms": {"CurrentDemandReq": 21.5}}
    text = render([], {"v2g": {1: found}})
    assert 'chargerd_v2g_late_answers{evse="1"} 3' in text
    assert 'chargerd_v2g_margin_ms{evse="1",request="CurrentDemandReq"} 21.5' in text
    assert render([{"evse_id": 1}], {}).count("meter_watts") == 2  # its header only


@pytest.mark.asyncio
async def test_metrics_answer_over_http() -> None:
    metrics = Metrics("127.0.0.1:0", lambda: [{"evse_id": 1, "meter_w": 5.0}], dict)
    server = await asyncio.start_server(metrics._serve, "127.0.0.1", 0, limit=8192)
    port = server.sockets[0].getsockname()[1]
    async with server:
        for request, expected in (
            (b"GET /metrics HTTP/1.1\r\n\r\n", b"200 OK"),
            (b"GET / HTTP/1.1\r\n\r\n", b"404"),
            (b"POST /metrics HTTP/1.1\r\n\r\n", b"404"),
            (b"GET /" + b"x" * 20_000 + b"\r\n\r\n", b"431"),
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n"), 5)
            assert expected in answer
            writer.close()
