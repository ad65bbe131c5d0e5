"""ISO 15118-20 by bytes, through the connection: schema sets, side streams, resume."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from chargerd.clock import Now
from chargerd.vehicle.iso15118 import exi, sap, v2gtp
from chargerd.vehicle.iso15118.messages import common
from chargerd.vehicle.iso15118.messages.common_types import MessageHeader
from chargerd.vehicle.iso15118.messages.declare import Complex
from chargerd.vehicle.iso15118.secc.connection import Connection
from chargerd.vehicle.iso15118.secc.iso20 import Iso20Session
from chargerd.vehicle.iso15118.secc.sessions import Sessions
from chargerd.vehicle.iso15118.v2gtp import PayloadType
from tests.unit.vehicle_iso.secc.car20 import SETUP_20, Car, counting

NOW = Now(1_000.0, datetime(2026, 11, 25, tzinfo=UTC))
SIDE_SCHEDULE = PayloadType.SCHEDULE_RENEGOTIATION
SIDE_METER = PayloadType.METERING_CONFIRMATION


def frames(data: bytes) -> list[v2gtp.Frame]:
    framer = v2gtp.Framer()
    framer.receive(data)
    found = []
    while (frame := framer.next_frame()) is not None:
        found.append(frame)
    return found


class WiredCar(Car):
    """A car whose words go through a connection, each on its payload type."""

    def __init__(self, energy: int = 6, parameter_set: int = 1, **more: Any) -> None:
        super().__init__(energy, parameter_set, **more)
        protocol = sap.ISO20_DC if self.direct else sap.ISO20_AC
        self.connection = Connection(
            (protocol,),
            lambda _protocol, _now_mono: self.session,
            mutual_tls_1_3=True,
            now_mono=self.plant.now,
        )
        offer = sap.Offer(protocol.namespace, 1, 0, 1, 1)
        hello = v2gtp.pack(PayloadType.EXI, sap.encode_request([offer]))
        self.connection.receive(hello, self.plant.now)
        self.connection.to_send(self.plant.now)
        self.stream: PayloadType | None = None  # of the next request
        self.answered_on = 0

    def packed(self, kind: type[Complex], **fields: Any) -> bytes:
        header = MessageHeader(SessionID=self.id, TimeStamp=0)
        message = kind(Header=header, **fields)
        name = kind.__name__
        own = PayloadType.COMMON
        if name.startswith(("DC_", "AC_")):
            own = PayloadType.DC if name.startswith("DC_") else PayloadType.AC
        return v2gtp.pack(self.stream or own, exi.encode(message))

    def say(self, kind: type[Complex], **fields: Any) -> Any:
        data = self.packed(kind, **fields)
        self.stream = None
        self.connection.receive(data, self.plant.now)
        for _ in range(60):
            out = frames(self.connection.to_send(self.plant.now))
            if out:
                break
            self.run()
        (frame,) = out
        self.answered_on = frame.payload_type
        schema = {0x8003: "ac", 0x8004: "dc"}.get(frame.payload_type, "common")
        message = exi.decode(schema, frame.payload)
        if self.id == bytes(8):
            self.id = message.Header.SessionID
        return message


@pytest.mark.parametrize("energy", [5, 6])
def test_a_session_by_bytes(energy: int) -> None:
    car = WiredCar(energy)
    car.energise()
    assert car.loop(3).ResponseCode == "OK"
    assert car.answered_on == (PayloadType.DC if car.direct else PayloadType.AC)
    assert car.power("Stop").ResponseCode == "OK"
    assert car.answered_on == PayloadType.COMMON
    car.stop()
    assert car.connection.closing
    assert car.connection.margins.late == 0
    assert "SessionStopReq" in car.connection.margins.worst_s


def test_side_streams_answer_where_they_were_asked() -> None:
    car = WiredCar(6, 2)
    car.energise()
    car.stream = SIDE_SCHEDULE
    assert car.power("ScheduleRenegotiation").ResponseCode == "OK"
    assert car.answered_on == SIDE_SCHEDULE
    assert car.loop(2).ResponseCode == "OK"
    assert car.answered_on == PayloadType.DC
    car.stream = SIDE_SCHEDULE
    assert car.schedule().ResponseCode == "OK"
    assert car.answered_on == SIDE_SCHEDULE
    assert car.power("Start").ResponseCode == "OK"
    info = car.loop(meter=True).MeterInfo
    car.stream = SIDE_METER
    data = common.SignedMeteringData(
        Id="m",
        SessionID=car.id,
        MeterInfo=info,
        Scheduled_SMDTControlMode=common.Scheduled_SMDTControlMode(
            SelectedScheduleTupleID=1
        ),
    )
    answer = car.say(common.MeteringConfirmationReq, SignedMeteringData=data)
    assert answer.ResponseCode == "OK"
    assert car.answered_on == SIDE_METER


def test_requests_of_two_streams_may_overlap_of_one_not() -> None:
    car = WiredCar(6, 2)
    car.energise()
    renegotiate = {
        "EVProcessing": "Finished",
        "ChargeProgress": "ScheduleRenegotiation",
    }
    car.stream = SIDE_SCHEDULE
    side = car.packed(common.PowerDeliveryReq, **renegotiate)
    car.stream = None
    stop = car.packed(
        common.PowerDeliveryReq, EVProcessing="Finished", ChargeProgress="Stop"
    )
    car.connection.receive(side + stop, car.plant.now)
    assert not car.connection.closing
    car.run(0.2)
    answers = frames(car.connection.to_send(car.plant.now))
    assert [each.payload_type for each in answers] == [
        SIDE_SCHEDULE,
        PayloadType.COMMON,
    ]
    car.connection.receive(stop + stop, car.plant.now)
    assert car.connection.closing


# --- the maker of sessions ------------------------------------------------------------


def offered(protocol: sap.Protocol) -> list[int]:
    """Services of a session of this protocol."""
    made = Sessions(SETUP_20, counting(), lambda: NOW)
    session = made.make(protocol, NOW.mono, tls=True)
    assert isinstance(session, Iso20Session)
    car = Car()
    car.session = session
    car.offer()
    car.to("service_discovery")
    answer = car.say(common.ServiceDiscoveryReq)
    return [each.ServiceID for each in answer.EnergyTransferServiceList.Service]


def test_each_namespace_offers_its_own_services() -> None:
    assert offered(sap.ISO20_DC) == [6, 2, 9, 8]
    assert offered(sap.ISO20_AC) == [5, 1]


@pytest.mark.parametrize("certificate", [b"the same", b"another"])
def test_a_paused_session_is_for_the_vehicle_that_showed_its_certificate(
    certificate: bytes,
) -> None:
    made = Sessions(replace(SETUP_20), counting(), lambda: NOW)
    car = Car()
    first = made.make(sap.ISO20_DC, NOW.mono, tls=True, vehicle=b"the same")
    assert isinstance(first, Iso20Session)
    car.session = first
    car.offer()
    car.to("schedule_dc")
    assert car.stop("Pause").ResponseCode == "OK"
    again = made.make(sap.ISO20_DC, NOW.mono, tls=True, vehicle=certificate)
    assert isinstance(again, Iso20Session)
    car.session = again
    car.offer()
    same = certificate == b"the same"
    code = "OK_OldSessionJoined" if same else "OK_NewSessionEstablished"
    assert car.setup().ResponseCode == code
