"""Each grid door: a message on its socket -> the command on the power stage's wire.

Real processes: the partner is here, the daemon and the rig are not. `door.latencies` is
the one way every door is measured; a door adds its function to DOORS. Doors that ask a
server are in doors_polled.py: there the time counts from the server's answer.
"""

from __future__ import annotations

import asyncio
import json
import socket
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiomqtt
from pymodbus.client import AsyncModbusTcpClient
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from chargerd.grid.echonet_frame import Esv, Frame, Property, write
from chargerd.grid.sunspec_points import POINTS, encode
from hil.csms.dispatch import dynamic_setpoint
from hil.stand import free_port
from tests.bench import doors_polled
from tests.bench.door import latencies, rows
from tests.bench.row import Row, percentile
from tests.interop.mosquitto import BINARY, Mosquitto
from tests.process import station, until

SIGNALS = 150


async def broker_alone(port: int, count: int = SIGNALS) -> list[float]:
    """The same client, Mosquitto and a subscriber, without us: ms."""
    found = []
    async with (
        aiomqtt.Client("127.0.0.1", port) as writer,
        aiomqtt.Client("127.0.0.1", port) as reader,
    ):
        await reader.subscribe("alone")
        messages = aiter(reader.messages)
        for _ in range(count):
            await asyncio.sleep(0.02)
            began = time.monotonic()
            await writer.publish("alone", "-3000")
            await anext(messages)
            found.append((time.monotonic() - began) * 1e3)
    return found


async def mqtt(folder: Path) -> list[Row]:
    """A setpoint by the local API, over Mosquitto."""
    if BINARY is None:
        return [
            Row("MQTT: no mosquitto here", float("nan"), "", note="apt-get install")
        ]
    broker = Mosquitto(folder / "broker")
    await broker.start()
    prefix = "CHARGERD__GRID__MQTT__"
    environment = {
        f"{prefix}PORT": str(broker.port),
        f"{prefix}TLS": "false",
        f"{prefix}COMMANDS_PER_S": "50",
        "CHARGERD__STATION__ID": "CS-0001",
    }
    try:
        alone = await broker_alone(broker.port)
        async with (
            station(folder / "stand", **environment) as plant,
            aiomqtt.Client("127.0.0.1", broker.port) as client,
        ):
            await plant.start_session()

            async def send(power_w: float) -> float | None:
                topic = "chargerd/CS-0001/evse/1/setpoint_w/set"
                await client.publish(topic, f"{power_w:.1f}")
                return None

            measured = await latencies(plant, send)
    finally:
        broker.stop()
    return [
        *rows("MQTT setpoint", measured),
        Row("of which Mosquitto and client alone, p50", percentile(alone, 0.5), "ms"),
        Row("of which Mosquitto and client alone, p99", percentile(alone, 0.99), "ms"),
    ]


async def ocpp(folder: Path) -> list[Row]:
    """UpdateDynamicSchedule of OCPP 2.1, from the CSMS's frame on."""
    async with station(folder / "stand") as plant:
        await plant.start_session()

        async def send(power_w: float) -> float | None:
            await dynamic_setpoint(plant.peer, 1, power_w)
            return None

        return rows("OCPP UpdateDynamicSchedule", await latencies(plant, send))


async def sunspec(folder: Path) -> list[Row]:
    """Model 704's WSet, one write over a kept connection."""
    port = free_port()
    prefix = "CHARGERD__GRID__SUNSPEC__"
    environment = {
        f"{prefix}PORT": str(port),
        f"{prefix}CONTROLLERS": '["127.0.0.1/32"]',
    }
    points = {point.name: point for point in POINTS}
    first, last = points["704.WSetEna"], points["704.WSet"]
    async with station(folder / "stand", **environment) as plant:
        await plant.start_session()
        client = AsyncModbusTcpClient("127.0.0.1", port=port)
        await client.connect()
        await client.write_registers(first.address, [1, 1], device_id=1)

        async def send(power_w: float) -> float | None:
            words = encode(last, round(-power_w))
            await client.write_registers(last.address, words, device_id=1)
            return None

        try:
            return rows("SunSpec 704.WSet", await latencies(plant, send))
        finally:
            client.close()


