"""Laws of ISO 15118-20 sessions under any order of messages, hardware and time.

No order closes a contactor without the station's word, a lock, C or D, a passed cable
check and a precharge (AC: without a start). Any message is answered whole or ends it.
"""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from chargerd.model import CertificateAnswer, VehicleDemand, VehiclePhase
from chargerd.vehicle.iso15118 import exi
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.exi.codec import codec
from chargerd.vehicle.iso15118.messages import ac, common, dc
from chargerd.vehicle.iso15118.messages.common_types import (
    DisplayParameters,
    MessageHeader,
    V2GRequest,
)
from chargerd.vehicle.iso15118.messages.declare import Complex
from firmware_bridge.api import PilotState
from tests.exi_random import Maker, roots
from tests.unit.vehicle_iso.secc.car20 import SETUP_20, Car, r

SERVICES = (1, 2, 5, 6, 8, 9)
PROGRESS = ("Start", "Stop", "Standby", "ScheduleRenegotiation")
ENERGISED = ("cable_check", "ready_ac")  # here a good vehicle shows C
GOOD_OHM = 100_000.0
numbers = st.sampled_from([-5e4, -400.0, -1.0, 0.0, 1.0, 200.0, 380.0, 420.0, 5e4])


class AnyOrder(RuleBasedStateMachine):
    """Hardware that does or does not obey, a vehicle that says whatever it likes."""

    @initialize(energy=st.sampled_from(SERVICES), parameter_set=st.sampled_from((1, 2)))
    def begin(self, energy: int, parameter_set: int) -> None:
        self.car = Car(energy, parameter_set, setup=replace(SETUP_20, receipt_s=5.0))
        self.before = VehicleDemand()
        self.allowed = True  # the station's word in its newest offer
        self.gone = False
        self.tested = self.matched = self.started = False
        self.coming: tuple[int, str] | None = None

    # -- what is seen on the way -----------------------------------------------------

    def heard(self, answer: Any) -> None:
        """Notes the steps that a contactor needs, from the answers alone."""
        if answer is None:
            return
        name, code = type(answer).__name__, answer.ResponseCode
        assert not (
            code.startswith("FAILED") and self.car.at not in ("failed", "ended")
        )
        if name == "ServiceSelectionRes" and code == "OK":
            self.tested = self.matched = self.started = False
        if name == "DC_CableCheckRes" and code == "OK":
            self.tested |= answer.EVSEProcessing == "Finished"
        if name == "DC_PreChargeRes" and code == "OK":
            self.matched = self.tested

    def tick(self, seconds: float = 0.05) -> None:
        plant = self.car.plant
        for _ in range(max(1, round(seconds / 0.05))):
            self.happen()
            self.allowed = (
                plant.energise and not plant.fault_stop and "silent" not in plant.broken
            )
            self.car.run()
            self.look()
        if self.car.session.on_timer(plant.now):
            self.gone = True
        self.look()

    def happen(self) -> None:
        """What was to come comes, in the middle of whatever goes on."""
        if self.coming is None:
            return
        ticks, what = self.coming
        self.coming = (ticks - 1, what) if ticks > 0 else None
        plant = self.car.plant
        if ticks > 0:
            return
        if what == "pilot":
            plant.pilot = PilotState.B
        elif what == "insulation":
            plant.ohm = 5_000.0
        elif what == "lock":
            plant.locked = False
            plant.broken |= {"lock"}
        else:  # the station wants no more, but the voltage stays
            plant.energise = False
            plant.broken |= {"stage_voltage"}

    def look(self) -> None:
        """Each closing of a contactor, at the moment it is asked for."""
        now, plant = self.car.state.demand, self.car.plant
        if now.close_dc and not self.before.close_dc:
            assert self.allowed
            assert self.tested
            assert self.matched
            assert plant.pilot in (PilotState.C, PilotState.D)
            assert plant.locked
            assert plant.ohm is not None
            assert not plant.emergency_stop
        if now.close_ac and not self.before.close_ac:
            assert self.allowed
            assert self.started
            assert plant.pilot in (PilotState.C, PilotState.D)
            assert plant.locked
        if self.gone:
            assert not now.close_ac
            assert not (now.close_dc and not self.before.close_dc)
        self.before = now

    # -- the vehicle -----------------------------------------------------------------

    @precondition(lambda self: not self.gone)
    @rule(times=st.integers(1, 20))
    def go_on(self, times: int) -> None:
        """Some good steps, so that the deep states are reached."""
        for _ in range(times):
            if self.gone or not self.one_good_step():
                return

    @precondition(lambda self: self.gone)
    @rule(
        energy=st.sampled_from(SERVICES),
        parameter_set=st.sampled_from((1, 2)),
        times=st.integers(0, 30),
    )
    def come_back(self, energy: int, parameter_set: int, times: int) -> None:
        """The next vehicle, at a station that is whole again."""
        self.begin(energy, parameter_set)
        self.go_on(times)

    def one_good_step(self) -> bool:
        car = self.car
        way: dict[str, Any] = {
            "setup": car.setup,
            "authorization_setup": lambda: car.say(common.AuthorizationSetupReq),
            "authorization": car.authorise,
            "service_discovery": lambda: car.say(common.ServiceDiscoveryReq),
            "service_detail": self.detail_and_select,
            "parameters_dc": car.parameters,
            "parameters_ac": car.parameters,
            "schedule_dc": car.schedule,
            "schedule_ac": car.schedule,
            "reschedule_dc": car.schedule,
            "reschedule_ac": car.schedule,
            "cable_check": car.cable_check,
            "pre_charge_first": car.precharge,
            "pre_charge": self.match_and_start,
            "ready_ac": self.start,
            "restart_dc": self.start,
            "restart_ac": self.start,
            "started_dc": self.loop,
            "started_ac": self.loop,
            "loop_dc": self.loop,
            "loop_ac": self.loop,
            "welding": lambda: car.welding("Finished"),
        }
        act = way.get(car.at)
        if act is None:
            return False
        if car.plant.pilot is PilotState.B and car.at in ENERGISED:
            car.plant.pilot = PilotState.C
            self.tick()
        self.heard(act())
        self.look()
        self.tick(0.2 if "check" in car.at else 0.05)
        return True

    def detail_and_select(self) -> Any:
        self.heard(self.car.detail())
        return self.car.select()

    def match_and_start(self) -> Any:
        for _ in range(20):
            answer = self.car.precharge()
            self.heard(answer)
            if self.car.at != "pre_charge":
                return answer
            self.tick(0.1)
        self.car.plant.ev_closed = True
        return self.start()

    def start(self, **more: Any) -> Any:
        self.started = True
        return self.car.power("Start", **more)

    def loop(self) -> Any:
        """As `Car.loop`, without the pause behind it."""
        car = self.car
        kind = dc.DC_ChargeLoopReq if car.direct else ac.AC_ChargeLoopReq
        fields: dict[str, Any] = {"CLReqControlMode": car.mode()}
        if car.direct:
            fields["EVPresentVoltage"] = r(car.plant.battery_v)
        return car.say(kind, MeterInfoRequested=True, **fields)

    @precondition(lambda self: not self.gone)
    @rule(word=st.sampled_from(["a", "b", "c", "d", "e", "f"]), number=numbers)
    def say_before_power(self, word: str, number: float) -> None:
        """Anything of setup, whenever."""
        car = self.car
        self.answered(
            {
                "a": car.setup,
                "b": lambda: car.say(common.AuthorizationSetupReq),
                "c": car.authorise,
                "d": lambda: car.say(common.ServiceDiscoveryReq),
                "e": car.detail,
                "f": lambda: car.parameters(EVMaximumChargePower=number),
            }[word]
        )

    @precondition(lambda self: not self.gone)
    @rule(
        word=st.sampled_from(["a", "b", "c", "d", "e", "f", "g"]),
        progress=st.sampled_from(PROGRESS),
        number=numbers,
        stop=st.sampled_from(["Pause", "Terminate", "ServiceRenegotiation"]),
    )
    def say_of_power(self, word: str, progress: Any, number: float, stop: Any) -> None:
        """Anything of power, whenever."""
        car = self.car
        self.answered(
            {
                "a": car.schedule,
                "b": car.cable_check,
                "c": lambda: car.precharge(number),
                "d": lambda: self.power(progress, number),
                "e": self.loop,
                "f": car.welding,
                "g": lambda: car.stop(stop),
            }[word]
        )

    def power(self, progress: Any, number: float) -> Any:
        profile = self.car.profile((number,))
        if progress == "Start":
            return self.start(EVPowerProfile=profile)
        return self.car.power(progress, EVPowerProfile=profile)

    def answered(self, act: Any) -> None:
        self.heard(act())
        self.look()
        if self.car.answer.close:
            self.gone = True
            self.car.session.disconnected(self.car.plant.now)

    @precondition(lambda self: not self.gone)
    @rule(
        soc=st.integers(0, 100),
        floor=st.integers(0, 100),
        asked=st.lists(numbers, min_size=4, max_size=4),
    )
    def loop_with_odd_numbers(self, soc: int, floor: int, asked: list[float]) -> None:
        car = self.car
        limits = {"EVMaximumChargePower": asked[0], "EVMinimumChargePower": asked[1]}
        if car.both:
            limits["EVMaximumDischargePower"] = asked[2]
            limits["EVMinimumDischargePower"] = asked[3]
        mode: Any = car.mode(**limits)
        fields: dict[str, Any] = {"CLReqControlMode": mode, "MeterInfoRequested": True}
        kind: type[Complex] = ac.AC_ChargeLoopReq
        if car.direct:
            kind, fields["EVPresentVoltage"] = (
                dc.DC_ChargeLoopReq,
                r(car.plant.battery_v),
            )
        shown = DisplayParameters(PresentSOC=soc, MinimumSOC=floor)
        self.answered(lambda: car.say(kind, DisplayParameters=shown, **fields))

    @precondition(lambda self: not self.gone)
    @rule()
    def speak_for_another_session(self) -> None:
        kept, self.car.id = self.car.id, bytes(range(40, 48))
        if self.car.at != "setup":
            self.answered(self.car.authorise)
        self.car.id = kept

    # -- hardware and station ----------------------------------------------------------

    @rule(seconds=st.sampled_from([0.05, 0.1, 0.3, 1.0, 3.0]))
    def time(self, seconds: float) -> None:
        self.tick(seconds)

    @rule(
        pilot=st.sampled_from([PilotState.A, PilotState.B, PilotState.C, PilotState.D])
    )
    def pilot(self, pilot: PilotState) -> None:
        self.car.plant.pilot = pilot

    @rule(what=st.sampled_from(["lock", "contactor", "stage", "insulation", "silent"]))
    def break_or_mend(self, what: str) -> None:
        self.car.plant.broken ^= {what}

    @rule(
        energise=st.sampled_from([True, True, True, False]),
        ohm=st.sampled_from([None, 5_000.0, GOOD_OHM, 1e6, 1e6, 1e6]),
        number=st.integers(0, 3),
    )
    def station(self, energise: bool, ohm: float | None, number: int) -> None:
        """Its word, its monitor, and a late answer of the central system."""
        plant = self.car.plant
        plant.energise, plant.ohm = energise, ohm
        self.car.saying = {"certificate_answer": CertificateAnswer(number, b"\x80")}

    @rule(setpoint=st.sampled_from([-60.0, 0.0, 60.0]), metered=st.integers(0, 10**6))
    def dispatch(self, setpoint: float, metered: int) -> None:
        self.car.plant.setpoint_a, self.car.plant.meter_wh = setpoint, float(metered)

    @rule(volts=st.sampled_from([0.0, 380.0, 470.0]), stuck=st.booleans())
    def stage_voltage(self, volts: float, stuck: bool) -> None:
        """A stage that has a voltage whatever it was told."""
        self.car.plant.stage_v = volts
        self.car.plant.broken -= {"stage_voltage"}
        self.car.plant.broken |= {"stage_voltage"} if stuck else set()

    @rule(closed=st.booleans())
    def vehicle_contactor(self, closed: bool) -> None:
        self.car.plant.ev_closed = closed and self.car.plant.dc_closed

    @rule(how=st.sampled_from(["emergency", "unplug", "connection", "fault"]))
    def end_it(self, how: str) -> None:
        plant, session = self.car.plant, self.car.session
        if how == "emergency":
            plant.emergency_stop = True
        elif how == "fault":
            plant.fault_stop = True
        elif how == "connection":
            session.disconnected(plant.now)
            self.gone = True
        else:
            plant.pilot = PilotState.A
            session.unplugged(plant.now)
            self.gone = True
            assert not self.car.state.demand.close_dc
            assert not self.car.state.demand.close_ac
            assert session.paused() is None
        self.look()

    # -- always ------------------------------------------------------------------------

    @invariant()
    def what_the_heart_sees(self) -> None:
        state = self.car.state
        demand, limits = state.demand, state.limits
        assert not (demand.close_dc and demand.close_ac)
        assert demand.lock or not demand.close_dc
        if state.phase is VehiclePhase.ENERGY:
            assert demand.close_dc or demand.close_ac
        assert math.isfinite(demand.voltage_v)
        assert 0.0 <= demand.voltage_v <= 500.0
        if limits is not None:
            assert limits.charge_a >= 0.0
            assert limits.discharge_a <= 0.0
            assert limits.discharge_allowed or limits.discharge_a == 0.0
            assert (limits.charge_w or 0.0) >= 0.0
            assert (limits.discharge_w or 0.0) <= 0.0
            assert self.car.both or not limits.discharge_allowed

    @invariant()
    def the_session_has_a_timer_while_it_lives(self) -> None:
        if not self.gone and self.car.at != "ended":
            assert self.car.session.next_timer() is not None


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, print_blob=True
)


