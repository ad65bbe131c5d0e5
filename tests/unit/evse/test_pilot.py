"""IEC 61851-1: duty and current, five seconds between changes, the AC contactor."""

from __future__ import annotations

import math

import pytest

from chargerd.evse import pilot
from chargerd.evse.pilot import AcPath, Pwm
from firmware_bridge.api import PilotState


@pytest.mark.parametrize(
    ("amps", "duty"),
    [
        (0.0, 1.0),
        (5.9, 1.0),
        (6.0, 0.10),
        (16.0, 16 / 60),
        (32.0, 32 / 60),
        (51.0, 0.85),
        (63.0, 0.892),
        (80.0, 0.96),
        (200.0, 0.96),
        (-3.0, 1.0),
        (math.nan, 1.0),
    ],
)
def test_duty(amps: float, duty: float) -> None:
    assert pilot.duty_for_current(amps) == pytest.approx(duty)


@pytest.mark.parametrize("amps", [6.0, 10.0, 32.0, 51.0, 60.0, 80.0])
def test_current_is_the_inverse(amps: float) -> None:
    assert pilot.current_for_duty(pilot.duty_for_current(amps)) == pytest.approx(amps)


@pytest.mark.parametrize("duty", [0.0, 0.05, 0.09, 0.97, 1.0])
def test_no_current_outside_the_range(duty: float) -> None:
    assert pilot.current_for_duty(duty) == 0.0


@pytest.mark.parametrize(
    ("held", "wanted", "after_s", "moves"),
    [
        (0.3, 0.4, 4.9, False),
        (0.3, 0.4, 5.0, True),
        (0.3, 1.0, 0.0, True),
        (0.3, 0.0, 0.0, True),
        (1.0, 0.3, 0.5, False),
        (1.0, 0.3, 1.0, True),
    ],
)
def test_changes_every_5_s_but_stops_at_once(
    held: float, wanted: float, after_s: float, moves: bool
) -> None:
    after = pilot.step(Pwm(held, 100.0), wanted, 100.0 + after_s)
    assert after == (Pwm(wanted, 100.0 + after_s) if moves else Pwm(held, 100.0))


@pytest.mark.parametrize(
    ("state", "energised", "invited", "closed"),
    [
        (PilotState.C, True, True, True),
        (PilotState.D, True, True, True),
        (PilotState.B, True, True, False),
        (PilotState.A, True, True, False),
        (PilotState.E, True, True, False),
        (PilotState.F, True, True, False),
        (PilotState.UNKNOWN, True, True, False),
        (PilotState.C, False, True, False),
        (PilotState.C, True, False, False),
    ],
)
def test_closes_only_in_c_and_d(
    state: PilotState, energised: bool, invited: bool, closed: bool
) -> None:
    path = pilot.step_contactor(
        AcPath(),
        state,
        energised=energised,
        invited=invited,
        flowing=False,
        now_mono=0.0,
    )
    assert path.closed is closed


def _stop(path: AcPath, state: PilotState, flowing: bool, now: float) -> AcPath:
    return pilot.step_contactor(
        path, state, energised=False, invited=False, flowing=flowing, now_mono=now
    )


def test_normal_stop_waits_for_the_current_but_not_for_ever() -> None:
    closed = AcPath(closed=True)
    waiting = _stop(closed, PilotState.C, True, 10.0)
    assert waiting.closed
    assert not _stop(waiting, PilotState.C, False, 11.0).closed
    assert _stop(waiting, PilotState.C, True, 12.9).closed
    assert not _stop(waiting, PilotState.C, True, 13.0).closed


def test_leaving_c_opens_at_once_under_load() -> None:
    assert not _stop(AcPath(closed=True), PilotState.B, True, 10.0).closed
