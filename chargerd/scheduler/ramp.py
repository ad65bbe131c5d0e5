"""How fast power may change: gradients, and the pause before the direction turns.

Pure. A stop is never ramped: the caller passes hard bounds to the envelope, and tells
this what went to the wire (`state.power_w`), so that the next ramp starts from there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

MAX_STEP_S = 0.25  # a late tick earns no bigger step than this
TO_ZERO = 2.0  # towards zero power may change so much faster


@dataclass(frozen=True, slots=True)
class Settings:
    """`up_w_per_s` is the EVSE's gradient, `grid_w_per_s` the connection's."""

    up_w_per_s: float
    grid_w_per_s: float = 1.0e9
    turn_band_w: float = 200.0
    turn_hold_s: float = 1.0

    def slowed(self, rating_w: float, ramp_s: float) -> Settings:
        """Not faster than 0 to `rating_w` in `ramp_s`; 0 s: as it is."""
        if ramp_s <= 0.0:
            return self
        return replace(self, grid_w_per_s=min(self.grid_w_per_s, rating_w / ramp_s))


@dataclass(frozen=True, slots=True)
class State:
    """Power on the wire since `at_mono`, and the last direction it had."""

    power_w: float = 0.0
    at_mono: float = 0.0
    direction: int = 0  # +1 charge, -1 discharge, 0 never
    calm_mono: float | None = None  # since when |power| is inside the turn band


def step(
    state: State, wanted_w: float, now_mono: float, settings: Settings, *, hold: bool
) -> float:
    """The power for this tick on the way to `wanted_w`.

    `hold` = the direction may turn only after `turn_hold_s` inside the band; reserve
    services pass False. NaN is 0 W.
    """
    if wanted_w != wanted_w:
        wanted_w = 0.0
    dt_s = min(max(0.0, now_mono - state.at_mono), MAX_STEP_S)
    if (
        hold
        and state.direction * wanted_w < 0.0
        and not _calm(state, now_mono, settings)
    ):
        wanted_w = 0.0
    power_w = state.power_w
    # A turn goes to zero first: this tick ends there at the furthest.
    wanted_now = 0.0 if power_w * wanted_w < 0.0 else wanted_w
    rate = settings.up_w_per_s
    if abs(wanted_now) < abs(power_w):
        rate *= TO_ZERO
    limit = min(rate, settings.grid_w_per_s) * dt_s
    return power_w + min(max(wanted_now - power_w, -limit), limit)


def _calm(state: State, now_mono: float, settings: Settings) -> bool:
    since = state.calm_mono
    return since is not None and now_mono - since >= settings.turn_hold_s


def follow(state: State, power_w: float, now_mono: float, settings: Settings) -> State:
    """The state after `power_w` went to the wire."""
    direction = state.direction
    calm = state.calm_mono
    if abs(power_w) < settings.turn_band_w:
        calm = now_mono if calm is None else calm
    else:
        calm = None
        direction = 1 if power_w > 0.0 else -1
    return State(power_w, now_mono, direction, calm)
