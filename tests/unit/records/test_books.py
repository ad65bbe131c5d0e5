"""Settlement by the meter's registers, and what a session did to a battery."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from importlib.resources import files
from itertools import pairwise
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargerd.clock import Now
from chargerd.model import EvseReport, Reason, SessionPhase, StopReason
from chargerd.records.battery import Usage, pseudonym
from chargerd.records.settle import Settlement
from firmware_bridge.api import (
    MeterReading,
    PilotReading,
    Reading,
    StageMode,
    StageReading,
)
from tests.unit.local.values import START, a_report

SCHEMA = json.loads(
    (files("chargerd.records") / "battery_usage.schema.json").read_text()
)
METER = {"serial": "M-1", "accuracy_class": "MID B", "notification": ""}


def report(
    mono: float,
    *,
    utc: datetime | None = None,
    session: str = "S-1",
    registers: tuple[float, float] | None = (100.0, 2000.0),
    dc_w: float | None = 0.0,
    soc: float | None = 50.0,
    **values: Any,
) -> EvseReport:
    """`registers` None: the meter is silent."""
    found = a_report(mono)
    snap = found.snapshot
    meter = None
    if registers is not None:
        meter = Reading(MeterReading(dc_w or 0.0, *registers), mono)
    stage = None
    if dc_w is not None:
        mode = StageMode.CHARGE if dc_w > 0 else StageMode.DISCHARGE
        hot = values.get("stage_c")
        value = StageReading(400.0, dc_w / 400.0, mode, True, temperature_c=hot)
        stage = Reading(value, mono)
    pilot = Reading(PilotReading(temperature_c=values.get("contact_c")), mono)
    now = snap.now if utc is None else Now(mono, utc)
    about = replace(
        snap.session,
        id=session,
        phase=SessionPhase.ENERGY if session else SessionPhase.IDLE,
        stop_reason=values.get("reason"),
        authorised=values.get("authorised", True),
        discharge_authorised=values.get("discharge", True),
    )
    vehicle = replace(
        snap.vehicle,
        soc_pct=soc,
        capacity_wh=values.get("capacity_wh", 40_000.0),
        vehicle_id=values.get("vehicle_id", ""),
    )
    telemetry = replace(snap.telemetry, meter=meter, stage=stage, pilot=pilot)
    return replace(
        found,
        snapshot=replace(
            snap, now=now, session=about, vehicle=vehicle, telemetry=telemetry
        ),
    )


def a_settlement() -> Settlement:
    return Settlement(1, "ST-1", METER)


def test_a_half_hour_and_the_next_share_their_register() -> None:
    """START is 09:00: 25 Wh a minute for 100 minutes."""
    book, due = a_settlement(), []
    for second in range(100 * 60):
        registers = (100.0 + 25.0 * second / 60.0, 2000.0)
        due += book.step(report(float(second), registers=registers), -600.0)
    assert [r["slot_utc"][11:16] for r in due] == ["09:00", "09:30", "10:00"]
    assert [r["complete"] for r in due] == [True] * 3
    for before, after in pairwise(due):
        assert before["import_end_wh"] == after["import_begin_wh"]
    assert due[1]["import_wh"] == pytest.approx(750.0)
    assert due[1]["export_wh"] == 0.0
    assert due[1]["baseline_wh"] == pytest.approx(-300.0, abs=1.0)
    assert due[1]["sessions"] == ["S-1"]
    assert due[1]["meter"] == METER
    last = book.close()
    assert [r["kind"] for r in last] == ["slot", "session"]
    assert last[0]["complete"] is False
    assert last[1]["import_wh"] == pytest.approx(25.0 * 99.98, abs=0.5)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 900),  # s to the next report
            st.floats(0, 500),  # Wh in, out since
            st.floats(0, 500),
            st.sampled_from(["S-1", "S-2", "", "same"]),
            st.booleans(),  # the meter answers
        ),
        min_size=2,
        max_size=30,
    )
)
def test_no_energy_is_lost_or_counted_twice(
    steps: list[tuple[int, float, float, str, bool]],
) -> None:
    """Slots in a row hold all that the registers counted, whatever happens."""
    book, due = a_settlement(), []
    mono, bought, sold, session = 0.0, 100.0, 2000.0, ""
    first: tuple[float, float] | None = None
    last = (bought, sold)
    for seconds, more, less, name, answers in steps:
        mono += seconds
        bought, sold = bought + more, sold + less
        session = session if name == "same" else name
        registers = (bought, sold) if answers else None
        due += book.step(report(mono, session=session, registers=registers), 0.0)
        if registers:
            first, last = first or registers, registers
    due += book.close()
    slots = [r for r in due if r["kind"] == "slot"]
    if first is None:
        assert due == []
        return
    total = [sum(r[key] for r in slots) for key in ("import_wh", "export_wh")]
    assert total == pytest.approx([last[0] - first[0], last[1] - first[1]], abs=0.1)
    for r in due:
        assert r["import_wh"] >= 0.0
        assert r["export_wh"] >= 0.0


@pytest.mark.parametrize("begins", [(0.0, 0.0), (9e6, 2000.0)])
def test_a_meter_that_was_reset_or_replaced_counts_no_energy(
    begins: tuple[float, float],
) -> None:
    """500 kWh fall to 0, or leap to 9 MWh: 100 Wh flowed before, 50 Wh after."""
    book, due = a_settlement(), []
    for second in range(151):
        new = second > 100
        base = begins if new else (500_000.0, 2000.0)
        registers = (base[0] + second - 101.0 * new, base[1])
        told = report(float(second), registers=registers)
        leapt = (begins[0] - 500_100.0, begins[1] - 2000.0) if new else (0.0, 0.0)
        told = replace(told, snapshot=replace(told.snapshot, leapt_wh=leapt))
        due += book.step(told, 0.0)
    due += book.close()
    for kind in ("slot", "session"):
        found = [r["import_wh"] for r in due if r["kind"] == kind]
        assert found == [100.0, 49.0]
    for r in due:
        assert r["import_wh"] == r["import_end_wh"] - r["import_begin_wh"]


def test_a_silent_meter_or_a_stepping_clock_makes_no_complete_slot() -> None:
    book, due = a_settlement(), []
    for second in range(1801):
        silent = 600 <= second < 620
        due += book.step(
            report(float(second), registers=None if silent else (100.0, 0.0)), 0.0
        )
    assert [(r["complete"], r["covered_s"]) for r in due] == [(False, 1779.0)]

    book = a_settlement()
    for second in range(60):
        book.step(report(float(second)), 0.0)
    (stepped,) = book.step(report(60.0, utc=START + timedelta(hours=5)), 0.0)
    assert stepped["complete"] is False


def test_a_session_holds_consent_and_reason() -> None:
    book = a_settlement()
    told: list[dict[str, Any]] = [
        {"authorised": False, "soc": 41.0},
        {"discharge": False, "registers": (110.0, 2000.0), "soc": 42.0},
        {"authorised": False, "registers": (150.0, 2003.0), "soc": 47.0,
         "reason": StopReason.LOCAL},
        {"session": "", "registers": (150.0, 2003.0), "soc": None},
    ]  # fmt: skip
    due = []
    for second, values in enumerate(told):
        due += book.step(report(float(second), **values), 0.0)
    (found,) = due
    assert found["session_id"] == "S-1"
    assert found["consent"] == {"charge": True, "discharge": False}
    assert (found["import_wh"], found["export_wh"]) == (50.0, 3.0)
    assert (found["soc_begin_pct"], found["soc_end_pct"]) == (41.0, 47.0)
    assert found["reason"] == "Local"
    assert "CANARY" not in json.dumps(found)


@pytest.mark.parametrize(
    ("source", "won", "dispatched_s", "island_s"),
    [
        ("ocpp.tx", True, 58.0, 0.0),
        ("plan", False, 0.0, 0.0),
        ("island", True, 0.0, 58.0),
    ],
)
def test_records_tell_who_asked_and_what_it_emitted(
    source: str, won: bool, dispatched_s: float, island_s: float
) -> None:
    """60 Wh in at 500 g/kWh in the first half minute, then 60 Wh out at 700."""
    book = a_settlement()
    reason = Reason("dispatch", source, -1.0, 1.0, won=won)
    for second in range(60):
        moved = (2.0 * min(second, 30), 2.0 * max(0, second - 30))
        found = report(float(second), registers=(100.0 + moved[0], moved[1]))
        decision = replace(found.decision, source=source, reasons=(reason,))
        book.step(
            replace(found, decision=decision), 0.0, 500.0 if second <= 30 else 700.0
        )
    slot, session = book.close()
    for record in (slot, session):
        told = (record["dispatched_s"], record["island_s"])
        assert told == pytest.approx((dispatched_s, island_s), abs=1.0)
        co2 = record["co2"]
        assert (co2["import_g"], co2["export_g"]) == (30.0, 40.6)
        assert co2["mean_g_per_kwh"] == pytest.approx(598.0, abs=5.0)


def test_no_intensity_known_is_no_co2() -> None:
    book = a_settlement()
    for second in range(10):
        book.step(report(float(second)), 0.0)
    assert [record["co2"] for record in book.close()] == [None, None]


def _drive(usage: Usage, parts: list[tuple[int, float]], **values: Any) -> None:
    """(seconds, DC W) parts of a 40 kWh battery at 50 %, seen in whole percents."""
    wh, second = 20_000.0, 0
    for seconds, power_w in parts:
        for _ in range(seconds):
            soc = float(int(wh / 400.0))
            given = {"soc": soc, "stage_c": 40.0 + second / 1000.0, **values}
            usage.step(report(float(second), dc_w=power_w, **given))
            wh += power_w / 3600.0
            second += 1


def test_the_battery_s_record() -> None:
    usage = Usage(1, "ST-1", b"key")
    parts = [(600, 0.0), (3600, 10_000.0), (1200, -6000.0), (600, 100.0), (60, 3000.0)]
    _drive(usage, parts, vehicle_id="WVW-SECRET", contact_c=31.0)
    (found,) = usage.close()
    jsonschema.Draft202012Validator(SCHEMA).validate(found)
    assert "SECRET" not in json.dumps(found)
    assert found["vehicle"] == pseudonym(b"key", "WVW-SECRET")
    assert found["charged_wh"] == pytest.approx(10_000 + 100 / 6 + 50, abs=10)
    assert found["discharged_wh"] == pytest.approx(2000.0, abs=5)
    assert found["direction_changes"] == 2
    assert (found["charging_s"], found["discharging_s"]) == (3660, 1200)
    assert found["c_rate"]["charge_max"] == 0.25
    assert found["c_rate"]["discharge_mean"] == pytest.approx(0.15, abs=0.001)
    assert found["equivalent_full_cycles"] == pytest.approx(12_066 / 80_000, abs=1e-3)
    assert (found["soc"]["min_pct"], found["soc"]["max_pct"]) == (50.0, 74.0)
    assert sum(found["soc"]["dwell_s"]) == pytest.approx(6059, abs=2)
    hottest = found["station_max_temperature_c"]
    assert hottest == {"stage": pytest.approx(46.059), "contact": 31.0}


def test_the_capacity_is_found_within_its_uncertainty() -> None:
    usage = Usage(1, "ST-1", b"key")
    _drive(usage, [(4000, 10_000.0)], capacity_wh=None)
    (found,) = usage.close()
    jsonschema.Draft202012Validator(SCHEMA).validate(found)
    estimate = found["capacity_estimate"]
    error_pct = abs(estimate["capacity_wh"] - 40_000) / 400.0
    assert error_pct <= estimate["uncertainty_pct"]
    assert estimate["soc_span_pct"] == 27.0
    assert found["equivalent_full_cycles"] is None


@pytest.mark.parametrize(
    "parts",
    [[(1000, 10_000.0)], [(4000, 100.0)]],
    ids=["too little", "next to nothing"],
)
def test_too_little_gives_no_capacity(parts: list[tuple[int, float]]) -> None:
    usage = Usage(1, "ST-1", b"key")
    _drive(usage, parts)
    assert usage.close()[0]["capacity_estimate"] is None


def test_a_session_without_energy_is_no_battery_record() -> None:
    usage = Usage(1, "ST-1", b"key")
    _drive(usage, [(60, 0.0)])
    assert usage.close() == []
    assert usage.close() == []


def test_an_ac_session_says_where_it_was_measured() -> None:
    usage = Usage(1, "ST-1", b"key")
    for second in range(10):
        found = report(float(second), dc_w=None, soc=None, capacity_wh=None)
        meter = Reading(MeterReading(3600.0, 1.0, 1.0), float(second))
        telemetry = replace(found.snapshot.telemetry, meter=meter)
        snap = replace(found.snapshot, telemetry=telemetry)
        usage.step(replace(found, snapshot=snap))
    (record,) = usage.step(report(10.0, session="S-2"))
    jsonschema.Draft202012Validator(SCHEMA).validate(record)
    assert record["measured_at"] == "ac"
    assert record["charged_wh"] == pytest.approx(9.0)
    assert record["vehicle"] is None


def test_pseudonyms() -> None:
    assert pseudonym(b"a", "") is None
    assert pseudonym(b"a", "X") == pseudonym(b"a", "X")
    assert pseudonym(b"a", "X") != pseudonym(b"b", "X")
