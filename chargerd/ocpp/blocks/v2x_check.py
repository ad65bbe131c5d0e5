"""Which power fields and curves an operation mode takes (2.1 part 2, Q 2.2; V2X.01-10).

Owns the refusals of one ChargingSchedulePeriod. Changes nothing; the schema has been
checked before, numbers are finite.
"""

from __future__ import annotations

from chargerd.model import Band, OperationMode
from chargerd.ocpp.blocks.desk import Desk, EvseView
from chargerd.ocpp.effects import Payload, Refusal
from chargerd.ocpp.profiles import PHASE_KEYS, Period

MAX_W = 2_000_000.0  # beyond any station: a value above it is an error, not a limit
_PHASED = tuple(PHASE_KEYS)
# By operationMode: the field it needs, and those it must not have. What an external
# system sets may come with the profile: it holds until that system speaks.
_FIELDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ChargingOnly": ("limit", ("dischargeLimit", "setpoint", "setpointReactive")),
    "CentralSetpoint": ("setpoint", ()),
    "CentralFrequency": ("setpoint", ("setpointReactive",)),
    "ExternalSetpoint": ("", ()),
    "ExternalLimits": ("", ("setpoint", "setpointReactive")),
    "LocalFrequency": ("v2xBaseline", _PHASED),
    "LocalLoadBalancing": ("", ("setpoint", "setpointReactive")),
    "Idle": ("", _PHASED),
}
# K01.FR.111 to .113; Tx profiles may have any.
_OF_PURPOSE = {
    "ChargingStationMaxProfile": {OperationMode.CHARGING_ONLY},
    "PriorityCharging": {OperationMode.CHARGING_ONLY},
    "LocalGeneration": {OperationMode.CHARGING_ONLY, OperationMode.EXTERNAL_LIMITS},
}
_BALANCING = ("LowerThreshold", "LowerOffset", "UpperThreshold", "UpperOffset")


def modes(desk: Desk, purpose: str, views: list[EvseView]) -> set[OperationMode]:
    """Those a period may have: by its purpose and what the EVSEs can (K01.FR.115).

    Without V2X there is no discharge, so all that needs it is out; an EVSE that never
    discharges has the other modes anyway.
    """
    if purpose in _OF_PURPOSE:
        return _OF_PURPOSE[purpose]
    model = desk.model
    found = {OperationMode.CHARGING_ONLY, OperationMode.IDLE}
    for view in views:  # a profile for all EVSEs needs one that can
        evse_id = view.config.id
        only_charges = not model.flag("V2XChargingCtrlr", "Available", evse_id)
        if only_charges or model.flag("V2XChargingCtrlr", "Enabled", evse_id):
            names = model.members(
                "V2XChargingCtrlr", "SupportedOperationModes", evse_id
            )
            found |= {OperationMode(name) for name in names}
    return found


def refuse_mode(purpose: str, mode: OperationMode) -> Refusal:
    if mode is OperationMode.LOCAL_LOAD_BALANCING and purpose not in _OF_PURPOSE:
        return Refusal("UnsupportedParam", "no LocalLoadBalancing here (Q09.FR.01)")
    text = f"{mode.value} is not for {purpose} here (K01.FR.114, .115)"
    return Refusal("InvalidOperationMode", text)


def band(desk: Desk, evse_id: int) -> Band | None:
    """V2XChargingCtrlr.LocalLoadBalancing of an EVSE, None while it says nothing."""
    texts = [
        desk.model.text("V2XChargingCtrlr", "LocalLoadBalancing", name, evse_id)
        for name in _BALANCING
    ]
    if not all(texts):
        return None
    low_w, low_by_w, high_w, high_by_w = map(float, texts)
    if high_w <= low_w:
        return None
    return Band(low_w, low_w + low_by_w, high_w, high_w + high_by_w)


def check_band(desk: Desk, views: list[EvseView]) -> None:
    """Raises Refusal without the thresholds that LocalLoadBalancing needs."""
    for view in views:
        if band(desk, view.config.id) is None:
            names = ", ".join(_BALANCING)
            text = f"set V2XChargingCtrlr.LocalLoadBalancing[{names}], Upper > Lower"
            raise Refusal("MissingDevModelInfo", text)


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
