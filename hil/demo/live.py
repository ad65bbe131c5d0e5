"""The demo's terminal: a live table for people, plain lines without a terminal."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

WIDTH = 100
AXIS = f"{'discharge':>19}  {'charge':<19}"


def bar(power_w: float, full_w: float = 10_000.0, half: int = 20) -> Text:
    """A bar that grows left for discharge, right for charge."""
    cells = min(half, round(abs(power_w) / full_w * half))
    left = " " * (half - cells) + "█" * cells if power_w < 0 else " " * half
    right = "█" * cells + " " * (half - cells) if power_w >= 0 else " " * half
    return Text.assemble((left, "dark_orange"), "│", (right, "dodger_blue1"))


class Screen:
    """Says events; while following, shows the newest values above them."""

    def __init__(self, *, headless: bool) -> None:
        self._console = Console()
        self._live = self._console.is_terminal and not headless
        self._start = time.monotonic()
        self._lines: deque[str] = deque(maxlen=12)
        self._following = False

    def say(self, text: str) -> None:
        line = f"{time.monotonic() - self._start:6.1f} s  {text}"
        self._lines.append(line)
        if not self._following:
            self._console.print(line, highlight=False)

    @asynccontextmanager
    async def follow(self, latest: dict[str, Any]) -> AsyncIterator[None]:
        """Redraw five times a second while the body runs."""
        if not self._live:
            yield
            return
        self._following = True
        self._lines.clear()  # they stand above the table already
        with Live(
            self._draw(latest), console=self._console, auto_refresh=False
        ) as live:

            async def redraw() -> None:
                while True:
                    live.update(self._draw(latest), refresh=True)
                    await asyncio.sleep(0.2)

            async with asyncio.TaskGroup() as group:
                task = group.create_task(redraw())
                try:
                    yield
                finally:
                    task.cancel()
        self._following = False

    def _draw(self, latest: dict[str, Any]) -> Group:
        return Group(table(latest), *(Text(line) for line in self._lines))


def table(latest: dict[str, Any]) -> Table:
    """The newest values, always in the same number of lines."""
    shown = Table(title="chargerd: one evening in a minute", width=WIDTH)
    shown.add_column("", style="dim", width=14)
    shown.add_column("", justify="right", width=9)
    shown.add_column(AXIS, ratio=1)
    evse, rig = latest.get("status", {}), latest.get("rig", {})
    decision, truth = evse.get("decision", {}), rig.get("evses", {}).get("1", {})
    for name, power_w in (
        ("setpoint", decision.get("power_w")),
        ("power (true)", truth.get("ac_power_w")),
    ):
        power = float(power_w or 0.0)
        shown.add_row(name, f"{power / 1e3:+.2f} kW", bar(power))
    soc = (truth.get("ev") or {}).get("soc_pct")
    battery = "-" if soc is None else f"{soc:.2f} %"
    shown.add_row("battery", battery, _promise(evse.get("promise")))
    shown.add_row("vehicle", "", _vehicle(truth.get("ev")))
    shown.add_row("session", str(evse.get("phase", "-")), _energy(evse))
    shown.add_row("grid", *_grid(rig.get("grid", {})))
    shown.add_row("central system", *_link(rig.get("link", {})))
    why = Text(f"{latest.get('why', '-')}", no_wrap=True, overflow="ellipsis")
    shown.add_row("why this power", "", why)
    return shown


def _promise(promise: dict[str, Any] | None) -> Text:
    if not promise:
        return Text("no promise")
    left = max(0.0, promise["departure_in_s"])
    text = f"promised {promise['target_soc_pct']:g} % in {left:.0f} s"
    if promise["forced"]:
        return Text(f"{text}: charging now to keep it", style="bold")
    slack = promise["slack_s"]
    return Text(text if slack is None else f"{text}; {max(0.0, slack):.0f} s to spare")


def _vehicle(ev: dict[str, Any] | None) -> str:
    if not ev:
        return "none"
    words = (
        ev.get("kind"),
        ev.get("service"),
        ev.get("security"),
        ev.get("last_request"),
    )
    return ", ".join(str(word) for word in words if word)


def _energy(evse: dict[str, Any]) -> str:
    into, out = evse.get("energy_in_wh") or 0.0, evse.get("energy_out_wh") or 0.0
    faults = ", ".join(evse.get("faults", ())) or "no fault"
    return f"{into:.1f} Wh in, {out:.1f} Wh out; {faults}"


def _grid(grid: dict[str, Any]) -> tuple[str, str]:
    hertz, power = grid.get("frequency_hz", 0.0), grid.get("power_w", 0.0)
    flow = "taken from the grid" if power >= 0 else "fed into the grid"
    return f"{hertz:.2f} Hz", f"{abs(power) / 1e3:.2f} kW {flow} at the connection"


def _link(link: dict[str, Any]) -> tuple[Text, str]:
    if not link.get("up", True):
        return Text("CUT", style="bold red"), "the last setpoint rules until it expires"
    if not link.get("connections"):
        return Text("away", style="bold"), "the station waits to dial again"
    return Text("connected"), f"cut {link.get('cut', 0)} times so far"
