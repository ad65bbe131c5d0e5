"""2.0.1 on the same code: reduction is right, repeatable and loses nothing else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from chargerd.model import OperationMode, SessionPhase, StopReason, Token
from chargerd.ocpp.effects import LearnTime
from chargerd.ocpp.v2 import dialect
from tests.unit.ocpp.profile_kit import central, install, profile
from tests.unit.ocpp.station_rig import V21, V201, Rig, config, validator

P = SessionPhase


def everything() -> list[tuple[str, dict[str, Any]]]:
    """The messages of a rich 2.1 session."""
    rig = Rig(config(evses=2, device_model={"SampledDataCtrlr.TxUpdatedInterval": 5}))
    rig.observe()
    rig.boot()
    token = Token("WMIV1234567890ABCDEX", "VIN")
    rig.observe(P.STARTING, authorised=True, token=token)
    rig.observe(P.ENERGY, authorised=True, token=token)
    rig.observe(
        P.ENERGY, authorised=True, token=token, mode=OperationMode.CENTRAL_SETPOINT
    )
    rig.run_s(12)
    install(rig, profile(1, kind="Dynamic", periods=central(-5.0), dynUpdateInterval=9))
    install(rig, profile(2, stackLevel=1, maxOfflineDuration=5))
    rig.call("GetChargingProfiles", {"requestId": 1, "chargingProfile": {}})
    rig.call("GetBaseReport", {"requestId": 2, "reportBase": "FullInventory"})
    rig.call("TriggerMessage", {"requestedMessage": "MeterValues"})
    rig.pass_s(10)
    rig.observe(P.FINISHED, authorised=True, token=token, stop=StopReason.LOCAL)
    return [(send.action, send.payload) for send in rig.sent]


def test_what_was_queued_under_2_1_can_leave_on_a_2_0_1_link() -> None:
    actions = set()
    for action, payload in everything():
        reduced = dialect.outgoing(V201, action, payload)
        if reduced is None:
            continue
        actions.add(action)
        validator(V201, f"{action}Request").validate(reduced)
        assert dialect.outgoing(V201, action, reduced) == reduced
        validator(V21, f"{action}Request").validate(reduced)
    assert {
        "TransactionEvent", "NotifyEvent", "NotifyReport", "ReportChargingProfiles",
        "MeterValues", "BootNotification", "SecurityEventNotification",
    } <= actions  # fmt: skip


def test_2_1_is_left_alone() -> None:
    for action, payload in everything():
        assert dialect.outgoing(V21, action, payload) is payload


def test_a_pull_does_not_exist_in_2_0_1() -> None:
    assert dialect.outgoing(V201, "PullDynamicScheduleUpdate", {}) is None


@pytest.mark.parametrize("year", ["0001", "1970", "9999"])
def test_an_absurd_time_is_not_learned(year: str) -> None:
    rig = Rig()
    rig.link()
    rig.answer(
        rig.last("BootNotification"),
        {"currentTime": f"{year}-12-31T23:59:59Z", "interval": 9, "status": "Accepted"},
    )
    assert not any(isinstance(e, LearnTime) for e in rig.effects)


def test_an_absurd_update_time_does_no_harm() -> None:
    rig = Rig().boot()
    made = profile(kind="Dynamic", dynUpdateTime="0001-01-01T00:00:00Z")
    install(rig, made)
    rig.call("GetChargingProfiles", {"requestId": 1, "chargingProfile": {}})
    assert rig.payloads("ReportChargingProfiles")


def test_an_id_that_is_a_whole_float_is_the_same_profile() -> None:
    """Newer JSON Schema drafts take 10.0 for an integer; one profile, one row."""
    rig = Rig().boot()
    for number in (10.0, 10):
        request = {"evseId": 1, "chargingProfile": {**profile(), "id": number}}
        assert rig.station.call("SetChargingProfile", request, rig.now) == {
            "status": "Accepted"
        }
        rig.drain()
    assert list(rig.saved["profile"]) == ["10"]


def test_a_remote_starts_profile_is_forgotten_in_time() -> None:
    rig = Rig().boot()
    rig.observe(P.CONNECTED)
    made = profile(purpose="TxProfile", kind="Relative")
    request = {
        "evseId": 1,
        "remoteStartId": 7,
        "idToken": {"idToken": "A", "type": "Central"},
        "chargingProfile": made,
    }
    rig.call("RequestStartTransaction", request)
    rig.pass_s(timedelta(minutes=11).total_seconds())
    rig.observe(P.STARTING, authorised=True, remote_start_id=7)
    assert rig.signal("ocpp.tx") is None


def test_data_transfer_is_answered() -> None:
    rig = Rig().boot()
    assert rig.call("DataTransfer", {"vendorId": "x"}) == {"status": "UnknownVendorId"}


@pytest.mark.parametrize(("length", "kept"), [(2500, True), (2501, False)])
def test_a_signature_too_long_for_2_0_1_is_left_out(length: int, kept: bool) -> None:
    """The value itself stays."""
    sample = {
        "value": 1.0,
        "measurand": "Energy.Active.Import.Register",
        "signedMeterValue": {
            "signedMeterData": "x" * length, "encodingMethod": "OCMF"
        },
    }  # fmt: skip
    message = {
        "evseId": 1,
        "meterValue": [
            {"timestamp": "2026-11-23T08:00:00.000Z", "sampledValue": [sample]}
        ],
    }
    reduced = dialect.outgoing(V201, "MeterValues", message)
    assert reduced is not None
    validator(V201, "MeterValuesRequest").validate(reduced)
    (left,) = reduced["meterValue"][0]["sampledValue"]
    assert ("signedMeterValue" in left) is kept
    assert dialect.outgoing(V201, "MeterValues", reduced) == reduced


@pytest.mark.parametrize(
    ("action", "field"),
    [("NotifyDisplayMessages", "messageInfo"), ("NotifyMonitoringReport", "monitor")],
)
def test_a_list_that_2_0_1_leaves_empty_is_reduced_once_more(
    action: str, field: str
) -> None:
    """It was made for this link, and is reduced again when it leaves."""
    row = {
        "messageInfo": {"message": {"format": "QRCODE", "content": "x"}},
        "monitor": {"variableMonitoring": [{"type": "TargetDelta"}]},
    }[field]
    left = {"requestId": 1} | (
        {"seqNo": 0, "generatedAt": "2026-11-23T08:00:00.000Z"}
        if field == "monitor"
        else {}
    )
    reduced = dialect.outgoing(V201, action, {**left, field: [row]})
    assert reduced == left
    assert dialect.outgoing(V201, action, reduced) == left
    validator(V201, f"{action}Request").validate(left)
