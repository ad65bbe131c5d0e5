"""May this charging profile be installed? The semantic rules of K01, K28 and Q.

Owns the refusals with their reason codes (appendix 5 of part 2). Changes nothing; the
schema has been checked before, numbers are finite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum, auto
from itertools import pairwise

from chargerd.model import OperationMode
from chargerd.ocpp.blocks.desk import Desk, EvseView
from chargerd.ocpp.effects import OcppError, Payload
from chargerd.ocpp.profiles import (
    PHASE_KEYS,
    Period,
    Profile,
    parse_profile,
    parse_time,
)
from chargerd.ocpp.table.row import MAX_PERIODS, MAX_PROFILES

_EXTERNAL = "ChargingStationExternalConstraints"
MAX_W = 2_000_000.0  # beyond any station: a value above it is an error, not a limit
MAX_SECONDS = 10 * 366 * 86_400
CHARGING_ONLY = OperationMode.CHARGING_ONLY
_PHASED = tuple(PHASE_KEYS)
# By operationMode: the field it needs, and those it must not have (Table 95).
_FIELDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ChargingOnly": ("limit", ("dischargeLimit", "setpoint", "setpointReactive")),
    "CentralSetpoint": ("setpoint", ()),
    "CentralFrequency": ("setpoint", ("setpointReactive",)),
    "LocalFrequency": ("v2xBaseline", _PHASED),
    "Idle": ("", _PHASED),
}
_CHARGING_ONLY_PURPOSES = (
    "ChargingStationMaxProfile", "PriorityCharging", "LocalGeneration",
)  # fmt: skip


class Origin(Enum):
    """How a profile came here; what it may lack depends on it."""

    CSMS = auto()
    START = auto()  # with RequestStartTransaction: no transaction yet (F01.FR.09, .11)
    BEGAN = auto()  # the same, now that its transaction has begun
    DISK = auto()  # of the last run: its transaction may come back (E17)


class Refusal(Exception):
    """The profile is not taken: `reason` is an OCPP reason code."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text


class ProfileCheck:
    """Checks against the device model, the EVSEs and the installed profiles."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def parse(
        self,
        payload: Payload,
        evse_id: int,
        installed: Iterable[Profile],
        origin: Origin = Origin.CSMS,
    ) -> Profile:
        """The parsed profile. Raises Refusal."""
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
        profiles = self._parsed(payload, evse_id, views)
        for schedule, profile in zip(
            payload["chargingSchedule"], profiles, strict=True
        ):
            self._periods(schedule, profile, views)
        self._against(profiles[0], list(others.values()))
        return profiles[0]

    def _parsed(
        self, payload: Payload, evse_id: int, views: list[EvseView]
    ) -> list[Profile]:
        """One for each schedule."""
        supply = views[0].supply
        try:
            return [
                parse_profile(payload, evse_id, supply, number)
                for number in range(len(payload["chargingSchedule"]))
            ]
        except OcppError as error:
            raise Refusal("InvalidProfile", str(error)) from error

    def _identity(self, payload: Payload, known: Profile | None) -> None:
        model = self._desk.model
        if known is not None and known.purpose == _EXTERNAL:
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
        if purpose == _EXTERNAL:
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
        if purpose == "ChargingStationMaxProfile" and evse_id != 0:
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
        if kind == "Relative" and purpose == "ChargingStationMaxProfile":
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
        if unit != "W" and any(
            period.get("operationMode") == "LocalFrequency"
            for period in schedule["chargingSchedulePeriod"]
        ):
            raise Refusal("InvalidSchedule", "LocalFrequency counts in W (Q08)")
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

    def _periods(
        self, schedule: Payload, profile: Profile, views: list[EvseView]
    ) -> None:
        """Up to 1024 of them in a few ms: what they share is looked up once (law 7)."""
        modes = tuple(self._modes(profile.purpose, views))
        phases = _phase_check(profile.purpose, views)
        raw = schedule["chargingSchedulePeriod"]
        for values, period in zip(raw, profile.periods, strict=True):
            if period.mode not in modes:
                raise Refusal(*_mode_refusal(profile.purpose, period.mode))
            phases(values)
            check_power(values, period)
            if values.get("evseSleep"):
                raise Refusal("InvalidSchedule", "evseSleep unsupported (K01.FR.126)")

    def _modes(self, purpose: str, views: list[EvseView]) -> set[OperationMode]:
        if purpose in _CHARGING_ONLY_PURPOSES:
            return {CHARGING_ONLY}
        model = self._desk.model
        modes = {CHARGING_ONLY, OperationMode.IDLE}
        for view in views:  # a profile for all EVSEs needs one that can
            if model.flag("V2XChargingCtrlr", "Enabled", view.config.id):
                names = model.members(
                    "V2XChargingCtrlr", "SupportedOperationModes", view.config.id
                )
                modes |= {OperationMode(name) for name in names}
        return modes

    def _against(self, profile: Profile, others: list[Profile]) -> None:
        """Duplicates by stack level (K01.FR.06, .39, .52, .53) and the store's size."""
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


