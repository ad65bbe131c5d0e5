"""The installed charging profiles: who set them, since when they hold, what is on disk.

Owns persistence by purpose (K01.FR.27, .55) and the times of Dynamic profiles (K28).
Asks nobody whether a profile may be there and sends nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from chargerd.clock import Now
from chargerd.model import OperationMode
from chargerd.ocpp.blocks.desk import Desk, stamp
from chargerd.ocpp.effects import Payload
from chargerd.ocpp.profiles import Profile, Supply, parse_period

CSO = "CSO"  # ChargingLimitSource of what the CSMS set
EXTERNAL_MODES = (OperationMode.EXTERNAL_LIMITS, OperationMode.EXTERNAL_SETPOINT)
ALWAYS_KEPT = ("ChargingStationMaxProfile", "TxDefaultProfile", "PriorityCharging")


@dataclass(frozen=True, slots=True)
class Installed:
    """A profile as received and as parsed. `source`: a ChargingLimitSource.

    `choices`: one for each of its schedules; `profile` is the one in force.
    """

    payload: Payload
    profile: Profile
    source: str = CSO
    choices: tuple[Profile, ...] = ()

    def choice(self, number: int) -> Profile:
        """The first schedule is 0; with too few of them it is the last (K18.FR.24)."""
        if len(self.choices) < 2:
            return self.profile
        return self.choices[min(number, len(self.choices) - 1)]

    @property
    def schedule(self) -> Payload:
        """The ChargingSchedule in force."""
        found = [n for n, one in enumerate(self.choices) if one is self.profile]
        schedule: Payload = self.payload["chargingSchedule"][found[0] if found else 0]
        return schedule

    @property
    def steers(self) -> bool:
        """What external systems limit is only told: the heart obeys it itself."""
        return self.source == CSO or self.profile.purpose == "LocalGeneration"

    def changed(self, values: Payload, supply: Supply) -> tuple[Installed, Payload]:
        """A Dynamic one with these values in its period, and that period."""
        schedule = self.payload["chargingSchedule"][0]
        period = {**schedule["chargingSchedulePeriod"][0], **values}
        parsed = parse_period(period, schedule["chargingRateUnit"], supply)
        made = {**schedule, "chargingSchedulePeriod": [period]}
        payload = {**self.payload, "chargingSchedule": [made]}
        profile = replace(self.profile, periods=(parsed,))
        return replace(self, payload=payload, profile=profile), period


class ProfileStore:
    """By id. What external systems set (K11, K27, K29) is beside what the CSMS set: the
    heart obeys external limits itself, so that they only have to be told."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._items: dict[int, Installed] = {}
        self.dyn_mono: dict[int, float] = {}  # when a Dynamic one was last updated
        self.version = 0  # another number after each change of those that steer

    # Reading.

    def get(self, number: int) -> Installed | None:
        return self._items.get(number)

    def of_csms(self) -> list[Profile]:
        return [i.profile for i in self._items.values() if i.source == CSO]

    def steering(self) -> list[Profile]:
        """What the dispatch signals are made of."""
        return [item.profile for item in self._items.values() if item.steers]

    def takers(self) -> list[Installed]:
        """Those of the CSMS whose values external systems give (Q05, K29.FR.03)."""
        return [
            item
            for item in self._items.values()
            if item.source == CSO
            and item.profile.kind == "Dynamic"
            and item.profile.periods[0].mode in EXTERNAL_MODES
        ]

    def alternative(self, number: int) -> list[Profile]:
        """As `steering`, had the vehicle chosen the schedules of this number."""
        return [item.choice(number) for item in self._items.values() if item.steers]

    def all(self) -> list[Profile]:
        return [item.profile for item in self._items.values()]

    def find(
        self, wanted: Payload, sources: Iterable[str] | None = None
    ) -> list[Installed]:
        """All given criteria match (K09, K10); `sources` None = any."""
        return [
            item
            for item in self._items.values()
            if _fits(item.profile, wanted)
            and (sources is None or item.source in sources)
        ]

    def as_installed(self, item: Installed, now: Now) -> Payload:
        """The profile as ReportChargingProfiles tells it."""
        mono = self.dyn_mono.get(item.profile.id)
        if mono is None:
            return item.payload
        return {**item.payload, "dynUpdateTime": stamp(now.utc_at(mono))}

    # Changing.

    def put(self, item: Installed, dyn_mono: float | None = None) -> None:
        """Install or replace. `dyn_mono`: a Dynamic one holds since then."""
        number = item.profile.id
        gone, self._items[number] = self._items.get(number), item
        if dyn_mono is None:
            self.dyn_mono.pop(number, None)
        else:
            self.dyn_mono[number] = dyn_mono
        self.version += item.steers
        if self._kept(item):
            value = {"evseId": item.profile.evse_id, "profile": item.payload}
            self._desk.save("profile", str(number), value)
        elif gone is not None and self._kept(gone):
            self._desk.save("profile", str(number), None)
        self._count()

    def restored(self, item: Installed) -> None:
        """From the disk. A Dynamic one waits for an update: its values may be old."""
        self._items[item.profile.id] = item
        self._count()

    def update(self, item: Installed, now: Now) -> None:
        """New values of a Dynamic profile: not for the disk, they come often."""
        self._items[item.profile.id] = item
        self.dyn_mono[item.profile.id] = now.mono
        self.version += 1

    def choose(self, transaction_id: str, number: int) -> None:
        """The vehicle goes by the schedules of this number: so does the station."""
        for key, item in self._items.items():
            chosen = item.choice(number)
            mine = item.profile.transaction_id == transaction_id
            if mine and chosen is not item.profile:
                self._items[key] = replace(item, profile=chosen)
                self.version += 1

    def remove(self, number: int) -> None:
        gone = self._items.pop(number)
        self.dyn_mono.pop(number, None)
        self.version += gone.steers
        if self._kept(gone):
            self._desk.save("profile", str(number), None)
        self._count()

    def _kept(self, item: Installed) -> bool:
        purpose = item.profile.purpose
        if item.source != CSO:
            return False
        if purpose in ALWAYS_KEPT:
            return True
        told = "SmartChargingCtrlr", "ChargingProfilePersistence", purpose
        return self._desk.model.text(*told) == "true"

    def _count(self) -> None:
        self._desk.model.update(
            "SmartChargingCtrlr", "Entries", str(len(self._items)),
            instance="ChargingProfiles",
        )  # fmt: skip


def _fits(profile: Profile, wanted: Payload) -> bool:
    return (
        wanted.get("evseId", profile.evse_id) == profile.evse_id
        and wanted.get("chargingProfilePurpose", profile.purpose) == profile.purpose
        and wanted.get("stackLevel", profile.stack_level) == profile.stack_level
        and profile.id in wanted.get("chargingProfileId", [profile.id])
    )
