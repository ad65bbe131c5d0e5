"""E17 and B13: transactions across a restart of the daemon."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from chargerd.model import (
    AuthQuestion,
    Contract,
    KeepRequest,
    ResumeRequest,
    SessionPhase,
    StopReason,
    Token,
)
from tests.unit.ocpp.station_rig import CARD, V21, V201, Rig, config

P = SessionPhase
BOTH = pytest.mark.parametrize("version", [V21, V201])
ALLOW = "TxCtrlr.AllowEnergyTransferResumption"
RANGE = "TxCtrlr.EnergyTransferResumptionRandomRange"


def running(state: P = P.ENERGY, version: str = V21, **presets: Any) -> Rig:
    """A transaction in `state`, that may be resumed within 300 s."""
    presets = {
        "TxCtrlr.ResumptionTimeout": 300,
        "SampledDataCtrlr.TxUpdatedInterval": 0,
        **presets,
    }
    rig = Rig(config(device_model=presets), version=version)
    rig.boot()
    rig.observe(P.CONNECTED)
    rig.observe(P.STARTING, authorised=True, remote_start_id=42)
    rig.observe(P.ENERGY, authorised=True, remote_start_id=42)
    if state is not P.ENERGY:
        rig.observe(state, authorised=True, remote_start_id=42)
    return rig


def again(rig: Rig, after_s: float = 60, boot_reason: str = "PowerUp") -> Rig:
    """The daemon anew, its vehicle still plugged; the heart is asked."""
    new = rig.restarted(after_s=after_s, boot_reason=boot_reason)
    new.boot()
    new.observe(P.CONNECTED, session_id="fresh")
    return new


def resumed(rig: Rig, phase: P = P.STARTING) -> Rig:
    """The heart has taken it up."""
    rig.observe(phase, authorised=True, remote_start_id=42, kept=True)
    return rig


def asks(rig: Rig) -> list[ResumeRequest]:
    return [r for r in rig.asked() if isinstance(r, ResumeRequest)]


def held(rig: Rig) -> bool:
    signal = rig.signal("ocpp.tx")
    segment = signal.at(rig.now.mono) if signal else None
    return bool(segment) and (segment.limit_w, segment.discharge_limit_w) == (0.0, 0.0)


@BOTH
@pytest.mark.req("E17.FR.01", "E17.FR.10", "E17.FR.14", "E01.FR.07")
def test_it_goes_on_with_its_id_and_number(version: str) -> None:
    before = running(version=version)
    rig = again(before)
    (ask,) = asks(rig)
    assert (ask.session_id, ask.token, ask.remote_start_id) == ("s1", CARD, 42)
    assert rig.events() == []
    resumed(rig)
    (event,) = rig.events()
    last = before.events()[-1]
    assert event["eventType"] == "Updated"
    assert event["triggerReason"] == ("TxResumed" if version == V21 else "Trigger")
    assert event["seqNo"] == last["seqNo"] + 1
    info, old = event["transactionInfo"], last["transactionInfo"]
    assert info["transactionId"] == old["transactionId"]
    assert "remoteStartId" not in info  # told in the last run
    assert event["meterValue"][0]["sampledValue"][0]["context"] == "Interruption.End"
    rig.observe(P.FINISHED, authorised=True, stop=StopReason.LOCAL)
    assert rig.events()[-1]["eventType"] == "Ended"
    assert rig.events()[-1]["seqNo"] == last["seqNo"] + 2


@pytest.mark.req("E17.FR.11")
@pytest.mark.parametrize(
    ("phase", "state"),
    [
        (P.ENERGY, "Charging"),
        (P.SUSPENDED_EV, "SuspendedEV"),
        (P.SUSPENDED_EVSE, "SuspendedEVSE"),
    ],
)
def test_with_permission_it_returns_to_its_state(phase: P, state: str) -> None:
    rig = resumed(again(running(phase, **{ALLOW: True})))
    (event,) = rig.events()
    assert event["transactionInfo"]["chargingState"] == state
    assert not held(rig)
    resumed(rig, P.ENERGY)
    assert rig.events()[-1]["transactionInfo"]["chargingState"] == "Charging"


@pytest.mark.req("E17.FR.12")
def test_without_permission_no_energy_flows_any_more() -> None:
    rig = again(running())
    assert held(rig)  # before the heart is asked, not after
    kinds = [type(effect).__name__ for effect in rig.effects]
    assert kinds.index("Dispatch") < len(kinds) - kinds[::-1].index("Ask") - 1
    resumed(rig)
    assert rig.events()[0]["transactionInfo"]["chargingState"] == "SuspendedEVSE"
    resumed(rig, P.ENERGY)  # the path closes at 0 W
    rig.run_s(700, step_s=10.0)
    assert held(rig)
    states = {e["transactionInfo"]["chargingState"] for e in rig.events()}
    assert states == {"SuspendedEVSE"}


@pytest.mark.req("E17.FR.13")
@pytest.mark.parametrize(
    ("start", "state"), [(P.CONNECTED, "EVConnected"), (P.STARTING, "EVConnected")]
)
def test_without_permission_other_states_stay(start: P, state: str) -> None:
    presets = {
        "TxCtrlr.ResumptionTimeout": 300,
        "TxCtrlr.TxStartPoint": "EVConnected",
    }
    before = Rig(config(device_model=presets)).boot()
    on = start is P.STARTING
    before.observe(P.CONNECTED)
    before.observe(start, authorised=on)
    rig = again(before)
    rig.observe(start, authorised=on)
    (event,) = rig.events()
    assert event["transactionInfo"]["chargingState"] == state


@pytest.mark.req("E17.FR.18")
def test_stations_that_lost_power_together_start_apart() -> None:
    waits = []
    for name in ("a", "b", "c"):
        before = running(**{ALLOW: True, RANGE: 600})
        tx = before.saved["transaction"]["1"]
        tx["id"] = f"00000000-0000-0000-0000-00000000000{name}"
        rig = resumed(again(before), P.STARTING)
        assert rig.events()[0]["transactionInfo"]["chargingState"] == "SuspendedEVSE"
        resumed(rig, P.ENERGY)
        waited_s = 0
        while held(rig) and waited_s < 700:
            rig.run_s(5, step_s=5.0)
            waited_s += 5
        waits.append(waited_s)
    assert len(set(waits)) == 3
    assert all(wait <= 600 for wait in waits)


@pytest.mark.parametrize("phase", [P.SUSPENDED_EV, P.SUSPENDED_EVSE])
def test_only_what_charged_waits(phase: P) -> None:
    rig = again(running(phase, **{ALLOW: True, RANGE: 600}))
    assert not held(rig)


@BOTH
@pytest.mark.req("E17.FR.20", "E17.FR.21", "E17.FR.22", "E17.FR.02")
@pytest.mark.parametrize(
    ("boot_reason", "stopped"), [("PowerUp", "PowerLoss"), ("Watchdog", "Reboot")]
)
def test_too_long_an_interruption_is_the_end(
    version: str, boot_reason: str, stopped: str
) -> None:
    rig = again(running(version=version), after_s=301, boot_reason=boot_reason)
    assert asks(rig) == []
    (event,) = rig.events()
    assert event["eventType"] == "Ended"
    assert event["triggerReason"] == "AbnormalCondition"
    assert event["transactionInfo"]["stoppedReason"] == stopped


@pytest.mark.req("E17.FR.02")
def test_the_moment_of_the_loss_is_known_to_a_minute() -> None:
    """A quiet transaction: its last event is long past, but it was alive."""
    before = running()
    before.run_s(900, step_s=5.0)
    rig = again(before, after_s=230)
    assert len(asks(rig)) == 1


@pytest.mark.req("E17.FR.16")
def test_unplugged_it_waits_for_its_vehicle_where_it_may() -> None:
    before = running(
        **{
            "TxCtrlr.TxStopPoint": "Authorized",
            "TxCtrlr.StopTxOnEVSideDisconnect": False,
        }
    )
    rig = before.restarted()
    rig.boot()
    rig.observe(P.IDLE)
    assert asks(rig) == []  # the pilot may not have spoken yet
    rig.run_s(6)
    assert len(asks(rig)) == 1
    resumed(rig, P.IDLE)
    (event,) = rig.events()
    assert event["transactionInfo"]["chargingState"] == "Idle"
    assert event["eventType"] == "Updated"


@pytest.mark.req("E17.FR.17")
@pytest.mark.parametrize(
    ("stop_point", "ends"),
    [("EVConnected", False), ("PowerPathClosed", False), ("Authorized", True)],
)
def test_unplugged_it_ends_where_that_is_a_stop_point(
    stop_point: str, ends: bool
) -> None:
    before = running(
        **{
            "TxCtrlr.TxStopPoint": stop_point,
            "TxCtrlr.StopTxOnEVSideDisconnect": ends,
        }
    )
    rig = before.restarted()
    rig.boot()
    rig.observe(P.IDLE)
    rig.run_s(6)
    (event,) = rig.events()
    assert (event["eventType"], event["triggerReason"]) == (
        "Ended", "EVCommunicationLost"
    )  # fmt: skip
    assert event["transactionInfo"]["stoppedReason"] == "EVDisconnected"


def test_a_heart_that_cannot_ends_it() -> None:
    """A fault, or another card was quicker."""
    rig = again(running())
    rig.run_s(6)
    (event,) = rig.events()
    assert event["eventType"] == "Ended"


def test_another_card_does_not_wait_for_the_clock() -> None:
    """Its energy belongs to a transaction of its own, from the first Wh."""
    rig = running().restarted()
    rig.boot()
    rig.now = replace(rig.now, trusted=False)
    rig.observe(P.CONNECTED, session_id="fresh")
    assert rig.events() == []
    rig.observe(P.STARTING, authorised=True, session_id="fresh")
    rig.observe(P.STARTING, authorised=True, session_id="fresh")
    assert [e["eventType"] for e in rig.events()] == ["Ended", "Started"]


def test_another_card_is_not_that_of_the_transaction_before() -> None:
    presets = {"TxCtrlr.TxStartPoint": "EVConnected"}
    before = Rig(config(device_model=presets)).boot()
    before.observe(P.CONNECTED)
    rig = before.restarted().boot()
    rig.station._desk.evses[1].ended_reservation_id = 12
    rig.observe(P.STARTING, authorised=True, session_id="fresh")
    rig.observe(P.STARTING, authorised=True, session_id="fresh")
    ended, begun = rig.events()
    assert (ended["eventType"], begun["eventType"]) == ("Ended", "Started")
    assert not {"idToken", "reservationId"} & ended.keys()
    assert (begun["idToken"]["idToken"], begun["reservationId"]) == (CARD.value, 12)


def test_a_state_it_returned_to_is_not_for_ever() -> None:
    rig = resumed(again(running(**{ALLOW: True})))
    for phase in (P.ENERGY, P.SUSPENDED_EV, P.STARTING):
        resumed(rig, phase)
    states = [e["transactionInfo"]["chargingState"] for e in rig.events()]
    assert states == ["Charging", "SuspendedEV", "EVConnected"]


def test_an_energy_wait_of_an_earlier_interruption_is_over() -> None:
    """Not allowed once, allowed at the next Reset of the EVSE."""
    rig = resumed(again(running()))
    assert held(rig)
    rig.call("SetVariables", {"setVariableData": [{
        "component": {"name": "TxCtrlr"},
        "variable": {"name": "AllowEnergyTransferResumption"},
        "attributeValue": "true",
    }]})  # fmt: skip
    rig.observe(P.FINISHED, authorised=True, kept=True, stop=StopReason.LOCAL)
    rig.observe(P.STARTING, authorised=True, session_id="s2")
    rig.observe(P.ENERGY, authorised=True, session_id="s2")
    rig.call("Reset", {"type": "ImmediateAndResume", "evseId": 1})
    rig.drain()
    rig.observe(P.CONNECTED, session_id="anew")
    rig.clear()
    rig.observe(P.STARTING, authorised=True, session_id="s2")
    (event,) = rig.events()
    assert event["transactionInfo"]["chargingState"] == "Charging"


def test_without_a_clock_nobody_can_say_how_long_it_was() -> None:
    rig = running().restarted()
    rig.boot()
    rig.now = replace(rig.now, trusted=False)
    rig.observe(P.CONNECTED, session_id="fresh")
    rig.run_s(30)
    assert rig.events() == []
    assert asks(rig) == []
    rig.run_s(40)
    assert [e["eventType"] for e in rig.events()] == ["Ended"]


def test_switched_off_everything_ends_as_ever() -> None:
    rig = again(running(**{"TxCtrlr.ResumptionTimeout": 0}))
    assert [e["eventType"] for e in rig.events()] == ["Ended"]


def test_a_group_and_a_right_to_discharge_are_remembered() -> None:
    before = Rig(config(device_model={"TxCtrlr.ResumptionTimeout": 300})).boot()
    before.observe(
        P.STARTING, authorised=True, token=Token("04AA", "ISO14443", "fleet")
    )
    (ask,) = asks(again(before))
    assert ask.token == Token("04AA", "ISO14443", "fleet")
    assert ask.discharge_allowed


@pytest.mark.req("E16.FR.09")
def test_a_time_limit_counts_the_interruption_too() -> None:
    before = running(**{ALLOW: True})
    before.run_s(50)
    before.answer(
        before.last("TransactionEvent"), {"transactionLimit": {"maxTime": 100}}
    )
    rig = resumed(again(before, after_s=40))
    rig.run_s(8)
    assert rig.events()[-1]["triggerReason"] == "TxResumed"
    rig.run_s(4)
    assert rig.events()[-1]["triggerReason"] == "TimeLimitReached"
    assert rig.events()[-1]["transactionInfo"]["timeSpentCharging"] >= 50


@pytest.mark.parametrize("why", ["limit", "token"])
def test_what_held_the_energy_back_holds_it_still(why: str) -> None:
    before = running(**{ALLOW: True, "TxCtrlr.StopTxOnInvalidId": False})
    first = next(s for s in before.sent if s.action == "TransactionEvent")
    if why == "limit":
        before.answer(first, {"transactionLimit": {"maxEnergy": 0.0}})
    else:
        before.answer(first, {"idTokenInfo": {"status": "Invalid"}})
    assert held(before)
    rig = again(before)
    assert held(rig)
    resumed(rig)
    resumed(rig, P.ENERGY)
    rig.run_s(20)
    assert held(rig)
    states = {e["transactionInfo"]["chargingState"] for e in rig.events()}
    assert states == {"SuspendedEVSE"}


# B13.


@pytest.mark.req("B13.FR.23", "B13.FR.30")
def test_a_reset_that_resumes_takes_any_time() -> None:
    before = running()
    before.clear()
    before.station._parts.resuming.interrupt(before.now)
    before.drain()
    (event,) = before.events()
    assert (event["eventType"], event["triggerReason"]) == ("Updated", "ResetCommand")
    stop = {"authorised": True, "stop": StopReason.IMMEDIATE_RESET}
    before.observe(P.STOPPING, **stop)
    before.observe(P.FINISHED, **stop)
    assert len(before.events()) == 1  # its session ends, the transaction does not
    rig = resumed(again(before, after_s=3000, boot_reason="RemoteReset"))
    assert [e["triggerReason"] for e in rig.events()] == ["TxResumed"]
    assert rig.events()[0]["seqNo"] == event["seqNo"] + 1


@pytest.mark.req("B13.FR.24", "B13.FR.25")
@pytest.mark.parametrize(
    ("allowed", "state"), [(True, "Charging"), (False, "SuspendedEVSE")]
)
def test_after_a_reset_energy_flows_where_it_may(allowed: bool, state: str) -> None:
    before = running(**{ALLOW: allowed, RANGE: 600})
    before.station._parts.resuming.interrupt(before.now)
    before.drain()
    rig = resumed(again(before, boot_reason="RemoteReset"))
    assert rig.events()[0]["transactionInfo"]["chargingState"] == state
    assert held(rig) is not allowed


@pytest.mark.req("B13.FR.12", "B13.FR.13", "B13.FR.14", "B13.FR.30")
@pytest.mark.parametrize(
    ("allowed", "state"), [(True, "Charging"), (False, "SuspendedEVSE")]
)
def test_an_evse_that_is_reset_alone_takes_its_transaction_up(
    allowed: bool, state: str
) -> None:
    rig = running(**{ALLOW: allowed})
    rig.clear()
    rig.station._parts.resuming.interrupt(rig.now, 1)
    stop = {"authorised": True, "stop": StopReason.IMMEDIATE_RESET}
    rig.observe(P.STOPPING, **stop)
    rig.observe(P.FINISHED, **stop)
    rig.run_s(400, step_s=10.0)  # longer than ResumptionTimeout
    assert asks(rig) == []  # the EVSE has not begun anew
    rig.observe(P.CONNECTED, session_id="anew")
    assert len(asks(rig)) == 1
    resumed(rig)
    assert [e["triggerReason"] for e in rig.events()] == ["ResetCommand", "TxResumed"]
    first, second = rig.events()
    assert second["seqNo"] == first["seqNo"] + 1
    assert second["transactionInfo"]["chargingState"] == state
    assert held(rig) is not allowed
    rig.observe(P.FINISHED, authorised=True, stop=StopReason.LOCAL)
    assert rig.events()[-1]["eventType"] == "Ended"


def test_other_evses_go_on_during_a_reset() -> None:
    presets = {"TxCtrlr.ResumptionTimeout": 300}
    rig = Rig(config(evses=2, device_model=presets)).boot()
    for evse_id in (1, 2):
        rig.observe(P.ENERGY, evse_id=evse_id, authorised=True)
    rig.clear()
    rig.station._parts.resuming.interrupt(rig.now, 1)
    rig.observe(P.FINISHED, evse_id=2, authorised=True, stop=StopReason.LOCAL)
    assert [(e["evse"]["id"], e["eventType"]) for e in rig.events()] == [
        (1, "Updated"), (2, "Ended")
    ]  # fmt: skip


# E09, E10: what the heart is told of a pulled plug.


@pytest.mark.parametrize(
    ("connector", "wait_s"),
    [
        pytest.param("cG105", 60.0, id="cable"),
        pytest.param(
            "sType2", math.inf, id="socket", marks=pytest.mark.req("E10.FR.01")
        ),
    ],
)
def test_the_heart_learns_what_a_pulled_plug_means(
    connector: str, wait_s: float
) -> None:
    rig = Rig(config(evse={"connectors": [{"id": 1, "type": connector}]})).boot()
    rig.observe()
    rig.run_s(3)
    assert not [r for r in rig.asked() if isinstance(r, KeepRequest)]
    for value, told in (("false", wait_s), ("true", None)):
        rig.clear()
        rig.call("SetVariables", {"setVariableData": [{
            "component": {"name": "TxCtrlr"},
            "variable": {"name": "StopTxOnEVSideDisconnect"},
            "attributeValue": value,
        }]})  # fmt: skip
        rig.run_s(3)
        asked = [r for r in rig.asked() if isinstance(r, KeepRequest)]
        assert asked == [KeepRequest(1, told)]


def test_a_plug_alone_starts_nothing_new_where_a_transaction_may_be_resumed() -> None:
    """Without a clock the station waits for the central system to say the time."""
    rig = running(**{"AuthCtrlr.Enabled": False}).restarted()
    rig.now = replace(rig.now, trusted=False)
    rig.observe(P.CONNECTED, session_id="fresh")
    rig.run_s(5)
    assert rig.asked() == []
    rig.now = replace(rig.now, trusted=True)
    rig.run_s(1)
    assert [type(request) for request in rig.asked()] == [ResumeRequest]


EMAID = Token("JPABCC123456789", "eMAID")
CONTRACT = Contract(EMAID.value, "PEM", trusted=True)


def waiting(token: Token = CARD, version: str = V21) -> Rig:
    """After a restart, with no clock yet; the vehicle shows its contract."""
    before = running(version=version)
    before.observe(P.SUSPENDED_EV, authorised=True, token=token, remote_start_id=42)
    rig = before.restarted().boot()
    rig.clear()
    rig.now = replace(rig.now, trusted=False)
    rig.observe(P.CONNECTED, session_id="fresh")
    rig.station.ask(AuthQuestion(1, EMAID, CONTRACT), rig.now)
    rig.drain()
    return rig


@BOTH
@pytest.mark.parametrize("token", [EMAID, CARD])
@pytest.mark.req("E17.FR.10")
def test_a_contract_does_not_overtake_the_resumption(
    token: Token, version: str
) -> None:
    """The vehicle talks anew after a power loss and shows its contract again."""
    rig = waiting(token, version)
    assert (rig.payloads("Authorize"), asks(rig)) == ([], [])
    rig.run_s(5)
    rig.now = replace(rig.now, trusted=True)
    rig.run_s(1)
    assert len(asks(rig)) == 1
    rig.observe(P.STARTING, authorised=True, token=token, kept=True)
    rig.run_s(90)
    assert rig.payloads("Authorize") == []
    assert {e["eventType"] for e in rig.events()} == {"Updated"}


@pytest.mark.req("E17.FR.20")
def test_a_contract_is_not_kept_waiting_for_ever() -> None:
    """Nobody says the time: the heart and the vehicle need an answer all the same."""
    rig = waiting()
    rig.run_s(19)
    assert rig.payloads("Authorize") == []
    rig.run_s(2)
    assert [e["eventType"] for e in rig.events()] == ["Ended"]
    assert len(rig.payloads("Authorize")) == 1


def test_an_old_question_is_not_asked_after_an_unplug() -> None:
    rig = waiting()
    rig.observe(P.IDLE)
    rig.run_s(70)
    assert rig.payloads("Authorize") == []


def test_another_contract_is_of_another_vehicle() -> None:
    rig = waiting(Token("JPOTHER00000001", "eMAID"))
    assert len(rig.payloads("Authorize")) == 1
    rig.observe(P.STARTING, authorised=True, token=EMAID, session_id="fresh")
    rig.observe(P.STARTING, authorised=True, token=EMAID, session_id="fresh")
    assert [e["eventType"] for e in rig.events()] == ["Ended", "Started"]
