"""Q01: who the connected vehicle is, as the device model tells it (ConnectedEV).

Owns those variables. Decides nothing.
"""

from __future__ import annotations

import base64

from chargerd.clock import Now
from chargerd.model import EvseReport, VehicleState
from chargerd.ocpp.blocks.block import Block
from chargerd.ocpp.blocks.desk import Desk, EvseView
from chargerd.ocpp.table.vehicle import PROTOCOLS

COMPONENT = "ConnectedEV"


class ConnectedVehicle(Block):
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._seen: dict[int, object] = {}

    def observe(self, view: EvseView, report: EvseReport, now: Now) -> None:
        vehicle = report.snapshot.vehicle
        seen = vehicle.vehicle_id, vehicle.greeting, vehicle.protocol, view.plugged
        if seen == self._seen.get(view.config.id):
            return
        self._seen[view.config.id] = seen
        there = view.plugged and bool(vehicle.protocol)
        self._show(view.config.id, vehicle if there else VehicleState(), there=there)

    def _show(self, evse_id: int, vehicle: VehicleState, *, there: bool) -> None:
        greeting = vehicle.greeting
        supported = greeting.supported if greeting else ()
        shown = greeting.certificate if greeting else b""
        values = {
            ("Available", ""): "true" if there else "false",
            ("VehicleID", ""): vehicle.vehicle_id,
            ("ProtocolAgreed", ""): greeting.agreed if greeting else vehicle.protocol,
            ("VehicleCertificate", "Leaf"): _pem(shown) if shown else "",
        }
        for number in range(PROTOCOLS):
            name = supported[number] if number < len(supported) else ""
            values["ProtocolSupportedByEV", str(number + 1)] = name
        for (variable, instance), value in values.items():
            self._desk.model.update(
                COMPONENT, variable, value, evse_id, instance=instance
            )


def _pem(der: bytes) -> str:
    text = base64.b64encode(der).decode()
    lines = "\n".join(text[n : n + 64] for n in range(0, len(text), 64))
    return f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"
