"""The electrical side of an ISO 15118 vehicle: battery, pilot, contactor, charger.

Pure. Owns what can really flow. The scripts say what they want; this moves in time.
"""

from __future__ import annotations

from hil.ev.base import Given, Seen
from hil.ev.battery import Battery
from hil.ev.iso15118.profile import Profile

CHARGER_EFFICIENCY = 0.92  # of the on-board charger, each way
WH_PER_PCT = 0.01


class Car:
    """`now_s` is the time of the newest step; scripts have no other clock."""

    def __init__(self, battery: Battery, profile: Profile) -> None:
        self.battery = battery
        self.profile = profile
        self.active: set[str] = set()  # misbehaviours in force
        self.seen = Seen()
        self.now_s = 0.0
        self.pilot = "B"
        self.plugged = True
        self.paused = False  # the driver's wish: nothing flows
        self.leaves = False  # the driver's wish: the session ends
        self.wanted_closed = False
        self.closed = False
        self.opened_under_load = 0
        self.ac_target_w = 0.0  # signed
        self.ac_w = 0.0
        self.ac_energy_in_wh = 0.0
        self.ac_energy_out_wh = 0.0
        self._move_at_s: float | None = None
        self._plugged_s: float | None = None

    # -- time ---------------------------------------------------------------------

    def step(self, now_s: float, dt_s: float, seen: Seen) -> Given:
        """Take what flowed, move the contactor and the charger."""
        self.now_s, self.seen = now_s, seen
        if self._plugged_s is None:
            self._plugged_s = now_s
        dc_a = seen.dc_current_a if self.closed else 0.0
        ac_dc_w = seen.ac_power_w * CHARGER_EFFICIENCY
        if seen.ac_power_w < 0.0:
            ac_dc_w = seen.ac_power_w / CHARGER_EFFICIENCY
        self.battery.step(dc_a + self.battery.current_for(ac_dc_w), dt_s)
        self.ac_energy_in_wh += max(0.0, seen.ac_power_w) * dt_s / 3600.0
        self.ac_energy_out_wh += max(0.0, -seen.ac_power_w) * dt_s / 3600.0
        self._move_contactor(now_s, dc_a)
        self._move_charger(dt_s)
        return self.given()

    def given(self) -> Given:
        if not self.plugged:
            return Given()
        return Given(
            pilot_state=self.pilot,
            contactor_closed=self.closed,
            emf_v=self.battery.emf_v,
            resistance_ohm=self.battery.resistance_ohm,
            ac_power_w=self.ac_w,
        )

    def _move_contactor(self, now_s: float, amps: float) -> None:
        stuck = "weld" if self.closed else "wont_close"
        if self.closed == self.wanted_closed or stuck in self.active:
            self._move_at_s = None
        elif self._move_at_s is None:
            self._move_at_s = now_s + self.profile.contactor_s
        elif now_s >= self._move_at_s:
            self._move_at_s = None
            self.opened_under_load += self.closed and abs(amps) > 5.0
            self.closed = self.wanted_closed

    def _move_charger(self, dt_s: float) -> None:
        """The on-board charger ramps; without a live line it is off at once."""
        target_w = self.ac_target_w
        if not self.seen.ac_live or self.pilot != "C":
            self.ac_w = 0.0
            return
        step_w = self.profile.ramp_w_per_s * dt_s
        self.ac_w = min(max(target_w, self.ac_w - step_w), self.ac_w + step_w)

    # -- what scripts do -----------------------------------------------------------

    def off(self) -> None:
        """Nothing is wanted any more: contactor open, charger off, pilot B."""
        self.wanted_closed = False
        self.ac_target_w = 0.0
        if "stay_in_c" not in self.active:
            self.pilot = "B"

    def digital(self) -> bool:
        """The duty cycle says: ISO 15118 or DIN is spoken here (3 to 7 %)."""
        if not self.profile.needs_pwm:
            return self.seen.pilot_duty > 0.0  # 0 is state F
        return 0.03 <= self.seen.pilot_duty <= 0.07

    def departure_left_s(self) -> float | None:
        """Until the driver comes back; None: it is not known."""
        if self.profile.departure_s <= 0.0 or self._plugged_s is None:
            return None
        return self._plugged_s + self.profile.departure_s - self.now_s

    # -- what it allows and wants --------------------------------------------------

    @property
    def full(self) -> bool:
        return self.battery.soc_pct >= self.profile.target_soc_pct

    @property
    def voltage_max_v(self) -> float:
        return self.battery.max_v + 5.0

    def charge_a(self) -> float:
        """What it takes now, A >= 0."""
        if self.paused or self.battery.soc_pct >= self.profile.max_soc_pct:
            return 0.0
        by_power = self.profile.charge_max_w / max(1.0, self.battery.emf_v)
        own = min(self.profile.charge_max_a, by_power)
        return min(own, self.battery.charge_limit_a())

    def discharge_a(self) -> float:
        """What it gives now, A >= 0."""
        if self.paused or self.battery.soc_pct <= self.profile.min_soc_pct:
            return 0.0
        by_power = self.profile.discharge_max_w / max(1.0, self.battery.emf_v)
        own = min(self.profile.discharge_max_a, by_power)
        return min(own, self.battery.discharge_limit_a())

    def charge_w(self) -> float:
        return self.charge_a() * self.battery.emf_v

    def discharge_w(self) -> float:
        return self.discharge_a() * self.battery.emf_v

    def ac_charge_w(self, phase_v: float = 230.0) -> float:
        """What the on-board charger takes from the grid now."""
        own_w = self.profile.ac_max_a * self.profile.ac_phases * phase_v
        return min(own_w, self.charge_w() / CHARGER_EFFICIENCY)

    def ac_discharge_w(self, phase_v: float = 230.0) -> float:
        own_w = self.profile.ac_max_a * self.profile.ac_phases * phase_v
        own_w = min(own_w, self.profile.discharge_max_w)
        return min(own_w, self.discharge_w() * CHARGER_EFFICIENCY)

    def wh_to(self, soc_pct: float) -> float:
        """Energy from here to a state of charge; negative = there is more."""
        missing_pct = soc_pct - self.battery.soc_pct
        return missing_pct * WH_PER_PCT * self.battery.capacity_wh
