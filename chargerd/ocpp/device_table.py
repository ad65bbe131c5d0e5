"""The station's device model as one table: a row per variable, nothing else.

Owns names, types, ranges and defaults (OCPP 2.1 part 2 section 2 and the appendix
`dm_components_vars`). Every ReadWrite row is read by the code; a row that nothing reads
must not be here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from chargerd.config import Config, Connector, Evse

Kind = Literal[
    "string", "decimal", "integer", "boolean", "dateTime", "OptionList", "MemberList",
    "SequenceList",
]  # fmt: skip
Scope = Literal["station", "evse", "connector"]
Mutability = Literal["ReadOnly", "WriteOnly", "ReadWrite"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row is instantiated: the whole config, and the EVSE and connector."""

    config: Config
    evse: Evse | None = None
    connector: Connector | None = None

    @property
    def one_evse(self) -> Evse:
        """The EVSE of an EVSE row; for a station row the first one."""
        return self.evse or self.config.evse[0]


Computed = Callable[[Place], str]
Bound = float | Callable[[Place], float] | None


@dataclass(frozen=True, slots=True)
class Row:
    """One variable. `live` rows are computed by the code, never preset or saved."""

    component: str
    variable: str
    kind: Kind
    default: str | Computed
    instance: str = ""  # of the variable
    scope: Scope = "station"
    mutability: Mutability = "ReadWrite"
    unit: str = ""
    low: Bound = None
    high: Bound = None
    values: tuple[str, ...] = ()
    reboot: bool = False
    live: bool = False
    summary: bool = False  # B08: part of the SummaryInventory


STATES = ("Available", "Occupied", "Reserved", "Unavailable", "Faulted")
TX_POINTS = ("EVConnected", "Authorized", "PowerPathClosed", "EnergyTransfer")
MODES = (
    "ChargingOnly", "CentralSetpoint", "CentralFrequency", "LocalFrequency", "Idle",
)  # fmt: skip
MEASURANDS = (
    "Energy.Active.Import.Register",
    "Energy.Active.Export.Register",
    "Energy.Active.Net",
    "Power.Active.Import",
    "Power.Active.Export",
    "Power.Active.Setpoint",
    "Power.Active.Residual",
    "Power.Offered",
    "Current.Import",
    "Current.Export",
    "Voltage",
    "Frequency",
    "SoC",
)
REGISTERS = "Energy.Active.Import.Register,Energy.Active.Export.Register"
POWERS = "Power.Active.Import,Power.Active.Export"
SETPOINTS = "Power.Active.Setpoint,Power.Active.Residual"
PURPOSES = (
    "ChargingStationMaxProfile",
    "ChargingStationExternalConstraints",
    "TxDefaultProfile",
    "TxProfile",
    "PriorityCharging",
    "LocalGeneration",
)
MAX_PERIODS = 1024
MAX_PROFILES = 32


def _yes(flag: bool) -> str:
    return "true" if flag else "false"


def is_dc(evse: Evse) -> bool:
    """Whether its vehicles are charged with DC; a connector may offer both."""
    if evse.iso15118 is None:
        return evse.devices.stage is not None
    return any(not energy.startswith("AC") for energy in evse.iso15118.energies)


def _protocol(place: Place) -> str:
    evse = place.one_evse
    if evse.devices.chademo:
        return "CHAdeMO"
    return "ISO15118" if evse.iso15118 else "CPPWM"


def _discharges(place: Place) -> bool:
    evse = place.one_evse
    if evse.iso15118 is None:
        return evse.discharge_w > 0 and is_dc(evse)
    both_ways = any(energy.endswith("_BPT") for energy in evse.iso15118.energies)
    return evse.discharge_w > 0 and both_ways


def _energy_transfer(place: Place) -> str:
    """EnergyTransferModeEnumType; it has no name for MCS, whose words are DC's."""
    evse = place.one_evse
    ac = "AC_single_phase" if evse.ac_phases == 1 else "AC_three_phase"
    if evse.iso15118 is None:
        dc = "DC,DC_BPT" if _discharges(place) else "DC"
        return dc if is_dc(evse) else ac
    names = {"AC": ac, "MCS": "DC", "MCS_BPT": "DC_BPT"}
    modes = [names.get(energy, energy) for energy in evse.iso15118.energies]
    return ",".join(dict.fromkeys(modes))


