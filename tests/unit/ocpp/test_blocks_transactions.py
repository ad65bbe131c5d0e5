"""Blocks E and J: what a session becomes on the wire, and after a restart."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.model import OperationMode, SessionPhase, StopReason, StopRequest, Token
from chargerd.ocpp.effects import Durability
from tests.unit.ocpp.station_rig import CARD, V21, V201, Rig, config

P = SessionPhase
BOTH = pytest.mark.parametrize("version", [V21, V201])
IMPORT = "Energy.Active.Import.Register"
EXPORT = "Energy.Active.Export.Register"


def energy(event: dict[str, Any], measurand: str) -> list[float]:
    return [
        sample["value"]
        for value in event.get("meterValue", [])
        for sample in value["sampledValue"]
        if sample["measurand"] == measurand
    ]


def started(version: str = V21, **presets: Any) -> Rig:
    """A session in ENERGY with its transaction."""
    rig = Rig(config(device_model=presets), version=version)
    rig.observe()
    rig.boot()
    rig.observe(P.CONNECTED)
    rig.observe(P.STARTING, authorised=True)
    rig.observe(P.ENERGY, authorised=True, power_w=6000.0)
    return rig


@BOTH
@pytest.mark.req(
    "E01.FR.10", "E02.FR.01", "E02.FR.13", "E01.FR.18", "E07.FR.05", "E02.FR.20"
)
def test_a_session_from_plug_to_plug_out(version: str) -> None:
    rig = started(version)
    rig.run_s(1)
    rig.observe(P.STOPPING, authorised=True, stop=StopReason.LOCAL, stop_token=CARD)
    rig.observe(
        P.FINISHED,
        authorised=True,
        stop=StopReason.LOCAL,
        stop_token=CARD,
        import_wh=1100.0,
    )
    rig.observe(P.IDLE)
    events = rig.events()
    assert [e["eventType"] for e in events] == ["Started", "Updated", "Ended"]
    assert [e["seqNo"] for e in events] == [0, 1, 2]
    assert len({e["transactionInfo"]["transactionId"] for e in events}) == 1
    assert events[0]["triggerReason"] == "Authorized"
    assert events[0]["idToken"] == {"idToken": "04A1B2C3", "type": "ISO14443"}
    assert "idToken" not in events[1]  # once only
    assert events[1]["triggerReason"] == "ChargingStateChanged"
    assert events[1]["transactionInfo"]["chargingState"] == "Charging"
    end = events[-1]
    assert end["triggerReason"] == "StopAuthorized"
    assert end["transactionInfo"]["stoppedReason"] == "Local"
    assert end["idToken"]["idToken"] == CARD.value
    assert energy(end, IMPORT) == [1000.0, 1100.0]
    assert energy(end, EXPORT) == [500.0, 500.0]
    assert all(send.durability is Durability.DURABLE for send in rig.sent
               if send.action == "TransactionEvent")  # fmt: skip
    assert "1" not in rig.saved["transaction"]


@pytest.mark.parametrize(
    ("point", "trigger", "at"),
    [
        pytest.param(
            "EVConnected",
            "CablePluggedIn",
            P.CONNECTED,
            marks=pytest.mark.req("E01.FR.02", "E02.FR.06"),
        ),
        pytest.param(
            "Authorized",
            "Authorized",
            P.STARTING,
            marks=pytest.mark.req("E01.FR.03"),
        ),
        pytest.param(
            "PowerPathClosed",
            "Authorized",
            P.STARTING,
            marks=pytest.mark.req("E01.FR.05"),
        ),
        pytest.param(
            "EnergyTransfer",
            "ChargingStateChanged",
            P.ENERGY,
            marks=pytest.mark.req("E01.FR.06"),
        ),
    ],
)
def test_start_points(point: str, trigger: str, at: P) -> None:
    rig = Rig(config(device_model={"TxCtrlr.TxStartPoint": point}))
    rig.boot()
    seen = {}
    for phase in (P.IDLE, P.CONNECTED, P.STARTING, P.ENERGY):
        rig.observe(phase, authorised=phase in (P.STARTING, P.ENERGY))
        seen[phase] = len(rig.events())
    first = rig.events()[0]
    assert first["triggerReason"] == trigger
    assert min(phase_order(p) for p, count in seen.items() if count) == phase_order(at)


def phase_order(phase: P) -> int:
    return (P.IDLE, P.CONNECTED, P.STARTING, P.ENERGY).index(phase)


@pytest.mark.req("E03.FR.01", "E02.FR.17", "E03.FR.12")
def test_token_before_plug_starts_at_authorized() -> None:
    rig = Rig(config(device_model={"TxCtrlr.TxStartPoint": "Authorized"}))
    rig.boot()
    rig.observe(P.IDLE, authorised=True)
    rig.observe(P.STARTING, authorised=True)
    assert [e["triggerReason"] for e in rig.events()] == [
        "Authorized", "CablePluggedIn"
    ]  # fmt: skip
    assert rig.events()[0]["transactionInfo"]["chargingState"] == "Idle"
    assert rig.events()[0]["idToken"]["idToken"] == CARD.value


@pytest.mark.req("E03.FR.05")
@pytest.mark.parametrize("stop_point", ["Authorized", "EVConnected", "EnergyTransfer"])
def test_held_token_that_times_out_ends_its_transaction(stop_point: str) -> None:
    points = {"TxCtrlr.TxStartPoint": "Authorized", "TxCtrlr.TxStopPoint": stop_point}
    rig = Rig(config(device_model=points))
    rig.boot()
    rig.observe(P.IDLE, authorised=True)
    rig.observe(P.IDLE, stop=StopReason.TIMEOUT)
    end = rig.events()[-1]
    assert end["eventType"] == "Ended"
    assert end["triggerReason"] == "EVConnectTimeout"
    assert end["transactionInfo"]["stoppedReason"] == "Timeout"


@pytest.mark.parametrize(
    ("reason", "trigger"),
    [
        (StopReason.REMOTE, "RemoteStop"),
        (StopReason.EV_DISCONNECTED, "EVCommunicationLost"),
        (StopReason.DEAUTHORIZED, "Deauthorized"),
        (StopReason.EMERGENCY_STOP, "AbnormalCondition"),
        (StopReason.STOPPED_BY_EV, "StopAuthorized"),
        (StopReason.IMMEDIATE_RESET, "ResetCommand"),
        pytest.param(
            StopReason.GROUND_FAULT,
            "AbnormalCondition",
            marks=pytest.mark.req("E06.FR.16"),
        ),
    ],
)
@BOTH
@pytest.mark.req("E06.FR.08", "E06.FR.15", "E07.FR.06")
def test_end_reasons(version: str, reason: StopReason, trigger: str) -> None:
    rig = started(version)
    rig.observe(P.FINISHED, authorised=True, stop=reason)
    end = rig.events()[-1]
    assert end["eventType"] == "Ended"
    assert end["triggerReason"] == trigger
    assert end["transactionInfo"]["stoppedReason"] == reason.value


STOP_ROWS = [
    # TxStopPoint, then eventType, triggerReason and chargingState of what follows
    pytest.param(
        "Authorized", [("Ended", "StopAuthorized", "EVConnected")],
        marks=pytest.mark.req("E06.FR.03"),
    ),
    pytest.param(
        "PowerPathClosed", [("Ended", "StopAuthorized", "EVConnected")],
        marks=pytest.mark.req("E06.FR.06"),
    ),
    ("EVConnected,Authorized", [("Ended", "StopAuthorized", "EVConnected")]),
    pytest.param(
        "EnergyTransfer", [
            ("Updated", "StopAuthorized", "Charging"),
            ("Ended", "ChargingStateChanged", "EVConnected"),
        ],
        marks=pytest.mark.req("E06.FR.07"),
    ),
    pytest.param(
        "EVConnected", [
            ("Updated", "StopAuthorized", "Charging"),
            ("Updated", "ChargingStateChanged", "EVConnected"),
            ("Ended", "EVCommunicationLost", "Idle"),
        ],
        marks=pytest.mark.req("E06.FR.02"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("stop_point", "told"), STOP_ROWS)
@pytest.mark.parametrize("quick", [False, True], ids=["ramped", "at once"])
@BOTH
@pytest.mark.req("E07.FR.02", "E01.FR.15", "E02.FR.15")
def test_stop_points(
    version: str, stop_point: str, told: list[tuple[str, str, str]], quick: bool
) -> None:
    """Part 6, TC_E_07 to TC_E_21 and the reusable states after StopAuthorized."""
    rig = started(version, **{"TxCtrlr.TxStopPoint": stop_point})
    before = len(rig.events())
    for phase in (P.FINISHED, P.IDLE) if quick else (P.STOPPING, P.FINISHED, P.IDLE):
        stop = {"stop": StopReason.LOCAL, "stop_token": CARD}
        on = phase is not P.IDLE
        rig.observe(phase, authorised=on, **(stop if on else {}))
    events = rig.events()[before:]
    assert [
        (e["eventType"], e["triggerReason"], e["transactionInfo"]["chargingState"])
        for e in events
    ] == told
    assert events[-1]["transactionInfo"]["stoppedReason"] == "Local"
    assert [e.get("idToken", {}).get("idToken") for e in events] == [
        CARD.value, *[None] * (len(told) - 1)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "trigger"),
    [
        (StopReason.GROUND_FAULT, "AbnormalCondition"),
        pytest.param(
            StopReason.DEAUTHORIZED,
            "Deauthorized",
            marks=pytest.mark.req("E05.FR.09", "E05.FR.10"),
        ),
        pytest.param(
            StopReason.STOPPED_BY_EV,
            "StopAuthorized",
            marks=pytest.mark.req("E15.FR.04", "E15.FR.05"),
        ),
    ],
)
@pytest.mark.parametrize(
    ("stop_point", "kinds"),
    [
        ("EVConnected", ["Updated", "Updated", "Ended"]),
        ("EnergyTransfer", ["Ended"]),
        ("Authorized", ["Ended"]),
    ],
)
def test_a_stop_nobody_asked_for(
    reason: StopReason, trigger: str, stop_point: str, kinds: list[str]
) -> None:
    rig = started(**{"TxCtrlr.TxStopPoint": stop_point})
    before = len(rig.events())
    rig.observe(P.STOPPING, authorised=True, stop=reason)
    rig.observe(P.FINISHED, authorised=True, stop=reason)
    rig.observe(P.IDLE)
    events = rig.events()[before:]
    assert [event["eventType"] for event in events] == kinds
    assert events[0]["triggerReason"] == trigger
    assert events[-1]["transactionInfo"]["stoppedReason"] == reason.value
    states = [event["transactionInfo"]["chargingState"] for event in events]
    assert "EVConnected" in states[:2]
    assert "SuspendedEVSE" not in states


@pytest.mark.parametrize(
    "stop_point",
    [
        "EVConnected", "Authorized", "EnergyTransfer",
        pytest.param("PowerPathClosed", marks=pytest.mark.req("E06.FR.06")),
    ],
)  # fmt: skip
def test_a_pulled_plug_ends_it_whatever_the_stop_point(stop_point: str) -> None:
    """TC_E_17, TC_E_37."""
    rig = started(**{"TxCtrlr.TxStopPoint": stop_point})
    rig.observe(P.FINISHED, authorised=True, stop=StopReason.EV_DISCONNECTED)
    end = rig.events()[-1]
    assert (end["eventType"], end["triggerReason"]) == ("Ended", "EVCommunicationLost")
    assert end["transactionInfo"]["chargingState"] == "Idle"
    assert end["transactionInfo"]["stoppedReason"] == "EVDisconnected"


def test_start_point_connected_does_not_restart_after_the_end() -> None:
    rig = started(**{"TxCtrlr.TxStartPoint": "EVConnected"})
    rig.observe(P.FINISHED, authorised=True, stop=StopReason.LOCAL)
    rig.run_s(3)
    rig.observe(P.IDLE)
    assert [e["eventType"] for e in rig.events()].count("Started") == 1
    rig.observe(P.CONNECTED, session_id="s2")
    kinds = [e["eventType"] for e in rig.events()]
    assert kinds.count("Started") == 2
    ids = {e["transactionInfo"]["transactionId"] for e in rig.events()}
    assert len(ids) == 2


def test_a_second_card_on_the_same_plug_is_a_new_transaction() -> None:
    rig = started()
    rig.observe(P.FINISHED, authorised=True, stop=StopReason.LOCAL)
    rig.observe(P.STARTING, authorised=True, session_id="s2")
    assert [e["eventType"] for e in rig.events()][-2:] == ["Ended", "Started"]
    assert rig.events()[-1]["seqNo"] == 0


def test_unplug_before_any_report_of_stopping() -> None:
    """The heart shows the end for one tick only, then a fresh session."""
    rig = started()
    rig.observe(P.IDLE)
    end = rig.events()[-1]
    assert end["transactionInfo"]["stoppedReason"] == "EVDisconnected"


@pytest.mark.req("K01.FR.110")
@BOTH
@pytest.mark.req("E02.FR.16")
def test_operation_mode_changes_are_told_once_they_hold(version: str) -> None:
    rig = started(version)
    rig.clear()
    rig.observe(P.ENERGY, authorised=True, mode=OperationMode.CENTRAL_SETPOINT)
    rig.observe(P.ENERGY, authorised=True, mode=OperationMode.CHARGING_ONLY)
    rig.run_s(3)
    assert rig.events() == []  # it did not hold
    rig.observe(
        P.ENERGY,
        authorised=True,
        mode=OperationMode.CENTRAL_SETPOINT,
        power_w=-5000.0,
        wanted_w=-7000.0,
    )
    rig.run_s(2)
    (event,) = rig.events()
    if version == V201:
        assert event["triggerReason"] == "ChargingRateChanged"
        assert "operationMode" not in event["transactionInfo"]
        return
    assert event["triggerReason"] == "OperationModeChanged"
    assert event["transactionInfo"]["operationMode"] == "CentralSetpoint"
    assert energy(event, "Power.Active.Export") == [5000.0]
    assert energy(event, "Power.Active.Import") == [0.0]
    assert energy(event, "Power.Active.Setpoint") == [-7000.0]
    assert energy(event, "Power.Active.Residual") == [-2000.0]


@pytest.mark.req("J02.FR.11", "E02.FR.10")
def test_periodic_samples_at_the_interval() -> None:
    rig = started(**{"SampledDataCtrlr.TxUpdatedInterval": 10})
    rig.clear()
    rig.run_s(35)
    events = rig.events()
    assert [e["triggerReason"] for e in events] == ["MeterValuePeriodic"] * 3
    assert all(
        send.durability is Durability.THINNABLE
        for send in rig.sent
        if send.action == "TransactionEvent"
    )
    assert energy(events[0], "SoC") == [60.0]


def test_the_interval_can_be_changed_while_it_runs() -> None:
    rig = started(**{"SampledDataCtrlr.TxUpdatedInterval": 600})
    rig.clear()
    rig.call("SetVariables", {"setVariableData": [{
        "component": {"name": "SampledDataCtrlr"},
        "variable": {"name": "TxUpdatedInterval"},
        "attributeValue": "5",
    }]})  # fmt: skip
    rig.run_s(11)
    assert len(rig.events()) == 2


def test_ended_carries_bounded_samples() -> None:
    rig = started(**{
        "SampledDataCtrlr.TxEndedInterval": 1,
        "SampledDataCtrlr.TxUpdatedInterval": 0,
    })  # fmt: skip
    rig.run_s(150)
    rig.observe(P.FINISHED, authorised=True, stop=StopReason.LOCAL)
    values = rig.events()[-1]["meterValue"]
    assert 30 <= len(values) <= 62
    stamps = [value["timestamp"] for value in values]
    assert stamps == sorted(stamps)


@BOTH
@pytest.mark.req("J01.FR.14", "J01.FR.22", "J01.FR.02")
def test_aligned_values_lie_on_the_grid(version: str) -> None:
    rig = started(
        version,
        **{
            "AlignedDataCtrlr.Interval": 900,
            "SampledDataCtrlr.TxUpdatedInterval": 0,
        },
    )
    rig.pass_s(898.7)
    rig.clear()
    rig.run_s(4)
    (event,) = rig.events()
    assert event["triggerReason"] == "MeterValueClock"
    assert event["meterValue"][0]["timestamp"] == "2026-11-23T08:15:00.000Z"
    rig.observe(P.FINISHED, authorised=True, stop=StopReason.LOCAL)
    rig.observe(P.IDLE)
    rig.pass_s(895)
    rig.clear()
    rig.run_s(4)
    (message,) = rig.payloads("MeterValues")
    assert message["evseId"] == 1
    assert message["meterValue"][0]["timestamp"] == "2026-11-23T08:30:00.000Z"


def test_a_silent_meter_is_not_reported() -> None:
    rig = started(**{"SampledDataCtrlr.TxUpdatedInterval": 10})
    rig.clear()
    rig.run_s(25, meter=False, soc=None)
    assert rig.events() == []


def test_offline_events_say_so() -> None:
    rig = started()
    rig.link(up=False)
    rig.observe(P.SUSPENDED_EV, authorised=True)
    assert rig.events()[-1]["offline"] is True
    rig.link()
    rig.observe(P.ENERGY, authorised=True)
    assert "offline" not in rig.events()[-1]


@BOTH
@pytest.mark.req("E06.FR.04")
def test_invalid_token_stops_the_transaction(version: str) -> None:
    rig = started(version)
    first = next(s for s in rig.sent if s.action == "TransactionEvent")
    rig.answer(first, {"idTokenInfo": {"status": "Invalid"}})
    assert StopRequest(1, StopReason.DEAUTHORIZED) in rig.asked()


def test_invalid_token_only_suspends_when_told_so() -> None:
    rig = started(**{"TxCtrlr.StopTxOnInvalidId": False})
    first = next(s for s in rig.sent if s.action == "TransactionEvent")
    rig.answer(first, {"idTokenInfo": {"status": "Blocked"}})
    assert rig.asked() == []
    segment = rig.signal("ocpp.tx").at(rig.now.mono)
    assert (segment.limit_w, segment.discharge_limit_w) == (0.0, 0.0)
    rig.observe(P.FINISHED, authorised=True, stop=StopReason.LOCAL)
    assert rig.signal("ocpp.tx") is None


def test_an_answer_of_the_last_run_is_matched_by_its_request() -> None:
    rig = started()
    old = {**rig.events()[0]}
    old["transactionInfo"] = {"transactionId": "somebody-else"}
    rig.station.result(
        1, "TransactionEvent", old, {"idTokenInfo": {"status": "Invalid"}}, rig.now
    )
    rig.drain()
    assert rig.asked() == []


@BOTH
@pytest.mark.parametrize(
    ("boot_reason", "stopped"),
    [("PowerUp", "PowerLoss"), ("Watchdog", "Reboot"), ("Unknown", "Other")],
)
def test_a_crash_is_closed_honestly(
    version: str, boot_reason: str, stopped: str
) -> None:
    rig = started(version, **{"SampledDataCtrlr.TxUpdatedInterval": 10})
    rig.run_s(15, import_wh=1050.0)
    before = rig.events()
    again = rig.restarted(boot_reason=boot_reason)
    again.observe(P.CONNECTED, meter=False)
    assert again.events() == []  # waits for a fresh value
    again.pass_s(1)
    again.observe(P.CONNECTED, import_wh=1060.0)
    (end,) = again.events()
    assert end["eventType"] == "Ended"
    assert end["seqNo"] == before[-1]["seqNo"] + 1
    assert end["transactionInfo"]["stoppedReason"] == stopped
    assert (
        end["transactionInfo"]["transactionId"]
        == before[0]["transactionInfo"]["transactionId"]
    )
    assert energy(end, IMPORT) == [1000.0, 1050.0, 1060.0]
    contexts = [v["sampledValue"][0]["context"] for v in end["meterValue"]]
    assert contexts == ["Transaction.Begin", "Interruption.Begin", "Transaction.End"]
    assert end["offline"] is True
    third = again.restarted()
    third.observe(P.CONNECTED)
    assert third.events() == []  # closed once


def test_a_crash_with_a_dead_meter_ends_with_the_last_known_value() -> None:
    rig = started()
    again = rig.restarted()
    again.observe(P.CONNECTED, meter=False)
    again.run_s(25)
    (end,) = again.events()
    assert energy(end, IMPORT)[-1] == 1000.0


def test_garbage_on_disk_is_forgotten() -> None:
    rig = Rig(saved={"transaction": {"1": {"id": 7}, "9": "x"}, "profile": {"1": {}}})
    rig.observe(P.CONNECTED)
    assert rig.events() == []
    assert rig.saved["transaction"] == {}
    assert rig.saved["profile"] == {}


def test_energy_that_counts_on_is_no_event_of_its_own() -> None:
    rig = started(**{"SampledDataCtrlr.TxUpdatedInterval": 0})
    rig.clear()
    for wh in range(20):
        rig.pass_s(0.05)
        rig.observe(P.ENERGY, authorised=True, import_wh=1000.0 + wh)
    assert rig.events() == []


def test_2_0_1_reduces_token_kinds_it_does_not_know() -> None:
    rig = Rig(version=V201)
    rig.boot()
    token = Token("VID:0123456789", "VIN")
    rig.observe(P.STARTING, authorised=True, token=token)
    assert rig.events()[0]["idToken"]["type"] == "Central"


def test_remote_start_is_the_next_trigger() -> None:
    rig = Rig()
    rig.boot()
    rig.observe(P.CONNECTED)
    rig.observe(P.STARTING, authorised=True, remote_start_id=42)
    rig.observe(P.ENERGY, authorised=True, remote_start_id=42)
    first, second = rig.events()
    assert first["triggerReason"] == "RemoteStart"
    assert first["transactionInfo"]["remoteStartId"] == 42
    assert "remoteStartId" not in second["transactionInfo"]
