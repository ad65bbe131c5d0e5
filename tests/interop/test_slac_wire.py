"""SLAC on real wires: two stations, one vehicle and a pest, each in its own namespace.

The units are the product's processes with raw sockets; the line is hil/slac. Root only.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from chargerd.vehicle.slac.client import SlacClient
from chargerd.vehicle.slac.matching import State, Status
from chargerd.vehicle.slac.raw import open_raw
from hil.stand import CCS
from tests.interop.namespaces import refusal
from tests.process import station, until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

STATIONS = ("near", "far", "ev", "pest")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=10)


@dataclass
class Star:
    """A hub namespace and one for each station; a veth pair to each."""

    folder: Path
    pids: dict[str, int] = field(default_factory=dict)
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, where: str, *command: str) -> subprocess.Popen[str]:
        """A Python module in one of the namespaces; stopped at the end."""
        inside = ["nsenter", f"--target={self.pids[where]}", "--net"]
        process = subprocess.Popen(
            [*inside, sys.executable, "-m", *command],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def unit(self, name: str) -> Path:
        """The product's unit of one station."""
        path = self.folder / f"{name}.sock"
        self.start(
            name, "chargerd.vehicle.slac", f"--interface=s-{name}", f"--socket={path}"
        )
        return path


@pytest.fixture
def star(tmp_path: Path) -> Iterator[Star]:
    why = refusal()
    if why:
        pytest.skip(why)
    made = Star(tmp_path)
    with contextlib.ExitStack() as stack:
        for name in ("hub", *STATIONS):
            holder = subprocess.Popen(
                ["unshare", "--net", "sh", "-c", "echo ready; exec cat"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            stack.callback(holder.communicate)
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"ready\n"
            made.pids[name] = holder.pid
        hub = ["nsenter", f"--target={made.pids['hub']}", "--net"]
        for name in STATIONS:
            peer = ["peer", "name", f"s-{name}", "netns", str(made.pids[name])]
            _run(*hub, "ip", "link", "add", f"h-{name}", "type", "veth", *peer)
            _run(*hub, "ip", "link", "set", f"h-{name}", "up")
            far = ["nsenter", f"--target={made.pids[name]}", "--net"]
            _run(*far, "ip", "link", "set", f"s-{name}", "up")
        yield made
        for process in made.started:
            process.kill()
            process.communicate()


async def wait(client: SlacClient, state: State, limit_s: float = 20.0) -> Status:
    end = time.monotonic() + limit_s
    while True:
        status = client.status()
        if status is not None and status.state is state:
            return status
        assert time.monotonic() < end, f"{status} instead of {state}"
        await asyncio.sleep(0.05)


@pytest.mark.asyncio
async def test_the_right_one_of_two_stations_in_spite_of_a_pest(star: Star) -> None:
    ends = [f"--station={name}=h-{name}" for name in STATIONS]
    near = ["--near=near:ev:11", "--near=far:ev:33", "--near=pest:ev:20"]
    hub = star.start("hub", "hil.slac", "line", *ends, *near)
    assert hub.stdout is not None
    assert hub.stdout.readline() == "ready\n"
    clients = [SlacClient(star.unit(name), time.monotonic) for name in ("near", "far")]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(client.run()) for client in clients]
        for client in clients:
            client.pilot("A")
            await wait(client, State.UNMATCHED)
        pest = star.start("pest", "hil.slac", "noise", "--interface=s-pest")
        assert pest.stdout is not None
        await asyncio.to_thread(pest.stdout.readline)
        for client in clients:
            client.pilot("B")  # a car at each cable; the other one sleeps
        star.start("ev", "hil.slac", "ev", "--interface=s-ev")
        status = await wait(clients[0], State.MATCHED)
        assert status.attenuation_db is not None
        assert 10.0 < status.attenuation_db < 15.0
        assert status.modem.startswith("MAC-QCA7005")
        other = clients[1].status()
        assert other is not None
        assert other.state is not State.MATCHED
        clients[0].pilot("A")
        await wait(clients[0], State.UNMATCHED)
        for task in tasks:
            task.cancel()


@pytest.mark.asyncio
async def test_a_modem_interface_that_comes_late(star: Star) -> None:
    hub = star.start("hub", "hil.slac", "line", "--station=near=h-near")
    assert hub.stdout is not None
    assert hub.stdout.readline() == "ready\n"
    inside = ["nsenter", f"--target={star.pids['near']}", "--net", "ip", "link"]
    _run(*inside, "set", "s-near", "down")
    _run(*inside, "set", "s-near", "name", "later")
    client = SlacClient(star.unit("near"), time.monotonic)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(client.run())
        await wait(client, State.NO_MODEM)
        _run(*inside, "set", "later", "name", "s-near")
        _run(*inside, "set", "s-near", "up")
        await wait(client, State.UNMATCHED)
        task.cancel()


@pytest.mark.asyncio
async def test_the_daemon_shows_five_percent_and_sees_the_link(
    star: Star, tmp_path: Path
) -> None:
    """Rig, daemon, unit and vehicle: plug, 5 %, match, link; unplug: all is left."""
    ends = [f"--station={name}=h-{name}" for name in ("near", "ev")]
    hub = star.start("hub", "hil.slac", "line", *ends, "--near=near:ev:11")
    assert hub.stdout is not None
    assert hub.stdout.readline() == "ready\n"
    slac = {"CHARGERD__EVSE__0__ISO15118__SLAC": str(star.unit("near"))}
    async with station(tmp_path / "stand", config=str(CCS), **slac) as plant:

        async def link() -> str:
            return str((await plant.status())["vehicle"]["data_link"])

        async def is_link(wanted: str) -> bool:
            return await link() == wanted

        async def shows(duty: float) -> bool:
            return abs(float((await plant.truth())["duty"]) - duty) < 0.001

        await until("the unit is there", lambda: is_link("unmatched"), 20.0)
        assert await shows(1.0)
        await plant.stand.rig.ask(verb="plug_in", connector=1, ev="external", soc=50.0)
        await until("5 %", lambda: shows(0.05), 10.0)
        star.start("ev", "hil.slac", "ev", "--interface=s-ev")
        await until("the link", lambda: is_link("ready"), 20.0)
        assert await shows(0.05)
        await plant.stand.rig.ask(verb="plug_out", connector=1)
        await until("the network is left", lambda: is_link("unmatched"), 10.0)
        assert await shows(1.0)


def test_an_interface_that_cannot_be_a_modem_is_refused() -> None:
    why = refusal()
    if why:
        pytest.skip(why)
    with pytest.raises(OSError, match="not an Ethernet interface"):
        open_raw("lo")
    with pytest.raises(OSError, match=r"No such device"):
        open_raw("no-such-port")
