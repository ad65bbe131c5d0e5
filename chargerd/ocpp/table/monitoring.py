"""The rows of block N: monitors, event streams, logs."""

from __future__ import annotations

from chargerd.ocpp.table.row import Row, flag, read

BASES = ("All", "FactoryDefault", "HardWiredOnly")
MAX_STREAMS = 16

ROWS: tuple[Row, ...] = (
    read("MonitoringCtrlr", "Available", "boolean", "true"),
    flag("MonitoringCtrlr", "Enabled", default=True),
    *(
        read("MonitoringCtrlr", name, "integer", default, instance=instance)
        for name, default in (("ItemsPerMessage", "64"), ("BytesPerMessage", "65536"))
        for instance in ("SetVariableMonitoring", "ClearVariableMonitoring")
    ),
    Row("MonitoringCtrlr", "OfflineQueuingSeverity", "integer", "4", low=0, high=9),
    read("MonitoringCtrlr", "ActiveMonitoringBase", "OptionList", BASES[0],
         values=BASES, live=True),
    read("MonitoringCtrlr", "ActiveMonitoringLevel", "integer", "9", high=9, live=True),
    read("MonitoringCtrlr", "MaxPeriodicEventStreams", "integer", str(MAX_STREAMS)),
)  # fmt: skip
