"""What the rig tells about itself: trace samples and the `state` answer. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from hil.rig.evse import EvseRig, Grid
from hil.rig.mcu import REASONS
from hil.rig.sdm630 import Sdm630


def orders(evse: EvseRig) -> dict[str, Any]:
    """The stage's setpoint as the wire left it; magnitudes."""
    want = evse.stage.setpoint
    return {
        "on": want.on,
        "discharge": want.discharge,
        "voltage_v": want.voltage_v,
        "current_a": want.current_a,
        "cutoff_v": want.cutoff_v,
    }


def grid_power_w(grid: Grid, evses: Mapping[int, EvseRig]) -> float:
    """True power at the grid connection, positive = import."""
    if grid.relay_open:
        return 0.0
    return grid.load_w + sum(e.plant.ac_w for e in evses.values())


def sample(grid: Grid, evses: Mapping[int, EvseRig]) -> dict[str, Any]:
    """One line of the trace, true values."""
    return {
        "grid": {
            "frequency_hz": grid.frequency_hz,
            "voltage_v": grid.voltage_v,
            "power_w": round(grid_power_w(grid, evses), 2),
        },
        "house_w": grid.house_load_w,
        "evses": {str(n): _evse_sample(e) for n, e in evses.items()},
    }


def _evse_sample(evse: EvseRig) -> dict[str, Any]:
    plant = evse.plant
    vehicle = {} if evse.ev is None else evse.ev.state()
    return {
        "ac_w": round(plant.ac_w, 2),
        "import_wh": plant.energies.ac_import_wh,
        "export_wh": plant.energies.ac_export_wh,
        "dc_v": round(plant.connector_v, 3),
        "dc_a": round(plant.current_a, 4),
        "soc_pct": vehicle.get("soc_pct"),
        "pilot": evse.mcu.pilot_state,
        "dc_closed": plant.dc.closed,
        "ac_closed": plant.ac.closed,
        "stage": {**orders(evse), "at_mono": evse.stage.setpoint.at},
    }


def grid_state(
    grid: Grid, evses: Mapping[int, EvseRig], meter: Sdm630
) -> dict[str, Any]:
    return {
        **asdict(grid),
        "house_v": grid.house_v,
        "house_w": grid.load_w,
        "power_w": grid_power_w(grid, evses),
        "import_wh": meter.import_kwh * 1000,
        "export_wh": meter.export_kwh * 1000,
    }


def evse_state(evse: EvseRig, now: float) -> dict[str, Any]:
    """Everything about one EVSE, true values."""
    plant, mcu = evse.plant, evse.mcu
    return {
        "id": evse.id,
        "pilot": mcu.pilot_state,
        "duty": mcu.duty,
        "pins": _pins(evse),
        "mcu": _mcu(evse),
        **_contactors(evse),
        "dc": {
            "voltage_v": plant.connector_v,
            "current_a": plant.current_a,
            "power_w": plant.power_w,
        },
        "stage": _stage(evse, now),
        "insulation": {
            "on": evse.insulation.on,
            "valid": evse.insulation.valid,
            "ohm": evse.insulation.resistance_ohm,
            "alarm": evse.insulation.alarm,
            "self_tests": evse.insulation.self_tests,
        },
        "ac_power_w": plant.ac_w,
        "energies": asdict(plant.energies),
        "meter": {
            "import_wh": evse.meter.import_kwh * 1000,
            "export_wh": evse.meter.export_kwh * 1000,
        },
        "mains": evse.mains,
        "island": {"on": evse.mcu.island, "trips": evse.island_trips},
        "ceiling_hit": evse.ceiling_hit,
        "ev": None if evse.ev is None else {"kind": evse.ev.kind, **evse.ev.state()},
    }


def _contactors(evse: EvseRig) -> dict[str, Any]:
    plant = evse.plant
    return {
        "contactors": {
            "dc": plant.dc.closed,
            "ac": plant.ac.closed,
            "vehicle": evse.given.contactor_closed,
            "dc_operations": plant.dc.operations,
            "inrush": plant.inrush_count,
        },
        "contactor_breaks_under_load": plant.dc.breaks_under_load
        + plant.ac.breaks_under_load,
        "last_break_a": plant.dc.last_break_a,
        "vehicle_breaks_under_load": plant.vehicle_breaks_under_load,
        "pulled_under_load": evse.pulled_under_load,
    }


def _stage(evse: EvseRig, now: float) -> dict[str, Any]:
    stage = evse.stage
    return {
        **asdict(stage.setpoint),
        "running": stage.running(now),
        "output_v": evse.plant.output_v,
        "power_w": evse.plant.stage_w,
        "lost": stage.lost,
        "frames": stage.frames,
        "refused": stage.refused,
        "comm_offs": stage.comm_offs,
    }


def _pins(evse: EvseRig) -> dict[str, Any]:
    mcu = evse.mcu
    return {
        "d1": mcu.d1,
        "d2": mcu.d2,
        "proximity": evse.given.proximity,
        "permission": evse.given.permission,
        "lock_command": mcu.lock_command,
        "locked": mcu.locked,
    }


def _mcu(evse: EvseRig) -> dict[str, Any]:
    mcu = evse.mcu
    return {
        "safe_state": mcu.safe,
        "reason": mcu.reason,
        "reason_text": REASONS.get(mcu.reason, "other"),
        "safe_entries": mcu.safe_entries,
        "boots": mcu.boots,
        "good_frames": mcu.good_frames,
        "bad_frames": mcu.bad_frames,
    }
