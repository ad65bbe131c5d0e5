"""Laws of the CHAdeMO sequence under any order of frames, readings and time.

Security row S27: no order of messages closes the contactor without authorisation,
a confirmed lock and a passed cable check; discharge needs every permission.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from chargerd.config import Chademo
from chargerd.model import VehicleDemand, VehicleOffer, VehiclePhase
from chargerd.vehicle.chademo.sequence import Sequence
from chargerd.vehicle.chademo.view import Ratings
from firmware_bridge.api import (
    InsulationReading,
    PilotReading,
    Reading,
    StageMode,
    StageReading,
    Telemetry,
)

GOOD_OHM = 100_000.0
FRAME_IDS = (0x100, 0x101, 0x102, 0x103, 0x110, 0x200, 0x201, 0x700)
LIMITS = bytes.fromhex("00000000b3016400")


def status(enabled: bool, contactor_open: bool, request_a: int, flags: int) -> bytes:
    bits = flags & 0x96 | enabled | contactor_open << 3
    return bytes((2, 0x9A, 1, request_a, 0, bits, 60, 0))


class AnyOrder(RuleBasedStateMachine):
    """Hardware that does or does not obey, a vehicle that says whatever it likes."""

    @initialize(sense=st.sampled_from(["connector", "stage"]))
    def begin(self, sense: str) -> None:
        self.sense = sense
        self.sequence = Sequence(
            Chademo(voltage_sense=sense),  # type: ignore[arg-type]
            Ratings(150.0, 500.0, 30.0, 30.0),
        )
        self.now = 50.0
        self.energise = False
        self.pilot = PilotReading(chademo_proximity=True, locked=False)
        self.stage = StageReading(0.0, 0.0, StageMode.OFF, False)
        self.insulation = InsulationReading(1e6, voltage_v=0.0)
        self.before = VehicleDemand()
        self.lock_seen = self.checked = False
        self.tested_v = 0.0
        self.offer()

    def offer(self) -> None:
        self.sequence.command(
            VehicleOffer(
                at_mono=self.now,
                energise=self.energise,
                charge_a=20.0,
                setpoint_a=5.0,
                telemetry=Telemetry(
                    pilot=Reading(self.pilot, self.now),
                    stage=Reading(self.stage, self.now),
                    insulation=Reading(self.insulation, self.now),
                ),
            ),
            self.now,
        )
        self.look()

    def frame(self, frame_id: int, data: bytes) -> None:
        self.sequence.receive(frame_id, data, self.now)
        self.look()

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.sequence.on_timer(self.now)
        self.look()

    def look(self) -> None:
        """The laws, after every single input."""
        state = self.sequence.state()
        demand, before = state.demand, self.before
        if not before.d1 and demand.d1:
            self.checked = False
        testing = demand.insulation_on and state.phase is VehiclePhase.CABLE_CHECK
        reached = self.stage.voltage_v >= 0.9 * demand.voltage_v > 0.0
        ohm = self.insulation.resistance_ohm
        if testing and reached and ohm is not None and ohm >= GOOD_OHM:
            self.checked = True
        if demand.close_dc and not before.close_dc:
            assert self.energise
            assert self.pilot.locked
            assert self.checked
            assert not self.pilot.emergency_stop
        if demand.close_dc:
            assert self.checked
            assert demand.lock
            assert demand.d1
        if demand.d2:
            assert demand.d1
            assert demand.lock
            assert self.checked
        if state.phase is VehiclePhase.ENERGY:
            assert self.energise
            assert self.pilot.locked
            assert self.pilot.chademo_permission
        self.look_at_limits()
        self.before = demand
        self.sequence.to_send()

    def look_at_limits(self) -> None:
        state = self.sequence.state()
        limits = state.limits
        if limits is None:
            return
        assert 0.0 <= limits.charge_a <= 30.0
        assert -30.0 <= limits.discharge_a <= 0.0
        if state.phase is not VehiclePhase.ENERGY:
            assert (limits.charge_a, limits.discharge_a) == (0.0, 0.0)
        if limits.discharge_allowed:
            assert state.phase is VehiclePhase.ENERGY
            assert state.soc_pct is not None
            assert self.stage.voltage_v > 250.0
        else:
            assert limits.discharge_a == 0.0

    # -- the station ------------------------------------------------------------

    @rule(on=st.booleans())
    def wish(self, on: bool) -> None:
        self.energise = on
        self.offer()

    @rule()
    def tick(self) -> None:
        self.now += 0.05
        self.offer()

    @rule(seconds=st.sampled_from([0.01, 0.1, 0.4, 1.1, 5.0, 21.0]))
    def wait(self, seconds: float) -> None:
        self.pass_time(seconds)

    @rule(
        locked=st.sampled_from([True, False, None]),
        permission=st.booleans(),
        dc_closed=st.sampled_from([True, False, None]),
        stop=st.integers(0, 9),
    )
    def pins(
        self, locked: bool | None, permission: bool, dc_closed: bool | None, stop: int
    ) -> None:
        self.pilot = replace(
            self.pilot,
            locked=locked,
            chademo_permission=permission,
            dc_closed=dc_closed,
            emergency_stop=stop == 0,
        )
        self.offer()

    @rule(
        voltage_v=st.sampled_from([0.0, 9.0, 15.0, 240.0, 350.0, 435.0, 500.0]),
        ohm=st.sampled_from([None, 0.0, 99_999.0, 1e6]),
        seen_v=st.sampled_from([None, 0.0, 350.0]),
    )
    def measured(
        self, voltage_v: float, ohm: float | None, seen_v: float | None
    ) -> None:
        self.stage = replace(self.stage, voltage_v=voltage_v)
        self.insulation = InsulationReading(ohm, voltage_v=seen_v)
        self.offer()

    @precondition(lambda self: self.before.d1)
    @rule(
        ticks=st.integers(1, 16),
        ohm=st.sampled_from([1e6, 1e6, 99_999.0]),
        reached=st.sampled_from([1.0, 1.0, 1.0, 0.8]),
    )
    def nearly_good(self, ticks: int, ohm: float, reached: float) -> None:
        self.obey(ticks, ohm, reached)

    @precondition(lambda self: self.before.d1)
    @rule(ticks=st.integers(20, 60))
    def good(self, ticks: int) -> None:
        self.obey(ticks, 1e6, 1.0)

    def obey(self, ticks: int, ohm: float, reached: float) -> None:
        """Hardware and vehicle do for a while what a start wants, or nearly."""
        for _ in range(ticks):
            demand = self.sequence.state().demand
            battery = demand.d2
            self.now += 0.05
            volts = 350.0 if battery else demand.voltage_v * reached
            self.stage = replace(self.stage, voltage_v=volts)
            self.insulation = InsulationReading(
                ohm, voltage_v=350.0 if battery else 0.0
            )
            self.pilot = replace(
                self.pilot,
                locked=demand.lock,
                chademo_permission=True,
                dc_closed=demand.close_dc,
                emergency_stop=False,
            )
            self.offer()
            self.frame(0x100, LIMITS)
            self.frame(0x102, status(True, not battery, 5 * battery, 0x80))
            self.frame(0x200, bytes.fromhex("f0000000fa000a50"))
            self.frame(0x201, bytes.fromhex("0178006400000000"))

    # -- the vehicle and whoever else is on its bus -------------------------------

    @rule(frame_id=st.sampled_from(FRAME_IDS), data=st.binary(max_size=9))
    def garbage(self, frame_id: int, data: bytes) -> None:
        self.frame(frame_id, data)

    @rule(
        enabled=st.booleans(),
        contactor_open=st.booleans(),
        request_a=st.integers(0, 255),
        flags=st.sampled_from([0x80, 0x80, 0x80, 0x00, 0x82, 0x84, 0x90]),
    )
    def says(
        self, enabled: bool, contactor_open: bool, request_a: int, flags: int
    ) -> None:
        self.frame(0x102, status(enabled, contactor_open, request_a, flags))

    @rule(data=st.sampled_from(["ff000000fa000a50", "f0000000fa00ff00", ""]))
    def gives(self, data: str) -> None:
        self.frame(0x200, bytes.fromhex(data))

    @rule()
    def replug(self) -> None:
        for there in (False, True):
            self.pilot = replace(self.pilot, chademo_proximity=there)
            self.offer()

    @invariant()
    def counters_only_grow(self) -> None:
        if not hasattr(self, "sequence"):
            return
        counters = self.sequence.counters
        assert counters.sessions <= counters.d1_operations


AnyOrder.TestCase.settings = settings(
    max_examples=60, stateful_step_count=60, deadline=None
)
TestAnyOrder = AnyOrder.TestCase
