"""A session or a day as one HTML page: plots, sums, who decided. Needs nothing else.

Pure: rows and records in, text out. Power: positive = into the vehicle.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any

from chargerd.records.carbon import METHOD, Carbon
from chargerd.records.chain import Record
from chargerd.records.page import document, facts, table
from chargerd.records.plot import STEPS, Band, Line, Panel, Trace, svg
from chargerd.records.sample import Row, counted_wh
from chargerd.records.signature_check import check

_LONGEST_STEP_MS = 5000  # a longer one between two samples is missing time
_KILO = ("power_w", "setpoint_w", "baseline_w", "low_w", "high_w", "grid_w")
_PLAIN = (
    *("soc_pct", "must_soc_pct", "target_soc_pct"),
    *("buy_per_kwh", "sell_per_kwh", "co2_g_per_kwh", "frequency_hz"),
)


@dataclass(slots=True)
class Sums:
    """What the samples of one EVSE say as a whole."""

    samples: int = 0
    recorded_s: float = 0.0
    clock_not_set_s: float = 0.0
    first_ms: int | None = None
    last_ms: int | None = None
    import_wh: float = 0.0
    export_wh: float = 0.0
    power_max_w: float = 0.0
    power_min_w: float = 0.0
    error_w2_s: float = 0.0
    error_s: float = 0.0
    by_source: dict[str, list[float]] = field(default_factory=dict)  # s, Wh in, out
    carbon: Carbon = field(default_factory=Carbon)

    def told(self) -> dict[str, Any]:
        """For programs; rms of measured against commanded power while it flowed."""
        return {
            "samples": self.samples,
            "recorded_s": round(self.recorded_s, 1),
            "clock_not_set_s": round(self.clock_not_set_s, 1),
            "import_wh": round(self.import_wh, 1),
            "export_wh": round(self.export_wh, 1),
            "power_max_w": round(self.power_max_w),
            "power_min_w": round(self.power_min_w),
            "tracking_rms_w": round(math.sqrt(self.error_w2_s / self.error_s))
            if self.error_s
            else None,
            "co2": self.carbon.told() if self.carbon.known_s > 0.0 else None,
            "by_source": {
                source: {
                    "seconds": round(parts[0]),
                    "import_wh": round(parts[1], 1),
                    "export_wh": round(parts[2], 1),
                }
                for source, parts in sorted(
                    self.by_source.items(), key=lambda item: -item[1][0]
                )
            },
        }


class Picture:
    """One EVSE between two times: `add` each row in order, then read it."""

    def __init__(self, begin_ms: int, end_ms: int) -> None:
        self.begin_ms, self.end_ms = begin_ms, end_ms
        self.sums = Sums()
        step_ms = (end_ms - begin_ms) / STEPS
        self._traces = {name: Trace(step_ms) for name in (*_KILO, *_PLAIN)}
        self._last: Row | None = None

    def add(self, row: Row) -> None:
        at_ms = row["utc_ms"]
        bounds = (row["low_w"], row["high_w"])
        for name in _KILO:
            value = row[name]
            if name in ("low_w", "high_w") and None in bounds:
                value = None  # the band needs both
            self._traces[name].add(at_ms, None if value is None else value / 1000.0)
        for name in _PLAIN:
            self._traces[name].add(at_ms, row[name])
        self._count(row)
        self._last = row

    def panels(self) -> list[Panel]:
        """Those that have something to show."""
        power = Panel(
            "Power, kW (into the vehicle = up)",
            [
                self._line("measured", "power", "power_w"),
                self._line("without dispatch", "baseline", "baseline_w"),
                self._line("commanded", "setpoint", "setpoint_w"),
            ],
            [Band("allowed", "band", *(self._runs(n) for n in ("low_w", "high_w")))],
            zero=True,
        )
        soc = Panel(
            "State of charge, %",
            [
                self._line("target", "target", "target_soc_pct"),
                self._line("promise: not below", "must", "must_soc_pct"),
                self._line("vehicle", "power", "soc_pct"),
            ],
        )
        grid = Panel(
            "At the grid connection, kW (import = up)",
            [self._line("all commands obeyed", "setpoint", "grid_w")],
            zero=True,
        )
        price = Panel(
            "Price per kWh",
            [
                self._line("sell", "must", "sell_per_kwh"),
                self._line("buy", "power", "buy_per_kwh"),
            ],
            zero=True,
        )
        carbon = Panel(
            "CO2 of the grid, g per kWh",
            [self._line("as told", "power", "co2_g_per_kwh")],
            zero=True,
        )
        hertz = Panel(
            "Frequency, Hz", [self._line("measured", "power", "frequency_hz")]
        )
        return [p for p in (power, soc, grid, price, carbon, hertz) if p.values()]

    def _runs(self, name: str) -> list[list[tuple[float, float]]]:
        return self._traces[name].runs

    def _line(self, label: str, css: str, name: str) -> Line:
        return Line(label, css, self._runs(name))

    def _count(self, row: Row) -> None:
        sums, last = self.sums, self._last
        sums.samples += 1
        sums.first_ms = row["utc_ms"] if sums.first_ms is None else sums.first_ms
        sums.last_ms = row["utc_ms"]
        power_w = row["power_w"]
        if power_w is not None:
            sums.power_max_w = max(sums.power_max_w, power_w)
            sums.power_min_w = min(sums.power_min_w, power_w)
        if last is None or not 0 < row["utc_ms"] - last["utc_ms"] <= _LONGEST_STEP_MS:
            return
        step_s = (row["utc_ms"] - last["utc_ms"]) / 1000.0
        sums.recorded_s += step_s
        sums.clock_not_set_s += step_s if row["clock"] != "trusted" else 0.0
        parts = sums.by_source.setdefault(row["source"], [0.0, 0.0, 0.0])
        parts[0] += step_s
        moved = [0.0, 0.0]
        for n, name in enumerate(("import_wh", "export_wh")):
            if row[name] is not None and last[name] is not None:
                moved[n] = counted_wh(last[name], row[name], step_s) or 0.0
                parts[n + 1] += moved[n]
        sums.carbon.add(step_s, moved[0], moved[1], row["co2_g_per_kwh"])
        sums.import_wh = sum(p[1] for p in sums.by_source.values())
        sums.export_wh = sum(p[2] for p in sums.by_source.values())
        flowed = abs(row["setpoint_w"] or 0.0) > 0.0
        if flowed and power_w is not None:
            sums.error_w2_s += (power_w - row["setpoint_w"]) ** 2 * step_s
            sums.error_s += step_s


def pictures(rows: Iterable[Row], begin_ms: int, end_ms: int) -> dict[int, Picture]:
    """By EVSE. Rows come in the order they were written."""
    found: dict[int, Picture] = {}
    for row in rows:
        evse_id = row["evse_id"]
        if evse_id not in found:
            found[evse_id] = Picture(begin_ms, end_ms)
        found[evse_id].add(row)
    return dict(sorted(found.items()))


def page(
    title: str,
    found: dict[int, Picture],
    sessions: Sequence[Record],
    zone: tzinfo,
) -> str:
    """The whole page. `sessions`: settlement records of sessions to list."""
    body = [f"<h1>{html.escape(title)}</h1>"]
    for evse_id, picture in found.items():
        begin, end = (
            datetime.fromtimestamp(ms / 1000.0, zone)
            for ms in (picture.begin_ms, picture.end_ms)
        )
        body.append(
            f"<h2>EVSE {evse_id}</h2><p>{begin:%Y-%m-%d %H:%M:%S} to "
            f"{end:%Y-%m-%d %H:%M:%S} ({html.escape(begin.tzname() or '')})</p>"
        )
        body.append(_facts(picture.sums))
        body += [
            svg(panel, picture.begin_ms, picture.end_ms, zone)
            for panel in picture.panels()
        ]
        body.append(_deciders(picture.sums))
        if picture.sums.carbon.known_s > 0.0:
            body.append(f"<p>{METHOD}</p>")
    if not found:
        body.append("<p>Nothing was recorded in this time.</p>")
    if sessions:
        body.append(_sessions(sessions, zone))
    return document(title, "".join(body))


def _facts(sums: Sums) -> str:
    told = sums.told()
    rms = told["tracking_rms_w"]
    shown = [
        ("into the vehicle", f"{told['import_wh'] / 1000.0:.2f} kWh"),
        ("out of it", f"{told['export_wh'] / 1000.0:.2f} kWh"),
        ("highest", f"{told['power_max_w'] / 1000.0:.2f} kW"),
        ("lowest", f"{told['power_min_w'] / 1000.0:.2f} kW"),
        ("off the command (rms)", "-" if rms is None else f"{rms} W"),
        ("recorded", _time(told["recorded_s"])),
    ]
    if told["co2"] is not None:
        shown += _carbon_facts(sums.carbon)
    if sums.clock_not_set_s:
        shown.append(("clock not set", _time(sums.clock_not_set_s)))
    return facts(shown)


def _carbon_facts(carbon: Carbon) -> list[tuple[str, str]]:
    """Of energy whose grid's intensity was known."""
    avoided_g = carbon.avoided_g or 0.0
    net_g = carbon.import_g - carbon.export_g
    return [
        ("CO2, in less out", f"{net_g / 1000.0:.2f} kg"),
        ("CO2 avoided by its timing", f"{avoided_g / 1000.0:.2f} kg"),
    ]


