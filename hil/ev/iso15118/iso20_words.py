"""What an ISO 15118-20 vehicle says of itself: limits, energies, loop messages. Pure.

Limits are magnitudes on the wire, targets and present values carry a sign (negative =
out of the vehicle). Sources: refs/iso15118.md 4.5 and its XSDs.
"""

from __future__ import annotations

from typing import Any

from chargerd.vehicle.iso15118.messages import ac, common, dc
from chargerd.vehicle.iso15118.messages.common_types import (
    CLReqControlMode,
    DisplayParameters,
    RationalNumber,
)
from hil.ev.iso15118.car import Car

SHORT_MAX = 32_767
FINE = -2  # exponent of values with a fraction


def rational(value: float) -> RationalNumber:
    """As exact as a short and two decimals allow."""
    exponent = 0 if value == round(value) else FINE
    while abs(value) / 10.0**exponent > SHORT_MAX:
        exponent += 1
    return RationalNumber(Exponent=exponent, Value=round(value / 10.0**exponent))


def number(wire: RationalNumber | None) -> float | None:
    return None if wire is None else float(wire.Value) * 10.0 ** float(wire.Exponent)


def given(car: Car, magnitude: float) -> RationalNumber:
    """A discharge limit: a magnitude, but for vehicles that send a minus."""
    sign = -1.0 if "negative_limits" in car.active else 1.0
    return rational(sign * round(magnitude, 1))


# --- energies ------------------------------------------------------------------------


def needs(car: Car) -> dict[str, Any]:
    """Energy requests, Wh from now on; negative = it has more than that."""
    profile = car.profile
    return {
        "EVTargetEnergyRequest": rational(round(car.wh_to(profile.target_soc_pct), 1)),
        "EVMaximumEnergyRequest": rational(round(car.wh_to(profile.max_soc_pct), 1)),
        "EVMinimumEnergyRequest": rational(round(car.wh_to(profile.min_soc_pct), 1)),
    }


def v2x_needs(car: Car) -> dict[str, Any]:
    """The band inside which energy may go both ways."""
    profile = car.profile
    return {
        "EVMaximumV2XEnergyRequest": rational(round(car.wh_to(profile.max_soc_pct), 1)),
        "EVMinimumV2XEnergyRequest": rational(round(car.wh_to(profile.min_soc_pct), 1)),
    }


def shown(car: Car) -> DisplayParameters:
    """What the station may show its users; whole percents."""
    profile = car.profile
    return DisplayParameters(
        PresentSOC=max(0, min(100, int(car.battery.soc_pct))),
        MinimumSOC=int(profile.min_soc_pct),
        TargetSOC=int(profile.target_soc_pct),
        MaximumSOC=int(profile.max_soc_pct),
        BatteryEnergyCapacity=rational(car.battery.capacity_wh),
        ChargingComplete=car.full,
    )


def departure(car: Car) -> int | None:
    """Seconds from now on; None = it does not say."""
    left_s = car.departure_left_s()
    return None if left_s is None else max(0, round(left_s))


def plan(car: Car, *, dynamic: bool, both: bool) -> dict[str, Any]:
    """The needs in ScheduleExchangeReq, by control mode."""
    more: dict[str, Any] = {}
    if dynamic:
        left_s = departure(car)
        more["Dynamic_SEReqControlMode"] = common.Dynamic_SEReqControlMode(
            DepartureTime=86_400 if left_s is None else left_s,
            MinimumSOC=int(car.profile.min_soc_pct),
            TargetSOC=int(car.profile.target_soc_pct),
            **needs(car),
            **(v2x_needs(car) if both else {}),
        )
    else:
        more["Scheduled_SEReqControlMode"] = common.Scheduled_SEReqControlMode(
            DepartureTime=departure(car), **needs(car)
        )
    return more


# --- parameters ----------------------------------------------------------------------


