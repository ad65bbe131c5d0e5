"""Whole ISO 15118-2 and DIN 70121 sessions under any order of messages and events.

A watcher of its own looks at the hardware: the contactor closes only behind
authorisation, a passed cable check, a matched voltage, a locked connector and C or D.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from chargerd.model import VehiclePhase, VehicleState
from chargerd.vehicle.iso15118 import exi
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.messages import din, iso2
from chargerd.vehicle.iso15118.secc.iso2_graph import FAILED, OVER
from firmware_bridge.api import PilotState
from tests.exi_random import Maker, roots
from tests.unit.vehicle_iso.secc import car2, car_din
from tests.unit.vehicle_iso.secc.plant import TICK_S, Plant

SLOW = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
LIVE = (PilotState.C, PilotState.D)


class Two(car2.Car):
    """An ISO 15118-2 vehicle that may say anything."""

    mode: Any = "DC_extended"

    def good(self) -> Any:
        """The next request of a session that goes well."""
        says: dict[str, Callable[[], Any]] = {
            "setup": self.setup,
            "discovery": iso2.ServiceDiscoveryReq,
            "selection": car2.select,
            "authorization": iso2.AuthorizationReq,
            "parameters": self._mode,
            "dc_again": self._mode,
            "ac_again": self._mode,
            "cable_check": self.cable_check,
            "precharge": self.precharge,
            "power": self._charge,
            "dc_power": lambda: car2.power("Start"),
            "ac_power": lambda: car2.power("Start", top_w=5_000.0),
            "current_demand": self.demand,
            "charging": iso2.ChargingStatusReq,
            "welding": self.welding,
        }
        return says.get(self.session.at, self._stop)()

    def _stop(self) -> Any:
        return iso2.SessionStopReq(ChargingSession="Terminate")

    def _mode(self) -> Any:
        dc = self.mode == "DC_extended"
        return self.parameters() if dc else self.ac_parameters()

    def _charge(self) -> Any:
        near = abs(self.plant.stage_v - 380.0) < 5.0 and self.plant.dc_closed
        return car2.power("Start") if near else self.precharge()

    def any(self, name: str, number: int) -> Any:
        """A request of this name; `number` picks its values."""
        volts, amperes = (380.0, 0.0, -50.0, 430.0)[number % 4], number * 7.0 - 50.0
        progress: Any = ("Start", "Stop", "Renegotiate")[number % 3]
        stop: Any = ("Terminate", "Pause")[number % 2]
        pays: Any = ("ExternalPayment", "Contract")[number % 2]
        says: dict[str, Callable[[], Any]] = {
            "SessionSetup": self.setup,
            "ServiceDetail": lambda: iso2.ServiceDetailReq(ServiceID=number),
            "Selection": lambda: car2.select(pays, 1),
            "Authorization": iso2.AuthorizationReq,
            "Parameters": self.parameters if number % 2 else self.ac_parameters,
            "CableCheck": self.cable_check,
            "PreCharge": lambda: self.precharge(volts),
            "PowerDelivery": lambda: car2.power(progress, schedule=1 + number // 12),
            "Loop": lambda: self.demand(amperes, ChargingComplete=number % 5 == 0),
            "Status": iso2.ChargingStatusReq,
            "Welding": self.welding,
            "Stop": lambda: iso2.SessionStopReq(ChargingSession=stop),
        }
        return says[name]()


class Din(car_din.DinCar):
    """A DIN 70121 vehicle that may say anything."""

    mode = "DC_extended"

    def good(self) -> Any:
        return {
            "setup": self.setup,
            "discovery": din.ServiceDiscoveryReq,
            "selection": car_din.select,
            "authorization": din.ContractAuthenticationReq,
            "parameters": self.parameters,
            "cable_check": self.cable_check,
            "precharge": self.precharge,
            "power": self._power,
            "current_demand": self.demand,
            "welding": self.welding,
        }.get(self.session.at, self._stop)()

    def _stop(self) -> Any:
        return din.SessionStop()

    def _power(self) -> Any:
        near = abs(self.plant.stage_v - 380.0) < 5.0 and self.plant.dc_closed
        return car_din.power(True) if near else self.precharge()

    def any(self, name: str, number: int) -> Any:
        volts, amperes = (380.0, 0.0, -50.0, 430.0)[number % 4], number * 7.0 - 50.0
        pays: Any = ("ExternalPayment", "Contract")[number % 2]
        says: dict[str, Callable[[], Any]] = {
            "SessionSetup": self.setup,
            "ServiceDetail": lambda: din.ServiceDetailReq(ServiceID=number),
            "Selection": lambda: car_din.select(pays, 1),
            "Authorization": din.ContractAuthenticationReq,
            "Parameters": self.parameters,
            "CableCheck": self.cable_check,
            "PreCharge": lambda: self.precharge(volts),
            "PowerDelivery": lambda: car_din.power(number % 2 == 0),
            "Loop": lambda: self.demand(amperes, ChargingComplete=number % 5 == 0),
            "Status": din.ServiceDiscoveryReq,
            "Welding": self.welding,
            "Stop": din.SessionStop,
        }
        return says[name]()


WORDS = ["SessionSetup", "ServiceDetail", "Selection", "Authorization", "Parameters"]
WORDS += ["CableCheck", "PreCharge", "PowerDelivery", "Loop", "Status", "Welding"]
WORDS += ["Stop"]


# --- the watcher ----------------------------------------------------------------------


@dataclass
class Watcher:
    """Sees the hardware and the session's demands, and nothing of how they come."""

    plant: Plant
    authorised: bool = False
    tested: bool = False  # full voltage over a sound insulation, then none
    high: bool = False
    closed: bool = False
    failed: bool = False
    gone: bool = False
    seen: set[str] = field(default_factory=set)

    def hardware(self, state: VehicleState) -> None:
        """After each tick of the plant."""
        plant = self.plant
        self.authorised |= plant.energise and not plant.fault_stop
        sound = plant.ohm is not None and plant.ohm >= 100_000.0 and not plant.alarm
        if state.phase is VehiclePhase.CABLE_CHECK and not plant.dc_closed:
            self.high |= plant.stage_v >= 0.9 * 470.0 and sound
            self.tested |= self.high and plant.stage_v < 60.0

    def may_close(self, dc: bool) -> None:
        """The moment a contactor closes."""
        plant = self.plant
        assert self.authorised
        assert plant.energise
        assert not plant.fault_stop
        assert not plant.emergency_stop
        assert plant.pilot in LIVE
        assert plant.locked
        assert not self.failed
        assert not self.gone
        if dc:
            assert self.tested
            assert abs(plant.stage_v - 380.0) <= 10.0

    def look(self, state: VehicleState) -> None:
        """After each input: the laws."""
        demand, limits = state.demand, state.limits
        closed = demand.close_dc or demand.close_ac
        if closed and not self.closed:
            self.seen.add("ac" if demand.close_ac else "dc")
            self.may_close(demand.close_dc)
        assert not (self.gone and state.phase is VehiclePhase.ENERGY)
        self.closed = closed
        if limits is not None:
            assert not limits.discharge_allowed
            assert limits.discharge_a == 0.0
            assert not limits.discharge_w
            assert limits.requested_a is None or limits.requested_a >= 0.0
            assert limits.charge_a >= 0.0
        assert demand.current_a >= 0.0
        assert demand.voltage_v >= 0.0
        if state.phase is VehiclePhase.ENERGY:
            self.seen.add("energy")
            assert closed


