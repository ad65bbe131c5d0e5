"""Q05: charging profiles whose setpoint or limits an external system gives.

Owns how a grid door's signal becomes the value of a Dynamic profile of the CSMS, with
its dynUpdateTime: so that the profile dies with the external system, and comes back
with it. The heart hears the signal itself, at once.
"""

from __future__ import annotations

from collections.abc import Callable

from chargerd.clock import Now
from chargerd.model import DispatchSignal, EvseReport, OperationMode, Segment
from chargerd.ocpp.blocks.block import Block
from chargerd.ocpp.blocks.desk import Desk, EvseView
from chargerd.ocpp.blocks.external_profiles import OURS
from chargerd.ocpp.blocks.profile_store import Installed, ProfileStore
from chargerd.ocpp.effects import Payload
from chargerd.ocpp.variable import Variable

Heard = list[tuple[DispatchSignal, Segment]]


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
        places = 0, view.config.id
        items = [i for i in self._store.takers() if i.profile.evse_id in places]
        heard = _heard(report, now) if items else []
        if not heard:
            self._seen.pop(view.config.id, None)
            return
        told = [
            (s.source, s.evse_id, s.received_mono, at.start_mono) for s, at in heard
        ]
        seen = told, [item.profile.id for item in items]
        if seen == self._seen.get(view.config.id):
            return
        self._seen[view.config.id] = seen
        for item in items:
            self._take(item, heard, now)
        self._refresh(now)

    def _take(self, item: Installed, heard: Heard, now: Now) -> None:
        """The newest values, as if the CSMS had sent them (Q05.FR.05, .06)."""
        evse_id = item.profile.evse_id
        parts = {s.evse_id: self._parts(evse_id, s.evse_id) for s, _ in heard}
        if item.profile.periods[0].mode is OperationMode.EXTERNAL_SETPOINT:
            watts = _setpoint(heard, parts)
        else:
            watts = _limits(heard, parts)
        if not watts:
            return
        supply = self._desk.supply_of(evse_id)
        in_w = item.schedule["chargingRateUnit"] == "W"
        factor = 1.0 if in_w else 1.0 / supply.watts(1.0)
        values = {name: round(value * factor, 3) for name, value in watts.items()}
        made, _ = item.changed(values, supply)
        self._store.update(made, now)

    def _parts(self, profile_evse: int, signal_evse: int) -> int:
        """What is meant for the station is shared by its EVSEs."""
        whole = signal_evse == 0 and profile_evse != 0
        return len(self._desk.evses) if whole else 1


def _heard(report: EvseReport, now: Now) -> Heard:
    """Each live signal of an external system, with what it says now."""
    return [
        (signal, segment)
        for signal in report.snapshot.signals
        if not signal.source.startswith(OURS)
        and (segment := signal.at(now.mono)) is not None
    ]


def _setpoint(heard: Heard, parts: dict[int, int]) -> Payload:
    """Of several, the one that the heart follows: by priority, then the newest."""
    by_rank = sorted(heard, key=lambda h: (h[0].priority, h[0].received_mono))
    for signal, segment in by_rank[::-1]:
        if segment.setpoint_w is None or segment.curve is not None:
            continue
        share = parts[signal.evse_id]
        values = {"setpoint": segment.setpoint_w / share}
        if segment.setpoint_var is not None:
            values["setpointReactive"] = segment.setpoint_var / share
        return values
    return {}


def _limits(heard: Heard, parts: dict[int, int]) -> Payload:
    """All of them hold: the lowest limit, the discharge limit nearest to 0."""
    found: Payload = {}
    for signal, segment in heard:
        share = parts[signal.evse_id]
        if segment.limit_w is not None:
            limit = segment.limit_w / share
            found["limit"] = min(limit, found.get("limit", limit))
        if segment.discharge_limit_w is not None:
            floor = segment.discharge_limit_w / share
            found["dischargeLimit"] = max(floor, found.get("dischargeLimit", floor))
    return found
