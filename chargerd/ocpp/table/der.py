"""The rows of block R: DER control. The nameplate is the configuration's."""

from __future__ import annotations

import math

from chargerd.ocpp.table.row import Place, Row, discharges, is_dc, read, yes

# What a setpoint of active power can do, with any inverter ...
ACTIVE = (
    "EnterService", "FreqDroop", "FreqWatt", "Gradients", "HFMayTrip", "HFMustTrip",
    "HVMayTrip", "HVMomCess", "HVMustTrip", "LFMustTrip", "LVMayTrip",
    "LVMomCess", "LVMustTrip", "LimitMaxDischarge", "PowerMonitoringMustTrip",
    "VoltWatt",
)  # fmt: skip
# ... and what needs one that gives reactive power.
REACTIVE = (
    "FixedPFAbsorb", "FixedPFInject", "FixedVar", "VoltVar", "WattPF", "WattVar",
)  # fmt: skip
KINDS = (*ACTIVE, *REACTIVE)


def has_dc(place: Place) -> bool:
    return is_dc(place.one_evse)


def has_ac(place: Place) -> bool:
    """Vehicles here bring their own inverter: it is led by the power it is offered."""
    port = place.one_evse.iso15118
    if port is None:
        return not has_dc(place)
    return any(energy.startswith("AC") for energy in port.energies)


def _dc_modes(place: Place) -> str:
    reactive = place.one_evse.inverter.min_power_factor < 1.0
    return ",".join(KINDS if reactive else ACTIVE)


_FEEDING = ("FreqWatt", "LimitMaxDischarge", "PowerMonitoringMustTrip", "VoltWatt")


def _ac_modes(place: Place) -> str:
    """Without discharge, what only bounds discharge is no control; by PWM a vehicle
    ramps by itself."""
    left_out = set() if discharges(place) else set(_FEEDING)
    if place.one_evse.iso15118 is None:
        left_out.add("Gradients")
    return ",".join(name for name in ACTIVE if name not in left_out)


def _text(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")


def _max_var(place: Place) -> str:
    factor = place.one_evse.inverter.min_power_factor
    return _text(place.one_evse.max_va * math.sqrt(1.0 - factor * factor))


def _factor_w(place: Place) -> str:
    rating = place.one_evse.max_va * place.one_evse.inverter.min_power_factor
    return _text(min(place.one_evse.discharge_w, rating))


def _factor(place: Place) -> str:
    return _text(place.one_evse.inverter.min_power_factor)


def _dc(variable: str, kind: str, default: object, unit: str = "") -> Row:
    return Row(
        "DCDERCtrlr", variable, kind, default, scope="evse",  # type: ignore[arg-type]
        mutability="ReadOnly", unit=unit, only=has_dc,
    )  # fmt: skip


ROWS: tuple[Row, ...] = (
    read("DCDERCtrlr", "Available", "boolean", "true", scope="evse", only=has_dc),
    Row("DCDERCtrlr", "Enabled", "boolean", lambda p: yes(discharges(p)),
        scope="evse", only=has_dc),
    _dc("MaxW", "decimal", lambda p: _text(p.one_evse.discharge_w), "W"),
    _dc("OverExcitedW", "decimal", _factor_w, "W"),
    _dc("OverExcitedPF", "decimal", _factor),
    _dc("UnderExcitedW", "decimal", _factor_w, "W"),
    _dc("UnderExcitedPF", "decimal", _factor),
    _dc("MaxVA", "decimal", lambda p: _text(p.one_evse.max_va), "VA"),
    _dc("MaxVar", "decimal", _max_var, "var"),
    _dc("MaxVarNeg", "decimal", _max_var, "var"),
    _dc("MaxChargeRateW", "decimal", lambda p: _text(p.one_evse.charge_w), "W"),
    _dc("MaxChargeRateVA", "decimal", lambda p: _text(p.one_evse.charge_w), "VA"),
    _dc("VNom", "decimal", lambda p: _text(p.one_evse.ac_voltage_v), "V"),
    read("DCDERCtrlr", "ModesSupported", "MemberList", _dc_modes, scope="evse",
         values=KINDS, only=has_dc),
    _dc("InverterManufacturer", "string", lambda p: p.one_evse.inverter.manufacturer),
    _dc("InverterModel", "string", lambda p: p.one_evse.inverter.model),
    _dc("InverterSerialNumber", "string", lambda p: p.one_evse.inverter.serial),
    _dc("InverterSwVersion", "string", lambda p: p.one_evse.inverter.software),
    _dc("InverterHwVersion", "string", lambda p: p.one_evse.inverter.hardware),
    _dc("ReactiveSusceptance", "decimal",
        lambda p: _text(p.one_evse.inverter.susceptance_s), "S"),
    read("ACDERCtrlr", "ModesSupported", "MemberList", _ac_modes, scope="evse",
         values=ACTIVE, only=has_ac),
)  # fmt: skip
