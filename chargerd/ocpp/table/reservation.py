"""The rows of block H: reservations."""

from __future__ import annotations

from chargerd.ocpp.table.row import Row, flag, read

ROWS: tuple[Row, ...] = (
    read("ReservationCtrlr", "Available", "boolean", "true"),
    flag("ReservationCtrlr", "Enabled", default=True),
    flag("ReservationCtrlr", "NonEvseSpecific", default=True),
)  # fmt: skip