def _mode_refusal(purpose: str, mode: OperationMode) -> tuple[str, str]:
    if mode is OperationMode.LOCAL_LOAD_BALANCING:
        return "UnsupportedParam", "LocalLoadBalancing is not supported"
    text = f"{mode.value} is not for {purpose} here (K01.FR.114, .115)"
    return "InvalidOperationMode", text


def _phase_check(purpose: str, views: list[EvseView]) -> Callable[[Payload], None]:
    is_dc = all(view.is_dc for view in views)
    fewest = min(view.config.ac_phases for view in views)
    most = max((v.config.ac_phases for v in views if not v.is_dc), default=1)
    # Told of no single phases, the CSMS must not set them (K01.FR.142).
    unsplit = any(view.needs_told and not view.needs_phases for view in views)

    def check(period: Payload) -> None:
        if "numberPhases" in period or "phaseToUse" in period:
            if is_dc:
                raise Refusal("NoPhaseForDC", "the EVSE is DC (K01.FR.44)")
            if "phaseToUse" in period:
                raise Refusal("InvalidSchedule", "no phase switching (K01.FR.20, .48)")
            if period["numberPhases"] < most:
                raise Refusal("InvalidSchedule", "phases stay connected (K01.FR.43)")
        for name, two, three in PHASE_KEYS.values():
            if two in period or three in period:
                if purpose != "TxProfile" or fewest == 1 or unsplit:
                    raise Refusal("PhaseConflict", f"{name}_L2 or _L3 is not possible")
                if name not in period:
                    raise Refusal("PhaseConflict", f"{name}_L2 or _L3 without {name}")

    return check


def check_power(values: Payload, period: Period) -> None:
    """The power fields of a period (as received, as parsed) for its mode.

    Raises Refusal. Setpoint inside [dischargeLimit, limit]: V2X.05; both ends of every
    range; phases of one setpoint share its sign.
    """
    mode = values.get("operationMode", "ChargingOnly")
    needed, forbidden = _FIELDS[mode]
    if mode == "LocalFrequency":
        _check_curves(values)
    for name in forbidden:
        if name in values:
            raise Refusal("InvalidSchedule", f"{name} is not for {mode}")
    if needed and needed not in values:
        raise Refusal("InvalidSchedule", f"{mode} needs {needed}")
    limit, floor, setpoint = (
        period.limit_w,
        period.discharge_limit_w,
        period.setpoint_w,
    )
    if limit is not None and not 0 <= limit <= MAX_W:
        raise Refusal("InvalidSchedule", "limit is out of range")
    if floor is not None and not -MAX_W <= floor <= 0:
        raise Refusal("InvalidSchedule", "dischargeLimit is out of range")
    if setpoint is None:
        return
    if not -MAX_W <= setpoint <= MAX_W:
        raise Refusal("InvalidSchedule", "setpoint is out of range")
    signs = []
    for limits, floors, wishes in zip(
        PHASE_KEYS["limit"],
        PHASE_KEYS["dischargeLimit"],
        PHASE_KEYS["setpoint"],
        strict=True,
    ):
        wish = values.get(wishes)
        if wish is None:
            continue
        signs.append(wish)
        if wish > values.get(limits, wish) or wish < values.get(floors, wish):
            raise Refusal("InvalidSchedule", "setpoint is outside its limits (V2X.05)")
    if signs and min(signs) < 0 < max(signs):
        raise Refusal("InvalidSchedule", "setpoints of phases differ in sign")


def _check_curves(values: Payload) -> None:
    """LocalFrequency (Q08): a baseline and at least two points; powers in range."""
    points = values.get("v2xFreqWattCurve", ())
    if len(points) < 2 or "v2xBaseline" not in values:
        reason = "v2xBaseline and two points of v2xFreqWattCurve are needed"
        raise Refusal("NoFreqWattCurve", reason)
    powers = [
        point["power"] for point in (*points, *values.get("v2xSignalWattCurve", ()))
    ]
    if not all(-MAX_W <= power <= MAX_W for power in powers):
        raise Refusal("InvalidSchedule", "the power of a curve is out of range")


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
