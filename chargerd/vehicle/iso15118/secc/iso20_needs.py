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

DcMode = Scheduled_DC_CLReqControlMode | Dynamic_DC_CLReqControlMode
AcMode = Scheduled_AC_CLReqControlMode | Dynamic_AC_CLReqControlMode

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
    """A power limit in W of all phases: a lone field is the sum [V2G20-1817]."""
    parts = [number(getattr(wire, name + phase, None)) for phase in ("", "_L2", "_L3")]
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


def _or(wire: RationalNumber | None, before: float | None) -> float | None:
    return before if wire is None else number(wire)


def _charge(wire: RationalNumber | None, before: float | None) -> float | None:
    return before if wire is None else charge(number(wire))


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
        charge_min_w=charge(number(mode.EVMinimumChargePower)),
        voltage_max_v=max(0.0, number(mode.EVMaximumVoltage) or 0.0),
        voltage_min_v=max(0.0, number(mode.EVMinimumVoltage) or 0.0),
    )
    if not isinstance(mode, BPT_DC_CPDReqEnergyTransferMode):
        return ev
    power, least = mode.EVMaximumDischargePower, mode.EVMinimumDischargePower
    current = mode.EVMaximumDischargeCurrent
    return replace(
        ev,
        discharge_w=discharge(number(power), negative_sent=negative),
        discharge_a=discharge(number(current), negative_sent=negative),
        discharge_min_w=discharge(number(least), negative_sent=negative),
    )


def ac_parameters(mode: AC_CPDReqEnergyTransferMode, *, negative: bool) -> EvLimits:
    """Limits of AC_ChargeParameterDiscoveryReq. `negative`: quirk of the vehicle."""
    return _ac_limits(EvLimits(), mode, negative=negative)


def _ac_limits(known: EvLimits, wire: object, *, negative: bool) -> EvLimits:
    most, least = (_sum(wire, f"EV{x}imumChargePower") for x in ("Max", "Min"))
    ev = replace(
        known,
        charge_w=known.charge_w if most is None else charge(most),
        charge_min_w=known.charge_min_w if least is None else charge(least),
    )
    if not isinstance(
        wire,
        BPT_AC_CPDReqEnergyTransferMode
        | BPT_Dynamic_AC_CLReqControlMode
        | BPT_Scheduled_AC_CLReqControlMode,
    ):
        return ev
    most, least = (_sum(wire, f"EV{x}imumDischargePower") for x in ("Max", "Min"))
    given = discharge(most, negative_sent=negative)
    given_least = discharge(least, negative_sent=negative)
    return replace(
        ev,
        discharge_w=known.discharge_w if given is None else given,
        discharge_min_w=known.discharge_min_w if given_least is None else given_least,
    )


# --- the loop -------------------------------------------------------------------------


def dc_loop_limits(known: EvLimits, mode: DcMode, *, negative: bool) -> EvLimits:
    """`known`, with what this loop message says instead; it may leave out anything.

    A highest voltage of 0 says nothing.
    """
    given_w, given_a = known.discharge_w, known.discharge_a
    given_min_w = known.discharge_min_w
    if isinstance(
        mode, BPT_Dynamic_DC_CLReqControlMode | BPT_Scheduled_DC_CLReqControlMode
    ):
        power, current = mode.EVMaximumDischargePower, mode.EVMaximumDischargeCurrent
        least = mode.EVMinimumDischargePower
        if power is not None:
            given_w = discharge(number(power), negative_sent=negative)
        if current is not None:
            given_a = discharge(number(current), negative_sent=negative)
        if least is not None:
            given_min_w = discharge(number(least), negative_sent=negative)
    target_a = target_v = None
    if isinstance(mode, Scheduled_DC_CLReqControlMode):
        target_a, target_v = number(mode.EVTargetCurrent), number(mode.EVTargetVoltage)
    return EvLimits(
        charge_w=_charge(mode.EVMaximumChargePower, known.charge_w),
        charge_a=_charge(mode.EVMaximumChargeCurrent, known.charge_a),
        discharge_w=given_w,
        discharge_a=given_a,
        voltage_max_v=_charge(mode.EVMaximumVoltage, None) or known.voltage_max_v,
        voltage_min_v=_charge(mode.EVMinimumVoltage, known.voltage_min_v) or 0.0,
        target_a=target_a,
        target_v=target_v,
        charge_min_w=_charge(mode.EVMinimumChargePower, known.charge_min_w),
        discharge_min_w=given_min_w,
    )


def ac_loop_limits(known: EvLimits, mode: AcMode, *, negative: bool) -> EvLimits:
    """`known`, with what this loop message says instead; it may leave out anything."""
    return _ac_limits(known, mode, negative=negative)


def loop_window(
    known: Window, mode: CLReqControlMode, shown: DisplayParameters | None
) -> Window:
    """Energy requests and what is displayed; what is left out stays."""
    if not isinstance(mode, Dynamic_CLReqControlMode | Scheduled_CLReqControlMode):
        return known
    v2x_max, v2x_min = known.v2x_max_wh, known.v2x_min_wh
    if isinstance(
        mode, BPT_Dynamic_DC_CLReqControlMode | BPT_Dynamic_AC_CLReqControlMode
    ):
        v2x_max = _or(mode.EVMaximumV2XEnergyRequest, v2x_max)
        v2x_min = _or(mode.EVMinimumV2XEnergyRequest, v2x_min)
    shown = shown or _NOTHING
    return Window(
        max_wh=_or(mode.EVMaximumEnergyRequest, known.max_wh),
        min_wh=_or(mode.EVMinimumEnergyRequest, known.min_wh),
        v2x_min_wh=v2x_min,
        soc_pct=_percent(shown.PresentSOC, known.soc_pct),
        soc_min_pct=_percent(shown.MinimumSOC, known.soc_min_pct),
        target_wh=_or(mode.EVTargetEnergyRequest, known.target_wh),
        v2x_max_wh=v2x_max,
        soc_target_pct=_percent(shown.TargetSOC, known.soc_target_pct),
        soc_max_pct=_percent(shown.MaximumSOC, known.soc_max_pct),
        complete=known.complete
        if shown.ChargingComplete is None
        else shown.ChargingComplete,
    )


_NOTHING = DisplayParameters()


def _percent(shown: int | None, before: float | None) -> float | None:
    return before if shown is None else float(shown)


# --- schedule exchange ----------------------------------------------------------------


def schedule_window(
    known: Window, mode: Dynamic_SEReqControlMode | Scheduled_SEReqControlMode
) -> Window:
    """Energy requests of ScheduleExchangeReq: they begin anew."""
    found = replace(
        known,
        target_wh=number(mode.EVTargetEnergyRequest),
        max_wh=number(mode.EVMaximumEnergyRequest),
        min_wh=number(mode.EVMinimumEnergyRequest),
        v2x_max_wh=None,
        v2x_min_wh=None,
        complete=False,
    )
    if not isinstance(mode, Dynamic_SEReqControlMode):
        return found
    return replace(
        found,
        v2x_max_wh=number(mode.EVMaximumV2XEnergyRequest),
        v2x_min_wh=number(mode.EVMinimumV2XEnergyRequest),
        soc_min_pct=_percent(mode.MinimumSOC, known.soc_min_pct),
        soc_target_pct=_percent(mode.TargetSOC, known.soc_target_pct),
    )
