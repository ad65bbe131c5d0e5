"""The rows of block J: meter values."""

from __future__ import annotations

from chargerd.ocpp.table.row import (
    POWERS,
    REGISTERS,
    Place,
    Row,
    flag,
    measurands,
    read,
    seconds,
)

KEY_RULES = ("Never", "OncePerTransaction", "EveryMeterValue")

# Drivers that are firmware_bridge.api.SigningMeter; a test compares them.
SIGNING_METERS = frozenset({"eastron_sdm630ev"})


def signs(place: Place) -> bool:
    """Whether the EVSE's meter signs; of the station: any of them."""
    evses = [place.evse] if place.evse else place.config.evse
    return any(evse.devices.meter.driver in SIGNING_METERS for evse in evses)


ROWS: tuple[Row, ...] = (
    read("SampledDataCtrlr", "Available", "boolean", "true"),
    flag("SampledDataCtrlr", "Enabled", default=True),
    Row("SampledDataCtrlr", "SignReadings", "boolean", "false", only=signs),
    read("SampledDataCtrlr", "RegisterValuesWithoutPhases", "boolean", "true"),
    Row("OCPPCommCtrlr", "PublicKeyWithSignedMeterValue", "OptionList",
        "OncePerTransaction", values=KEY_RULES, only=signs),
    read("FiscalMetering", "PublicKey", "string", "", scope="evse", live=True,
         only=signs),
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