# --- what may happen ------------------------------------------------------------------


def _break(part: str) -> Callable[[Plant], None]:
    def toggle(plant: Plant) -> None:
        plant.broken ^= {part}

    return toggle


def _set(**values: Any) -> Callable[[Plant], None]:
    def act(plant: Plant) -> None:
        for name, value in values.items():
            setattr(plant, name, value)

    return act


EVENTS: dict[str, Callable[[Plant], None]] = {
    "authorised": _set(energise=True),
    "not authorised": _set(energise=False),
    "fault": _set(fault_stop=True),
    "no fault": _set(fault_stop=False),
    "emergency": _set(emergency_stop=True),
    "B": _set(pilot=PilotState.B),
    "C": _set(pilot=PilotState.C),
    "A": _set(pilot=PilotState.A),
    "car closes": _set(ev_closed=True),
    "car opens": _set(ev_closed=False),
    "earth fault": _set(ohm=10_000.0),
    "sound": _set(ohm=1e6),
    "meter": _set(meter_wh=9_000.0),
    "discharge wished": _set(setpoint_a=-20.0),
    **{part: _break(part) for part in ("lock", "contactor", "stage", "silent")},
}
GOOD = ["go"] * 25 + ["run"] * 8 + ["go and run"] * 15
STEPS = st.one_of(
    st.sampled_from(GOOD),
    st.sampled_from(GOOD),
    st.sampled_from(sorted(EVENTS)),
    st.tuples(st.sampled_from(WORDS), st.integers(0, 23)),
    st.sampled_from(["soc", "timer", "late", "wrong id", "hurry"]),
)
MOSTLY_GOOD = st.one_of(
    *[st.sampled_from(GOOD)] * 12,
    st.sampled_from(["car closes", "meter", "soc", "timer", "discharge wished"]),
    st.sampled_from(["hurry", "wrong id", "late"]),
    st.sampled_from(sorted(EVENTS)),
    st.tuples(st.sampled_from(WORDS), st.integers(0, 23)),
)


