"""Network connection profiles: setting them (B09), trying them in order (B10)."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.model import ActiveFault
from chargerd.ocpp.effects import OcppError
from tests.unit.ocpp.certificate_kit import held
from tests.unit.ocpp.station_rig import START, V21, V201, Rig, config
from tests.unit.ocpp.variable_kit import (
    COMM,
    get_one,
    item,
    reported,
    set_one,
    statuses,
)

BOTH = pytest.mark.parametrize("version", [V21, V201])
req = pytest.mark.req

PASSWORD = "an old password of ours"
PRIORITY = "NetworkConfigurationPriority"
FIRST = {"url": "ws://one/ocpp", "security_profile": 1, "password": PASSWORD}


def data(url: str = "ws://two/ocpp", profile: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "ocppVersion": "OCPP20",
        "ocppInterface": "Wired0",
        "ocppTransport": "JSON",
        "messageTimeout": 20,
        "ocppCsmsUrl": url,
        "securityProfile": profile,
        **more,
    }


def station(version: str = V21, **more: Any) -> Rig:
    return Rig(config(**{**FIRST, **more}), version=version).boot()


def set_profile(rig: Rig, slot: int, **made: Any) -> tuple[str, str]:
    request = {"configurationSlot": slot, "connectionData": data(**made)}
    answer = rig.call("SetNetworkProfile", request)
    assert isinstance(answer, dict)
    return answer["status"], answer.get("statusInfo", {}).get("reasonCode", "")


def prioritise(rig: Rig, value: str) -> tuple[str, str]:
    result = set_one(rig, item(COMM, PRIORITY, value))
    reason = result.get("attributeStatusInfo", {}).get("reasonCode", "")
    return result["attributeStatus"], reason


def slot_value(rig: Rig, slot: int, variable: str) -> str:
    made = get_one(rig, item(f"NetworkConfiguration[{slot}]", variable))
    value = made["attributeValue"]
    assert isinstance(value, str)
    return value


def tried(rig: Rig) -> tuple[int, str]:
    connection = rig.station.connection()
    return connection.slot, connection.url


def fail(rig: Rig, times: int) -> list[int]:
    """Attempts that fail; the slots that were tried."""
    slots = []
    for _ in range(times):
        slots.append(rig.station.connection().slot)
        rig.station.unreachable("", rig.now)
        rig.drain()
    return slots


# B09: SetNetworkProfile.


@req("B09.FR.01", "B09.FR.09", "B09.FR.11")
@BOTH
def test_a_profile_is_kept_in_its_slot(version: str) -> None:
    rig = station(version)
    assert set_profile(rig, 2) == ("Accepted", "")
    again = rig.restarted().boot()
    for variable, value in {
        "OcppCsmsUrl": "ws://two/ocpp", "OcppInterface": "Wired0", "MessageTimeout":
        "20", "SecurityProfile": "1", "OcppVersion": "OCPP20",
        "ApnEnabled": "false", "VpnEnabled": "false",
    }.items():  # fmt: skip
        assert slot_value(again, 2, variable) == value
    assert tried(again) == (1, "ws://one/ocpp")


@req("B09.FR.03")
@BOTH
def test_a_profile_that_cannot_be_kept_fails(version: str) -> None:
    rig = station(version)
    rig.observe(faults=(ActiveFault("StoreFault", 0, START),))
    assert set_profile(rig, 2) == ("Failed", "OutOfStorage")
    assert set_profile(rig, 9) == ("Rejected", "InvalidConfSlot")
    rig.observe()
    assert set_profile(rig, 2) == ("Accepted", "")


@req("B09.FR.09")
def test_identity_and_password_of_a_profile() -> None:
    rig = station()
    secret = "another password of ours"
    set_profile(rig, 2, identity="CP9", basicAuthPassword=secret)
    assert "ReconfigurationOfSecurityParameters" in rig.log[-1]
    assert secret not in str(rig.log)
    assert prioritise(rig, "2") == ("Accepted", "")
    connection = rig.restarted().station.connection()
    assert (connection.identity, connection.password) == ("CP9", secret)
    rig = station()
    set_profile(rig, 2)  # names none: ours stay
    prioritise(rig, "2")
    connection = rig.restarted().station.connection()
    assert (connection.identity, connection.password) == ("CP1", PASSWORD)


@BOTH
@pytest.mark.parametrize(
    ("slot", "made", "reason"),
    [
        pytest.param(9, {}, "InvalidConfSlot", marks=req("B09.FR.05")),
        pytest.param(0, {}, "InvalidConfSlot", marks=req("B09.FR.05")),
        pytest.param(2, {"url": "http://two"}, "InvalidNetworkConf",
                     marks=req("B09.FR.02")),
        pytest.param(2, {"url": "ws://two", "profile": 2}, "InvalidNetworkConf",
                     marks=req("B09.FR.02")),
        (2, {"url": "ws://me:secret@two"}, "InvalidNetworkConf"),
        (2, {"profile": 9, "url": "wss://two"}, "InvalidNetworkConf"),
        (2, {"ocppTransport": "SOAP"}, "InvalidNetworkConf"),
        (2, {"messageTimeout": 0}, "InvalidNetworkConf"),
        pytest.param(2, {"profile": 0}, "NoSecurityDowngrade", marks=req("B09.FR.04")),
        (2, {"apn": {"apn": "x", "apnAuthentication": "NONE"}}, "InvalidNetworkConf"),
        (2, {"vpn": {"server": "x", "user": "u", "password": "p", "key": "k",
                     "type": "IPSec"}}, "InvalidNetworkConf"),
    ],
)  # fmt: skip
def test_a_profile_we_refuse(
    version: str, slot: int, made: dict[str, Any], reason: str
) -> None:
    rig = station(version)
    before = dict(rig.saved.get("device_model", {}))
    assert set_profile(rig, slot, **made) == ("Rejected", reason)
    assert rig.saved.get("device_model", {}) == before


@pytest.mark.parametrize(
    "made",
    [
        {"identity": "a:b"},
        {"identity": ""},
        {"basicAuthPassword": "short"},
    ],
)
def test_a_bad_identity_or_password_is_refused(made: dict[str, Any]) -> None:
    assert set_profile(station(), 2, **made) == ("Rejected", "InvalidNetworkConf")


@pytest.mark.parametrize(
    ("active", "allowed", "wished", "status"),
    [
        pytest.param(3, False, 2, "Rejected", marks=req("B09.FR.04")),
        pytest.param(3, True, 2, "Accepted", marks=req("B09.FR.31")),
        pytest.param(3, True, 1, "Rejected", marks=req("B09.FR.32")),
        pytest.param(2, True, 1, "Rejected", marks=req("B09.FR.32")),
        (2, False, 3, "Accepted"),
    ],
)
def test_security_profiles_only_go_up(
    active: int, allowed: bool, wished: int, status: str
) -> None:
    preset = {"SecurityCtrlr.AllowSecurityProfileDowngrade": allowed}
    rig = station(url="wss://one", security_profile=active, device_model=preset)
    assert set_profile(rig, 2, url="wss://two", profile=wished)[0] == status


# B09: the component NetworkConfiguration.


@req("B09.FR.06", "B09.FR.08", "B09.FR.10", "B09.FR.13")
def test_the_slots_are_reported() -> None:
    rig = station()
    rig.call("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"})
    rows = {
        (r["component"].get("instance"), r["variable"]["name"]): r
        for r in reported(rig)
        if r["component"]["name"] == "NetworkConfiguration"
    }
    assert {slot for slot, _ in rows} == {"1", "2", "3"}
    for slot in "123":
        for name in (
            "OcppCsmsUrl", "SecurityProfile", "Identity", "MessageTimeout",
            "OcppInterface", "OcppTransport", "OcppVersion",
        ):  # fmt: skip
            (attribute,) = rows[slot, name]["variableAttribute"]
            assert attribute["mutability"] == "ReadWrite"
        (attribute,) = rows[slot, "BasicAuthPassword"]["variableAttribute"]
        assert attribute["mutability"] == "WriteOnly"
        assert "value" not in attribute
        for name in ("ApnEnabled", "VpnEnabled"):
            (attribute,) = rows[slot, name]["variableAttribute"]
            assert (attribute["mutability"], attribute["value"]) == (
                "ReadOnly", "false",
            )  # fmt: skip
    priority = next(r for r in reported(rig) if r["variable"]["name"] == PRIORITY)
    assert priority["variableCharacteristics"]["valuesList"] == "1,2,3"


@req("B06.FR.09", "B07.FR.03", "B07.FR.15", "B08.FR.03")
@pytest.mark.parametrize("component", ["SecurityCtrlr", "NetworkConfiguration[1]"])
def test_a_password_can_be_set_and_never_read(component: str) -> None:
    rig = station()
    result = get_one(rig, item(component, "BasicAuthPassword"))
    assert result["attributeStatus"] == "Rejected"
    assert "attributeValue" not in result
    rig.call("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"})
    rig.call("GetReport", {"requestId": 1})
    rows = [r for r in reported(rig) if r["variable"]["name"] == "BasicAuthPassword"]
    assert len(rows) == 8
    for row in rows:
        assert row["variableAttribute"][0]["mutability"] == "WriteOnly"
        assert "value" not in row["variableAttribute"][0]
    assert PASSWORD not in str(rig.sent)


@pytest.mark.parametrize(
    ("slot", "variable", "value", "status"),
    [
        pytest.param(1, "OcppCsmsUrl", "ws://x", "Rejected", marks=req("B09.FR.22")),
        pytest.param(1, "BasicAuthPassword", "x" * 20, "Rejected",
                     marks=req("B09.FR.22")),
        pytest.param(2, "OcppCsmsUrl", "wss://x/y", "Accepted",
                     marks=req("B09.FR.23", "B09.FR.24")),
        (2, "OcppCsmsUrl", "", "Accepted"),
        pytest.param(2, "OcppCsmsUrl", "ftp://x", "Rejected",
                     marks=req("B09.FR.23", "B09.FR.25")),
        pytest.param(2, "MessageTimeout", "0", "Rejected", marks=req("B09.FR.25")),
        (2, "OcppTransport", "SOAP", "Rejected"),
        (2, "Identity", "a:b", "Rejected"),
        (2, "Identity", "", "Rejected"),
        (2, "BasicAuthPassword", "short", "Rejected"),
        (2, "BasicAuthPassword", "x" * 65, "Rejected"),
        (2, "BasicAuthPassword", "x" * 40, "Accepted"),
        (2, "ApnEnabled", "true", "Rejected"),
        (2, "SecurityProfile", "2", "Accepted"),
        pytest.param(2, "SecurityProfile", "0", "Rejected", marks=req("B09.FR.35")),
    ],
)  # fmt: skip
def test_one_variable_of_a_slot(
    slot: int, variable: str, value: str, status: str
) -> None:
    rig = station()
    made = item(f"NetworkConfiguration[{slot}]", variable, value)
    result = set_one(rig, made)
    assert result["attributeStatus"] == status
    if variable == "SecurityProfile" and status == "Rejected":
        info = result["attributeStatusInfo"]
        assert info["reasonCode"] == "NoSecurityDowngrade"
    if status == "Accepted" and variable != "BasicAuthPassword":
        assert slot_value(rig.restarted().boot(), slot, variable) == value


@req("B09.FR.26", "B09.FR.27")
@pytest.mark.parametrize(
    ("variable", "value"),
    [("Identity", "CP7"), ("BasicAuthPassword", "a new password of ours")],
)
def test_the_old_names_stand_for_all_slots(variable: str, value: str) -> None:
    rig = station()
    set_profile(rig, 2)
    result = set_one(rig, item("SecurityCtrlr", variable, value))
    assert result["attributeStatus"] == "Accepted"
    field = {"Identity": "identity", "BasicAuthPassword": "password"}[variable]
    assert getattr(rig.station.connection(), field) == value
    prioritise(rig, "2")
    assert getattr(rig.restarted().station.connection(), field) == value


@pytest.mark.parametrize(
    ("variable", "value"), [("Identity", "a:b"), ("BasicAuthPassword", "x" * 15)]
)
def test_the_old_names_have_the_same_rules(variable: str, value: str) -> None:
    result = set_one(station(), item("SecurityCtrlr", variable, value))
    assert result["attributeStatus"] == "Rejected"
    assert value not in str(result["attributeStatusInfo"])


# B09, B10: the priority.


@BOTH
@pytest.mark.parametrize(
    ("value", "answer"),
    [
        pytest.param("2,1", ("Accepted", ""),
                     marks=req("B10.FR.01", "B09.FR.33")),
        pytest.param("2", ("Accepted", ""), marks=req("B10.FR.01")),
        pytest.param("1,3", ("Rejected", "InvalidNetworkConf"),
                     marks=req("B10.FR.02", "B09.FR.34")),
        ("1,4", ("Rejected", "InvalidValue")),
        ("1,1", ("Rejected", "InvalidValue")),
        ("", ("Rejected", "MissingParam")),
    ],
)  # fmt: skip
def test_priority(version: str, value: str, answer: tuple[str, str]) -> None:
    rig = station(version)
    set_profile(rig, 2)
    assert prioritise(rig, value) == answer
    taken = get_one(rig, item(COMM, PRIORITY))["attributeValue"]
    assert taken == (value if answer[0] == "Accepted" else "1")


@req("B09.FR.20")
def test_taking_slots_away_is_always_possible() -> None:
    rig = station()
    set_profile(rig, 2)
    set_profile(rig, 3, url="ws://three")
    prioritise(rig, "1,2,3")
    set_profile(rig, 2, url="wss://two", profile=2)
    rig.station._desk.model.update("NetworkConfiguration[2]", "OcppCsmsUrl", "ws://two")
    assert prioritise(rig, "2,3") == ("Accepted", "")
    assert prioritise(rig, "3,2") == ("Rejected", "InvalidNetworkConf")


def test_a_slot_that_lacks_certificates_cannot_be_chosen() -> None:
    rig = station()
    set_profile(rig, 2, url="wss://two", profile=2)
    assert prioritise(rig, "2,1") == ("Rejected", "InvalidNetworkConf")


# B10: trying.


@req("B10.FR.04")
@BOTH
def test_after_a_reboot_the_first_of_the_list(version: str) -> None:
    rig = station(version)
    set_profile(rig, 2)
    prioritise(rig, "2,1")
    assert tried(rig) == (1, "ws://one/ocpp")
    rig = rig.restarted()
    assert tried(rig) == (2, "ws://two/ocpp")


@req("B10.FR.03", "B10.FR.08", "B10.FR.09")
def test_each_entry_has_its_attempts_and_there_is_no_end() -> None:
    rig = station(device_model={f"{COMM}.NetworkProfileConnectionAttempts": 2})
    set_profile(rig, 2)
    set_profile(rig, 3, url="ws://three")
    prioritise(rig, "3,2,1")
    rig = rig.restarted()
    assert fail(rig, 9) == [3, 3, 2, 2, 1, 1, 3, 3, 2]


@req("B10.FR.07", "B10.FR.09")
def test_the_last_profile_that_worked_comes_after_all_others() -> None:
    rig = station()
    set_profile(rig, 2)
    prioritise(rig, "2")
    set_profile(rig, 1, url="ws://nobody")
    rig = rig.restarted()
    assert fail(rig, 3) == [2, 2, 2]
    assert tried(rig) == (1, "ws://one/ocpp")  # as it was when it worked
    assert fail(rig, 6) == [1, 1, 1, 2, 2, 2]
    assert tried(rig) == (1, "ws://one/ocpp")
    rig.boot()
    assert get_one(rig, item(COMM, "ActiveNetworkProfile"))["attributeValue"] == "1"


def test_an_old_password_is_tried_when_the_new_one_fails() -> None:
    rig = station()
    set_one(rig, item("SecurityCtrlr", "BasicAuthPassword", "a new password of ours"))
    rig.link(up=False)
    assert rig.station.connection().password == "a new password of ours"
    fail(rig, 3)
    assert rig.station.connection().password == PASSWORD
    assert rig.station.connection().url == "ws://one/ocpp"


def test_a_lost_link_is_sought_where_it_was() -> None:
    rig = station()
    set_profile(rig, 2)
    prioritise(rig, "2,1")
    rig.link(up=False)
    assert fail(rig, 2) == [1, 1]
    rig.link()
    rig.link(up=False)
    assert fail(rig, 4) == [1, 1, 1, 2]


@req("B01.FR.05", "B10.FR.10")
@BOTH
def test_another_csms_gets_a_boot_notification(version: str) -> None:
    """And then the state of each connector."""
    rig = station(version)
    rig.observe()
    set_profile(rig, 2)
    prioritise(rig, "1,2")
    rig.link(up=False)
    fail(rig, 3)
    rig.clear()
    rig.link()
    assert [s.action for s in rig.sent if s.while_gated] == ["BootNotification"]
    rig.answer(
        rig.last("BootNotification"),
        {"currentTime": rig.time(), "interval": 60, "status": "Accepted"},
    )
    assert statuses(rig) == [(1, "Available")]
    rig.clear()
    rig.link(up=False)
    rig.link()
    assert rig.payloads("BootNotification") == []


def test_a_csms_that_made_us_wait_does_not_hold_the_next_one_up() -> None:
    rig = Rig(config(**FIRST))
    rig.boot("Rejected", interval=3600)
    rig.station._desk.keep(
        rig.station._desk.model.variable("NetworkConfiguration[2]", "OcppCsmsUrl"),
        "ws://two",
    )
    rig.station._desk.keep(rig.station._desk.model.variable(COMM, PRIORITY), "1,2")
    rig.link(up=False)
    fail(rig, 3)
    rig.clear()
    rig.link()
    assert len(rig.payloads("BootNotification")) == 1


@req("B09.FR.28")
def test_the_profile_in_use_shows_in_the_old_names() -> None:
    rig = station()
    secret = "another password of ours"
    set_profile(
        rig, 2, identity="CP9", basicAuthPassword=secret, messageTimeout=7
    )  # fmt: skip
    prioritise(rig, "2,1")
    rig = rig.restarted().boot()
    for component, variable, value in (
        (COMM, "ActiveNetworkProfile", "2"),
        ("SecurityCtrlr", "Identity", "CP9"),
        ("SecurityCtrlr", "SecurityProfile", "1"),
    ):
        assert get_one(rig, item(component, variable))["attributeValue"] == value
    assert rig.station._desk.model.text("SecurityCtrlr", "BasicAuthPassword") == secret
    assert rig.station.number(COMM, "MessageTimeout", "Default") == 7


@req("A05.FR.05", "A05.FR.06")
def test_once_a_higher_security_profile_works_there_is_no_way_back() -> None:
    rig = station()
    rig.hold(held())  # a root of the CSMS
    set_profile(rig, 2, url="wss://two", profile=2)
    prioritise(rig, "2,1")
    rig = rig.restarted()
    assert tried(rig) == (2, "wss://two")
    rig.boot()
    (line,) = [each for each in rig.log if "ReconfigurationOfSecurity" in each]
    assert "security profile 2" in line
    assert get_one(rig, item(COMM, PRIORITY))["attributeValue"] == "2"
    assert slot_value(rig, 1, "OcppCsmsUrl") == ""
    value = get_one(rig, item("SecurityCtrlr", "SecurityProfile"))["attributeValue"]
    assert value == "2"
    rig = rig.restarted()
    assert set(fail(rig, 9)) == {2}


# The config file.


def test_who_edits_the_config_file_is_heard() -> None:
    """The CSMS moved us; then a technician writes another address."""
    rig = station()
    set_profile(rig, 2)
    prioritise(rig, "2")
    assert tried(rig.restarted()) == (2, "ws://two/ocpp")
    rig.conf = config(**{**FIRST, "url": "ws://new/ocpp"})
    again = rig.restarted()
    again.drain()
    assert tried(again) == (1, "ws://new/ocpp")
    assert tried(again.restarted()) == (1, "ws://new/ocpp")
    assert get_one(again.boot(), item(COMM, PRIORITY))["attributeValue"] == "1,2"


def test_a_broken_record_of_the_last_profile_is_no_profile() -> None:
    rig = Rig(config(**FIRST), {"network": {"last": {"slot": 1}}})
    assert set(fail(rig, 9)) == {1}


def test_a_refused_address_in_the_config_file() -> None:
    with pytest.raises(OcppError, match=r"ocpp\.url"):
        Rig(config(url="ws://csms", security_profile=2))
