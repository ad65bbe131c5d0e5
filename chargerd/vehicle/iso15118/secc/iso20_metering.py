"""ISO 15118-20 meter readings: what was told, and the vehicle's confirmation of it.

Owns MeterInfo and the check of SignedMeteringData: a reading that we told in this
session, and with a contract its key's signature. Must never read a meter itself.
"""

from __future__ import annotations

from chargerd.vehicle.iso15118 import exi, signature
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.messages import common
from chargerd.vehicle.iso15118.messages.common_types import MeterInfo
from chargerd.vehicle.iso15118.secc.causes import Cause
from chargerd.vehicle.iso15118.secc.iso20_course import Course, Refusal, Reply
from chargerd.vehicle.iso15118.secc.iso20_schedule import FIRST_ID
from chargerd.vehicle.iso15118.secc.station import Station

METER_MAX_WH = 2**63 - 1
METER_ID_MAX = 32

_WRONG = Refusal("FAILED_MeteringSignatureNotValid", Cause.PARAMETER)


def told(course: Course, now: Station) -> MeterInfo | None:
    """The meter's registers, noted for the vehicle's confirmation; None without a
    fresh reading."""
    if now.meter is None:
        return None
    both = course.choice is not None and course.choice.bidirectional
    info = MeterInfo(
        MeterID=now.setup.meter_id[:METER_ID_MAX],
        ChargedEnergyReadingWh=_wh(now.meter.import_wh),
        BPT_DischargedEnergyReadingWh=_wh(now.meter.export_wh) if both else None,
        MeterTimestamp=now.setup.utc_s(now.now_mono),
    )
    if not course.meters or course.meters[-1] != info:
        course.meters.append(info)
    return info


def _wh(register: float) -> int:
    return max(0, min(METER_MAX_WH, round(register)))


def metering_confirmation(
    course: Course, message: common.MeteringConfirmationReq, now: Station
) -> Reply | Refusal:
    """May come on the side stream 0x8102 as well; asked for or not."""
    data = message.SignedMeteringData
    if data.SessionID != course.session_id or data.MeterInfo not in course.meters:
        return _WRONG
    plan = data.Scheduled_SMDTControlMode
    dynamic = course.choice is not None and course.choice.dynamic
    if (plan is None) is not dynamic:
        return _WRONG
    option = course.plan.option if course.plan is not None else 0
    if plan is not None and plan.SelectedScheduleTupleID != FIRST_ID + option:
        return _WRONG
    if course.proof is not None and not _signed(course, message):
        return _WRONG
    course.confirmed_mono = now.now_mono
    answer = common.MeteringConfirmationRes(
        Header=course.header(now), ResponseCode="OK"
    )
    return Reply(answer, course.state)


def _signed(course: Course, message: common.MeteringConfirmationReq) -> bool:
    """By the contract that authorised this session."""
    data, sealed = message.SignedMeteringData, message.Header.Signature
    if sealed is None or course.proof is None:
        return False
    fragment = exi.encode_fragment("common", "SignedMeteringData", data)
    try:
        signature.verify(sealed, {data.Id: fragment}, course.proof.key, signature.ISO20)
    except V2gError:
        return False
    return True
