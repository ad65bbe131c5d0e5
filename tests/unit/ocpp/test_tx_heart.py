"""Block E with the real heart: reports go up, requests and signals come down."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chargerd.clock import Now
from chargerd.model import Contract, SessionPhase, VehiclePhase, VehicleState
from chargerd.ocpp.effects import Ask, Dispatch
from tests.unit.ocpp.station_rig import Rig, config
from tests.unit.scheduler.stand import FakeVehicle, Stand

P = SessionPhase
KEPT = {
    "TxCtrlr.TxStopPoint": "Authorized",
    "TxCtrlr.StopTxOnEVSideDisconnect": False,
}
RESUME = {
    "TxCtrlr.ResumptionTimeout": 300,
    "TxCtrlr.AllowEnergyTransferResumption": True,
}


class ShowsContract(FakeVehicle):
    """It talks as soon as it is plugged in."""

    def state(self) -> VehicleState:
        found = super().state()
        if not self.plugged:
            return found
        talks = found.phase is VehiclePhase.NONE
        phase = VehiclePhase.HANDSHAKE if talks else found.phase
        return replace(
            found, phase=phase, contract=Contract("JPABCC1", "", trusted=True)
        )


class House:
    """One daemon: heart, hardware, station. `again` is what a kill leaves of it."""

    def __init__(self, presets: dict[str, Any], saved: Any = None) -> None:
        presets = {"SampledDataCtrlr.TxUpdatedInterval": 0, **presets}
        self.presets = presets
        self.heart = Stand()
        self.trusted = True  # the clock
        self.rig = Rig(config(device_model=presets), saved, mono=self.heart.mono)
        self.rig.boot()
        self._effects()

    def _effects(self) -> None:
        for effect in self.rig.effects:
            if isinstance(effect, Ask):
                self.heart.cycle.request(effect.request)
            if isinstance(effect, Dispatch):
                self.heart.cycle.signal(effect.signal)
        self.rig.effects.clear()

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.05)):
            self.heart.beat()
            report = self.heart.reports[-1]
            now = report.snapshot.now
            self.rig.pass_s(now.mono - self.rig.now.mono)
            self.rig.now = Now(now.mono, self.rig.now.utc, self.trusted)
            for question in self.heart.questions:
                self.rig.station.ask(question, self.rig.now)
            self.heart.questions.clear()
            self.rig.station.observe(report, self.rig.now)
            self.rig.drain()
            self._effects()

    def start(self) -> None:
        """A vehicle charges, on a card."""
        self.run(1.0)
        self.heart.plug()
        self.run(0.1)
        self.rig.call(
            "RequestStartTransaction",
            {
                "evseId": 1,
                "remoteStartId": 5,
                "idToken": {"idToken": "04AA", "type": "ISO14443"},
            },
        )
        self._effects()
        self.heart.setpoint(3000.0, 3600.0)
        self.run(6.0)
        assert self.heart.phase() is P.ENERGY

    def again(self) -> House:
        """Killed; started anew on the same disk, with the vehicle still plugged in."""
        new = House(self.presets, self.rig.saved)
        new.rig.now = Now(new.rig.now.mono, self.rig.now.utc)
        new.heart.bridge.import_wh = dict(self.heart.bridge.import_wh)
        new.heart.plug()
        new.heart.setpoint(3000.0, 3600.0)
        return new

    def told(self) -> list[tuple[str, str]]:
        """Without changes of the mode: those are block Q's."""
        return [
            (e["triggerReason"], e["transactionInfo"]["chargingState"])
            for e in self.rig.events()
            if e["triggerReason"] != "OperationModeChanged"
        ]


