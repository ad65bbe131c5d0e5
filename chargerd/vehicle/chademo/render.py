"""The session as the heart sees it: limits, demand and phase as one VehicleState.

Discharge permission is decided here from the peer's half and ours. Pure reading.
"""

from __future__ import annotations

from chargerd.model import VehicleDemand, VehicleLimits, VehiclePhase, VehicleState
from chargerd.vehicle.chademo.session import Session
from chargerd.vehicle.chademo.steps import STEPS, Step
from chargerd.vehicle.chademo.view import View

DISCHARGE_HYSTERESIS_V = 5.0  # ours: above 200.4-5 by this before discharge is back


def render(session: Session, view: View) -> VehicleState:
    """The door's whole view. Outside ENERGY both currents are 0."""
    if session.step is Step.IDLE:
        return VehicleState()
    phase = STEPS[session.step].phase
    if session.step is Step.DONE and session.faults:
        phase = VehiclePhase.FAULT
    peer = view.peer
    return VehicleState(
        protocol="chademo",
        phase=phase,
        limits=_limits(session, view) if peer.talking else None,
        demand=_demand(session, view),
        soc_pct=peer.soc_pct,
        soc_at_mono=peer.status_at_mono,
        capacity_wh=peer.capacity_wh,
        stop_cause=session.cause.value if session.cause else "",
        faults=frozenset(session.faults),
    )


def _limits(session: Session, view: View) -> VehicleLimits:
    peer = view.peer
    energy = session.step is Step.ENERGY
    margin_v = 0.0 if session.may_discharge else DISCHARGE_HYSTERESIS_V
    session.may_discharge = (
        energy
        and view.v2h
        and peer.may_discharge(view.voltage_v, margin_v, view.now_mono)
    )
    discharge_a = 0.0
    if session.may_discharge and peer.discharge is not None:
        discharge_a = max(peer.discharge.discharge_a, -view.ratings.discharge_max_a)
    return VehicleLimits(
        at_mono=peer.status_at_mono,
        charge_a=session.charge.limit_a if energy and not view.full else 0.0,
        discharge_a=discharge_a,
        voltage_max_v=view.ceiling_v,
        voltage_min_v=peer.battery_min_v,
        requested_a=peer.request_a,
        discharge_allowed=session.may_discharge,
    )


def _demand(session: Session, view: View) -> VehicleDemand:
    """Pins from the table; voltage and current as the step wants them."""
    step, row, pins = session.step, STEPS[session.step], session.pins
    volts = amperes = 0.0
    if step is Step.TEST:
        volts, amperes = view.threshold_v, view.times.test_a
    elif step in (Step.MATCH, Step.JOIN, Step.REQUEST):
        volts = session.battery_v
        if view.sensed and step is not Step.REQUEST:
            amperes = view.times.test_a  # hold the output until our contactor is closed
    elif step is Step.ENERGY:
        volts = view.ceiling_v
    return VehicleDemand(
        d1=pins.d1,
        d2=pins.d2,
        lock=pins.lock,
        close_dc=pins.close_dc,
        insulation_on=row.insulation,
        voltage_v=volts,
        current_a=amperes,
        cutoff_v=view.lower_v if step is Step.ENERGY else 0.0,
    )
