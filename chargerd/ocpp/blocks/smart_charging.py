"""Block K and Q: the messages about charging profiles, and when they take effect.

Owns the answers of K01 and K08 to K10, profiles of remote starts (K05) and offline
validity (K01.FR.101-103). What profiles mean is `composite.py`; what they become is
`dispatch.py`; which are there is `profile_store.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chargerd.clock import Now
from chargerd.model import EvseReport
from chargerd.ocpp.blocks import schedule_report
from chargerd.ocpp.blocks.block import Block, Handler
from chargerd.ocpp.blocks.desk import Desk, EvseView, refusal
from chargerd.ocpp.blocks.dispatch import Dispatcher, soc_of
from chargerd.ocpp.blocks.profile_check import (
    MAX_SECONDS,
    Origin,
    ProfileCheck,
    check_dyn_time,
)
from chargerd.ocpp.blocks.profile_store import CSO, Installed, ProfileStore
from chargerd.ocpp.composite import Afrr
from chargerd.ocpp.effects import Answer, OcppError, Payload, Refusal
from chargerd.ocpp.profiles import parse_time
from chargerd.ocpp.v2 import dialect

AFRR_TTL_S = 30.0  # an AFRRSignal that no other follows is dead after this
MOST_SIGNALS = 60  # in force or still to come
START_WAIT_S = 600.0  # a remote start that takes longer does not happen
CLOCK_STEP_S = 1.0
NOT_CLEARED = ("ChargingStationExternalConstraints", "LocalGeneration")


@dataclass(frozen=True, slots=True)
class _Waiting:
    """The profile of a remote start whose transaction has not begun."""

    start_id: int
    payload: Payload
    until_mono: float


class SmartCharging(Block):
    """All profiles of the station. Raises nothing: bad profiles become answers."""

    def __init__(self, desk: Desk, store: ProfileStore) -> None:
        self._desk = desk
        self._store = store
        self._check = ProfileCheck(desk)
        self._dispatcher = Dispatcher(desk)
        self._starting: dict[int, _Waiting] = {}  # by EVSE
        self._suspended: dict[int, set[str]] = {}  # EVSE -> why it has no energy
        self._afrr: tuple[Afrr, ...] = ()  # in order of time
        self._clock_s = 0.0  # UTC minus monotonic at the last refresh
        self._soc_marks: tuple[float, ...] = ()  # limitAtSoC of the profiles
        self._above_soc: dict[int, tuple[bool, ...]] = {}
        self._restore(desk.saved.get("profile", {}))

    def routes(self) -> Mapping[str, Handler]:
        return {
            "AFRRSignal": self.afrr_signal,
            "ClearChargingProfile": self.clear,
            "GetChargingProfiles": self.get_profiles,
            "GetCompositeSchedule": self.composite,
            "SetChargingProfile": self.set_profile,
        }

    def begin(self, now: Now) -> None:
        self.refresh(now)

    def registered(self, now: Now) -> None:
        self.link(True, 0.0, now)

    def _restore(self, saved: Any) -> None:
        """Profiles of the last run. One that this version refuses is forgotten."""
        for key, value in list(saved.items()):
            try:
                choices = self._check.parse(
                    value["profile"], value["evseId"], self._store.all(), Origin.DISK
                )
            except (Refusal, KeyError, TypeError, ValueError, AttributeError):
                self._desk.save("profile", key, None)
                continue
            item = Installed(value["profile"], choices[0], choices=choices)
            self._store.restored(item)

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

    def prepare(self, profile: Payload, evse_id: int) -> None:
        """The slow part of what comes next with this profile; may run in a thread."""
        self._check.prepare(profile, evse_id)

    def check_start(self, payload: Payload, evse_id: int) -> Refusal | None:
        """May this profile come with a remote start? None = yes (F01.FR.26)."""
        try:
            self._check.parse(payload, evse_id, self._store.all(), Origin.START)
        except Refusal as refused:
            return refused
        return None

    def keep_for_start(
        self, evse_id: int, start_id: int, payload: Payload, now: Now
    ) -> None:
        """Hold a remote start's profile until its transaction begins (F01.FR.10)."""
        self._starting[evse_id] = _Waiting(start_id, payload, now.mono + START_WAIT_S)

    def _install(
        self, payload: Payload, evse_id: int, now: Now, origin: Origin = Origin.CSMS
    ) -> None:
        """Install or replace by id (K01.FR.05)."""
        choices = self._check.parse(payload, evse_id, self._store.all(), origin)
        profile = choices[0]
        updated_mono = None
        if profile.kind == "Dynamic":  # K28.FR.05
            told = check_dyn_time(payload)
            age_s = 0.0 if told is None else now.utc.timestamp() - told
            updated_mono = now.mono - min(max(0.0, age_s), MAX_SECONDS)
        self._store.put(Installed(payload, profile, choices=choices), updated_mono)

    def clear(self, request: Payload, now: Now) -> Answer:
        """ClearChargingProfile (K10): an id alone decides, else all criteria match.

        What an external system set stays. A LocalGeneration of the CSMS goes by its id
        only (K10.FR.03, .04).
        """
        if "chargingProfileId" in request:
            wanted: Payload = {"chargingProfileId": [request["chargingProfileId"]]}
            found = self._store.find(wanted, [CSO])
        else:
            wanted = request.get("chargingProfileCriteria", {})
            found = [
                item
                for item in self._store.find(wanted, [CSO])
                if item.profile.purpose not in NOT_CLEARED
            ]
        for item in found:
            self._store.remove(item.profile.id)
        if found:
            self.refresh(now)
        return {"status": "Accepted" if found else "Unknown"}

    def get_profiles(self, request: Payload, now: Now) -> Answer:
        """GetChargingProfiles (K09): one report message per profile."""
        wanted = {**request["chargingProfile"]}
        if "evseId" in request:
            wanted["evseId"] = request["evseId"]
        found = self._store.find(wanted, wanted.get("chargingLimitSource"))
        if self._desk.version == dialect.V201:
            found = [item for item in found if dialect.known_201(item.payload)]
        for index, item in enumerate(found):
            report = {
                "requestId": request["requestId"],
                "chargingLimitSource": item.source,
                "evseId": item.profile.evse_id,
                "chargingProfile": [self._store.as_installed(item, now)],
                "tbc": index < len(found) - 1,
            }
            self._desk.send("ReportChargingProfiles", report, now)
        return {"status": "Accepted" if found else "NoProfiles"}

    def composite(self, request: Payload, now: Now) -> Answer:
        """GetCompositeSchedule (K08)."""
        return schedule_report.answer(self._desk, self._store, request, now)

    def afrr_signal(self, request: Payload, now: Now) -> Answer:
        """AFRRSignal (Q08): on the baseline from its time to the next one's, or 30 s.

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
        if not self._dispatcher.takes_signal:  # Q08.FR.11
            return refusal("NoSignalWattCurve", "no v2xSignalWattCurve is active")
        made = Afrr(float(request["signal"]), from_s, from_s + AFRR_TTL_S)
        live = (*(s for s in self._afrr if s.until_s > now_s), made)
        self._afrr = tuple(sorted(live, key=lambda s: s.from_s)[-MOST_SIGNALS:])
        self.refresh(now)
        return {"status": "Accepted"}

    # Events of the station.

    def transaction_started(
        self, view: EvseView, start_id: int | None, now: Now
    ) -> None:
        for item in self._store.find(
            {"evseId": view.config.id, "chargingProfilePurpose": "TxProfile"}
        ):
            if item.profile.transaction_id != view.transaction_id:
                self._store.remove(item.profile.id)  # of a transaction before a restart
        waiting = self._starting.get(view.config.id)
        if waiting is not None and waiting.start_id == start_id:
            del self._starting[view.config.id]
            if now.mono < waiting.until_mono:
                self._install_waiting(view, waiting.payload, now)
        self.refresh(now)

    def _install_waiting(self, view: EvseView, payload: Payload, now: Now) -> None:
        profile = {**payload, "transactionId": view.transaction_id}
        try:
            self._install(profile, view.config.id, now, Origin.BEGAN)
        except Refusal as refused:  # another profile has taken its place meanwhile
            self._desk.security_event("InvalidMessages", now, refused.text)

    def transaction_ended(self, transaction_id: str, evse_id: int, now: Now) -> None:
        """TxProfiles end with their transaction (K02.FR.05)."""
        for item in self._store.find({"chargingProfilePurpose": "TxProfile"}):
            if item.profile.transaction_id == transaction_id:
                self._store.remove(item.profile.id)
        self._desk.evses[evse_id].priority = False
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
            for item in self._store.find({}):
                profile = item.profile
                longest = profile.max_offline_s
                if longest is None or not profile.invalid_after_offline:
                    continue
                if offline_s > longest:
                    self._store.remove(profile.id)
        self.refresh(now)

    def observe(self, view: EvseView, report: EvseReport, now: Now) -> None:
        """Refresh when a limitAtSoC threshold is crossed."""
        soc = soc_of(view)
        above = tuple(soc is not None and soc >= mark for mark in self._soc_marks)
        if above != self._above_soc.get(view.config.id, ()):
            self._above_soc[view.config.id] = above
            self.refresh(now)

    def on_second(self, now: Now) -> None:
        """The clock may have been set: what vehicles were told counts by it, too."""
        if abs(now.utc.timestamp() - now.mono - self._clock_s) > CLOCK_STEP_S:
            self._store.version += 1
            self.refresh(now)

    # Time.

    def refresh(self, now: Now) -> None:
        """Send what the profiles ask now, where it differs from what was sent."""
        self._clock_s = now.utc.timestamp() - now.mono
        profiles = self._store.steering()
        self._soc_marks = tuple(p.soc_pct for p in profiles if p.soc_pct is not None)
        self._dispatcher.refresh(
            profiles,
            now,
            self._store.dyn_mono,
            self._suspended,
            self._afrr,
        )

    def next_timer(self) -> float:
        return self._dispatcher.next_mono

    def on_timer(self, now: Now) -> None:
        if now.mono >= self._dispatcher.next_mono:
            self.refresh(now)
