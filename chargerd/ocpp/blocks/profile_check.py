"""May this charging profile be installed? The semantic rules of K01, K28 and Q.

Owns the refusals with their reason codes (appendix 5 of part 2). Changes nothing; the
schema has been checked before, numbers are finite.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum, auto
from itertools import pairwise

from chargerd.model import OperationMode
from chargerd.ocpp.blocks import v2x_check
from chargerd.ocpp.blocks.desk import Desk, EvseView
from chargerd.ocpp.blocks.schedule_reading import PARTS, Reader, Reading
from chargerd.ocpp.blocks.v2x_check import MAX_W
from chargerd.ocpp.composite import CONSTRAINTS, MAXIMUM
from chargerd.ocpp.effects import OcppError, Payload, Refusal
from chargerd.ocpp.profiles import Profile, parse_profile, parse_time
from chargerd.ocpp.table.row import MAX_PERIODS, MAX_PROFILES

MAX_SECONDS = 10 * 366 * 86_400
Found = tuple[int, Refusal]  # and in which period


class Origin(Enum):
    """How a profile came here; what it may lack depends on it."""

    CSMS = auto()
    START = auto()  # with RequestStartTransaction: no transaction yet (F01.FR.09, .11)
    BEGAN = auto()  # the same, now that its transaction has begun
    DISK = auto()  # of the last run: its transaction may come back (E17)


class ProfileCheck:
    """Checks against the device model, the EVSEs and the installed profiles."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._reader = Reader()

    def parse(
        self,
        payload: Payload,
        evse_id: int,
        installed: Iterable[Profile],
        origin: Origin = Origin.CSMS,
    ) -> tuple[Profile, ...]:
        """The parsed profile, once for each of its schedules. Raises Refusal."""
        if evse_id and evse_id not in self._desk.evses:
            raise Refusal("UnknownEvse", f"there is no EVSE {evse_id}")
        others = {p.id: p for p in installed}
        self._identity(payload, others.pop(payload["id"], None))
        self._purpose(payload, evse_id, origin)
        self._kind(payload)
        views = (
            [self._desk.evses[evse_id]] if evse_id else list(self._desk.evses.values())
        )
        for schedule in payload["chargingSchedule"]:
            self._schedule(schedule, payload["chargingProfilePurpose"])
        profiles = self._read(payload, evse_id, views)
        self._against(profiles[0], list(others.values()))
        return profiles

    def prepare(self, payload: Payload, evse_id: int) -> None:
        """The slow part, for a profile that `parse` gets next; may run in a thread."""
        supply = self._desk.supply_of(evse_id)
        for schedule in payload["chargingSchedule"]:
            if len(schedule["chargingSchedulePeriod"]) <= MAX_PERIODS:
                self._reader.read(schedule, supply)

    def _read(
        self, payload: Payload, evse_id: int, views: list[EvseView]
    ) -> tuple[Profile, ...]:
        supply, purpose = views[0].supply, payload["chargingProfilePurpose"]
        readings = []
        for schedule in payload["chargingSchedule"]:
            reading = self._reader.read(schedule, supply)
            self._judge(reading, schedule, purpose, views)
            readings.append(reading)
        try:
            return tuple(
                parse_profile(payload, evse_id, supply, number, reading.periods)
                for number, reading in enumerate(readings)
            )
        except OcppError as error:
            raise Refusal("InvalidProfile", str(error)) from error

    def _judge(
        self, found: Reading, schedule: Payload, purpose: str, views: list[EvseView]
    ) -> None:
        """Up to 1024 periods by what the reading found in them (law 7)."""
        raw = schedule["chargingSchedulePeriod"]
        refusals = [
            *self._modes(found, purpose, views),
            *phase_refusals(found, purpose, views),
            *([found.wrong] if found.wrong else []),
            *self._sleeps(found),
        ]
        if refusals:  # in words: which part it is (Q08.FR.03)
            index, refused = min(refusals, key=lambda found: found[0])
            start = raw[index]["startPeriod"]
            where = f"chargingSchedule {schedule['id']}, startPeriod {start}"
            raise Refusal(refused.reason, f"{where}: {refused.text}")

    def _modes(
        self, found: Reading, purpose: str, views: list[EvseView]
    ) -> Iterator[Found]:
        allowed = v2x_check.modes(self._desk, purpose, views)
        for mode, index in found.modes.items():
            if mode not in allowed:
                yield index, v2x_check.refuse_mode(purpose, mode)
            elif mode is OperationMode.LOCAL_LOAD_BALANCING:
                try:
                    v2x_check.check_band(self._desk, views)
                except Refusal as refused:
                    yield index, refused

    def _sleeps(self, found: Reading) -> Iterator[Found]:
        can = self._desk.model.flag("SmartChargingCtrlr", "SupportsEvseSleep")
        index = found.awake if can else found.asleep
        if index is not None:
            yield index, Refusal("InvalidSchedule", "no evseSleep here (K01.FR.126)")

    def _identity(self, payload: Payload, known: Profile | None) -> None:
        model = self._desk.model
        if known is not None and known.external:
            raise Refusal("InvalidProfileId", "an external system's (K01.FR.05)")
        lowest = model.number("SmartChargingCtrlr", "MaxExternalConstraintsId")
        if lowest > 0 and payload["id"] <= lowest:
            raise Refusal("InvalidProfileId", f"id must exceed {lowest} (K01.FR.81)")
        top = model.number("SmartChargingCtrlr", "ProfileStackLevel")
        if not 0 <= payload["stackLevel"] <= top:
            raise Refusal("InvalidStackLevel", f"stackLevel must be 0..{top}")

    def _purpose(self, payload: Payload, evse_id: int, origin: Origin) -> None:
        purpose = payload["chargingProfilePurpose"]
        extra = self._desk.model.members(
            "SmartChargingCtrlr", "SupportedAdditionalPurposes"
        )
        if purpose in ("PriorityCharging", "LocalGeneration") and purpose not in extra:
            raise Refusal("UnsupportedPurpose", f"{purpose} (K01.FR.120)")
        if purpose == CONSTRAINTS:
            raise Refusal("InvalidProfile", "set by external systems only (K01.FR.22)")
        if origin is Origin.START and (
            purpose != "TxProfile" or "transactionId" in payload
        ):
            raise Refusal("InvalidProfile", "TxProfile without transactionId (F01)")
        several = len(payload["chargingSchedule"]) > 1
        view = self._desk.evse_of_transaction(payload.get("transactionId", ""))
        if purpose == "TxProfile" and origin in (Origin.CSMS, Origin.BEGAN):
            if evse_id == 0 or view is None or view.config.id != evse_id:
                raise Refusal("TxNotFound", "no such transaction here (K01.FR.09, .33)")
            if origin is Origin.CSMS and view.needs_due:
                raise Refusal("InvalidMessageSeq", "before its needs (K15.FR.17)")
        # A choice of schedules is for a vehicle that said what it needs.
        if several and (purpose != "TxProfile" or view is None or not view.needs_told):
            raise Refusal("InvalidSchedule", "one schedule per profile (K01.FR.34)")
        if purpose == MAXIMUM and evse_id != 0:
            raise Refusal("InvalidProfile", "ChargingStationMaxProfile needs evseId 0")

    def _kind(self, payload: Payload) -> None:
        kind, purpose = (
            payload["chargingProfileKind"],
            payload["chargingProfilePurpose"],
        )
        model = self._desk.model
        schedules = payload["chargingSchedule"]
        schedule = schedules[0]
        if kind == "Dynamic" and not model.flag(
            "SmartChargingCtrlr", "SupportsDynamicProfiles"
        ):
            raise Refusal("UnsupportedKind", "Dynamic (K01.FR.121)")
        if kind == "Dynamic":
            periods = schedule["chargingSchedulePeriod"]
            if len(schedules) + len(periods) != 2 or periods[0]["startPeriod"] != 0:
                raise Refusal("InvalidSchedule", "Dynamic: one period at 0 (K28.FR.03)")
        elif "dynUpdateInterval" in payload or "dynUpdateTime" in payload:
            raise Refusal("InvalidProfile", "dynUpdate* needs Dynamic (K01.FR.122)")
        if kind == "Recurring" and "recurrencyKind" not in payload:
            raise Refusal("InvalidProfile", "Recurring needs recurrencyKind")
        starts = ["startSchedule" in schedule for schedule in schedules]
        if kind in ("Absolute", "Recurring") and not all(starts):
            raise Refusal("InvalidSchedule", f"{kind}: startSchedule (K01.FR.40)")
        if kind in ("Relative", "Dynamic") and any(starts):
            raise Refusal("InvalidSchedule", f"{kind}: no startSchedule (K01.FR.41)")
        if kind == "Relative" and purpose == MAXIMUM:
            raise Refusal("InvalidProfile", "Max profile is not Relative (K01.FR.38)")
        if purpose == "PriorityCharging" and "duration" in schedule:
            raise Refusal("InvalidSchedule", "no duration with priority (K01.FR.70)")
        for name in ("dynUpdateInterval", "maxOfflineDuration"):
            if not 0 <= payload.get(name, 0) <= MAX_SECONDS:
                raise Refusal("InvalidProfile", f"{name} is out of range")

    def _schedule(self, schedule: Payload, purpose: str) -> None:
        model = self._desk.model
        unit = schedule["chargingRateUnit"]
        if unit not in model.members("SmartChargingCtrlr", "RateUnit"):
            raise Refusal("UnsupportedRateUnit", f"{unit} (K01.FR.26)")
        if not 0 < schedule.get("duration", 1) <= MAX_SECONDS:
            raise Refusal("InvalidSchedule", "duration is out of range")
        self._options(schedule, purpose)
        soc = schedule.get("limitAtSoC")
        if soc is not None and not 0 <= soc["limit"] <= MAX_W:
            raise Refusal("InvalidSchedule", "limitAtSoC.limit is out of range")
        periods = schedule["chargingSchedulePeriod"]
        if len(periods) > MAX_PERIODS:
            raise Refusal("TooManyElements", f"at most {MAX_PERIODS} periods")
        starts = [period["startPeriod"] for period in periods]
        if starts[0] != 0:
            raise Refusal("InvalidSchedule", "first startPeriod is 0 (K01.FR.31)")
        if any(b <= a for a, b in pairwise(starts)) or starts[-1] > MAX_SECONDS:
            raise Refusal("InvalidSchedule", "startPeriod must ascend (K01.FR.35)")

    def _options(self, schedule: Payload, purpose: str) -> None:
        """Fields of 2.1 that the device model may rule out (K01.FR.95, .123-.125)."""
        delay = schedule.get("randomizedDelay", 0)
        for used, variable in (
            (schedule.get("useLocalTime"), "SupportsUseLocalTime"),
            (delay, "SupportsRandomizedDelay"),
            ("limitAtSoC" in schedule, "SupportsLimitAtSoC"),
        ):
            if used and not self._desk.model.flag("SmartChargingCtrlr", variable):
                raise Refusal("InvalidSchedule", f"{variable} is false")
        if delay and purpose not in ("TxProfile", "TxDefaultProfile"):
            raise Refusal("InvalidSchedule", f"{purpose}: no delay (K01.FR.95)")
        if delay > MAX_SECONDS:
            raise Refusal("InvalidSchedule", "randomizedDelay is out of range")

    def _against(self, profile: Profile, others: list[Profile]) -> None:
        """Duplicates by stack level (K01.FR.06, .39, .52, .53) and the store's size."""
        others = [other for other in others if not other.external]
        if len(others) >= MAX_PROFILES:
            raise Refusal("TooManyElements", f"at most {MAX_PROFILES} profiles")
        if (
            profile.valid_from_s is not None
            and profile.valid_to_s is not None
            and profile.valid_from_s >= profile.valid_to_s
        ):
            raise Refusal("InvalidProfile", "validTo must be after validFrom")
        for other in others:
            if other.purpose != profile.purpose:
                continue
            if other.stack_level != profile.stack_level:
                continue
            same_evse = other.evse_id == profile.evse_id
            if profile.purpose == "TxProfile":
                clash = same_evse and other.transaction_id == profile.transaction_id
            elif profile.purpose == "TxDefaultProfile" and not same_evse:
                clash = 0 in (other.evse_id, profile.evse_id)
            else:
                clash = same_evse and _overlap(other, profile)
            if clash:
                raise Refusal(
                    "DuplicateProfile", f"profile {other.id} has this stackLevel"
                )