def _modes(place: Place) -> str:
    return ",".join(MODES) if _discharges(place) else "ChargingOnly,Idle"


def _read(
    component: str,
    variable: str,
    kind: Kind,
    default: str | Computed,
    *,
    instance: str = "",
    scope: Scope = "station",
    unit: str = "",
    high: Bound = None,
    values: tuple[str, ...] = (),
    live: bool = False,
    summary: bool = False,
) -> Row:
    """A ReadOnly row."""
    return Row(
        component, variable, kind, default, instance, scope, "ReadOnly", unit,
        high=high, values=values, live=live, summary=summary,
    )  # fmt: skip


def _seconds(
    component: str,
    variable: str,
    default: str,
    low: float,
    high: float,
    instance: str = "",
) -> Row:
    return Row(
        component, variable, "integer", default, instance, unit="s", low=low, high=high
    )


def _flag(component: str, variable: str, default: bool) -> Row:
    return Row(component, variable, "boolean", _yes(default))


def _measurands(component: str, variable: str, default: str, instance: str = "") -> Row:
    return Row(component, variable, "MemberList", default, instance, values=MEASURANDS)


_COMM = (
    _seconds("OCPPCommCtrlr", "HeartbeatInterval", "300", 1, 86_400),
    _seconds("OCPPCommCtrlr", "WebSocketPingInterval", "10", 0, 3600),
    _seconds("OCPPCommCtrlr", "OfflineThreshold", "60", 0, 86_400),
    Row(
        "OCPPCommCtrlr", "MessageTimeout", "integer",
        lambda p: str(round(p.config.ocpp.message_timeout_s)), "Default",
        unit="s", low=1, high=300,
    ),
    Row("OCPPCommCtrlr", "MessageAttempts", "integer", "5", "TransactionEvent",
        low=1, high=100),
    _seconds("OCPPCommCtrlr", "MessageAttemptInterval", "10", 1, 86_400,
             "TransactionEvent"),
    _seconds("OCPPCommCtrlr", "RetryBackOffWaitMinimum", "3", 1, 3600),
    _seconds("OCPPCommCtrlr", "RetryBackOffRandomRange", "2", 0, 3600),
    Row("OCPPCommCtrlr", "RetryBackOffRepeatTimes", "integer", "5", low=0, high=20),
    _flag("OCPPCommCtrlr", "QueueAllMessages", default=False),
    _read("OCPPCommCtrlr", "NetworkConfigurationPriority", "SequenceList", "1"),
    _read("OCPPCommCtrlr", "NetworkProfileConnectionAttempts", "integer", "3"),
    _read("OCPPCommCtrlr", "FileTransferProtocols", "MemberList", "HTTPS"),
    _read("OCPPCommCtrlr", "ResetRetries", "integer", "0"),
    _read("OCPPCommCtrlr", "UnlockOnEVSideDisconnect", "boolean", "false"),
)  # fmt: skip

_AUTH = (
    _flag("AuthCtrlr", "Enabled", default=True),
    _flag("AuthCtrlr", "AuthorizeRemoteStart", default=False),
    _flag("AuthCtrlr", "LocalAuthorizeOffline", default=True),
    _flag("AuthCtrlr", "LocalPreAuthorize", default=False),
    _flag("AuthCtrlr", "OfflineTxForUnknownIdEnabled", default=False),
    Row("AuthCtrlr", "MasterPassGroupId", "string", "", high=36),
    _read("AuthCacheCtrlr", "Available", "boolean", "true"),
    _flag("AuthCacheCtrlr", "Enabled", default=True),
    _seconds("AuthCacheCtrlr", "LifeTime", "604800", 0, 31_536_000),
)

_PNC = (
    Row("ISO15118Ctrlr", "PnCEnabled", "boolean",
        lambda p: _yes("PnC" in p.config.vehicle.iso15118.authorise)),
    _flag("ISO15118Ctrlr", "CentralContractValidationAllowed", default=True),
    _flag("ISO15118Ctrlr", "ContractValidationOffline", default=True),
    _flag("ISO15118Ctrlr", "ContractCertificateInstallationEnabled", default=True),
)  # fmt: skip

