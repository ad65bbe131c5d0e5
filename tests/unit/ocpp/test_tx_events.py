"""Block E: what Started and Updated say, online and offline; GetTransactionStatus."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from chargerd.model import (
    Authorisation,
    AuthQuestion,
    SessionPhase,
    StopReason,
    StopRequest,
    Token,
)
from chargerd.ocpp.effects import CallError, Durability, Send
from firmware_bridge.api import MeterReading, PilotReading, Reading, Telemetry
from tests.unit.ocpp.station_rig import CARD, EVSE, START, V21, V201, Rig, config

P = SessionPhase
BOTH = pytest.mark.parametrize("version", [V21, V201])
QUIET = {"SampledDataCtrlr.TxUpdatedInterval": 0}
AC = {
    "devices": {k: v for k, v in EVSE["devices"].items() if k in ("pilot", "meter")},  # type: ignore[attr-defined]
    "ac_phases": 3,
}


def station(version: str = V21, **presets: Any) -> Rig:
    rig = Rig(config(device_model={**QUIET, **presets}), version=version)
    rig.observe()
    return rig.boot()


def walk(rig: Rig, *phases: P, **more: Any) -> None:
    for phase in phases:
        on = phase not in (P.IDLE, P.CONNECTED)
        rig.observe(phase, authorised=on, **more)


def telemetry(rig: Rig, *amps: float, cable_a: float | None = None) -> Telemetry:
    watts = sum(amps) * 230.0
    meter = MeterReading(watts, 1000.0, 0.0, 50.0, (230.0,) * 3, amps)
    return Telemetry(
        meter=Reading(meter, rig.now.mono),
        pilot=Reading(PilotReading(cable_limit_a=cable_a), rig.now.mono),
    )


def triggers(rig: Rig) -> list[str]:
    return [event["triggerReason"] for event in rig.events()]


def sends(rig: Rig) -> list[Send]:
    return [send for send in rig.sent if send.action == "TransactionEvent"]


# Identity.


@pytest.mark.req("E01.FR.08", "E02.FR.08")
def test_an_id_is_never_given_twice() -> None:
    """Not even where the clock starts at the same time after each boot."""
    rig, ids = station(), set()
    for _ in range(5):
        walk(rig, P.CONNECTED, P.STARTING)
        rig.observe(P.FINISHED, authorised=True, stop=StopReason.LOCAL)
        ids.add(rig.events()[0]["transactionInfo"]["transactionId"])
        rig = Rig(rig.conf, rig.saved, utc=START)
        rig.observe()
        rig.boot()
    assert len(ids) == 5


@pytest.mark.req("E01.FR.14")
def test_an_evse_has_one_transaction_at_a_time() -> None:
    """Its second connector starts none before the first has ended."""
    connectors = [{"id": 1, "type": "cG105"}, {"id": 2, "type": "cCCS1"}]
    rig = Rig(config(evse={"connectors": connectors}, device_model=QUIET)).boot()
    walk(rig, P.CONNECTED, P.STARTING, P.ENERGY)
    rig.observe(P.STARTING, authorised=True, session_id="s2")
    kinds = [(e["eventType"], e["seqNo"]) for e in rig.events()]
    assert [kind for kind, _ in kinds] == ["Started", "Updated", "Ended", "Started"]
    ids = [e["transactionInfo"]["transactionId"] for e in rig.events()]
    assert len(set(ids)) == 2
    assert ids.index(ids[-1]) == 3


@pytest.mark.req("E01.FR.16")
def test_a_plug_tells_evse_and_connector() -> None:
    rig = station(**{"TxCtrlr.TxStartPoint": "Authorized"})
    rig.observe(P.IDLE, authorised=True)
    rig.observe(P.STARTING, authorised=True)
    plugged = rig.events()[-1]
    assert plugged["triggerReason"] == "CablePluggedIn"
    assert plugged["evse"] == {"id": 1, "connectorId": 1}


@pytest.mark.req("E02.FR.05")
def test_a_plug_makes_the_connector_occupied() -> None:
    rig = station()
    rig.clear()
    rig.observe(P.CONNECTED)
    data = [d for p in rig.payloads("NotifyEvent") for d in p["eventData"]]
    assert any(
        d["component"] == {"name": "Connector", "evse": {"id": 1, "connectorId": 1}}
        and d["variable"] == {"name": "AvailabilityState"}
        and d["actualValue"] == "Occupied"
        for d in data
    )


# Meter values of Started and Updated.

STARTS = [
    pytest.param(
        (P.CONNECTED, P.STARTING), True, id="cable first",
        marks=pytest.mark.req("E01.FR.09", "E02.FR.09", "J02.FR.04", "J02.FR.03"),
    ),
    pytest.param(
        (P.STARTING,), True, id="token first", marks=pytest.mark.req("E03.FR.07")
    ),
    pytest.param(
        (P.CONNECTED, P.STARTING), False, id="offline",
        marks=pytest.mark.req("E04.FR.05"),
    ),
]  # fmt: skip


@BOTH
@pytest.mark.parametrize(("phases", "online"), STARTS)
def test_started_carries_its_measurands(
    version: str, phases: tuple[P, ...], online: bool
) -> None:
    names = ["Energy.Active.Export.Register", "Voltage"]
    rig = station(version, **{"SampledDataCtrlr.TxStartedMeasurands": ",".join(names)})
    rig.link(up=online)
    walk(rig, *phases)
    (value,) = rig.events()[0]["meterValue"]
    assert [sample["measurand"] for sample in value["sampledValue"]] == names
    assert {sample["context"] for sample in value["sampledValue"]} == {
        "Transaction.Begin"
    }


@pytest.mark.req("E05.FR.05")
def test_a_token_refused_later_changes_nothing_about_started() -> None:
    rig = station()
    walk(rig, P.CONNECTED, P.STARTING)
    rig.answer(sends(rig)[0], {"idTokenInfo": {"status": "Invalid"}})
    samples = rig.events()[0]["meterValue"][0]["sampledValue"]
    assert {s["context"] for s in samples} == {"Transaction.Begin"}
    assert StopRequest(1, StopReason.DEAUTHORIZED) in rig.asked()


SAMPLES = [
    pytest.param(
        (P.CONNECTED, P.STARTING, P.ENERGY), [True], id="online",
        marks=pytest.mark.req("E02.FR.10"),
    ),
    pytest.param(
        (P.STARTING, P.ENERGY), [True], id="token first",
        marks=pytest.mark.req("E03.FR.08"),
    ),
    pytest.param(
        (P.CONNECTED, P.STARTING, P.ENERGY), [False], id="offline",
        marks=pytest.mark.req("E04.FR.06"),
    ),
    pytest.param(
        (P.CONNECTED, P.STARTING, P.ENERGY), [True, False, True],
        id="the link falls and returns",
        marks=pytest.mark.req("E11.FR.03", "E12.FR.03"),
    ),
]  # fmt: skip


@BOTH
@pytest.mark.parametrize(("phases", "links"), SAMPLES)
def test_updated_carries_its_measurands_at_each_interval(
    version: str, phases: tuple[P, ...], links: list[bool]
) -> None:
    rig = station(version, **{
        "SampledDataCtrlr.TxUpdatedInterval": 10,
        "SampledDataCtrlr.TxUpdatedMeasurands": "Power.Active.Import,SoC",
    })  # fmt: skip
    if not links[0]:
        rig.link(up=False)
    walk(rig, *phases)
    rig.clear()
    for up in links:
        if up != rig.station._desk.online:
            rig.link(up=up)
        rig.run_s(30)
    samples = [e for e in rig.events() if e["triggerReason"] == "MeterValuePeriodic"]
    assert len(samples) == 3 * len(links)
    for event in samples:
        (value,) = event["meterValue"]  # J02.FR.10: one point in time
        assert value["timestamp"] <= event["timestamp"]
        assert [s["measurand"] for s in value["sampledValue"]] == [
            "Power.Active.Import", "SoC"
        ]  # fmt: skip
    assert [e.get("offline", False) for e in samples[::3]] == [not up for up in links]


OFFLINE = [
    pytest.param("start", marks=pytest.mark.req("E04.FR.01", "E04.FR.03")),
    pytest.param("run", marks=pytest.mark.req("E11.FR.01", "E12.FR.01")),
    pytest.param("stop", marks=pytest.mark.req("E08.FR.04", "E08.FR.05", "E08.FR.07")),
]


@BOTH
@pytest.mark.parametrize("cut", OFFLINE)
def test_offline_every_event_is_kept_and_says_so(version: str, cut: str) -> None:
    """Durable ones wait on disk for the link; test_client shows them leave in order."""
    rig = station(version)
    seen = 0
    for step, phases in (
        ("start", (P.CONNECTED, P.STARTING)),
        ("run", (P.ENERGY, P.SUSPENDED_EV)),
        ("stop", (P.FINISHED,)),
    ):
        if step == cut:
            seen = len(rig.events())
            rig.link(up=False)
        stop = {"stop": StopReason.LOCAL, "stop_token": CARD} if step == "stop" else {}
        walk(rig, *phases, **stop)
    late = sends(rig)[seen:]
    assert late
    assert late[-1].payload["eventType"] == "Ended"
    assert all(send.durability is Durability.DURABLE for send in late)
    assert all(send.payload["offline"] for send in late)
    assert not any(send.payload.get("offline") for send in sends(rig)[:seen])


@pytest.mark.req("E04.FR.07", "E11.FR.04", "J02.FR.12")
def test_only_samples_may_be_dropped() -> None:
    rig = station(**{
        "SampledDataCtrlr.TxUpdatedInterval": 10,
        "AlignedDataCtrlr.Interval": 10,
    })  # fmt: skip
    rig.link(up=False)
    walk(rig, P.CONNECTED, P.STARTING, P.ENERGY, P.SUSPENDED_EV, P.ENERGY)
    rig.run_s(40)
    thin = {
        send.payload["triggerReason"]
        for send in sends(rig)
        if send.durability is Durability.THINNABLE
    }
    kept = {
        send.payload["triggerReason"]
        for send in sends(rig)
        if send.durability is Durability.DURABLE
    }
    assert thin == {"MeterValuePeriodic", "MeterValueClock"}
    assert kept.isdisjoint(thin)


# A stop by the CSMS.


@BOTH
@pytest.mark.parametrize(
    ("stop_point", "told"),
    [
        pytest.param(
            "EVConnected",
            [("Updated", "RemoteStop", "Charging"),
             ("Updated", "ChargingStateChanged", "EVConnected"),
             ("Ended", "EVCommunicationLost", "Idle")],
            marks=pytest.mark.req("F03.FR.02", "F03.FR.09", "F04.FR.02", "F04.FR.03"),
        ),
        pytest.param(
            "Authorized", [("Ended", "RemoteStop", "EVConnected")],
            marks=pytest.mark.req("F03.FR.03"),
        ),
    ],
)  # fmt: skip
def test_a_remote_stop(
    version: str, stop_point: str, told: list[tuple[str, str, str]]
) -> None:
    rig = station(version, **{"TxCtrlr.TxStopPoint": stop_point})
    walk(rig, P.CONNECTED, P.STARTING, P.ENERGY)
    number = rig.events()[0]["transactionInfo"]["transactionId"]
    rig.clear()
    rig.call("RequestStopTransaction", {"transactionId": number})
    assert StopRequest(1, StopReason.REMOTE) in rig.asked()
    walk(rig, P.STOPPING, P.FINISHED, stop=StopReason.REMOTE)
    rig.observe(P.IDLE)
    assert [
        (e["eventType"], e["triggerReason"], e["transactionInfo"]["chargingState"])
        for e in rig.events()
    ] == told
    ended = rig.events()[-1]
    assert ended["transactionInfo"]["stoppedReason"] == "Remote"
    assert all("idToken" not in event for event in rig.events())


@BOTH
@pytest.mark.req("E02.FR.17")
def test_an_unlock_by_the_csms_is_an_event_of_a_waiting_transaction(
    version: str,
) -> None:
    rig = station(version, **{"TxCtrlr.TxStartPoint": "EVConnected"})
    walk(rig, P.CONNECTED)
    asked = {"evseId": 1, "connectorId": 1}
    rig.call("UnlockConnector", asked)
    assert triggers(rig) == ["CablePluggedIn", "UnlockCommand"]
    walk(rig, P.STARTING)
    rig.call("UnlockConnector", asked)  # refused: it is authorised now
    assert triggers(rig)[2:] == ["Authorized"]


# Charging state and hardware.


@BOTH
@pytest.mark.req("E01.FR.18", "E01.FR.19")
def test_every_change_of_the_charging_state_is_told(version: str) -> None:
    rig = station(version, **{"TxCtrlr.TxStartPoint": "EVConnected"})
    walk(
        rig, P.CONNECTED, P.STARTING, P.ENERGY, P.SUSPENDED_EV, P.ENERGY,
        P.SUSPENDED_EVSE, P.ENERGY,
    )  # fmt: skip
    told = [(e["triggerReason"], e["transactionInfo"]["chargingState"])
            for e in rig.events()]  # fmt: skip
    assert told == [
        ("CablePluggedIn", "EVConnected"),
        ("Authorized", "EVConnected"),
        ("ChargingStateChanged", "Charging"),
        ("ChargingStateChanged", "SuspendedEV"),
        ("ChargingStateChanged", "Charging"),
        ("ChargingStateChanged", "SuspendedEVSE"),
        ("ChargingStateChanged", "Charging"),
    ]


@pytest.mark.parametrize(
    ("suspended", "reason"),
    [(P.SUSPENDED_EV, StopReason.STOPPED_BY_EV), (P.SUSPENDED_EVSE, StopReason.OTHER)],
)
@pytest.mark.req("E06.FR.07")
def test_suspended_energy_ends_it_where_that_is_the_stop_point(
    suspended: P, reason: StopReason
) -> None:
    """And the session with it: nothing may flow that nobody counts."""
    rig = station(**{"TxCtrlr.TxStopPoint": "EnergyTransfer"})
    walk(rig, P.CONNECTED, P.STARTING, P.ENERGY)
    rig.clear()
    walk(rig, suspended)
    (event,) = rig.events()
    assert (event["eventType"], event["triggerReason"]) == (
        "Ended", "ChargingStateChanged"
    )  # fmt: skip
    assert event["transactionInfo"]["stoppedReason"] == reason.value
    assert StopRequest(1, reason) in rig.asked()


def test_a_start_that_fails_moves_no_energy() -> None:
    rig = station(**{"TxCtrlr.TxStartPoint": "EnergyTransfer"})
    walk(rig, P.CONNECTED, P.STARTING)
    rig.observe(P.STOPPING, authorised=True, stop=StopReason.OTHER)
    rig.observe(P.FINISHED, authorised=True, stop=StopReason.OTHER)
    assert rig.events() == []


@pytest.mark.parametrize(
    "phases",
    [
        pytest.param(
            (P.CONNECTED, P.STARTING),
            marks=pytest.mark.req("E02.FR.18", "E02.FR.19"),
            id="cable first",
        ),
        pytest.param(
            (P.STARTING,),
            marks=pytest.mark.req("E03.FR.13", "E03.FR.14"),
            id="token first",
        ),
    ],
)
def test_phases_in_use_are_told_when_they_are_news(phases: tuple[P, ...]) -> None:
    rig = Rig(config(evse=AC, device_model=QUIET)).boot()
    walk(rig, *phases, telemetry=telemetry(rig, 0.0, 0.0, 0.0))
    for amps, phase in (
        ((16.0, 16.0, 16.0), P.ENERGY),
        ((0.0, 0.0, 0.0), P.SUSPENDED_EV),
        ((16.0, 15.0, 16.0), P.ENERGY),
        ((0.0, 0.0, 0.0), P.SUSPENDED_EV),
        ((0.3, 16.0, 0.0), P.ENERGY),
    ):
        walk(rig, phase, telemetry=telemetry(rig, *amps))
    told = [event.get("numberOfPhasesUsed") for event in rig.events()]
    assert told == [None, 3, None, None, None, 1]


def test_of_a_dc_evse_no_phases_are_told() -> None:
    rig = station()
    walk(
        rig, P.CONNECTED, P.STARTING, P.ENERGY, telemetry=telemetry(rig, 9.0, 9.0, 9.0)
    )
    assert all("numberOfPhasesUsed" not in event for event in rig.events())


def test_the_cables_rating_is_in_started() -> None:
    rig = station()
    walk(rig, P.CONNECTED, P.STARTING, telemetry=telemetry(rig, 0.0, cable_a=32.0))
    assert rig.events()[0]["cableMaxCurrent"] == 32
    walk(rig, P.ENERGY, telemetry=telemetry(rig, 0.0, cable_a=32.0))
    assert "cableMaxCurrent" not in rig.events()[1]


# E10: a plug that comes back.


@BOTH
def test_a_transaction_outlives_a_pulled_plug(version: str) -> None:
    rig = station(version, **{
        "TxCtrlr.TxStopPoint": "Authorized",
        "TxCtrlr.StopTxOnEVSideDisconnect": False,
    })  # fmt: skip
    walk(rig, P.CONNECTED, P.STARTING, P.ENERGY)
    rig.clear()
    rig.observe(P.IDLE, authorised=True, kept=True)
    walk(rig, P.STARTING, P.ENERGY)
    told = [(e["triggerReason"], e["transactionInfo"]["chargingState"])
            for e in rig.events()]  # fmt: skip
    assert told == [
        ("EVCommunicationLost", "Idle"),
        ("CablePluggedIn", "EVConnected"),
        ("ChargingStateChanged", "Charging"),
    ]
    assert {e["eventType"] for e in rig.events()} == {"Updated"}


def test_the_connector_of_a_kept_session_is_nobody_elses() -> None:
    rig = station(**{
        "TxCtrlr.TxStopPoint": "Authorized",
        "TxCtrlr.StopTxOnEVSideDisconnect": False,
    })  # fmt: skip
    walk(rig, P.CONNECTED, P.STARTING, P.ENERGY)
    rig.clear()
    rig.observe(P.IDLE, authorised=True, kept=True)
    assert rig.payloads("NotifyEvent") == []
    rig.observe(P.FINISHED, authorised=True, stop=StopReason.EV_DISCONNECTED)
    rig.observe(P.IDLE)
    values = [
        d["actualValue"]
        for p in rig.payloads("NotifyEvent")
        for d in p["eventData"]
        if d["component"]["name"] == "Connector"
    ]
    assert values == ["Available"]


@pytest.mark.parametrize(
    ("stop", "trigger", "stopped"),
    [
        pytest.param(
            StopReason.EV_DISCONNECTED, "EVCommunicationLost", "EVDisconnected",
            marks=pytest.mark.req("E10.FR.02"),
        ),
        (StopReason.LOCAL, "StopAuthorized", "Local"),
    ],
)  # fmt: skip
def test_a_plug_that_does_not_come_back_ends_it(
    stop: StopReason, trigger: str, stopped: str
) -> None:
    rig = station(**{
        "TxCtrlr.TxStopPoint": "Authorized",
        "TxCtrlr.StopTxOnEVSideDisconnect": False,
    })  # fmt: skip
    walk(rig, P.CONNECTED, P.STARTING, P.ENERGY)
    rig.observe(P.IDLE, authorised=True, kept=True)
    rig.observe(P.FINISHED, authorised=True, stop=stop)
    end = rig.events()[-1]
    assert (end["eventType"], end["triggerReason"]) == ("Ended", trigger)
    assert end["transactionInfo"]["stoppedReason"] == stopped


def test_a_plug_that_is_a_stop_point_ends_the_kept_session_too() -> None:
    rig = station(**{"TxCtrlr.StopTxOnEVSideDisconnect": False})
    walk(rig, P.CONNECTED, P.STARTING, P.ENERGY)
    rig.observe(P.IDLE, authorised=True, kept=True)
    end = rig.events()[-1]
    assert (end["eventType"], end["triggerReason"]) == ("Ended", "EVCommunicationLost")
    assert StopRequest(1, StopReason.EV_DISCONNECTED) in rig.asked()


# E14.


def status(rig: Rig, number: str | None = None) -> dict[str, Any]:
    asked = {} if number is None else {"transactionId": number}
    answer = rig.call("GetTransactionStatus", asked)
    assert isinstance(answer, dict)
    return answer


@BOTH
@pytest.mark.req(
    "E14.FR.01", "E14.FR.02", "E14.FR.03", "E14.FR.04", "E14.FR.05", "E14.FR.06",
    "E14.FR.07", "E14.FR.08",
)  # fmt: skip
def test_transaction_status(version: str) -> None:
    rig = station(version)
    assert status(rig) == {"messagesInQueue": False}
    assert status(rig, "unknown") == {
        "ongoingIndicator": False, "messagesInQueue": False
    }  # fmt: skip
    walk(rig, P.CONNECTED, P.STARTING)
    number = rig.events()[0]["transactionInfo"]["transactionId"]
    assert status(rig, number) == {"ongoingIndicator": True, "messagesInQueue": True}
    assert status(rig) == {"messagesInQueue": True}
    rig.answer(sends(rig)[0], {})
    assert status(rig, number) == {"ongoingIndicator": True, "messagesInQueue": False}
    rig.observe(P.FINISHED, authorised=True, stop=StopReason.LOCAL)
    assert status(rig, number) == {"ongoingIndicator": False, "messagesInQueue": True}
    rig.answer(sends(rig)[1], CallError("InternalError"))  # given up: E13.FR.04
    assert status(rig, number) == {"ongoingIndicator": False, "messagesInQueue": False}
    assert status(rig) == {"messagesInQueue": False}


def test_status_knows_what_an_earlier_run_left() -> None:
    rig = station()
    rig.station.queued(Counter({"old": 2}))
    assert status(rig, "old") == {"ongoingIndicator": False, "messagesInQueue": True}
    walk(rig, P.CONNECTED, P.STARTING)
    event = rig.events()[0]
    old = {**event, "transactionInfo": {"transactionId": "old"}}
    for left in (True, False):
        rig.station.result(0, "TransactionEvent", old, {}, rig.now)
        rig.drain()
        assert status(rig, "old")["messagesInQueue"] is left


# E07.


@BOTH
@pytest.mark.req("E07.FR.01", "C01.FR.03")
@pytest.mark.parametrize(("group", "asks"), [("fleet", 0), ("other", 1), ("", 1)])
def test_a_known_token_of_the_group_ends_it_without_a_question(
    version: str, group: str, asks: int
) -> None:
    """The same token does not even get here: the heart stops (test_session)."""
    rig = station(version)
    second = Token("04BB", "ISO14443")
    question = AuthQuestion(1, second)
    rig.station.ask(question, rig.now)
    rig.drain()
    info: dict[str, Any] = {"status": "Accepted"}
    if group:
        info["groupIdToken"] = {"idToken": group, "type": "Central"}
    rig.answer(rig.last("Authorize"), {"idTokenInfo": info})
    rig.observe(P.ENERGY, authorised=True, token=Token("04AA", "ISO14443", "fleet"))
    rig.clear()
    rig.station.ask(question, rig.now)
    rig.drain()
    assert len(rig.payloads("Authorize")) == asks
    answers = [r for r in rig.asked() if isinstance(r, Authorisation)]
    assert [(a.accepted, a.token.group) for a in answers] == (
        [] if asks else [(True, "fleet")]
    )


# Seams of other blocks.


def test_a_reservation_that_ends_is_told_once() -> None:
    rig = station()
    rig.station._desk.evses[1].ended_reservation_id = 12
    walk(rig, P.CONNECTED, P.STARTING, P.ENERGY)
    assert [event.get("reservationId") for event in rig.events()] == [12, None]
