"""Dynamic charging profiles (K28): values pushed by the CSMS, or pulled from it.

Owns UpdateDynamicSchedule and PullDynamicScheduleUpdate with its timing. What a value
means, and when a profile has run out, is `composite.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from chargerd.clock import Now
from chargerd.ocpp.blocks.block import Block, Handler
from chargerd.ocpp.blocks.desk import Desk, failed, refusal
from chargerd.ocpp.blocks.profile_store import CSO, ProfileStore
from chargerd.ocpp.blocks.v2x_check import check_power
from chargerd.ocpp.effects import Answer, Durability, Payload, Refusal
from chargerd.ocpp.profiles import Profile
from chargerd.ocpp.v2 import dialect

PULL_RETRY_S = 30.0


class DynamicProfiles(Block):
    """`refresh` is called when a value has changed."""

    def __init__(
        self, desk: Desk, store: ProfileStore, refresh: Callable[[Now], None]
    ) -> None:
        self._desk = desk
        self._store = store
        self._refresh = refresh
        self._after_mono: dict[int, float] = {}  # a pull is in flight or failed: wait

    def routes(self) -> Mapping[str, Handler]:
        return {"UpdateDynamicSchedule": self.update_dynamic}

    def update_dynamic(self, request: Payload, now: Now) -> Answer:
        """UpdateDynamicSchedule (K28.FR.06, .09, .11)."""
        number = request["chargingProfileId"]
        refused = self._update(number, request["scheduleUpdate"], now)
        if refused:
            return refusal(refused.reason, refused.text)
        return {"status": "Accepted"}

    def _update(self, number: int, update: Payload, now: Now) -> Refusal | None:
        item = self._store.get(number)
        if item is None or item.profile.kind != "Dynamic" or item.source != CSO:
            return Refusal("InvalidProfile", "no such Dynamic profile (K28.FR.11)")
        supply = self._desk.supply_of(item.profile.evse_id)
        made, period = item.changed(update, supply)
        try:
            check_power(period, made.profile.periods[0])
        except Refusal as refused:
            return refused
        self._store.update(made, now)
        self._after_mono.pop(number, None)
        self._refresh(now)
        return None

    # Pulling.

    def link(self, up: bool, offline_s: float, now: Now) -> None:
        self._after_mono.clear()

    def _due_mono(self, profile: Profile) -> float:
        """When this profile's values must be asked for (K28.FR.10)."""
        if profile.dyn_interval_s is None:
            return math.inf
        updated = self._store.dyn_mono.get(profile.id, -math.inf)
        earliest = self._after_mono.get(profile.id, -math.inf)
        return max(updated + profile.dyn_interval_s, earliest, 0.0)

    def next_timer(self) -> float:
        desk = self._desk
        if not (desk.online and desk.accepted) or desk.version == dialect.V201:
            return math.inf
        return min(map(self._due_mono, self._store.of_csms()), default=math.inf)

    def on_timer(self, now: Now) -> None:
        if now.mono < self.next_timer():
            return
        timeout = self._desk.model.number("OCPPCommCtrlr", "MessageTimeout", "Default")
        for profile in self._store.of_csms():
            if self._due_mono(profile) <= now.mono:
                self._after_mono[profile.id] = now.mono + timeout + PULL_RETRY_S
                self._desk.send(
                    "PullDynamicScheduleUpdate",
                    {"chargingProfileId": profile.id},
                    now,
                    Durability.NOW_OR_NEVER,
                    answered=self._pulled,
                )

    def _pulled(self, request: Payload, answer: Answer, now: Now) -> None:
        """K28.FR.08. Whatever is not taken is asked for again."""
        number = request["chargingProfileId"]
        taken = False
        if not failed(answer) and isinstance(answer, dict):
            update = answer.get("scheduleUpdate", {})
            taken = (
                answer["status"] == "Accepted"
                and self._update(number, update, now) is None
            )
        if not taken and self._store.get(number) is not None:
            self._after_mono[number] = now.mono + PULL_RETRY_S