_TX = (
    Row("TxCtrlr", "TxStartPoint", "MemberList", "PowerPathClosed", values=TX_POINTS),
    Row("TxCtrlr", "TxStopPoint", "MemberList", "EVConnected,Authorized",
        values=TX_POINTS),
    _flag("TxCtrlr", "StopTxOnInvalidId", default=True),
    _read("TxCtrlr", "StopTxOnEVSideDisconnect", "boolean", "true"),
    _seconds("TxCtrlr", "EVConnectionTimeOut", "60", 1, 3600),
    _read("TxCtrlr", "TxBeforeAcceptedEnabled", "boolean", "true"),
)  # fmt: skip

_DATA = (
    _measurands("SampledDataCtrlr", "TxStartedMeasurands", REGISTERS),
    _measurands("SampledDataCtrlr", "TxUpdatedMeasurands", f"{REGISTERS},{POWERS},SoC"),
    _measurands("SampledDataCtrlr", "TxEndedMeasurands", f"{REGISTERS},SoC"),
    _seconds("SampledDataCtrlr", "TxUpdatedInterval", "60", 0, 86_400),
    _seconds("SampledDataCtrlr", "TxEndedInterval", "0", 0, 86_400),
    _measurands("AlignedDataCtrlr", "Measurands", f"{REGISTERS},{POWERS}"),
    _seconds("AlignedDataCtrlr", "Interval", "0", 0, 86_400),
    _flag("AlignedDataCtrlr", "SendDuringIdle", default=False),
    _measurands("AlignedDataCtrlr", "TxEndedMeasurands", REGISTERS),
    _seconds("AlignedDataCtrlr", "TxEndedInterval", "0", 0, 86_400),
)

_DEVICE_DATA = (
    *(
        _read("DeviceDataCtrlr", name, "integer", default, instance=instance)
        for name, default in (("ItemsPerMessage", "64"), ("BytesPerMessage", "131072"))
        for instance in ("GetReport", "GetVariables", "SetVariables")
    ),
    _read("DeviceDataCtrlr", "ConfigurationValueSize", "integer", "1000"),
    _read("DeviceDataCtrlr", "ReportingValueSize", "integer", "2500"),
)

_SECURITY = (
    _read("SecurityCtrlr", "SecurityProfile", "integer",
          lambda p: str(p.config.ocpp.security_profile)),
    _read("SecurityCtrlr", "Identity", "string",
          lambda p: p.config.ocpp.identity or p.config.station.id),
    _read("SecurityCtrlr", "OrganizationName", "string",
          lambda p: p.config.station.vendor),
    _read("SecurityCtrlr", "CertificateEntries", "integer", "0"),
    _read("ClockCtrlr", "DateTime", "dateTime", "", live=True),
    _read("ClockCtrlr", "TimeSource", "SequenceList", "Heartbeat",
          values=("Heartbeat", "NTP", "RealTimeClock")),
    _seconds("ClockCtrlr", "TimeAdjustmentReportingThreshold", "20", 1, 86_400),
)  # fmt: skip

_SMART = (
    _read("SmartChargingCtrlr", "Available", "boolean", "true"),
    _flag("SmartChargingCtrlr", "Enabled", default=True),
    _read("SmartChargingCtrlr", "Entries", "integer", "0", instance="ChargingProfiles",
          high=MAX_PROFILES, live=True),
    _read("SmartChargingCtrlr", "PeriodsPerSchedule", "integer", str(MAX_PERIODS)),
    Row("SmartChargingCtrlr", "ProfileStackLevel", "integer", "9", low=0, high=100),
    _read("SmartChargingCtrlr", "LimitChangeSignificance", "decimal", "0",
          unit="Percent"),  # required; NotifyChargingLimit is never sent
    _read("SmartChargingCtrlr", "RateUnit", "MemberList", "W,A", values=("A", "W")),
    Row("SmartChargingCtrlr", "IgnoredProfilePurposesOffline", "MemberList", "",
        values=PURPOSES),
    _read("SmartChargingCtrlr", "SupportedAdditionalPurposes", "MemberList",
          "PriorityCharging,LocalGeneration",
          values=("PriorityCharging", "LocalGeneration")),
    _read("SmartChargingCtrlr", "SupportsDynamicProfiles", "boolean", "true"),
    _read("SmartChargingCtrlr", "SupportsMaxOfflineDuration", "boolean", "true"),
    _read("SmartChargingCtrlr", "SupportsLimitAtSoC", "boolean", "true"),
    _read("SmartChargingCtrlr", "SupportsUseLocalTime", "boolean", "false"),
    _read("SmartChargingCtrlr", "SupportsRandomizedDelay", "boolean", "false"),
    _read("SmartChargingCtrlr", "SupportsEvseSleep", "boolean", "false"),
    _read("SmartChargingCtrlr", "ChargingProfilePersistence", "boolean", "false",
          instance="TxProfile"),
    _read("SmartChargingCtrlr", "ChargingProfilePersistence", "boolean", "false",
          instance="LocalGeneration"),
    Row("SmartChargingCtrlr", "MaxExternalConstraintsId", "integer", "0", low=0,
        high=2_000_000_000),
)  # fmt: skip