def _deciders(sums: Sums) -> str:
    rows = [
        (source, _time(parts["seconds"]), *_energies(parts))
        for source, parts in sums.told()["by_source"].items()
    ]
    return table(("decided by", "for", "in", "out"), rows)


def _sessions(sessions: Sequence[Record], zone: tzinfo) -> str:
    rows = []
    for record in sessions:
        begin, end = (
            datetime.fromisoformat(record[key]).astimezone(zone)
            for key in ("from_utc", "to_utc")
        )
        soc = [record["soc_begin_pct"], record["soc_end_pct"]]
        change = "-" if None in soc else f"{soc[0]:g} to {soc[1]:g} %"
        rows.append(
            (
                record["session_id"],
                str(record["evse_id"]),
                f"{begin:%m-%d %H:%M:%S}",
                f"{end:%m-%d %H:%M:%S}",
                *_energies(record),
                change,
                record["reason"] or "-",
                _signed(record),
            )
        )
    names = ("session", "EVSE", "from", "to", "in", "out", "SoC", "ended by", "meter")
    return "<h2>Sessions that ended</h2>" + table(names, rows)


def _signed(record: Record) -> str:
    """Whether the meter's own signature of it holds."""
    good, wrong = check(record)
    if wrong:
        return f"WRONG SIGNATURE: {wrong}"
    return "signed, holds" if good else record.get("signature_fault") or "signs nothing"


def _time(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _energies(parts: dict[str, Any]) -> tuple[str, str]:
    return f"{parts['import_wh']:.0f} Wh", f"{parts['export_wh']:.0f} Wh"
