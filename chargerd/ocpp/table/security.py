"""The rows of block A and of the clock."""

from __future__ import annotations

from chargerd.ocpp.table.row import Row, read, seconds

ROWS: tuple[Row, ...] = (
    read("SecurityCtrlr", "OrganizationName", "string",
          lambda p: p.config.station.vendor),
    read("SecurityCtrlr", "CertificateEntries", "integer", "0"),
    read("ClockCtrlr", "DateTime", "dateTime", "", live=True),
    read("ClockCtrlr", "TimeZone", "string",
          lambda p: p.config.vehicle.promise.timezone),
    Row("ClockCtrlr", "TimeSource", "SequenceList", "Heartbeat",
        values=("Heartbeat", "NTP", "RealTimeClock")),
    seconds("ClockCtrlr", "TimeAdjustmentReportingThreshold", "20", 1, 86_400),
)  # fmt: skip