# --- one surprise in a session that goes well ----------------------------------------


@pytest.mark.parametrize("energy", [5, 6])
@pytest.mark.parametrize("what", ["pilot", "insulation", "lock", "unwanted"])
def test_a_surprise_at_any_moment(what: str, energy: int) -> None:
    """Every third tick from the plug to the loop: `look` judges each closing."""
    for ticks in range(0, 120, 3) if energy == 6 else range(30):
        machine = AnyOrder()
        machine.begin(energy, 1)
        machine.coming = (ticks, what)
        machine.go_on(times=40)
        machine.tick(0.3)


# --- any message ----------------------------------------------------------------------

DEEP = ("setup", "authorization", "service_detail", "pre_charge", "loop_dc", "loop_ac")


@pytest.mark.parametrize("schema", ["common", "dc", "ac"])
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    at=st.sampled_from(DEEP),
    parameter_set=st.integers(1, 2),
)
def test_any_valid_message_in_any_state(
    schema: str, seed: int, at: str, parameter_set: int
) -> None:
    """It is answered by a message that can be sent, or the connection is closed."""
    car = Car(5 if at.endswith("ac") else 6, parameter_set)
    car.to(at)
    maker = Maker(codec(schema).grammar.schema, Random(seed))
    kinds = [
        root
        for root in roots(codec(schema).grammar.schema)
        if isinstance(root.type, type) and issubclass(root.type, V2GRequest)
    ]
    for root in kinds:
        message: Any = maker.message(root)
        message.Header = MessageHeader(SessionID=car.id, TimeStamp=0)
        answer = car.session.request(message, car.plant.now, b"")
        assert answer.close or answer.open or answer.message is not None
        if answer.message is not None:
            exi.encode(answer.message)
        car.run()
        if answer.close:
            return


@pytest.mark.parametrize("schema", ["common", "dc", "ac"])
@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=200))
def test_any_bytes_that_are_a_message(schema: str, data: bytes) -> None:
    try:
        message = exi.decode(schema, b"\x80" + data)
    except V2gError:
        return
    car = Car()
    car.to("authorization_setup")
    answer = car.session.request(message, car.plant.now, data)
    assert answer.close or answer.message is not None
