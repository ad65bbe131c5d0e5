"""The rows of block J: meter values."""

from __future__ import annotations

from chargerd.ocpp.table.row import (
    POWERS,
    REGISTERS,
    Row,
    flag,
    measurands,
    read,
    seconds,
)

KEY_RULES = ("Never", "OncePerTransaction", "EveryMeterValue")

ROWS: tuple[Row, ...] = (
    read("SampledDataCtrlr", "Available", "boolean", "true"),
    flag("SampledDataCtrlr", "Enabled", default=True),
    flag("SampledDataCtrlr", "SignReadings", default=False),
    read("SampledDataCtrlr", "RegisterValuesWithoutPhases", "boolean", "true"),
    Row("OCPPCommCtrlr", "PublicKeyWithSignedMeterValue", "OptionList",
        "OncePerTransaction", values=KEY_RULES),
    read("AlignedDataCtrlr", "Available", "boolean", "true"),
    flag("AlignedDataCtrlr", "Enabled", default=True),
    measurands("SampledDataCtrlr", "TxStartedMeasurands", REGISTERS),
    measurands("SampledDataCtrlr", "TxUpdatedMeasurands", f"{REGISTERS},{POWERS},SoC"),
    measurands("SampledDataCtrlr", "TxEndedMeasurands", f"{REGISTERS},SoC"),
    seconds("SampledDataCtrlr", "TxUpdatedInterval", "60", 0, 86_400),
    seconds("SampledDataCtrlr", "TxEndedInterval", "0", 0, 86_400),
    measurands("AlignedDataCtrlr", "Measurands", f"{REGISTERS},{POWERS}"),
    seconds("AlignedDataCtrlr", "Interval", "0", 0, 86_400),
    flag("AlignedDataCtrlr", "SendDuringIdle", default=False),
    measurands("AlignedDataCtrlr", "TxEndedMeasurands", REGISTERS),
    seconds("AlignedDataCtrlr", "TxEndedInterval", "0", 0, 86_400),
)  # fmt: skip
