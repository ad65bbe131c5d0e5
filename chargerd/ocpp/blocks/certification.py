"""Test components of 2.1: a frequency to act on, and samples of what came of it.

Owns FrequencySimulator and DataCollector of each EVSE. A simulated frequency is a lease
like any signal: without this program it is gone. The samples go to a file beside the
loop (`jobs/samples.py`), for GetLog(DataCollectorLog).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from chargerd.clock import Now
from chargerd.model import EvseReport, FrequencyTest
from chargerd.ocpp.blocks.block import Block, Guard
from chargerd.ocpp.blocks.desk import Desk, EvseView, stamp
from chargerd.ocpp.blocks.metering import meter_value
from chargerd.ocpp.effects import OcppError
from chargerd.ocpp.jobs.samples import AppendSamples
from chargerd.ocpp.profiles import parse_time
from chargerd.ocpp.variable import Refused, Variable

SIMULATOR, COLLECTOR = "FrequencySimulator", "DataCollector"
HERTZ = (40.0, 70.0)
LEASE_S = 5.0  # told again before it ends
MOST_WAITING = 20_000  # samples that have not reached the file
Schedule = tuple[tuple[float, float], ...]  # (seconds from Start, Hz)


class Certification(Block):
    """Does nothing at all where the components are not configured."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._on = desk.config.ocpp.test_components
        self._due_mono = math.inf
        self._next_mono: dict[int, float] = {}  # the next sample, by EVSE
        self._rows: list[str] = []
        self._writing = False

    def guards(self) -> Mapping[str, Guard]:
        return {
            f"{SIMULATOR}.DateTime": _check_time,
            f"{COLLECTOR}.DateTime": _check_time,
            f"{SIMULATOR}.FrequencySchedule": _check_schedule,
        }

    def variable_set(self, variable: Variable, now: Now) -> None:
        if variable.row.component == SIMULATOR:
            self._simulate(now)

    def begin(self, now: Now) -> None:
        self._simulate(now)

    def next_timer(self) -> float:
        return self._due_mono

    def on_timer(self, now: Now) -> None:
        if now.mono >= self._due_mono:
            self._simulate(now)

    def _text(self, component: str, variable: str, evse_id: int, inst: str = "") -> str:
        return self._desk.model.text(component, variable, inst, evse_id)

    def _window_s(self, component: str, evse_id: int) -> tuple[float, float] | None:
        """Start and End, None while it is off or says none."""
        if self._text(component, "Enabled", evse_id) != "true":
            return None
        times = [
            self._text(component, "DateTime", evse_id, name)
            for name in ("Start", "End")
        ]
        if not all(times):
            return None
        start, end = (parse_time(text).timestamp() for text in times)
        return start, end

    # The frequency.

    def _simulate(self, now: Now) -> None:
        """Tell the heart what holds now, and come back when it changes."""
        self._due_mono = math.inf
        if not self._on:
            return
        now_s = now.utc.timestamp()
        for evse_id in self._desk.evses:
            hertz, change_s = self._hertz(evse_id, now_s)
            due_mono = now.mono + (change_s - now_s)
            if hertz is None:
                self._desk.ask(FrequencyTest(evse_id, None, now.mono))
            else:
                until_mono = min(due_mono, now.mono + LEASE_S)
                self._desk.ask(FrequencyTest(evse_id, hertz, until_mono))
                due_mono = min(due_mono, now.mono + LEASE_S / 2.0)
            self._due_mono = min(self._due_mono, due_mono)

    def _hertz(self, evse_id: int, now_s: float) -> tuple[float | None, float]:
        """What is simulated, and until when (POSIX) that is so."""
        window = self._window_s(SIMULATOR, evse_id)
        schedule = _schedule(self._text(SIMULATOR, "FrequencySchedule", evse_id))
        if window is None or not schedule or now_s >= window[1]:
            return None, math.inf
        hertz, change_s = None, window[1]
        for start, value in schedule:
            if now_s < window[0] + start:
                return hertz, min(window[0] + start, window[1])
            hertz = value
        return hertz, change_s

    # The samples.

    def observe(self, view: EvseView, report: EvseReport, now: Now) -> None:
        if not self._on:
            return
        evse_id = view.config.id
        if now.mono < self._next_mono.get(evse_id, -math.inf):
            return
        window = self._window_s(COLLECTOR, evse_id)
        if window is None or not window[0] <= now.utc.timestamp() < window[1]:
            return
        every_s = float(self._text(COLLECTOR, "SamplingInterval", evse_id))
        before = self._next_mono.get(evse_id, now.mono)
        self._next_mono[evse_id] = max(before + every_s, now.mono)
        names = self._desk.model.members(COLLECTOR, "SampledMeasurands", evse_id)
        self._rows += _rows(evse_id, report, names, now)
        del self._rows[:-MOST_WAITING]

    def on_second(self, now: Now) -> None:
        if not self._rows or self._writing:
            return
        rows, self._rows = tuple(self._rows), []
        self._writing = True
        self._desk.work(AppendSamples(rows), self._written)

    def _written(self, value: Any, now: Now) -> None:
        """Also when it failed: then these samples are lost, and the log says why."""
        self._writing = False


def _rows(evse_id: int, report: EvseReport, names: list[str], now: Now) -> list[str]:
    """CSV: time, EVSE, measurand, phase, value. The frequency is the one acted on."""
    hertz = report.snapshot.site.frequency_hz
    found = []
    if "Frequency" in names and hertz is not None:
        found.append(f"{stamp(now.utc)},{evse_id},Frequency,,{hertz:.4f}")
    rest = [name for name in names if name != "Frequency"]
    value = meter_value(report, rest, "Sample.Periodic", now) or {}
    for sample in value.get("sampledValue", ()):
        phase, number = sample.get("phase", ""), sample["value"]
        at = stamp(now.utc)
        found.append(f"{at},{evse_id},{sample['measurand']},{phase},{number}")
    return found


def _check_time(variable: Variable, value: str) -> Refused | None:
    try:
        parse_time(value)
    except OcppError as error:
        return Refused("Rejected", "InvalidValue", str(error))
    return None


def _check_schedule(variable: Variable, value: str) -> Refused | None:
    if _schedule(value):
        return None
    text = 'use a list like [{"time": 0, "freq": 50.0}], ascending, 40 to 70 Hz'
    return Refused("Rejected", "InvalidValue", text)


def _schedule(text: str) -> Schedule:
    """Empty for what is none."""
    try:
        pairs = tuple((float(p["time"]), float(p["freq"])) for p in json.loads(text))
    except (ValueError, TypeError, KeyError, RecursionError):
        return ()
    starts = [start for start, _ in pairs]
    fits = all(HERTZ[0] <= hertz <= HERTZ[1] for _, hertz in pairs)
    ascends = all(a < b for a, b in pairwise(starts))
    finite = all(0.0 <= start <= 1e9 for start in starts)
    return pairs if fits and ascends and finite else ()
