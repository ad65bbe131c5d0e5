"""F06: TriggerMessage, each message that can be asked for."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.model import SessionPhase, VehicleNeeds, VehicleState
from tests.unit.ocpp.station_rig import V21, V201, Rig, config
from tests.unit.ocpp.variable_kit import get_one, item, statuses

P = SessionPhase
req = pytest.mark.req
BOTH = pytest.mark.parametrize("version", [V21, V201])


def trigger(rig: Rig, message: str, **more: Any) -> str:
    answer = rig.call("TriggerMessage", {"requestedMessage": message, **more})
    assert isinstance(answer, dict)
    status: str = answer["status"]
    return status


@BOTH
@pytest.mark.parametrize(
    ("message", "evse", "status", "action"),
    [
        ("BootNotification", None, "Rejected", None),
        ("Heartbeat", None, "Accepted", "Heartbeat"),
        pytest.param(
            "Heartbeat", {"id": 9}, "Accepted", "Heartbeat", marks=req("F06.FR.03")
        ),
        ("MeterValues", None, "Accepted", "MeterValues"),
        ("MeterValues", {"id": 9}, "Rejected", None),
        ("TransactionEvent", {"id": 1}, "Accepted", "TransactionEvent"),
        ("TransactionEvent", {"id": 2}, "Rejected", None),
        ("StatusNotification", {"id": 9, "connectorId": 1}, "Rejected", None),
        ("StatusNotification", {"id": 1, "connectorId": 9}, "Rejected", None),
        ("LogStatusNotification", None, "Accepted", "LogStatusNotification"),
        ("FirmwareStatusNotification", None, "Accepted", "FirmwareStatusNotification"),
        pytest.param(
            "SignCombinedCertificate", None, "NotImplemented", None,
            marks=req("F06.FR.08"),
        ),
        pytest.param(
            "PublishFirmwareStatusNotification", None, "NotImplemented", None,
            marks=req("F06.FR.08"),
        ),
    ],
)  # fmt: skip
@req("F06.FR.05", "F06.FR.10")
def test_what_is_accepted_is_sent(
    version: str, message: str, evse: Any, status: str, action: str | None
) -> None:
    rig = Rig(config(evses=2), version=version).boot()
    rig.observe(P.ENERGY, authorised=True)
    rig.observe(evse_id=2)
    rig.clear()
    assert trigger(rig, message, **({"evse": evse} if evse else {})) == status
    assert {send.action for send in rig.sent} == ({action} if action else set())
    assert all(send.while_gated for send in rig.sent)


@BOTH
@pytest.mark.parametrize("evse_id", [None, 1])
@req("F06.FR.06", "F06.FR.09", "F06.FR.11")
def test_meter_values_are_the_aligned_ones_of_now(
    version: str, evse_id: int | None
) -> None:
    names = ["Energy.Active.Export.Register", "SoC"]
    presets = {"AlignedDataCtrlr.Measurands": ",".join(names)}
    rig = Rig(config(evses=2, device_model=presets), version=version).boot()
    for n in (1, 2):
        rig.observe(P.CONNECTED, evse_id=n, export_wh=500.0)
        rig.observe(P.CONNECTED, evse_id=n, export_wh=700.0 + n)
    rig.clear()
    more = {"evse": {"id": evse_id}} if evse_id else {}
    assert trigger(rig, "MeterValues", **more) == "Accepted"
    sent = rig.payloads("MeterValues")
    assert [p["evseId"] for p in sent] == ([evse_id] if evse_id else [1, 2])
    for payload in sent:
        (value,) = payload["meterValue"]
        samples = {s["measurand"]: s["value"] for s in value["sampledValue"]}
        assert samples == {names[0]: 700.0 + payload["evseId"], names[1]: 60.0}
        assert {s["context"] for s in value["sampledValue"]} == {"Trigger"}


@BOTH
@pytest.mark.parametrize("evse_id", [None, 1])
@req("F06.FR.07", "F06.FR.11")
def test_a_transaction_event_tells_state_and_values(
    version: str, evse_id: int | None
) -> None:
    presets = {"SampledDataCtrlr.TxUpdatedMeasurands": "SoC"}
    rig = Rig(config(evses=3, device_model=presets), version=version).boot()
    for n in (1, 2):
        rig.observe(P.ENERGY, evse_id=n, authorised=True, session_id=f"s{n}")
    rig.observe(evse_id=3)
    rig.clear()
    more = {"evse": {"id": evse_id}} if evse_id else {}
    assert trigger(rig, "TransactionEvent", **more) == "Accepted"
    assert [e["evse"]["id"] for e in rig.events()] == ([1] if evse_id else [1, 2])
    for event in rig.events():
        assert event["triggerReason"] == "Trigger"
        assert event["transactionInfo"]["chargingState"] == "Charging"
        (value,) = event["meterValue"]
        assert [s["measurand"] for s in value["sampledValue"]] == ["SoC"]


@BOTH
@pytest.mark.parametrize(
    ("evse", "told"),
    [
        ({"id": 1, "connectorId": 1}, [(1, "Occupied")]),
        ({"id": 2}, [(2, "Available")]),
        (None, [(1, "Occupied"), (2, "Available")]),
    ],
)
@req("F06.FR.11", "F06.FR.12")
def test_a_status(version: str, evse: Any, told: list[tuple[int, str]]) -> None:
    """Without a connector the statuses of all are sent, though we might reject."""
    rig = Rig(config(evses=2), version=version).boot()
    rig.observe(P.CONNECTED)
    rig.observe(evse_id=2)
    rig.clear()
    more = {"evse": evse} if evse else {}
    assert trigger(rig, "StatusNotification", **more) == "Accepted"
    assert statuses(rig) == told


@req("F06.FR.15", "F06.FR.16")
@pytest.mark.parametrize(
    "action", ["LogStatusNotification", "FirmwareStatusNotification"]
)
def test_what_does_not_run_is_idle(action: str) -> None:
    rig = Rig().boot()
    assert trigger(rig, action) == "Accepted"
    assert rig.payloads(action) == [{"status": "Idle"}]


@BOTH
@req("F06.FR.17")
def test_an_accepted_station_does_not_boot_again(version: str) -> None:
    rig = Rig(version=version).boot()
    rig.clear()
    assert trigger(rig, "BootNotification") == "Rejected"
    assert rig.sent == []


@BOTH
def test_a_pending_station_may_be_asked_to_boot(version: str) -> None:
    rig = Rig(version=version)
    rig.boot("Pending")
    assert trigger(rig, "BootNotification") == "Accepted"
    assert rig.last("BootNotification").payload["reason"] == "Triggered"
    trigger(rig, "BootNotification")
    assert len(rig.payloads("BootNotification")) == 2  # one in flight is enough


# CustomTrigger.


def wants(rig: Rig) -> None:
    needs = VehicleNeeds(energy="DC_BPT", asked=1, target_wh=20_000.0)
    vehicle = VehicleState(protocol="iso15118-20", soc_pct=40.0, needs=needs)
    rig.observe(P.ENERGY, authorised=True, vehicle=vehicle)


@req("F06.FR.18")
def test_a_custom_trigger_tells_what_a_vehicle_needs() -> None:
    rig = Rig().boot()
    told = get_one(rig, item("CustomizationCtrlr", "CustomTriggers"))
    names = told["attributeValue"].split(",")
    assert names == ["NotifyEVChargingNeeds"]
    more = {"customTrigger": names[0]}
    assert trigger(rig, "CustomTrigger", **more) == "Rejected"  # nobody needs anything
    wants(rig)
    rig.clear()
    for evse, status in (({"id": 2}, "Rejected"), ({"id": 1}, "Accepted")):
        assert trigger(rig, "CustomTrigger", evse=evse, **more) == status
    (payload,) = rig.payloads("NotifyEVChargingNeeds")
    assert payload["evseId"] == 1
    assert payload["chargingNeeds"]["requestedEnergyTransfer"] == "DC_BPT"


@pytest.mark.parametrize(
    "more", [{}, {"customTrigger": "Unknown"}, {"customTrigger": "Heartbeat"}]
)
@req("F06.FR.19")
def test_others_are_not_implemented(more: dict[str, str]) -> None:
    rig = Rig().boot()
    rig.clear()
    assert trigger(rig, "CustomTrigger", **more) == "NotImplemented"
    assert rig.sent == []
