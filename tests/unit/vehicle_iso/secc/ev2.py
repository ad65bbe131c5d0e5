"""A scripted vehicle of ISO 15118-2 and DIN 70121, and the stand it is tested on.

Every message goes through the codec: what cannot be sent is a failed test.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from chargerd.model import VehicleState
from chargerd.vehicle.iso15118 import exi
from chargerd.vehicle.iso15118.messages import din, iso2
from chargerd.vehicle.iso15118.messages.declare import Complex
from chargerd.vehicle.iso15118.secc.flow import Answer
from chargerd.vehicle.iso15118.secc.iso2_base import TwoSession
from chargerd.vehicle.iso15118.secc.iso2_values import physical
from firmware_bridge.api import PilotState
from tests.unit.vehicle_iso.secc.plant import TICK_S, Plant

SESSION_ID = bytes.fromhex("1122334455667788")


class Stand:
    """A session, its hardware and a vehicle that says what the test says."""

    def __init__(
        self, session: TwoSession, plant: Plant | None = None, *, coded: bool = True
    ) -> None:
        self.session = session
        self.m: ModuleType = session.messages
        self.schema = "din" if self.m is din else "iso2"
        self.plant = plant or Plant()
        self.id = bytes(8)
        self.answer = Answer(None)
        self.coded = coded
        self.soc = 40
        self.error = "NO_ERROR"
        session.command(self.plant.offer(), self.plant.now)

    # -- talking --------------------------------------------------------------------

    def say(self, body: Complex | None, **header: Any) -> Any:
        """One request; its response's body."""
        m, raw = self.m, b""
        told = m.MessageHeader(**{"SessionID": self.id, **header})
        message = m.V2G_Message(Header=told, Body=m.Body(BodyElement=body))
        if self.coded:
            raw = exi.encode(message)
            message = exi.decode(self.schema, raw)
        self.answer = self.session.request(message, self.plant.now, raw)
        if self.answer.message is None:
            return None
        return self.hear(self.answer.message)

    def hear(self, response: Any) -> Any:
        """The body of what came back."""
        if self.coded:
            assert exi.decode(self.schema, exi.encode(response)) == response
        if self.id == bytes(8):
            self.id = response.Header.SessionID
        return response.Body.BodyElement

    def run(self, seconds: float) -> VehicleState:
        """Time passes; the hardware follows, nobody speaks."""
        for _ in range(max(1, round(seconds / TICK_S))):
            offer = self.plant.step(self.session.state())
            self.session.command(offer, self.plant.now)
        return self.state

    @property
    def state(self) -> VehicleState:
        return self.session.state()

    # -- words ----------------------------------------------------------------------

    def pv(self, value: float, unit: str) -> Any:
        return physical(self.m, value, unit)

    def status(self) -> Any:
        return self.m.DC_EVStatus(
            EVReady=True, EVErrorCode=self.error, EVRESSSOC=self.soc
        )

    def setup(self) -> Any:
        return self.m.SessionSetupReq(EVCCID=bytes.fromhex("02AABBCCDDEE"))

    def cable_check(self) -> Any:
        return self.m.CableCheckReq(DC_EVStatus=self.status())

    def precharge(self, volts: float = 380.0) -> Any:
        return self.m.PreChargeReq(
            DC_EVStatus=self.status(),
            EVTargetVoltage=self.pv(volts, "V"),
            EVTargetCurrent=self.pv(2.0, "A"),
        )

    def demand(self, amperes: float = 20.0, **more: Any) -> Any:
        values: dict[str, Any] = {
            "DC_EVStatus": self.status(),
            "EVTargetCurrent": self.pv(amperes, "A"),
            "EVTargetVoltage": self.pv(410.0, "V"),
            "ChargingComplete": False,
            **more,
        }
        return self.m.CurrentDemandReq(**values)

    def welding(self) -> Any:
        return self.m.WeldingDetectionReq(DC_EVStatus=self.status())

    def dc_parameters(self, **more: Any) -> Any:
        values: dict[str, Any] = {
            "DC_EVStatus": self.status(),
            "EVMaximumCurrentLimit": self.pv(100.0, "A"),
            "EVMaximumPowerLimit": self.pv(40_000.0, "W"),
            "EVMaximumVoltageLimit": self.pv(420.0, "V"),
            "EVEnergyCapacity": self.pv(60_000.0, "Wh"),
            **more,
        }
        if self.m is iso2:
            values.setdefault("DepartureTime", 3_600)
        return self.m.DC_EVChargeParameter(**values)

    # -- what both protocols do the same way ------------------------------------------

    def check_cable(self) -> None:
        """CableCheck until it is finished."""
        self.plant.pilot = PilotState.C
        for _ in range(200):
            response = self.say(self.cable_check())
            assert response.ResponseCode == "OK"
            if response.EVSEProcessing == "Finished":
                return
            self.run(0.2)
        raise AssertionError("the cable check does not end")

    def match(self) -> None:
        """PreCharge until the outlet has the battery's voltage."""
        for _ in range(50):
            response = self.say(self.precharge())
            assert response.ResponseCode == "OK"
            if response.EVSEPresentVoltage == self.pv(380.0, "V"):
                self.plant.ev_closed = True
                return
            self.run(0.1)
        raise AssertionError("the voltage does not come")

    def loop(self, times: int, amperes: float = 20.0) -> Any:
        """CurrentDemand, some times; the last response."""
        response = None
        for _ in range(times):
            response = self.say(self.demand(amperes))
            self.run(TICK_S)
        return response
