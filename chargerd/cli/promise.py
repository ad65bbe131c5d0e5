"""`chargerctl promise`: how each driver's promise stands, with a chart of text.

Text out, nothing decided.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

Json = dict[str, Any]

WIDTH = 50  # characters for 0 to 100 %


def render(answer: Json) -> RenderableType:
    parts: list[RenderableType] = []
    for row in answer["evses"]:
        parts += _one(row)
    return Group(*parts)


def _one(row: Json) -> list[RenderableType]:
    name, promise = f"EVSE {row['evse_id']}", row.get("promise")
    if promise is None:
        if row["phase"] in ("idle", "unknown"):
            return [Text(f"{name}: no vehicle, nothing promised")]
        hint = f"chargerctl promise --evse {row['evse_id']} --soc 80 --by 07:30"
        return [Text(f"{name}: nothing is promised; {hint}")]
    lines: list[RenderableType] = [Text(_head(name, row, promise), style="bold")]
    lines += [Text(f"  {line}") for line in _standing(row, promise)]
    for why in row["why"]:
        mark = "* " if why["won"] else ""
        lines.append(Text(f"  {mark}{why['source']}: {why['note']}", style="dim"))
    lines += chart(row["line"], promise["target_soc_pct"])
    return lines


def _head(name: str, row: Json, promise: Json) -> str:
    who = "told to the vehicle" if promise["by"] == "vehicle" else "told here"
    soc = row["soc_pct"]
    now = "SoC unknown" if soc is None else f"now {soc:.0f} %"
    return (
        f"{name}: {promise['target_soc_pct']:.0f} % by "
        f"{_clock(promise['departure_utc'])} (in {span(promise['departure_in_s'])}), "
        f"{who}; {now}"
    )


def _standing(row: Json, promise: Json) -> list[str]:
    """Kept or not, what is missing, and the latest moment to begin."""
    reachable, missing_wh = promise["reachable_soc_pct"], promise["missing_wh"]
    found = []
    if promise["kept"] is None:
        found.append("Not known yet what can be reached.")
    elif promise["kept"]:
        found.append("Will be kept.")
    else:
        found.append(f"OUT OF REACH: {reachable:.0f} % can be reached by then.")
    if missing_wh:
        found[0] += f" {missing_wh / 1000:.1f} kWh are still to be charged."
    if promise["forced"]:
        found.append("Charging now to keep it, whatever the grid asks.")
    elif promise["must_start_utc"] is not None and missing_wh:
        latest = _clock(promise["must_start_utc"])
        slack = span(promise["slack_s"])
        found.append(f"Charging must begin by {latest} at the latest (in {slack}).")
    floor = promise["floor_soc_pct"]
    if floor:
        found.append(f"Never discharged below {floor:.0f} %.")
    found.append(
        f"Power now {row['power_w'] / 1000:+.2f} kW, decided by {row['decided_by']}."
    )
    return found


def chart(line: list[Json], target_pct: float) -> list[RenderableType]:
    """`#` must be in the battery at that time, `.` can be, `|` the target."""
    if not line:
        return []
    rows: list[RenderableType] = [
        Text("  time    must   can   0 %" + " " * 44 + "100 %")
    ]
    mark = min(WIDTH - 1, round(WIDTH * target_pct / 100.0))
    for point in line:
        must, can = (
            round(WIDTH * point[key] / 100.0) for key in ("must_soc_pct", "can_soc_pct")
        )
        cells = ["#"] * must + ["."] * (max(must, can) - must)
        cells += [" "] * (WIDTH - len(cells))
        cells[mark] = "|"
        rows.append(
            Text(
                f"  {_clock(point['utc'])} {point['must_soc_pct']:5.0f} % "
                f"{point['can_soc_pct']:4.0f} %  {''.join(cells)}"
            )
        )
    rows.append(Text("  # must be in the battery then, . can be, | target", "dim"))
    return rows


def span(seconds: float) -> str:
    """`5 h 10 min`, `45 min`, `30 s`."""
    whole = max(0, round(seconds))
    if whole < 120:
        return f"{whole} s"
    hours, minutes = divmod(round(whole / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _clock(utc: str) -> str:
    return datetime.fromisoformat(utc).astimezone().strftime("%H:%M")