def phase_refusals(
    found: Reading, purpose: str, views: list[EvseView]
) -> Iterator[Found]:
    """What the wiring of the EVSEs rules out."""
    fewest = min(view.config.ac_phases for view in views)
    most = max((v.config.ac_phases for v in views if not v.is_dc), default=1)
    if all(view.is_dc for view in views):
        for name in ("numberPhases", "phaseToUse"):
            if name in found.fields:
                text = "the EVSE is DC (K01.FR.44)"
                yield found.fields[name], Refusal("NoPhaseForDC", text)
    elif "phaseToUse" in found.fields:
        text = "no phase switching (K01.FR.20, .48)"
        yield found.fields["phaseToUse"], Refusal("InvalidSchedule", text)
    elif found.phases is not None and found.phases[0] < most:
        text = "phases stay connected (K01.FR.43)"
        yield found.phases[1], Refusal("InvalidSchedule", text)
    # Needs are told without single phases: the CSMS must not set them (K01.FR.142).
    needs_told = any(view.needs_told for view in views)
    if purpose != "TxProfile" or fewest == 1 or needs_told:
        for name in PARTS:
            if name in found.fields:
                text = f"{name} is not possible (K01.FR.144)"
                yield found.fields[name], Refusal("PhaseConflict", text)


def _overlap(one: Profile, other: Profile) -> bool:
    never = float("inf")
    start = max(one.valid_from_s or -never, other.valid_from_s or -never)
    return start < min(one.valid_to_s or never, other.valid_to_s or never)


def check_dyn_time(payload: Payload) -> float | None:
    """dynUpdateTime as POSIX seconds, None when absent. Raises Refusal."""
    text = payload.get("dynUpdateTime")
    if text is None:
        return None
    try:
        return parse_time(text).timestamp()
    except OcppError as error:
        raise Refusal("InvalidProfile", str(error)) from error
