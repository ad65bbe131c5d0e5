"""What the station says: one cycle of frames from one view.

Order on the bus is 108, 109, (118), 208, 209, (708). Measured values are true values;
the one exception (109.3, a Leaf quirk) is off unless configured.
"""

from __future__ import annotations

from chargerd.vehicle.chademo.causes import (
    OUR_MALFUNCTION,
    SYSTEM_MALFUNCTION,
    StopCause,
)
from chargerd.vehicle.chademo.frames import (
    MakerOption,
    StationCaps,
    StationDischarge,
    StationExtended,
    StationFrame,
    StationSequence,
    StationStatus,
    encode,
)
from chargerd.vehicle.chademo.session import Session
from chargerd.vehicle.chademo.steps import Step
from chargerd.vehicle.chademo.view import View

PERIOD_S = 0.1
PROTOCOL_2_0 = 3  # 102.0 and 109.0 of CHAdeMO 2.0, the first with 110 and 118
PULSE_S = 1.0
ENDLESS_LEFT_S = 60.0  # shown at least, while 101's time does not end the session

_CHARGING = frozenset({Step.ENERGY, Step.RAMP_DOWN})


def speak(session: Session, view: View) -> tuple[tuple[int, bytes], ...]:
    """The frames of one 100 ms cycle, encoded, in order."""
    frames: list[StationFrame] = [
        StationCaps(
            available_v=view.available_v,
            available_a=session.charge.advertised_a,
            threshold_v=view.threshold_v,
        ),
        _status(session, view),
    ]
    if view.config.protocol_number >= PROTOCOL_2_0 and view.peer.extended:
        frames.append(StationExtended())
    if view.v2h:
        frames += _v2h(view)
    if view.config.maker_code and view.peer.maker:
        frames.append(MakerOption(view.config.maker_code))
    return tuple(encode(frame) for frame in frames)


def says_running(session: Session) -> bool:
    """109.5.5 = 0. A vehicle takes only its rise for a stop: one that comes before the
    first frame of ENERGY is told a frame later, else the vehicle stays closed."""
    unheard = session.start_told_mono is None and not session.hurry
    return session.step is Step.ENERGY or (session.step is Step.RAMP_DOWN and unheard)


def _status(session: Session, view: View) -> StationStatus:
    """109. A charge current that is not charging is 0 here; 208.0 shows discharge."""
    seen_v = view.connector_v
    return StationStatus(
        protocol=view.config.protocol_number,
        voltage_v=view.voltage_v if seen_v is None else seen_v,
        current_a=_shown_charge_a(session, view),
        discharge_compatible=view.v2h,
        charging=session.step in _CHARGING,
        malfunction=session.cause in OUR_MALFUNCTION,
        locked=view.locked,
        incompatible=session.cause is StopCause.INCOMPATIBLE,
        system_malfunction=session.cause in SYSTEM_MALFUNCTION,
        stopped=not says_running(session),
        remaining_s=_remaining_s(view),
    )


def _shown_charge_a(session: Session, view: View) -> float:
    """109.3, with the configured pulse of 1 A against the Leaf's 6-minute limit."""
    measured_a = max(0.0, view.current_a)
    every_s = view.config.current_pulse_s
    if session.step is Step.ENERGY and view.v2h and every_s > 0.0:
        since_s = (view.now_mono - session.energy_mono) % every_s
        if since_s < PULSE_S and measured_a < 1.0:
            return 1.0
    return measured_a


def _remaining_s(view: View) -> float | None:
    if view.left_s is None:
        return None
    return max(ENDLESS_LEFT_S, view.left_s) if view.endless else max(0.0, view.left_s)


def _v2h(view: View) -> tuple[StationFrame, StationFrame]:
    """208 and 209. 208.3 is our rating: the vehicle's 200.0 must not depend on us."""
    estimate = view.peer.discharge_estimate
    minutes = estimate.completion_min if estimate else 0
    return (
        StationDischarge(
            present_a=min(0.0, view.current_a),
            min_input_v=view.ratings.voltage_min_v,
            max_input_a=-view.ratings.discharge_max_a,
            lower_threshold_v=view.lower_v,
        ),
        StationSequence(view.config.sequence_number, max(1, minutes)),
    )