@pytest.mark.req("E17.FR.10", "E17.FR.11")
def test_a_killed_daemon_goes_on_charging() -> None:
    before = House(RESUME)
    before.start()
    old = before.heart.report().snapshot.session
    after = before.again()
    after.run(12.0)
    assert after.told()[0] == ("TxResumed", "Charging")
    assert {e["eventType"] for e in after.rig.events()} == {"Updated"}
    session = after.heart.report().snapshot.session
    assert (session.id, session.token) == (old.id, old.token)
    assert session.energy_in_wh > old.energy_in_wh
    assert after.heart.decision().power_w > 2000.0
    numbers = [e["seqNo"] for e in before.rig.events() + after.rig.events()]
    assert numbers == list(range(len(numbers)))


@pytest.mark.req("E17.FR.12")
def test_without_permission_it_stands_still() -> None:
    before = House({**RESUME, "TxCtrlr.AllowEnergyTransferResumption": False})
    before.start()
    after = before.again()
    most_w = 0.0
    for _ in range(24):
        after.run(0.5)
        most_w = max(most_w, abs(after.heart.decision().power_w))
    assert most_w == 0.0
    assert after.told() == [("TxResumed", "SuspendedEVSE")]


@pytest.mark.req("E17.FR.10")
def test_a_contract_waits_for_the_clock_and_the_old_transaction_goes_on() -> None:
    """Started by a card, or by that contract: nobody is asked a second time."""
    before = House(RESUME)
    before.start()
    old = before.heart.report().snapshot.session
    after = before.again()
    after.heart.vehicles[1] = ShowsContract(plugged=True)
    after.trusted = False
    after.run(10.0)
    assert after.heart.report().snapshot.vehicle.contract is not None
    assert (after.rig.payloads("Authorize"), after.told()) == ([], [])
    after.trusted = True
    after.run(12.0)
    assert after.rig.payloads("Authorize") == []
    assert after.told()[0] == ("TxResumed", "Charging")
    session = after.heart.report().snapshot.session
    assert (session.id, session.token, session.phase) == (old.id, old.token, P.ENERGY)
    assert after.heart.decision().power_w > 2000.0


@pytest.mark.req("E16.FR.05", "E16.FR.14")
def test_a_limit_stops_the_power_and_a_higher_one_lets_it_go_on() -> None:
    house = House({})
    house.start()
    begun = house.heart.report().snapshot.session.energy_in_wh
    house.rig.answer(
        next(s for s in house.rig.sent if s.action == "TransactionEvent"),
        {"transactionLimit": {"maxEnergy": begun + 12.0}},
    )
    house._effects()
    house.run(30.0)
    assert house.told()[-1] == ("EnergyLimitReached", "SuspendedEVSE")
    assert house.heart.decision().power_w == 0.0
    moved = house.heart.report().snapshot.session.energy_in_wh
    assert begun + 8.0 < moved <= begun + 12.0  # close to it, and never over it
    house.rig.answer(
        house.rig.last("TransactionEvent"), {"transactionLimit": {"maxEnergy": 1e6}}
    )
    house._effects()
    house.run(6.0)
    assert house.heart.decision().power_w > 2000.0
    assert house.told()[-1] == ("ChargingStateChanged", "Charging")


def test_a_pulled_plug_that_comes_back() -> None:
    house = House(KEPT)
    house.start()
    house.rig.clear()
    house.heart.unplug()
    house.run(5.0)
    assert house.heart.decision().power_w == 0.0
    house.heart.plug()
    house.run(12.0)
    told = house.told()
    assert told[0] == ("EVCommunicationLost", "Idle")
    assert told[1][0] == "CablePluggedIn"
    assert told[-1] == ("ChargingStateChanged", "Charging")
    assert house.heart.decision().power_w > 2000.0


@pytest.mark.req("E10.FR.02")
def test_a_pulled_plug_that_does_not() -> None:
    house = House({**KEPT, "TxCtrlr.EVConnectionTimeOut": 10})
    house.start()
    house.heart.unplug()
    house.run(12.0)
    end = house.rig.events()[-1]
    assert (end["eventType"], end["triggerReason"]) == ("Ended", "EVCommunicationLost")
    assert not house.heart.report().snapshot.session.authorised
