"""The demo's report: one self-contained HTML page from measured values only. Pure."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field

from hil.demo.plot import Band, Line, Panel, panel_svg

CSS = """
:root{--ink:#1d2733;--soft:#6b7886;--line:#dfe5ea;--good:#1b7f4b;--bad:#c0392b;
--a:#0b6bcb;--b:#e07a1f;--c:#7a3fb3;--band:#0b6bcb14;--paper:#fff}
@media (prefers-color-scheme:dark){:root{--ink:#e6ebf0;--soft:#94a3b3;--line:#2e3a46;
--good:#4cc38a;--bad:#ff7b72;--a:#58a6ff;--b:#f0a35a;--c:#c297ff;--band:#58a6ff1c;
--paper:#10161c}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);
max-width:1000px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.05rem;margin:1.6rem 0 .4rem}
p.sub{color:var(--soft);margin:.2rem 0 1rem}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.25rem .6rem;
border-bottom:1px solid var(--line)}
td.n{text-align:right;font-variant-numeric:tabular-nums}
.ok{color:var(--good);font-weight:600}.no{color:var(--bad);font-weight:600}
svg{width:100%;height:auto;display:block;margin:.3rem 0}
svg text{fill:var(--soft);font:11px system-ui,sans-serif}svg .title{fill:var(--ink);
font-weight:600;font-size:12px}svg .flag{fill:var(--ink);font-weight:600}
.grid{stroke:var(--line)}.zero{stroke:var(--soft)}.event{stroke:var(--soft);
stroke-dasharray:2 3}.setpoint{stroke:var(--b);stroke-width:2}.actual{stroke:var(--a);
stroke-width:1.8}.soc{stroke:var(--c);stroke-width:2}.promise{stroke:var(--good);
stroke-width:1.6;stroke-dasharray:6 4}.house{stroke:var(--soft);stroke-width:1.2}
.cost{stroke:var(--b);stroke-width:2}
.limits{fill:var(--band);stroke:none}.key.limits{stroke:var(--a);stroke-opacity:.35;
stroke-width:6}
"""


@dataclass(frozen=True, slots=True)
class Check:
    """One promise of the demo, measured."""

    name: str
    measured: str
    limit: str
    ok: bool


@dataclass(frozen=True, slots=True)
class Latency:
    """From the signal leaving the CSMS to the wire, and to the power at the meter."""

    what: str
    wire_ms: float | None
    power_ms: float | None


@dataclass(frozen=True, slots=True)
class Sample:
    """One row of the plots; `t` counts from the plug-in, in seconds."""

    t: float
    actual_w: float
    setpoint_w: float
    low_w: float
    high_w: float
    soc_pct: float | None  # None: no vehicle
    grid_w: float


@dataclass(frozen=True, slots=True)
class Story:
    """Everything the page shows."""

    title: str
    subtitle: str
    samples: Sequence[Sample]
    events: Sequence[tuple[float, str]]
    latencies: Sequence[Latency]
    checks: Sequence[Check]
    promise_soc_pct: float
    departure_t: float
    cost: Sequence[tuple[float, float]] = field(default=())  # as the CSMS is told
    price: str = ""
    why: Sequence[tuple[float, str]] = field(default=())  # decisions by reason
    transaction: Sequence[tuple[float, str]] = field(default=())
    vehicle: Sequence[tuple[str, str]] = field(default=())  # what, as it saw it

    @property
    def ok(self) -> bool:
        return bool(self.checks) and all(check.ok for check in self.checks)


def _panels(story: Story) -> list[Panel]:
    s = story.samples
    power = Panel(
        "Power at the EVSE's AC terminals, kW (up: into the vehicle, down: out)",
        lines=(
            Line("setpoint", [(x.t, x.setpoint_w / 1e3) for x in s], "setpoint", True),
            Line("measured", [(x.t, x.actual_w / 1e3) for x in s], "actual"),
        ),
        bands=(
            Band(
                "limits",
                [(x.t, x.low_w / 1e3) for x in s],
                [(x.t, x.high_w / 1e3) for x in s],
                "limits",
            ),
        ),
        height=300,
    )
    end = story.departure_t
    soc = Panel(
        "State of charge, %",
        lines=(
            Line(
                "battery (true)",
                [(x.t, x.soc_pct) for x in s if x.soc_pct is not None],
                "soc",
            ),
            Line(
                "promise at departure",
                [(s[0].t, story.promise_soc_pct), (end, story.promise_soc_pct)],
                "promise",
            ),
        ),
        height=190,
    )
    grid = Panel(
        "Power at the grid connection, kW",
        lines=(Line("grid", [(x.t, x.grid_w / 1e3) for x in s], "house"),),
        height=150,
    )
    cost = Panel(
        f"Cost as the central system is told it, {story.price}",
        lines=(Line("running cost", story.cost, "cost", True),),
        height=150,
    )
    return [power, soc, grid, cost]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], numeric: int = 0) -> str:
    """Rows of ready HTML cells; the first `numeric` columns are right-aligned."""
    out = ["<table><tr>", *(f"<th>{h}</th>" for h in head), "</tr>"]
    for row in rows:
        cells = (
            f'<td class="n">{cell}</td>' if i < numeric else f"<td>{cell}</td>"
            for i, cell in enumerate(row)
        )
        out.append("<tr>" + "".join(cells) + "</tr>")
    return "".join(out) + "</table>"


def _ms(value: float | None) -> str:
    return "not seen" if value is None else f"{value:.1f} ms"


def render(story: Story) -> str:
    """The whole page as HTML."""
    t_low = story.samples[0].t if story.samples else 0.0
    t_high = story.samples[-1].t if story.samples else 1.0
    word = (
        '<span class="ok">PASS</span>' if story.ok else '<span class="no">FAIL</span>'
    )
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width'>",
        f"<title>{html.escape(story.title)}</title><style>{CSS}</style>",
        f"<h1>{html.escape(story.title)}: {word}</h1>",
        f"<p class='sub'>{html.escape(story.subtitle)}</p>",
        _table(
            ("check", "measured", "limit", ""),
            [
                (
                    html.escape(c.name),
                    html.escape(c.measured),
                    html.escape(c.limit),
                    '<span class="ok">ok</span>'
                    if c.ok
                    else '<span class="no">missed</span>',
                )
                for c in story.checks
            ],
        ),
        "<h2>What happened</h2>",
    ]
    if story.samples:
        parts += [panel_svg(p, t_low, t_high, story.events) for p in _panels(story)]
    parts.append(
        _table(
            ("no.", "t", "event"),
            [
                (str(n), f"{t:.1f} s", html.escape(text))
                for n, (t, text) in enumerate(story.events, 1)
            ],
            numeric=2,
        )
    )
    parts.append("<h2>Latency: signal -> wire -> power</h2>")
    parts.append(
        _table(
            (
                "signal",
                "CSMS to power-stage wire",
                "to 90 % of the step, true AC power",
            ),
            [
                (html.escape(x.what), _ms(x.wire_ms), _ms(x.power_ms))
                for x in story.latencies
            ],
        )
    )
    for title, rows in (
        ("Why this power (chargerctl why)", story.why),
        ("The transaction as the central system saw it", story.transaction),
    ):
        if rows:
            parts.append(f"<h2>{title}</h2>")
            parts.append(
                _table(
                    ("t", ""),
                    [(f"{t:.1f} s", html.escape(x)) for t, x in rows],
                    numeric=1,
                )
            )
    if story.vehicle:
        parts.append("<h2>The vehicle's own view</h2>")
        words = [(html.escape(a), html.escape(b)) for a, b in story.vehicle]
        parts.append(_table(("", ""), words))
    parts.append("</html>")
    return "\n".join(parts)