class Scene:
    """One session, one vehicle, one watcher."""

    def __init__(self, car: Any) -> None:
        self.car = car
        self.watch = Watcher(car.plant)

    def step(self, step: Any) -> None:
        car, plant = self.car, self.car.plant
        if isinstance(step, tuple):
            self.say(car.any(*step))
        elif step in EVENTS:
            EVENTS[step](plant)
            self.run(TICK_S)
        elif step in ("go", "go and run"):
            if car.session.at in ("cable_check", "ac_power") and plant.pilot in LIVE:
                plant.ev_closed = False
            if car.session.at in ("current_demand",):
                plant.ev_closed = True
            if car.session.at in ("cable_check", "ac_power"):
                plant.pilot = PilotState.C
                self.run(TICK_S)
            self.say(car.good())
            self.run(0.6 if step == "go and run" else TICK_S)
        elif step == "run":
            self.run(0.6)
        elif step == "hurry":
            for word in ("PreCharge", "PowerDelivery", "Loop"):
                self.say(car.any(word, 0))
                self.run(0.6)
        elif step == "soc":
            car.soc = (car.soc + 13) % 101
        elif step == "wrong id":
            kept, car.id = car.id, b"\x01" * 8
            self.say(car.demand())
            car.id = kept
        elif step == "late":
            car.session.late(plant.now)
        else:
            car.session.on_timer(plant.now)
        self.watch.look(car.state)

    def say(self, body: Any) -> None:
        """Every answer is whole: `car.say` sends it through the codec."""
        car = self.car
        before = car.session.at
        response = car.say(body)
        if response is not None:
            failed = response.ResponseCode.startswith("FAILED")
            if before == FAILED and car.answer.request != "SessionStopReq":
                assert failed
            if failed:
                self.watch.failed = True
                assert car.session.at in (FAILED, OVER)
        self.watch.look(car.state)

    def run(self, seconds: float, tick_s: float = TICK_S) -> None:
        car, state = self.car, self.car.state
        for _ in range(max(1, round(seconds / tick_s))):
            car.session.command(car.plant.step(state, tick_s), car.plant.now)
            state = car.state
            self.watch.hardware(state)
            self.watch.look(state)


def _cars() -> list[Callable[[], Any]]:
    def alternating() -> Any:
        car = Two()
        car.mode = "AC_three_phase_core"
        return car

    return [Two, alternating, Din]


