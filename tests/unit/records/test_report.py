"""The page: sums from the registers, curves thinned without losing a peak, gaps shown,
nothing in it that needs the network or could carry a script."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargerd.records.plot import GAP_MS, Line, Panel, Trace, axis, svg
from chargerd.records.report import page, pictures
from chargerd.records.sample import Row
from firmware_bridge.api import SignedReading
from tests.unit.records.test_ring import START_MS, a_row
from tests.unit.records.test_signatures import DONE, FAILED, RUN, drive


def hour(**values: Any) -> list[Row]:
    """An hour at 3.6 kW: 1 Wh a second; then out for ten minutes."""
    rows = []
    for s in range(4200):
        out = s >= 3600
        rows.append(
            a_row(
                s,
                **{
                    "power_w": -3600.0 if out else 3600.0,
                    "setpoint_w": -3500.0 if out else 3500.0,
                    "low_w": -6000.0,
                    "high_w": 6000.0,
                    "soc_pct": 50.0,
                    "import_wh": 100.0 + min(s, 3600),
                    "export_wh": 20.0 + max(0, s - 3600),
                    "source": "ocpp.tx" if out else "plan",
                    "clock": "trusted",
                    **values,
                },
            )
        )
    return rows


def _picture(rows: list[Row]) -> Any:
    end = rows[-1]["utc_ms"] + 1
    return pictures(rows, rows[0]["utc_ms"], end)[1]


def test_the_sums() -> None:
    told = _picture(hour()).sums.told()
    assert told["samples"] == 4200
    assert told["recorded_s"] == 4199.0
    assert (told["import_wh"], told["export_wh"]) == (3600.0, 599.0)
    assert (told["power_max_w"], told["power_min_w"]) == (3600, -3600)
    assert told["tracking_rms_w"] == 100
    assert told["by_source"] == {
        "plan": {"seconds": 3599, "import_wh": 3599.0, "export_wh": 0.0},
        "ocpp.tx": {"seconds": 600, "import_wh": 1.0, "export_wh": 599.0},
    }


def test_a_meter_that_was_reset_counts_no_energy() -> None:
    rows = hour()
    for row in rows[1800:]:
        row["import_wh"] -= 1900.0
    told = _picture(rows).sums.told()
    assert (told["import_wh"], told["export_wh"]) == (3599.0, 599.0)


def test_co2_is_told_with_its_method_where_an_intensity_is_known() -> None:
    """3.6 kWh in at 300 g, 0.599 kWh out at 900 g; one Wh comes with the turn."""
    rows = hour()
    for row in rows:
        row["co2_g_per_kwh"] = 900.0 if row["power_w"] < 0 else 300.0
    sums = _picture(rows).sums
    told = sums.told()["co2"]
    assert told["import_g"] == pytest.approx(3599 * 0.3 + 0.9, abs=0.1)
    assert told["export_g"] == pytest.approx(599 * 0.9, abs=0.1)
    assert told["avoided_g"] > 0.0
    text = page("A day", {1: _picture(rows)}, [], ZoneInfo("Asia/Tokyo"))
    assert "CO2 avoided by its timing" in text
    assert "93% each way, assumed" in text
    text = page("A day", {1: _picture(hour())}, [], ZoneInfo("Asia/Tokyo"))
    assert "CO2 avoided" not in text
    assert _picture(hour()).sums.told()["co2"] is None


def test_missing_time_is_not_recorded_time() -> None:
    rows = hour(clock="not set")
    del rows[1000:2000]
    told = _picture(rows).sums.told()
    assert told["recorded_s"] == 3198.0
    assert told["clock_not_set_s"] == 3198.0


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([100, 1000, 4000, 9000]),
            st.one_of(st.none(), st.floats(-1e6, 1e6)),
        ),
        min_size=1,
        max_size=200,
    ),
    st.sampled_from([1.0, 3000.0, 60_000.0]),
)
def test_thinning_keeps_peaks_ends_and_gaps(
    steps: list[tuple[int, float | None]], step_ms: float
) -> None:
    trace, at, given_runs = Trace(step_ms), 0.0, [[]]
    for wait, value in steps:
        at += wait
        trace.add(at, value)
        if value is None or wait > GAP_MS:
            given_runs.append([])
        if value is not None:
            given_runs[-1].append((at, value))
    wanted = [run for run in given_runs if run]
    assert len(trace.runs) == len(wanted)
    for found, full in zip(trace.runs, wanted, strict=True):
        assert set(found) <= set(full)
        assert (found[0], found[-1]) == (full[0], full[-1])
        values = [value for _, value in full]
        assert max(v for _, v in found) == max(values)
        assert min(v for _, v in found) == min(values)
        assert found == sorted(found)
        steps_used = (full[-1][0] - full[0][0]) / step_ms + 2
        assert len(found) <= 4 * steps_used


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([0.0, 9.0], (0.0, 10.0)),
        ([-6.0, 6.0], (-10.0, 10.0)),
        ([49.95, 50.04], (49.94, 50.04)),
        ([5.0], (4.0, 6.0)),
        ([0.0, 1e-12], (-1.0, 1.0)),
    ],
)
def test_the_axis_is_round_and_holds_all(
    values: list[float], wanted: tuple[float, float]
) -> None:
    low, high, marks = axis(values)
    assert (low, high) == pytest.approx(wanted)
    assert low <= min(values)
    assert max(values) <= high
    assert 3 <= len(marks) <= 8


def test_pictures_are_well_formed_and_empty_ones_are_left_out() -> None:
    found = pictures(hour(), START_MS, START_MS + 4_200_000)
    titles = [panel.title for panel in found[1].panels()]
    assert titles == ["Power, kW (into the vehicle = up)", "State of charge, %"]
    for panel in found[1].panels():
        text = svg(panel, START_MS, START_MS + 4_200_000, UTC)
        root = ET.fromstring(text)  # noqa: S314 - our own
        texts = [element.text for element in root.iter("text")]
        assert "22:30" in texts  # 22:13:20 and 70 minutes
        for element in root.iter():
            for name in ("x", "y", "x1", "y1"):
                assert -1 <= float(element.get(name, 0)) <= 980
    nothing = Panel("x", [Line("a", "power", [])])
    assert svg(nothing, 0, 1, UTC) == ""


def test_the_page_stands_alone_and_escapes() -> None:
    evil = "<script>alert(1)</script>"
    record = {
        "session_id": evil, "evse_id": 1, "from_utc": "2023-11-14T22:13:20+00:00",
        "to_utc": "2023-11-14T23:13:20+00:00", "import_wh": 1.0, "export_wh": 0.0,
        "soc_begin_pct": None, "soc_end_pct": None, "reason": None,
    }  # fmt: skip
    found = pictures(hour(source=evil), START_MS, START_MS + 4_200_000)
    text = page(evil, found, [record], ZoneInfo("Asia/Tokyo"))
    assert "<script" not in text
    assert "http" not in text
    assert "2023-11-15 07:13:20" in text  # local time
    assert "3.60 kWh" in text


def test_an_empty_time_says_so() -> None:
    assert "Nothing was recorded" in page("x", {}, [], UTC)


def test_a_day_is_a_small_page() -> None:
    rows = (
        a_row(s, power_w=float(s % 977), low_w=-1.0, high_w=1e3, setpoint_w=0.0)
        for s in range(86_400)
    )
    end = START_MS + 86_400_000
    text = page("day", pictures(rows, START_MS, end), [], UTC)
    assert len(text) < 600_000
    assert datetime.fromtimestamp(START_MS / 1000, UTC).strftime("%Y-%m-%d") in text


@pytest.mark.parametrize(
    ("end", "changes", "word"),
    [
        (DONE, {}, "signed, holds"),
        (DONE, {"import_wh": 90.0}, "WRONG SIGNATURE: import_wh"),
        (FAILED, {}, "could not sign: SHA"),
        (None, {}, "signs nothing"),
    ],
)
def test_a_session_s_row_says_whether_the_meter_s_signature_holds(
    end: SignedReading | None, changes: dict[str, Any], word: str
) -> None:
    start = RUN if end is not None else [(None, "S-1")] * 4
    (record,) = drive([*start, (end, "")])
    text = page("S-1", {}, [{**record, **changes}], ZoneInfo("Asia/Tokyo"))
    assert word in text
