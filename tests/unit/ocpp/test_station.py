"""Routing, and what the shell may do to the station at any time."""

from __future__ import annotations

import pytest

from chargerd.model import SessionPhase
from chargerd.ocpp.effects import (
    CallError,
    Durability,
    OcppError,
)
from chargerd.ocpp.station import OcppStation
from tests.unit.ocpp.station_rig import V21, V201, Rig, config

BOTH = pytest.mark.parametrize("version", [V21, V201])


def test_startup_is_a_durable_security_event() -> None:
    rig = Rig()
    assert rig.station.next_timer() == 0.0
    rig.pass_s(0.1)
    send = rig.last("SecurityEventNotification")
    assert send.payload["type"] == "StartupOfTheDevice"
    assert send.durability is Durability.DURABLE


@BOTH
def test_unsupported_actions_are_not_supported(version: str) -> None:
    rig = Rig(version=version)
    rig.boot()
    answer = rig.station.call("PublishFirmware", {}, rig.now)
    assert answer == CallError("NotSupported", "PublishFirmware is not supported")


def test_2_1_actions_do_not_exist_on_a_2_0_1_link() -> None:
    rig = Rig(version=V201)
    rig.boot()
    payload = {"chargingProfileId": 1, "scheduleUpdate": {}}
    answer = rig.station.call("UpdateDynamicSchedule", payload, rig.now)
    assert isinstance(answer, CallError)


def test_unknown_boot_reason_is_an_error() -> None:
    with pytest.raises(OcppError, match="boot reason"):
        OcppStation(config(), {}, "BecauseICan")


def test_a_report_of_an_unknown_evse_is_ignored() -> None:
    rig = Rig().boot()
    rig.clear()
    rig.observe(SessionPhase.ENERGY, evse_id=7, authorised=True)
    assert rig.effects == []
