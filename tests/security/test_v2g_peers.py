"""Who else is on the charge cable: floods, strangers, late interfaces, replugs.

Rows S21, S28, S31, S34 and S35 of the project's security reference; the door on real
loopback sockets, its hardware a simulated plant.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from chargerd.vehicle.iso15118 import door as shell
from chargerd.vehicle.iso15118 import sdp, v2gtp
from chargerd.vehicle.iso15118.messages import iso2
from chargerd.vehicle.iso15118.secc.connection import SETUP_S
from chargerd.vehicle.iso15118.secc.iso2 import Iso2Session
from tests.property.test_exi_hostile import peak_bytes
from tests.security.test_v2g_hostile import EXI, head
from tests.unit.vehicle_iso.secc.ev2 import Stand
from tests.unit.vehicle_iso.secc.plant import SETUP
from tests.unit.vehicle_iso.secc.test_connection import Wire, hello
from tests.unit.vehicle_iso.test_door import (
    LOOPBACK,
    WAYS,
    Bench,
    bench,
    closed,
    tls_of,
    to_setup,
    vehicle_context,
)
from tests.v2g_car import find

SDP_NOISE = [
    b"",
    b"\x01",
    sdp.encode_request(sdp.Request(sdp.Security.NONE, sdp.Transport.TCP))[:-1],
    sdp.encode_request(sdp.Request(sdp.Security.NONE, sdp.Transport.TCP)) + b"\x00",
    sdp.encode_request(sdp.Request(sdp.Security.NONE, sdp.Transport.UDP)),
    head(0x9000, 2) + b"\x01\x00",  # a reserved security byte
    head(0x9000, 2**32 - 1) + b"\x10\x00",
    head(0x9001, 20) + bytes(20),  # somebody else's answer
    head(0x9002, 2) + b"\x10\x00",
    head(EXI, 2) + b"\x10\x00",
    b"\xff" * 9_000,
]


@pytest.mark.asyncio
async def test_sdp_answers_good_requests_only_and_once_each() -> None:
    async with bench() as made:
        loop = asyncio.get_running_loop()
        await find(made.port)
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.connect(("::1", made.port))
            for noise in SDP_NOISE:
                await loop.sock_sendall(sock, noise)
            good = sdp.encode_request(sdp.Request(sdp.Security.NONE, sdp.Transport.TCP))
            await loop.sock_sendall(sock, good)
            async with asyncio.timeout(5.0):
                first = await loop.sock_recv(sock, 100)
            assert sdp.decode_response(first).address.is_loopback
            with pytest.raises(BlockingIOError):  # the noise before it got nothing
                sock.recv(100)


@pytest.mark.asyncio
@pytest.mark.parametrize("secure", [False, True])
async def test_s21_200_silent_sockets_keep_no_vehicle_out(
    secure: bool, tmp_path: Path
) -> None:
    async with bench(tls_of(tmp_path) if secure else None) as made:
        port = (await find(made.port, tls=secure)).port
        silent = [await asyncio.open_connection("::1", port) for _ in range(200)]
        car = made.car()
        await car.connect(made.port, vehicle_context(tmp_path) if secure else None)
        await to_setup(car)
        assert made.door.refused >= 200 - shell.MAX_PEERS
        assert len(made.door._peers) <= shell.MAX_PEERS
        for _, writer in silent:
            writer.transport.abort()


def test_s21_dribbling_bytes_buys_no_time() -> None:
    """Slow-loris: the clock runs from the connection on, not from the last byte."""
    wire, data = Wire(), hello()
    for number, byte in enumerate(data[:-1]):
        now_mono = SETUP_S * number / len(data)
        wire.connection.on_timer(now_mono)
        assert wire.say(bytes((byte,)), now_mono) == []
        assert not wire.connection.closing
        assert wire.connection.next_timer() == SETUP_S
    wire.connection.on_timer(SETUP_S)
    assert wire.connection.closing
    assert wire.say(data[-1:], SETUP_S) == []


def test_s21_bytes_without_end_are_not_kept() -> None:
    """A frame of an unknown type is skipped unread, a flood of them as well."""
    wire = Wire()
    flood = head(0xA000, v2gtp.IGNORED_CAP_BYTES) + bytes(v2gtp.IGNORED_CAP_BYTES)

    def run() -> None:
        for _ in range(30):
            wire.say(flood)

    assert peak_bytes(run) < 3 * len(flood)
    assert not wire.connection.closing
    assert len(wire.say(hello())) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("way", ["setup", "authorised", "power"])
async def test_s34_a_second_host_is_refused_and_changes_nothing(way: str) -> None:
    async with bench() as made:
        car = made.car()
        await car.connect(made.port)
        for step in WAYS[way]:
            await step(car)
        await made.tick(1)
        before = made.door.state()
        stranger = made.car()
        with pytest.raises(AssertionError, match="Failed_NoNegotiation"):
            await stranger.connect(made.port)
        assert await closed(stranger)
        for _ in range(shell.MAX_PEERS + 2):
            await made.socket()
        assert made.door.state().phase is before.phase
        if way == "power":
            await car.demand(20.0)
            assert made.plant.dc_closed
        else:
            await car.say(iso2.SessionStopReq(ChargingSession="Terminate"))


def session() -> Stand:
    """A session as the daemon makes it, set up."""
    stand = Stand(Iso2Session(SETUP, secrets.token_bytes))
    stand.say(stand.setup())
    return stand


def test_s34_a_session_id_is_new_each_time() -> None:
    ids = {session().id for _ in range(50)}
    assert len(ids) == 50
    assert bytes(8) not in ids


@pytest.mark.parametrize("change", [bytes(8), b"", b"\xff" * 7, None])
def test_s34_a_session_id_is_asked_of_every_message(change: bytes | None) -> None:
    stand = session()
    flipped = stand.id[:7] + bytes((stand.id[7] ^ 1,))
    stand.id = flipped if change is None else change
    response = stand.say(iso2.ServiceDiscoveryReq())
    assert response.ResponseCode == "FAILED_UnknownSession"


def listening() -> Iterator[tuple[str, str, int]]:
    """(protocol, address in hex, port) of every IPv6 socket this process listens on."""
    own = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            own.add(os.readlink(entry))
        except OSError:
            continue  # closed since
    for name, waiting in (("tcp6", "0A"), ("udp6", "07")):
        for line in Path(f"/proc/self/net/{name}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == waiting and f"socket:[{words[9]}]" in own:
                address, _, port = words[1].partition(":")
                yield name, address, int(port, 16)


@pytest.mark.asyncio
async def test_s35_every_listener_is_bound_to_the_interface(tmp_path: Path) -> None:
    async with bench(tls_of(tmp_path)) as made:
        await find(made.port)
        found = list(listening())
        loopback = "0" * 24 + "01000000"
        assert {address for _, address, _ in found} == {loopback}
        assert sorted(name for name, _, _ in found) == ["tcp6", "tcp6", "udp6"]
        ports = {port for name, _, port in found if name == "tcp6"}
        assert all(sdp.PORT_MIN <= port <= sdp.PORT_MAX for port in ports)


@pytest.mark.asyncio
async def test_s28_the_interface_may_be_late_go_and_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shell, "LOOK_S", 0.01)
    made = Bench()
    made.address = None
    task = asyncio.create_task(made.door.run())
    made.plug()
    try:
        with pytest.raises(AssertionError, match="no answer"):
            await find(made.port, 1)
        made.address = LOOPBACK
        car = made.car()
        await car.connect(made.port)
        for step in WAYS["power"]:
            await step(car)
        await made.tick(1)
        made.address = None  # in the middle of a session
        assert await closed(car)
        await made.tick(60)
        assert not made.plant.dc_closed
        assert not task.done()
    finally:
        await made.leave()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.asyncio
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("after_s", [0.2, 1.0, 5.0])
async def test_s31_a_replug_is_served_at_once(way: str, after_s: float) -> None:
    """The old connection stays open: a vehicle that was pulled says no goodbye."""
    async with bench() as made:
        car = made.car()
        await car.connect(made.port)
        for step in WAYS[way]:
            await step(car)
        made.plug(shell.PilotState.A)
        made.plant.ev_closed = False
        await made.tick(round(after_s / 0.05))
        made.plug()
        following = made.car()
        await following.connect(made.port)
        await to_setup(following)
