"""Which faults do the devices show now? Telemetry in, fault names and values out.

Pure. Judges silence and contradictions of one EVSE's devices; the meter's truth is
plausibility.py's matter. Gives devices GRACE_S after a start to say their first word.
"""

from __future__ import annotations

from dataclasses import dataclass

from chargerd.faults import Clear, lookup
from chargerd.model import VehiclePhase, VehicleState
from firmware_bridge.api import StageMode, StageSetpoint, Telemetry

GRACE_S = 3.0
PILOT_LOST_S = 0.5  # docs/protocol-mcu.md
MIRROR_MAX_AGE_S = 0.25  # two frames of the MCU and half
STAGE_LOST_S = 1.0
INSULATION_LOST_S = 5.0
MISMATCH_S = 1.5  # contactor drive against mirror contact
EXCESS_A = 3.0  # of the stage's current over what it was told
EXCESS_SHARE = 0.15
EXCESS_S = 1.5  # longer than any ramp down
DERATE_C = 80.0  # ours [K]: contacts are rated 90 degC
STOP_C = 90.0
MAINS_SHARE = 0.5

_TESTING = (VehiclePhase.CABLE_CHECK, VehiclePhase.PRECHARGE, VehiclePhase.ENERGY)


@dataclass(frozen=True, slots=True)
class Fitted:
    """What the EVSE has, and its mains voltage."""

    stage: bool
    insulation: bool
    mains_v: float


@dataclass(frozen=True, slots=True)
class Watch:
    """Since when a contactor contradicts its drive."""

    mismatch_mono: float | None = None


def is_fresh(telemetry: Telemetry, fitted: Fitted, now_mono: float) -> bool:
    """Every device that power depends on has spoken just now; otherwise 0 W."""
    pilot, stage, meter = telemetry.pilot, telemetry.stage, telemetry.meter
    if pilot is None or pilot.age_s(now_mono) > PILOT_LOST_S:
        return False
    if pilot.value.safe_state or pilot.value.emergency_stop:
        return False
    if fitted.stage and (stage is None or stage.age_s(now_mono) > STAGE_LOST_S):
        return False
    return meter is not None and meter.age_s(now_mono) < 1.5


def find(
    telemetry: Telemetry,
    vehicle: VehicleState,
    fitted: Fitted,
    up_s: float,
    now_mono: float,
) -> dict[str, str]:
    """Fault name -> what was measured. `up_s` = seconds since the daemon's start."""
    causes: dict[str, str] = {}
    settled = up_s >= GRACE_S
    _pilot(causes, telemetry, settled, now_mono)
    _stage(causes, telemetry, fitted, settled, now_mono)
    over = vehicle.phase in (VehiclePhase.ENDED, VehiclePhase.FAULT)
    for name in vehicle.faults:
        # What passes by itself is not held by a protocol that is over and remembers.
        if not (over and lookup(name).clear is Clear.GONE):
            causes[name] = vehicle.stop_cause
    if fitted.insulation and vehicle.phase in _TESTING:
        _insulation(causes, telemetry, vehicle, now_mono)
    meter = telemetry.meter
    if meter is not None and meter.value.voltage_v:
        volts = max(meter.value.voltage_v)
        if volts < MAINS_SHARE * fitted.mains_v:
            causes["PowerLoss"] = f"{volts:.0f} V"
    return causes


def _pilot(
    causes: dict[str, str], telemetry: Telemetry, settled: bool, now_mono: float
) -> None:
    reading = telemetry.pilot
    if reading is None or reading.age_s(now_mono) > PILOT_LOST_S:
        if settled:
            causes["PilotLost"] = "no frame" if reading is None else "frames stopped"
        return
    value = reading.value
    for name in value.faults:
        causes[name] = value.safe_state_reason
    if value.emergency_stop:
        causes["EmergencyStop"] = ""
    hot = value.temperature_c
    if hot is not None and hot >= DERATE_C:
        name = "CableOverTempStop" if hot >= STOP_C else "CableOverTempDerate"
        causes[name] = f"{hot:.0f} degC"


def _stage(
    causes: dict[str, str],
    telemetry: Telemetry,
    fitted: Fitted,
    settled: bool,
    now_mono: float,
) -> None:
    if not fitted.stage:
        return
    reading = telemetry.stage
    if reading is None or reading.age_s(now_mono) > STAGE_LOST_S:
        if settled:
            causes["StageLost"] = "no answer"
        return
    for name in reading.value.faults:
        causes[name] = ""


def _insulation(
    causes: dict[str, str], telemetry: Telemetry, vehicle: VehicleState, now_mono: float
) -> None:
    reading = telemetry.insulation
    if reading is None or reading.age_s(now_mono) > INSULATION_LOST_S:
        causes["InsulationLost"] = "no answer"
    elif reading.value.device_fault:
        causes["InsulationLost"] = "the monitor reports a fault of its own"
    elif reading.value.alarm and vehicle.phase is VehiclePhase.ENERGY:
        ohm = reading.value.resistance_ohm
        causes["ResistanceFault"] = "" if ohm is None else f"{ohm / 1000:.0f} kohm"


def runaway(
    since_mono: float | None, told: StageSetpoint, telemetry: Telemetry, now_mono: float
) -> tuple[float | None, str]:
    """(since when, "" or what is wrong): the stage drives more than it was told.

    Only opening the contactors ends what a stage does that does not obey.
    """
    stage = telemetry.stage
    if stage is None or stage.age_s(now_mono) > STAGE_LOST_S:
        return None, ""
    sign = -1.0 if told.mode is StageMode.DISCHARGE else 1.0
    told_a = told.current_a if told.mode is not StageMode.OFF else 0.0
    flows_a = stage.value.current_a * sign
    most_a = told_a + max(EXCESS_A, EXCESS_SHARE * told_a)
    if -EXCESS_A <= flows_a <= most_a:
        return None, ""
    since = now_mono if since_mono is None else since_mono
    if now_mono - since < EXCESS_S:
        return since, ""
    return since, f"stage {stage.value.current_a:.1f} A, told {sign * told_a:.1f} A"


def contactor(
    watch: Watch, commanded: tuple[bool, bool], telemetry: Telemetry, now_mono: float
) -> tuple[Watch, str]:
    """ "" or what is wrong: a mirror contact contradicts its drive for too long.

    `commanded` is (DC, AC). In a safe state the contactors are open whatever we drive;
    a board that fell silent says nothing of a command that came after its last word.
    """
    wrong = ""
    reading = telemetry.pilot
    heard = reading is not None and reading.age_s(now_mono) <= MIRROR_MAX_AGE_S
    if reading is not None and heard and not reading.value.safe_state:
        seen = (reading.value.dc_closed, reading.value.ac_closed)
        for name, closed, driven in zip(("DC", "AC"), seen, commanded, strict=True):
            if closed is not None and closed is not driven:
                does = "closed but driven open" if closed else "open but driven closed"
                wrong = f"{name} {does}"
    if not wrong:
        return (watch if watch.mismatch_mono is None else Watch()), ""
    if watch.mismatch_mono is None:
        return Watch(now_mono), ""
    return watch, wrong if now_mono - watch.mismatch_mono >= MISMATCH_S else ""
