"""The SLAC unit and the daemon's client on real sockets; the wire is a socket pair.

What needs a raw socket and namespaces is in tests/interop/test_slac_wire.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest

from chargerd.model import DataLink, VehicleOffer, VehiclePhase, VehicleState
from chargerd.vehicle.slac import lines
from chargerd.vehicle.slac.__main__ import main, settings, uids
from chargerd.vehicle.slac.__main__ import parser as arguments
from chargerd.vehicle.slac.client import SlacClient
from chargerd.vehicle.slac.door import LEAVE_S, SlacDoor
from chargerd.vehicle.slac.errors import SlacError
from chargerd.vehicle.slac.matching import Leave, Settings, State, Status
from chargerd.vehicle.slac.run import Times
from chargerd.vehicle.slac.unit import Unit
from firmware_bridge.api import PilotReading, PilotState, Reading, Telemetry
from hil.slac.ev import EvSlac
from hil.slac.powerline import Modem, Powerline
from tests.cancel import Spoils
from tests.unit.vehicle_slac.bench import mac

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(60)]

# What needs a fast machine is tested on a fake clock (test_matching.py).
SLOW = Times(match_sequence_s=5.0, match_mnbc_s=5.0, match_response_s=5.0)


@dataclass
class Bench:
    """A unit, its client, and a vehicle on the line."""

    unit: Unit
    client: SlacClient
    power: Powerline
    ev: EvSlac
    host: socket.socket  # the line's end of the unit's wire
    path: Path

    async def until(self, met: Callable[[], bool]) -> None:
        async with asyncio.timeout(50.0):
            while not met():  # noqa: ASYNC110 - both ends of real sockets
                await asyncio.sleep(0.005)

    def state(self) -> State | None:
        status = self.client.status()
        return status.state if status else None

    async def line(self) -> None:
        """Moves frames until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            now = time.monotonic()
            self.ev.on_timer(now)
            out = [("ev", raw) for raw in self.ev.to_send()]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.005):
                    raw = await loop.sock_recv(self.host, 2000)
                    if not raw:
                        return
                    out.append(("evse", raw))
            while out:
                name, raw = out.pop(0)
                for to, data in self.power.send(name, raw, now):
                    if to == "evse":
                        await loop.sock_sendall(self.host, data)
                    else:
                        self.ev.receive(data, now)
                        out += [("ev", answer) for answer in self.ev.to_send()]


@contextlib.asynccontextmanager
async def running(tmp_path: Path) -> AsyncIterator[Bench]:
    near, host = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (near, host):
        end.setblocking(False)
    power = Powerline()
    power.add("evse", Modem(mac(0x81)))
    power.add("ev", Modem(mac(0x82)))
    power.near("evse", "ev", 10)
    ev = EvSlac(mac(2), os.urandom, patience_s=60.0)
    path = tmp_path / "slac.sock"
    ends = iter([near])

    def opener(interface: str) -> tuple[socket.socket, bytes]:
        try:
            return next(ends), mac(1)
        except StopIteration:
            raise OSError(f"{interface} has gone") from None

    unit = Unit("plc0", path, Settings(times=SLOW), opener=opener)
    client = SlacClient(path, time.monotonic)
    made = Bench(unit, client, power, ev, host, path)
    with near, host:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(unit.run())]
            await unit.ready.wait()
            tasks += [group.create_task(client.run()), group.create_task(made.line())]
            yield made
            for task in tasks:
                task.cancel()


