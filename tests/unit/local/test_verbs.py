"""Verbs: every argument bounded, hostile questions refused with the key's name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargerd.local.read_model import ReadModel
from chargerd.local.verbs import LocalError, Ports, Verbs
from chargerd.model import (
    DispatchSignal,
    OperationMode,
    Priority,
    PromiseRequest,
    Request,
    ResetRequest,
    StartRequest,
    StopReason,
    StopRequest,
    Token,
)
from tests.unit.local.values import a_decision, a_report, at


@dataclass
class Heart:
    """What the verbs asked for."""

    requests: list[Request] = field(default_factory=list)
    signals: list[DispatchSignal] = field(default_factory=list)
    simulated: list[DispatchSignal] = field(default_factory=list)

    def ports(
        self, *, dispatch: bool = True, evse_ids: tuple[int, ...] = (1,)
    ) -> Ports:
        read = ReadModel(evse_ids)
        for evse_id in evse_ids:
            read.report(a_report(1.0, evse_id=evse_id))

        def simulate(evse_id: int, signal: DispatchSignal) -> Any:
            self.simulated.append(signal)
            return a_decision(1.0, signal.segments[0].setpoint_w or 0.0)

        async def sessions(last: int) -> list[dict[str, Any]]:
            return [{"session_id": "old"}][:last]

        return Ports(
            read=read,
            now=lambda: at(100.0),
            simulate=simulate,
            request=self.requests.append,
            extra=lambda: {"link": "up"},
            config=lambda: {"ocpp": {"password": "**********"}},
            sessions=sessions,
            signal=self.signals.append if dispatch else None,
        )


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "verb", ["ping", "help", "status", "why", "session", "faults", "meter", "config"]
)
async def test_every_reading_verb_answers(verb: str) -> None:
    heart = Heart()
    answer = await Verbs(heart.ports(evse_ids=(1, 2))).answer({"verb": verb})
    assert answer
    assert heart == Heart()  # reading changes nothing


@pytest.mark.asyncio
async def test_simulate_moves_nothing_and_dispatch_sends_a_lease() -> None:
    heart = Heart()
    verbs = Verbs(heart.ports())
    answer = await verbs.answer({"verb": "simulate", "power_w": -5000})
    assert answer["decision"]["power_w"] == -5000.0
    assert heart.signals == []

    await verbs.answer(
        {"verb": "dispatch", "power_w": 3e3, "seconds": 9, "mode": "ExternalSetpoint"}
    )
    (signal,) = heart.signals
    assert signal.priority is Priority.LOCAL
    assert signal.received_mono == 100.0
    assert signal.valid_until_mono == 109.0
    assert signal.segments[0].setpoint_w == 3000.0
    assert signal.segments[0].mode is OperationMode.EXTERNAL_SETPOINT


@pytest.mark.asyncio
async def test_dispatch_may_be_forbidden() -> None:
    verbs = Verbs(Heart().ports(dispatch=False))
    with pytest.raises(LocalError, match="not allowed"):
        await verbs.answer({"verb": "dispatch", "power_w": -1})
    assert await verbs.answer({"verb": "simulate", "power_w": -1})


@pytest.mark.asyncio
async def test_requests_are_neutral_values() -> None:
    heart = Heart()
    verbs = Verbs(heart.ports(evse_ids=(1, 2)))
    for question in (
        {"verb": "promise", "evse": 2, "soc": 80, "seconds": 2700},
        {"verb": "promise", "evse": 1, "soc": 80, "seconds": 60, "floor": 30},
        {"verb": "promise", "evse": 1, "clear": True},
        {"verb": "start", "evse": 1, "token": "AA", "kind": "ISO14443"},
        {"verb": "stop", "evse": 2},
        {"verb": "reset", "immediate": True},
    ):
        assert await verbs.answer(question) == {"accepted": True}
    assert heart.requests == [
        PromiseRequest(2, 2800.0, 80.0),
        PromiseRequest(1, 160.0, 80.0, 30.0),
        PromiseRequest(1, None),
        StartRequest(1, Token("AA", "ISO14443"), authorised=False),
        StopRequest(2, StopReason.LOCAL),
        ResetRequest(0, immediate=True),
    ]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ({}, "unknown verb"),
        ({"verb": ["status"]}, "unknown verb"),
        ({"verb": "simulate"}, "power_w: is missing"),
        ({"verb": "simulate", "power_w": float("inf")}, "not a finite"),
        ({"verb": "simulate", "power_w": 10**400}, "not a finite"),
        ({"verb": "simulate", "power_w": -1e308}, "is not from"),
        ({"verb": "simulate", "power_w": True}, "not a finite"),
        ({"verb": "simulate", "power_w": "5"}, "not a finite"),
        ({"verb": "simulate", "power_w": 1, "mode": "Turbo"}, "known: Idle"),
        ({"verb": "simulate", "power_w": 1, "mode": []}, "mode"),
        ({"verb": "simulate", "power_w": 1, "seconds": 0}, "seconds"),
        ({"verb": "simulate", "power_w": 1, "seconds": 1e6}, "seconds"),
        ({"verb": "why", "evse": 7}, "known: 1"),
        ({"verb": "why", "evse": True}, "known: 1"),
        ({"verb": "why", "last": 0}, "last"),
        ({"verb": "promise", "seconds": 60}, "soc: is missing"),
        ({"verb": "promise", "seconds": -5, "soc": 80}, "seconds"),
        ({"verb": "promise", "seconds": 60, "soc": 101}, "soc"),
        ({"verb": "start"}, "token"),
        ({"verb": "start", "token": "x" * 37}, "token"),
        ({"verb": "start", "token": "a\nb"}, "printable"),
        ({"verb": "start", "token": 5}, "token"),
    ],
)
async def test_bad_questions_name_the_key(question: Any, reason: str) -> None:
    heart = Heart()
    with pytest.raises(LocalError, match=reason):
        await Verbs(heart.ports()).answer(question)
    assert heart == Heart()


@pytest.mark.asyncio
async def test_with_two_evses_a_command_must_say_which() -> None:
    with pytest.raises(LocalError, match="known: 1, 2"):
        await Verbs(Heart().ports(evse_ids=(1, 2))).answer({"verb": "stop"})


_JSON = st.sampled_from(
    [None, True, False, 0, 1, -1, 10**400, -1e308, 5e-324, float("nan"), float("inf"),
     "", "1", "x" * 300, "\x00", [], [1], {}, {"a": 1}, "Idle", "CentralSetpoint"]
) | st.integers() | st.floats()  # fmt: skip


@pytest.mark.asyncio
@given(
    st.sampled_from(
        ["status", "why", "session", "faults", "meter", "simulate", "dispatch",
         "promise", "start", "stop", "reset"]
    ),
    st.dictionaries(
        st.sampled_from(
            ["evse", "last", "power_w", "seconds", "mode", "soc", "floor", "token",
             "kind", "clear", "immediate"]
        ),
        _JSON,
        max_size=6,
    ),
)  # fmt: skip
@settings(max_examples=150)
async def test_any_json_is_answered_or_refused(verb: str, rest: dict[str, Any]) -> None:
    heart = Heart()
    try:
        answer = await Verbs(heart.ports()).answer({**rest, "verb": verb})
    except LocalError as error:
        answer = {"refused": str(error)}
    assert answer
    for signal in heart.signals:
        assert abs(signal.segments[0].setpoint_w or 0.0) <= 2_000_000
        assert 0 < signal.valid_until_mono - 100.0 <= 86_400
