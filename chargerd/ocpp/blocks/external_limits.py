"""External limits (K11 to K14, K27, K29): the CSMS is told what the grid doors ask.

Owns NotifyChargingLimit, ClearedChargingLimit and the profiles that stand for external
signals. The heart obeys those signals itself, at once; only local generation comes back
into the composite schedule, on top of the CSMS's limits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from chargerd.clock import Now
from chargerd.model import DispatchSignal
from chargerd.ocpp.blocks.block import Block
from chargerd.ocpp.blocks.desk import Desk, EvseView
from chargerd.ocpp.blocks.external_profiles import (
    GENERATION,
    External,
    alike,
    profile,
    purposes,
    schedules,
    significant,
    source_of,
)
from chargerd.ocpp.blocks.profile_store import Installed, ProfileStore
from chargerd.ocpp.composite import CONSTRAINTS
from chargerd.ocpp.effects import Payload
from chargerd.ocpp.profiles import parse_profile
from chargerd.ocpp.v2 import dialect

RATE_WAIT_S = 30.0  # so long a change of rate is put down to a changed limit
Group = tuple[str, int, bool]  # ChargingLimitSource, EVSE, local generation?
RateChanged = Callable[[EvseView, Now], None]


@dataclass(slots=True)
class _Rate:
    """The power before an external limit changed."""

    power_w: float
    until_mono: float


class ExternalLimits(Block):
    """Looks at the signals once a second: the heart sees each at once."""

    def __init__(
        self,
        desk: Desk,
        store: ProfileStore,
        refresh: Callable[[Now], None],
        rate_changed: RateChanged,
    ) -> None:
        """`refresh`: local generation has changed. `rate_changed`: a transaction's
        power has (K11.FR.04)."""
        self._desk = desk
        self._store = store
        self._refresh = refresh
        self._rate_changed = rate_changed
        self._known: dict[tuple[str, int, str], External] = {}
        self._told: dict[Group, dict[int, External]] = {}
        self._power_w: dict[int, float] = {}
        self._watched: dict[int, _Rate] = {}
        self._numbers = 0

    def link(self, up: bool, offline_s: float, now: Now) -> None:
        """The version may be another: 2.0.1 has no Dynamic profiles."""
        for item in self._known.values():
            self._put(item, now)

    def on_second(self, now: Now) -> None:
        self._look(now)  # first: the power of a second ago is the one before
        self._rates(now)

    def _look(self, now: Now) -> None:
        found = {
            (item.signal.source, item.evse_id, item.purpose): item
            for item in self._seen(now)
        }
        if found == self._known:
            return
        gone = [item for key, item in self._known.items() if key not in found]
        new = [item for key, item in found.items() if self._known.get(key) != item]
        self._known = found
        for item in gone:
            self._store.remove(item.number)
        for item in new:
            self._put(item, now)
        if any(item.purpose == GENERATION for item in (*gone, *new)):
            self._refresh(now)
        self._tell(now)

    def _seen(self, now: Now) -> Iterator[External]:
        """All external signals that live; those of the station are in each report."""
        for view in self._desk.evses.values():
            if view.report is None:
                continue
            for signal in view.report.snapshot.signals:
                if signal.valid_until_mono <= now.mono or not signal.segments:
                    continue
                for purpose in purposes(signal):
                    if purpose == CONSTRAINTS and self._in_profile(signal):
                        continue
                    known = self._known.get((signal.source, signal.evse_id, purpose))
                    number = known.number if known else self._next()
                    source = source_of(signal.source)
                    yield External(number, signal, purpose, source)

    def _in_profile(self, signal: DispatchSignal) -> bool:
        """A profile of the CSMS takes what external systems say (K29.FR.03, .04)."""
        return any(
            item.profile.evse_id in (0, signal.evse_id) or not signal.evse_id
            for item in self._store.takers()
        )

    def _next(self) -> int:
        """Below 0, where a CSMS has none of its own (K11.FR.06, K01.FR.82)."""
        self._numbers -= 1
        while self._store.get(self._numbers) is not None:
            self._numbers -= 1
        return self._numbers

    @property
    def _dynamic(self) -> bool:
        return self._desk.version != dialect.V201

    def _put(self, item: External, now: Now) -> None:
        payload = profile(item, now, dynamic=self._dynamic)
        supply = self._desk.supply_of(item.evse_id)
        parsed = parse_profile(payload, item.evse_id, supply)
        since = item.signal.received_mono if parsed.kind == "Dynamic" else None
        parsed = replace(parsed, external=True)
        self._store.put(Installed(payload, parsed, item.source), since)

    # Telling.

    def _tell(self, now: Now) -> None:
        groups: dict[Group, dict[int, External]] = {}
        for item in self._known.values():
            group = item.source, item.evse_id, item.purpose == GENERATION
            groups.setdefault(group, {})[item.number] = item
        for group in [*self._told, *(g for g in groups if g not in self._told)]:
            items, told = groups.get(group, {}), self._told.get(group, {})
            if self._same(told, items):
                continue
            self._watch(group, now)
            if items:
                self._told[group] = items
                self._limit(group, list(items.values()), now)
            else:
                del self._told[group]
                cleared = {"chargingLimitSource": group[0], "evseId": group[1]}
                self._desk.send("ClearedChargingLimit", cleared, now)

    @property
    def _percent(self) -> float:
        told = "SmartChargingCtrlr", "LimitChangeSignificance"
        return float(self._desk.model.text(*told))

    def _same(self, told: dict[int, External], items: dict[int, External]) -> bool:
        return told.keys() == items.keys() and all(
            alike(told[number], item, self._percent, self._rating_w(item.evse_id))
            for number, item in items.items()
        )

    def _limit(self, group: Group, items: list[External], now: Now) -> None:
        source, evse_id, local = group
        limit: Payload = {"chargingLimitSource": source}
        if local:
            limit["isLocalGeneration"] = True
        elif source == "SO":
            limit["isGridCritical"] = True
        payload: Payload = {"chargingLimit": limit, "evseId": evse_id}
        if self._desk.model.flag(
            "SmartChargingCtrlr", "NotifyChargingLimitWithSchedules"
        ):
            payload["chargingSchedule"] = schedules(items, now, dynamic=self._dynamic)
        self._desk.send("NotifyChargingLimit", payload, now)

    def _rating_w(self, evse_id: int) -> float:
        evses = self._desk.evses
        views = [evses[evse_id]] if evse_id in evses else list(evses.values())
        return sum(view.config.charge_w for view in views)

    # The power that follows (K11.FR.04, K13.FR.03).

    def _watch(self, group: Group, now: Now) -> None:
        """From here on a change of the power is the external system's."""
        for evse_id, power_w in self._power_w.items():
            if group[1] in (0, evse_id) and evse_id not in self._watched:
                self._watched[evse_id] = _Rate(power_w, now.mono + RATE_WAIT_S)

    def _rates(self, now: Now) -> None:
        for evse_id, view in self._desk.evses.items():
            if view.report is None:
                continue
            power_w = view.report.decision.power_w
            rate = self._watched.get(evse_id)
            if rate is not None and (
                not view.transaction_id or now.mono >= rate.until_mono
            ):
                del self._watched[evse_id]
            elif rate is not None and self._settled(evse_id, power_w):
                before, rating_w = rate.power_w, view.config.charge_w
                if significant(before, power_w, self._percent, rating_w):
                    del self._watched[evse_id]
                    self._rate_changed(view, now)
            self._power_w[evse_id] = power_w

    def _settled(self, evse_id: int, power_w: float) -> bool:
        """The ramp to the new limit is over: told once, with what it led to."""
        return abs(power_w - self._power_w.get(evse_id, power_w)) < 1.0
