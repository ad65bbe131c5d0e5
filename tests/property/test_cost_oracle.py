"""Costs against a slow and obvious oracle: every second by itself, in fractions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.ocpp.cost_kit import Walk, tariff

BERLIN = ZoneInfo("Europe/Berlin")
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
HOURS = st.sampled_from(["00:00", "01:59", "02:00", "02:30", "03:00", "12:00"])


@st.composite
def conditions(draw: st.DrawFn) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name in ("startTimeOfDay", "endTimeOfDay"):
        if draw(st.booleans()):
            made[name] = draw(HOURS)
    if draw(st.booleans()):
        made["dayOfWeek"] = draw(
            st.lists(st.sampled_from(DAYS), min_size=1, unique=True)
        )
    for kind, least, most in (
        ("Energy", 500, 2000), ("Time", 60, 900), ("ChargingTime", 60, 600),
        ("IdleTime", 30, 600), ("Power", 1000, 9000),
    ):  # fmt: skip
        which = draw(st.sampled_from(("", "", "", "min", "max", "both")))
        if which in ("min", "both"):
            made[f"min{kind}"] = draw(st.integers(1, least))
        if which in ("max", "both"):
            made[f"max{kind}"] = draw(st.integers(least + 1, most))
    return made


def prices(name: str) -> st.SearchStrategy[dict[str, Any]]:
    one = st.builds(
        lambda amount, c: {name: amount / 100, **({"conditions": c} if c else {})},
        st.integers(0, 500),
        st.none() | conditions(),
    )
    return st.lists(one, min_size=1, max_size=4).map(lambda rows: {"prices": rows})


TARIFFS = st.fixed_dictionaries(
    {},
    optional={
        "energy": prices("priceKwh"),
        "chargingTime": prices("priceMinute"),
        "idleTime": prices("priceMinute"),
    },
)
BEGINS = st.sampled_from(
    [
        datetime(2026, 10, 24, 23, 55, tzinfo=UTC),  # summer time ends at 1:00
        datetime(2026, 3, 29, 0, 50, tzinfo=UTC),  # and begins
        datetime(2026, 6, 30, 21, 50, 7, tzinfo=UTC),  # Tuesday to Wednesday
    ]
)
STEPS = st.lists(
    st.tuples(
        st.integers(1, 700), st.booleans(), st.sampled_from([-6000, 0, 3600, 7200])
    ),
    min_size=1,
    max_size=6,
)
NAMES = {"energy": "priceKwh", "chargingTime": "priceMinute", "idleTime": "priceMinute"}


def holds(c: dict[str, Any], local: datetime, seen: dict[str, float]) -> bool:
    """2.97, read once more, in the plainest way."""
    clock = local.strftime("%H:%M")
    start, end = c.get("startTimeOfDay", "00:00"), c.get("endTimeOfDay", "24:00")
    end = "24:00" if end == "00:00" else end
    inside = start <= clock < end if start < end else clock >= start or clock < end
    if not inside or DAYS[local.weekday()] not in c.get("dayOfWeek", DAYS):
        return False
    return all(
        c.get(f"min{kind}", 0) <= value < c.get(f"max{kind}", float("inf"))
        for kind, value in seen.items()
        if f"min{kind}" in c or f"max{kind}" in c
    )


def oracle(
    told: dict[str, Any], begin: datetime, steps: list[tuple[int, bool, int]]
) -> Fraction:
    cost, wh = Fraction(0), Fraction(0)
    times = {"Time": 0, "ChargingTime": 0, "IdleTime": 0}
    at = begin
    for length, charging, power in steps:
        judged = {"Energy": float(wh), "Power": float(power)}
        for _ in range(length):
            if charging:
                times["IdleTime"] = 0  # it is over with the first moment of charge
            local = at.astimezone(BERLIN)
            seen = {**judged, **{k: float(v) for k, v in times.items()}}
            volumes = {
                "energy": Fraction(power, 3_600_000),
                "chargingTime": Fraction(charging, 60),
                "idleTime": Fraction(not charging, 60),
            }
            for name, volume in volumes.items():
                for row in told.get(name, {"prices": []})["prices"]:
                    if holds(row.get("conditions", {}), local, seen):
                        price = Fraction(str(row[NAMES[name]]))
                        cost += price * volume
                        break
            wh += Fraction(power, 3600)
            times["Time"] += 1
            times["ChargingTime"] += charging
            times["IdleTime"] += not charging
            at += timedelta(seconds=1)
    return cost


@settings(max_examples=60, deadline=None)
@given(TARIFFS, BEGINS, STEPS)
def test_each_second_costs_what_the_oracle_says(
    parts: dict[str, Any], begin: datetime, steps: list[tuple[int, bool, int]]
) -> None:
    told = tariff(**parts)
    _, charging, power = steps[0]
    walk = Walk(told, at=begin, zone=BERLIN, charging=charging, power_w=power)
    after = [*steps[1:], (0, steps[-1][1], 0)]
    for (length, _, power), (_, later, power_later) in zip(steps, after, strict=True):
        wh = length * power / 3600
        walk.go(length, wh, charging=later, power_w=power_later)
    expected = float(oracle(told, begin, steps))
    assert abs(walk.excl() - expected) < 1e-5


@settings(max_examples=60, deadline=None)
@given(TARIFFS, BEGINS, STEPS, st.integers(0, 500))
def test_the_most_is_never_passed_and_never_given_back(
    parts: dict[str, Any],
    begin: datetime,
    steps: list[tuple[int, bool, int]],
    cents: int,
) -> None:
    told = tariff(**parts, maxCost={"exclTax": cents / 100})
    walk = Walk(told, at=begin, zone=BERLIN, charging=steps[0][1])
    frozen_at = None
    for length, charging, power in steps:
        walk.go(length, length * power / 3600, charging=charging, power_w=power)
        assert walk.excl() <= cents / 100
        if frozen_at is not None:
            assert walk.excl() == frozen_at
        frozen_at = walk.excl() if walk.account.frozen else None
