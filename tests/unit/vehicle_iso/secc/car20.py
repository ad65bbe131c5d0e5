"""A scripted vehicle of ISO 15118-20 on the good way, and the stand it is tested on.

Every answer goes through the codec: what cannot be sent is a failed test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from chargerd.model import VehicleOffer, VehicleState
from chargerd.vehicle.iso15118 import exi
from chargerd.vehicle.iso15118.exi.codec import codec_for
from chargerd.vehicle.iso15118.messages import ac, common, dc
from chargerd.vehicle.iso15118.messages.common_types import (
    DisplayParameters,
    MessageHeader,
    RationalNumber,
)
from chargerd.vehicle.iso15118.messages.declare import Complex
from chargerd.vehicle.iso15118.secc.flow import Answer
from chargerd.vehicle.iso15118.secc.iso20 import Iso20Session
from chargerd.vehicle.iso15118.secc.limits import rational
from chargerd.vehicle.iso15118.secc.station import Energy, Setup
from firmware_bridge.api import PilotState
from tests.unit.vehicle_iso.secc.plant import SETUP, TICK_S, Plant

SESSION_ID = bytes.fromhex("0102030405060708")
EVCCID = "WMIV1234567890ABCDEX"
SETUP_20 = replace(
    SETUP,
    energies=(
        Energy.DC_BPT,
        Energy.DC,
        Energy.AC_BPT,
        Energy.AC,
        Energy.MCS_BPT,
        Energy.MCS,
    ),
)

CHARGE: dict[str, float | None] = {
    "EVMaximumChargePower": 50_000.0,
    "EVMinimumChargePower": 0.0,
    "EVMaximumChargeCurrent": 100.0,
    "EVMaximumVoltage": 420.0,
    "EVMinimumVoltage": 250.0,
}
DISCHARGE: dict[str, float | None] = {
    "EVMaximumDischargePower": 20_000.0,
    "EVMinimumDischargePower": 0.0,
    "EVMaximumDischargeCurrent": 50.0,
}
NEEDS: dict[str, float | None] = {
    "EVTargetEnergyRequest": 20_000.0,
    "EVMaximumEnergyRequest": 30_000.0,
    "EVMinimumEnergyRequest": -10_000.0,
}


def r(number: float) -> RationalNumber:
    return rational(number)


def value(wire: RationalNumber) -> float:
    """The number that was sent."""
    return float(wire.Value) * float(10.0**wire.Exponent)


def rs(*parts: Mapping[str, float | None], **more: float | None) -> dict[str, Any]:
    """Rational fields by name; None leaves one out."""
    merged: dict[str, float | None] = {}
    for part in (*parts, more):
        merged.update(part)
    return {name: r(told) for name, told in merged.items() if told is not None}


def counting() -> Callable[[int], bytes]:
    """Bytes for tests: the session id first, then a different value each time."""
    count = 0

    def random(size: int) -> bytes:
        nonlocal count
        count += 1
        return SESSION_ID if count == 1 else bytes([count]) * size

    return random


class Car:
    """A session, its hardware and a vehicle that says what the test says."""

    def __init__(
        self,
        energy: int = 6,
        parameter_set: int = 1,
        setup: Setup = SETUP_20,
        **session: Any,
    ) -> None:
        self.plant = Plant(setup=setup)
        self.session = Iso20Session(setup, counting(), self.plant.now, **session)
        self.energy, self.parameter_set = energy, parameter_set
        self.id = bytes(8)
        self.answer = Answer(None)
        self.signature: Any = None  # of the next header
        self.said_mono = self.plant.now  # the newest request
        self.saying: dict[str, Any] = {}  # the station's word, beside the plant's
        self.session.command(self.plant.offer(), self.plant.now)

    # -- talking --------------------------------------------------------------------

    def say(self, kind: type[Complex], **fields: Any) -> Any:
        """One request; its response."""
        header = MessageHeader(
            SessionID=self.id, TimeStamp=1_700_000_000, Signature=self.signature
        )
        self.signature, self.said_mono = None, self.plant.now
        self.message: Any = kind(Header=header, **fields)
        return self.repeat()

    def repeat(self) -> Any:
        """The newest request once more, as it went over the wire."""
        raw = exi.encode(self.message)
        again = exi.decode(codec_for(self.message).name, raw)
        self.answer = self.session.request(again, self.plant.now, raw)
        return self.coded(self.answer.message)

    def coded(self, message: Any) -> Any:
        """The message, once it has been through the codec."""
        if message is None:
            return None
        assert exi.decode(codec_for(message).name, exi.encode(message)) == message
        if self.id == bytes(8):
            self.id = message.Header.SessionID
        return message

    def run(self, seconds: float = TICK_S) -> VehicleState:
        """Time passes; the hardware follows, nobody speaks."""
        for _ in range(max(1, round(seconds / TICK_S))):
            offer = replace(self.plant.step(self.state), **self.saying)
            self.session.command(offer, self.plant.now)
        return self.state

    def offer(self, **values: Any) -> VehicleOffer:
        """The station's word at this moment, with `values` in place of its own."""
        offer = replace(self.plant.offer(), **values)
        self.session.command(offer, self.plant.now)
        return offer

    @property
    def state(self) -> VehicleState:
        return self.session.state()

    @property
    def at(self) -> str:
        return self.session.at

    # -- words ----------------------------------------------------------------------

    @property
    def direct(self) -> bool:
        return self.energy not in (1, 5)

    @property
    def both(self) -> bool:
        return self.energy in (5, 6, 9)

    def setup(self, evccid: str = EVCCID) -> Any:
        return self.say(common.SessionSetupReq, EVCCID=evccid)

    def authorise(self) -> Any:
        return self.say(
            common.AuthorizationReq,
            SelectedAuthorizationService="EIM",
            EIM_AReqAuthorizationMode=common.EIM_AReqAuthorizationMode(),
        )

    def detail(self, service: int | None = None) -> Any:
        return self.say(common.ServiceDetailReq, ServiceID=service or self.energy)

    def choose(self) -> Any:
        """Ask for the parameter sets, then take one."""
        told = self.detail()  # asked also under python -O
        assert told.ResponseCode == "OK"
        return self.select()

    def select(self, vas: list[tuple[int, int]] | None = None) -> Any:
        chosen = common.SelectedService(
            ServiceID=self.energy, ParameterSetID=self.parameter_set
        )
        extra = [
            common.SelectedService(ServiceID=a, ParameterSetID=b) for a, b in vas or []
        ]
        return self.say(
            common.ServiceSelectionReq,
            SelectedEnergyTransferService=chosen,
            SelectedVASList=common.SelectedServiceList(SelectedService=extra)
            if extra
            else None,
        )

    def parameters(self, **more: float | None) -> Any:
        if self.direct:
            fields = rs(CHARGE, {"EVMinimumChargeCurrent": 0.0})
            kind: type[Complex] = dc.DC_CPDReqEnergyTransferMode
            if self.both:
                fields |= rs(DISCHARGE, {"EVMinimumDischargeCurrent": 0.0})
                kind = dc.BPT_DC_CPDReqEnergyTransferMode
            fields |= rs(more)
            return self.say(
                dc.DC_ChargeParameterDiscoveryReq,
                DC_CPDReqEnergyTransferMode=kind(**fields),
            )
        fields = rs(EVMaximumChargePower=11_000.0, EVMinimumChargePower=1_400.0)
        kind = ac.AC_CPDReqEnergyTransferMode
        if self.both:
            fields |= rs(EVMaximumDischargePower=9_000.0, EVMinimumDischargePower=0.0)
            kind = ac.BPT_AC_CPDReqEnergyTransferMode
        fields |= rs(more)
        return self.say(
            ac.AC_ChargeParameterDiscoveryReq,
            AC_CPDReqEnergyTransferMode=kind(**fields),
        )

    @property
    def dynamic(self) -> bool:
        return self.parameter_set not in (2, 4)

    def schedule(self, departure_s: int | None = 3_600, **more: float | None) -> Any:
        if self.dynamic:
            mode: dict[str, Any] = {
                "Dynamic_SEReqControlMode": common.Dynamic_SEReqControlMode(
                    DepartureTime=departure_s or 0, **rs(NEEDS, more)
                )
            }
        else:
            mode = {
                "Scheduled_SEReqControlMode": common.Scheduled_SEReqControlMode(
                    DepartureTime=departure_s, **rs(NEEDS, more)
                )
            }
        return self.say(
            common.ScheduleExchangeReq, MaximumSupportingPoints=1_024, **mode
        )

    def cable_check(self) -> Any:
        return self.say(dc.DC_CableCheckReq)

    def precharge(self, volts: float = 380.0) -> Any:
        return self.say(
            dc.DC_PreChargeReq,
            EVProcessing="Ongoing",
            EVPresentVoltage=r(0.0),
            EVTargetVoltage=r(volts),
        )

    def profile(
        self, watts: tuple[float, ...] = (5_000.0,), tuple_id: int = 1
    ) -> common.EVPowerProfile:
        entries = [common.PowerScheduleEntry(Duration=600, Power=r(w)) for w in watts]
        chosen: dict[str, Any] = {
            "Dynamic_EVPPTControlMode": common.Dynamic_EVPPTControlMode()
        }
        if not self.dynamic:
            chosen = {
                "Scheduled_EVPPTControlMode": common.Scheduled_EVPPTControlMode(
                    SelectedScheduleTupleID=tuple_id
                )
            }
        return common.EVPowerProfile(
            TimeAnchor=1_700_000_000,
            EVPowerProfileEntries=common.EVPowerProfileEntryList(
                EVPowerProfileEntry=entries
            ),
            **chosen,
        )

    def power(self, progress: Any = "Start", **more: Any) -> Any:
        fields: dict[str, Any] = {"EVProcessing": "Finished", **more}
        if progress == "Start":
            fields.setdefault("EVPowerProfile", self.profile())
        return self.say(common.PowerDeliveryReq, ChargeProgress=progress, **fields)

    def mode(self, **more: float | None) -> Complex:
        """The loop's control mode, as selected."""
        if self.direct:
            charge, discharge = CHARGE, DISCHARGE
            kinds: tuple[type[Complex], ...] = (
                dc.Scheduled_DC_CLReqControlMode,
                dc.Dynamic_DC_CLReqControlMode,
                dc.BPT_Scheduled_DC_CLReqControlMode,
                dc.BPT_Dynamic_DC_CLReqControlMode,
            )
        else:
            charge = {
                "EVMaximumChargePower": 11_000.0,
                "EVMinimumChargePower": 0.0,
                "EVPresentActivePower": 0.0,
            }
            discharge = {
                "EVMaximumDischargePower": 9_000.0,
                "EVMinimumDischargePower": 0.0,
            }
            kinds = (
                ac.Scheduled_AC_CLReqControlMode,
                ac.Dynamic_AC_CLReqControlMode,
                ac.BPT_Scheduled_AC_CLReqControlMode,
                ac.BPT_Dynamic_AC_CLReqControlMode,
            )
        fields: dict[str, float | None] = dict(charge)
        if self.dynamic:
            fields |= NEEDS
            if self.direct is False:
                fields["EVPresentReactivePower"] = 0.0
        elif self.direct:
            fields |= {"EVTargetCurrent": 20.0, "EVTargetVoltage": 410.0}
        if self.both:
            fields |= discharge
        fields |= more
        return kinds[self.dynamic + 2 * self.both](**rs(fields))

    def loop(self, times: int = 1, *, soc: int | None = 40, **more: Any) -> Any:
        """Charge loop requests, one a tick; the last response."""
        response = None
        asked = bool(more.pop("meter", False))
        shown = more.pop("shown", None) or DisplayParameters(
            PresentSOC=soc, BatteryEnergyCapacity=r(60_000.0)
        )
        for _ in range(times):
            fields: dict[str, Any] = {
                "DisplayParameters": shown,
                "MeterInfoRequested": asked,
                "CLReqControlMode": more.get("mode") or self.mode(**more),
            }
            if self.direct:
                fields["EVPresentVoltage"] = r(self.plant.battery_v)
            kind = dc.DC_ChargeLoopReq if self.direct else ac.AC_ChargeLoopReq
            response = self.say(kind, **fields)
            self.run()
        return response

    def welding(self, processing: Any = "Ongoing") -> Any:
        return self.say(dc.DC_WeldingDetectionReq, EVProcessing=processing)

    def stop(self, wish: Any = "Terminate") -> Any:
        return self.say(common.SessionStopReq, ChargingSession=wish)

    # -- the good way ---------------------------------------------------------------

    def to(self, at: str) -> None:
        """Go on until the session is at `at`."""
        way: dict[str, Callable[[], Any]] = {
            "setup": self.setup,
            "authorization_setup": lambda: self.say(common.AuthorizationSetupReq),
            "authorization": self.authorise,
            "service_discovery": lambda: self.say(common.ServiceDiscoveryReq),
            "service_detail": self.choose,
            "parameters_dc": self.parameters,
            "parameters_ac": self.parameters,
            "schedule_dc": self.agree,
            "schedule_ac": self.agree,
            "cable_check": self.check_cable,
            "pre_charge_first": self.precharge,
            "pre_charge": self.start,
            "ready_ac": self.start,
            "started_dc": self.loop,
            "started_ac": self.loop,
        }
        for _ in range(len(way)):
            if self.at == at:
                return
            response = way[self.at]()
            assert response.ResponseCode.startswith("OK"), response
        assert self.at == at

    def agree(self) -> Any:
        """ScheduleExchange until it is finished: an AC lock may still move."""
        for _ in range(20):
            response = self.schedule()
            if response.EVSEProcessing == "Finished":
                return response
            self.run()
        raise AssertionError("the schedule is never ready")

    def check_cable(self) -> Any:
        """CableCheck until it is finished."""
        self.plant.pilot = PilotState.C
        for _ in range(200):
            response = self.cable_check()
            assert response.ResponseCode == "OK"
            if response.EVSEProcessing == "Finished":
                return response
            self.run(0.2)
        raise AssertionError("the cable check does not end")

    def match(self, volts: float = 380.0) -> None:
        """PreCharge until the outlet has the battery's voltage."""
        for _ in range(50):
            response = self.precharge(volts)
            assert response.ResponseCode == "OK"
            if value(response.EVSEPresentVoltage) == volts:
                self.plant.ev_closed = True
                return
            self.run(0.1)
        raise AssertionError("the voltage does not come")

    def start(self) -> Any:
        """From precharge or the agreed schedule to energy."""
        if self.direct:
            self.match()
        self.plant.pilot = PilotState.C
        self.run()
        response = self.power("Start")
        self.run(0.3)
        return response

    def energise(self) -> None:
        """The whole way to a running loop."""
        self.to("loop_dc" if self.direct else "loop_ac")
