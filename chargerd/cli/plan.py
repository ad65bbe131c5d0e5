"""`chargerctl plan`: the plan of each EVSE as a chart of text.

Text out, nothing decided. Bars: left of the middle = out of the vehicle, right = in.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

Json = dict[str, Any]

HALF = 14  # characters of a bar to each side
ROWS_MAX = 60


def render(answer: Json) -> RenderableType:
    """One table for each EVSE; a line about the planner below."""
    parts: list[RenderableType] = [_one(plan) for plan in answer["plans"]]
    if not parts:
        parts.append(
            Text("No plan: it needs prices and a departure (docs/planner.md).")
        )
    state = answer.get("planner", {})
    counts = ", ".join(
        f"{state[k]} {k}" for k in ("solved", "ruled", "kept") if k in state
    )
    parts += [_kept(row) for row in state.get("reserves", ()) if _some(row)]
    if state.get("judged"):
        parts.append(Text("Prices to come are forecasts, judged by the past."))
    why = f"; last because of {state['why']}" if state.get("why") else ""
    return Group(*parts, Text(f"Plans so far: {counts}{why}", style="dim"))


def _some(row: Json) -> bool:
    return bool(row["sold"] or row["up_w"] or row["down_w"])


def _kept(row: Json) -> Text:
    """One reserve in one block; to be read before a market closes."""
    times = [
        datetime.fromisoformat(row[key]).astimezone().strftime("%a %H:%M")
        for key in ("from_utc", "until_utc")
    ]
    how = "sold" if row["sold"] else "offered"
    power = f"{row['up_w'] / 1000:.2f} kW up, {row['down_w'] / 1000:.2f} kW down"
    return Text(f"Reserve {row['name']} ({how}), {' to '.join(times)}: {power}")


def _one(plan: Json) -> Table:
    cost = plan.get("cost")
    money = f", {cost:.4g} {plan['currency']}" if cost is not None else ""
    title = f"EVSE {plan['evse_id']}: by {plan['solver']}, {plan['age_s']:.0f} s old"
    table = Table(
        title=f"{title}{money}", title_justify="left", header_style="bold", box=None
    )
    for name in ("from", "power", "", "then", "may be", "prices"):
        table.add_column(name, justify="right" if name in {"power", "then"} else "left")
    top = max((abs(part["wish_w"]) for part in plan["parts"]), default=0.0)
    for part in plan["parts"][:ROWS_MAX]:
        table.add_row(
            datetime.fromisoformat(part["start_utc"]).astimezone().strftime("%H:%M"),
            f"{part['wish_w'] / 1000:+.2f} kW" if part["wish_w"] else "0 kW",
            bar(part["wish_w"], top),
            f"{part['end_wh'] / 1000:.1f} kWh",
            f"{part['low_wh'] / 1000:.1f} to {part['high_wh'] / 1000:.1f}",
            part["note"],
        )
    return table


def bar(power_w: float, top_w: float) -> str:
    """`|` in the middle; as long as the power is of the highest."""
    size = round(HALF * abs(power_w) / top_w) if top_w else 0
    out, into = (size, 0) if power_w < 0 else (0, size)
    return f"{'#' * out:>{HALF}}|{'#' * into:<{HALF}}"
