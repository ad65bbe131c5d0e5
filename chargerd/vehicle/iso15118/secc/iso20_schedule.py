"""ISO 15118-20 schedules: what the station offers, and whether the vehicle's plan fits.

Owns ScheduleExchange's contents and the check of EVPowerProfile. Power entries carry a
sign: negative is discharge ([V2G20-1034]). A schedule is a frame; the loop's limits
say what holds at each moment.
"""

from __future__ import annotations

from chargerd.vehicle.iso15118.messages.common import (
    ChargingSchedule,
    Dynamic_SEResControlMode,
    EVPowerProfile,
    PowerSchedule,
    PowerScheduleEntry,
    PowerScheduleEntryList,
    Scheduled_SEResControlMode,
    ScheduleTuple,
)
from chargerd.vehicle.iso15118.messages.common_types import ResponseCode
from chargerd.vehicle.iso15118.secc.iso20_course import Power
from chargerd.vehicle.iso15118.secc.iso20_services import Choice
from chargerd.vehicle.iso15118.secc.limits import Control, number, rational
from chargerd.vehicle.iso15118.secc.station import Station

TUPLE_ID = 1
DAY_S = 86_400
TOLERANCE_W = 1.0  # rounding of short integers
TOLERANCE_SHARE = 0.001


def power(choice: Choice, now: Station) -> Power:
    """The frame of a session: what the EVSE can do at most, for as long as it lasts."""
    ratings = now.setup.ratings
    discharge_w = -ratings.discharge_max_w if choice.bidirectional else 0.0
    return Power(ratings.charge_max_w, discharge_w)


def dynamic() -> Dynamic_SEResControlMode:
    """The station sets the power: there is nothing to plan for the vehicle."""
    return Dynamic_SEResControlMode()


def scheduled(
    offered: Power, choice: Choice, now: Station, duration_s: int
) -> Scheduled_SEResControlMode:
    """One schedule of one entry, from now on."""
    discharging = None
    if choice.bidirectional:
        discharging = _flat(offered.discharge_w, now, duration_s)
    only = ScheduleTuple(
        ScheduleTupleID=TUPLE_ID,
        ChargingSchedule=_flat(offered.charge_w, now, duration_s),
        DischargingSchedule=discharging,
    )
    return Scheduled_SEResControlMode(ScheduleTuple=[only])


def _flat(power_w: float, now: Station, duration_s: int) -> ChargingSchedule:
    entry = PowerScheduleEntry(Duration=duration_s, Power=rational(power_w))
    return ChargingSchedule(
        PowerSchedule=PowerSchedule(
            TimeAnchor=now.setup.utc_s(now.now_mono),
            PowerScheduleEntries=PowerScheduleEntryList(PowerScheduleEntry=[entry]),
        )
    )


def check(
    profile: EVPowerProfile | None, choice: Choice, offered: dict[int, Power]
) -> ResponseCode | None:
    """What is wrong with the vehicle's plan; None = nothing.

    No plan is no fault in dynamic mode. In scheduled mode it names a tuple.
    """
    if profile is None:
        scheduled_mode = choice.control is Control.SCHEDULED
        return "FAILED_ScheduleSelectionInvalid" if scheduled_mode else None
    selected = profile.Scheduled_EVPPTControlMode
    if (selected is None) is (choice.control is Control.SCHEDULED):
        return "FAILED_ScheduleSelectionInvalid"
    if selected is None:
        return None
    frame = offered.get(selected.SelectedScheduleTupleID)
    if frame is None:
        return "FAILED_ScheduleSelectionInvalid"
    entries = profile.EVPowerProfileEntries.EVPowerProfileEntry
    if not all(_inside(entry, frame) for entry in entries):
        return "FAILED_EVPowerProfileInvalid"
    return None


def _inside(entry: PowerScheduleEntry, frame: Power) -> bool:
    parts = (entry.Power, entry.Power_L2, entry.Power_L3)
    total_w = sum(number(part) or 0.0 for part in parts)
    slack = 1.0 + TOLERANCE_SHARE
    low_w = frame.discharge_w * slack - TOLERANCE_W
    return low_w <= total_w <= frame.charge_w * slack + TOLERANCE_W
