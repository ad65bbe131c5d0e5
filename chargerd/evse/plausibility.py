"""Does the meter tell the truth? The independent check of S37, inside 3 s.

Pure: compares the AC meter with the DC stage over a sliding window, so that polling
delays and ramps raise no alarm. Catches a silent, frozen, sign-flipped or mis-scaled
meter. Without a stage (AC path) only silence and freezing can be seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from firmware_bridge.api import MeterReading, Reading, StageReading


@dataclass(frozen=True, slots=True)
class Settings:
    """Thresholds: seconds, watts, and the share of the expected power."""

    silent_s: float = 1.5
    frozen_s: float = 2.0
    frozen_readings: int = 4  # so few identical answers are needed at least
    disagree_s: float = 1.2
    window_s: float = 1.0
    tolerance_w: float = 250.0
    tolerance_share: float = 0.2
    stage_fresh_s: float = 1.0


@dataclass(frozen=True, slots=True)
class State:
    """What the check remembers between ticks."""

    value: MeterReading | None = None
    value_mono: float = 0.0  # since when the reading is bit-identical
    seen_mono: float = 0.0
    repeats: int = 0
    expected: tuple[tuple[float, float], ...] = ()  # (mono, W) newest last
    wrong_mono: float | None = None


def _same(a: MeterReading, b: MeterReading) -> bool:
    """Bit-identical in what moves on a live grid; registers may stand still."""
    return (
        a.power_w == b.power_w
        and a.frequency_hz == b.frequency_hz
        and a.voltage_v == b.voltage_v
        and a.current_a == b.current_a
    )


def expected_ac_w(dc_w: float, efficiency: float) -> float:
    """AC power at the meter for a DC power at the stage; signs as everywhere."""
    return dc_w / efficiency if dc_w >= 0 else dc_w * efficiency


def step(
    state: State,
    meter: Reading[MeterReading] | None,
    stage: Reading[StageReading] | None,
    efficiency: float,
    now_mono: float,
    settings: Settings = Settings(),
) -> tuple[State, dict[str, str]]:
    """Returns the new state and the causes present: fault name -> what was measured.

    A meter that never answered is silent since `seen_mono` 0; the caller gives devices
    their time after a start.
    """
    causes: dict[str, str] = {}
    if meter is None:
        return state, {"MeterLost": "no reading yet"}
    age_s = meter.age_s(now_mono)
    if age_s >= settings.silent_s:  # its last word is no lie about what came after
        causes["MeterLost"] = f"last reading {age_s:.1f} s ago"
        return replace(state, expected=(), wrong_mono=None), causes
    state = _remember(state, meter)
    if _frozen(state, now_mono, settings):
        causes["MeterFrozen"] = f"{meter.value.power_w:.1f} W for {settings.frozen_s} s"
        # In doubt, but no lie about the power that this very fault ended.
        return replace(state, expected=(), wrong_mono=now_mono), causes
    state = _compare(state, meter, stage, efficiency, now_mono, settings)
    wrong = state.wrong_mono
    lies = wrong is not None and now_mono - wrong >= settings.disagree_s
    if lies and not _stands_still(state):  # that one will be called frozen, in 2 s
        nominal = state.expected[-1][1] if state.expected else 0.0
        read = meter.value.power_w
        causes["MeterImplausible"] = f"meter {read:.0f} W, stage {nominal:.0f} W"
    return state, causes


def _remember(state: State, meter: Reading[MeterReading]) -> State:
    if meter.at_mono == state.seen_mono and state.value is not None:
        return state
    at_mono = meter.at_mono
    if state.value is not None and _same(state.value, meter.value):
        return replace(state, seen_mono=at_mono, repeats=state.repeats + 1)
    return replace(
        state, value=meter.value, value_mono=at_mono, seen_mono=at_mono, repeats=0
    )


def _stands_still(state: State) -> bool:
    """Three answers alike, of values that never are. A meter of power alone may
    rightly repeat 0 W."""
    value = state.value
    moves = value is not None and bool(value.voltage_v or value.frequency_hz)
    return moves and state.repeats >= 2


def _frozen(state: State, now_mono: float, settings: Settings) -> bool:
    if not _stands_still(state):
        return False
    long = state.seen_mono - state.value_mono >= settings.frozen_s
    return long and state.repeats >= settings.frozen_readings


def _compare(
    state: State,
    meter: Reading[MeterReading],
    stage: Reading[StageReading] | None,
    efficiency: float,
    now_mono: float,
    settings: Settings,
) -> State:
    """The meter must lie in the band the stage spanned over the last window."""
    if stage is None or stage.age_s(now_mono) >= settings.stage_fresh_s:
        if state.wrong_mono is None and not state.expected:
            return state
        return replace(state, expected=(), wrong_mono=None)
    samples = state.expected
    if not samples or stage.at_mono > samples[-1][0]:
        nominal = expected_ac_w(stage.value.power_w, efficiency)
        oldest = now_mono - settings.window_s
        kept = tuple(sample for sample in samples if sample[0] >= oldest)
        samples = (*kept, (stage.at_mono, nominal))[-32:]
    powers = [power for _, power in samples]
    low, high = min(powers), max(powers)
    slack = settings.tolerance_w + settings.tolerance_share * max(abs(low), abs(high))
    since = now_mono if state.wrong_mono is None else state.wrong_mono
    agrees = low - slack <= meter.value.power_w <= high + slack
    wrong = None if agrees else since
    if samples is state.expected and wrong == state.wrong_mono:
        return state
    return replace(state, expected=samples, wrong_mono=wrong)
