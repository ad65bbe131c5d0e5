"""Verbs: every argument bounded, hostile questions refused with the key's name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargerd.local.read_model import ReadModel
from chargerd.local.values import LocalError
from chargerd.local.verbs import Ports, Verbs
from chargerd.model import (
    Curve,
    DispatchSignal,
    DisplayText,
    DriverLimits,
    Flexibility,
    IslandRequest,
    OperationMode,
    PaymentDone,
    Priority,
    PromiseRequest,
    Request,
    ResetRequest,
    Segment,
    Session,
    StartRequest,
    StopReason,
    StopRequest,
    Token,
)
from chargerd.plan import Plan, PlanPart
from chargerd.records.errors import RecordsError
from tests.unit.local.values import START, a_decision, a_report, at

ROOT = Path(__file__).resolve().parents[3]

RECORDS = {
    "folder": "/var/lib/chargerd/records", "fault": "", "waiting": 0, "dropped": 0,
    "torn_bytes": 0, "written_bytes": 4096, "writes": 2, "files": 1, "bytes": 4096,
    "first_ms": 1_700_000_000_000, "last_ms": 1_700_000_060_000,
}  # fmt: skip


@dataclass
class Wishes:
    """A central system's door that notes what people want; EVSE 2 refuses all."""

    wanted: list[tuple[Any, ...]] = field(default_factory=list)

    def texts(self) -> list[DisplayText]:
        return [DisplayText(1, "tariff", "0.30 a kWh")]

    def terminal(self) -> dict[str, Any]:
        order = {"psp_ref": "P1", "evse": 1, "order": "settle", "amount": 7.5}
        return {
            "accept_cards": True, "reserve": 40.0, "currency": "EUR", "orders": [order],
        }  # fmt: skip

    def _note(self, evse_id: int, *what: Any) -> str:
        self.wanted.append((evse_id, *what))
        return "not here" if evse_id == 2 else ""

    def set_limits(self, evse_id: int, wish: DriverLimits) -> str:
        return self._note(evse_id, "limit", wish)

    def use_priority(self, evse_id: int, activate: bool) -> str:
        return self._note(evse_id, "priority", activate)

    def refuse_tariff(self, evse_id: int) -> str:
        return self._note(evse_id, "refuse")

    def wish_web_payment(self, evse_id: int, limits: DriverLimits) -> str:
        return self._note(evse_id, limits)

    def card_paid(self, evse_id: int, psp_ref: str, details: Mapping[str, str]) -> str:
        return self._note(evse_id, psp_ref, dict(details))

    def payment_done(self, told: PaymentDone) -> str:
        return self._note(1, told)

    def check_vat(self, evse_id: int, number: str) -> str:
        return self._note(evse_id, number)


@dataclass
class Heart:
    """What the verbs asked for."""

    requests: list[Request] = field(default_factory=list)
    signals: list[DispatchSignal] = field(default_factory=list)
    simulated: list[DispatchSignal] = field(default_factory=list)
    records: dict[str, Any] | None = field(default_factory=lambda: dict(RECORDS))
    asked: list[tuple[int, datetime]] = field(default_factory=list)
    plans: tuple[Plan, ...] = ()
    blackout: dict[str, Any] | None = None
    people: Wishes = field(default_factory=Wishes)
    full: bool = False

    def request(self, request: Request) -> bool:
        self.requests.append(request)
        return not self.full

    def signal(self, signal: DispatchSignal) -> bool:
        self.signals.append(signal)
        return not self.full

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

        async def records() -> dict[str, Any]:
            if self.records is None:
                raise RecordsError("the disk is gone")
            return self.records

        async def past(evse_id: int, utc: datetime) -> dict[str, Any] | None:
            self.asked.append((evse_id, utc))
            return {"source": "from the disk"} if evse_id == 1 else None

        return Ports(
            read=read,
            now=lambda: at(100.0),
            people=self.people,
            simulate=simulate,
            request=self.request,
            extra=lambda: {"link": "up", "grid": {"mqtt": {"refused": {"stale": 2}}}},
            config=lambda: {
                "ocpp": {"password": "**********"},
                "site": {"blackout": self.blackout},
            },
            sessions=sessions,
            signal=self.signal if dispatch else None,
            records=records,
            past=past,
            plans=lambda: self.plans,
        )


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "verb",
    [
        *("ping", "help", "status", "why", "session", "faults", "meter", "config"),
        *("flex", "grid", "plan", "records"),
    ],
)
async def test_every_reading_verb_answers(verb: str) -> None:
    heart = Heart()
    answer = await Verbs(heart.ports(evse_ids=(1, 2))).answer({"verb": verb})
    assert answer
    assert heart == Heart()  # reading changes nothing


