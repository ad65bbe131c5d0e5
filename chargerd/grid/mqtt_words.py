"""MQTT payloads: what we say of an EVSE, and bytes from anybody into checked values.

Pure. Must never raise anything but `Refused`, and never say a token or a vehicle's id.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from chargerd.faults import lookup
from chargerd.grid.errors import GridError
from chargerd.model import EvseReport, Flexibility, Promise, SessionPhase

MAX_BYTES = 4096
_WORD = re.compile(r"[A-Za-z_]{1,24}")
Json = dict[str, Any]


class Refused(GridError):
    """A message that is not followed. `reason` is the counter's name."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def read(payload: bytes, keys: frozenset[str], *, most: int = MAX_BYTES) -> Json:
    """A command as {"value": ..., "ttl_s": ..., ...}: `keys` are those it may have.

    A bare number, truth value or word is its value. Twice the same key, unknown keys,
    NaN and infinity are refused.
    """
    if len(payload) > most:
        raise Refused("size", f"{len(payload)} bytes, over {most}")
    try:
        text = payload.decode("utf-8").strip()
        if _WORD.fullmatch(text) and text not in ("true", "false", "null"):
            return {"value": text}
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Refused("malformed", "neither a word, a number nor JSON") from None
    if not isinstance(found, dict):
        found = {"value": found}
    strange = sorted(found.keys() - keys)
    if strange:
        raise Refused("malformed", f"unknown key {strange[0][:40]!r}; known: {keys}")
    return found


def _once(pairs: list[tuple[str, Any]]) -> Json:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Refused("contradictory", "the same key twice")
    return found


def _no_number(text: str) -> Any:
    raise Refused("range", f"{text} is no number to follow")


def number(values: Mapping[str, Any], key: str, low: float, high: float) -> float:
    """A finite number in [low, high]; text such as "16" counts (evcc sends it so)."""
    value = values.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused("malformed", f"{key} must be a number")
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found) or not low <= found <= high:
        raise Refused("range", f"{key} is not in {low:g}..{high:g}")
    return found


def utc(values: Mapping[str, Any], key: str) -> datetime:
    """An ISO 8601 time with its offset, of this century."""
    value = values.get(key)
    if not isinstance(value, str) or len(value) > 40:
        raise Refused("malformed", f'{key} must be text, e.g. "2026-11-25T07:30:00Z"')
    try:
        found = datetime.fromisoformat(value)
        offset = found.utcoffset()
        moment = found.astimezone(UTC) if offset is not None else None
    except (ValueError, OverflowError):
        moment = None
    if moment is None or not 2020 <= moment.year < 2100:
        raise Refused("malformed", f"{key} needs date, time and offset (or Z)")
    return moment


def truth(values: Mapping[str, Any], key: str) -> bool:
    """Home Assistant says ON and OFF, evcc true and false or 1 and 0."""
    value = values.get(key)
    if isinstance(value, str):
        value = value.lower()
    for word, meant in (("on", True), ("true", True), ("off", False), ("false", False)):
        if value == word:
            return meant
    if value is True or value is False or value in (0, 1):
        return bool(value)
    raise Refused("malformed", f"{key} must be ON or OFF")


def state(report: EvseReport) -> Json:
    """The newest of one EVSE, flat where it can be. None = not known."""
    snapshot, decision = report.snapshot, report.decision
    session, vehicle = snapshot.session, snapshot.vehicle
    meter, pilot = snapshot.telemetry.meter, snapshot.telemetry.pilot
    now = snapshot.now
    return {
        "utc": now.utc.isoformat(timespec="milliseconds"),
        "clock_trusted": now.trusted,
        "status": _status(report),
        "pilot_state": pilot.value.pilot_state.value if pilot else None,
        "phase": session.phase.value,
        "authorised": session.authorised,
        "operative": snapshot.operative,
        "vehicle": vehicle.protocol,
        "soc_pct": vehicle.soc_pct,
        "power_w": _round(meter.value.power_w) if meter else None,
        "meter_age_s": round(meter.age_s(now.mono), 2) if meter else None,
        "setpoint_w": _round(decision.power_w),
        "wanted_w": _round(decision.wanted_w),
        "low_w": _round(decision.low_w),
        "high_w": _round(decision.high_w),
        "mode": decision.mode.value,
        "source": decision.source,
        "energy_in_wh": round(session.energy_in_wh, 1),
        "energy_out_wh": round(session.energy_out_wh, 1),
        "faults": [fault.name for fault in snapshot.faults],
        "promise": _promise(session.promise, report),
        "flexibility": _flexibility(report.flexibility, now.mono),
    }


def _status(report: EvseReport) -> str:
    """evcc's letters, also for plugs without a control pilot: A no vehicle, B
    connected, C power may flow, F a fault stops power."""
    if any(lookup(fault.name).stops_power for fault in report.snapshot.faults):
        return "F"
    phase = report.snapshot.session.phase
    if phase is SessionPhase.IDLE:
        return "A"
    return "C" if phase is SessionPhase.ENERGY else "B"


def _round(value: float) -> float | None:
    return round(value, 1) if math.isfinite(value) else None


def _promise(promise: Promise | None, report: EvseReport) -> Json | None:
    if promise is None:
        return None
    departure = report.snapshot.now.utc_at(promise.departure_mono)
    return {
        "departure_utc": departure.isoformat(timespec="seconds"),
        "target_soc_pct": promise.target_soc_pct,
        "reachable_soc_pct": promise.reachable_soc_pct,
        "forced": promise.forced,
    }


def _flexibility(value: Flexibility | None, now_mono: float) -> Json | None:
    if value is None:
        return None
    return {
        "up_w": _round(value.up_w),
        "down_w": _round(value.down_w),
        "reserve_up_w": _round(value.reserve_up_w),
        "reserve_down_w": _round(value.reserve_down_w),
        "up_wh": _round(value.up_wh),
        "down_wh": _round(value.down_wh),
        "until_s": _round(value.until_mono - now_mono),
    }


def text(value: Any) -> bytes:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
