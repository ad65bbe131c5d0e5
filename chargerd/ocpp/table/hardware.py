"""The rows of the station, its EVSEs and connectors (G)."""

from __future__ import annotations

from chargerd import __version__
from chargerd.ocpp.table.row import STATES, More, Place, Row, is_dc, read


def _protocol(place: Place) -> str:
    evse = place.one_evse
    if evse.devices.chademo:
        return "CHAdeMO"
    return "ISO15118" if evse.iso15118 else "CPPWM"


def _evse_id(place: Place) -> str:
    port = place.one_evse.iso15118
    return port.evse_id if port else ""


def _connector_phases(place: Place) -> str:
    """0 = DC."""
    return "0" if is_dc(place.one_evse) else str(place.one_evse.ac_phases)


CHARGING_STATES = ("EVConnected", "Charging", "SuspendedEV", "SuspendedEVSE", "Idle")

ROWS: tuple[Row, ...] = (
    read("ChargingStation", "Available", "boolean", "true", summary=True),
    read("ChargingStation", "AvailabilityState", "OptionList", "Available",
          values=STATES, live=True, summary=True, monitored=True),
    read("ChargingStation", "ActiveTransactionId", "string", "", live=True),
    read("ChargingStation", "Model", "string", lambda p: p.config.station.model),
    read("ChargingStation", "SerialNumber", "string",
          lambda p: p.config.station.serial),
    read("ChargingStation", "FirmwareVersion", "string",
          lambda p: p.config.station.firmware or __version__),
    read("ChargingStation", "VendorName", "string", lambda p: p.config.station.vendor),
    read("ChargingStation", "SupplyPhases", "integer",
          lambda p: str(max(evse.ac_phases for evse in p.config.evse))),
    read("EVSE", "Available", "boolean", "true", scope="evse", summary=True),
    read("EVSE", "AvailabilityState", "OptionList", "Available", scope="evse",
          values=STATES, live=True, summary=True, monitored=True),
    read("EVSE", "AllowReset", "boolean", "true", scope="evse"),
    read("EVSE", "Power", "decimal", "0", scope="evse", unit="W",
          high=lambda p: p.one_evse.charge_w, live=True, monitored=True,
          more=(More("Target", "0"),
                More("MaxSet", lambda p: f"{p.one_evse.charge_w:.0f}"))),
    read("EVSE", "DischargePower", "decimal", "0", scope="evse", unit="W",
          high=lambda p: p.one_evse.discharge_w, live=True, monitored=True,
          more=(More("Target", "0"),
                More("MaxSet", lambda p: f"{p.one_evse.discharge_w:.0f}"))),
    read("EVSE", "SupplyPhases", "integer", lambda p: str(p.one_evse.ac_phases),
          scope="evse"),
    read("EVSE", "ISO15118EvseId", "string", _evse_id, scope="evse"),
    read("EVSE", "ChargingState", "OptionList", "Idle", scope="evse",
          values=CHARGING_STATES, live=True, monitored=True),
    read("EVSE", "DCVoltage", "decimal", "0", scope="evse", unit="V", live=True,
          monitored=True),
    read("EVSE", "DCInputPhaseControl", "boolean", "false", scope="evse"),
    read("EVSE", "ActiveTransactionId", "string", "", scope="evse", live=True),
    read("CPPWMController", "State", "string", "", scope="evse", live=True,
          monitored=True),
    read("DataLink", "ICCID", "string", lambda p: p.config.station.iccid),
    read("DataLink", "IMSI", "string", lambda p: p.config.station.imsi),
    read("Connector", "Available", "boolean", "true", scope="connector", summary=True),
    read("Connector", "AvailabilityState", "OptionList", "Available",
          scope="connector", values=STATES, live=True, summary=True, monitored=True),
    read("Connector", "ConnectorType", "string",
          lambda p: p.connector.type if p.connector else "", scope="connector"),
    read("Connector", "ChargeProtocol", "string", _protocol, scope="connector"),
    read("Connector", "SupplyPhases", "integer", _connector_phases, scope="connector"),
)  # fmt: skip
