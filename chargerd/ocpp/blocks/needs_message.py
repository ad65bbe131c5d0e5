"""The NotifyEVChargingNeeds of a vehicle: what it asks for, in OCPP's fields.

Owns the three shapes (ISO 15118-2 AC and DC, ISO 15118-20). Pure. OCPP's V2X powers are
magnitudes; ours are signed.
"""

from __future__ import annotations

from chargerd.clock import Now
from chargerd.model import VehicleLimits, VehicleNeeds, VehicleState
from chargerd.ocpp.blocks.desk import EvseView, stamp
from chargerd.ocpp.effects import Payload

ISO_20 = "iso15118-20"
PROTOCOLS = ("iso15118-2", ISO_20)
_DC = {"MCS": "DC", "MCS_BPT": "DC_BPT"}  # OCPP has no word of their own


def message(view: EvseView, vehicle: VehicleState, now: Now, *, old: bool) -> Payload:
    """The request; `old`: for 2.0.1, which knows ISO 15118-2 alone."""
    needs = vehicle.needs or VehicleNeeds()
    energy = _energy(needs.energy, view, old=old)
    wanted: Payload = {"requestedEnergyTransfer": energy}
    if vehicle.departure_mono is not None:
        wanted["departureTime"] = stamp(now.utc_at(vehicle.departure_mono))
    if vehicle.protocol == ISO_20 and not old:
        mode = "DynamicControl" if needs.dynamic else "ScheduledControl"
        wanted["controlMode"] = mode
        able = [_energy(each, view, old=False) for each in needs.energies]
        if able:
            wanted["availableEnergyTransfer"] = list(dict.fromkeys(able))
        wanted["mobilityNeedsMode"] = "EVCC_SECC" if needs.by_station else "EVCC"
        wanted["v2xChargingParameters"] = _v2x(view, vehicle, needs)
    elif energy.startswith("AC"):
        wanted["acChargingParameters"] = _ac(view, vehicle, needs)
    else:
        wanted["dcChargingParameters"] = _dc(vehicle, needs)
    payload: Payload = {"evseId": view.config.id, "chargingNeeds": wanted}
    if needs.max_entries is not None:
        payload["maxScheduleTuples"] = needs.max_entries
    return payload


def _energy(energy: str, view: EvseView, *, old: bool) -> str:
    energy = _DC.get(energy, energy)
    if old:
        energy = energy.removesuffix("_BPT")
    if energy != "AC":
        return energy
    return "AC_single_phase" if view.config.ac_phases == 1 else "AC_three_phase"


def _ac(view: EvseView, vehicle: VehicleState, needs: VehicleNeeds) -> Payload:
    """Currents are of one phase."""
    supply, limits = view.supply, vehicle.limits
    volts = supply.voltage_v * supply.phases
    most_w = view.config.charge_w
    if limits is not None and limits.charge_w is not None:
        most_w = limits.charge_w
    return {
        "energyAmount": max(0, round(needs.target_wh or 0.0)),
        "evMinCurrent": max(0, round((needs.min_charge_w or 0.0) / volts)),
        "evMaxCurrent": max(0, round(most_w / volts)),
        "evMaxVoltage": round(supply.voltage_v),
    }


def _dc(vehicle: VehicleState, needs: VehicleNeeds) -> Payload:
    limits = vehicle.limits or VehicleLimits(0.0)
    fields = {
        "evMaxPower": limits.charge_w,
        "evEnergyCapacity": vehicle.capacity_wh,
        "energyAmount": needs.target_wh,
        "stateOfCharge": vehicle.soc_pct,
        "fullSoC": needs.max_soc_pct,
    }
    return {
        "evMaxCurrent": max(0, round(limits.charge_a)),
        "evMaxVoltage": max(0, round(limits.voltage_max_v)),
        **{k: max(0, round(v)) for k, v in fields.items() if v is not None},
    }


def _v2x(view: EvseView, vehicle: VehicleState, needs: VehicleNeeds) -> Payload:
    """The narrower of vehicle and EVSE (2.1 V2XChargingParametersType)."""
    limits, config = vehicle.limits or VehicleLimits(0.0), view.config
    charge_w, discharge_w = limits.charge_w, limits.discharge_w
    if charge_w is None and limits.charge_a and limits.voltage_max_v:
        charge_w = limits.charge_a * limits.voltage_max_v
    if discharge_w is None and limits.discharge_a and limits.voltage_max_v:
        discharge_w = limits.discharge_a * limits.voltage_max_v
    fields: dict[str, float | None] = {
        "minChargePower": needs.min_charge_w,
        "maxChargePower": min(config.charge_w, charge_w or config.charge_w),
        "maxChargeCurrent": limits.charge_a or None,
        "minVoltage": limits.voltage_min_v or None,
        "maxVoltage": limits.voltage_max_v or None,
        "evTargetEnergyRequest": needs.target_wh,
        "evMinEnergyRequest": needs.min_wh,
        "evMaxEnergyRequest": needs.max_wh,
        "evMinV2XEnergyRequest": needs.v2x_min_wh,
        "evMaxV2XEnergyRequest": needs.v2x_max_wh,
    }
    if needs.energy.endswith("_BPT"):
        most = discharge_w or -config.discharge_w
        least = needs.min_discharge_w
        fields["minDischargePower"] = None if least is None else -least
        fields["maxDischargePower"] = min(config.discharge_w, -most)
        fields["maxDischargeCurrent"] = -limits.discharge_a or None
    found: Payload = {k: round(v, 1) for k, v in fields.items() if v is not None}
    if needs.target_soc_pct is not None:
        found["targetSoC"] = max(0, min(100, round(needs.target_soc_pct)))
    return found
