"""The door on real loopback sockets: who is found, who gets in, and how it ends.

The hardware is a simulated plant with a time of its own; nothing waits for a clock.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from chargerd.clock import Clock, Now
from chargerd.model import Revocable, VehiclePhase
from chargerd.vehicle.iso15118 import door as shell
from chargerd.vehicle.iso15118 import exi, sap, sdp, v2gtp
from chargerd.vehicle.iso15118.door import NewTls, SeccDoor
from chargerd.vehicle.iso15118.messages import iso2 as m
from chargerd.vehicle.iso15118.pki import Trust
from chargerd.vehicle.iso15118.secc.sessions import Sessions
from chargerd.vehicle.iso15118.tls import Identity, TlsServer
from firmware_bridge.api import PilotState
from hil.pki import store
from hil.pki.make import make_pki
from hil.pki.profiles import Profile
from hil.stand import free_port
from tests.exi_dense import session_stop, signature
from tests.unit.vehicle_iso.secc.ev2 import SESSION_ID
from tests.unit.vehicle_iso.secc.plant import SETUP, Plant
from tests.v2g_car import DcCar, find

LOOPBACK = ipaddress.IPv6Address("::1")
pytestmark = pytest.mark.asyncio


class PlantClock(Clock):
    """The plant's time."""

    def __init__(self, plant: Plant) -> None:
        super().__init__()
        self.plant = plant

    def now(self) -> Now:
        return Now(self.plant.now, datetime(2026, 11, 25, tzinfo=UTC))


class Bench:
    """A door, its hardware, and cars."""

    def __init__(self, tls: NewTls | None = None, *, plain: bool = True) -> None:
        self.plant = Plant()
        self.clock = PlantClock(self.plant)
        self.port = free_port()
        self._cars: list[DcCar] = []
        self._sockets: list[asyncio.StreamWriter] = []
        self.address: ipaddress.IPv6Address | None = LOOPBACK
        self.certified = True  # the station's certificate is good
        self.door = SeccDoor(
            1,
            "lo",
            (sap.ISO2,),
            Sessions(SETUP, lambda size: SESSION_ID[:size], self.clock.now),
            self.clock,
            sdp_port=self.port,
            tls=tls,
            tls_serves=lambda: self.certified,
            plain=plain,
            address_of=lambda _name: self.address,
        )

    async def tick(self, times: int = 4) -> None:
        """The hardware follows; the door is told."""
        for _ in range(times):
            self.door.offer(self.plant.step(self.door.state()))
        await asyncio.sleep(0)

    def plug(self, state: PilotState = PilotState.B) -> None:
        self.plant.pilot = state
        self.door.offer(self.plant.step(self.door.state()))

    def car(self) -> DcCar:
        async def pins(state: str, closed: bool) -> None:
            self.plant.ev_closed = closed
            self.plug(PilotState(state))

        car = DcCar(pins, self.tick, battery_v=self.plant.battery_v)
        self._cars.append(car)
        return car

    async def socket(self) -> asyncio.StreamReader:
        """A peer that says nothing by itself."""
        found = await find(self.port)
        reader, writer = await asyncio.open_connection("::1", found.port)
        self._sockets.append(writer)
        return reader

    @property
    def last_socket(self) -> asyncio.StreamWriter:
        return self._sockets[-1]

    async def meanwhile(self, doing: Coroutine[Any, Any, None]) -> None:
        """Time passes while the car waits for an answer."""
        task = asyncio.create_task(doing)
        while not task.done():
            await self.tick(1)
        await task

    async def leave(self) -> None:
        """Nothing of the cars outlives the loop."""
        writers = [car.writer for car in self._cars if hasattr(car, "writer")]
        for writer in (*writers, *self._sockets):
            writer.transport.abort()
        await asyncio.sleep(0)
        await asyncio.sleep(0)


