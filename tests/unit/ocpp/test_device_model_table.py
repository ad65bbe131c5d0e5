"""The table has what the standard requires of the components that this station has.

Names are those of the appendix `dm_components_vars` of OCPP 2.1, column "Required".
"""

from __future__ import annotations

import pytest

from chargerd.ocpp.device_model import DeviceModel
from chargerd.ocpp.table import TABLE
from tests.unit.ocpp.station_rig import config

REQUIRED = {
    "AlignedDataCtrlr": "Interval Measurands TxEndedInterval TxEndedMeasurands",
    "AuthCtrlr": "AuthorizeRemoteStart LocalAuthorizeOffline LocalPreAuthorize",
    "ChargingStation": "AvailabilityState Available SupplyPhases",
    "ClockCtrlr": "DateTime TimeSource",
    "Connector": "Available ConnectorType SupplyPhases",
    "DeviceDataCtrlr": "BytesPerMessage ItemsPerMessage",
    "EVSE": "AvailabilityState Available Power SupplyPhases DischargePower",
    "ISO15118Ctrlr": "ContractValidationOffline",
    "NetworkConfiguration": (
        "OcppCsmsUrl OcppInterface OcppTransport OcppVersion MessageTimeout"
        " SecurityProfile BasicAuthPassword VpnEnabled ApnEnabled"
    ),
    "OCPPCommCtrlr": (
        "ActiveNetworkProfile FileTransferProtocols MessageTimeout"
        " MessageAttemptInterval MessageAttempts NetworkConfigurationPriority"
        " NetworkProfileConnectionAttempts OfflineThreshold ResetRetries"
        " UnlockOnEVSideDisconnect"
    ),
    "SampledDataCtrlr": (
        "TxEndedMeasurands TxEndedInterval TxStartedMeasurands TxUpdatedMeasurands"
        " TxUpdatedInterval"
    ),
    "SecurityCtrlr": "CertificateEntries OrganizationName SecurityProfile",
    "SmartChargingCtrlr": (
        "Entries LimitChangeSignificance PeriodsPerSchedule ProfileStackLevel RateUnit"
    ),
    "TxCtrlr": (
        "EVConnectionTimeOut StopTxOnEVSideDisconnect StopTxOnInvalidId TxStartPoint"
        " TxStopPoint"
    ),
    "V2XChargingCtrlr": (
        "Available SupportedEnergyTransferModes SupportedOperationModes"
    ),
}


@pytest.mark.req("B07.FR.08")
@pytest.mark.parametrize(
    ("component", "variable"),
    [(name, word) for name, words in REQUIRED.items() for word in words.split()],
)
def test_a_required_variable_is_there(component: str, variable: str) -> None:
    model = DeviceModel(config(), {})
    names = {(v.component_name, v.row.variable) for v in model}
    assert (component, variable) in names


def test_power_has_the_limit_that_is_required() -> None:
    model = DeviceModel(config(), {})
    assert model.variable("EVSE", "Power", evse_id=1).high == 6000.0


def test_no_two_rows_name_the_same_variable() -> None:
    """Names match without regard to case: a second one would never be found."""
    names = [
        (r.component.lower(), r.variable.lower(), r.instance.lower(), r.scope)
        for r in TABLE
    ]
    assert len(set(names)) == len(names)
