"""From a decided power to the wire: stage setpoint, pins, and the vehicle's offer.

Pure. AC watts become DC volts and amperes inside every rating, the direction becomes a
mode, and contactors open only when the current has gone. Must never hand out a lease
longer than the EVSE's `command_lifetime_s` or than the decision itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from chargerd.evse import hlc, pilot
from chargerd.model import VehicleDemand, VehicleOffer, VehiclePhase, VehicleState
from firmware_bridge.api import (
    Command,
    PilotOutputs,
    PilotState,
    StageMode,
    StageSetpoint,
    Telemetry,
)

OPEN_BELOW_A = 1.0
OPEN_AFTER_S = 1.0  # an orderly stop waits no longer for the current to fall
EMERGENCY_AFTER_S = 0.1
PREPARE_MAX_A = 10.0  # cable check and precharge never need more
MIN_POWER_FACTOR = 0.8
STATE_F_S = 1.0  # shown after a fault; IEC 61851-1 Table A.5 asks for 300 ms


@dataclass(frozen=True, slots=True)
class Ratings:
    """One EVSE's limits. Powers are AC magnitudes in W."""

    charge_w: float
    discharge_w: float
    current_max_a: float
    voltage_min_v: float
    voltage_max_v: float
    efficiency: float
    ac_volts: float  # sum over the phases; 0 = no AC path
    lifetime_s: float


@dataclass(frozen=True, slots=True)
class Intent:
    """What this tick wants of one EVSE. Powers are AC, positive into the vehicle."""

    now_mono: float
    valid_until_mono: float
    power_w: float = 0.0  # clamped and trimmed
    offer_low_w: float = 0.0
    offer_high_w: float = 0.0
    energise: bool = False
    power_permitted: bool = False
    fault_stop: bool = False
    unplugged: bool = False
    open_grid: bool = False  # blackout: keep house and grid apart
    form_grid: bool = False  # and make the house's voltage
    setpoint_var: float = 0.0  # + = as a coil takes it
    charge_factor: float = 1.0  # cos phi that the grid code wants while charging
    sleep: bool = False  # the stage is off while nothing is to flow
    over: bool = False  # the session has ended, in order or after its time
    ac_path: bool = False
    operative: bool = True
    unlock: bool = False
    keep_locked: bool = False  # a cable in our socket waits for its vehicle, or driver
    show: hlc.Show = hlc.Show.NOMINAL  # what the pilot is for
    session_id: str = ""  # of the session that may move energy now


@dataclass(frozen=True, slots=True)
class Memory:
    """What actuation must remember between ticks."""

    pwm: pilot.Pwm = field(default_factory=pilot.Pwm)
    ac: pilot.AcPath = field(default_factory=pilot.AcPath)
    mode: StageMode = StageMode.CHARGE
    dc_closed: bool = False  # as last commanded
    opening_mono: float | None = None
    fault_mono: float | None = None
    session_id: str = ""  # whose energy the meter counts


def amps(power_w: float, volts: float, efficiency: float) -> float:
    """DC current magnitude for an AC power; 0 without a voltage."""
    if volts < 1.0:
        return 0.0
    if power_w >= 0.0:
        return power_w * efficiency / volts
    return -power_w / efficiency / volts


def _factor(intent: Intent) -> float:
    """A signal's reactive power, else what the grid code wants."""
    if intent.setpoint_var == 0.0 and intent.power_w > 0.0:
        return intent.charge_factor
    return power_factor(intent.power_w, intent.setpoint_var)


def power_factor(power_w: float, var: float) -> float:
    """cos phi that gives `var` beside `power_w`, not below 0.8: stages end there, and
    at 0 W there is none to keep. Negative = as a capacitor takes it."""
    if var == 0.0 or power_w == 0.0:
        return 1.0
    share = max(MIN_POWER_FACTOR, abs(power_w) / math.hypot(power_w, var))
    return math.copysign(share, var)


def actuate(
    memory: Memory,
    intent: Intent,
    vehicle: VehicleState,
    telemetry: Telemetry,
    ratings: Ratings,
) -> tuple[Memory, Command, VehicleOffer]:
    """One tick's command and offer. Both expire; neither needs an answer."""
    volts = _volts(vehicle, telemetry, ratings)
    setpoint = _stage(intent, vehicle, volts, memory.mode, ratings)
    close_dc, opening = _contactor(memory, intent, vehicle.demand, telemetry)
    pwm, ac, fault_mono = _pilot(memory, intent, vehicle, telemetry, ratings)
    demand = vehicle.demand
    live = not intent.unplugged
    pins = PilotOutputs(
        duty=pwm.duty,
        close_dc=close_dc,
        close_ac=ac.closed,
        chademo_d1=demand.d1 and live,
        chademo_d2=demand.d2 and live,
        lock=_locks(intent, vehicle) and not intent.unlock,
        open_grid=intent.open_grid,
        form_grid=setpoint.form_grid,
    )
    until = min(intent.valid_until_mono, intent.now_mono + ratings.lifetime_s)
    # What still flows until the contactor is open belongs to the session, too.
    closed = close_dc or ac.closed
    session_id = intent.session_id or (memory.session_id if closed else "")
    insulation_on = demand.insulation_on and live
    command = Command(until, pins, setpoint, insulation_on, session_id)
    offer = _offer(intent, vehicle, telemetry, volts, setpoint, ratings)
    mode = memory.mode if setpoint.mode is StageMode.OFF else setpoint.mode
    kept = Memory(pwm, ac, mode, close_dc, opening, fault_mono, session_id)
    return kept, command, offer