@asynccontextmanager
async def bench(
    tls: NewTls | None = None, *, plain: bool = True
) -> AsyncIterator[Bench]:
    """A served door with a car plugged in."""
    made = Bench(tls, plain=plain)
    task = asyncio.create_task(made.door.run())
    made.plug()
    try:
        yield made
    finally:
        await made.leave()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def closed(car: DcCar) -> bool:
    """Whether the station ends the connection."""
    async with asyncio.timeout(5.0):
        return await car.reader.read() == b""


async def test_a_whole_session() -> None:
    async with bench() as made:
        car = made.car()
        await car.connect(made.port)
        await car.authorise()
        await car.prepare()
        await car.start()
        for _ in range(20):
            await car.demand(20.0)
            await made.tick(1)
        assert made.door.state().phase is VehiclePhase.ENERGY
        assert made.plant.current_a > 10.0
        await made.meanwhile(car.stop())
        await made.tick(40)
        assert made.door.state().phase is VehiclePhase.ENDED
        assert not made.plant.dc_closed
        margins = made.door.margins()  # also of connections that are over
        assert 0.0 < margins.worst_s["CurrentDemandReq"] <= 0.025
        assert margins.late == 0


async def test_nobody_is_found_without_a_plug() -> None:
    async with bench() as made:
        made.plug(PilotState.A)
        with pytest.raises(AssertionError, match="no answer"):
            await find(made.port, 2)
        made.plug(PilotState.E)  # says nothing: as before
        with pytest.raises(AssertionError, match="no answer"):
            await find(made.port, 1)
        made.plug()
        assert (await find(made.port)).address == LOOPBACK


async def to_setup(car: DcCar) -> None:
    await car.say(m.SessionSetupReq(EVCCID=bytes.fromhex("02AABBCCDDEE")))


WAYS: dict[str, tuple[Callable[[DcCar], Awaitable[Any]], ...]] = {
    "connected": (),
    "setup": (to_setup,),
    "authorised": (DcCar.authorise,),
    "prepared": (DcCar.authorise, DcCar.prepare),
    "started": (DcCar.authorise, DcCar.prepare, DcCar.start),
    "power": (DcCar.authorise, DcCar.prepare, DcCar.start, lambda c: c.demand(20.0)),
}


@pytest.mark.parametrize("away_s", [0.2, 1.0, 5.0])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_an_unplug_ends_it_and_the_next_car_is_served(
    way: tuple[Callable[[DcCar], Awaitable[Any]], ...], away_s: float
) -> None:
    async with bench() as made:
        car = made.car()
        await car.connect(made.port)
        for step in way:
            await step(car)
        made.plug(PilotState.A)
        assert made.door.state().phase is VehiclePhase.NONE
        assert await closed(car)
        made.plant.ev_closed = False
        await made.tick(round(away_s / 0.05))
        assert not made.plant.dc_closed
        made.plug()
        following = made.car()
        await following.connect(made.port)
        await following.authorise()
        assert made.door.state().phase is VehiclePhase.HANDSHAKE


async def test_one_session_a_connector() -> None:
    async with bench() as made:
        first, second = made.car(), made.car()
        await first.connect(made.port)
        await to_setup(first)
        with pytest.raises(AssertionError, match="Failed_NoNegotiation"):
            await second.connect(made.port)
        await first.say(m.ServiceDiscoveryReq())
        assert made.door.state().phase is VehiclePhase.HANDSHAKE


async def test_a_link_that_died_without_a_word_does_not_hold_the_connector() -> None:
    async with bench() as made:
        lost, again = made.car(), made.car()
        await lost.connect(made.port)
        await to_setup(lost)
        await made.tick(round(shell.QUIET_S / 0.05) + 1)
        with pytest.raises(AssertionError, match="Failed_NoNegotiation"):
            await again.connect(made.port)
        assert await closed(lost)
        again.writer.transport.abort()
        await again.connect(made.port)  # its next try
        await to_setup(again)


