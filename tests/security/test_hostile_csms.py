"""A hostile central system against the whole daemon: refused, alive, inside limits."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil.csms.wire import CallFailed
from tests.process import Plant, station

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]

RATING_W = 10_000.0
RIGHT_ERRORS = {  # OCPP-J part 4, table of RPC framework error codes
    "FormatViolation",
    "TypeConstraintViolation",
    "PropertyConstraintViolation",
    "OccurrenceConstraintViolation",
    "RpcFrameworkError",
}


PROFILE = (
    '[2,"ID","SetChargingProfile",{"evseId":1,"chargingProfile":{"id":9,'
    '"stackLevel":5,"chargingProfilePurpose":"TxDefaultProfile",'
    '"chargingProfileKind":"Absolute","chargingSchedule":[{"id":1,'
    '"chargingRateUnit":"W","startSchedule":"2026-01-01T00:00:00Z",'
    '"chargingSchedulePeriod":[{"startPeriod":0,'
    '"operationMode":"CentralSetpoint","setpoint":SETPOINT}]}]}}]'
)

NUMBERS = [
    "NaN", "Infinity", "-Infinity", "1e400", "-1e308", '"5000"', "true", "null",
    "[1]", "{}", "9" * 5000,
]  # fmt: skip

SHAPES = [
    '[2,17,"Heartbeat",{}]',
    '[2,"x",["SetChargingProfile"],{}]',
    '[2,"x","NoSuchAction",{}]',
    '[2,"x","BootNotification",{}]',
    '[9,"x","Heartbeat",{}]',
    "{}",
    "[]",
    "not json at all",
    '[2,"' + "i" * 4000 + '","Reset",{"type":"Immediate"}]',
    '[2,"x","Reset",' + "[" * 60_000 + "]" * 60_000 + "]",
    '[3,"never asked",{}]',
    '[2,"big","DataTransfer",{"vendorId":"v","data":"' + "x" * 1_000_000 + '"}]',
]


async def alive(plant: Plant) -> None:
    answer = await plant.peer.call(
        "GetVariables",
        {
            "getVariableData": [
                {
                    "component": {"name": "OCPPCommCtrlr"},
                    "variable": {"name": "HeartbeatInterval"},
                }
            ]
        },
    )
    assert answer["getVariableResult"][0]["attributeStatus"] == "Accepted"


@pytest.mark.asyncio
async def test_hostile_messages_never_move_the_power(tmp_path: Path) -> None:
    async with station(tmp_path) as plant:
        await plant.start_session()
        connections = plant.peer.connections
        for index, number in enumerate(NUMBERS):
            text = PROFILE.replace("ID", f"hostile-{index}", 1)
            text = text.replace("SETPOINT", number)
            await refused(plant, f"hostile-{index}", text)
            await alive(plant)
        for shape in SHAPES:
            await plant.peer.send_raw(shape)
            await alive(plant)
        assert plant.peer.connections == connections
        for row in plant.trace():
            if row["kind"] == "sample":
                assert abs(row["evses"]["1"]["ac_w"]) <= RATING_W * 1.05


async def refused(plant: Plant, message_id: str, text: str) -> None:
    """A CALLERROR with a right code, or an answer that says Rejected."""
    try:
        answer = await plant.peer.call_raw(message_id, "SetChargingProfile", text)
        said = answer["status"]
    except CallFailed as failed:
        said = failed.code
    assert said == "Rejected" or said in RIGHT_ERRORS, (text[-90:], said)
