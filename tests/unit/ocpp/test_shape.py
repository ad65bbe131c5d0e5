"""What a test system wants to see of a station comes from the config file alone."""

from __future__ import annotations

import pytest

from chargerd.config import Config
from tests.unit.ocpp.station_rig import EVSE, Rig

SHAPE = {
    "station": {
        "id": "TEST-77",
        "vendor": "Maker",
        "model": "M-2",
        "serial": "S-1",
        "firmware": "9.8.7",
    },
    "evse": [{"id": 1, **EVSE}, {"id": 2, **EVSE}],
    "ocpp": {
        "url": "wss://csms.example:8443/ocpp",
        "security_profile": 2,
        "password": "sixteen-letters-or-more",
        "certificates_dir": "/etc/chargerd/csms",
        "device_model": {
            "SampledDataCtrlr.TxUpdatedInterval": 77,
            "AuthCtrlr.AuthorizeRemoteStart": True,
            "TxCtrlr.TxStartPoint": "EVConnected,Authorized",
        },
    },
}


@pytest.fixture
def rig() -> Rig:
    return Rig(Config.model_validate(SHAPE)).boot()


def test_identity(rig: Rig) -> None:
    assert rig.payloads("BootNotification")[0]["chargingStation"] == {
        "vendorName": "Maker",
        "model": "M-2",
        "serialNumber": "S-1",
        "firmwareVersion": "9.8.7",
    }


def test_where_and_as_whom(rig: Rig) -> None:
    found = rig.station.connection()
    assert found.address() == "wss://csms.example:8443/ocpp/TEST-77"
    assert (found.identity, found.security_profile) == ("TEST-77", 2)
    assert found.password == "sixteen-letters-or-more"
    assert str(found.certificates_dir) == "/etc/chargerd/csms"


@pytest.mark.parametrize(
    ("component", "variable", "value"),
    [
        ("SampledDataCtrlr", "TxUpdatedInterval", "77"),
        ("AuthCtrlr", "AuthorizeRemoteStart", "true"),
        ("TxCtrlr", "TxStartPoint", "EVConnected,Authorized"),
    ],
)
def test_presets(rig: Rig, component: str, variable: str, value: str) -> None:
    wanted = {"component": {"name": component}, "variable": {"name": variable}}
    answer = rig.call("GetVariables", {"getVariableData": [wanted]})
    assert isinstance(answer, dict)
    assert answer["getVariableResult"][0]["attributeValue"] == value


def test_two_evses_of_one_connector(rig: Rig) -> None:
    rig.call("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"})
    rows = [row for part in rig.payloads("NotifyReport") for row in part["reportData"]]
    places = [row["component"].get("evse") for row in rows]
    assert {"id": 1} in places
    assert {"id": 2} in places
    connectors = {
        (place["id"], place["connectorId"])
        for place in places
        if place and "connectorId" in place
    }
    assert connectors == {(1, 1), (2, 1)}