@pytest.mark.asyncio
async def test_the_page_names_every_verb() -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    page = page[page.index("## The local socket") :]
    verbs = (await Verbs(Heart().ports()).answer({"verb": "help"}))["verbs"]
    assert [verb for verb in verbs if f"`{verb}`" not in page] == []


@pytest.mark.asyncio
async def test_a_plan_is_told_from_now_on() -> None:
    parts = tuple(
        PlanPart(at(0.0).mono + start, wish, -1.0, 1.0, 0.0, 9.0, 5.0, "1 in, 0 out")
        for start, wish in ((0.0, 100.0), (50.0, 200.0), (150.0, -300.0))
    )
    begin = at(0.0).mono
    plan = Plan(2, parts, begin, begin + 900.0, "highs", 4.0, 1.5, "JPY")
    verbs = Verbs(Heart(plans=(plan,)).ports(evse_ids=(1, 2)))
    (told,) = (await verbs.answer({"verb": "plan"}))["plans"]
    assert [part["wish_w"] for part in told["parts"]] == [200.0, -300.0]
    assert (told["evse_id"], told["age_s"], told["valid"]) == (2, 100.0, True)
    assert (await verbs.answer({"verb": "plan", "evse": 1}))["plans"] == []


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
async def test_why_then_comes_from_memory_else_from_the_disk() -> None:
    heart = Heart()
    verbs = Verbs(heart.ports(evse_ids=(1, 2)))
    then = (START + timedelta(seconds=60)).isoformat()
    answer = await verbs.answer({"verb": "why", "at": then})
    assert [row["then"]["source"] for row in answer["evses"]] == ["ocpp.tx"] * 2
    assert heart.asked == []

    before = START - timedelta(hours=1)  # the first decision in memory is younger
    answer = await verbs.answer({"verb": "why", "at": before.isoformat()})
    assert answer["evses"][0]["then"] == {"source": "from the disk"}
    assert answer["evses"][1]["then"] is None
    assert heart.asked == [(1, before), (2, before)]


@pytest.mark.asyncio
async def test_flexibility_in_watts_and_watt_hours() -> None:
    ports = Heart().ports()
    report = a_report(50.0)
    for until_mono, wanted in ((math.inf, None), (3650.0, "2026-11-23T10:00:50.000")):
        found = Flexibility(
            1, 49.5, 1000.0, 11000.0, 500.0, 9000.0, until_mono, ("promise", "")
        )
        ports.read.report(replace(report, flexibility=found))
        (row,) = (await Verbs(ports).answer({"verb": "flex"}))["evses"]
        flexibility = row["flexibility"]
        assert row["power_w"] == -5000.0
        assert (flexibility["up_w"], flexibility["down_wh"]) == (1000.0, 9000.0)
        assert flexibility["age_s"] == 0.5
        assert flexibility["bounded_by"] == ["promise"]
        until = flexibility["until_utc"]
        assert until == (None if wanted is None else f"{wanted}+00:00")


@pytest.mark.asyncio
async def test_grid_shows_doors_and_what_lives_by_rank() -> None:
    ports = Heart().ports()
    setpoint = Segment(0.0, OperationMode.CENTRAL_SETPOINT, setpoint_w=-5000.0)
    curve = Curve("signal", ((-1.0, -1000.0), (1.0, 1000.0)))
    reserve = Segment(0.0, OperationMode.CENTRAL_FREQUENCY, curve=curve)
    signals = (
        DispatchSignal("mqtt", 1, Priority.LOCAL, (setpoint,), 40.0, 60.0),
        DispatchSignal("ocpp.afrr", 1, Priority.RESERVE, (reserve,), 49.0, math.inf),
        DispatchSignal("old", 1, Priority.EMERGENCY, (setpoint,), 1.0, 49.9),
    )
    report = a_report(50.0)
    report = replace(report, snapshot=replace(report.snapshot, signals=signals))
    ports.read.report(report)
    answer = await Verbs(ports).answer({"verb": "grid"})
    assert answer["doors"] == {"mqtt": {"refused": {"stale": 2}}}
    (evse,) = answer["evses"]
    first, second = evse["signals"]
    assert (first["source"], first["curve"]) == ("ocpp.afrr", "signal")
    assert first["ends_in_s"] is None
    assert (second["source"], second["setpoint_w"]) == ("mqtt", -5000.0)
    assert (second["age_s"], second["ends_in_s"]) == (10.0, 10.0)


