"""The rows of the device model itself (B05 to B08)."""

from __future__ import annotations

from chargerd.ocpp.table.row import Row, read

ROWS: tuple[Row, ...] = (
    *(
        read("DeviceDataCtrlr", name, "integer", default, instance=instance)
        for name, default in (("ItemsPerMessage", "64"), ("BytesPerMessage", "131072"))
        for instance in ("GetReport", "GetVariables", "SetVariables")
    ),
    read("DeviceDataCtrlr", "ConfigurationValueSize", "integer", "2500"),
    read("DeviceDataCtrlr", "ReportingValueSize", "integer", "2500"),
)
