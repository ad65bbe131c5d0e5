"""The heart and a basic AC car, tick by tick: talking first, then nominal duty.

The car is the bench's; the pilot between them reads as a board's does (our F is F).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from chargerd.model import (
    SessionPhase,
    StartRequest,
    VehicleOffer,
    VehiclePhase,
    VehicleState,
)
from firmware_bridge.api import PilotReading, PilotState
from hil.ev.base import Seen
from hil.ev.basic import BasicEv
from hil.ev.battery import Battery
from tests.unit.scheduler.stand import TOKEN, FakeVehicle, Stand

DT_S = 0.05


def port(*energies: str) -> dict[str, object]:
    return {"interface": "lo", "evse_id": "JP*ABC*E0001", "energies": energies}


@dataclass
class Story:
    """A stand and a car at its AC outlet. `duties`: (second, duty) at each change."""

    stand: Stand
    car: BasicEv
    duties: list[tuple[float, float]] = field(default_factory=list)
    closed: bool = False

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / DT_S)):
            pins = self.stand.bridge.commands[1].pins
            self.closed = pins.close_ac
            flow_w = self.car.current_a * self.car.volts if self.closed else 0.0
            now_s = self.stand.mono - 1000.0
            seen = Seen(pins.duty, ac_live=self.closed, ac_power_w=flow_w)
            given = self.car.step(now_s, DT_S, seen)
            letter = "F" if pins.duty == 0.0 else given.pilot_state
            self.stand.bridge.pilot[1] = PilotReading(
                PilotState(letter), pins.duty, dc_closed=False, ac_closed=self.closed
            )
            self.stand.beat()
            duty = self.stand.bridge.commands[1].pins.duty
            if not self.duties or abs(self.duties[-1][1] - duty) > 0.001:
                self.duties.append((round(now_s), round(duty, 3)))


def story(*, asleep: bool = False, **evse: object) -> Story:
    stand = Stand(**evse)  # type: ignore[arg-type]
    stand.run(1.0)
    made = Story(stand, BasicEv(Battery(), asleep=asleep))
    made.run(0.5)
    stand.cycle.request(StartRequest(1, TOKEN))
    return made


NOMINAL = pytest.approx(32 / 60, abs=0.001)


def test_a_car_that_cannot_talk_is_charged_after_all() -> None:
    told = story(iso15118=port("AC"))
    told.run(60.0)
    shown = told.duties
    assert [duty for _, duty in shown] == [0.05, 1.0, NOMINAL]
    assert 19 <= shown[1][0] - shown[0][0] <= 21  # it had its time to talk
    assert shown[2][0] - shown[1][0] >= 3  # X1 in the middle
    assert told.closed
    assert told.stand.phase() is SessionPhase.ENERGY


def test_at_five_percent_nothing_is_closed() -> None:
    told = story(iso15118=port("AC"))
    told.run(15.0)
    assert told.duties == [(told.duties[0][0], 0.05)]
    assert not told.closed


def test_an_outlet_without_iso_15118_offers_at_once() -> None:
    told = story()
    told.run(5.0)
    assert [duty for _, duty in told.duties] == [1.0, NOMINAL]
    assert told.closed


@pytest.mark.req("K01.FR.50")
@pytest.mark.parametrize("phases", [1, 3])
def test_a_power_is_a_current_on_each_phase(phases: int) -> None:
    told = story(ac_phases=phases)
    told.stand.setpoint(10.0 * 230.0 * phases)
    told.run(5.0)
    assert told.duties[-1][1] == pytest.approx(10 / 60, abs=0.001)


def test_a_sleeper_is_woken_and_charged() -> None:
    told = story(asleep=True)
    told.run(60.0)
    # [V2G3-M06-08]: state F, then X1 or X2; here a moment of X1.
    assert [duty for _, duty in told.duties] == [1.0, NOMINAL, 0.0, 1.0, NOMINAL]
    assert told.duties[3][0] - told.duties[2][0] >= 4
    assert told.closed
    assert told.stand.phase() is SessionPhase.ENERGY
    assert told.stand.report().snapshot.session.id  # the step was no unplug


class Talker(FakeVehicle):
    """A vehicle door whose sessions break a second after 5 % is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.talks = 0
        self._since_mono: float | None = None

    def offer(self, offer: VehicleOffer) -> None:
        pilot = offer.telemetry.pilot
        digital = pilot is not None and abs(pilot.value.duty - 0.05) < 0.001
        if not digital:
            self._since_mono = None
        elif self._since_mono is None:
            self._since_mono, self.phase = offer.at_mono, VehiclePhase.HANDSHAKE
            self.talks += 1
        elif offer.at_mono - self._since_mono > 1.0:
            self.phase = VehiclePhase.FAULT

    def state(self) -> VehicleState:
        broke = self.phase is VehiclePhase.FAULT
        faults = frozenset({"V2gFault"}) if broke else frozenset()
        protocol = "" if self.phase is VehiclePhase.NONE else "iso15118-2"
        return VehicleState(protocol, self.phase, faults=faults)


def test_three_talks_that_break_end_in_basic_charging() -> None:
    told = story(iso15118=port("AC"))
    talker = Talker()
    told.stand.vehicles[1] = talker
    told.run(40.0)
    assert talker.talks == 3
    shown = [duty for _, duty in told.duties]
    assert shown == [0.05, 1.0, 0.05, 1.0, 0.05, 1.0, NOMINAL]
    assert told.stand.phase() is SessionPhase.ENERGY
    assert not told.stand.report().snapshot.faults


def test_at_a_dc_connector_the_third_break_is_the_fault() -> None:
    told = story(iso15118=port("DC"))
    told.stand.vehicles[1] = Talker()
    told.run(9.0)
    assert not told.stand.report().snapshot.faults
    told.run(30.0)
    names = [fault.name for fault in told.stand.report().snapshot.faults]
    assert names == ["V2gFault"]
    assert told.stand.phase() is SessionPhase.FINISHED


def test_a_dc_connector_never_offers_ac() -> None:
    told = story(iso15118=port("DC", "DC_BPT"))
    told.run(200.0)
    assert {duty for _, duty in told.duties} == {0.05}
    assert not told.closed
