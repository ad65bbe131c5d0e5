"""One EVSE's constants, from the configuration: for the decision, the wire, the pilot.

Pure. Owns no default of its own.
"""

from __future__ import annotations

from dataclasses import replace

from chargerd import config
from chargerd.evse import causes, hlc
from chargerd.evse.actuate import Ratings
from chargerd.model_grid import GridRules
from chargerd.scheduler import grid_rules
from chargerd.scheduler.grid_rules import Plate
from chargerd.scheduler.terms import Unit


def of(
    evse: config.Evse, owner: config.Owner, site: config.Site
) -> tuple[Unit, Ratings, causes.Fitted]:
    port = evse.iso15118  # a connector for DC alone has no AC outlet
    has_ac = port is None or any(energy.startswith("AC") for energy in port.energies)
    volts = evse.ac_voltage_v * evse.ac_phases if has_ac else 0.0
    sold = site.frequency_service
    service = site.grid_code.services.get(sold.name) if sold else None
    unit = Unit(
        charge_w=evse.charge_w,
        discharge_w=evse.discharge_w,
        efficiency=evse.efficiency,
        voltage_max_v=evse.voltage_max_v,
        ac_volts=volts,
        ac_current_max_a=evse.ac_current_max_a,
        target_pct=owner.target_soc_pct,
        floor_pct=owner.floor_soc_pct,
        lifetime_s=evse.command_lifetime_s,
        failsafe_import_w=site.failsafe_import_w,
        reserve_pct=owner.blackout_reserve_pct,
        release_s=site.release_s,
        service_hold_s=service.hold_s if service else 0.0,
        code=site.grid_code,
        nominal_hz=site.nominal_hz,
        mains_v=evse.ac_voltage_v,
        plate=Plate(evse.max_va, evse.inverter.min_power_factor),
    )
    ratings = Ratings(
        charge_w=evse.charge_w,
        discharge_w=evse.discharge_w,
        current_max_a=evse.current_max_a,
        voltage_min_v=evse.voltage_min_v,
        voltage_max_v=evse.voltage_max_v,
        efficiency=evse.efficiency,
        ac_volts=volts,
        lifetime_s=evse.command_lifetime_s,
    )
    fitted = causes.Fitted(
        stage=evse.devices.stage is not None,
        insulation=evse.devices.insulation is not None,
        mains_v=evse.ac_voltage_v,
    )
    return unit, ratings, fitted


def ruled(plain: Unit, rules: GridRules) -> Unit:
    """With the network operator's rules in the place of the grid code's own."""
    code = grid_rules.overlaid(plain.code, rules, plain.nominal_hz)
    return replace(plain, code=code)


def talking(evse: config.Evse) -> hlc.Settings:
    port = evse.iso15118
    if port is None:
        return hlc.Settings(wake_s=evse.ac_wake_s)
    return hlc.Settings(
        enabled=True,
        modem=port.slac is not None,
        basic=any(energy.startswith("AC") for energy in port.energies),
        nominal=port.ac_duty == "nominal",
        init_s=port.slac_init_s,
        wake_s=evse.ac_wake_s,
    )
