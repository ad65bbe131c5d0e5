"""What the station asks of an ISO 15118-20 vehicle in its loop answers.

Owns the order of wishes and when each is due. Must never change power: a wish is a
question, limits and targets are what holds.
"""

from __future__ import annotations

from chargerd.vehicle.iso15118.messages.common_types import (
    EvseNotification,
    EVSEStatus,
)
from chargerd.vehicle.iso15118.secc import iso20_graph as at
from chargerd.vehicle.iso15118.secc import iso20_plan
from chargerd.vehicle.iso15118.secc import iso20_services as services
from chargerd.vehicle.iso15118.secc.iso20_course import NEVER, Course
from chargerd.vehicle.iso15118.secc.station import Station

MOVED_AFTER_S = 5.0  # ours: a plan out of date for so long is worth a new one
QUIET_S = 30.0  # ours: a plan is kept for so long; the live limits hold at once


def status(course: Course, now: Station) -> EVSEStatus | None:
    """The most important wish, wanted at once; None = nothing is asked."""
    wish = _wish(course, now)
    if wish is None:
        return None
    return EVSEStatus(NotificationMaxDelay=0, EVSENotification=wish)


def _wish(course: Course, now: Station) -> EvseNotification | None:
    ended = course.path is not None and course.path.ended
    if ended or not now.authorised:
        return "Terminate"
    if other_services(course, now):
        return "ServiceRenegotiation"
    if out_of_date(course, now):
        return "ScheduleRenegotiation"
    if receipt_due(course, now):
        return "MeteringConfirmation"
    rests = course.standby is not None and not course.standby.had_power
    return "ExitStandby" if rests and has_power(now) else None


def other_services(course: Course, now: Station) -> bool:
    """Whether the vehicle may use others than it was told: it should choose anew."""
    return bool(course.listed) and services.allowed(now) != course.listed


def out_of_date(course: Course, now: Station) -> bool:
    """Whether a vehicle that follows a plan should get a new one."""
    choice, plan = course.choice, course.plan
    if choice is None or plan is None or choice.dynamic or course.state not in at.LOOPS:
        return False
    if not iso20_plan.moved(plan, choice, now):
        course.moved_mono = NEVER
        return False
    course.moved_mono = min(course.moved_mono, now.now_mono)
    since_s, age_s = now.now_mono - course.moved_mono, now.now_mono - plan.start_mono
    return since_s >= MOVED_AFTER_S and age_s >= QUIET_S


def receipt_due(course: Course, now: Station) -> bool:
    """Whether the vehicle should confirm the meter."""
    every_s, last_mono = now.setup.receipt_s, course.confirmed_mono
    if every_s is None or last_mono is None or course.standby is not None:
        return False
    return now.now_mono - last_mono >= every_s


def has_power(now: Station) -> bool:
    """Whether the station has any power for the vehicle, or wants any of it."""
    bounds = (now.charge_a, now.discharge_a, now.ac_charge_w, now.ac_discharge_w)
    return any(bounds)