@pytest.mark.asyncio
async def test_a_station_without_records_says_how_to_have_them() -> None:
    with pytest.raises(LocalError, match="disk is gone"):
        await Verbs(Heart(records=None).ports()).answer({"verb": "records"})
    ports = replace(Heart().ports(), records=None, past=None)
    with pytest.raises(LocalError, match="enabled = true"):
        await Verbs(ports).answer({"verb": "records"})
    before = (START - timedelta(hours=1)).isoformat()
    answer = await Verbs(ports).answer({"verb": "why", "at": before})
    assert answer["evses"] == [{"evse_id": 1, "then": None}]


@pytest.mark.asyncio
async def test_dispatch_may_be_forbidden() -> None:
    verbs = Verbs(Heart().ports(dispatch=False))
    with pytest.raises(LocalError, match="not allowed"):
        await verbs.answer({"verb": "dispatch", "power_w": -1})
    assert await verbs.answer({"verb": "simulate", "power_w": -1})


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "question",
    [
        {"verb": "stop"},
        {"verb": "promise", "clear": True},
        {"verb": "dispatch", "power_w": 1},
    ],
)
async def test_what_the_heart_does_not_take_is_not_accepted(
    question: dict[str, Any],
) -> None:
    with pytest.raises(LocalError, match="not taken"):
        await Verbs(Heart(full=True).ports()).answer(question)


@pytest.mark.asyncio
async def test_a_promise_to_nobody_is_refused() -> None:
    heart = Heart()
    ports = heart.ports()
    report = a_report(1.0)
    snapshot = replace(report.snapshot, session=Session(1))
    ports.read.report(replace(report, snapshot=snapshot))
    question = {"verb": "promise", "soc": 80, "seconds": 2700}
    with pytest.raises(LocalError, match="no vehicle at EVSE 1: plug it in first"):
        await Verbs(ports).answer(question)
    assert heart.requests == []


@pytest.mark.asyncio
async def test_requests_are_neutral_values() -> None:
    heart = Heart(blackout={"automatic": False})
    verbs = Verbs(heart.ports(evse_ids=(1, 2)))
    for question in (
        {"verb": "promise", "evse": 2, "soc": 80, "seconds": 2700},
        {"verb": "promise", "evse": 1, "soc": 80, "seconds": 60, "floor": 30},
        {"verb": "promise", "evse": 1, "clear": True},
        {"verb": "start", "evse": 1, "token": "AA", "kind": "ISO14443"},
        {"verb": "stop", "evse": 2},
        {"verb": "reset", "immediate": True},
        {"verb": "reset", "evse": 2},
        {"verb": "island"},
    ):
        assert await verbs.answer(question) == {"accepted": True}
    assert heart.requests == [
        PromiseRequest(2, 2800.0, 80.0),
        PromiseRequest(1, 160.0, 80.0, 30.0),
        PromiseRequest(1, None),
        StartRequest(1, Token("AA", "ISO14443"), authorised=False),
        StopRequest(2, StopReason.LOCAL),
        ResetRequest(0, immediate=True),
        ResetRequest(2, immediate=False),
        IslandRequest(),
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
        ({"verb": "why", "at": "07:30"}, "at: '07:30': write e.g. 2026"),
        ({"verb": "why", "at": "2026-11-23T09:00"}, "write e.g."),
        ({"verb": "why", "at": "2099-11-23T09:00+00:00"}, "in the future"),
        ({"verb": "why", "at": 5}, "at: text of 1 to 40"),
        ({"verb": "why", "evse": True}, "known: 1"),
        ({"verb": "why", "last": 0}, "last"),
        ({"verb": "promise", "seconds": 60}, "soc: is missing"),
        ({"verb": "promise", "seconds": -5, "soc": 80}, "seconds"),
        ({"verb": "promise", "seconds": 60, "soc": 101}, "soc"),
        ({"verb": "island"}, "site.blackout"),
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
         "promise", "start", "stop", "reset", "island"]
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


