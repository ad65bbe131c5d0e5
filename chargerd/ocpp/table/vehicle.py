"""The rows of the vehicle that is connected (component ConnectedEV)."""

from __future__ import annotations

from chargerd.ocpp.table.row import Row, read

PROTOCOLS = 8  # of those a vehicle offers

ROWS: tuple[Row, ...] = (
    read("ConnectedEV", "Available", "boolean", "false", scope="evse", live=True),
    read("ConnectedEV", "VehicleID", "string", "", scope="evse", live=True),
    read("ConnectedEV", "ProtocolAgreed", "string", "", scope="evse", live=True),
    *(
        read("ConnectedEV", "ProtocolSupportedByEV", "string", "", scope="evse",
             instance=str(number), live=True)
        for number in range(1, PROTOCOLS + 1)
    ),
    read("ConnectedEV", "VehicleCertificate", "string", "", scope="evse",
         instance="Leaf", high=5500, live=True),
)  # fmt: skip
