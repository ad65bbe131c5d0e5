"""What an ISO 15118-20 vehicle says of itself, in chargerd's values.

Owns the reading of limits, energy requests and display parameters out of messages.
Signs turn in limits.py alone; nothing is decided here.
"""

from __future__ import annotations

from dataclasses import replace

from chargerd.vehicle.iso15118.messages.ac import (
    AC_CPDReqEnergyTransferMode,
    BPT_AC_CPDReqEnergyTransferMode,
    BPT_Dynamic_AC_CLReqControlMode,
    BPT_Scheduled_AC_CLReqControlMode,
    Dynamic_AC_CLReqControlMode,
    Scheduled_AC_CLReqControlMode,
)
from chargerd.vehicle.iso15118.messages.common import (
    Dynamic_SEReqControlMode,
    Scheduled_SEReqControlMode,
)
from chargerd.vehicle.iso15118.messages.common_types import (
    CLReqControlMode,
    DisplayParameters,
    Dynamic_CLReqControlMode,
    RationalNumber,
    Scheduled_CLReqControlMode,
)
from chargerd.vehicle.iso15118.messages.dc import (
    BPT_DC_CPDReqEnergyTransferMode,
    BPT_Dynamic_DC_CLReqControlMode,
    BPT_Scheduled_DC_CLReqControlMode,
    DC_CPDReqEnergyTransferMode,
    Dynamic_DC_CLReqControlMode,
    Scheduled_DC_CLReqControlMode,
)
from chargerd.vehicle.iso15118.secc.iso20_services import Choice
from chargerd.vehicle.iso15118.secc.limits import (
    Control,
    EvLimits,
    Window,
    charge,
    discharge,
    number,
)
from chargerd.vehicle.iso15118.secc.quirks import Sign, sign_of

# (energy transfer is DC, control mode, bidirectional) -> class of the loop's request.
LOOP_MODES: dict[tuple[bool, Control, bool], type[CLReqControlMode]] = {
    (True, Control.DYNAMIC, False): Dynamic_DC_CLReqControlMode,
    (True, Control.DYNAMIC, True): BPT_Dynamic_DC_CLReqControlMode,
    (True, Control.SCHEDULED, False): Scheduled_DC_CLReqControlMode,
    (True, Control.SCHEDULED, True): BPT_Scheduled_DC_CLReqControlMode,
    (False, Control.DYNAMIC, False): Dynamic_AC_CLReqControlMode,
    (False, Control.DYNAMIC, True): BPT_Dynamic_AC_CLReqControlMode,
    (False, Control.SCHEDULED, False): Scheduled_AC_CLReqControlMode,
    (False, Control.SCHEDULED, True): BPT_Scheduled_AC_CLReqControlMode,
}


def fits(mode: CLReqControlMode, choice: Choice) -> bool:
    """Whether the loop speaks of the service and control mode that were selected."""
    key = (choice.direct, choice.control, choice.bidirectional)
    return type(mode) is LOOP_MODES[key]


def _sum(wire: object, name: str) -> float | None:
    """A power limit in W: the total, or the sum where phases are named.

    [K]: without _L2 and _L3 the first field is the total.
    """
    parts = [number(getattr(wire, name + phase, None)) for phase in ("", "_L2", "_L3")]
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


# --- parameter discovery --------------------------------------------------------------


def discharge_sign(
    mode: DC_CPDReqEnergyTransferMode | AC_CPDReqEnergyTransferMode,
) -> Sign:
    """How this vehicle sends its discharge limits (for quirks.py)."""
    names = ("EVMaximumDischargePower", "EVMaximumDischargeCurrent")
    return sign_of(number(getattr(mode, name, None)) for name in names)