def _locks(intent: Intent, vehicle: VehicleState) -> bool:
    """The lock is ours to ask for: by PWM, and while a vehicle of the pilot is greeted,
    until its own session asks; so it does not move twice."""
    if vehicle.demand.lock or intent.keep_locked:
        return True
    by_pilot = vehicle.protocol.startswith(("iso15118", "din"))
    greeted = by_pilot and vehicle.phase is VehiclePhase.HANDSHAKE
    return intent.energise and (intent.ac_path or greeted)


def _volts(vehicle: VehicleState, telemetry: Telemetry, ratings: Ratings) -> float:
    stage = telemetry.stage
    if stage is not None and stage.value.voltage_v > 50.0:
        return stage.value.voltage_v
    top = vehicle.limits.voltage_max_v if vehicle.limits else 0.0
    return min(top, ratings.voltage_max_v) if top > 0.0 else ratings.voltage_max_v


def _stage(
    intent: Intent,
    vehicle: VehicleState,
    volts: float,
    mode: StageMode,
    ratings: Ratings,
) -> StageSetpoint:
    demand = vehicle.demand
    permitted = intent.energise and intent.power_permitted
    if not (permitted or _preparing(intent, vehicle)):
        return StageSetpoint()
    asleep = intent.sleep and vehicle.phase is VehiclePhase.ENERGY
    if intent.unplugged or intent.ac_path or asleep:
        return StageSetpoint()
    if vehicle.phase is VehiclePhase.ENERGY:
        setpoint = _energy(intent.power_w, vehicle, volts, mode, ratings)
        return replace(
            setpoint,
            form_grid=intent.form_grid and setpoint.mode is StageMode.DISCHARGE,
            power_factor=_factor(intent),
        )
    if vehicle.phase in (VehiclePhase.CABLE_CHECK, VehiclePhase.PRECHARGE):
        if demand.voltage_v <= 0.0:
            return StageSetpoint()
        current = min(demand.current_a, ratings.current_max_a, PREPARE_MAX_A)
        wanted = min(demand.voltage_v, ratings.voltage_max_v)
        return StageSetpoint(StageMode.CHARGE, wanted, max(0.0, current))
    return StageSetpoint()


def _preparing(intent: Intent, vehicle: VehicleState) -> bool:
    """Before ENERGY the decision is 0 W, but the protocol needs voltage."""
    phases = (VehiclePhase.CABLE_CHECK, VehiclePhase.PRECHARGE)
    return intent.energise and not intent.fault_stop and vehicle.phase in phases


def _energy(
    power_w: float,
    vehicle: VehicleState,
    volts: float,
    mode: StageMode,
    ratings: Ratings,
) -> StageSetpoint:
    """Direction is the mode; 0 W keeps the mode, so that it can go on at once."""
    limits, demand = vehicle.limits, vehicle.demand
    if limits is None or limits.charge_w is not None:  # AC: no stage takes part
        return StageSetpoint()
    current = min(amps(power_w, volts, ratings.efficiency), ratings.current_max_a)
    if power_w < 0.0 or (power_w == 0.0 and mode is StageMode.DISCHARGE):
        current = min(current, -limits.discharge_a if limits.discharge_allowed else 0.0)
        if limits.requested_discharge_a is not None:
            current = min(current, -limits.requested_discharge_a)
        floor = max(demand.cutoff_v, limits.voltage_min_v, ratings.voltage_min_v)
        return StageSetpoint(StageMode.DISCHARGE, floor, max(0.0, current))
    asked = limits.charge_a if limits.requested_a is None else limits.requested_a
    current = max(0.0, min(current, limits.charge_a, asked))
    tops = (demand.voltage_v, limits.voltage_max_v)
    ceiling = min([v for v in tops if v > 0.0], default=ratings.voltage_max_v)
    ceiling = min(ceiling, ratings.voltage_max_v)
    return StageSetpoint(StageMode.CHARGE, ceiling, current)


