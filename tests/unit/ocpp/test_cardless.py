"""Starts that need no card: by the plug alone, or by the vehicle's own id."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.model import (
    ActiveFault,
    SessionPhase,
    StartRequest,
    StopReason,
    Token,
    VehicleState,
)
from tests.unit.ocpp.station_rig import START, V21, V201, Rig, config

P = SessionPhase
BOTH = pytest.mark.parametrize("version", [V21, V201])


def starts(rig: Rig) -> list[StartRequest]:
    return [request for request in rig.asked() if isinstance(request, StartRequest)]


def test_without_authorization_a_plug_is_enough() -> None:
    rig = Rig(config(device_model={"AuthCtrlr.Enabled": False})).boot()
    rig.observe(P.CONNECTED)
    assert starts(rig) == [StartRequest(1, Token("", "NoAuthorization"))]
    rig.run_s(2)
    assert len(starts(rig)) == 1
    rig.observe(P.FINISHED, stop=StopReason.REMOTE)
    rig.observe(P.CONNECTED)  # stopped: not begun anew
    assert len(starts(rig)) == 1
    rig.observe()
    rig.observe(P.CONNECTED, session_id="s2")
    assert len(starts(rig)) == 2


@pytest.mark.parametrize(
    "why",
    [{"operative": False}, {"faults": (ActiveFault("StageFault", 1, START),)}],
)
@pytest.mark.parametrize("auto", [False, True])
def test_who_came_while_nothing_could_begin_starts_when_it_can(
    auto: bool, why: dict[str, Any]
) -> None:
    presets = {"AuthCtrlr.Enabled": auto}
    rig = Rig(config(device_model=presets, autocharge=auto)).boot()
    vehicle = VehicleState(protocol="iso15118-2", vehicle_id="0A1B2C3D4E5F")
    rig.observe(**why)
    rig.observe(P.CONNECTED, vehicle=vehicle, **why)
    assert starts(rig) == []  # the heart would not
    rig.observe(P.CONNECTED, vehicle=vehicle)
    assert len(starts(rig)) == 1


@pytest.mark.parametrize("enabled", [False, True])
def test_with_authorization_it_is_not(enabled: bool) -> None:
    """Nor for a station that may not begin before it is accepted."""
    presets = {
        "AuthCtrlr.Enabled": enabled,
        "TxCtrlr.TxBeforeAcceptedEnabled": enabled,
    }
    rig = Rig(config(device_model=presets))
    rig.observe(P.CONNECTED)
    assert starts(rig) == []


@BOTH
@pytest.mark.parametrize(
    ("vehicle_id", "kind"),
    [("0A1B2C3D4E5F", "MacAddress"), ("DEVCC0A1B2C3D4E", "EVCCID")],
)
def test_a_vehicles_own_id_is_asked_about_like_a_card(
    version: str, vehicle_id: str, kind: str
) -> None:
    rig = Rig(config(autocharge=True), version=version).boot()
    rig.observe(P.CONNECTED)
    assert starts(rig) == []  # it has not said who it is
    vehicle = VehicleState(protocol="iso15118-2", vehicle_id=vehicle_id)
    for _ in range(3):
        rig.observe(P.CONNECTED, vehicle=vehicle)
    wanted = StartRequest(1, Token(vehicle_id, kind), authorised=False)
    assert starts(rig) == [wanted]
    rig.observe()
    rig.observe(P.CONNECTED, vehicle=vehicle, session_id="s2")
    assert starts(rig) == [wanted, wanted]


@pytest.mark.parametrize(
    ("more", "seen"),
    [
        ({}, {}),
        ({"autocharge": True}, {"authorised": True}),
        ({"autocharge": True}, {"phase": P.FINISHED}),
    ],
)
def test_it_is_left_alone_where_that_is_not_wished(
    more: dict[str, Any], seen: dict[str, Any]
) -> None:
    rig = Rig(config(**more)).boot()
    vehicle = VehicleState(protocol="iso15118-2", vehicle_id="0A1B2C3D4E5F")
    rig.observe(**{"phase": P.CONNECTED, "vehicle": vehicle, **seen})
    assert starts(rig) == []


def test_a_reserved_evse_waits_for_its_card() -> None:
    rig = Rig(config(device_model={"AuthCtrlr.Enabled": False})).boot()
    rig.observe()
    request = {
        "id": 1,
        "evseId": 1,
        "expiryDateTime": "2026-11-24T00:00:00Z",
        "idToken": {"idToken": "A", "type": "ISO14443"},
    }
    assert rig.call("ReserveNow", request) == {"status": "Accepted"}
    rig.observe(P.CONNECTED)
    assert starts(rig) == []
    assert rig.call("CancelReservation", {"reservationId": 1})["status"] == "Accepted"
    rig.observe(P.CONNECTED)
    assert len(starts(rig)) == 1