@pytest.mark.parametrize("make", _cars(), ids=["iso2 dc", "iso2 ac", "din"])
@given(data=st.data())
@SLOW
def test_no_order_closes_the_contactor_too_early(
    make: Callable[[], Any], data: st.DataObject
) -> None:
    scene = Scene(make())
    quick = data.draw(st.booleans())
    for _ in range(data.draw(st.integers(0, 12 if quick else 24))):
        scene.step("go" if quick else "go and run")
    mostly = data.draw(st.booleans())
    steps = st.lists(MOSTLY_GOOD, max_size=40) if mostly else st.lists(STEPS)
    for step in data.draw(steps):
        scene.step(step)
    for name in scene.watch.seen:
        event(name)
    _ends(scene)


def _ends(scene: Scene) -> None:
    """A connection that is lost: power ends at once, or as it was ending already."""
    car, watch = scene.car, scene.watch
    in_order = car.session.path.ended
    car.session.disconnected(car.plant.now)
    watch.gone = True
    if not in_order:
        assert not car.state.demand.close_dc
    assert not car.state.demand.close_ac
    car.plant.broken.clear()
    car.plant.ev_closed = False
    car.plant.pilot = PilotState.A
    scene.run(12.0, 0.25)
    assert not car.state.demand.close_dc
    assert not car.state.demand.lock
    assert car.session.next_timer() is None


@pytest.mark.parametrize("make", _cars(), ids=["iso2 dc", "iso2 ac", "din"])
@pytest.mark.parametrize("mode", ["unplugged", "disconnected"])
def test_the_good_way_is_walked_by_these_steps(
    make: Callable[[], Any], mode: str
) -> None:
    """So that the property above is about sessions that reach energy."""
    scene = Scene(make())
    for _ in range(60):
        scene.step("go and run")
    assert "energy" in scene.watch.seen
    car = scene.car
    assert car.state.phase is VehiclePhase.ENERGY
    getattr(car.session, mode)(car.plant.now)
    assert not car.state.demand.close_dc
    assert not car.state.demand.close_ac


# --- any bytes, any message -----------------------------------------------------------


@given(
    st.sampled_from(["din", "iso2"]),
    st.integers(0, 12),
    st.lists(st.tuples(st.sampled_from(WORDS), st.integers(0, 23)), max_size=8),
    st.lists(st.integers(0, 400), min_size=1, max_size=3),
)
@settings(max_examples=150, deadline=None)
def test_broken_bytes_never_raise_out_of_a_session(
    schema: str, ahead: int, said: list[tuple[str, int]], bits: list[int]
) -> None:
    """Good requests with bits flipped: what decodes is answered or ends it."""
    car: Any = Din() if schema == "din" else Two()
    scene = Scene(car)
    for _ in range(ahead):
        scene.step("go")
    for word in said:
        data = bytearray(_encoded(car, car.any(*word)))
        for bit in bits:
            data[bit // 8 % len(data)] ^= 1 << bit % 8
        try:
            message = exi.decode(schema, bytes(data))
        except V2gError:
            continue
        answer = car.session.request(message, car.plant.now, bytes(data))
        if answer.message is not None:
            exi.encode(answer.message)
        scene.run(TICK_S)


def _encoded(car: Any, body: Any) -> bytes:
    header = car.m.MessageHeader(SessionID=car.id)
    return exi.encode(
        car.m.V2G_Message(Header=header, Body=car.m.Body(BodyElement=body))
    )


@given(
    st.sampled_from(["din", "iso2"]),
    st.integers(0, 10),
    st.randoms(use_true_random=False),
)
@settings(max_examples=120, deadline=None)
def test_any_message_in_any_state_is_answered(
    schema: str, ahead: int, random: Any
) -> None:
    """Random content in every element; the answer can always be sent."""
    car: Any = Din() if schema == "din" else Two()
    scene = Scene(car)
    for _ in range(ahead):
        scene.step("go")
    declared = (din if schema == "din" else iso2).SCHEMA
    bodies = [root for root in roots(declared) if root.name.endswith("Req")]
    for _ in range(4):
        body = Maker(declared, random, 0.7).message(random.choice(bodies))
        scene.say(body)
        scene.run(TICK_S)
