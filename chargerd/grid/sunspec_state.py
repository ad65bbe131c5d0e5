"""What an EVSE is as a SunSpec DER: a report in, point values out.

Pure. SunSpec counts power into the grid as positive, we count it negative: every sign
turns here. A value that is not known is left out and reads as "not implemented".
"""

from __future__ import annotations

from dataclasses import dataclass

from chargerd import __version__
from chargerd.config import Evse, Station
from chargerd.grid.readings import fresh
from chargerd.grid.sunspec_points import Value
from chargerd.model import EvseReport, SessionPhase
from firmware_bridge.api import MeterReading, StageReading

ACTIVE_W = 100.0
# 701 InvSt.
OFF, STARTING, RUNNING, SHUTTING_DOWN, FAULT, STANDBY = 0, 2, 3, 5, 6, 7
_STATES = {
    SessionPhase.IDLE: OFF,
    SessionPhase.STARTING: STARTING,
    SessionPhase.STOPPING: SHUTTING_DOWN,
    SessionPhase.FINISHED: OFF,
}
_GROUND_FAULT, _MANUAL_SHUTDOWN, _OTHER = 1 << 0, 1 << 6, 1 << 16  # 701 Alrm
_ALARMS = {"GroundFailure": _GROUND_FAULT, "EmergencyStop": _MANUAL_SHUTDOWN}
_MAX_W, _FIXED_W = 1 << 0, 1 << 1  # 702 CtrlModes
_EV = 2  # 714 PrtTyp
_PHASES = ("L1", "L2", "L3")
HZ_SF, V_SF, A_SF, PCT_SF, WH_SF, TMP_SF = -3, -1, -1, -1, 1, 0


@dataclass(frozen=True, slots=True)
class Rating:
    """Of one EVSE, and the exponent of ten that makes its watts fit 16 bits."""

    charge_w: float
    discharge_w: float
    w_sf: int


def rating(evse: Evse) -> Rating:
    most_w, w_sf = max(evse.charge_w, evse.discharge_w), 0
    while most_w / 10.0**w_sf > 20_000.0:  # a third of the range stays for overload
        w_sf += 1
    return Rating(evse.charge_w, evse.discharge_w, w_sf)


def scaled(value: float, exponent: int) -> int:
    return round(value / 10.0**exponent)


def fixed(evse: Evse, station: Station) -> dict[str, Value]:
    """What never changes: models 1 and 702, and the scale factors."""
    rated = rating(evse)
    discharge = scaled(rated.discharge_w, rated.w_sf)
    charge = scaled(rated.charge_w, rated.w_sf)
    current = scaled(evse.ac_current_max_a, A_SF)
    voltage = scaled(evse.ac_voltage_v, V_SF)
    return {
        "1.Mn": station.vendor,
        "1.Md": station.model,
        "1.Opt": f"EVSE {evse.id}",
        "1.Vr": station.firmware or __version__,
        "1.SN": station.serial or station.id,
        "1.DA": evse.id,
        "701.ACType": 0 if evse.ac_phases == 1 else 2,
        "701.DERMode": 1,  # follows the grid
        "701.A_SF": A_SF,
        "701.V_SF": V_SF,
        "701.Hz_SF": HZ_SF,
        "701.W_SF": rated.w_sf,
        "701.TotWh_SF": 0,
        "701.Tmp_SF": TMP_SF,
        "702.WMaxRtg": discharge,
        "702.WMax": discharge,
        "702.WChaRteMaxRtg": charge,
        "702.WChaRteMax": charge,
        "702.WDisChaRteMaxRtg": discharge,
        "702.WDisChaRteMax": discharge,
        "702.VNomRtg": voltage,
        "702.VNom": voltage,
        "702.AMaxRtg": current,
        "702.AMax": current,
        "702.CtrlModes": _MAX_W | _FIXED_W,
        "702.W_SF": rated.w_sf,
        "702.V_SF": V_SF,
        "702.A_SF": A_SF,
        "704.WSet_SF": rated.w_sf,
        "704.WSetPct_SF": PCT_SF,
        "704.WMaxLimPct_SF": PCT_SF,
        "713.WH_SF": WH_SF,
        "713.Pct_SF": PCT_SF,
        "714.NPrt": 1,
        "714.DCA_SF": A_SF,
        "714.DCV_SF": V_SF,
        "714.DCW_SF": rated.w_sf,
        "714.Tmp_SF": TMP_SF,
        "714.Prt_PrtTyp": _EV,
        "714.Prt_ID": 1,
    }


