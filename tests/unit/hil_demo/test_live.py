"""The demo's table: whatever is known yet, always as many lines and as wide."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from hil.demo import live

FULL: dict[str, Any] = {
    "why": "promise: must charge: 12 s needed; " + "a very long reason " * 20,
    "status": {
        "phase": "energy",
        "decision": {"power_w": -7000.0},
        "promise": {
            "target_soc_pct": 61.5, "departure_in_s": 31.2, "forced": False,
            "slack_s": 12.3,
        },
        "energy_in_wh": 12.34,
        "energy_out_wh": 20.7,
        "faults": [],
    },
    "rig": {
        "evses": {"1": {"ac_power_w": -6990.0, "ev": {"soc_pct": 60.12}}},
        "grid": {"frequency_hz": 49.92, "power_w": -4490.0},
        "link": {"up": True, "connections": 1, "cut": 1},
    },
}  # fmt: skip


def _lines(latest: dict[str, Any]) -> list[str]:
    screen = Console(width=120, file=io.StringIO(), record=True)
    screen.print(live.table(latest))
    return screen.export_text().splitlines()


@pytest.mark.parametrize("latest", [{}, FULL, {**FULL, "rig": {}}])
def test_the_table_never_jumps(latest: dict[str, Any]) -> None:
    assert len(_lines(latest)) == len(_lines({}))
    assert max(len(line.rstrip()) for line in _lines(latest)) <= live.WIDTH


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ((), None, "-6.99 kW"),
        ((), None, "promised 61.5 % in 31 s; 12 s to spare"),
        ((), None, "4.49 kW fed into the grid"),
        (("rig", "link", "up"), False, "CUT"),
        (("rig", "link", "connections"), 0, "away"),
        (("status", "promise", "forced"), True, "charging now to keep it"),
        (("status", "faults"), ["MeterLost"], "MeterLost"),
        (("rig", "grid", "power_w"), 500.0, "0.50 kW taken from the grid"),
    ],
)
def test_what_is_known_is_shown(
    path: tuple[str, ...], value: object, expected: str
) -> None:
    assert expected in "\n".join(_lines(_changed(FULL, path, value)))


def _changed(tree: dict[str, Any], path: tuple[str, ...], value: object) -> Any:
    if not path:
        return tree
    rest = path[1:]
    return {**tree, path[0]: _changed(tree[path[0]], rest, value) if rest else value}


@pytest.mark.parametrize(
    ("power_w", "left", "right"),
    [(0.0, 0, 0), (-5000.0, 10, 0), (5000.0, 0, 10), (-9e9, 20, 0), (9e9, 0, 20)],
)
def test_the_bar_grows_to_the_side_of_the_flow(
    power_w: float, left: int, right: int
) -> None:
    text = live.bar(power_w).plain
    before, _, after = text.partition("│")
    assert (before.count("█"), after.count("█")) == (left, right)
    assert len(text) == 41
