"""`chargerctl plan` as people see it."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from chargerd.cli import plan

PART = {
    "start_utc": "2026-11-25T14:00:00+00:00",
    "wish_w": -3000.0,
    "low_w": -6000.0,
    "high_w": 6000.0,
    "low_wh": 8000.0,
    "high_wh": 40_000.0,
    "end_wh": 21_500.0,
    "note": "35 in, 16 out",
}
PLAN = {
    "evse_id": 1,
    "solver": "highs",
    "age_s": 12.0,
    "valid": True,
    "cost": -120.5,
    "currency": "JPY",
    "parts": [PART, PART | {"wish_w": 6000.0}, PART | {"wish_w": 0.0}],
}
STATE = {"solved": 3, "ruled": 0, "kept": 0, "why": "plug"}


def shown(answer: dict[str, Any]) -> str:
    console = Console(width=110, record=True, file=None, force_terminal=False)
    with console.capture() as capture:
        console.print(plan.render(answer))
    return capture.get()


def test_a_plan_as_a_chart() -> None:
    text = shown({"plans": [PLAN], "planner": STATE})
    assert "EVSE 1: by highs, 12 s old, -120.5 JPY" in text
    assert "-3.00 kW" in text
    assert "21.5 kWh" in text
    assert "8.0 to 40.0" in text
    assert "35 in, 16 out" in text
    assert "3 solved, 0 ruled, 0 kept; last because of plug" in text
    assert "judged" not in text


def test_prices_that_were_judged_say_so() -> None:
    text = shown({"plans": [PLAN], "planner": STATE | {"judged": True}})
    assert "Prices to come are forecasts, judged by the past." in text


def test_reserves_are_listed_by_block() -> None:
    row = {
        "name": "fcr",
        "sold": False,
        "from_utc": "2026-11-25T12:00:00+00:00",
        "until_utc": "2026-11-25T16:00:00+00:00",
        "up_w": 3000.0,
        "down_w": 2500.0,
    }
    nothing = row | {"name": "afrr", "up_w": 0.0, "down_w": 0.0}
    missed = nothing | {"name": "primary", "sold": True}
    state = STATE | {"reserves": [row, nothing, missed]}
    text = shown({"plans": [PLAN], "planner": state})
    assert "Reserve fcr (offered)" in text
    assert "3.00 kW up, 2.50 kW down" in text
    assert "afrr" not in text  # offered, and not worth it
    assert "Reserve primary (sold)" in text  # sold, and not kept: to be seen


def test_no_plan_says_what_it_needs() -> None:
    assert "needs prices and a departure" in shown({"plans": [], "planner": STATE})


@pytest.mark.parametrize(
    ("power_w", "wanted"),
    [
        (0.0, " " * 14 + "|" + " " * 14),
        (-6000.0, "#" * 14 + "|" + " " * 14),
        (3000.0, " " * 14 + "|" + "#" * 7 + " " * 7),
    ],
)
def test_bars(power_w: float, wanted: str) -> None:
    assert plan.bar(power_w, 6000.0) == wanted
    assert plan.bar(0.0, 0.0) == " " * 14 + "|" + " " * 14
