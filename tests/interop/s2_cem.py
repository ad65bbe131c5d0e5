"""A customer energy manager made of PyPI `s2-python`: its connection, parser, messages.

Runs in s2-python's own venv. Verbs by lines (see partner.py): seen, select, power,
envelope, revoke, raw, drop. Owns no judgement.
"""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from s2python import common, frbc, pebc
from s2python.connection.async_ import S2AsyncConnection
from s2python.connection.async_.medium.s2_medium import S2AsyncMediumConnection
from s2python.version import S2_VERSION
from websockets.asyncio.server import ServerConnection, serve

TOKEN = "Bearer pairing-token"


class Medium(S2AsyncMediumConnection):
    """The server's end of a WebSocket."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket

    async def is_connected(self) -> bool:
        return True

    async def messages(self) -> Any:
        async for text in self.socket:
            yield text

    async def send(self, message: str) -> None:
        await self.socket.send(message)


class Cem:
    def __init__(self) -> None:
        self.connection: S2AsyncConnection | None = None
        self.medium: Medium | None = None
        self.seen: dict[str, list[Any]] = {}
        self.refused = 0

    async def serve(self, socket: ServerConnection) -> None:
        if (
            socket.request is None
            or socket.request.headers.get("Authorization") != TOKEN
        ):
            self.refused += 1
            return
        self.medium = Medium(socket)
        connection = self.connection = S2AsyncConnection(self.medium)
        kinds = (
            common.Handshake,
            common.ResourceManagerDetails,
            common.PowerMeasurement,
            common.InstructionStatusUpdate,
            frbc.FRBCSystemDescription,
            frbc.FRBCStorageStatus,
            frbc.FRBCActuatorStatus,
            frbc.FRBCFillLevelTargetProfile,
            pebc.PEBCPowerConstraints,
        )
        for kind in kinds:
            connection.register_handler(kind, self.keep)
        await connection.run()

    async def keep(self, connection: Any, message: Any, okay: Any) -> None:
        await okay()
        told = json.loads(message.to_json())
        self.seen.setdefault(told["message_type"], []).append(told)
        if isinstance(message, common.Handshake):
            role = common.EnergyManagementRole.CEM
            await self.say(common.Handshake(message_id=uuid.uuid4(), role=role))
            chosen = common.HandshakeResponse(
                message_id=uuid.uuid4(), selected_protocol_version=S2_VERSION
            )
            await self.say(chosen)

    async def say(self, message: Any) -> None:
        """Sent without waiting: receptions come through the same reader."""
        if self.connection is not None:
            await self.connection.send_and_forget(message)

    async def select(self, control: str) -> None:
        kind = common.ControlType(control)
        await self.say(
            common.SelectControlType(message_id=uuid.uuid4(), control_type=kind)
        )

    async def power(self, power_w: float, in_s: float = 0.0) -> str:
        """An FRBC instruction from the newest description, as its formula has it."""
        actuator = self.seen["FRBC.SystemDescription"][-1]["actuators"][0]
        for mode in actuator["operation_modes"]:
            power = mode["elements"][0]["power_ranges"][0]
            low, high = power["start_of_range"], power["end_of_range"]
            if low <= power_w <= high and (low or high):
                break
        else:
            raise ValueError(f"no mode for {power_w}")
        ident = uuid.uuid4()
        instruction = frbc.FRBCInstruction(
            message_id=uuid.uuid4(),
            id=ident,
            actuator_id=actuator["id"],
            operation_mode=mode["id"],
            operation_mode_factor=(power_w - low) / (high - low),
            execution_time=datetime.now(UTC) + timedelta(seconds=in_s),
            abnormal_condition=False,
        )
        await self.say(instruction)
        return str(ident)

    async def envelope(self, low_w: float, high_w: float) -> str:
        constraints = self.seen["PEBC.PowerConstraints"][-1]
        quantity = constraints["allowed_limit_ranges"][0]["commodity_quantity"]
        ident = uuid.uuid4()
        element = {"duration": 600_000, "lower_limit": low_w, "upper_limit": high_w}
        instruction = pebc.PEBCInstruction.from_dict(
            {
                "message_id": str(uuid.uuid4()),
                "id": str(ident),
                "execution_time": datetime.now(UTC).isoformat(),
                "abnormal_condition": False,
                "power_constraints_id": constraints["id"],
                "power_envelopes": [
                    {
                        "id": str(uuid.uuid4()),
                        "commodity_quantity": quantity,
                        "power_envelope_elements": [element],
                    }
                ],
            }
        )
        await self.say(instruction)
        return str(ident)

    async def revoke(self, ident: str) -> None:
        await self.say(
            common.RevokeObject.from_dict(
                {
                    "message_id": str(uuid.uuid4()),
                    "object_type": "FRBC.Instruction",
                    "object_id": ident,
                }
            )
        )

    async def raw(self, text: str) -> None:
        if self.medium is not None:
            await self.medium.send(text)

    async def drop(self) -> None:
        if self.medium is not None:
            await self.medium.socket.close()


async def main() -> None:
    cem = Cem()
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    async with serve(cem.serve, "127.0.0.1", int(sys.argv[1])):
        while line := await reader.readline():
            verb, *rest = json.loads(line)
            answer: Any = None
            if verb == "seen":
                answer = {**cem.seen, "refused": cem.refused}
            else:
                answer = await getattr(cem, verb)(*rest)
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
