"""One connection to an MQTT broker, for ever: TLS, will, reconnects, a bounded outbox.

The only file that imports aiomqtt. Knows no topic's meaning. What waits to be published
is one payload a topic, the newest: a slow broker sees fewer states, never old ones.
"""

from __future__ import annotations

import asyncio
import math
import random
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import aiomqtt
import structlog
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from chargerd.cancel import heed_cancel, heeding
from chargerd.config_grid import Broker
from chargerd.grid.errors import GridError
from chargerd.grid.trust import trust

log = structlog.get_logger(__name__)

MAX_PACKET = 65_536  # the broker is told to send nothing bigger (MQTT 5)
MAX_WAITING = 4_096  # topics in the outbox
MAX_QUEUED = 200  # messages received and not yet read
FIRST_S, LONGEST_S = 0.5, 15.0  # between attempts
FAREWELL_S = 1.0  # for each of the last word and the disconnect


@dataclass(frozen=True, slots=True)
class Face:
    """What a door is to the link. `receive` and `greet` never wait and never raise.

    `greet` is called after each connect, before anything is received.
    """

    identifier: str  # the broker lets in one client of this name
    subscriptions: tuple[str, ...]
    receive: Callable[[str, bytes, bool], None]  # topic, payload, retained
    greet: Callable[[], None]
    status_topic: str  # holds "offline" when we are gone


class Link:
    """Made by a door; `run` is its only task."""

    def __init__(self, table: str, broker: Broker, face: Face) -> None:
        """`table` of the configuration holds the broker."""
        self._broker, self._face = broker, face
        shown = (broker.ca, broker.certificate, broker.key)
        self._tls = trust(table, *shown) if broker.tls else None
        self._waiting: dict[str, tuple[bytes, bool]] = {}
        self._news = asyncio.Event()
        self.connected = False
        self.connects = 0
        self.dropped = 0
        self.problem = ""

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Soon, and only the newest of each topic; dropped while there is no broker."""
        if not self.connected:
            return
        if topic not in self._waiting and len(self._waiting) >= MAX_WAITING:
            self.dropped += 1
            return
        self._waiting[topic] = (payload, retain)
        self._news.set()

    async def run(self) -> None:
        """Connect, serve, connect again. Who was let in for a moment only was not."""
        clock, wait_s = asyncio.get_running_loop().time, FIRST_S
        while True:
            since = math.inf
            try:
                async with self._client() as client:
                    since = clock()
                    await self._serve(client)
            except (aiomqtt.MqttError, OSError) as error:
                self._note(str(error) or type(error).__name__)
            finally:
                self.connected = False
                self._waiting.clear()
            heed_cancel()
            wait_s = FIRST_S if clock() - since > LONGEST_S else wait_s
            # Spread: a broker that starts is not met by all at once.
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311
            wait_s = min(2.0 * wait_s, LONGEST_S)

    def _note(self, problem: str) -> None:
        if self.connected or problem != self.problem:
            log.warning("broker_lost", broker=self._broker.host, why=problem)
        self.problem = problem

    def _client(self) -> aiomqtt.Client:
        broker = self._broker
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.MaximumPacketSize = MAX_PACKET
        properties.ReceiveMaximum = 20
        password = broker.password.get_secret_value()
        return aiomqtt.Client(
            broker.host,
            broker.port,
            identifier=self._face.identifier,
            username=broker.username or None,
            password=password or None,
            protocol=aiomqtt.ProtocolVersion.V5,
            properties=properties,
            will=aiomqtt.Will(self._face.status_topic, b"offline", 1, retain=True),
            keepalive=broker.keepalive_s,
            timeout=float(broker.keepalive_s),
            max_queued_incoming_messages=MAX_QUEUED,
            tls_context=self._tls,
            socket_options=((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),),
        )

    async def _serve(self, client: aiomqtt.Client) -> None:
        client.timeout = FAREWELL_S  # of the disconnect: a stop waits for no broker
        for topic in self._face.subscriptions:
            await client.subscribe(topic, qos=1, timeout=self._broker.keepalive_s)
            heed_cancel()
        self.connected = True
        self.connects += 1
        self.problem = ""
        log.info("broker_connected", broker=self._broker.host, times=self.connects)
        self._face.greet()
        try:
            await heeding(self._read_and_write(client))
        except asyncio.CancelledError:
            await self._say_farewell(client)
            raise

    async def _read_and_write(self, client: aiomqtt.Client) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read(client))
                group.create_task(self._write(client))
        except* aiomqtt.MqttError as errors:
            raise aiomqtt.MqttError(str(errors.exceptions[0])) from None

    async def _read(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            payload = message.payload
            if isinstance(payload, bytes | bytearray):
                self._face.receive(
                    str(message.topic), bytes(payload), bool(message.retain)
                )
            await asyncio.sleep(0)  # a flood shares the loop

    async def _write(self, client: aiomqtt.Client) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                topic = next(iter(self._waiting))
                payload, retain = self._waiting.pop(topic)
                # No time limit: with one, aiomqtt uses wait_for, and Python 3.11's
                # loses a cancel that meets the answer. A dead broker ends `_read`.
                await client.publish(topic, payload, 0, retain, timeout=math.inf)

    async def _say_farewell(self, client: aiomqtt.Client) -> None:
        """A clean goodbye sends no will: say it, if the broker still hears."""
        topic = self._face.status_topic
        try:
            await client.publish(topic, b"offline", 1, retain=True, timeout=FAREWELL_S)
        except aiomqtt.MqttError as error:
            log.info("no_farewell", why=str(error))

    def status(self) -> dict[str, Any]:
        """For people."""
        return {
            "connected": self.connected,
            "connects": self.connects,
            "dropped": self.dropped,
            "problem": self.problem,
        }


def topics_ok(names: Iterable[str]) -> None:
    """Raises GridError for a name that would be a wildcard or a level of its own."""
    for name in names:
        if any(sign in name for sign in "+#/\0"):
            raise GridError(f"station.id: {name!r} cannot be part of an MQTT topic")
