"""Time plots as SVG text: lines, bands, events. Knows nothing of chargers. Pure."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """A curve. `step` holds each value until the next point."""

    label: str
    points: Sequence[Point]
    css: str
    step: bool = False


@dataclass(frozen=True, slots=True)
class Band:
    """The area between two curves with the same x values."""

    label: str
    low: Sequence[Point]
    high: Sequence[Point]
    css: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot: y axis with a title and unit, curves over a shared time axis."""

    title: str
    lines: Sequence[Line]
    bands: Sequence[Band] = field(default=())
    height: int = 220


WIDTH = 960
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 38, 30
FLAG_PX = 16  # events closer than this share one label


def nice_step(span: float, ticks: int = 6) -> float:
    """A 1-2-5 step that gives about `ticks` ticks over `span` (> 0)."""
    raw = span / max(1, ticks)
    power = 10.0 ** math.floor(math.log10(raw))
    for factor in (1, 2, 5, 10):
        if raw <= factor * power:
            return factor * power
    return 10 * power


def ticks(low: float, high: float, count: int = 6) -> list[float]:
    """Round values from `low` to `high`."""
    if high <= low:
        return [low]
    step = nice_step(high - low, count)
    first = math.ceil(low / step - 1e-9) * step
    values = []
    value = first
    while value <= high + step * 1e-6:
        values.append(round(value, 10))
        value += step
    return values


def _range(panel: Panel) -> tuple[float, float]:
    values = [y for line in panel.lines for _, y in line.points]
    values += [y for band in panel.bands for _, y in (*band.low, *band.high)]
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    pad = 0.06 * (high - low) or max(1.0, abs(high) * 0.1)
    return low - pad, high + pad


def _path(points: Sequence[Point], step: bool) -> str:
    parts: list[str] = []
    previous_y = 0.0
    for index, (x, y) in enumerate(points):
        if index == 0:
            parts.append(f"M{x:.1f} {y:.1f}")
        elif step:
            parts.append(f"L{x:.1f} {previous_y:.1f}L{x:.1f} {y:.1f}")
        else:
            parts.append(f"L{x:.1f} {y:.1f}")
        previous_y = y
    return "".join(parts)


def flags(xs: Sequence[float]) -> list[tuple[float, str]]:
    """Event numbers (from 1) at their x; neighbours share a label such as "4-5"."""
    groups: list[tuple[float, int, int]] = []
    for number, x in enumerate(xs, 1):
        if groups and x - groups[-1][0] < FLAG_PX:
            first_x, first, _ = groups[-1]
            groups[-1] = (first_x, first, number)
        else:
            groups.append((x, number, number))
    return [(x, f"{a}" if a == b else f"{a}-{b}") for x, a, b in groups]


def panel_svg(
    panel: Panel, t_low: float, t_high: float, events: Sequence[tuple[float, str]]
) -> str:
    """One panel as an SVG element; events are numbered lines from the top."""
    low, high = _range(panel)
    inner_w = WIDTH - LEFT - RIGHT
    inner_h = panel.height - TOP - BOTTOM

    def at(point: Point) -> Point:
        t, y = point
        x = LEFT + (t - t_low) / max(1e-9, t_high - t_low) * inner_w
        return x, TOP + (high - y) / (high - low) * inner_h

    out = [f'<svg viewBox="0 0 {WIDTH} {panel.height}" role="img">']
    out.append(
        f'<text class="title" x="{LEFT}" y="14">{html.escape(panel.title)}</text>'
    )
    for value in ticks(low, high, 5):
        _, y = at((t_low, value))
        kind = "zero" if value == 0 else "grid"
        out.append(f'<path class="{kind}" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        out.append(
            f'<text class="tick" x="{LEFT - 6}" y="{y + 4:.1f}" '
            f'text-anchor="end">{value:g}</text>'
        )
    for value in ticks(t_low, t_high, 12):
        x, _ = at((value, low))
        out.append(
            f'<text class="tick" x="{x:.1f}" y="{panel.height - 10}" '
            f'text-anchor="middle">{value:g} s</text>'
        )
    for band in panel.bands:
        high_edge = [at(p) for p in band.high]
        low_edge = [at(p) for p in reversed(band.low)]
        shape = _path([*high_edge, *low_edge], step=False)
        out.append(f'<path class="{band.css}" d="{shape}Z"/>')
    for x, label in flags([at((t, low))[0] for t, _ in events]):
        out.append(f'<path class="event" d="M{x:.1f} {TOP}V{TOP + inner_h}"/>')
        out.append(
            f'<text class="flag" x="{x:.1f}" y="{TOP - 4}" '
            f'text-anchor="middle">{label}</text>'
        )
    for line in panel.lines:
        shape = _path([at(p) for p in line.points], line.step)
        out.append(f'<path class="{line.css}" fill="none" d="{shape}"/>')
    x = WIDTH - RIGHT
    keys = [(b.label, b.css) for b in panel.bands]
    keys += [(n.label, n.css) for n in panel.lines]
    for label, css in reversed(keys):
        x -= 14 + 6.4 * len(label)
        mark = "key " + css
        out.append(f'<path class="{mark}" d="M{x - 16:.0f} 10h12"/>')
        out.append(f'<text class="tick" x="{x:.0f}" y="14">{html.escape(label)}</text>')
        x -= 14
    out.append("</svg>")
    return "\n".join(out)
