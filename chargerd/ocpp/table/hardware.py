"""The rows of the station, its EVSEs and connectors (G)."""

from __future__ import annotations

from chargerd.ocpp.table.row import STATES, More, Place, Row, read


def _protocol(place: Place) -> str:
    evse = place.one_evse
    if evse.devices.chademo:
        return "CHAdeMO"
    return "ISO15118" if evse.iso15118 else "CPPWM"


ROWS: tuple[Row, ...] = (
    read("ChargingStation", "Available", "boolean", "true", summary=True),
    read("ChargingStation", "AvailabilityState", "OptionList", "Available",
          values=STATES, live=True, summary=True, monitored=True),
    read("ChargingStation", "ActiveTransactionId", "string", "", live=True),
    read("ChargingStation", "Model", "string", lambda p: p.config.station.model),
    read("ChargingStation", "VendorName", "string", lambda p: p.config.station.vendor),
    read("ChargingStation", "SupplyPhases", "integer",
          lambda p: str(max(evse.ac_phases for evse in p.config.evse))),
    read("EVSE", "Available", "boolean", "true", scope="evse", summary=True),
    read("EVSE", "AvailabilityState", "OptionList", "Available", scope="evse",
          values=STATES, live=True, summary=True, monitored=True),
    read("EVSE", "AllowReset", "boolean", "false", scope="evse"),
    read("EVSE", "Power", "decimal", "0", scope="evse", unit="W",
          high=lambda p: p.one_evse.charge_w, live=True, monitored=True,
          more=(More("MaxSet", lambda p: f"{p.one_evse.charge_w:.0f}"),)),
    read("EVSE", "DischargePower", "decimal", "0", scope="evse", unit="W",
          high=lambda p: p.one_evse.discharge_w, live=True, monitored=True,
          more=(More("MaxSet", lambda p: f"{p.one_evse.discharge_w:.0f}"),)),
    read("EVSE", "SupplyPhases", "integer", lambda p: str(p.one_evse.ac_phases),
          scope="evse"),
    read("EVSE", "DCInputPhaseControl", "boolean", "false", scope="evse"),
    read("EVSE", "ActiveTransactionId", "string", "", scope="evse", live=True),
    read("Connector", "Available", "boolean", "true", scope="connector", summary=True),
    read("Connector", "AvailabilityState", "OptionList", "Available",
          scope="connector", values=STATES, live=True, summary=True, monitored=True),
    read("Connector", "ConnectorType", "string",
          lambda p: p.connector.type if p.connector else "", scope="connector"),
    read("Connector", "ChargeProtocol", "string", _protocol, scope="connector"),
    read("Connector", "SupplyPhases", "integer",
          lambda p: str(p.one_evse.ac_phases), scope="connector"),
)  # fmt: skip
