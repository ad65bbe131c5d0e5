"""Block K and Q: the installed charging profiles and the messages about them.

Owns the store of profiles (persistent by purpose, K01.FR.27), dynamic updates (K28),
offline validity (K01.FR.101-103) and the answers of K01, K08-K10, K21. What the
profiles mean is `composite.py`; what they become is `dispatch.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from chargerd.clock import Now
from chargerd.model import EvseReport
from chargerd.ocpp.blocks import schedule_report
from chargerd.ocpp.blocks.block import Block, Handler
from chargerd.ocpp.blocks.desk import Desk, EvseView, failed, refusal, stamp
from chargerd.ocpp.blocks.dispatch import Dispatcher, soc_of
from chargerd.ocpp.blocks.profile_check import (
    MAX_SECONDS,
    ProfileCheck,
    Refusal,
    check_dyn_time,
    check_power,
)
from chargerd.ocpp.composite import Afrr
from chargerd.ocpp.effects import Answer, Durability, OcppError, Payload
from chargerd.ocpp.profiles import Profile, parse_period, parse_time
from chargerd.ocpp.v2 import dialect

PERSISTENT = ("ChargingStationMaxProfile", "TxDefaultProfile", "PriorityCharging")
SOURCE = "CSO"  # ChargingLimitSource of what the CSMS set
PULL_RETRY_S = 30.0
AFRR_TTL_S = 30.0  # an AFRRSignal that no other follows is dead after this
START_WAIT_S = 600.0  # a remote start that takes longer does not happen
CLOCK_STEP_S = 1.0


@dataclass(frozen=True, slots=True)
class Installed:
    """A profile as received and as parsed."""

    payload: Payload
    profile: Profile


@dataclass(frozen=True, slots=True)
class _Waiting:
    """The profile of a remote start whose transaction has not begun."""

    start_id: int
    payload: Payload
    until_mono: float


class SmartCharging(Block):
    """All profiles of the station. Raises nothing: bad profiles become answers."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._check = ProfileCheck(desk)
        self._dispatcher = Dispatcher(desk)
        self._installed: dict[int, Installed] = {}
        self._dyn_mono: dict[int, float] = {}
        self._pull_after_mono: dict[int, float] = {}  # in flight or failed: wait
        self._starting: dict[int, _Waiting] = {}  # by EVSE
        self._priority: set[str] = set()
        self._suspended: dict[int, set[str]] = {}  # EVSE -> why it has no energy
        self._afrr: Afrr | None = None
        self._clock_s: float | None = None  # UTC minus monotonic at the last refresh
        self._above_soc: dict[int, tuple[bool, ...]] = {}
        self._restore(desk.saved.get("profile", {}))

    def routes(self) -> Mapping[str, Handler]:
        return {
            "AFRRSignal": self.afrr_signal,
            "ClearChargingProfile": self.clear,
            "GetChargingProfiles": self.get_profiles,
            "GetCompositeSchedule": self.composite,
            "SetChargingProfile": self.set_profile,
            "UpdateDynamicSchedule": self.update_dynamic,
            "UsePriorityCharging": self.use_priority,
        }

    def begin(self, now: Now) -> None:
        self.refresh(now)

    def registered(self, now: Now) -> None:
        self.link(True, 0.0, now)

    def _restore(self, saved: Any) -> None:
        """Profiles of the last run. A Dynamic one waits for an update: its values may
        be old. One that this version refuses is forgotten."""
        for key, value in saved.items():
            try:
                profile = self._check.parse(
                    value["profile"], value["evseId"], self._profiles()
                )
            except (Refusal, KeyError, TypeError, ValueError, AttributeError):
                self._desk.save("profile", key, None)
                continue
            self._installed[profile.id] = Installed(value["profile"], profile)
        self._count()

    def _profiles(self) -> Iterable[Profile]:
        return [item.profile for item in self._installed.values()]

    def _count(self) -> None:
        self._desk.model.update(
            "SmartChargingCtrlr", "Entries", str(len(self._installed)),
            instance="ChargingProfiles",
        )  # fmt: skip

    # Messages of the CSMS.

    def set_profile(self, request: Payload, now: Now) -> Answer:
        """SetChargingProfile (K01)."""
        if not self._desk.model.flag("SmartChargingCtrlr", "Enabled"):
            return refusal("NotEnabled", "SmartChargingCtrlr.Enabled is false")
        try:
            self._install(request["chargingProfile"], request["evseId"], now)
        except Refusal as refused:
            return refusal(refused.reason, refused.text)
        self.refresh(now)
        return {"status": "Accepted"}

    def check_start(self, payload: Payload, evse_id: int) -> Refusal | None:
        """May this profile come with a remote start? None = yes (F01.FR.26)."""
        try:
            self._check.parse(payload, evse_id, self._profiles(), at_start=True)
        except Refusal as refused:
            return refused
        return None

    def keep_for_start(
        self, evse_id: int, start_id: int, payload: Payload, now: Now
    ) -> None:
        """Hold a remote start's profile until its transaction begins (F01.FR.10)."""
        self._starting[evse_id] = _Waiting(start_id, payload, now.mono + START_WAIT_S)

    def _install(self, payload: Payload, evse_id: int, now: Now) -> None:
        profile = self._check.parse(payload, evse_id, self._profiles())
        if profile.kind == "Dynamic":
            told = check_dyn_time(payload)
            age_s = 0.0 if told is None else now.utc.timestamp() - told
            self._dyn_mono[profile.id] = now.mono - min(max(0.0, age_s), MAX_SECONDS)
        self._pull_after_mono.pop(profile.id, None)
        self._installed[profile.id] = Installed(payload, profile)
        if profile.purpose in PERSISTENT:
            value = {"evseId": evse_id, "profile": payload}
            self._desk.save("profile", str(profile.id), value)
        self._count()

    def _remove(self, number: int) -> None:
        gone = self._installed.pop(number)
        self._dyn_mono.pop(number, None)
        self._pull_after_mono.pop(number, None)
        if gone.profile.purpose in PERSISTENT:
            self._desk.save("profile", str(number), None)
        self._count()

    def clear(self, request: Payload, now: Now) -> Answer:
        """ClearChargingProfile (K10): an id alone decides, else all criteria match."""
        wanted = request.get("chargingProfileCriteria", {})
        if "chargingProfileId" in request:
            found = [n for n in self._installed if n == request["chargingProfileId"]]
        else:
            found = [
                n for n, item in self._installed.items() if _fits(item.profile, wanted)
            ]
        for number in found:
            self._remove(number)
        if found:
            self.refresh(now)
        return {"status": "Accepted" if found else "Unknown"}

    def get_profiles(self, request: Payload, now: Now) -> Answer:
        """GetChargingProfiles (K09): one report message per profile."""
        wanted = {**request["chargingProfile"]}
        if "evseId" in request:
            wanted["evseId"] = request["evseId"]
        found = [i for i in self._installed.values() if _fits(i.profile, wanted)]
        if SOURCE not in wanted.get("chargingLimitSource", [SOURCE]):
            found = []
        if self._desk.version == dialect.V201:
            found = [item for item in found if dialect.known_201(item.payload)]
        for index, item in enumerate(found):
            report = {
                "requestId": request["requestId"],
                "chargingLimitSource": SOURCE,
                "evseId": item.profile.evse_id,
                "chargingProfile": [self._as_installed(item, now)],
                "tbc": index < len(found) - 1,
            }
            self._desk.send("ReportChargingProfiles", report, now)
        return {"status": "Accepted" if found else "NoProfiles"}

    def _as_installed(self, item: Installed, now: Now) -> Payload:
        mono = self._dyn_mono.get(item.profile.id)
        if mono is None:
            return item.payload
        return {**item.payload, "dynUpdateTime": stamp(now.utc_at(mono))}

    def composite(self, request: Payload, now: Now) -> Answer:
        """GetCompositeSchedule (K08)."""
        return schedule_report.answer(
            self._desk, self._profiles(), request, now, self._dyn_mono, self._priority
        )

    def update_dynamic(self, request: Payload, now: Now) -> Answer:
        """UpdateDynamicSchedule (K28.FR.06, .09, .11)."""
        number = request["chargingProfileId"]
        refused = self._update(number, request["scheduleUpdate"], now)
        if refused:
            return refusal(refused.reason, refused.text)
        return {"status": "Accepted"}

    def _update(self, number: int, update: Payload, now: Now) -> Refusal | None:
        item = self._installed.get(number)
        if item is None or item.profile.kind != "Dynamic":
            return Refusal("InvalidProfile", "no such Dynamic profile (K28.FR.11)")
        schedule = item.payload["chargingSchedule"][0]
        period = {**schedule["chargingSchedulePeriod"][0], **update}
        evse_id, unit = item.profile.evse_id, schedule["chargingRateUnit"]
        view = self._desk.evses.get(evse_id) or next(iter(self._desk.evses.values()))
        parsed = parse_period(period, unit, view.supply)
        try:
            check_power(period, parsed)
        except Refusal as refused:
            return refused
        changed = {**schedule, "chargingSchedulePeriod": [period]}
        payload = {**item.payload, "chargingSchedule": [changed]}
        self._installed[number] = Installed(
            payload, replace(item.profile, periods=(parsed,))
        )
        self._dyn_mono[number] = now.mono
        self._pull_after_mono.pop(number, None)
        self.refresh(now)
        return None

    def afrr_signal(self, request: Payload, now: Now) -> Answer:
        """AFRRSignal (Q08): added to the baseline from its time on, for 30 s at most.

        Without an active v2xSignalWattCurve it is refused: NoSignalWattCurve.
        """
        try:
            from_s = parse_time(request["timestamp"]).timestamp()
        except OcppError as error:
            return refusal("InvalidValue", str(error))
        now_s = now.utc.timestamp()
        if not now_s - AFRR_TTL_S < from_s <= now_s + AFRR_TTL_S:
            return refusal(
                "InvalidValue", f"timestamp is not within {AFRR_TTL_S:.0f} s"
            )
        if not any(
            period.signal is not None
            for profile in self._profiles()
            for period in profile.periods
        ):
            return refusal("NoSignalWattCurve", "no profile has a v2xSignalWattCurve")
        self._afrr = Afrr(float(request["signal"]), from_s, from_s + AFRR_TTL_S)
        self.refresh(now)
        return {"status": "Accepted"}

    def use_priority(self, request: Payload, now: Now) -> Answer:
        """UsePriorityCharging (K21)."""
        transaction = request["transactionId"]
        if self._desk.evse_of_transaction(transaction) is None:
            return refusal("TxNotFound")
        if all(p.purpose != "PriorityCharging" for p in self._profiles()):
            return refusal("NotFound", "no PriorityCharging profile", "NoProfile")
        if request["activate"]:
            self._priority.add(transaction)
        else:
            self._priority.discard(transaction)
        self.refresh(now)
        return {"status": "Accepted"}

    # Events of the station.

    def transaction_started(
        self, view: EvseView, start_id: int | None, now: Now
    ) -> None:
        waiting = self._starting.get(view.config.id)
        if waiting is not None and waiting.start_id == start_id:
            del self._starting[view.config.id]
            if now.mono < waiting.until_mono:
                self._install_waiting(view, waiting.payload, now)
        self.refresh(now)

    def _install_waiting(self, view: EvseView, payload: Payload, now: Now) -> None:
        profile = {**payload, "transactionId": view.transaction_id}
        try:
            self._install(profile, view.config.id, now)
        except Refusal as refused:  # another profile has taken its place meanwhile
            self._desk.security_event("InvalidMessages", now, refused.text)

    def transaction_ended(self, transaction_id: str, evse_id: int, now: Now) -> None:
        """TxProfiles end with their transaction (K01: purpose TxProfile)."""
        for number, item in list(self._installed.items()):
            if (
                item.profile.purpose == "TxProfile"
                and item.profile.transaction_id == transaction_id
            ):
                self._remove(number)
        self._priority.discard(transaction_id)
        self._suspended.pop(evse_id, None)
        self.refresh(now)

    def suspend(self, evse_id: int, why: str, now: Now) -> None:
        """No energy either way for this transaction: its token is invalid, a limit is
        reached (E05, E16, E17)."""
        self._suspended.setdefault(evse_id, set()).add(why)
        self.refresh(now)

    def unsuspend(self, evse_id: int, why: str, now: Now) -> None:
        """This reason is gone; energy flows when none is left."""
        left = self._suspended.get(evse_id)
        if left is None or why not in left:
            return
        left.discard(why)
        if not left:
            del self._suspended[evse_id]
        self.refresh(now)

    def suspended(self, evse_id: int) -> bool:
        return evse_id in self._suspended

    def link(self, up: bool, offline_s: float, now: Now) -> None:
        """Offline validity begins or ends after `offline_s` seconds (K01.FR.102)."""
        if up:
            for number, item in list(self._installed.items()):
                longest = item.profile.max_offline_s
                if (
                    longest is not None
                    and item.profile.invalid_after_offline
                    and offline_s > longest
                ):
                    self._remove(number)
        self._pull_after_mono.clear()
        self.refresh(now)

    def observe(self, view: EvseView, report: EvseReport, now: Now) -> None:
        """Refresh when a limitAtSoC threshold is crossed or the clock has stepped."""
        stepped = self._clock_s is not None and (
            abs(now.utc.timestamp() - now.mono - self._clock_s) > CLOCK_STEP_S
        )
        soc = soc_of(view)
        above = tuple(
            soc is not None and soc >= item.profile.soc_pct
            for item in self._installed.values()
            if item.profile.soc_pct is not None
        )
        if stepped or above != self._above_soc.get(view.config.id, ()):
            self._above_soc[view.config.id] = above
            self.refresh(now)

    # Time.

    def refresh(self, now: Now) -> None:
        """Send what the profiles ask now, where it differs from what was sent."""
        self._clock_s = now.utc.timestamp() - now.mono
        self._dispatcher.refresh(
            self._profiles(),
            now,
            self._dyn_mono,
            self._priority,
            self._suspended,
            self._afrr,
        )

    def next_timer(self) -> float:
        return min(self._dispatcher.next_mono, self._next_pull_mono())

    def on_timer(self, now: Now) -> None:
        if now.mono >= self._dispatcher.next_mono:
            self.refresh(now)
        if now.mono >= self._next_pull_mono():
            self._pull(now)

    def _pull_mono(self, profile: Profile) -> float:
        """When this profile's values must be asked for (K28.FR.10)."""
        if profile.dyn_interval_s is None:
            return math.inf
        updated = self._dyn_mono.get(profile.id, -math.inf)
        earliest = self._pull_after_mono.get(profile.id, -math.inf)
        return max(updated + profile.dyn_interval_s, earliest, 0.0)

    def _next_pull_mono(self) -> float:
        desk = self._desk
        if not (desk.online and desk.accepted) or desk.version == dialect.V201:
            return math.inf
        return min(map(self._pull_mono, self._profiles()), default=math.inf)

    def _pull(self, now: Now) -> None:
        for profile in self._profiles():
            if self._pull_mono(profile) <= now.mono:
                timeout = self._desk.model.number(
                    "OCPPCommCtrlr", "MessageTimeout", "Default"
                )
                self._pull_after_mono[profile.id] = now.mono + timeout + PULL_RETRY_S
                self._desk.send(
                    "PullDynamicScheduleUpdate",
                    {"chargingProfileId": profile.id},
                    now,
                    Durability.NOW_OR_NEVER,
                    answered=self._pulled,
                )

    def _pulled(self, request: Payload, answer: Answer, now: Now) -> None:
        number = request["chargingProfileId"]
        taken = False
        if not failed(answer) and isinstance(answer, dict):
            update = answer.get("scheduleUpdate", {})
            taken = (
                answer["status"] == "Accepted"
                and self._update(number, update, now) is None
            )
        if not taken and number in self._installed:
            self._pull_after_mono[number] = now.mono + PULL_RETRY_S


def _fits(profile: Profile, wanted: Payload) -> bool:
    """All given criteria match (K09, K10)."""
    return (
        wanted.get("evseId", profile.evse_id) == profile.evse_id
        and wanted.get("chargingProfilePurpose", profile.purpose) == profile.purpose
        and wanted.get("stackLevel", profile.stack_level) == profile.stack_level
        and profile.id in wanted.get("chargingProfileId", [profile.id])
    )