async def test_a_lost_connection_opens_the_contactor_and_frees_the_door() -> None:
    async with bench() as made:
        car = made.car()
        await car.connect(made.port)
        for step in WAYS["power"]:
            await step(car)
        await made.tick(1)
        assert made.plant.dc_closed
        car.writer.transport.abort()
        following = made.car()
        for _ in range(100):  # until the path of the lost one is dark
            await made.tick()
            if made.door.state().phase in (VehiclePhase.ENDED, VehiclePhase.FAULT):
                break
        assert not made.plant.dc_closed
        await following.connect(made.port)


@pytest.mark.parametrize(("seen_after", "fault"), [(2, False), (20, True)])
async def test_a_pull_is_no_fault_although_the_link_ends_first(
    seen_after: int, fault: bool
) -> None:
    async with bench() as made:
        car = made.car()
        await car.connect(made.port)
        for step in WAYS["power"]:
            await step(car)
        await made.tick(1)
        car.writer.transport.abort()
        faults: set[str] = set()
        for _ in range(seen_after):  # ticks of 50 ms
            await made.tick(1)
            faults |= made.door.state().faults
        assert made.plant.dc_closed is not fault
        made.plug(PilotState.A)
        assert made.door.state().phase is VehiclePhase.NONE
        assert ("VehicleTimeout" in faults) is fault


async def test_a_long_request_is_answered_and_a_long_lie_is_not() -> None:
    """Both are read in a thread; what is wrong with the second ends it as ever."""
    async with bench() as made:
        car = made.car()
        await car.connect(made.port)
        await to_setup(car)
        stop: Any = session_stop(signature())
        stop.Header.SessionID = car.id
        stop.Header.Signature.SignatureValue.value = bytes(10_000)
        answers: list[bytes] = []

        async def ask() -> None:
            answers.append(await car.exchange(exi.encode(stop)))

        await made.meanwhile(ask())
        told = exi.decode("iso2", answers[0]).Body.BodyElement
        assert told.ResponseCode == "OK"
        liar = made.car()
        await liar.connect(made.port)
        liar.writer.write(v2gtp.pack(v2gtp.PayloadType.EXI, b"\x80" * 20_000))
        assert await closed(liar)


async def test_silent_sockets_keep_nobody_out() -> None:
    async with bench() as made:
        silent = [await made.socket() for _ in range(3 * shell.MAX_PEERS)]
        car = made.car()
        await car.connect(made.port)
        await to_setup(car)
        assert made.door.refused >= 2 * shell.MAX_PEERS
        assert await asyncio.wait_for(silent[0].read(), 5.0) == b""


async def test_the_one_with_the_session_is_never_dropped() -> None:
    async with bench() as made:
        car = made.car()
        await car.connect(made.port)
        await to_setup(car)
        for _ in range(2 * shell.MAX_PEERS):
            await made.socket()
        await car.say(m.ServiceDiscoveryReq())


async def test_nothing_said_ends_the_connection() -> None:
    async with bench() as made:
        reader = await made.socket()
        made.plant.now += 18.5
        for peer in made.door._peers:
            peer.turn()
        assert await asyncio.wait_for(reader.read(), 5.0) == b""


async def test_an_address_that_goes_and_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shell, "LOOK_S", 0.01)
    async with bench() as made:
        car = made.car()
        await car.connect(made.port)
        made.address = None
        assert await closed(car)
        with pytest.raises(AssertionError, match="no answer"):
            await find(made.port, 2)
        made.address = LOOPBACK
        again = made.car()
        await again.connect(made.port)


# -- TLS ---------------------------------------------------------------------------


def tls_of(folder: Path) -> NewTls:
    home = store.write_pki(make_pki(Profile.ISO2, datetime.now(UTC)), folder)
    secc = home / "secc"
    server = TlsServer([Identity(secc / "chain.pem", secc / "leaf.key")], Trust())
    return lambda: server.wrap(datetime.now(UTC))


