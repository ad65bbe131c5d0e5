"""The vehicle's half of recorded sessions, said to our station; every answer is looked
at. The recordings lie beside the checkout, not in it.

A recording holds each message once. What is missing between two is said by the scripted
vehicle, and each request is repeated as long as a vehicle would.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from chargerd.model import CertificateAnswer, VehiclePhase
from chargerd.vehicle.iso15118 import exi
from chargerd.vehicle.iso15118.messages import din, iso2
from chargerd.vehicle.iso15118.pki import Trust
from chargerd.vehicle.iso15118.secc.iso2_base import request_name
from chargerd.vehicle.iso15118.secc.iso2_graph import OVER
from chargerd.vehicle.iso15118.secc.iso2_values import number
from chargerd.vehicle.iso15118.secc.station import Authorise
from firmware_bridge.api import PilotState
from tests.unit.vehicle_iso.secc.car2 import Car, power, select
from tests.unit.vehicle_iso.secc.car_din import DinCar
from tests.unit.vehicle_iso.secc.car_din import power as din_power
from tests.unit.vehicle_iso.secc.car_din import select as din_select
from tests.unit.vehicle_iso.secc.plant import RATINGS, SETUP

RECORDED = Path(__file__).parents[5] / "shared" / "vectors" / "exi.jsonl"
pytestmark = pytest.mark.skipif(
    not RECORDED.exists(), reason="no recorded sessions beside the checkout"
)
NEW = (b"\0", bytes(8))  # SessionIDs of a vehicle that has none yet
ENDED = ("welding", "stopped", OVER)
RATINGS_ = replace(RATINGS, charge_max_w=200_000.0, charge_max_a=400.0)


@cache
def recordings() -> dict[tuple[str, str], list[Any]]:
    """(schema, source) -> messages, as they were recorded."""
    found: dict[tuple[str, str], list[Any]] = {}
    with RECORDED.open() as lines:
        for line in lines:
            row = json.loads(line)
            if row["schema"] not in ("din", "iso2"):
                continue
            message = exi.decode(row["schema"], bytes.fromhex(row["hex"]))
            if hasattr(message, "Body"):
                key = (row["schema"], row["source"])
                found.setdefault(key, []).append(message)
    return found


def sessions(messages: list[Any]) -> Iterator[list[Any]]:
    """A recording's sessions, by their SessionIDs."""
    current: list[Any] = []
    name = None
    for message in messages:
        told = message.Header.SessionID
        if told not in NEW:
            if name not in (None, told):
                yield current
                current = []
            name = told
        current.append(message)
    yield current


# --- a vehicle that says what was recorded --------------------------------------------