_V2X = (
    _read("V2XChargingCtrlr", "Available", "boolean", lambda p: _yes(_discharges(p)),
          scope="evse"),
    Row("V2XChargingCtrlr", "Enabled", "boolean", lambda p: _yes(_discharges(p)),
        scope="evse"),
    _read("V2XChargingCtrlr", "SupportedEnergyTransferModes", "MemberList",
          _energy_transfer, scope="evse"),
    _read("V2XChargingCtrlr", "SupportedOperationModes", "MemberList", _modes,
          scope="evse", values=MODES),
    *(
    row
    for mode in ("CentralSetpoint", "CentralFrequency")
    for row in (
        Row("V2XChargingCtrlr", "TxUpdatedMeasurands", "MemberList", SETPOINTS, mode,
            "evse", values=MEASURANDS),
        Row("V2XChargingCtrlr", "TxEndedMeasurands", "MemberList", "", mode, "evse",
            values=MEASURANDS),
        Row("V2XChargingCtrlr", "TxUpdatedInterval", "integer", "0", mode, "evse",
            unit="s", low=0, high=86_400),
    )
    ),
)  # fmt: skip

_HARDWARE = (
    _read("ChargingStation", "Available", "boolean", "true", summary=True),
    _read("ChargingStation", "AvailabilityState", "OptionList", "Available",
          values=STATES, live=True, summary=True),
    _read("ChargingStation", "Model", "string", lambda p: p.config.station.model),
    _read("ChargingStation", "VendorName", "string", lambda p: p.config.station.vendor),
    _read("ChargingStation", "SupplyPhases", "integer",
          lambda p: str(max(evse.ac_phases for evse in p.config.evse))),
    _read("EVSE", "Available", "boolean", "true", scope="evse", summary=True),
    _read("EVSE", "AvailabilityState", "OptionList", "Available", scope="evse",
          values=STATES, live=True, summary=True),
    _read("EVSE", "AllowReset", "boolean", "false", scope="evse"),
    _read("EVSE", "Power", "decimal", "0", scope="evse", unit="W",
          high=lambda p: p.one_evse.charge_w, live=True),
    _read("EVSE", "DischargePower", "decimal", "0", scope="evse", unit="W",
          high=lambda p: p.one_evse.discharge_w, live=True),
    _read("EVSE", "SupplyPhases", "integer", lambda p: str(p.one_evse.ac_phases),
          scope="evse"),
    _read("EVSE", "DCInputPhaseControl", "boolean", "false", scope="evse"),
    _read("EVSE", "ActiveTransactionId", "string", "", scope="evse", live=True),
    _read("Connector", "Available", "boolean", "true", scope="connector", summary=True),
    _read("Connector", "AvailabilityState", "OptionList", "Available",
          scope="connector", values=STATES, live=True, summary=True),
    _read("Connector", "ConnectorType", "string",
          lambda p: p.connector.type if p.connector else "", scope="connector"),
    _read("Connector", "ChargeProtocol", "string", _protocol, scope="connector"),
    _read("Connector", "SupplyPhases", "integer",
          lambda p: str(p.one_evse.ac_phases), scope="connector"),
)  # fmt: skip

TABLE: tuple[Row, ...] = (
    *_COMM, *_AUTH, *_PNC, *_TX, *_DATA, *_DEVICE_DATA, *_SECURITY, *_SMART, *_V2X,
    *_HARDWARE,
)  # fmt: skip
