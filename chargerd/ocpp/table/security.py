"""The rows of block A and of the clock."""

from __future__ import annotations

from chargerd.ocpp.table.row import Row, read, seconds

ROWS: tuple[Row, ...] = (
    Row("SecurityCtrlr", "OrganizationName", "string",
        lambda p: p.config.station.vendor, high=64),
    read("SecurityCtrlr", "CertificateEntries", "integer", "0", high=64, live=True),
    # The charger's maker presets it: a new root of the CSMS replaces the old one.
    read("SecurityCtrlr", "AdditionalRootCertificateCheck", "boolean", "false"),
    read("SecurityCtrlr", "MaxCertificateChainSize", "integer", "10000", high=10_000),
    seconds("SecurityCtrlr", "CertSigningWaitMinimum", "60", 1, 86_400),
    Row("SecurityCtrlr", "CertSigningRepeatTimes", "integer", "3", low=0, high=20),
    read("ClockCtrlr", "DateTime", "dateTime", "", live=True),
    read("ClockCtrlr", "TimeZone", "string",
          lambda p: p.config.vehicle.promise.timezone),
    Row("ClockCtrlr", "TimeSource", "SequenceList", "Heartbeat",
        values=("Heartbeat", "NTP", "RealTimeClock")),
    seconds("ClockCtrlr", "TimeAdjustmentReportingThreshold", "20", 1, 86_400),
)  # fmt: skip
