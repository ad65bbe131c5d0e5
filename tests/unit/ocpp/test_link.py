"""Address, back-off and settings of the link."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from chargerd.config import Ocpp
from chargerd.ocpp import link
from chargerd.ocpp.connection import Connection
from chargerd.ocpp.effects import OcppError
from chargerd.ocpp.link import BackOff, LinkError, LinkSettings, headers, open_link
from chargerd.ocpp.queue import Retry

OCPP_2_1 = Subprotocol("ocpp2.1")
SETTINGS = LinkSettings(wait_minimum_s=10.0, random_range_s=4.0, repeat_times=3)


@pytest.mark.parametrize(
    ("chance", "waits"),
    [
        (0.0, [10, 20, 40, 80, 80, 80]),
        (0.5, [12, 26, 54, 110, 110, 110]),
        (1.0, [14, 32, 68, 140, 140, 140]),
    ],
)
def test_back_off_of_part_4(chance: float, waits: list[float]) -> None:
    """5.4: doubled with a new random part, RetryBackOffRepeatTimes times."""
    back_off = BackOff()
    assert [back_off.next_s(SETTINGS, chance) for _ in waits] == waits
    back_off.reset()
    assert back_off.next_s(SETTINGS, chance) == waits[0]


def test_stations_spread() -> None:
    """After a CSMS restart not all come back in the same instant."""
    first = {BackOff().next_s(SETTINGS, chance / 10) for chance in range(11)}
    assert len(first) == 11
    assert min(first) == 10.0
    assert max(first) == 14.0


@pytest.mark.parametrize(
    ("config", "url"),
    [
        ({"url": "ws://csms/ocpp"}, "ws://csms/ocpp/CS1"),
        ({"url": "ws://csms:9000/ocpp/"}, "ws://csms:9000/ocpp/CS1"),
        ({"url": "ws://csms"}, "ws://csms/CS1"),
        ({"url": "wss://csms/x?a=1", "security_profile": 3}, "wss://csms/x/CS1?a=1"),
        ({"url": "ws://[::1]:9/x", "identity": "a/b?c"}, "ws://[::1]:9/x/a%2Fb%3Fc"),
    ],
)
def test_address(config: dict[str, Any], url: str) -> None:
    assert Connection.of(Ocpp(**config), "CS1").address() == url


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "ws://csms/ocpp", "security_profile": 2},
        {"url": "ws://csms/ocpp", "security_profile": 3},
        {"url": "http://csms/ocpp"},
        {"url": "csms"},
        {"url": "ws://"},
        {"url": "ws://csms:99999/ocpp"},
        {"url": "ws://[::1/ocpp"},
        {"url": "wss://user:secret@csms/ocpp"},
    ],
)
@pytest.mark.req("A00.FR.04", "A00.FR.312", "A00.FR.415")
def test_an_address_we_refuse(changes: dict[str, Any]) -> None:
    connection = Connection.of(Ocpp(**changes), "CS1")
    with pytest.raises(OcppError, match=r"ocpp\.url") as caught:
        connection.address()
    if "secret" in changes["url"]:
        assert "secret" not in str(caught.value)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "host", ["csms..example", "x" * 64 + ".example", ".example", "a\0b"]
)
async def test_a_name_that_is_none_is_a_link_that_fails(host: str) -> None:
    """SetNetworkProfile may bring it: then the next profile is tried."""
    with pytest.raises(LinkError, match="no link"):
        await open_link(Connection(f"ws://{host}/ocpp", "CS1", 0), 10.0, None)


@pytest.mark.asyncio
@pytest.mark.timeout(30)
async def test_a_peer_that_does_not_read_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The library's close() waits until all is written: without pings, for ever."""
    monkeypatch.setattr(link, "CLOSE_TIMEOUT_S", 0.01)
    ends: list[ServerConnection] = []
    is_deaf = asyncio.Event()

    async def deaf(end: ServerConnection) -> None:
        end.transport.pause_reading()
        ends.append(end)
        is_deaf.set()
        await end.wait_closed()

    async with serve(
        deaf, "127.0.0.1", 0, subprotocols=[OCPP_2_1], max_size=None
    ) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        url = f"ws://127.0.0.1:{port}"
        socket = await open_link(Connection(url, "CS1", 0), 0.0, None)
        await is_deaf.wait()
        sending = asyncio.create_task(socket.send("x" * 64_000_000))
        await asyncio.sleep(0)
        assert not sending.done()
        sending.cancel()
        await asyncio.wait([sending])
        assert sending.cancelled()
        await link.leave(socket)
        await socket.wait_closed()
        ends[0].transport.abort()


def test_the_password_is_in_no_repr() -> None:
    assert "secret" not in repr(Connection("ws://csms", "CS1", 1, "secret"))


@pytest.mark.parametrize(
    ("profile", "password", "sent"),
    [(0, "x" * 16, False), (1, "x" * 16, True), (2, "x" * 16, True),
     (3, "x" * 16, False), (1, "", False)],
)  # fmt: skip
def test_basic_authentication_by_profile(
    profile: int, password: str, sent: bool
) -> None:
    config = Ocpp(
        url="wss://csms/x",
        security_profile=profile,
        password=password,  # type: ignore[arg-type]
    )
    assert ("Authorization" in headers(Connection.of(config, "CS1"))) is sent


@pytest.mark.req("E13.FR.01")
def test_settings_come_from_the_device_model() -> None:
    asked = []

    def number(component: str, variable: str, instance: str = "") -> int:
        asked.append(f"{component}.{variable}[{instance}]")
        return len(asked)

    assert LinkSettings.read(number) == LinkSettings(1, 2, Retry(3, 4), 5, 6, 7)
    assert asked == [
        "OCPPCommCtrlr.WebSocketPingInterval[]",
        "OCPPCommCtrlr.MessageTimeout[Default]",
        "OCPPCommCtrlr.MessageAttempts[TransactionEvent]",
        "OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]",
        "OCPPCommCtrlr.RetryBackOffWaitMinimum[]",
        "OCPPCommCtrlr.RetryBackOffRandomRange[]",
        "OCPPCommCtrlr.RetryBackOffRepeatTimes[]",
    ]