# Displays, drivers and payment terminals.


@pytest.mark.asyncio
async def test_what_is_shown_and_ordered() -> None:
    verbs = Verbs(Heart().ports())
    assert await verbs.answer({"verb": "display"}) == {
        "texts": [
            {"evse_id": 1, "kind": "tariff", "content": "0.30 a kWh",
             "format": "UTF8", "language": ""},
        ],
    }  # fmt: skip
    assert (await verbs.answer({"verb": "terminal"}))["orders"][0]["order"] == "settle"


PEOPLE: list[tuple[dict[str, Any], tuple[Any, ...]]] = [
    ({"verb": "priority"}, (1, "priority", True)),
    ({"verb": "priority", "off": True}, (1, "priority", False)),
    ({"verb": "limit", "energy_wh": 9000, "soc_pct": 80.0},
     (1, "limit", DriverLimits(energy_wh=9000.0, soc_pct=80.0))),
    ({"verb": "refuse-tariff"}, (1, "refuse")),
    ({"verb": "web-payment", "time_s": 60}, (1, DriverLimits(time_s=60.0))),
    ({"verb": "card", "psp_ref": "P1", "details": {"CardBin": "411111"}},
     (1, "P1", {"CardBin": "411111"})),
    ({"verb": "card", "psp_ref": "P1"}, (1, "P1", {})),
    ({"verb": "paid", "psp_ref": "P1", "status": "Failed"},
     (1, PaymentDone("P1", "Failed"))),
    ({"verb": "paid", "psp_ref": "P1", "status": "Settled", "receipt_id": "R"},
     (1, PaymentDone("P1", "Settled", receipt_id="R"))),
    ({"verb": "paid", "psp_ref": "P1", "status": "Settled", "order": "increase"},
     (1, PaymentDone("P1", "Settled", order="increase"))),
    ({"verb": "vat", "number": "NL12"}, (1, "NL12")),
]  # fmt: skip


@pytest.mark.asyncio
@pytest.mark.req("K22.FR.01")
@pytest.mark.parametrize(("question", "wanted"), PEOPLE)
async def test_what_people_want(
    question: dict[str, Any], wanted: tuple[Any, ...]
) -> None:
    heart = Heart()
    assert await Verbs(heart.ports()).answer(question) == {"accepted": True}
    assert heart.people.wanted == [wanted]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "question",
    [
        {"verb": "priority", "evse": 2},
        {"verb": "limit", "evse": 2, "cost": 5},
        {"verb": "limit", "evse": 1},
        {"verb": "limit", "evse": 1, "soc_pct": 101},
        {"verb": "limit", "evse": 1, "time_s": "long"},
        {"verb": "refuse-tariff", "evse": 2},
        {"verb": "web-payment", "evse": 1},
        {"verb": "web-payment", "evse": 1, "soc_pct": 80},
        {"verb": "web-payment", "evse": 1, "cost": math.nan},
        {"verb": "card", "evse": 1},
        {"verb": "card", "evse": 1, "psp_ref": "x" * 256},
        {"verb": "card", "evse": 1, "psp_ref": "x", "details": [1]},
        {"verb": "card", "evse": 1, "psp_ref": "x", "details": {"a": 5}},
        {"verb": "card", "evse": 1, "psp_ref": "x",
         "details": {str(n): "y" for n in range(21)}},
        {"verb": "paid", "psp_ref": "x", "status": "Eaten"},
        {"verb": "paid", "status": "Settled"},
        {"verb": "paid", "psp_ref": "x", "status": "Settled", "receipt_url": 5},
        {"verb": "vat", "evse": 1, "number": "x" * 21},
    ],
)  # fmt: skip
async def test_what_people_cannot_have(question: dict[str, Any]) -> None:
    with pytest.raises(LocalError):
        await Verbs(Heart().ports(evse_ids=(1, 2))).answer(question)


@pytest.mark.asyncio
@pytest.mark.parametrize("question", [{"verb": "display"}, *(q for q, _ in PEOPLE)])
async def test_without_a_central_system_there_is_nothing_to_show(
    question: dict[str, Any],
) -> None:
    with pytest.raises(LocalError, match="no central system"):
        await Verbs(replace(Heart().ports(), people=None)).answer(question)
