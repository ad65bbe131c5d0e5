"""Proof of operation: the chain's sums by day and month; what is missing is told."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from chargerd.records.chain import Record
from chargerd.records.proof import Check, Proof, page, rows_csv, told

TOKYO = ZoneInfo("Asia/Tokyo")
FIRST, LAST = date(2026, 4, 1), date(2026, 5, 31)
WHOLE = Check(10, "ab" * 32, "", (), 0)


def at(month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=TOKYO)


def slot(local: datetime, **values: Any) -> Record:
    begin = local.astimezone(UTC)
    return {
        "kind": "slot", "station": "ST-1", "evse_id": 1,
        "meter": {"serial": "M-1", "accuracy_class": "MID B", "notification": ""},
        "from_utc": begin.isoformat(),
        "to_utc": (begin + timedelta(minutes=30)).isoformat(),
        "import_wh": 0.0, "export_wh": 0.0, "covered_s": 1800.0,
        "clock_trusted": True, "sessions": ["S-1"], **values,
    }  # fmt: skip


def proof(*records: Record, until: datetime | None = None) -> Proof:
    found = Proof(FIRST, LAST, TOKYO, until or at(6, 1))
    for record in records:
        found.add(record)
    return found


def numbers(found: Proof) -> dict[str, str]:
    total: dict[str, str] = told(found, WHOLE)["total"]
    return total


def test_days_and_months_are_those_of_the_zone() -> None:
    found = proof(
        slot(at(3, 31, 23, 30), import_wh=999.0),  # the day before
        slot(at(4, 1, 0, 0), import_wh=3000.0, export_wh=500.0),
        slot(at(4, 30, 23, 30), import_wh=1000.0, dispatched_s=1800.0),
        slot(at(5, 1, 0, 0), export_wh=2500.0, island_s=900.0),
        slot(at(6, 1, 0, 0), import_wh=999.0),  # the day after
        slot(at(4, 2, 9, 0), kind="session"),
        slot(at(4, 3, 9, 0), kind="battery"),
        slot(at(4, 4, 9, 0), import_wh=20.0, sessions=[]),  # standby is no use
    )
    months = found.months()
    assert list(months) == ["2026-04", "2026-05"]
    assert (months["2026-04"].import_wh, months["2026-05"].export_wh) == (
        4000.0,
        2500.0,
    )
    total = numbers(found)
    assert total["sessions"] == "1"
    assert total["days in use"] == "4"
    assert (total["charged kWh"], total["discharged kWh"]) == ("4.00", "3.00")
    assert (total["dispatched h"], total["island h"]) == ("0.5", "0.2")
    assert total["CO2 avoided kg"] == ""


@pytest.mark.parametrize(
    ("slots", "until_day", "share"),
    [
        (48, 2, "100.0%"),  # one whole day, and nothing more could be
        (48, 3, "50.0%"),  # a day of which nothing is there
        (24, 2, "50.0%"),
    ],
)
def test_missing_time_lowers_the_share(slots: int, until_day: int, share: str) -> None:
    begin = at(4, 1)
    records = [slot(begin + n * timedelta(minutes=30)) for n in range(slots)]
    until = at(4, until_day)
    assert numbers(proof(*records, until=until))["recorded %"] == share


@pytest.mark.parametrize(
    ("day", "slots"),
    [(date(2026, 3, 29), 46), (date(2026, 10, 25), 50), (date(2026, 6, 1), 48)],
)
def test_a_day_may_have_23_or_25_hours(day: date, slots: int) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    begin = datetime(day.year, day.month, day.day, tzinfo=berlin).astimezone(UTC)
    end = begin + timedelta(minutes=30 * slots)
    for until in (end, end.astimezone(berlin), end + timedelta(days=1)):
        found = Proof(day, day, berlin, until)
        for number in range(slots):
            found.add(slot(begin + timedelta(minutes=30 * number)))
        assert found.total().wanted_s == found.total().covered_s == 1800.0 * slots


def test_co2_is_the_sum_of_the_days() -> None:
    def co2(mean: float, import_wh: float, import_g: float) -> dict[str, float]:
        return {"known_s": 1800.0, "mean_g_per_kwh": mean, "import_wh": import_wh,
                "export_wh": 0.0, "import_g": import_g, "export_g": 0.0}  # fmt: skip

    found = proof(
        slot(at(4, 1, 3, 0), co2=co2(200.0, 2000.0, 400.0)),
        slot(at(4, 1, 18, 0), co2=co2(600.0, 0.0, 0.0)),
        slot(at(5, 1, 3, 0), co2=co2(500.0, 1000.0, 500.0)),
    )
    assert numbers(found)["CO2 avoided kg"] == "0.40"
    text = page(found, WHOLE)
    assert "Each day counts by itself" in text


def test_the_page_says_what_holds_and_what_does_not() -> None:
    found = proof(slot(at(4, 1), clock_trusted=False, import_wh=1.0))
    text = page(found, WHOLE)
    for word in (
        "運転実績報告", "ST-1", "M-1 / MID B", "All 10 records", "ab" * 32,
        "signs nothing itself", "1 half hours the clock was not set", "2026-04",
    ):  # fmt: skip
        assert word in text, word
    assert "<script" not in text
    assert "http" not in text

    broken = Check(3, "", "00000001.jsonl:4: changed <b>", ("record 2 (S-1): no",), 1)
    text = page(found, broken)
    assert "BROKEN: 00000001.jsonl:4: changed &lt;b&gt;" in text
    assert "WRONG SIGNATURES: record 2" in text
    signed = Check(3, "", "", (), 5)
    assert "5 signatures of the meter itself hold" in page(found, signed)
    assert "no record of this time" in page(proof(), WHOLE)


def test_the_table_has_a_line_a_day_and_a_total() -> None:
    found = proof(
        slot(at(4, 1), import_wh=1500.0),
        until=at(4, 3),
    )
    lines = rows_csv(found).splitlines()
    assert lines[0].startswith("day,sessions,days in use,charged kWh")
    assert [line.split(",")[0] for line in lines[1:]] == [
        "2026-04-01", "2026-04-02", "total"
    ]  # fmt: skip
    assert lines[1].split(",")[3] == "1.50"
    assert {len(line.split(",")) for line in lines} == {9}
