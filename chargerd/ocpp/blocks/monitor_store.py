"""Which monitors there are: those of the config file, and those of the CSMS.

Owns their ids and what of them survives a restart (N07.FR.13): custom ones, cleared
preconfigured ones, the base. Watches nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from chargerd.config_upkeep import Monitor as Preset
from chargerd.ocpp.blocks.desk import Desk
from chargerd.ocpp.blocks.monitor import HARD, PRESET, Monitor, Stream
from chargerd.ocpp.blocks.monitor_check import fits, read
from chargerd.ocpp.effects import OcppError, Payload
from chargerd.ocpp.table.monitoring import BASES
from chargerd.ocpp.variable import Variable

ALL, FACTORY, HARD_ONLY = BASES
FIRST_CUSTOM = 1000  # ids below are the config file's
MOST_CUSTOM = 200


class MonitorStore:
    def __init__(self, desk: Desk) -> None:
        """Raises OcppError for a monitor of the config file that cannot be."""
        self._desk = desk
        self._fixed = dict(_fixed(desk))
        settings = desk.saved.get("monitoring", {})
        base = settings.get("base")
        self.base = base if base in BASES else ALL
        self._next = max(FIRST_CUSTOM, int(settings.get("next", FIRST_CUSTOM)))
        self._custom: dict[int, Monitor] = {}
        self._cleared: set[int] = set()
        for key, kept in desk.saved.get("monitor", {}).items():
            self._load(int(key), kept)

    def _load(self, monitor_id: int, kept: Any) -> None:
        """What no longer fits is left out: an update may take a variable away."""
        if kept == {}:
            self._cleared.add(monitor_id)
            return
        monitor = read(self._desk.model, kept, {})
        if isinstance(monitor, Monitor):
            self._custom[monitor_id] = replace(monitor, id=monitor_id)

    def active(self) -> dict[int, Monitor]:
        """By id; a custom one stands for the preconfigured one it replaced."""
        fixed = {
            monitor_id: monitor
            for monitor_id, monitor in self._fixed.items()
            if monitor.notification == HARD
            or (self.base != HARD_ONLY and monitor_id not in self._cleared)
        }
        return fixed | self._custom

    @property
    def full(self) -> bool:
        return len(self._custom) >= MOST_CUSTOM

    def put(self, monitor: Monitor, data: Payload) -> Monitor:
        """Keep it, with a new id where it has none; `data` as the CSMS sent it."""
        if not monitor.id:
            monitor = replace(monitor, id=self._next)
            self._next += 1
            self._desk.save("monitoring", "next", self._next)
        self._custom[monitor.id] = monitor
        self._cleared.discard(monitor.id)
        kept = {k: v for k, v in data.items() if k not in ("id", "customData")}
        self._desk.save("monitor", str(monitor.id), kept)
        return monitor

    def clear(self, monitor_id: int) -> None:
        """A custom or preconfigured one; a preconfigured one stays cleared (N06)."""
        self._custom.pop(monitor_id, None)
        gone = monitor_id not in self._fixed
        if not gone:
            self._cleared.add(monitor_id)
        self._desk.save("monitor", str(monitor_id), None if gone else {})

    def adjust(self, monitor_id: int, stream: Stream) -> None:
        """A custom monitor's stream has new parameters (N14); others keep the config
        file's after a restart."""
        kept = self._custom.get(monitor_id)
        if kept is not None:
            changed = replace(kept, stream=stream)
            self.put(changed, as_data(changed))

    def set_base(self, base: str) -> None:
        """N03.FR.03 to .05."""
        self.base = base
        self._desk.save("monitoring", "base", base)
        if base != ALL:
            for monitor_id in list(self._custom):
                del self._custom[monitor_id]
                self._desk.save("monitor", str(monitor_id), None)
        for monitor_id in self._cleared:
            self._desk.save("monitor", str(monitor_id), None)
        self._cleared.clear()


def as_data(monitor: Monitor) -> Payload:
    """A SetMonitoringDataType without id."""
    data: Payload = {
        "component": monitor.variable.component(),
        "variable": monitor.variable.named(),
        "type": monitor.kind,
        "value": monitor.value,
        "severity": monitor.severity,
        "transaction": monitor.transaction,
    }
    if monitor.stream is not None:
        data["periodicEventStream"] = params_of(monitor.stream)
    return data


def params_of(stream: Stream) -> Payload:
    """A PeriodicEventStreamParamsType."""
    pairs = (("interval", stream.interval_s), ("values", stream.values))
    return {name: number for name, number in pairs if number}


def _fixed(desk: Desk) -> Iterator[tuple[int, Monitor]]:
    number = 0
    for preset in desk.config.ocpp.monitors:
        found = [v for v, name in desk.model.matching(preset.on) if name == "Actual"]
        if not found:
            raise OcppError(f"ocpp.monitors: unknown variable {preset.on!r}")
        for variable in found:
            number += 1
            monitor = _made(number, variable, preset)
            refused = fits(monitor)
            if refused is not None:
                raise OcppError(f"ocpp.monitors: {preset.on}: {refused.text}")
            yield number, monitor


def _made(number: int, variable: Variable, preset: Preset) -> Monitor:
    stream = preset.stream
    return Monitor(
        number,
        variable,
        preset.type,
        preset.value,
        preset.severity,
        preset.transaction,
        HARD if preset.hard_wired else PRESET,
        None if stream is None else Stream(stream.interval_s, stream.values),
    )
