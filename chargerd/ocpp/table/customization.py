"""The rows of what goes beyond the standard's messages."""

from __future__ import annotations

from chargerd.ocpp.table.row import Row, read

CUSTOM_TRIGGERS = ("NotifyEVChargingNeeds",)

ROWS: tuple[Row, ...] = (
    read("CustomizationCtrlr", "CustomTriggers", "MemberList",
         ",".join(CUSTOM_TRIGGERS), values=CUSTOM_TRIGGERS),
)  # fmt: skip