class Replay:
    """Recorded requests where they fit, the scripted vehicle's where they lack."""

    def __init__(self, schema: str, messages: list[Any]) -> None:
        self.schema, self.messages = schema, messages
        self.answers: list[Any] = []
        self.begin()

    def begin(self) -> None:
        """A new session at a station that takes contracts of any root."""
        setup = replace(SETUP, ratings=RATINGS_, utc_trusted=False, trust=Trust())
        if self.schema == "din":
            self.car: Any = DinCar(setup)
        else:
            ways = (Authorise.EIM, Authorise.PNC)
            self.car = Car(replace(setup, authorise=ways), tls=True)
            self.car.session.random = self._random
        self.car.plant.charge_a = 400.0

    def bodies(self, name: str) -> list[Any]:
        bodies = [message.Body.BodyElement for message in self.messages]
        return [body for body in bodies if type(body).__name__ == name]

    def _random(self, size: int) -> bytes:
        """The session and the challenge of the recording: signatures hold again."""
        details = self.bodies("PaymentDetailsRes")
        if size == 16 and details:
            challenge: bytes = details[0].GenChallenge
            return challenge
        ids = [each.Header.SessionID for each in self.messages]
        name: bytes = next(each for each in ids if each not in NEW)
        return name[:size]

    def run(self) -> None:
        for message in self.messages:
            body = message.Body.BodyElement
            name = request_name(body)
            if not name.endswith("Req"):
                continue
            after = name in ("WeldingDetectionReq", "SessionStopReq")
            if self.car.session.at in ENDED and not after:
                self.end()  # the same id again: the next session
                self.begin()
            self.go_to(name)
            self.say(body, message.Header.Signature)
        self.end()

    def end(self) -> None:
        while self.car.session.at != OVER:
            self.say(self.missing(), None)

    def go_to(self, name: str) -> None:
        """Say what the recording lacks before this request."""
        for _ in range(300):
            session = self.car.session
            here = session.graph.following(session.at, name) is not None
            starts = name == "PowerDeliveryReq" and session.at == "power"
            if here and not (starts and not self.matched()):
                return
            self.say(self.missing(), None)
        raise AssertionError(f"{name} does not fit {self.car.session.at}")

    def matched(self) -> bool:
        plant = self.car.plant
        return bool(plant.dc_closed and abs(plant.stage_v - plant.battery_v) < 10.0)

    def missing(self) -> Any:
        """The scripted vehicle's request in this state."""
        car, at = self.car, self.car.session.at
        two = isinstance(car, Car)
        if at == "power" and self.matched():
            return power("Start", top_w=None) if two else din_power(True, top_w=None)
        if at in ("current_demand", "charging"):
            return power("Stop", top_w=None) if two else din_power(False)
        messages: Any = iso2 if two else din
        return {
            "setup": car.setup,
            "discovery": messages.ServiceDiscoveryReq,
            "selection": select if two else din_select,
            "authorization": getattr(
                messages, "AuthorizationReq" if two else "ContractAuthenticationReq"
            ),
            "parameters": lambda: self._recorded("ChargeParameterDiscoveryReq"),
            "cable_check": car.cable_check,
            "precharge": lambda: car.precharge(car.plant.battery_v),
            "power": lambda: car.precharge(car.plant.battery_v),
            "ac_power": lambda: power("Start", top_w=None),
        }.get(at, self._stop)()

    def _recorded(self, name: str) -> Any:
        return (self.bodies(name) or [self.car.parameters()])[0]

    def _stop(self) -> Any:
        if isinstance(self.car, Car):
            return iso2.SessionStopReq(ChargingSession="Terminate")
        return din.SessionStop()

    def say(self, body: Any, seal: Any) -> None:
        """One request; the hardware and the battery follow."""
        car, plant, name = self.car, self.car.plant, request_name(body)
        if name == "PreChargeReq":
            plant.battery_v = number(body.EVTargetVoltage)
        if name == "CableCheckReq" or car.session.at == "ac_power":
            plant.pilot = PilotState.C
        plant.ev_closed = car.session.at == "current_demand" and self.matched()
        car.run(0.1)
        offer = replace(plant.offer(), certificate_service=True)
        car.session.command(offer, plant.now)
        response = car.say(body, Signature=seal)
        if car.answer.open:
            response = self.certificate()
        if name == "PowerDeliveryReq":
            plant.ev_closed = False
        car.run(0.6)
        self.answers.append(response)
        assert type(response).__name__ == name.replace("Req", "Res")
        assert response.ResponseCode.startswith("OK"), (name, response)

    def certificate(self) -> Any:
        """The central system answers with what was recorded."""
        told = self.bodies("CertificateInstallationRes")[0]
        header = iso2.MessageHeader(SessionID=self.car.id)
        whole = iso2.V2G_Message(Header=header, Body=iso2.Body(BodyElement=told))
        question = self.car.state.certificate_question
        answer = CertificateAnswer(question.number, exi.encode(whole))
        offer = replace(self.car.plant.offer(), certificate_answer=answer)
        self.car.session.command(offer, self.car.plant.now)
        late = self.car.session.late(self.car.plant.now)
        assert late.raw == answer.exi
        return told


def _all() -> list[tuple[str, str]]:
    return sorted(recordings()) if RECORDED.exists() else []


@pytest.mark.parametrize(("schema", "source"), _all())
def test_our_station_serves_the_recorded_vehicle(schema: str, source: str) -> None:
    for messages in sessions(recordings()[schema, source]):
        replay = Replay(schema, messages)
        replay.run()
        bad = "10minutesTimeout" in source  # the vehicle itself tells an error there
        assert replay.car.state.faults == ({"V2gFault"} if bad else set())
        assert replay.car.answer.close
        names = {type(answer).__name__ for answer in replay.answers}
        assert names >= {"SessionSetupRes", "SessionStopRes", "PowerDeliveryRes"}


def test_recorded_contracts_are_proved() -> None:
    """Another stack's keys and signatures: PaymentDetails and Authorization hold."""
    proved = 0
    for (schema, source), messages in recordings().items():
        if schema != "iso2" or "pnc" not in source:
            continue
        replay = Replay(schema, messages)
        replay.run()
        contract = replay.car.state.contract
        assert contract is not None
        assert len(contract.emaid) in (14, 15)
        proved += 1
    assert proved == 3


def test_recorded_energy_flows() -> None:
    """A real vehicle's loop: what it asks for is what the heart sees, up to its end."""
    schema, source = next(key for key in recordings() if "landsberg" in key[1])
    messages = recordings()[schema, source]
    replay = Replay(schema, messages)
    asked: list[float] = []
    phases: set[VehiclePhase] = set()
    say = replay.say

    def watched(body: Any, seal: Any) -> None:
        say(body, seal)
        limits = replay.car.state.limits
        if type(body).__name__ == "CurrentDemandReq":
            assert limits is not None
            assert limits.requested_a == max(0.0, number(body.EVTargetCurrent))
            asked.append(limits.requested_a or 0.0)
            phases.add(replay.car.state.phase)

    replay.say = watched  # type: ignore[method-assign]
    replay.run()
    assert phases == {VehiclePhase.ENERGY}
    assert max(asked) > 50.0