def vehicle_context(folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(folder / "iso2" / "v2g" / "root.pem")
    return context


async def test_a_session_over_tls(tmp_path: Path) -> None:
    async with bench(tls_of(tmp_path)) as made:
        car = made.car()
        await car.connect(made.port, vehicle_context(tmp_path))
        await car.authorise()
        assert made.door.state().phase is VehiclePhase.HANDSHAKE
        plain = await find(made.port)
        secure = await find(made.port, tls=True)
        assert plain.port != secure.port


async def test_without_plain_everybody_is_sent_to_tls(tmp_path: Path) -> None:
    """[V2G2-627]: asked or not."""
    async with bench(tls_of(tmp_path), plain=False) as made:
        assert await find(made.port) == await find(made.port, tls=True)
        reader = await made.socket()
        made.last_socket.write(
            b"\x01\xfe\x80\x01" + bytes(60)
        )  # V2GTP where TLS is wanted
        async with asyncio.timeout(5.0):
            await reader.read()  # an alert or nothing, then the end
        assert not made.door._peers


@pytest.mark.parametrize("plain", [True, False])
async def test_a_certificate_that_expires_is_offered_no_more(
    tmp_path: Path, plain: bool
) -> None:
    """SDP names TLS no more; nobody is sent to plain TCP where it is not offered."""
    async with bench(tls_of(tmp_path), plain=plain) as made:
        assert (await find(made.port, tls=True)).security is sdp.Security.TLS
        made.certified = False
        if plain:
            told = await find(made.port, tls=True)
            assert told.security is sdp.Security.NONE
        else:
            with pytest.raises(AssertionError, match="no answer"):
                await find(made.port, 2, tls=True)
        made.certified = True
        assert (await find(made.port, tls=True)).security is sdp.Security.TLS


async def test_without_any_service_nobody_is_answered() -> None:
    async with bench(plain=False) as made:
        with pytest.raises(AssertionError, match="no answer"):
            await find(made.port, 2)


def mutual(folder: Path) -> tuple[NewTls, ssl.SSLContext]:
    """A station that asks for certificates of vehicles, and a vehicle that has one."""
    made = make_pki(Profile.ISO20, datetime.now(UTC))
    home = store.write_pki(made, folder)
    own = [Identity(home / "secc" / "chain.pem", home / "secc" / "leaf.key")]
    trust = Trust(oem_roots=(made.oem.root.certificate,))
    server = TlsServer(own, trust)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(home / "v2g" / "root.pem")
    context.load_cert_chain(home / "oem" / "chain.pem", home / "oem" / "leaf.key")
    return lambda: server.wrap(datetime.now(UTC)), context


@pytest.mark.parametrize("revoked", [True, False])
async def test_a_vehicle_whose_certificate_is_revoked_is_left(
    tmp_path: Path, revoked: bool
) -> None:
    """OCPP M07: the central system knows, and may need a while."""
    tls, context = mutual(tmp_path)
    asked: list[tuple[Revocable, ...]] = []
    tell: list[Callable[[bool], None]] = []

    def judge(chain: tuple[Revocable, ...], told: Callable[[bool], None]) -> None:
        asked.append(chain)
        tell.append(told)

    async with bench(tls) as made:
        made.door._judge = judge
        car = made.car()
        await car.connect(made.port, context)
        await car.authorise()
        (chain,) = asked
        assert [each.source for each in chain] == ["OCSP"] * 3  # leaf and its CAs
        tell[0](revoked)
        if revoked:
            assert await closed(car)
        else:
            assert made.door.state().phase is VehiclePhase.HANDSHAKE


async def test_a_vehicle_without_a_certificate_is_not_asked_about(
    tmp_path: Path,
) -> None:
    async with bench(tls_of(tmp_path)) as made:
        made.door._judge = lambda chain, told: pytest.fail("nobody to ask about")
        car = made.car()
        await car.connect(made.port, vehicle_context(tmp_path))
        await car.authorise()