async def test_a_whole_match_is_told_to_the_daemon(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        await bench.until(lambda: bench.state() is State.UNMATCHED)
        bench.client.pilot("B")
        bench.ev.plug(time.monotonic())
        await bench.until(lambda: bench.state() is State.MATCHED)
        status = bench.client.status()
        assert status is not None
        assert status.ev_mac == "02:00:00:00:00:02"
        bench.client.leave(Leave.TERMINATE)
        await bench.until(lambda: bench.state() is State.UNMATCHED)


async def test_without_the_daemon_the_plug_counts_as_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its word is a lease: a hung daemon has no session either."""
    async with running(tmp_path) as bench:
        bench.client.pilot("B")
        await bench.until(lambda: bench.unit._pilot == "B")
        monkeypatch.setattr(lines, "LEASE_S", 0.0)  # as if nobody had spoken for long
        await bench.until(lambda: bench.unit._pilot == "A")


async def test_a_lost_interface_is_a_state(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        await bench.until(lambda: bench.state() is State.UNMATCHED)
        bench.host.shutdown(socket.SHUT_RDWR)
        await bench.until(lambda: bench.state() is State.NO_MODEM)


async def test_nonsense_of_a_peer_ends_that_peer_alone(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        for text in (b"hello\n", b'{"pilot": "Q"}\n', b"x" * 5000):
            reader, writer = await asyncio.open_unix_connection(bench.path)
            writer.write(text)
            with contextlib.suppress(ConnectionError):  # closed with bytes unread
                while await reader.read(4096):
                    pass
            writer.close()
        await bench.until(lambda: bench.state() is State.UNMATCHED)


async def test_strangers_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chargerd.vehicle.slac.unit.peer_uid", lambda writer: 4242)

    def opener(interface: str) -> tuple[socket.socket, bytes]:
        raise OSError("none here")

    unit = Unit("plc0", tmp_path / "s", Settings(), opener=opener)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(unit.run())
        await unit.ready.wait()
        reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
        assert await reader.read() == b""
        writer.close()
        assert unit.refused == 1
        task.cancel()


async def test_without_the_capability_it_says_so_and_ends(tmp_path: Path) -> None:
    def opener(interface: str) -> tuple[socket.socket, bytes]:
        raise PermissionError("Operation not permitted")

    with pytest.raises(PermissionError):
        await Unit("plc0", tmp_path / "s", Settings(), opener=opener).run()


# --- the door -------------------------------------------------------------------------


class Inner:
    """A vehicle door that says what it is told."""

    def __init__(self) -> None:
        self.now = VehicleState("iso15118-2")
        self.offers = 0

    def offer(self, offer: VehicleOffer) -> None:
        self.offers += 1

    def state(self) -> VehicleState:
        return self.now

    async def run(self) -> None:
        await asyncio.get_running_loop().create_future()


class Line:
    """What the client would tell and be told."""

    def __init__(self) -> None:
        self.told: Status | None = None
        self.said: list[str | Leave] = []

    def status(self) -> Status | None:
        return self.told

    def pilot(self, state: str) -> None:
        self.said.append(state)

    def leave(self, why: Leave) -> None:
        self.said.append(why)


def offer(at_mono: float, pilot: PilotState | None = PilotState.C) -> VehicleOffer:
    reading = Reading(PilotReading(pilot), at_mono) if pilot else None
    return VehicleOffer(at_mono, telemetry=Telemetry(pilot=reading))


def door() -> tuple[SlacDoor, Inner, Line]:
    inner, line = Inner(), Line()
    return SlacDoor(inner, cast(SlacClient, line)), inner, line


@pytest.mark.parametrize(
    ("told", "link"),
    [
        (None, DataLink.ABSENT),
        (State.NO_MODEM, DataLink.ABSENT),
        (State.UNMATCHED, DataLink.UNMATCHED),
        (State.MATCHING, DataLink.MATCHING),
        (State.JOINING, DataLink.MATCHING),
        (State.MATCHED, DataLink.READY),
    ],
)
async def test_the_link_is_part_of_the_vehicle(
    told: State | None, link: DataLink
) -> None:
    made, inner, line = door()
    line.told = Status(told) if told else None
    assert made.state() == replace(inner.now, data_link=link)


async def test_the_pilot_goes_on_to_the_unit() -> None:
    made, inner, line = door()
    made.offer(offer(1.0))
    made.offer(offer(1.1, None))
    assert line.said == ["C", "?"]
    assert inner.offers == 2


@pytest.mark.parametrize(
    ("phase", "cause", "left"),
    [
        (VehiclePhase.ENDED, "vehicle_stop", [Leave.TERMINATE]),
        (VehiclePhase.FAULT, "silent", [Leave.ERROR]),
        (VehiclePhase.PAUSED, "vehicle_pause", []),
    ],
)
async def test_after_a_session_the_link_is_given_up_once(
    phase: VehiclePhase, cause: str, left: list[Leave]
) -> None:
    made, inner, line = door()
    inner.now = VehicleState("iso15118-2", VehiclePhase.ENERGY)
    made.offer(offer(1.0))
    inner.now = VehicleState("iso15118-2", phase, stop_cause=cause)
    for at in (2.0, 2.0 + LEAVE_S - 0.1, 2.0 + LEAVE_S, 9.0, 10.0):
        made.offer(offer(at))
        if at < 2.0 + LEAVE_S:
            assert not [said for said in line.said if isinstance(said, Leave)]
    assert [said for said in line.said if isinstance(said, Leave)] == left


# --- arguments ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ("--receive-loss-db=-1", "receive-loss-db"),
        ("--receive-loss-db=nan", "receive-loss-db"),
        ("--attenuation-max-db=300", "attenuation-max-db"),
        ("--modem-mac=abc", "MAC address"),
    ],
)
async def test_a_setting_that_cannot_be_is_named(more: str, named: str) -> None:
    args = arguments().parse_args(["--interface=x", "--socket=y", more])
    with pytest.raises(SlacError, match=named):
        settings(args)


async def test_a_user_that_is_not_there_is_named() -> None:
    with pytest.raises(SlacError, match="no-such-user"):
        uids(["no-such-user"])


async def test_arguments_are_needed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([])
    assert left.value.code == 2
    assert "--interface" in capsys.readouterr().err


async def test_an_interface_that_is_down_is_tried_now_and_then(tmp_path: Path) -> None:
    """The kernel lets us bind to it, and refuses every frame."""
    opened = 0

    def opener(interface: str) -> tuple[socket.socket, bytes]:
        nonlocal opened
        opened += 1
        if opened == 50:
            raise PermissionError  # ends it
        near, host = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        near.setblocking(False)
        host.close()
        return near, mac(1)

    unit = Unit("plc0", tmp_path / "slac.sock", Settings(times=SLOW), opener=opener)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(unit.run())
        await unit.ready.wait()
        for _ in range(100):
            await asyncio.sleep(0)
        assert opened == 1
        task.cancel()


async def test_an_error_that_meets_a_cancel_does_not_hide_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, spoils = SlacClient(tmp_path / "none", time.monotonic), Spoils(OSError())
    monkeypatch.setattr(client, "_talk", spoils)
    assert await spoils.ends(client.run())


async def test_it_ends_though_the_daemon_stays(tmp_path: Path) -> None:
    """From Python 3.12 on a server waits for its peers, if it is asked to."""

    def opener(interface: str) -> tuple[socket.socket, bytes]:
        raise OSError(f"{interface} is not there")

    unit = Unit("plc0", tmp_path / "slac.sock", Settings(), opener=opener)
    task = asyncio.create_task(unit.run())
    await unit.ready.wait()
    reader, writer = await asyncio.open_unix_connection(tmp_path / "slac.sock")
    await reader.readline()
    task.cancel()
    _, late = await asyncio.wait([task], timeout=5.0)
    writer.close()
    while unit._daemon is not None:  # noqa: ASYNC110 - turns of the loop
        await asyncio.sleep(0)
    assert not late
