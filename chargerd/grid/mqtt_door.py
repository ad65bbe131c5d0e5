"""The MQTT door's shell: the core on a broker's wire.

A command is followed in the call that reads it; state is handed to the link's outbox.
"""

from __future__ import annotations

from typing import Any

import structlog

from chargerd.config import Config
from chargerd.config_grid import Broker
from chargerd.grid.errors import GridError
from chargerd.grid.mqtt import Core, Out
from chargerd.grid.mqtt_link import Face, Link, topics_ok
from chargerd.grid.mqtt_words import Refused
from chargerd.grid.ports import GridDoor, Ports
from chargerd.model import DispatchSignal, EvseReport
from chargerd.plan import PriceSeries

log = structlog.get_logger(__name__)

LOG_EVERY = 100  # of the refusals with the same reason


class MqttDoor:
    """`[grid.mqtt]`."""

    name = "mqtt"

    def __init__(self, core: Core, broker: Broker, ports: Ports) -> None:
        self._core, self._ports = core, ports
        face = Face(
            identifier=core.base.replace("/", "-"),
            subscriptions=core.subscriptions,
            receive=self._receive,
            greet=self._greet,
            status_topic=core.status_topic,
        )
        self._link = Link("grid.mqtt", broker, face)

    async def run(self) -> None:
        """Until cancelled."""
        await self._link.run()

    def report(self, report: EvseReport) -> None:
        """A reporter of the cycle."""
        prices = self._core.early_prices(report.snapshot.now)
        if prices is not None:
            self._note(self._ports.prices(prices))
        if self._link.connected:
            self._publish(self._core.report(report))

    def status(self) -> dict[str, Any]:
        """For people."""
        return {**self._link.status(), **self._core.status()}

    def _greet(self) -> None:
        self._publish(list(self._core.greet()))

    def _publish(self, outs: list[Out]) -> None:
        for out in outs:
            self._link.publish(out.topic, out.payload, retain=out.retain)

    def _receive(self, topic: str, payload: bytes, retained: bool) -> None:
        now = self._ports.now()
        try:
            found = self._core.receive(topic, payload, now, retained=retained)
        except Refused as refused:
            count = self._core.refused[refused.reason]
            if count % LOG_EVERY == 1:
                log.warning(
                    "command_refused",
                    topic=topic[:100],
                    reason=refused.reason,
                    why=str(refused),
                    times=count,
                )
            return
        if isinstance(found, list):
            self._publish(found)
        elif isinstance(found, DispatchSignal):
            self._note(self._ports.signal(found))
        elif isinstance(found, PriceSeries):
            self._note(self._ports.prices(found))
        else:
            self._note(self._ports.request(found))

    def _note(self, taken: bool) -> None:
        if not taken:
            self._core.refused["heart"] += 1


def build(config: Config, ports: Ports) -> GridDoor:
    """For `grid/build.py`."""
    if config.grid.mqtt is None:
        raise GridError("grid.mqtt: not configured")
    topics_ok([config.station.id])
    core = Core(config.grid.mqtt, config.station, config.evse)
    return MqttDoor(core, config.grid.mqtt, ports)
