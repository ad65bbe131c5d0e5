"""One function per step: where to go next, why to stop, or None to stay.

Each reads one View and what the session remembers; none acts on anything outside.
"""

from __future__ import annotations

from collections.abc import Callable

from chargerd.vehicle.chademo.causes import StopCause
from chargerd.vehicle.chademo.session import Session
from chargerd.vehicle.chademo.steps import Step
from chargerd.vehicle.chademo.view import View

Next = Step | StopCause | None


def _wake(session: Session, view: View) -> Next:
    return Step.READY if view.peer.talking else None


def _ready(session: Session, view: View) -> Next:
    """k (pin) and 102.5.0 (bus) together, then the compatibility check."""
    permitted = view.pilot is not None and view.pilot.chademo_permission
    if not (permitted and view.peer.ready):
        return None
    if not _compatible(view):
        return StopCause.INCOMPATIBLE
    session.ready_mono = view.now_mono
    return Step.LOCK


def _compatible(view: View) -> bool:
    """102.1-2 <= 108.1-2, battery and output ranges meet, protocol 0.9 or newer."""
    status, limits = view.peer.status, view.peer.limits
    return (
        status is not None
        and limits is not None
        and status.protocol >= 1
        and status.target_voltage_v <= view.available_v
        and limits.min_voltage_v <= view.available_v
        and limits.max_voltage_v >= view.ratings.voltage_min_v
    )


def _lock(session: Session, view: View) -> Next:
    return Step.PROVE if view.locked else None


def _prove(session: Session, view: View) -> Next:
    return Step.TEST if view.below(view.times.dead_v) else None


def _test(session: Session, view: View) -> Next:
    """The whole test voltage, a valid value above the limit, no alarm."""
    reading = view.insulation
    if reading is None or view.stage is None:
        return None
    if reading.alarm or reading.device_fault:
        return StopCause.CABLE_CHECK
    ohm = reading.resistance_ohm
    good = (
        ohm is not None
        and ohm >= view.times.insulation_ohm
        and view.voltage_v >= view.times.test_share * view.threshold_v
    )
    steady = session.steady(good, view.times.settle_s, view.now_mono)
    return Step.SINK if steady else None


def _sink(session: Session, view: View) -> Next:
    if not view.below(view.times.sunk_v):
        return None
    return Step.CLOSE if view.sensed else Step.FIRST_JOIN


def _first_join(session: Session, view: View) -> Next:
    """Our contactor alone: battery voltage now means the vehicle's is welded."""
    if view.connector_v is not None and view.connector_v >= view.times.touch_v:
        return StopCause.EV_CONTACTOR
    joined = _joined(view) and view.below(view.times.sunk_v)
    steady = session.steady(joined, view.times.settle_s, view.now_mono)
    return Step.CLOSE if steady else None


def _joined(view: View) -> bool:
    """Mirror contact closed; a board without one has only the settling time."""
    return view.pilot is not None and view.pilot.dc_closed is not False


def _close(session: Session, view: View) -> Next:
    if view.peer.contactor_flag:
        return None if view.peer.contactor_open else Step.MATCH
    waited_s = view.now_mono - session.step_mono
    return Step.MATCH if waited_s >= view.times.old_contactor_s else None


def _match(session: Session, view: View) -> Next:
    """Battery and output at one voltage, within what both sides allow."""
    battery_v = _seen_battery_v(view)
    if battery_v is None or view.stage is None:
        session.steady_since_mono = None
        return None
    session.battery_v = battery_v
    fits = abs(view.voltage_v - battery_v) <= view.times.match_v
    steady = session.steady(fits, view.times.settle_s, view.now_mono)
    return Step.JOIN if steady else None


def _seen_battery_v(view: View) -> float | None:
    """The battery's voltage as it shows at the connector, else as 103 says it."""
    volts = view.connector_v
    if volts is None and view.peer.battery is not None:
        volts = view.peer.battery.voltage_v
    if volts is None or not view.times.touch_v <= volts <= view.threshold_v:
        return None
    return volts


def _join(session: Session, view: View) -> Next:
    steady = session.steady(_joined(view), view.times.settle_s, view.now_mono)
    return Step.REQUEST if steady else None


def _request(session: Session, view: View) -> Next:
    """A charge request, or from a V2H car a discharge limit, is the go."""
    discharge = view.peer.discharge
    gives = view.v2h and discharge is not None and discharge.discharge_a < 0.0
    if view.peer.request_a <= 0.0 and not gives:
        return None
    session.energy_mono = view.now_mono
    return Step.ENERGY


def _ramp_down(session: Session, view: View) -> Next:
    """Out when the stop was said and the current is small; after half a second in any
    case. The start must have been said a cycle before the stop."""
    waited_s = view.now_mono - session.step_mono
    started, seen_s = session.start_told_mono, view.times.stop_seen_s
    said = started is not None and view.now_mono - started >= 2 * seen_s
    small = view.stage is not None and abs(view.current_a) <= view.times.open_a
    ready = small and (said or session.hurry)
    if waited_s < (seen_s if ready else view.times.ramp_down_s):
        return None
    return Step.RELEASE if session.hurry else Step.OPEN


def _open(session: Session, view: View) -> Next:
    """Until 102.5.3 is 1 and the voltage has gone: nothing is welded."""
    if session.hurry:
        return Step.RELEASE
    dead = view.connector_v is None or view.connector_v < view.times.dead_v
    if view.peer.contactor_flag:
        opened = view.peer.contactor_open
    else:
        opened = view.now_mono - session.step_mono >= view.times.old_contactor_s
    session.live = view.connector_v is not None and (
        view.connector_v >= view.times.touch_v
    )
    return Step.RELEASE if dead and opened else None


def _release(session: Session, view: View) -> Next:
    """d2 is off; unlock only a connector that is not known to be live."""
    waited_s = view.now_mono - session.step_mono
    if waited_s < view.times.d2_to_d1_s:
        return None
    if view.unplugged:
        return Step.UNLOCK
    if view.sensed and view.connector_v is not None:
        session.live = view.connector_v >= view.times.touch_v
    if session.live:
        return None if view.sensed else StopCause.LIVE_CONNECTOR
    told = view.peer.contactor_flag and view.peer.contactor_open
    blind = waited_s >= view.times.blind_release_s
    return Step.UNLOCK if told or blind else None


def _unlock(session: Session, view: View) -> Next:
    return None if view.locked else Step.DONE


def _live(session: Session, view: View) -> Next:
    """Locked until the voltage is seen gone, or the connector is."""
    volts = view.connector_v
    dead = volts is not None and volts < view.times.touch_v
    return Step.UNLOCK if dead or view.unplugged else None


def _stay(session: Session, view: View) -> Next:
    return None


HANDLERS: dict[Step, Callable[[Session, View], Next]] = {
    Step.IDLE: _stay,
    Step.WAKE: _wake,
    Step.READY: _ready,
    Step.LOCK: _lock,
    Step.PROVE: _prove,
    Step.TEST: _test,
    Step.SINK: _sink,
    Step.FIRST_JOIN: _first_join,
    Step.CLOSE: _close,
    Step.MATCH: _match,
    Step.JOIN: _join,
    Step.REQUEST: _request,
    Step.ENERGY: _stay,
    Step.RAMP_DOWN: _ramp_down,
    Step.OPEN: _open,
    Step.RELEASE: _release,
    Step.UNLOCK: _unlock,
    Step.LIVE: _live,
    Step.DONE: _stay,
}
