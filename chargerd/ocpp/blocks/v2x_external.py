"""Q05: charging profiles whose setpoint or limits an external system gives.

Owns how a grid door's signal becomes the value of a Dynamic profile of the CSMS, with
its dynUpdateTime: so that the profile dies with the external system, and comes back
with it. The heart hears the signal itself, at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from chargerd.clock import Now
from chargerd.model import DispatchSignal, EvseReport, OperationMode
from chargerd.ocpp.blocks.block import Block
from chargerd.ocpp.blocks.desk import Desk, EvseView
from chargerd.ocpp.blocks.external_profiles import OURS
from chargerd.ocpp.blocks.profile_store import Installed, ProfileStore
from chargerd.ocpp.effects import Payload
from chargerd.ocpp.profiles import parse_period
from chargerd.ocpp.variable import Variable

_MODES = (OperationMode.EXTERNAL_SETPOINT, OperationMode.EXTERNAL_LIMITS)


class ExternalValues(Block):
    """`refresh`: a profile has another value."""

    def __init__(
        self, desk: Desk, store: ProfileStore, refresh: Callable[[Now], None]
    ) -> None:
        self._desk = desk
        self._store = store
        self._refresh = refresh
        self._seen: dict[int, object] = {}  # by EVSE, what was looked at last

    def variable_set(self, variable: Variable, now: Now) -> None:
        """Thresholds and priorities are part of the dispatch signals."""
        if variable.row.component == "V2XChargingCtrlr" or (
            variable.row.variable == "SetpointPriority"
        ):
            self._refresh(now)

    def observe(self, view: EvseView, report: EvseReport, now: Now) -> None:
        heard = [
            signal
            for signal in report.snapshot.signals
            if not signal.source.startswith(OURS) and signal.at(now.mono) is not None
        ]
        profiles = [
            profile
            for profile in self._store.of_csms()
            if profile.kind == "Dynamic"
            and profile.periods[0].mode in _MODES
            and profile.evse_id in (0, view.config.id)
        ]
        told = tuple((s.source, s.evse_id, s.received_mono) for s in heard)
        seen = told, tuple(profile.id for profile in profiles)
        if seen == self._seen.get(view.config.id):
            return
        self._seen[view.config.id] = seen
        if not heard or not profiles:
            return
        for profile in profiles:
            item = self._store.get(profile.id)
            if item is not None:
                self._take(item, heard, now)
        self._refresh(now)

    def _take(self, item: Installed, heard: list[DispatchSignal], now: Now) -> None:
        """The newest values, as if the CSMS had sent them (Q05.FR.05, .06)."""
        mode = item.profile.periods[0].mode
        evse_id = item.profile.evse_id
        parts = {s.evse_id: self._parts(evse_id, s.evse_id) for s in heard}
        if mode is OperationMode.EXTERNAL_SETPOINT:
            watts = _setpoint(heard, parts, now)
        else:
            watts = _limits(heard, parts, now)
        if not watts:
            return
        schedule = item.payload["chargingSchedule"][0]
        unit = schedule["chargingRateUnit"]
        view = self._desk.evses.get(evse_id) or next(iter(self._desk.evses.values()))
        factor = 1.0 if unit == "W" else 1.0 / view.supply.watts(1.0)
        values = {name: round(value * factor, 3) for name, value in watts.items()}
        period = {**schedule["chargingSchedulePeriod"][0], **values}
        changed = {**schedule, "chargingSchedulePeriod": [period]}
        payload = {**item.payload, "chargingSchedule": [changed]}
        parsed = parse_period(period, unit, view.supply)
        profile = replace(item.profile, periods=(parsed,))
        self._store.update(profile.id, profile, payload, now)

    def _parts(self, profile_evse: int, signal_evse: int) -> int:
        """What is meant for the station is shared by its EVSEs."""
        whole = signal_evse == 0 and profile_evse != 0
        return len(self._desk.evses) if whole else 1


def _setpoint(heard: list[DispatchSignal], parts: dict[int, int], now: Now) -> Payload:
    """Of several, the one that the heart follows: by priority, then the newest."""
    for signal in sorted(heard, key=lambda s: (s.priority, s.received_mono))[::-1]:
        segment = signal.at(now.mono)
        if segment is None or segment.setpoint_w is None or segment.curve is not None:
            continue
        share = parts[signal.evse_id]
        values = {"setpoint": segment.setpoint_w / share}
        if segment.setpoint_var is not None:
            values["setpointReactive"] = segment.setpoint_var / share
        return values
    return {}


def _limits(heard: list[DispatchSignal], parts: dict[int, int], now: Now) -> Payload:
    """All of them hold: the lowest limit, the discharge limit nearest to 0."""
    found: Payload = {}
    for signal in heard:
        segment, share = signal.at(now.mono), parts[signal.evse_id]
        if segment is not None and segment.limit_w is not None:
            limit = segment.limit_w / share
            found["limit"] = min(limit, found.get("limit", limit))
        if segment is not None and segment.discharge_limit_w is not None:
            floor = segment.discharge_limit_w / share
            found["dischargeLimit"] = max(floor, found.get("dischargeLimit", floor))
    return found
