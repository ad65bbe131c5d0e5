"""A plain ISO 15118-2 DC car for tests of the door: SDP, TCP, one message at a time.

Its pins are moved by whoever runs it (the rig's `pilot` verb).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from chargerd.vehicle.iso15118 import exi, sap, sdp, v2gtp
from chargerd.vehicle.iso15118.messages import iso2 as m
from chargerd.vehicle.iso15118.messages.declare import Complex

Pins = Callable[[str, bool], Awaitable[None]]  # (pilot state, contactor closed)
SDP_TRY_S = 0.25  # [V2G2-159], [V2G2-161]: 50 tries


async def find(port: int, tries: int = 50, *, tls: bool = False) -> sdp.Response:
    """The station on loopback, by SDP; fails when it stays silent."""
    loop = asyncio.get_running_loop()
    security = sdp.Security.TLS if tls else sdp.Security.NONE
    request = sdp.encode_request(sdp.Request(security, sdp.Transport.TCP))
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect(("::1", port))
        for _ in range(tries):
            await loop.sock_sendall(sock, request)
            try:
                async with asyncio.timeout(SDP_TRY_S):
                    return sdp.decode_response(await loop.sock_recv(sock, 100))
            except (TimeoutError, ConnectionRefusedError):
                await asyncio.sleep(0.05)
    raise AssertionError(f"SDP on port {port}: no answer in {tries} tries")


def volts(value: float) -> m.PhysicalValue:
    return m.PhysicalValue(Multiplier=-1, Unit="V", Value=round(value * 10.0))


def amps(value: float) -> m.PhysicalValue:
    return m.PhysicalValue(Multiplier=-1, Unit="A", Value=round(value * 10.0))


def number(value: Any) -> float:
    return float(value.Value) * float(10.0**value.Multiplier)


@dataclass
class DcCar:
    """`battery_v` is what it wants at the outlet before it closes its contactor;
    `pause` lets time pass between equal requests."""

    pins: Pins
    pause: Callable[[], Awaitable[None]] = lambda: asyncio.sleep(0.1)
    battery_v: float = 360.0
    soc: int = 50
    id: bytes = bytes(8)
    took_s: list[float] = field(default_factory=list)  # of each answer
    reader: asyncio.StreamReader = field(init=False)
    writer: asyncio.StreamWriter = field(init=False)

    async def connect(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        """SDP, TCP and SupportedAppProtocol."""
        found = await find(port, tls=tls is not None)
        self.reader, self.writer = await asyncio.open_connection(
            "::1", found.port, ssl=tls, server_hostname="" if tls else None
        )
        offer = sap.Offer(sap.ISO2.namespace, 2, 0, 1, 1)
        answer = await self.exchange(sap.encode_request([offer]))
        code, schema_id = sap.decode_response(answer)
        if schema_id != 1:
            raise AssertionError(f"SupportedAppProtocol: {code.value}")

    async def exchange(self, payload: bytes) -> bytes:
        self.writer.write(v2gtp.pack(v2gtp.PayloadType.EXI, payload))
        began = time.perf_counter()
        async with asyncio.timeout(5.0):
            head = await self.reader.readexactly(8)
            answer = await self.reader.readexactly(int.from_bytes(head[4:]))
        self.took_s.append(time.perf_counter() - began)
        return answer

    async def say(self, body: Complex) -> Any:
        """One request; its response's body, which must be OK."""
        message = m.V2G_Message(
            Header=m.MessageHeader(SessionID=self.id), Body=m.Body(BodyElement=body)
        )
        data = await self.exchange(exi.encode(message))
        answer: Any = exi.decode("iso2", data)
        self.id = answer.Header.SessionID
        response = answer.Body.BodyElement
        if not response.ResponseCode.startswith("OK"):
            raise AssertionError(f"{type(body).__name__}: {response.ResponseCode}")
        return response

    async def until(
        self, ask: Callable[[], Complex], done: Callable[[Any], bool], limit: int = 200
    ) -> Any:
        """Repeat a request until its answer is `done`."""
        for _ in range(limit):
            response = await self.say(ask())
            if done(response):
                return response
            await self.pause()
        raise AssertionError(f"{type(ask()).__name__}: not done in {limit} requests")

    def status(self) -> m.DC_EVStatus:
        return m.DC_EVStatus(EVReady=True, EVErrorCode="NO_ERROR", EVRESSSOC=self.soc)

    # -- the way ---------------------------------------------------------------------

    async def authorise(self) -> None:
        """Until the driver has shown the card."""
        await self.say(m.SessionSetupReq(EVCCID=bytes.fromhex("02AABBCCDDEE")))
        await self.say(m.ServiceDiscoveryReq())
        service = m.SelectedService(ServiceID=1)
        await self.say(
            m.PaymentServiceSelectionReq(
                SelectedPaymentOption="ExternalPayment",
                SelectedServiceList=m.SelectedServiceList(SelectedService=[service]),
            )
        )
        await self.until(m.AuthorizationReq, finished)

    async def prepare(self) -> None:
        """Parameters, cable check, precharge; its contactor closes."""
        await self.until(self._parameters, finished)
        await self.pins("C", False)
        await self.until(lambda: m.CableCheckReq(DC_EVStatus=self.status()), finished)
        await self.until(
            lambda: m.PreChargeReq(
                DC_EVStatus=self.status(),
                EVTargetVoltage=volts(self.battery_v),
                EVTargetCurrent=amps(2.0),
            ),
            lambda told: abs(number(told.EVSEPresentVoltage) - self.battery_v) < 10.0,
        )
        await self.pins("C", True)

    async def start(self) -> None:
        await self.say(self._power("Start"))

    async def demand(self, current_a: float) -> Any:
        return await self.say(
            m.CurrentDemandReq(
                DC_EVStatus=self.status(),
                EVTargetCurrent=amps(current_a),
                EVTargetVoltage=volts(400.0),
                ChargingComplete=False,
            )
        )

    async def stop(self) -> None:
        """In order: power off, contactor open, weld check, the end."""
        await self.say(self._power("Stop"))
        await self.pins("B", False)
        await self.say(m.WeldingDetectionReq(DC_EVStatus=self.status()))
        await self.say(m.SessionStopReq(ChargingSession="Terminate"))
        self.writer.close()

    def _parameters(self) -> Complex:
        return m.ChargeParameterDiscoveryReq(
            RequestedEnergyTransferMode="DC_extended",
            EVChargeParameter=m.DC_EVChargeParameter(
                DC_EVStatus=self.status(),
                DepartureTime=7_200,
                EVMaximumCurrentLimit=amps(100.0),
                EVMaximumVoltageLimit=volts(410.0),
                EVEnergyCapacity=m.PhysicalValue(Multiplier=2, Unit="Wh", Value=400),
            ),
        )

    def _power(self, progress: Any) -> Complex:
        return m.PowerDeliveryReq(
            ChargeProgress=progress, SAScheduleTupleID=1, ChargingProfile=None
        )


def finished(response: Any) -> bool:
    return bool(response.EVSEProcessing == "Finished")
