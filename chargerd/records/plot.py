"""Time plots as SVG text. Knows nothing of chargers. Pure.

Samples are thinned while they come, so that a day takes no more room than a minute:
each step of the picture keeps its first, last, lowest and highest value.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo

Point = tuple[float, float]  # ms, value
WIDTH, HEIGHT = 980, 230
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 30, 24
STEPS = 880  # of the picture, in time
GAP_MS = 5000.0  # a longer pause is a gap in the curve
_TIME_STEPS_S = (
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800),
    *(3600, 7200, 10_800, 21_600, 43_200, 86_400),
)


class Trace:
    """One curve: `add` in order of time; `runs` are its parts between gaps."""

    def __init__(self, step_ms: float) -> None:
        self._step_ms = max(1.0, step_ms)
        self._runs: list[list[Point]] = []
        self._held: list[Point] = []  # of the step under way: first, low, high, last
        self._step = -1

    def add(self, at_ms: float, value: float | None) -> None:
        if self._held and not 0.0 <= at_ms - self._held[3][0] <= GAP_MS:
            self._close()
        if value is None:
            self._close()
            return
        point, step = (at_ms, value), int(at_ms // self._step_ms)
        if not self._held:
            self._runs.append([])
            self._held, self._step = [point] * 4, step
        elif step != self._step:
            self._keep()
            self._held, self._step = [point] * 4, step
        else:
            first, low, high, _ = self._held
            low = point if value < low[1] else low
            high = point if value > high[1] else high
            self._held = [first, low, high, point]

    @property
    def runs(self) -> list[list[Point]]:
        self._close()
        return self._runs

    def _keep(self) -> None:
        self._runs[-1] += sorted(set(self._held))

    def _close(self) -> None:
        if self._held:
            self._keep()
            self._held = []


@dataclass(frozen=True, slots=True)
class Line:
    """A curve with its words in the legend; `css` is a class of the page."""

    label: str
    css: str
    runs: Sequence[Sequence[Point]]


@dataclass(frozen=True, slots=True)
class Band:
    """The area between two curves whose gaps are the same."""

    label: str
    css: str
    low: Sequence[Sequence[Point]]
    high: Sequence[Sequence[Point]]


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot. `zero`: the axis shows 0 in any case."""

    title: str
    lines: Sequence[Line]
    bands: Sequence[Band] = field(default=())
    zero: bool = False

    def values(self) -> list[float]:
        parts = [line.runs for line in self.lines]
        parts += [runs for band in self.bands for runs in (band.low, band.high)]
        return [value for runs in parts for run in runs for _, value in run]


def svg(panel: Panel, begin_ms: float, end_ms: float, zone: tzinfo) -> str:
    """The picture; "" where there is nothing to show."""
    values = panel.values()
    if not values or end_ms <= begin_ms:
        return ""
    low, high, marks = axis([*values, 0.0] if panel.zero else values)

    def x(at_ms: float) -> float:
        share = (at_ms - begin_ms) / (end_ms - begin_ms)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        share = (value - low) / (high - low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{html.escape(panel.title)}">',
        f'<text class="title" x="{LEFT}" y="16">{html.escape(panel.title)}</text>',
        *_grid(marks, y, _times(begin_ms, end_ms, zone), x),
    ]
    for band in panel.bands:
        parts += [
            f'<path class="{band.css}" d="{_area(low_run, high_run, x, y)}"/>'
            for low_run, high_run in zip(band.low, band.high, strict=True)
        ]
    for line in panel.lines:
        path = " ".join(_path(run, x, y) for run in line.runs)
        parts.append(f'<path class="line {line.css}" d="{path}"/>')
    parts += [*_legend(panel), "</svg>"]
    return "\n".join(parts)


def axis(values: Sequence[float]) -> tuple[float, float, list[float]]:
    """Low end, high end and round marks that hold all the values."""
    low, high = min(values), max(values)
    if high - low < 1e-9:
        low, high = low - 1.0, high + 1.0
    raw = (high - low) / 5.0
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(f * power for f in (1.0, 2.0, 5.0, 10.0) if raw <= f * power * 1.001)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    marks = [round(n * step, 9) for n in range(first, last + 1)]
    return marks[0], marks[-1], marks


def _times(begin_ms: float, end_ms: float, zone: tzinfo) -> list[tuple[float, str]]:
    """Round local times, at most ten, with their words."""
    span_s = (end_ms - begin_ms) / 1000.0
    step_s = next((s for s in _TIME_STEPS_S if span_s / s <= 10), _TIME_STEPS_S[-1])
    begin = datetime.fromtimestamp(begin_ms / 1000.0, zone)
    midnight = begin.replace(hour=0, minute=0, second=0, microsecond=0)
    words = "%H:%M:%S" if step_s < 60 else "%H:%M"
    if span_s > 3 * 86_400:
        words = "%m-%d"
    found: list[tuple[float, str]] = []
    at = midnight + timedelta(
        seconds=((begin - midnight).total_seconds() // step_s + 1) * step_s
    )
    while at.timestamp() * 1000.0 < end_ms and len(found) < 40:
        found.append((at.timestamp() * 1000.0, at.strftime(words)))
        at += timedelta(seconds=step_s)
    return found


def _grid(
    marks: Iterable[float],
    y: Callable[[float], float],
    times: Iterable[tuple[float, str]],
    x: Callable[[float], float],
) -> Iterable[str]:
    for mark in marks:
        css = "zero" if mark == 0.0 else "grid"
        yield (
            f'<line class="{css}" x1="{LEFT}" x2="{WIDTH - RIGHT}" '
            f'y1="{y(mark):.1f}" y2="{y(mark):.1f}"/>'
            f'<text class="y" x="{LEFT - 6}" y="{y(mark) + 4:.1f}">{mark:g}</text>'
        )
    for at_ms, word in times:
        yield (
            f'<line class="grid" x1="{x(at_ms):.1f}" x2="{x(at_ms):.1f}" '
            f'y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
            f'<text class="x" x="{x(at_ms):.1f}" y="{HEIGHT - 8}">{word}</text>'
        )


def _legend(panel: Panel) -> Iterable[str]:
    """From the right end, in the title's line."""
    at = float(WIDTH - RIGHT)
    entries = [(line.label, f"line {line.css}") for line in panel.lines]
    entries += [(band.label, band.css) for band in panel.bands]
    for label, css in reversed(entries):
        at -= 6.8 * len(label) + 38.0
        shape = (
            f'<path class="{css}" d="M{at:.0f} 12h16"/>'
            if css.startswith("line ")
            else f'<rect class="{css}" x="{at:.0f}" y="7" width="16" height="10"/>'
        )
        yield f'{shape}<text class="legend" x="{at + 21:.0f}" y="16">{label}</text>'


def _path(
    run: Sequence[Point], x: Callable[[float], float], y: Callable[[float], float]
) -> str:
    spots = [f"{x(at):.1f} {y(value):.1f}" for at, value in run]
    if len(spots) == 1:
        return f"M{spots[0]}h1"
    return "M" + "L".join(spots)


def _area(
    low: Sequence[Point],
    high: Sequence[Point],
    x: Callable[[float], float],
    y: Callable[[float], float],
) -> str:
    spots = [f"{x(at):.1f} {y(value):.1f}" for at, value in (*high, *reversed(low))]
    return "M" + "L".join(spots) + "Z"