def dc_parameters(mode: DC_CPDReqEnergyTransferMode, *, negative: bool) -> EvLimits:
    """Limits of DC_ChargeParameterDiscoveryReq. `negative`: quirk of the vehicle."""
    ev = EvLimits(
        charge_w=charge(number(mode.EVMaximumChargePower)),
        charge_a=charge(number(mode.EVMaximumChargeCurrent)),
        voltage_max_v=max(0.0, number(mode.EVMaximumVoltage) or 0.0),
        voltage_min_v=max(0.0, number(mode.EVMinimumVoltage) or 0.0),
    )
    if not isinstance(mode, BPT_DC_CPDReqEnergyTransferMode):
        return ev
    power = number(mode.EVMaximumDischargePower)
    current = number(mode.EVMaximumDischargeCurrent)
    return replace(
        ev,
        discharge_w=discharge(power, negative_sent=negative),
        discharge_a=discharge(current, negative_sent=negative),
    )


def ac_parameters(mode: AC_CPDReqEnergyTransferMode, *, negative: bool) -> EvLimits:
    """Limits of AC_ChargeParameterDiscoveryReq. `negative`: quirk of the vehicle."""
    ev = EvLimits(charge_w=charge(_sum(mode, "EVMaximumChargePower")))
    if not isinstance(mode, BPT_AC_CPDReqEnergyTransferMode):
        return ev
    power = _sum(mode, "EVMaximumDischargePower")
    return replace(ev, discharge_w=discharge(power, negative_sent=negative))


# --- the loop -------------------------------------------------------------------------


def loop_limits(known: EvLimits, mode: CLReqControlMode, *, negative: bool) -> EvLimits:
    """`known`, with what this loop message says instead; all fields may be left out."""

    def said(name: str, before: float | None) -> float | None:
        value = _sum(mode, name)
        return before if value is None else charge(value)

    def given(name: str, before: float | None) -> float | None:
        value = _sum(mode, name)
        return before if value is None else discharge(value, negative_sent=negative)

    def volts(name: str, before: float) -> float:
        value = number(getattr(mode, name, None))
        return before if value is None else max(0.0, value)

    return EvLimits(
        charge_w=said("EVMaximumChargePower", known.charge_w),
        charge_a=said("EVMaximumChargeCurrent", known.charge_a),
        discharge_w=given("EVMaximumDischargePower", known.discharge_w),
        discharge_a=given("EVMaximumDischargeCurrent", known.discharge_a),
        voltage_max_v=volts("EVMaximumVoltage", known.voltage_max_v),
        voltage_min_v=volts("EVMinimumVoltage", known.voltage_min_v),
        target_a=number(getattr(mode, "EVTargetCurrent", None)),
        target_v=number(getattr(mode, "EVTargetVoltage", None)),
    )


def loop_window(known: Window, mode: CLReqControlMode) -> Window:
    """Energy requests of this loop message; those left out stay."""
    if not isinstance(mode, Dynamic_CLReqControlMode | Scheduled_CLReqControlMode):
        return known
    v2x = getattr(mode, "EVMinimumV2XEnergyRequest", None)
    return replace(
        known,
        max_wh=_or(mode.EVMaximumEnergyRequest, known.max_wh),
        min_wh=_or(mode.EVMinimumEnergyRequest, known.min_wh),
        v2x_min_wh=_or(v2x, known.v2x_min_wh),
    )


def schedule_window(
    known: Window, mode: Dynamic_SEReqControlMode | Scheduled_SEReqControlMode
) -> Window:
    """Energy requests of ScheduleExchangeReq."""
    found = replace(
        known,
        max_wh=number(mode.EVMaximumEnergyRequest),
        min_wh=number(mode.EVMinimumEnergyRequest),
        v2x_min_wh=number(getattr(mode, "EVMinimumV2XEnergyRequest", None)),
    )
    if isinstance(mode, Dynamic_SEReqControlMode) and mode.MinimumSOC is not None:
        return replace(found, soc_min_pct=float(mode.MinimumSOC))
    return found


def display_window(known: Window, shown: DisplayParameters | None) -> Window:
    """State of charge and its floor, as the vehicle shows them."""
    if shown is None:
        return known
    soc, floor = shown.PresentSOC, shown.MinimumSOC
    return replace(
        known,
        soc_pct=known.soc_pct if soc is None else float(soc),
        soc_min_pct=known.soc_min_pct if floor is None else float(floor),
    )


def _or(wire: RationalNumber | None, before: float | None) -> float | None:
    value = number(wire)
    return before if value is None else value