def dc_limits(car: Car, *, both: bool) -> dc.DC_CPDReqEnergyTransferMode:
    """The limits of its whole life."""
    profile = car.profile
    values: dict[str, Any] = {
        "EVMaximumChargePower": rational(profile.charge_max_w),
        "EVMinimumChargePower": rational(0.0),
        "EVMaximumChargeCurrent": rational(profile.charge_max_a),
        "EVMinimumChargeCurrent": rational(0.0),
        "EVMaximumVoltage": rational(round(car.voltage_max_v, 1)),
        "EVMinimumVoltage": rational(profile.voltage_min_v),
        "TargetSOC": int(profile.target_soc_pct),
    }
    if both:
        return dc.BPT_DC_CPDReqEnergyTransferMode(
            **values,
            EVMaximumDischargePower=given(car, profile.discharge_max_w),
            EVMinimumDischargePower=rational(0.0),
            EVMaximumDischargeCurrent=given(car, profile.discharge_max_a),
            EVMinimumDischargeCurrent=rational(0.0),
        )
    return dc.DC_CPDReqEnergyTransferMode(**values)


def ac_limits(car: Car, *, both: bool) -> ac.AC_CPDReqEnergyTransferMode:
    """All phases together [K]: without _L2 and _L3 the first field is the total."""
    profile = car.profile
    own_w = profile.ac_max_a * profile.ac_phases * 230.0
    values: dict[str, Any] = {
        "EVMaximumChargePower": rational(own_w),
        "EVMinimumChargePower": rational(0.0),
    }
    if both:
        return ac.BPT_AC_CPDReqEnergyTransferMode(
            **values,
            EVMaximumDischargePower=given(car, min(own_w, profile.discharge_max_w)),
            EVMinimumDischargePower=rational(0.0),
        )
    return ac.AC_CPDReqEnergyTransferMode(**values)


# --- the loop ------------------------------------------------------------------------


def dc_mode(
    car: Car, *, dynamic: bool, both: bool, target_a: float
) -> CLReqControlMode:
    """What holds now; in scheduled control also the current it asks for."""
    values: dict[str, Any] = {
        **needs(car),
        "EVMaximumChargePower": rational(round(car.charge_w(), 1)),
        "EVMinimumChargePower": rational(0.0),
        "EVMaximumChargeCurrent": rational(round(car.charge_a(), 2)),
        "EVMaximumVoltage": rational(round(car.voltage_max_v, 1)),
        "EVMinimumVoltage": rational(car.profile.voltage_min_v),
    }
    if both:
        values["EVMaximumDischargePower"] = given(car, car.discharge_w())
        values["EVMinimumDischargePower"] = rational(0.0)
        values["EVMaximumDischargeCurrent"] = given(car, car.discharge_a())
    if dynamic:
        values["DepartureTime"] = departure(car)
        if both:
            return dc.BPT_Dynamic_DC_CLReqControlMode(**values, **v2x_needs(car))
        return dc.Dynamic_DC_CLReqControlMode(**values)
    values["EVTargetCurrent"] = rational(round(target_a, 2))
    values["EVTargetVoltage"] = rational(round(car.battery.max_v, 1))
    if both:
        return dc.BPT_Scheduled_DC_CLReqControlMode(**values)
    return dc.Scheduled_DC_CLReqControlMode(**values)


def ac_mode(car: Car, *, dynamic: bool, both: bool) -> CLReqControlMode:
    """What holds now, and what its charger really does."""
    values: dict[str, Any] = {
        **needs(car),
        "EVMaximumChargePower": rational(round(car.ac_charge_w(), 1)),
        "EVMinimumChargePower": rational(0.0),
        "EVPresentActivePower": rational(round(car.seen.ac_power_w, 1)),
    }
    if both:
        values["EVMaximumDischargePower"] = given(car, car.ac_discharge_w())
        values["EVMinimumDischargePower"] = rational(0.0)
    if dynamic:
        values["DepartureTime"] = departure(car)
        values["EVPresentReactivePower"] = rational(0.0)
        if both:
            return ac.BPT_Dynamic_AC_CLReqControlMode(**values, **v2x_needs(car))
        return ac.Dynamic_AC_CLReqControlMode(**values)
    if both:
        return ac.BPT_Scheduled_AC_CLReqControlMode(**values)
    return ac.Scheduled_AC_CLReqControlMode(**values)