def _contactor(
    memory: Memory, intent: Intent, demand: VehicleDemand, telemetry: Telemetry
) -> tuple[bool, float | None]:
    """Close only when energised; open only without load, or when waiting is over.

    A door that never lets go is not obeyed beyond the end of its session.
    """
    stays = (memory.dc_closed and not intent.over) or intent.energise
    if demand.close_dc and stays and not intent.unplugged and not intent.ac_path:
        return True, None
    if not memory.dc_closed:
        return False, None
    since = intent.now_mono if memory.opening_mono is None else memory.opening_mono
    patience = EMERGENCY_AFTER_S if intent.unplugged else OPEN_AFTER_S
    current = abs(telemetry.stage.value.current_a) if telemetry.stage else 0.0
    if current < OPEN_BELOW_A or intent.now_mono - since >= patience:
        return False, None
    return True, since


def _duty(
    memory: Memory,
    intent: Intent,
    vehicle: VehicleState,
    ratings: Ratings,
    *,
    outlet: bool,
) -> float:
    """The duty that is wanted now."""
    if not intent.operative:
        return pilot.STATE_F
    if intent.fault_stop:
        since = intent.now_mono if memory.fault_mono is None else memory.fault_mono
        shown = intent.now_mono - since < STATE_F_S
        return pilot.STATE_F if shown and outlet else pilot.STEADY
    match intent.show:
        case hlc.Show.STATE_F:
            return pilot.STATE_F
        case hlc.Show.DIGITAL:
            return pilot.DIGITAL
        case hlc.Show.NOMINAL if outlet and ratings.ac_volts > 0.0:
            return pilot.duty_for_current(
                _nominal_w(intent, vehicle, ratings) / ratings.ac_volts
            )
    return pilot.STEADY


def _nominal_w(intent: Intent, vehicle: VehicleState, ratings: Ratings) -> float:
    """What a nominal duty offers. To a vehicle that talks it is the most it may have:
    the power itself is said in words."""
    if vehicle.phase is not VehiclePhase.NONE:
        return intent.offer_high_w if intent.energise else 0.0
    return intent.power_w if _offers_ac(intent, ratings) else 0.0


def _offers_ac(intent: Intent, ratings: Ratings) -> bool:
    permitted = intent.energise and intent.power_permitted
    return intent.ac_path and permitted and ratings.ac_volts > 0.0


def _pilot(
    memory: Memory,
    intent: Intent,
    vehicle: VehicleState,
    telemetry: Telemetry,
    ratings: Ratings,
) -> tuple[pilot.Pwm, pilot.AcPath, float | None]:
    now = intent.now_mono
    reading = telemetry.pilot.value if telemetry.pilot else None
    fault_mono = memory.fault_mono if intent.fault_stop else None
    if intent.fault_stop and fault_mono is None:
        fault_mono = now
    outlet = reading is not None and reading.ac_closed is not None
    wanted = _duty(memory, intent, vehicle, ratings, outlet=outlet)
    pwm = pilot.step(memory.pwm, wanted, now)
    meter = telemetry.meter
    flowing = meter is None or abs(meter.value.power_w) >= ratings.ac_volts
    talks = vehicle.phase is not VehiclePhase.NONE  # then the door asks, not the duty
    asked = vehicle.demand.close_ac and intent.energise and intent.power_permitted
    ac = pilot.step_contactor(
        memory.ac,
        reading.pilot_state if reading else PilotState.UNKNOWN,
        energised=asked if talks else _offers_ac(intent, ratings),
        invited=pilot.offers_energy(pwm.duty) or (talks and pwm.duty == pilot.DIGITAL),
        flowing=flowing,
        now_mono=now,
    )
    return pwm, ac, fault_mono


def _offer(
    intent: Intent,
    vehicle: VehicleState,
    telemetry: Telemetry,
    volts: float,
    setpoint: StageSetpoint,
    ratings: Ratings,
) -> VehicleOffer:
    """Bounds as limits, and the current we want to drive.

    `setpoint_a` is what was decided, not what the vehicle's request has left of it: a
    request that follows our offer could otherwise never grow.
    """
    top, efficiency = ratings.current_max_a, ratings.efficiency
    charge_a = min(top, amps(max(0.0, intent.offer_high_w), volts, efficiency))
    discharge_a = min(top, amps(min(0.0, intent.offer_low_w), volts, efficiency))
    setpoint_a = min(top, amps(intent.power_w, volts, efficiency))
    sign = -1.0 if intent.power_w < 0.0 else 1.0
    energy = vehicle.phase is VehiclePhase.ENERGY
    live = energy and setpoint.mode is not StageMode.OFF
    flows = energy and intent.energise and intent.power_permitted
    return VehicleOffer(
        at_mono=intent.now_mono,
        energise=intent.energise and not intent.fault_stop,
        charge_a=charge_a,
        discharge_a=-discharge_a,
        setpoint_a=sign * setpoint_a if live else 0.0,
        voltage_max_v=ratings.voltage_max_v,
        voltage_min_v=ratings.voltage_min_v,
        fault_stop=intent.fault_stop,
        telemetry=telemetry,
        charge_w=max(0.0, intent.offer_high_w),
        discharge_w=min(0.0, intent.offer_low_w),
        setpoint_w=intent.power_w if flows else 0.0,
    )
