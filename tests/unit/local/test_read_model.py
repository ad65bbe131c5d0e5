"""The read model: newest values, compressed decisions, faults that come and go."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace

from chargerd.local.read_model import ReadModel, finite_only
from chargerd.model import ActiveFault
from tests.unit.local.values import START, a_decision, a_report


def test_before_the_first_report_everything_answers() -> None:
    model = ReadModel((1, 2))
    assert [row["phase"] for row in model.status()] == ["unknown", "unknown"]
    assert model.why(1, 5) == {
        "evse_id": 1,
        "meter_w": None,
        "now": None,
        "history": [],
    }
    assert model.session(1) == {"evse_id": 1, "phase": "unknown"}
    assert model.meter(1) == {"evse_id": 1}
    assert model.faults(5) == {"active": [], "history": []}


def test_status_shows_the_newest_values_and_no_token() -> None:
    model = ReadModel((1,))
    model.report(a_report(1.0))
    row = model.status()[0]
    assert row["meter_w"] == -4990.0
    assert row["meter_age_s"] == 0.2
    assert row["phase"] == "energy"
    assert row["vehicle"]["soc_pct"] == 58.0
    assert row["decision"]["power_w"] == -5000.0
    assert row["decision"]["why"] == "ocpp.tx: setpoint"
    everything = json.dumps(
        [model.status(), model.why(1, 9), model.session(1), model.meter(1)]
    )
    assert "CANARY" not in everything
    assert model.session(1)["started_by"] == "ISO14443"
    assert model.meter(1)["stage"]["power_w"] == 350.0 * -15.0
    assert model.meter(1)["stage"]["mode"] == "discharge"


def test_the_connection_is_known_by_its_meter_alone() -> None:
    model = ReadModel((1,))
    assert model.connection() is None
    report = a_report(1.0)
    model.report(report)
    assert model.connection() is None
    site = replace(report.snapshot.site, meter_age_s=0.25, grid_w=9984.0)
    model.report(replace(report, snapshot=replace(report.snapshot, site=site)))
    assert model.connection() == {"grid_w": 9984.0, "age_s": 0.25}
    unheard = replace(site, grid_w=None, meter_age_s=1.0e6)
    model.report(replace(report, snapshot=replace(report.snapshot, site=unheard)))
    assert model.connection() == {"grid_w": None, "age_s": None}


def test_same_decisions_are_one_entry_and_the_ring_is_bounded() -> None:
    model = ReadModel((1,), keep=3)
    for n in range(100):
        model.report(a_report(n * 0.05, decision=a_decision(n * 0.05)))
    history = model.why(1, 20)["history"]
    assert len(history) == 1
    assert history[0]["from_utc"] == START.isoformat(timespec="milliseconds")
    assert history[0]["to_utc"] > history[0]["from_utc"]
    for n in range(10):
        model.report(a_report(6.0 + n, decision=a_decision(6.0 + n, 1000.0 * n)))
    history = model.why(1, 20)["history"]
    assert [row["wanted_w"] for row in history] == [9000.0, 8000.0, 7000.0]
    assert len(model.why(1, 2)["history"]) == 2
    assert model.why(1, 2)["now"]["wanted_w"] == 9000.0


def test_a_slow_drift_is_not_one_endless_entry() -> None:
    model = ReadModel((1,))
    for n in range(100):
        model.report(a_report(float(n), decision=a_decision(float(n), 10.0 * n)))
    assert 10 <= len(model.why(1, 200)["history"]) <= 25


def test_now_is_the_newest_decision_although_the_wish_wobbles() -> None:
    model = ReadModel((1,))
    for n, power_w in enumerate((2000.0, 5000.0, 9480.0)):
        wanted_w = 9480.0 + n  # the house moves a little: the same span
        told = a_decision(float(n), power_w, wanted_w=wanted_w)
        model.report(a_report(float(n), decision=told))
    answer = model.why(1, 9)
    assert len(answer["history"]) == 1
    assert answer["now"]["power_w"] == 9480.0
    assert answer["now"]["wanted_w"] == 9482.0
    assert answer["meter_w"] == -4990.0


def test_a_ramp_is_one_entry() -> None:
    model = ReadModel((1,))
    for n in range(20):
        model.report(a_report(n, decision=a_decision(n, -500.0 * n, wanted_w=-9500.0)))
    row = model.why(1, 9)
    assert len(row["history"]) == 1
    assert row["now"]["power_w"] == -9500.0


def test_faults_are_active_then_history() -> None:
    model = ReadModel((1, 2))
    own = ActiveFault("GroundFailure", 1, START, "80 kOhm")
    station = ActiveFault("StoreFault", 0, START, "disk full")
    model.report(a_report(1.0, faults=(own, station)))
    model.report(a_report(1.0, evse_id=2, faults=(station,)))
    assert {f["name"] for f in model.faults(9)["active"]} == {
        "GroundFailure",
        "StoreFault",
    }
    assert len(model.faults(9)["history"]) == 2  # the station's fault counts once
    assert model.faults(9)["active"][0]["technician_text"]

    model.report(a_report(2.0))
    assert [f["name"] for f in model.faults(9)["active"]] == ["StoreFault"]
    model.report(a_report(2.0, evse_id=2))
    assert model.faults(9)["active"] == []
    gone = {f["name"]: f["gone_utc"] for f in model.faults(9)["history"]}
    assert all(gone.values())


def test_a_report_costs_microseconds() -> None:
    model = ReadModel((1,))
    reports = [a_report(n * 0.05) for n in range(200)]
    best = math.inf
    for _ in range(5):
        began = time.process_time()
        for report in reports:
            model.report(report)
        best = min(best, (time.process_time() - began) / len(reports))
    assert best < 200e-6


def test_open_bounds_become_null() -> None:
    value = {"a": [math.inf, 1.0, {"b": math.nan}], "c": (-math.inf,)}
    assert finite_only(value) == {"a": [None, 1.0, {"b": None}], "c": [None]}
