"""The MQTT door's core: which topics, what is published when, what was refused.

Pure: messages and reports in, publications and signals out. The shell is
`mqtt_door.py`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from chargerd import __version__
from chargerd.clock import Now
from chargerd.config import Evse, Station
from chargerd.config_grid import Mqtt
from chargerd.grid import mqtt_discovery, mqtt_prices, mqtt_words
from chargerd.grid.mqtt_commands import Commands
from chargerd.grid.mqtt_words import Refused
from chargerd.model import (
    DispatchSignal,
    EvseReport,
    PromiseRequest,
    Request,
    SessionPhase,
)
from chargerd.plan import PriceSeries

EARLY_S = 0.2  # news is told at once, but not more often than this
PLAIN = (  # each also under a topic of its own, as text, when it changes
    "status",
    "pilot_state",
    "phase",
    "power_w",
    "setpoint_w",
    "soc_pct",
    "energy_in_wh",
    "energy_out_wh",
    "mode",
    "source",
    "operative",
)


@dataclass(frozen=True, slots=True)
class Out:
    """One publication. All state is retained: who subscribes late sees it at once."""

    topic: str
    payload: bytes
    retain: bool = True


@dataclass(slots=True)
class _Told:
    at_mono: float
    phase: SessionPhase
    news: tuple[Any, ...]


class Core:
    """Everything but the socket."""

    def __init__(self, config: Mqtt, station: Station, evses: tuple[Evse, ...]) -> None:
        self._config, self._station, self._evses = config, station, evses
        self.base = f"{config.prefix}/{station.id}"
        self._set = re.compile(
            rf"{re.escape(self.base)}/evse/(0|[1-9][0-9]?)/([a-z_]{{1,40}})/set"
        )
        self._commands = Commands(config, evses)
        self._told: dict[int, _Told] = {}
        self._plain: dict[str, str] = {}
        self._disabled: dict[int, DispatchSignal] = {}  # by "enable", while it lives
        self._early: bytes | None = None  # prices, before the time of day was known
        self.refused: Counter[str] = Counter()
        self.accepted = 0

    @property
    def status_topic(self) -> str:
        """ "online" or, by the broker when we are gone, "offline"."""
        return f"{self.base}/status"

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """Our commands, and Home Assistant's birth."""
        topics = [f"{self.base}/evse/+/+/set", self._prices]
        if self._config.discovery:
            topics.append(self._birth)
        return tuple(topics)

    @property
    def _prices(self) -> str:
        return f"{self.base}/prices/set"

    @property
    def _birth(self) -> str:
        return f"{self._config.discovery}/status"

    def greet(self) -> Iterator[Out]:
        """After each connect: a broker that restarted may have forgotten all."""
        self._told.clear()
        self._plain.clear()
        yield Out(self.status_topic, b"online")
        if self._config.discovery:
            yield from self._discovery()

    def _discovery(self) -> Iterator[Out]:
        for topic, payload in mqtt_discovery.entities(
            self._config, self._station, self._evses, self.base, __version__
        ):
            yield Out(topic, mqtt_words.text(payload))

    def receive(
        self, topic: str, payload: bytes, now: Now, *, retained: bool = False
    ) -> DispatchSignal | Request | PriceSeries | list[Out]:
        """One message. Raises Refused, counted by its reason."""
        if topic == self._birth and payload == b"online" and not retained:
            return list(self._discovery())
        if topic == self._birth:
            return []
        try:
            found = self._command(topic, payload, now, retained=retained)
        except Refused as refused:
            self.refused[refused.reason] += 1
            raise
        self.accepted += 1
        return found

    def _command(
        self, topic: str, payload: bytes, now: Now, *, retained: bool
    ) -> DispatchSignal | Request | PriceSeries:
        if topic == self._prices:
            self._commands.admit("prices", 0, now.mono)
            self._early = None if now.trusted else payload
            return mqtt_prices.series(payload, now)
        match = self._set.fullmatch(topic)
        if match is None:
            raise Refused("unknown", "no topic of ours")
        evse_id, name = int(match[1]), match[2]
        found = self._commands.receive(evse_id, name, payload, now, retained=retained)
        asked = isinstance(found, PromiseRequest) and found.departure_mono is not None
        if asked and self._empty(evse_id):
            raise Refused("no_vehicle", "plug it in first: a promise is a session's")
        if name == "enable" and isinstance(found, DispatchSignal):
            self._disabled[evse_id] = found
        return found

    def _empty(self, evse_id: int) -> bool:
        """As it was told last; the heart would drop what is asked of no vehicle."""
        told = self._told.get(evse_id)
        return told is not None and told.phase is SessionPhase.IDLE

    def early_prices(self, now: Now) -> PriceSeries | None:
        """Retained ones come with the connection, and once only: before the clock."""
        if self._early is None or not now.trusted:
            return None
        payload, self._early = self._early, None
        try:
            return mqtt_prices.series(payload, now)
        except Refused as refused:
            self.refused[refused.reason] += 1
            return None

    def report(self, report: EvseReport) -> list[Out]:
        """What to publish now: every `every_s`, and news at once."""
        evse_id, mono = report.snapshot.evse_id, report.snapshot.now.mono
        decision = report.decision
        phase = report.snapshot.session.phase
        news = (
            phase,
            report.snapshot.operative,
            decision.mode,
            decision.source,
            tuple(fault.name for fault in report.snapshot.faults),
        )
        told = self._told.get(evse_id)
        if told is not None:
            wait_s = EARLY_S if news != told.news else self._config.every_s
            if mono - told.at_mono < wait_s:
                return []
        self._told[evse_id] = _Told(mono, phase, news)
        return list(self._state(evse_id, report))

    def _state(self, evse_id: int, report: EvseReport) -> Iterator[Out]:
        topic = f"{self.base}/evse/{evse_id}"
        state = mqtt_words.state(report)
        yield Out(f"{topic}/state", mqtt_words.text(state))
        words = {key: state[key] for key in PLAIN}
        words["enabled"] = self._enabled(evse_id, report.snapshot.now.mono)
        for key, value in words.items():
            text = _word(value)
            if self._plain.get(f"{evse_id}/{key}") != text:
                self._plain[f"{evse_id}/{key}"] = text
                yield Out(f"{topic}/{key}/state", text.encode())

    def _enabled(self, evse_id: int, now_mono: float) -> bool:
        """False while a "disable" for this EVSE, or for all, is alive."""
        found = (self._disabled.get(evse_id), self._disabled.get(0))
        return not any(s is not None and s.at(now_mono) is not None for s in found)

    def status(self) -> dict[str, Any]:
        """For people."""
        return {"accepted": self.accepted, "refused": dict(self.refused)}


def _word(value: Any) -> str:
    """As evcc and Home Assistant read a bare payload."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
