"""How well power follows what is asked: 20 real ticks a second through the whole heart.

The vehicle's current moves by at most 20 A/s, as CHAdeMO's does. The error is that of
the power at the meter against what the signal asks for at that moment.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from chargerd import config
from chargerd.model import Curve, DispatchSignal, OperationMode, Priority, Segment
from tests.unit.scheduler.stand import FakeBridge, FakeVehicle, Stand, make_signal

RATED_W = 7000.0
SLEW_A_PER_S = 20.0
TICK_S = 0.05
LENGTH_S = 600.0
STEP_SETTLE_S = 2.0
NOMINAL_HZ = 50.0
DROOP = Curve("frequency", ((49.8, -RATED_W), (50.0, 0.0), (50.2, RATED_W)))
AGAIN_S = 10.0  # a setpoint that stands is sent again
DELAYS_S = 30.0  # as far as the score looks for a delay
_Target = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Result:
    """`rms` and `worst` as shares of the rating; `score` for aFRR only."""

    name: str
    rms: float
    worst: float
    score: float | None = None


class SlowBridge(FakeBridge):
    """A stage whose current the vehicle lets rise and fall by 20 A/s only."""

    def step(self, mono: float, dt_s: float) -> None:
        for evse_id, command in self.commands.items():
            asked = command.stage.current_a
            if asked > 0.0:
                before = abs(self.current_a[evse_id])
                most = before + SLEW_A_PER_S * dt_s
                least = before - SLEW_A_PER_S * dt_s
                self.share[evse_id] = min(max(asked, least), most) / asked
        super().step(mono, dt_s)


def stand() -> Stand:
    """In energy, at half charge, with a battery too big to matter."""
    site = config.Site(import_w=20_000, export_w=20_000, export_permit="P")
    s = Stand(site=site, owner=config.Owner(departure="", target_soc_pct=20.0))
    slow = SlowBridge((1,))
    s.bridge, s.cycle._bridge = slow, slow
    car = FakeVehicle(soc_pct=50.0, capacity_wh=1e6)
    s.vehicles[1] = car
    s.cycle._vehicles = s.vehicles
    s.start()
    return s


def run(name: str, seed: int = 1, length_s: float = LENGTH_S) -> Result:
    """One signal, by name."""
    s = stand()
    rng = random.Random(seed)
    shapes: dict[str, Callable[[], Iterator[tuple[float, bool]]]] = {
        "step": lambda: _setpoints(s, _step, length_s, STEP_SETTLE_S, 10.0),
        "ramp": lambda: _setpoints(s, _ramp, length_s, 0.0, 1.0),
        "RegD-like": lambda: _setpoints(s, _walk(rng, 2.0, 0.08), length_s, 0.0, 2.0),
        "aFRR": lambda: _setpoints(s, _walk(rng, 4.0, 0.08), length_s, 0.0, 4.0),
        "frequency": lambda: _droop(s, rng, length_s),
    }
    asked, given, counted = [], [], []
    for target, counts in shapes[name]():
        asked.append(target)
        given.append(s.bridge.power_w[1])
        counted.append(counts)
    errors = [
        (a - g) / RATED_W for a, g, c in zip(asked, given, counted, strict=True) if c
    ]
    rms = math.sqrt(sum(e * e for e in errors) / len(errors))
    worst = max(abs(e) for e in errors)
    return Result(name, rms, worst, score(asked, given) if name == "aFRR" else None)


def score(asked: list[float], given: list[float]) -> float:
    """Mean of correlation, delay and precision, after PJM Manual 12 [K], by seconds."""
    every = round(1.0 / TICK_S)
    a, g = asked[::every], given[::every]
    best, delay = max((_correlation(a, g, d), -d) for d in range(int(DELAYS_S)))
    late = 1.0 - (-delay) / 300.0
    missed = sum(abs(x - y) for x, y in zip(a, g, strict=True))
    precision = max(0.0, 1.0 - missed / max(1.0, sum(map(abs, a))))
    return (best + late + precision) / 3.0


def _correlation(a: list[float], g: list[float], delay: int) -> float:
    x, y = a[: len(a) - delay], g[delay:]
    mx, my = sum(x) / len(x), sum(y) / len(y)
    up = sum((p - mx) * (q - my) for p, q in zip(x, y, strict=True))
    sx = math.sqrt(sum((p - mx) ** 2 for p in x))
    sy = math.sqrt(sum((q - my) ** 2 for q in y))
    return up / (sx * sy) if sx * sy > 0.0 else 0.0


def _step(at: float) -> float:
    """Up and down, through zero, in 10 s."""
    return RATED_W * (0.3, 0.9, -0.5, -1.0, 0.0, 0.6)[int(at // 10.0) % 6]


def _ramp(at: float) -> float:
    """A triangle of 2 min over the whole range."""
    share = (at / 120.0 + 0.25) % 1.0
    return RATED_W * (4.0 * abs(share - 0.5) - 1.0)


def _walk(rng: random.Random, every_s: float, step: float) -> _Target:
    """Mean-reverting, held for `every_s`, inside the rating."""
    values: list[float] = [0.0]

    def at(now: float) -> float:
        while len(values) <= int(now / every_s):
            moved = 0.97 * values[-1] + rng.gauss(0.0, step)
            values.append(min(max(moved, -0.95), 0.95))
        return RATED_W * values[int(now / every_s)]

    return at


def _setpoints(
    s: Stand, target: _Target, length_s: float, settle_s: float, every_s: float
) -> Iterator[tuple[float, bool]]:
    """A setpoint when it changes, at most each `every_s`; what is asked is what was
    sent last."""
    began, sent_at, sent = s.mono, -math.inf, math.nan
    while (at := s.mono - began) < length_s:
        wanted = target(at)
        due = at - sent_at >= every_s - 1e-6 and wanted != sent
        if due or at - sent_at >= AGAIN_S:
            sent, sent_at = wanted, at
            order = make_signal(s.mono, sent, 30.0, priority=Priority.RESERVE)
            s.cycle.signal(order)
        s.beat(TICK_S)
        yield sent, s.mono - began - sent_at > settle_s


def _droop(
    s: Stand, rng: random.Random, length_s: float
) -> Iterator[tuple[float, bool]]:
    """Ornstein-Uhlenbeck, sigma 20 mHz, tau 60 s, and the loss of a big unit."""
    began, shift, loss = s.mono, 0.0, 0.0
    segment = Segment(s.mono, OperationMode.LOCAL_FREQUENCY, 0.0, curve=DROOP)
    end = s.mono + length_s + 60.0
    s.cycle.signal(DispatchSignal("fcr", 1, Priority.RESERVE, (segment,), s.mono, end))
    while (at := s.mono - began) < length_s:
        shift += -shift * TICK_S / 60.0
        shift += rng.gauss(0.0, 0.020 * math.sqrt(2.0 * TICK_S / 60.0))
        since = at - length_s / 2.0
        if since > 0.0:  # 0.3 Hz/s down to a nadir, back in a minute
            loss = -0.15 * (math.exp(-since / 60.0) - math.exp(-since / 1.5))
        s.bridge.hertz = NOMINAL_HZ + shift + loss
        asked = DROOP.at(s.bridge.hertz + 0.005)  # the stand's meter adds 0 to 10 mHz
        s.beat(TICK_S)
        yield asked, at > 5.0


NAMES = ("step", "ramp", "RegD-like", "frequency", "aFRR")
