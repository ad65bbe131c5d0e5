"""Commands over MQTT: topic, payload and now -> DispatchSignal or Request.

Pure. Every command has a life; a refused one raises `Refused` and changes nothing. Must
never let a retained, late or repeated message act again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chargerd.clock import Now
from chargerd.config import Evse
from chargerd.config_grid import Mqtt
from chargerd.grid.mqtt_words import Refused, number, read, truth, utc
from chargerd.grid.peers import Rate
from chargerd.model import (
    AvailabilityRequest,
    DispatchSignal,
    OperationMode,
    Priority,
    PromiseRequest,
    Request,
    Segment,
    StartRequest,
    StopReason,
    StopRequest,
    Token,
)

MAX_PROMISE_S = 7 * 86_400.0
FUTURE_S = 60.0  # a sender's clock may be this much ahead
_LIFE = frozenset({"value", "ttl_s", "sent_utc"})
_PROMISE = frozenset(
    {"value", "sent_utc", "departure_utc", "departure_in_s", "soc_pct", "floor_soc_pct"}
)
# evcc's and Home Assistant's words beside ours.
_MODES = {
    "auto": "auto",
    "charge": "charge",
    "now": "charge",
    "discharge": "discharge",
    "pause": "pause",
    "off": "pause",
    "balance": "balance",
    "pv": "balance",
    "minpv": "balance",
    "smart": "balance",
}
MODES = ("auto", "charge", "discharge", "pause", "balance")


class Commands:
    """What was commanded so far: enough to refuse floods and repeats."""

    def __init__(self, config: Mqtt, evses: tuple[Evse, ...]) -> None:
        self._config = config
        self._evses = {evse.id: evse for evse in evses}
        self._rate = Rate(config.commands_per_s)
        self._sent: dict[tuple[int, str], float] = {}  # newest sent_utc, POSIX

    def receive(
        self, evse_id: int, name: str, payload: bytes, now: Now, *, retained: bool
    ) -> DispatchSignal | Request:
        """One message to `.../evse/<evse_id>/<name>/set`. Raises Refused.

        A signal whose life is over withdraws the last one of its source.
        """
        if evse_id and evse_id not in self._evses:
            raise Refused("unknown", f"no EVSE {evse_id}")
        if retained:
            raise Refused("retained", "a retained command would act at every connect")
        self.admit(name, evse_id, now.mono)
        keys = _PROMISE if name == "promise" else _LIFE
        values = read(payload, keys)
        age_s = self._age_s(evse_id, name, values, now)
        match name:
            case "promise":
                return self._promise(evse_id, values, now)
            case "session":
                return self._session(evse_id, values)
            case "operative":
                return AvailabilityRequest(evse_id, truth(values, "value"))
        return self._dispatch(evse_id, name, values, age_s, now)

    def admit(self, name: str, evse_id: int, now_mono: float) -> None:
        """Raises Refused for what may not be commanded, or not so often."""
        if name not in self._config.commands:
            raise Refused("unauthorised", f"{name[:40]!r} is not in grid.mqtt.commands")
        if not self._rate.take(str(evse_id), now_mono):
            rate = self._config.commands_per_s
            raise Refused("flood", f"more than {rate:g} commands a second")

    def _age_s(
        self, evse_id: int, name: str, values: Mapping[str, Any], now: Now
    ) -> float:
        """Seconds since it was sent; 0 where the sender says nothing, or the time of
        day is not known here. A stamp that is not newer than the last is a repeat."""
        if "sent_utc" not in values:
            return 0.0
        sent = utc(values, "sent_utc")
        stamp = sent.timestamp()
        age_s = (now.utc - sent).total_seconds()
        if now.trusted and age_s < -FUTURE_S:
            raise Refused("stale", f"sent {-age_s:.0f} s in the future")
        if now.trusted and age_s > self._config.ttl_max_s:
            raise Refused("stale", f"sent {age_s:.0f} s ago")
        last = self._sent.get((evse_id, name), float("-inf"))
        if now.trusted and last > now.utc.timestamp() + FUTURE_S:
            last = float("-inf")  # taken while the time of day was unknown
        if stamp <= last:
            raise Refused("replayed", "not newer than the last one")
        self._sent[evse_id, name] = stamp
        return max(0.0, age_s) if now.trusted else 0.0

    def _dispatch(
        self,
        evse_id: int,
        name: str,
        values: Mapping[str, Any],
        age_s: float,
        now: Now,
    ) -> DispatchSignal:
        ttl_s = self._config.ttl_s
        if "ttl_s" in values:
            ttl_s = number(values, "ttl_s", 0.0, self._config.ttl_max_s)
        if age_s > 0.0 and age_s >= ttl_s:
            raise Refused("stale", f"sent {age_s:.0f} s ago, to live {ttl_s:.0f} s")
        segment = self._segment(evse_id, name, values, now.mono)
        # A mode and a setpoint are the same wish: the newest of both counts.
        wish = "setpoint" if name == "mode" else name[:-2] if "_" in name else name
        ends = now.mono + ttl_s - age_s if segment is not None else now.mono
        return DispatchSignal(
            source=f"mqtt.{wish}",
            evse_id=evse_id,
            priority=Priority.LOCAL,
            segments=(segment,) if segment is not None else (),
            received_mono=now.mono,
            valid_until_mono=ends,
        )

    def _segment(
        self, evse_id: int, name: str, values: Mapping[str, Any], start: float
    ) -> Segment | None:
        """What to do, None = nothing more: withdraw."""
        if name == "mode":
            return self._mode(evse_id, values, start)
        if name == "enable":
            if truth(values, "value"):
                return None
            return Segment(start, OperationMode.IDLE, limit_w=0.0, discharge_limit_w=0)
        if values.get("value", 0) is None:
            return None
        charge_w, discharge_w = self._ratings(evse_id)
        external = OperationMode.EXTERNAL_LIMITS
        match name:
            case "setpoint_w":
                power_w = number(values, "value", -discharge_w, charge_w)
                mode = OperationMode.EXTERNAL_SETPOINT
                return Segment(start, mode, setpoint_w=power_w)
            case "charge_limit_w":
                limit_w = number(values, "value", 0.0, 2e6)
                return Segment(start, external, limit_w=limit_w)
            case "discharge_limit_w":  # a magnitude on this wire
                limit_w = number(values, "value", 0.0, 2e6)
                return Segment(start, external, discharge_limit_w=-limit_w)
            case "generation_w":
                made_w = number(values, "value", 0.0, 2e6)
                return Segment(start, external, generation_w=made_w)
        current_a = number(values, "value", 0.0, 2000.0)
        limit_w = current_a * self._volts(evse_id)
        return Segment(start, external, limit_w=limit_w)

    def _mode(
        self, evse_id: int, values: Mapping[str, Any], start: float
    ) -> Segment | None:
        word = values.get("value")
        mode = _MODES.get(word.lower()) if isinstance(word, str) else None
        charge_w, discharge_w = self._ratings(evse_id)
        match mode:
            case "auto":
                return None
            case "charge":
                only = OperationMode.CHARGING_ONLY
                return Segment(start, only, setpoint_w=charge_w)
            case "discharge":
                external = OperationMode.EXTERNAL_SETPOINT
                return Segment(start, external, setpoint_w=-discharge_w)
            case "pause":
                return Segment(start, OperationMode.IDLE)
            case "balance":
                balance = OperationMode.LOCAL_LOAD_BALANCING
                return Segment(start, balance, follow_w=0.0)
        raise Refused("malformed", f"mode must be one of {', '.join(MODES)}")

    def _ratings(self, evse_id: int) -> tuple[float, float]:
        """What may be asked of this EVSE, or of all: magnitudes."""
        asked = [e for e in self._evses.values() if evse_id in (0, e.id)]
        return sum(e.charge_w for e in asked), sum(e.discharge_w for e in asked)

    def _volts(self, evse_id: int) -> float:
        """Per ampere of each phase."""
        evse = self._evses.get(evse_id)
        if evse is None:
            raise Refused("range", "max_current_a needs an EVSE, not 0")
        return evse.ac_voltage_v * evse.ac_phases

    def _promise(
        self, evse_id: int, values: Mapping[str, Any], now: Now
    ) -> PromiseRequest:
        if not evse_id:
            raise Refused("range", "a promise needs an EVSE, not 0")
        if "value" in values:
            if values["value"] is None and values.keys() <= {"value", "sent_utc"}:
                return PromiseRequest(evse_id, None)
            raise Refused("contradictory", "value may only be null, alone: no promise")
        if ("departure_utc" in values) == ("departure_in_s" in values):
            raise Refused("contradictory", "give departure_utc or departure_in_s")
        if "departure_utc" in values:
            if not now.trusted:
                raise Refused("clock", "the time of day is not known; departure_in_s")
            departure_mono = now.mono_at(utc(values, "departure_utc"))
            if not 0.0 < departure_mono - now.mono <= MAX_PROMISE_S:
                raise Refused("range", "departure_utc is past, or over 7 days away")
        else:
            seconds = number(values, "departure_in_s", 1.0, MAX_PROMISE_S)
            departure_mono = now.mono + seconds
        floor = None
        if values.get("floor_soc_pct") is not None:
            floor = number(values, "floor_soc_pct", 0.0, 100.0)
        soc_pct = number(values, "soc_pct", 0.0, 100.0)
        return PromiseRequest(evse_id, departure_mono, soc_pct, floor)

    def _session(self, evse_id: int, values: Mapping[str, Any]) -> Request:
        word = values.get("value")
        if word == "stop":
            return StopRequest(evse_id, StopReason.LOCAL)
        if word == "start" and evse_id:
            return StartRequest(evse_id, Token("mqtt", "Local"))
        raise Refused("malformed", "session takes start (of one EVSE) or stop")