async def echonet(folder: Path) -> list[Row]:
    """ECHONET Lite: EC (discharge power) and DA 43, in one frame to UDP 3610."""
    prefix = "CHARGERD__GRID__ECHONET__"
    address = "127.43.0.2"
    environment = {
        f"{prefix}ADDRESS": address,
        f"{prefix}CONTROLLERS": '["127.0.0.1/32"]',
        f"{prefix}REQUESTS_PER_S": "100",
    }
    hems, charger = bytes((0x05, 0xFF, 0x01)), bytes((0x02, 0x7E, 0x01))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.bind(("127.0.0.1", 0))
        async with station(folder / "stand", **environment) as plant:
            await plant.start_session()

            async def send(power_w: float) -> float | None:
                asked = (
                    Property(0xDD, bytes((3,))),
                    Property(0xEC, round(-power_w).to_bytes(4, "big")),
                    Property(0xDA, bytes((0x43,))),
                )
                frame = Frame(1, hems, charger, Esv.SETI, asked)
                out.sendto(write(frame), (address, 3610))
                return None

            return rows("ECHONET Lite EC, DA", await latencies(plant, send))


async def s2(folder: Path) -> list[Row]:
    """An FRBC.Instruction, from the CEM's frame on."""
    sockets: asyncio.Queue[ServerConnection] = asyncio.Queue()
    modes: dict[str, Any] = {}

    async def cem(link: ServerConnection) -> None:
        for kind, fields in (
            ("Handshake", {"role": "CEM"}),
            ("HandshakeResponse", {"selected_protocol_version": "0.0.2-beta"}),
            ("SelectControlType", {"control_type": "FILL_RATE_BASED_CONTROL"}),
        ):
            await link.send(s2_message(kind, **fields))
        await sockets.put(link)
        with suppress(ConnectionClosed):  # the daemon ends before we do
            async for text in link:
                for actuator in json.loads(text).get("actuators", []):
                    modes["actuator"] = actuator["id"]
                    listed = actuator["operation_modes"]
                    modes.update((m["diagnostic_label"], m) for m in listed)

    async with serve(cem, "127.0.0.1", 0) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        prefix = "CHARGERD__GRID__S2__"
        environment = {f"{prefix}URL": f"ws://127.0.0.1:{port}/s2"}
        async with station(folder / "stand", **environment) as plant:
            link = await sockets.get()
            await plant.start_session()

            async def described() -> bool:
                return "discharge" in modes

            await until("a description of the vehicle", described, 30.0)

            async def send(power_w: float) -> float | None:
                mode = modes["discharge"]
                low_w = mode["elements"][0]["power_ranges"][0]["start_of_range"]
                await link.send(
                    s2_message(
                        "FRBC.Instruction",
                        id=str(uuid4()),
                        actuator_id=modes["actuator"],
                        operation_mode=mode["id"],
                        operation_mode_factor=1.0 - power_w / low_w,
                        execution_time=datetime.now(UTC).isoformat(),
                        abnormal_condition=False,
                    )
                )
                return None

            return rows("S2 FRBC.Instruction", await latencies(plant, send))


def s2_message(kind: str, **fields: Any) -> str:
    return json.dumps({"message_type": kind, "message_id": str(uuid4()), **fields})


DOORS = (ocpp, mqtt, sunspec, echonet, s2, *doors_polled.DOORS)


def run() -> list[Row]:
    """For `make bench`. A door whose partner is missing is a row that says so."""
    found: list[Row] = []
    for door in DOORS:
        with tempfile.TemporaryDirectory(prefix="chargerd-bench-") as name:
            found += asyncio.run(door(Path(name)))
    return found
