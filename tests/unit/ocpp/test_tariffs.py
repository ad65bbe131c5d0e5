"""I07 to I10: default tariffs, drivers' tariffs, what the CSMS asks of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chargerd.clock import Now
from chargerd.model import SessionPhase, StopReason, StopRequest
from chargerd.ocpp.effects import CallError
from tests.unit.ocpp.auth_kit import ask, asked, good
from tests.unit.ocpp.cost_kit import energy, fee, tariff
from tests.unit.ocpp.station_rig import CARD, START, V201, Rig, config
from tests.unit.ocpp.tariff_kit import (
    ONE,
    assigned,
    charge,
    named,
    problems,
    set_default,
    station,
    stop,
    tariffs,
    total,
    welcome,
)

P = SessionPhase
TWO = tariff("T2", energy=energy(2.0))
MINE = tariff("mine", energy=energy(3.0))
MANY = {"prices": [{"priceKwh": 1.0}] * 101}
WITH_CONDITION = tariff(fixedFee=fee(1.0, evseKind="DC"))


def later(told: dict[str, Any], hours: float) -> dict[str, Any]:
    return {**told, "validFrom": (START + timedelta(hours=hours)).isoformat()}


# Default tariffs.


@pytest.mark.parametrize(
    ("presets", "evse_id", "told", "status"),
    [
        pytest.param({}, 0, ONE, "Accepted", marks=pytest.mark.req("I07.FR.10")),
        pytest.param({}, 0, tariff(energy=MANY), "TooManyElements",
                     marks=pytest.mark.req("I07.FR.02")),
        pytest.param({"TariffCostCtrlr.ConditionsSupported[Tariff]": False}, 0,
                     WITH_CONDITION, "ConditionNotSupported",
                     marks=pytest.mark.req("I07.FR.03")),
        ({}, 0, WITH_CONDITION, "Accepted"),
        pytest.param({}, 0, tariff(maxCost={}), "Rejected",
                     marks=pytest.mark.req("I07.FR.05")),
        pytest.param({}, 9, ONE, "Rejected", marks=pytest.mark.req("I07.FR.06")),
    ],
)  # fmt: skip
def test_which_default_tariffs_are_taken(
    presets: dict[str, Any], evse_id: int, told: dict[str, Any], status: str
) -> None:
    rig = station(**presets)
    assert set_default(rig, told, evse_id) == status
    assert tariffs(rig) == ({told["tariffId"]: [1]} if status == "Accepted" else {})


@pytest.mark.req("I07.FR.01", "I11.FR.01")
def test_without_tariffs_nothing_is_supported() -> None:
    rig = station(**{"TariffCostCtrlr.Enabled[Tariff]": False})
    for action, payload in (
        ("SetDefaultTariff", {"evseId": 0, "tariff": ONE}),
        ("GetTariffs", {"evseId": 0}),
        ("ClearTariffs", {}),
        ("ChangeTransactionTariff", {"transactionId": "x", "tariff": ONE}),
    ):
        answer = rig.call(action, payload)
        assert isinstance(answer, CallError)
        assert answer.code == "NotSupported"


@pytest.mark.req("I07.FR.04")
def test_an_id_that_is_here_is_not_taken_again() -> None:
    rig = station(2)
    assert set_default(rig, ONE, 1) == "Accepted"
    assert set_default(rig, {**TWO, "tariffId": "T1"}, 2) == "DuplicateTariffId"
    welcome(rig, MINE)
    assert set_default(rig, {**TWO, "tariffId": "mine"}) == "DuplicateTariffId"


@pytest.mark.req("I07.FR.11", "I07.FR.12")
def test_for_one_evse_or_for_all() -> None:
    rig = station(3)
    set_default(rig, ONE, 0)
    assert tariffs(rig) == {"T1": [1, 2, 3]}
    set_default(rig, TWO, 3)
    assert tariffs(rig) == {"T1": [1, 2], "T2": [3]}


@pytest.mark.req("I07.FR.13")
def test_default_tariffs_outlive_a_restart() -> None:
    rig = station(2)
    set_default(rig, ONE)
    set_default(rig, later(TWO, 1), 2)
    again = rig.restarted()
    again.observe()
    again.boot()
    assert tariffs(again) == {"T1": [1, 2], "T2": [2]}
    again.call("ClearTariffs")
    assert again.saved["tariff"] == {}


def test_what_is_no_tariff_any_more_is_left_out() -> None:
    saved = {"tariff": {"1/a": {"told": {}}, "x": 5, "7/T1": {"told": ONE}}}
    rig = Rig(config(), saved).boot()
    assert tariffs(rig) == {}


@pytest.mark.parametrize(
    ("first", "second", "after_h", "left"),
    [
        pytest.param(ONE, TWO, 0, ["T2"], marks=pytest.mark.req("I07.FR.22")),
        (ONE, later(TWO, 1), 0.9, ["T1", "T2"]),
        pytest.param(ONE, later(TWO, 1), 1, ["T2"],
                     marks=pytest.mark.req("I07.FR.20", "I07.FR.18")),
        pytest.param(later(ONE, 1), later(TWO, 2), 2, ["T2"],
                     marks=pytest.mark.req("I07.FR.21")),
        (later(ONE, 1), later(TWO, 2), 1.5, ["T1", "T2"]),
        pytest.param(later(ONE, 2), later(TWO, 1), 1.5, ["T1", "T2"],
                     marks=pytest.mark.req("I07.FR.23")),
        (later(ONE, 2), later(TWO, 1), 2.5, ["T1"]),
        (later(ONE, 1), later(TWO, 1), 1.5, ["T2"]),
        (later(ONE, 1), TWO, 0, ["T1", "T2"]),
        pytest.param(ONE, later(TWO, -1), 0, ["T2"],
                     marks=pytest.mark.req("I07.FR.20")),
    ],
)  # fmt: skip
def test_what_becomes_valid_replaces_what_was_before(
    first: dict[str, Any], second: dict[str, Any], after_h: float, left: list[str]
) -> None:
    rig = station()
    set_default(rig, first)
    set_default(rig, second)
    rig.pass_s(after_h * 3600)
    assert sorted(tariffs(rig)) == left


@pytest.mark.parametrize("restart", [True, False])
def test_without_valid_from_a_default_counts_whatever_the_clock_says(
    restart: bool,
) -> None:
    """A clock that a power loss, or the central system, has put back by hours."""
    rig = station()
    set_default(rig)
    if restart:
        rig = rig.restarted(after_s=-7200)
        rig.observe()
    else:
        rig.now = Now(rig.now.mono, rig.now.utc - timedelta(hours=2))
    charge(rig)
    assert named(rig) == ["T1"]
    rig.boot()
    assert set_default(rig, TWO) == "Accepted"
    assert sorted(tariffs(rig)) == ["T2"]


def test_only_so_many_wait() -> None:
    rig = station()
    for n in range(20):
        assert (
            set_default(rig, later({**ONE, "tariffId": f"F{n}"}, n + 1)) == "Accepted"
        )
    assert set_default(rig, later({**ONE, "tariffId": "more"}, 30)) == "Rejected"


@pytest.mark.req("I07.FR.19")
@pytest.mark.parametrize(("after_h", "used"), [(0.9, []), (1.0, ["T1"])])
def test_a_tariff_is_not_used_before_its_time(after_h: float, used: list[str]) -> None:
    rig = station()
    set_default(rig, later(ONE, 1))
    rig.pass_s(after_h * 3600)
    welcome(rig)
    charge(rig)
    stop(rig, 1000)
    assert named(rig) == used


@pytest.mark.req("I07.FR.14", "I07.FR.32", "I12.FR.01", "I12.FR.42")
def test_the_default_tariff_counts_without_another() -> None:
    rig = station()
    set_default(rig)
    welcome(rig)
    charge(rig)
    event = stop(rig, 5000)
    assert named(rig) == ["T1"]
    assert total(event) == 5.0
    assert event["costDetails"]["chargingPeriods"][0]["tariffId"] == "T1"


@pytest.mark.parametrize("how", ["SetDefaultTariff", "ClearTariffs"])
@pytest.mark.req("I07.FR.24", "I10.FR.07")
def test_a_transaction_keeps_the_tariff_it_began_with(how: str) -> None:
    rig = station()
    set_default(rig)
    charge(rig)
    if how == "ClearTariffs":
        answer = rig.call("ClearTariffs")
        results = [{"tariffId": "T1", "status": "Accepted"}]
        assert answer == {"clearTariffsResult": results}
        assert tariffs(rig) == {}
    else:
        assert set_default(rig, TWO) == "Accepted"
    event = stop(rig, 2000)
    assert total(event) == 2.0
    assert named(rig) == ["T1"]


@pytest.mark.req("I07.FR.30", "I08.FR.20")
@pytest.mark.parametrize("own", [True, False])
def test_a_driver_who_does_not_accept_the_tariff_is_deauthorised(*, own: bool) -> None:
    rig = station()
    set_default(rig)
    welcome(rig, MINE if own else None)
    charge(rig)
    rig.clear()
    assert rig.station.refuse_tariff(1, rig.now) == ""
    rig.drain()
    assert StopRequest(1, StopReason.DEAUTHORIZED) in rig.asked()
    (event,) = rig.events()
    assert event["triggerReason"] == "TariffNotAccepted"
    assert "tariffId" not in event["transactionInfo"]
    rig.observe(P.FINISHED, stop=StopReason.DEAUTHORIZED)
    ended = rig.events()[-1]
    assert ended["transactionInfo"]["stoppedReason"] == "DeAuthorized"
    assert "costDetails" not in ended
    assert "tariffId" not in ended["transactionInfo"]


@pytest.mark.parametrize("ended", [False, True])
def test_who_has_charged_has_accepted_the_tariff(*, ended: bool) -> None:
    rig = station()
    set_default(rig)
    charge(rig)
    rig.run_s(2, import_wh=3000.0)
    if ended:
        rig.observe(
            P.FINISHED, authorised=True, stop=StopReason.OTHER, import_wh=3000.0
        )
    assert rig.station.refuse_tariff(1, rig.now) != ""
    if not ended:
        stop(rig, 2000)
    assert total(rig.events()[-1]) == 2.0


def test_where_no_tariff_is_there_is_none_to_refuse() -> None:
    """It must not end a session that runs."""
    rig = station()
    charge(rig)
    rig.run_s(2, import_wh=3000.0)
    assert "no tariff" in rig.station.refuse_tariff(1, rig.now)
    rig.drain()
    assert rig.asked() == []


@pytest.mark.req("I07.FR.31", "I08.FR.21")
def test_he_may_refuse_it_before_a_transaction_too() -> None:
    rig = station(**{"TxCtrlr.TxStartPoint": "EnergyTransfer"})
    welcome(rig, MINE)
    assert rig.station.refuse_tariff(1, rig.now) != ""  # nobody is there yet
    rig.observe(P.STARTING, authorised=True)
    assert rig.station.refuse_tariff(1, rig.now) == ""
    rig.drain()
    assert StopRequest(1, StopReason.DEAUTHORIZED) in rig.asked()
    assert rig.events() == []
    assert tariffs(rig) == {}


# Drivers' tariffs.


@pytest.mark.req("I08.FR.04", "I08.FR.22")
def test_a_drivers_tariff_is_for_his_transaction_only() -> None:
    rig = station()
    set_default(rig)
    welcome(rig, MINE)
    charge(rig)
    assert total(stop(rig, 1000)) == 3.0
    rig.clear()
    charge(rig, token=CARD, session_id="s2")  # the next one, without Authorize
    assert total(stop(rig, 1000, session_id="s2")) == 1.0
    assert named(rig) == ["T1"]
    welcome(rig, MINE)
    other = replace(CARD, value="04FFFFFF")  # who comes in his place
    charge(rig, token=other, session_id="s3")
    assert total(stop(rig, 1000, session_id="s3")) == 1.0


@pytest.mark.req("I08.FR.05")
@pytest.mark.parametrize(("enabled", "cost"), [(True, 3.0), (False, 1.0)])
def test_the_cache_keeps_it_with_the_token(*, enabled: bool, cost: float) -> None:
    rig = station(**{
        "AuthCacheCtrlr.Enabled": enabled,
        "AuthCtrlr.LocalPreAuthorize": True,
    })  # fmt: skip
    set_default(rig)
    welcome(rig, MINE)
    charge(rig)
    rig.answer(rig.last("TransactionEvent"), {"idTokenInfo": {"status": "Accepted"}})
    stop(rig)
    again = rig.restarted()
    again.observe()
    again.boot()
    ask(again)
    if not enabled:
        again.answer(again.last("Authorize"), {"idTokenInfo": {"status": "Accepted"}})
    charge(again)
    assert total(stop(again, 1000)) == cost


def test_a_new_answer_without_a_tariff_takes_it_out_of_the_cache() -> None:
    rig = station()
    welcome(rig, MINE)
    welcome(rig)
    rig.link(up=False)
    assert good(rig)
    assert tariffs(rig) == {}


@pytest.mark.req("I08.FR.06", "I08.FR.07")
def test_it_is_in_use_until_the_transaction_ends() -> None:
    rig = station(**{"TxCtrlr.EVConnectionTimeOut": 60})
    welcome(rig, MINE)
    rig.run_s(59)
    assert tariffs(rig) == {"mine": [1]}
    rig.run_s(2)
    assert tariffs(rig) == {}  # nobody has come
    welcome(rig, MINE)
    charge(rig)
    rig.run_s(90)
    assert tariffs(rig) == {"mine": [1]}
    stop(rig)
    assert tariffs(rig) == {}


@pytest.mark.req("I08.FR.10")
def test_its_valid_from_does_not_count() -> None:
    rig = station()
    welcome(rig, later(MINE, 5))
    charge(rig)
    assert total(stop(rig, 1000)) == 3.0


def test_it_is_not_the_tariff_of_who_was_there_before_a_restart() -> None:
    rig = station()
    charge(rig)
    again = rig.restarted()
    again.boot()
    welcome(again, MINE)
    for phase in (P.STARTING, P.ENERGY):
        again.observe(phase, authorised=True, session_id="s2")
    assert again.events()[0]["eventType"] == "Ended"
    assert named(again) == ["mine"]
    assert total(stop(again, 1000, session_id="s2")) == 3.0


BAD = tariff("bad", energy=MANY)


@pytest.mark.parametrize(
    ("rule", "accepted", "details", "cost"),
    [
        ("Deauthorize", False, False, None),
        pytest.param("UseDefaultTariff", True, True, 1.0,
                     marks=pytest.mark.req("I08.FR.32")),
        pytest.param("CentralCost", True, False, None,
                     marks=pytest.mark.req("I08.FR.33")),
    ],
)  # fmt: skip
@pytest.mark.req("I08.FR.30", "I08.FR.31", "I08.FR.37")
def test_a_drivers_tariff_that_cannot_be_used(
    rule: str, *, accepted: bool, details: bool, cost: float | None
) -> None:
    rig = station(**{"TariffCostCtrlr.HandleFailedTariff[Tariff]": rule})
    set_default(rig)
    welcome(rig, BAD)
    assert asked(rig).accepted is accepted
    (event,) = rig.last("NotifyEvent").payload["eventData"]
    assert event["trigger"] == "Alerting"
    assert event["eventNotificationType"] == "HardWiredNotification"
    assert event["component"] == {"name": "TariffCostCtrlr"}
    assert event["variable"] == {"name": "Problem"}
    assert (event["actualValue"], event["techCode"]) == ("true", "TooManyElements")
    assert rig.station._desk.model.text("TariffCostCtrlr", "Problem") == "true"
    if accepted:
        charge(rig)
        ended = stop(rig, 1000)
        assert ("costDetails" in ended) is details
        assert cost is None or total(ended) == cost


@pytest.mark.req("I08.FR.35", "I08.FR.36")
def test_a_good_one_ends_the_problem() -> None:
    rig = station()
    welcome(rig, BAD)
    welcome(rig, BAD)
    welcome(rig, MINE)
    welcome(rig, MINE)
    assert problems(rig) == ["true", "false"]
    assert rig.station._desk.model.text("TariffCostCtrlr", "Problem") == "false"


def test_the_card_that_ends_a_session_changes_no_tariff() -> None:
    rig = station()
    welcome(rig, MINE)
    charge(rig)
    welcome(rig, TWO)
    assert total(stop(rig, 1000)) == 3.0


def test_2_0_1_knows_no_tariffs() -> None:
    rig = station()
    set_default(rig)
    old = Rig(config(), rig.saved, version=V201).boot()
    assert not old.station.handles("SetDefaultTariff")
    charge(old)
    assert "costDetails" not in stop(old, 1000)
    assert not old.station._desk.evses[1].cost_is_local


# What the CSMS asks.


@pytest.mark.req("I09.FR.01", "I09.FR.02", "I09.FR.04", "I09.FR.07")
def test_tariffs_are_told_by_evse() -> None:
    rig = station(2)
    set_default(rig, ONE, 0)
    soon = later(TWO, 1)
    set_default(rig, soon, 2)
    assert rig.call("GetTariffs", {"evseId": 0}) == {
        "status": "Accepted",
        "tariffAssignments": [
            {"tariffId": "T1", "tariffKind": "DefaultTariff", "evseIds": [1, 2]},
            {"tariffId": "T2", "tariffKind": "DefaultTariff", "evseIds": [2],
             "validFrom": soon["validFrom"]},
        ],
    }  # fmt: skip
    assert tariffs(rig, 1) == {"T1": [1]}
    answer = rig.call("GetTariffs", {"evseId": 9})
    assert isinstance(answer, dict)
    assert answer["status"] == "Rejected"


@pytest.mark.req("I09.FR.03")
def test_no_tariff_is_no_list() -> None:
    rig = station(2)
    assert rig.call("GetTariffs", {"evseId": 0}) == {"status": "NoTariff"}
    set_default(rig, ONE, 1)
    assert rig.call("GetTariffs", {"evseId": 2}) == {"status": "NoTariff"}


@pytest.mark.req("I09.FR.05", "I09.FR.06")
def test_drivers_tariffs_are_told_with_the_driver() -> None:
    rig = station(2)
    welcome(rig, MINE)
    charge(rig)
    answer = rig.call("GetTariffs", {"evseId": 0})
    assert assigned(answer) == {"mine": [1]}
    assert isinstance(answer, dict)
    (row,) = answer["tariffAssignments"]
    assert (row["tariffKind"], row["idTokens"]) == ("DriverTariff", [CARD.value])


@pytest.mark.parametrize(
    ("request_", "cleared", "left"),
    [
        pytest.param({}, ["T1", "T2"], {}, marks=pytest.mark.req("I10.FR.01")),
        pytest.param({"tariffIds": ["T2", "?"]}, ["T2"], {"T1": [1]},
                     marks=pytest.mark.req("I10.FR.02")),
        pytest.param({"evseId": 1}, ["T1"], {"T2": [2]},
                     marks=pytest.mark.req("I10.FR.03")),
        pytest.param({"evseId": 2, "tariffIds": ["T1", "T2"]}, ["T2"], {"T1": [1]},
                     marks=pytest.mark.req("I10.FR.05")),
        pytest.param({"evseId": 1, "tariffIds": ["T2"]}, [], {"T1": [1], "T2": [2]},
                     marks=pytest.mark.req("I10.FR.06")),
        pytest.param({"tariffIds": ["?"]}, [], {"T1": [1], "T2": [2]},
                     marks=pytest.mark.req("I10.FR.06")),
        ({"evseId": 9}, [], {"T1": [1], "T2": [2]}),
    ],
)  # fmt: skip
def test_tariffs_are_cleared(
    request_: dict[str, Any], cleared: list[str], left: dict[str, list[int]]
) -> None:
    rig = station(2)
    set_default(rig, ONE, 1)
    set_default(rig, TWO, 2)
    results = [{"tariffId": n, "status": "Accepted"} for n in cleared]
    answer = rig.call("ClearTariffs", request_)
    assert answer == {"clearTariffsResult": results or [{"status": "NoTariff"}]}
    assert tariffs(rig) == left


def test_drivers_tariffs_are_cleared_where_they_are_kept() -> None:
    rig = station()
    welcome(rig, MINE)
    rig.call("ClearTariffs", {"tariffIds": ["mine"]})
    assert tariffs(rig) == {}
    rig.link(up=False)
    assert good(rig)  # from the cache
    assert tariffs(rig) == {}
