"""How a promise stands: the numbers, the line between now and departure, the words."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from chargerd.cli import promise as view
from chargerd.local.promised import STEPS, promised
from chargerd.local.read_model import ReadModel
from chargerd.local.verbs import Verbs
from chargerd.model import EvseReport, Promise, Reason, SessionPhase
from tests.unit.local.test_verbs import Heart
from tests.unit.local.values import a_decision, a_report

HOUR = 3600.0
PROMISE = Promise(5 * HOUR + 1.0, 80.0, 30.0, reachable_soc_pct=80.0, slack_s=3 * HOUR)


def stands(
    promise: Promise | None, soc_pct: float | None = 40.0, **vehicle: Any
) -> EvseReport:
    found = a_report(1.0)
    why = Reason("promise", "promise", 0.0, 0.0, note="10800 s to spare")
    decision = a_decision(1.0, reasons=(why,))
    snap = found.snapshot
    session = replace(snap.session, promise=promise)
    told = {"capacity_wh": 40_000.0, "soc_pct": soc_pct, **vehicle}
    car = replace(snap.vehicle, **told)
    return replace(
        found, snapshot=replace(snap, session=session, vehicle=car), decision=decision
    )


def shown(told: dict[str, Any]) -> str:
    console = Console(width=100)
    with console.capture() as capture:
        console.print(view.render({"evses": [told]}))
    return capture.get()


def test_the_numbers_of_a_promise_that_can_wait() -> None:
    told = promised(stands(PROMISE))
    assert told["promise"] | {"departure_utc": "", "must_start_utc": ""} == {
        "departure_utc": "", "departure_in_s": 5 * HOUR, "by": "station",
        "target_soc_pct": 80.0, "floor_soc_pct": 30.0, "reachable_soc_pct": 80.0,
        "kept": True, "missing_wh": 16_000, "slack_s": 3 * HOUR, "must_start_utc": "",
        "must_soc_pct": 0.0, "forced": False,
    }  # fmt: skip
    assert told["promise"]["must_start_utc"].startswith("2026-11-23T12:00:01")
    json.dumps(told, allow_nan=False)
    line = told["line"]
    assert (line[0]["must_soc_pct"], line[0]["can_soc_pct"]) == (0.0, 40.0)
    assert (line[-1]["must_soc_pct"], line[-1]["can_soc_pct"]) == (80.0, 80.0)
    at_latest = next(p for p in line if p["in_s"] >= 3 * HOUR)
    assert at_latest["must_soc_pct"] == pytest.approx(40.0, abs=8.4)


@given(
    left_s=st.floats(60.0, 2 * 86_400.0),
    share=st.floats(-2.0, 0.99),
    soc=st.floats(0.0, 100.0),
    target=st.floats(1.0, 100.0),
)
def test_the_line_climbs_to_the_target_and_stays_in_bounds(
    left_s: float, share: float, soc: float, target: float
) -> None:
    promise = Promise(1.0 + left_s, target, slack_s=left_s * share)
    line = promised(stands(promise, soc))["line"]
    if soc >= target:
        assert line == []
        return
    assert len(line) == STEPS + 1
    for key in ("must_soc_pct", "can_soc_pct"):
        values = [point[key] for point in line]
        assert values == sorted(values)
        assert min(values) >= 0.0
        assert max(values) <= target + 0.06
    assert line[-1]["must_soc_pct"] == pytest.approx(target, abs=0.06)
    if share >= 0.0:  # while it can wait, the line is not above the battery
        assert line[0]["must_soc_pct"] <= soc + 0.06


_UNREACHED = replace(PROMISE, reachable_soc_pct=61.0, slack_s=-1800.0, forced=True)


@pytest.mark.parametrize(
    ("report", "words", "absent"),
    [
        (
            stands(PROMISE),
            [
                "EVSE 1: 80 % by ", "(in 5 h 0 min)", "told here; now 40 %",
                "Will be kept. 16.0 kWh are still to be charged.",
                "at the latest (in 3 h 0 min)",
                "Never discharged below 30 %", "promise: 10800 s to spare", "# must",
            ],
            ["OUT OF REACH", "Charging now"],
        ),
        (
            stands(_UNREACHED),
            ["OUT OF REACH: 61 %", "Charging now to keep it, whatever the grid asks."],
            ["Will be kept", "at the latest"],
        ),
        (
            stands(replace(PROMISE, by_vehicle=True, reachable_soc_pct=None,
                           slack_s=None), None),
            ["told to the vehicle; SoC unknown", "Not known yet"],
            ["# must", "still to be charged"],
        ),
        (stands(PROMISE, 85.0), ["Will be kept.", "now 85 %"], ["kWh are", "# must"]),
        (stands(None), ["nothing is promised; chargerctl promise --evse 1"], ["kept"]),
    ],
    ids=["can wait", "out of reach", "SoC unknown", "there already", "none"],
)  # fmt: skip
def test_what_people_read(
    report: EvseReport, words: list[str], absent: list[str]
) -> None:
    text = shown(promised(report))
    assert [word for word in words if word not in text] == []
    assert [word for word in absent if word in text] == []


def test_no_vehicle_and_no_report_are_told() -> None:
    report = stands(None)
    session = replace(report.snapshot.session, phase=SessionPhase.IDLE)
    idle = replace(report, snapshot=replace(report.snapshot, session=session))
    assert "no vehicle" in shown(promised(idle))
    assert "no vehicle" in shown(ReadModel((1,)).promised(1))


@pytest.mark.asyncio
async def test_the_verb_reads_and_changes_nothing() -> None:
    heart = Heart()
    verbs = Verbs(heart.ports(evse_ids=(1, 2)))
    told = await verbs.answer({"verb": "promised"})
    assert [row["evse_id"] for row in told["evses"]] == [1, 2]
    told = await verbs.answer({"verb": "promised", "evse": 2})
    assert [row["evse_id"] for row in told["evses"]] == [2]
    assert heart == Heart()
