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
        return Group(_table(latest), *(Text(line) for line in self._lines))


def _table(latest: dict[str, Any]) -> Table:
    table = Table(title="chargerd demo", expand=False)
    table.add_column("", style="dim")
    table.add_column("value", justify="right", min_width=14)
    table.add_column("", min_width=41)
    evse, decision = latest.get("status", {}), latest.get("decision", {})
    truth = latest.get("rig", {}).get("evses", {}).get("1", {})
    setpoint = float(decision.get("power_w") or 0.0)
    actual = float(truth.get("ac_power_w") or 0.0)
    soc = (truth.get("ev") or {}).get("soc_pct")
    table.add_row("setpoint", f"{setpoint / 1e3:+.2f} kW", bar(setpoint))
    table.add_row("power (true)", f"{actual / 1e3:+.2f} kW", bar(actual))
    table.add_row("battery", "-" if soc is None else f"{soc:.2f} %", "")
    table.add_row("session", str(evse.get("phase", "-")), "")
    table.add_row("decided by", str(decision.get("source", "-")), "")
    table.add_row("why", "", Text(str(latest.get("why", "-")), overflow="fold"))
    return table
