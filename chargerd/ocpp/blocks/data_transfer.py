"""Block P: DataTransfer is for programs of the charger's maker.

Owns which vendor and message ids are known (`[[ocpp.data_transfer]]`) and the answer.
The station itself needs no vendor extension and sends none (P01.FR.01, P02.FR.02).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chargerd.clock import Now
from chargerd.ocpp.blocks.block import Block, Handler
from chargerd.ocpp.blocks.desk import Desk, refusal
from chargerd.ocpp.effects import Answer, Later, Payload
from chargerd.ocpp.jobs.vendor import AskVendor, VendorAnswer

MOST_WAITING = 8  # requests that the programs have not answered


class DataTransfer(Block):
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._waiting = 0
        self._hooks = {hook.vendor: hook for hook in desk.config.ocpp.data_transfer}

    def routes(self) -> Mapping[str, Handler]:
        return {"DataTransfer": self.transfer}

    def transfer(self, request: Payload, now: Now) -> Answer | Later:
        hook = self._hooks.get(request["vendorId"])
        if hook is None:
            return {"status": "UnknownVendorId"}
        message = request.get("messageId")
        if hook.messages and message is not None and message not in hook.messages:
            return {"status": "UnknownMessageId"}
        if self._waiting >= MOST_WAITING:
            return refusal("OutOfMemory", "the vendor's program has enough to do")
        promised = self._desk.later("DataTransfer")
        self._waiting += 1

        def answered(value: Any, now: Now) -> None:
            self._waiting -= 1
            self._desk.reply(promised, _answer(value))

        self._desk.work(AskVendor(hook.socket, request, hook.timeout_s), answered)
        return promised


def _answer(value: Any) -> Answer:
    if not isinstance(value, VendorAnswer):
        return refusal("InternalError", "the vendor's program does not answer")
    answer: Payload = {"status": value.status}
    return answer if value.data is None else {**answer, "data": value.data}
