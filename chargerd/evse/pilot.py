"""IEC 61851-1 control pilot: duty from current, and when the AC contactor may close.

Owns the PWM rules (Table A.8: 6-51 A linear, 51-80 A), the 5 s between changes and the
AC contactor. Must never close it outside C and D. When which duty is shown: `hlc.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from firmware_bridge.api import PilotState

STEADY = 1.0  # +12 V: no energy offered
STATE_F = 0.0  # -12 V: station not available
DIGITAL = 0.05  # high-level communication is required (ISO 15118, DIN 70121)
MIN_A = 6.0
MAX_A = 80.0
CHANGE_S = 5.0  # the vehicle has 5 s to follow, so PWM changes no faster
STOP_S = 3.0  # the vehicle has 3 s to reduce current after PWM has gone [K]
READY = (PilotState.C, PilotState.D)
PLUGGED = (PilotState.B, PilotState.C, PilotState.D)


def duty_for_current(current_a: float) -> float:
    """Duty 0..1 that offers at most `current_a`; below 6 A (and NaN) STEADY."""
    if not current_a >= MIN_A:
        return STEADY
    if current_a <= 51.0:
        return current_a / 60.0
    return min(current_a, MAX_A) / 250.0 + 0.64


def current_for_duty(duty: float) -> float:
    """The current a duty offers; 0 A outside 10 %..96 %."""
    if 0.10 <= duty <= 0.85:
        return max(MIN_A, duty * 60.0)
    if 0.85 < duty <= 0.96:
        return (duty - 0.64) * 250.0
    return 0.0


@dataclass(frozen=True, slots=True)
class Pwm:
    """What the pilot is driven with, and since when."""

    duty: float = STEADY
    changed_mono: float = -1.0e9


def step(pwm: Pwm, wanted: float, now_mono: float) -> Pwm:
    """Move to `wanted`: at once to stop, else at most one change in 5 s."""
    if wanted == pwm.duty:
        return pwm
    stop = wanted in (STEADY, STATE_F)
    start = pwm.duty in (STEADY, STATE_F)
    waited = now_mono - pwm.changed_mono >= CHANGE_S
    if stop or waited or (start and now_mono - pwm.changed_mono >= 1.0):
        return Pwm(wanted, now_mono)
    return pwm


def offers_energy(duty: float) -> bool:
    """True while the PWM invites the vehicle to draw current."""
    return 0.08 <= duty <= 0.97


@dataclass(frozen=True, slots=True)
class AcPath:
    """The AC contactor: closed or not, and since when the offer is gone."""

    closed: bool = False
    withdrawn_mono: float | None = None


def step_contactor(
    path: AcPath,
    state: PilotState,
    *,
    energised: bool,
    invited: bool,
    flowing: bool,
    now_mono: float,
) -> AcPath:
    """Close in C/D when the vehicle is `invited`: by a nominal duty, or at 5 % by what
    was talked. Open within the tick when the state leaves.

    A normal stop (offer withdrawn) waits until the vehicle draws less than 1 A, at most
    3 s, so that the contactor does not break load. IEC 61851-1 Table A.6 seq 8.1:
    leaving C/D opens within 100 ms.
    """
    if state not in READY:
        return AcPath()
    if energised and invited:
        return AcPath(closed=True)
    if not path.closed:
        return AcPath()
    since = path.withdrawn_mono if path.withdrawn_mono is not None else now_mono
    if not flowing or now_mono - since >= STOP_S:
        return AcPath()
    return AcPath(closed=True, withdrawn_mono=since)
