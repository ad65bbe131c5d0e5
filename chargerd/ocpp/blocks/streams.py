"""Periodic event streams (N11 to N15): values of monitors, many to a message.

Owns which streams are open, their buffers and when they leave. A stream lives with the
link: after a reconnect the CSMS is asked again. Until it agrees, and when it does not,
the monitor's values go by NotifyEvent.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from datetime import datetime

from chargerd.clock import Now
from chargerd.ocpp.blocks.block import Block, Handler
from chargerd.ocpp.blocks.desk import Desk, refusal, stamp
from chargerd.ocpp.blocks.monitor import Monitor, Stream
from chargerd.ocpp.blocks.monitor_check import (
    MOST_VALUES,
    read_stream,
    stream_problem,
)
from chargerd.ocpp.blocks.monitor_store import MonitorStore, params_of
from chargerd.ocpp.effects import Answer, Durability, Payload

MOST_KEPT = 10_000  # values of a stream that have not left


class _Open:
    """A stream; its id is its monitor's."""

    __slots__ = ("due_mono", "params", "values")

    def __init__(self, params: Stream, now: Now) -> None:
        self.params = params
        self.values: deque[tuple[datetime, str]] = deque(maxlen=MOST_KEPT)
        self.due_mono = math.inf
        self.restart(now)

    def restart(self, now: Now) -> None:
        every_s = self.params.interval_s
        self.due_mono = now.mono + every_s if every_s else math.inf


class EventStreams(Block):
    def __init__(self, desk: Desk, store: MonitorStore) -> None:
        self._desk = desk
        self._store = store
        self._wanted: dict[int, Stream] = {}
        self._open: dict[int, _Open] = {}

    def routes(self) -> Mapping[str, Handler]:
        return {
            "AdjustPeriodicEventStream": self.adjust,
            "GetPeriodicEventStream": self.get,
        }

    @property
    def full(self) -> bool:
        most = self._desk.model.number("MonitoringCtrlr", "MaxPeriodicEventStreams")
        return len(self._wanted) >= most

    def wants(self, monitor_id: int) -> bool:
        return monitor_id in self._wanted

    def is_open(self, monitor_id: int) -> bool:
        return monitor_id in self._open

    # Open and close.

    def want(self, monitor: Monitor, now: Now) -> None:
        """This monitor's values shall be streamed (N11.FR.01, .03)."""
        if monitor.stream is None:
            return
        self._wanted[monitor.id] = monitor.stream
        if self._desk.online and self._desk.accepted:
            self._ask(monitor.id, now)

    def _ask(self, monitor_id: int, now: Now) -> None:
        stream: Payload = {
            "id": monitor_id,
            "params": params_of(self._wanted[monitor_id]),
            "variableMonitoringId": monitor_id,
        }
        self._desk.send(
            "OpenPeriodicEventStream",
            {"constantStreamData": stream},
            now,
            Durability.NOW_OR_NEVER,
            answered=self._asked,
        )

    def _asked(self, request: Payload, answer: Answer, now: Now) -> None:
        """N11.FR.07: refused, or no answer: NotifyEvent stays."""
        monitor_id = request["constantStreamData"]["id"]
        accepted = isinstance(answer, dict) and answer["status"] == "Accepted"
        if accepted and monitor_id in self._wanted:
            self._open[monitor_id] = _Open(self._wanted[monitor_id], now)

    def close(self, monitor_id: int, now: Now) -> None:
        """The monitor is gone, or streams no more; what waits leaves first (N13)."""
        self._wanted.pop(monitor_id, None)
        stream = self._open.pop(monitor_id, None)
        if stream is None:
            return
        while stream.values:
            self._tell(monitor_id, stream)
        self._desk.send(
            "ClosePeriodicEventStream", {"id": monitor_id}, now, Durability.NOW_OR_NEVER
        )

    def registered(self, now: Now) -> None:
        self._again(now)

    def link(self, up: bool, offline_s: float, now: Now) -> None:
        self._open.clear()
        if up and self._desk.accepted:
            self._again(now)

    def _again(self, now: Now) -> None:
        for monitor_id in self._wanted:
            self._ask(monitor_id, now)

    # Values.

    def put(self, monitor_id: int, value: str, now: Now) -> None:
        """A value of an open stream."""
        stream = self._open[monitor_id]
        stream.values.append((now.utc, value))
        if 0 < stream.params.values <= len(stream.values):  # N15.FR.08
            self._tell(monitor_id, stream)

    def _tell(self, monitor_id: int, stream: _Open) -> None:
        """At most as many values as wished (N15.FR.07)."""
        most = stream.params.values or MOST_VALUES
        values = stream.values
        part = [values.popleft() for _ in range(min(most, len(values)))]
        base_utc = part[0][0]
        payload: Payload = {
            "id": monitor_id,
            "pending": len(values),
            "basetime": stamp(base_utc),
            "data": [
                {"t": round((utc - base_utc).total_seconds(), 3), "v": value}
                for utc, value in part
            ],
        }
        self._desk.tell("NotifyPeriodicEventStream", payload)

    def next_timer(self) -> float:
        return min((s.due_mono for s in self._open.values()), default=math.inf)

    def on_timer(self, now: Now) -> None:
        for monitor_id, stream in self._open.items():
            if now.mono < stream.due_mono:
                continue
            stream.restart(now)
            if stream.values:
                self._tell(monitor_id, stream)

    # The CSMS.

    def get(self, request: Payload, now: Now) -> Answer:
        """GetPeriodicEventStream (N12)."""
        if not self._open:
            return {}
        streams = [
            {
                "id": monitor_id,
                "params": params_of(stream.params),
                "variableMonitoringId": monitor_id,
            }
            for monitor_id, stream in self._open.items()
        ]
        return {"constantStreamData": streams}

    def adjust(self, request: Payload, now: Now) -> Answer:
        """AdjustPeriodicEventStream (N14)."""
        monitor_id, params = request["id"], read_stream(request["params"])
        stream = self._open.get(monitor_id)
        if stream is None:
            return refusal("NotFound", f"no stream {monitor_id} is open")
        problem = stream_problem(params)
        if problem:
            return refusal("InvalidValue", problem)
        self._wanted[monitor_id] = stream.params = params
        stream.restart(now)
        self._store.adjust(monitor_id, params)
        while 0 < params.values <= len(stream.values):
            self._tell(monitor_id, stream)
        return {"status": "Accepted"}
