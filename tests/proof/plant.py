"""A vehicle with a battery, and a stand whose steps may be long.

Coarse steps: the stand holds the power of the last command for the whole step, and each
command that changes is followed at 0.25 s a tick until the power has settled. What the
50 ms between two real ticks would add is not in it, nor is the lease of a command.
"""

from __future__ import annotations

from chargerd import config
from chargerd.model import StartRequest, VehicleState
from tests.unit.scheduler.stand import EFFICIENCY, TOKEN, VOLTS, FakeVehicle, Stand

SETTLE_S = 0.25
SETTLE_MAX = 40
RATED_W = 7000.0
NO_RAMP = 1.0e6


class Car(FakeVehicle):
    """A battery that tapers above its knee; shows whole percents, with an error."""

    def __init__(self, capacity_wh: float, soc_pct: float) -> None:
        super().__init__(soc_pct=soc_pct, capacity_wh=capacity_wh)
        self.full_wh = capacity_wh
        self.true_pct = soc_pct
        self.error_pct = 0.0
        self.rated_w = RATED_W
        self.knee_pct = 80.0
        self.mute = False  # its SoC is not heard
        self.heard_mono: float | None = None

    @property
    def shown_pct(self) -> float:
        """A gauge finds itself again where the battery is full."""
        left = (100.0 - self.true_pct) / (100.0 - self.knee_pct)
        shown = self.true_pct + self.error_pct * min(1.0, left)
        return min(100.0, max(0.0, shown))

    def gain(self, ac_wh: float) -> None:
        dc_wh = ac_wh * EFFICIENCY if ac_wh > 0.0 else ac_wh / EFFICIENCY
        level = self.true_pct + 100.0 * dc_wh / self.full_wh
        self.true_pct = min(100.0, max(0.0, level))

    def charge_a(self) -> float:
        rated = self.rated_w * EFFICIENCY / VOLTS
        span = 100.0 - self.knee_pct
        share = (100.0 - self.true_pct) / span
        return rated * min(1.0, max(0.01, share))

    def amps(self) -> tuple[float, float]:
        return self.charge_a(), self.rated_w / EFFICIENCY / VOLTS

    def soc_mono(self) -> float:
        if self.heard_mono is None or not self.mute:
            self.heard_mono = self.mono
        return self.heard_mono

    def state(self) -> VehicleState:
        self.soc_pct = self.shown_pct
        return super().state()


class Site(Stand):
    """One EVSE and one car; `go` lets time pass."""

    def __init__(
        self,
        car: Car,
        *,
        owner: config.Owner,
        site: config.Site,
        with_site: bool = False,
    ) -> None:
        super().__init__(
            owner=owner, site=site, with_site=with_site, ramp_w_per_s=NO_RAMP
        )
        self.car = car
        self.vehicles[1] = car
        self.cycle._vehicles = self.vehicles
        self.derate = 1.0

    @property
    def power_w(self) -> float:
        return self.bridge.power_w[1]

    def begin(self) -> None:
        """Plug in and wait for energy, in few steps."""
        for _ in range(4):
            self.move(0.31)
        self.plug()
        self.move(0.05)
        self.cycle.request(StartRequest(1, TOKEN))
        for _ in range(14):
            self.move(0.11)

    def move(self, dt_s: float) -> None:
        """One tick, `dt_s` after the last. A charger that delivers less only charges
        less; discharge is exact."""
        charging = self.bridge.power_w[1] >= 0.0
        self.bridge.share[1] = self.derate if charging else 1.0
        self.reports.clear()
        self.beat(dt_s)
        self.car.gain(self.power_w * dt_s / 3600.0)

    def go(self, dt_s: float) -> None:
        """A step, then small ones until what was decided is done."""
        self.move(dt_s)
        for _ in range(SETTLE_MAX):
            decision = self.decision()
            settled = abs(decision.wanted_w - decision.power_w) < 1.0
            share = self.derate if decision.power_w > 0.0 else 1.0
            off_w = self.power_w - decision.power_w * share
            if settled and abs(off_w) < 0.2 * RATED_W:
                return
            self.move(SETTLE_S)
