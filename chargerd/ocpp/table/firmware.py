"""The rows of block L: firmware updates."""

from __future__ import annotations

from chargerd.ocpp.table.row import Row, flag

ROWS: tuple[Row, ...] = (
    flag("ChargingStation", "AllowNewSessionsPendingFirmwareUpdate", default=False),
)