def live(report: EvseReport, rated: Rating) -> dict[str, Value]:
    """What is known now."""
    snapshot = report.snapshot
    telemetry, mono = snapshot.telemetry, snapshot.now.mono
    values = _operation(report)
    if (meter := fresh(telemetry.meter, mono)) is not None:
        values |= _measured(meter, rated.w_sf)
    if (stage := fresh(telemetry.stage, mono)) is not None:
        values |= _dc(stage, rated.w_sf)
    pilot = fresh(telemetry.pilot, mono)
    if pilot is not None and pilot.temperature_c is not None:
        values["701.TmpOt"] = scaled(pilot.temperature_c, TMP_SF)
    return values | _battery(report)


def _operation(report: EvseReport) -> dict[str, Value]:
    snapshot = report.snapshot
    alarms = 0
    for fault in snapshot.faults:
        alarms |= _ALARMS.get(fault.name, _OTHER)
    phase = snapshot.session.phase
    active = abs(report.decision.power_w) >= ACTIVE_W
    state = _STATES.get(phase, RUNNING if active else STANDBY)
    if snapshot.faults and not active:
        state = FAULT
    return {
        "701.St": 1 if phase is SessionPhase.ENERGY else 0,
        "701.InvSt": state,
        "701.ConnSt": 1 if phase is SessionPhase.ENERGY else 0,
        "701.Alrm": alarms,
        "701.MnAlrmInfo": snapshot.faults[0].name if snapshot.faults else "",
        "713.Sta": 2 if snapshot.faults else 0,
        "714.PrtAlrms": 0,
    }


def _measured(meter: MeterReading, w_sf: int) -> dict[str, Value]:
    values: dict[str, Value] = {
        "701.W": -scaled(meter.power_w, w_sf),
        "701.TotWhInj": int(meter.export_wh),
        "701.TotWhAbs": int(meter.import_wh),
    }
    if meter.frequency_hz is not None:
        values["701.Hz"] = scaled(meter.frequency_hz, HZ_SF)
    if meter.current_a:
        total_a = sum(abs(current_a) for current_a in meter.current_a)
        values["701.A"] = scaled(total_a, A_SF)
    if meter.voltage_v:
        mean_v = sum(meter.voltage_v) / len(meter.voltage_v)
        values["701.LNV"] = scaled(mean_v, V_SF)
    # Per phase only where there are readings; zip ends with the shortest.
    for phase, power_w in zip(_PHASES, meter.phase_power_w, strict=False):
        values[f"701.W{phase}"] = -scaled(power_w, w_sf)
    for phase, voltage_v in zip(_PHASES, meter.voltage_v, strict=False):
        values[f"701.V{phase}"] = scaled(voltage_v, V_SF)
    for phase, current_a in zip(_PHASES, meter.current_a, strict=False):
        values[f"701.A{phase}"] = scaled(abs(current_a), A_SF)
    return values


def _dc(stage: StageReading, w_sf: int) -> dict[str, Value]:
    """Positive = out of the vehicle, as the AC side counts [K: 714's sign]."""
    current, power = -scaled(stage.current_a, A_SF), -scaled(stage.power_w, w_sf)
    return {
        "714.DCA": current,
        "714.DCW": power,
        "714.Prt_DCA": current,
        "714.Prt_DCW": power,
        "714.Prt_DCV": scaled(stage.voltage_v, V_SF),
        "714.Prt_DCSta": 3 if stage.faults else int(stage.on),
    }


def _battery(report: EvseReport) -> dict[str, Value]:
    """Of the vehicle that is there."""
    vehicle = report.snapshot.vehicle
    values: dict[str, Value] = {}
    if vehicle.soc_pct is not None:
        values["713.SoC"] = scaled(vehicle.soc_pct, PCT_SF)
    if vehicle.capacity_wh is not None:
        values["713.WHRtg"] = scaled(vehicle.capacity_wh, WH_SF)
        if vehicle.soc_pct is not None:
            left_wh = vehicle.capacity_wh * vehicle.soc_pct / 100.0
            values["713.WHAvail"] = scaled(left_wh, WH_SF)
    return values
