"""A tiny OCPP-J client for the CSMS's tests: nothing but json and websockets."""

import asyncio
import base64
import contextlib
import itertools
import json

from websockets.asyncio.client import ClientConnection, connect

BOOT = {
    "reason": "PowerUp",
    "chargingStation": {"model": "M", "vendorName": "V"},
}
NUMBERS = itertools.count(1)  # message ids never repeat over connections


class Station:
    """Answers the CSMS's CALLs from `answers` (a callable or a payload)."""

    def __init__(self, ws: ClientConnection) -> None:
        self.ws = ws
        self.answers = {}
        self.asked: list[tuple[str, dict]] = []
        self.replies: asyncio.Queue[list] = asyncio.Queue()
        self._task: asyncio.Task | None = None

    async def run(self) -> None:
        async for text in self.ws:
            frame = json.loads(text)
            if frame[0] != 2:
                self.replies.put_nowait(frame)
                continue
            _, message_id, action, payload = frame
            self.asked.append((action, payload))
            answer = self.answers.get(action, {"status": "Accepted"})
            if answer is None:
                continue
            if isinstance(answer, tuple):
                await self.send([4, message_id, *answer, {}])
            else:
                await self.send([3, message_id, answer])

    async def send(self, frame) -> None:
        text = frame if isinstance(frame, str | bytes) else json.dumps(frame)
        await self.ws.send(text)

    async def call(self, action: str, payload: dict, message_id: str = "") -> list:
        message_id = message_id or f"m{next(NUMBERS)}"
        await self.send([2, message_id, action, payload])
        return await self.reply()

    async def reply(self) -> list:
        return await asyncio.wait_for(self.replies.get(), 5.0)

    async def boot(self) -> dict:
        return (await self.call("BootNotification", BOOT))[2]


@contextlib.asynccontextmanager
async def station(
    csms, *, identity="CS1", versions=("ocpp2.1",), password=None, boot=True
):
    headers = {}
    if password is not None:
        word = base64.b64encode(f"{identity}:{password}".encode()).decode()
        headers["Authorization"] = f"Basic {word}"
    async with connect(
        f"ws://127.0.0.1:{csms.port}/ocpp/{identity}",
        subprotocols=list(versions) or None,
        additional_headers=headers,
        proxy=None,
        compression=None,
    ) as ws:
        client = Station(ws)
        task = asyncio.create_task(client.run())
        try:
            if boot:
                await client.boot()
            yield client
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def event(seq, kind="Updated", transaction="T1", wh=None, **more) -> dict:
    payload = {
        "eventType": kind,
        "timestamp": "2026-11-23T08:00:00Z",
        "triggerReason": "MeterValuePeriodic",
        "seqNo": seq,
        "transactionInfo": {"transactionId": transaction},
        **more,
    }
    if wh is not None:
        values = [
            {"value": wh[0], "measurand": "Energy.Active.Import.Register"},
            {
                "value": wh[1],
                "measurand": "Energy.Active.Export.Register",
                "unitOfMeasure": {"unit": "kWh"},
            },
        ]
        at = {"timestamp": "2026-11-23T08:00:00Z", "sampledValue": values}
        payload["meterValue"] = [at]
    return payload
