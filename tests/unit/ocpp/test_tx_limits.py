"""E16: limits in cost, energy, time and SoC; E05: energy for an invalid token."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.model import DriverLimits, SessionPhase, StopReason, StopRequest, Token
from chargerd.ocpp.blocks import transaction_limits as limits
from chargerd.ocpp.blocks.transaction_limits import Progress
from tests.unit.ocpp.station_rig import V21, V201, Rig, config

P = SessionPhase
BOTH = pytest.mark.parametrize("version", [V21, V201])


def charging(version: str = V21, **presets: Any) -> Rig:
    """A transaction whose energy flows; the import register stands at 1,000 Wh."""
    presets = {"SampledDataCtrlr.TxUpdatedInterval": 0, **presets}
    rig = Rig(config(device_model=presets), version=version)
    rig.boot()
    rig.observe(P.CONNECTED)
    rig.observe(P.STARTING, authorised=True)
    rig.observe(P.ENERGY, authorised=True, power_w=6000.0)
    return rig


def answer(rig: Rig, **answer: Any) -> None:
    rig.answer(rig.last("TransactionEvent"), answer)


def limited(limit: dict[str, float], version: str = V21, **presets: Any) -> Rig:
    """The CSMS has set `limit`; what came before is forgotten."""
    rig = charging(version, **presets)
    answer(rig, transactionLimit=limit)
    rig.clear()
    return rig


def told(rig: Rig) -> list[tuple[str, str]]:
    return [
        (e["triggerReason"], e["transactionInfo"]["chargingState"])
        for e in rig.events()
    ]


def held(rig: Rig) -> bool:
    """No energy either way is asked of the heart."""
    signal = rig.signal("ocpp.tx")
    segment = signal.at(rig.now.mono) if signal else None
    return bool(segment) and (segment.limit_w, segment.discharge_limit_w) == (0.0, 0.0)


@pytest.mark.req("E16.FR.03", "F07.FR.03")
def test_a_limit_of_the_csms_is_confirmed_once() -> None:
    rig = charging()
    answer(rig, transactionLimit={"maxEnergy": 5000.0, "maxTime": 3600})
    confirmed = rig.events()[-1]
    assert confirmed["triggerReason"] == "LimitSet"
    assert confirmed["transactionInfo"]["transactionLimit"] == {
        "maxEnergy": 5000.0, "maxTime": 3600
    }  # fmt: skip
    rig.observe(P.SUSPENDED_EV, authorised=True)
    assert "transactionLimit" not in rig.events()[-1]["transactionInfo"]


def test_a_limit_that_comes_with_every_answer_is_confirmed_once() -> None:
    rig = charging()
    rig.clear()
    rig.observe(P.SUSPENDED_EV, authorised=True)
    for _ in range(5):
        answer(rig, transactionLimit={"maxEnergy": 5000.0, "maxTime": 3600})
    assert len(rig.events()) == 2
    answer(rig, transactionLimit={"maxEnergy": 4000.0})
    assert len(rig.events()) == 3


@pytest.mark.req("E16.FR.13")
def test_a_limit_that_is_not_supported_is_not_returned() -> None:
    rig = charging()
    rig.station._desk.model.update("TxCtrlr", "SupportedLimits", "maxEnergy")
    answer(rig, transactionLimit={"maxCost": 5.0, "maxEnergy": 5000.0})
    info = rig.events()[-1]["transactionInfo"]
    assert info["transactionLimit"] == {"maxEnergy": 5000.0}
    rig.clear()
    rig.observe(P.SUSPENDED_EV, authorised=True)
    answer(rig, transactionLimit={"maxCost": 5.0})
    assert [e["triggerReason"] for e in rig.events()] == ["ChargingStateChanged"]


@pytest.mark.req("E16.FR.01", "E16.FR.04")
def test_the_drivers_limit_never_exceeds_that_of_the_csms() -> None:
    rig = limited({"maxCost": 20.0})
    wish = DriverLimits(cost=50.0, energy_wh=9000.0)
    assert rig.station.set_limits(1, wish, rig.now) == ""
    rig.drain()
    (event,) = rig.events()
    assert event["triggerReason"] == "LimitSet"
    assert event["transactionInfo"]["transactionLimit"] == {
        "maxCost": 20.0, "maxEnergy": 9000.0
    }  # fmt: skip


def test_without_a_transaction_there_is_no_limit() -> None:
    rig = Rig().boot()
    rig.observe(P.CONNECTED)
    why = rig.station.set_limits(1, DriverLimits(time_s=60.0), rig.now)
    assert "no transaction" in why
    assert "no transaction" in rig.station.set_limits(7, DriverLimits(), rig.now)
    rig.observe(P.STARTING, authorised=True)
    assert "SupportedLimits" in rig.station.set_limits(1, DriverLimits(), rig.now)


REACHED: list[tuple[dict[str, float], str, dict[str, Any]]] = [
    ({"maxEnergy": 500.0}, "EnergyLimitReached", {"import_wh": 1500.0}),
    ({"maxSoC": 80}, "SoCLimitReached", {"soc": 80.0}),
    ({"maxTime": 10}, "TimeLimitReached", {}),
]


@pytest.mark.req("E16.FR.05", "F07.FR.04")
@pytest.mark.parametrize(("limit", "trigger", "then"), REACHED)
def test_a_limit_that_is_reached_suspends_the_energy(
    limit: dict[str, float], trigger: str, then: dict[str, Any]
) -> None:
    rig = limited(limit)
    rig.run_s(3)
    assert rig.events() == []
    rig.run_s(11, **then)
    assert told(rig) == [(trigger, "SuspendedEVSE")]
    assert held(rig)
    rig.observe(P.SUSPENDED_EVSE, authorised=True)
    assert len(rig.events()) == 1  # the heart's own pause is no news


@pytest.mark.parametrize(("limit", "trigger", "then"), REACHED)
def test_2_0_1_hears_of_it_in_words_it_knows(
    limit: dict[str, float], trigger: str, then: dict[str, Any]
) -> None:
    rig = charging(V201)
    names = {"maxEnergy": "energy_wh", "maxSoC": "soc_pct", "maxTime": "time_s"}
    wish = DriverLimits(**{names[name]: value for name, value in limit.items()})
    rig.station.set_limits(1, wish, rig.now)
    rig.drain()
    rig.clear()
    rig.run_s(11, **then)
    known = (
        "TimeLimitReached" if trigger == "TimeLimitReached" else "EnergyLimitReached"
    )
    assert told(rig) == [(known, "SuspendedEVSE")]


@pytest.mark.req("E16.FR.06")
@pytest.mark.parametrize(
    ("limit", "trigger", "then", "stopped"),
    [
        (*row, stopped)
        for row, stopped in zip(
            REACHED,
            ["EnergyLimitReached", "SOCLimitReached", "TimeLimitReached"],
            strict=True,
        )
    ],
)
def test_a_limit_ends_the_transaction_where_energy_is_the_stop_point(
    limit: dict[str, float], trigger: str, then: dict[str, Any], stopped: str
) -> None:
    rig = limited(limit, **{"TxCtrlr.TxStopPoint": "EnergyTransfer"})
    rig.run_s(11, **then)
    assert StopRequest(1, StopReason.LOCAL) in rig.asked()
    assert rig.events() == []  # the last Wh are not counted yet
    stop = {"authorised": True, "stop": StopReason.LOCAL}
    rig.observe(P.STOPPING, **stop)
    rig.observe(P.FINISHED, **stop)
    (event,) = rig.events()
    assert (event["eventType"], event["triggerReason"]) == ("Ended", trigger)
    assert event["transactionInfo"]["stoppedReason"] == stopped


def test_a_limit_that_is_raised_too_late_still_ends_the_transaction() -> None:
    """The stop is under way: no new limit calls it back."""
    rig = limited({"maxEnergy": 500.0}, **{"TxCtrlr.TxStopPoint": "EnergyTransfer"})
    rig.run_s(2, import_wh=1500.0)
    rig.observe(P.STOPPING, authorised=True, stop=StopReason.LOCAL, import_wh=1500.0)
    rig.call("TriggerMessage", {"requestedMessage": "TransactionEvent"})
    answer(rig, transactionLimit={"maxEnergy": 9000.0})
    rig.observe(P.FINISHED, authorised=True, stop=StopReason.LOCAL, import_wh=1500.0)
    event = rig.events()[-1]
    assert (event["eventType"], event["triggerReason"]) == (
        "Ended", "EnergyLimitReached"
    )  # fmt: skip


@pytest.mark.req("E16.FR.09")
def test_time_counts_from_started_not_from_energy() -> None:
    presets = {
        "TxCtrlr.TxStartPoint": "EVConnected",
        "SampledDataCtrlr.TxUpdatedInterval": 0,
    }
    rig = Rig(config(device_model=presets)).boot()
    rig.observe(P.CONNECTED)
    answer(rig, transactionLimit={"maxTime": 60})
    rig.run_s(40)
    rig.observe(P.ENERGY, authorised=True)
    rig.clear()
    rig.run_s(15)
    assert not held(rig)
    rig.run_s(10)
    assert told(rig) == [("TimeLimitReached", "SuspendedEVSE")]


@pytest.mark.req("E16.FR.10")
@pytest.mark.parametrize("limit", [{"maxEnergy": 100.0}, {"maxEnergy": -1.0}])
def test_a_limit_below_what_already_flowed_counts_at_once(
    limit: dict[str, float],
) -> None:
    rig = charging()
    rig.observe(P.ENERGY, authorised=True, import_wh=1300.0)
    rig.clear()
    rig.answer(_started(rig), {"transactionLimit": limit})
    assert [e["triggerReason"] for e in rig.events()] == [
        "LimitSet", "EnergyLimitReached"
    ]  # fmt: skip
    assert held(rig)


def _started(rig: Rig) -> Any:
    rig.observe(P.ENERGY, authorised=True, import_wh=1300.0, remote_start_id=7)
    rig.call("TriggerMessage", {"requestedMessage": "TransactionEvent"})
    send = rig.last("TransactionEvent")
    rig.clear()
    return send


@pytest.mark.req("E16.FR.14", "E16.FR.17")
def test_a_raised_limit_lets_energy_flow_again() -> None:
    rig = limited({"maxEnergy": 500.0})
    rig.run_s(2, import_wh=1500.0)
    assert held(rig)
    rig.answer(rig.last("TransactionEvent"), {"transactionLimit": {"maxEnergy": 1e9}})
    assert not held(rig)
    last = rig.events()[-1]
    assert last["triggerReason"] == "LimitSet"
    assert last["transactionInfo"]["transactionLimit"] == {"maxEnergy": 1e9}
    rig.run_s(5)
    assert not held(rig)


@pytest.mark.req("E16.FR.15")
def test_cost_is_what_the_csms_says_when_it_counts() -> None:
    rig = limited({"maxCost": 5.0})
    event = _started(rig)
    rig.answer(event, {"totalCost": 4.9})
    rig.run_s(3)
    assert not held(rig)
    rig.answer(event, {"totalCost": 5.0})
    rig.run_s(2)
    assert told(rig) == [("CostLimitReached", "SuspendedEVSE")]


@pytest.mark.req("E16.FR.16")
def test_cost_is_our_own_where_the_tariff_is_here() -> None:
    rig = limited({"maxCost": 5.0})
    view = rig.station._desk.evses[1]
    view.cost_is_local, view.running_cost = True, 1.0
    event = _started(rig)
    rig.answer(event, {"totalCost": 50.0})
    rig.run_s(3)
    assert not held(rig)
    view.running_cost = 5.0
    rig.run_s(2)
    assert held(rig)


@pytest.mark.req("E16.FR.19")
def test_energy_stops_before_the_limit_is_passed() -> None:
    """At 60 kW two seconds are 33 Wh: what flows until the power is off counts."""
    limit = {"maxEnergy": 1000.0}
    slow = Progress(0.0, energy_wh=980.0, power_w=6000.0)
    fast = Progress(0.0, energy_wh=980.0, power_w=60_000.0)
    assert limits.reached(limit, slow) == ""
    assert limits.reached(limit, fast) == "EnergyLimitReached"


@pytest.mark.req("E12.FR.04")
def test_events_about_limits_are_never_thinned() -> None:
    rig = charging(**{"SampledDataCtrlr.TxUpdatedInterval": 5})
    rig.answer(rig.last("TransactionEvent"), {"transactionLimit": {"maxTime": 10}})
    rig.link(up=False)
    rig.run_s(15)
    kinds = {
        send.payload["triggerReason"]: send.durability.value
        for send in rig.sent
        if send.action == "TransactionEvent"
    }
    assert kinds["LimitSet"] == kinds["TimeLimitReached"] == "durable"
    assert kinds["MeterValuePeriodic"] == "thinnable"


def test_limits_survive_a_restart_and_are_not_told_again() -> None:
    rig = limited({"maxEnergy": 500.0}, **{"TxCtrlr.ResumptionTimeout": 300})
    again = rig.restarted().boot()
    again.observe(P.CONNECTED, session_id="fresh")
    again.observe(P.STARTING, authorised=True)
    (event,) = again.events()
    assert event["triggerReason"] == "TxResumed"
    assert "transactionLimit" not in event["transactionInfo"]
    again.run_s(2, import_wh=1500.0)
    assert again.events()[-1]["triggerReason"] == "EnergyLimitReached"


# E05, and C15 where the token was taken offline.


def refused(version: str, *, offline: bool, **presets: Any) -> Rig:
    """The CSMS answers Started: the token is not accepted."""
    presets = {"TxCtrlr.StopTxOnInvalidId": False, **presets}
    presets = {"SampledDataCtrlr.TxUpdatedInterval": 0, **presets}
    rig = Rig(config(device_model=presets), version=version)
    rig.boot()
    rig.link(up=not offline)
    for phase in (P.CONNECTED, P.STARTING, P.ENERGY):
        rig.observe(phase, authorised=phase is not P.CONNECTED, power_w=6000.0)
    rig.link()
    first = next(s for s in rig.sent if s.action == "TransactionEvent")
    rig.clear()
    rig.answer(first, {"idTokenInfo": {"status": "Blocked"}})
    return rig


@BOTH
@pytest.mark.parametrize(
    "offline",
    [
        pytest.param(False, marks=pytest.mark.req("E05.FR.02")),
        pytest.param(True, marks=pytest.mark.req("C15.FR.06")),
    ],
)
def test_an_invalid_token_suspends_at_once_where_it_may_stay(
    version: str, offline: bool
) -> None:
    rig = refused(version, offline=offline)
    assert told(rig) == [("ChargingStateChanged", "SuspendedEVSE")]
    assert rig.asked() == []
    assert held(rig)


@BOTH
@pytest.mark.parametrize(
    "offline",
    [
        pytest.param(False, marks=pytest.mark.req("E05.FR.03")),
        pytest.param(True, marks=pytest.mark.req("C15.FR.07")),
    ],
)
def test_an_invalid_token_may_have_some_energy(version: str, offline: bool) -> None:
    rig = refused(version, offline=offline, **{"TxCtrlr.MaxEnergyOnInvalidId": 300})
    rig.run_s(3, import_wh=1200.0)
    assert rig.events() == []
    assert not held(rig)
    rig.run_s(3, import_wh=1300.0)
    assert told(rig) == [("ChargingStateChanged", "SuspendedEVSE")]
    assert held(rig)


def test_without_a_meter_an_invalid_token_has_no_energy() -> None:
    rig = Rig(
        config(
            device_model={
                "TxCtrlr.StopTxOnInvalidId": False,
                "TxCtrlr.MaxEnergyOnInvalidId": 300,
            }
        )
    ).boot()
    rig.observe(P.ENERGY, authorised=True, meter=False)
    answer(rig, idTokenInfo={"status": "Invalid"})
    assert held(rig)


@pytest.mark.parametrize("offline", [False, True])
def test_an_invalid_token_ends_it_where_energy_is_the_stop_point(
    offline: bool,
) -> None:
    rig = refused(V21, offline=offline, **{"TxCtrlr.TxStopPoint": "EnergyTransfer"})
    assert StopRequest(1, StopReason.DEAUTHORIZED) in rig.asked()


@BOTH
@pytest.mark.parametrize(
    ("stop_point", "told_as"),
    [
        pytest.param(
            "EVConnected",
            [("Updated", "Deauthorized", "Charging"),
             ("Updated", "ChargingStateChanged", "EVConnected")],
            marks=pytest.mark.req("E05.FR.09", "C15.FR.03"),
        ),
        pytest.param(
            "Authorized", [("Ended", "Deauthorized", "EVConnected")],
            marks=pytest.mark.req("E05.FR.10", "C15.FR.04"),
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("offline", [False, True])
def test_an_invalid_token_is_deauthorised(
    version: str, stop_point: str, told_as: list[tuple[str, str, str]], offline: bool
) -> None:
    presets = {"TxCtrlr.StopTxOnInvalidId": True, "TxCtrlr.TxStopPoint": stop_point}
    rig = refused(version, offline=offline, **presets)
    assert StopRequest(1, StopReason.DEAUTHORIZED) in rig.asked()
    stop = {"authorised": True, "stop": StopReason.DEAUTHORIZED}
    rig.observe(P.STOPPING, **stop)
    rig.observe(P.FINISHED, **stop)
    assert [
        (e["eventType"], e["triggerReason"], e["transactionInfo"]["chargingState"])
        for e in rig.events()
    ] == told_as
    if told_as[-1][0] == "Ended":
        info = rig.events()[-1]["transactionInfo"]
        assert info["stoppedReason"] == "DeAuthorized"


@BOTH
def test_a_token_of_a_kind_that_2_0_1_does_not_know_is_deauthorised(
    version: str,
) -> None:
    rig = Rig(version=version).boot()
    for phase in (P.CONNECTED, P.STARTING):
        who = None if phase is P.CONNECTED else Token("ZZ00123456X", "EVCCID")
        rig.observe(phase, authorised=who is not None, token=who)
    answer(rig, idTokenInfo={"status": "Blocked"})
    assert StopRequest(1, StopReason.DEAUTHORIZED) in rig.asked()


@BOTH
def test_a_csms_that_calls_it_invalid_in_every_answer_is_told_once(
    version: str,
) -> None:
    rig = charging(version, **{"TxCtrlr.StopTxOnInvalidId": False})
    rig.clear()
    rig.observe(P.SUSPENDED_EV, authorised=True)
    for _ in range(5):
        answer(rig, idTokenInfo={"status": "Blocked"})
    assert len(rig.events()) == 2
    assert held(rig)
