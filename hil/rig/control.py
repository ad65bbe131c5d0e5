"""The control socket: one JSON object a line, each answered (docs/bench.md).

Checks every argument and refuses with a text that says what would be right. A bad line
must never end the connection's loop, nor the rig.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from hil.rig.evse import EvseRig
from hil.rig.faults import RigError
from hil.rig.peers import Peers
from hil.rig.rig import Rig

LINE_MAX = 65_536
VERBS: Mapping[str, str] = {
    "plug_in": "connector, ev (iso15118|chademo|basic|external), soc, capacity_wh, ...",
    "plug_out": "connector",
    "pause": "connector: the vehicle takes a break",
    "resume": "connector: it goes on",
    "swipe": "token (uid in hex, or text), connectors (list)",
    "pilot": "connector, state A to F, contactor, power_w (AC): an external vehicle",
    "ws": "up (bool), how (cut|freeze): the link to the CSMS",
    "diode_fail": "connector, on",
    "error": "error (name), on, connector",
    "grid": "frequency_hz, voltage_v",
    "load": "power_w: the house",
    "fault": "device, kind, on, seconds, ...; device all with on=false clears",
    "state": "everything the rig knows",
    "help": "this",
}
KEYS: Mapping[str, tuple[str, ...]] = {  # plug_in and fault: what is made may take more
    "plug_out": ("connector",),
    "pause": ("connector",),
    "resume": ("connector",),
    "swipe": ("token", "connectors"),
    "pilot": ("connector", "state", "contactor", "power_w"),
    "ws": ("up", "how"),
    "diode_fail": ("connector", "on"),
    "error": ("error", "on", "connector"),
    "grid": ("frequency_hz", "voltage_v"),
    "load": ("power_w",),
    "state": (),
    "help": (),
}
ERRORS: Mapping[str, tuple[str, str, Mapping[str, float]]] = {
    # name: device at the EVSE, its fault kind, arguments
    "ConnectorLockFailure": ("mcu", "lock_jammed", {}),
    "GroundFailure": ("mcu", "rcm", {}),
    "HighTemperature": ("stage", "over_temperature", {}),
    "OverCurrentFailure": ("stage", "output_short", {}),
    "OverVoltage": ("stage", "over_voltage", {}),
    "EmergencyStop": ("mcu", "emergency_stop", {}),
    "CableCheckFault": ("insulation", "device_error", {}),
    "PilotFault": ("mcu", "pilot_invalid", {}),
    "PowerLoss": ("mains", "off", {}),
    "EVContactorFault": ("ev", "weld", {}),
    "EVSEContactorFault": ("contactor", "dc_weld", {}),
    "CableOverTempDerate": ("mcu", "temperature", {"celsius": 85.0}),
    "CableOverTempStop": ("mcu", "temperature", {"celsius": 110.0}),
    "ResistanceFault": ("insulation", "resistance", {"ohm": 20_000.0}),
    "ProximityFault": ("mcu", "pp_invalid", {}),
    "DiodeFault": ("mcu", "diode", {}),
    "StageFault": ("stage", "module_fault", {}),
    "StageLost": ("stage", "comm_loss", {}),
    "PilotLost": ("mcu", "comm_loss", {}),
    "MeterLost": ("meter", "comm_loss", {}),
    "MeterFrozen": ("meter", "frozen", {}),
    "InsulationLost": ("insulation", "comm_loss", {}),
}
Answer = dict[str, Any]
Verb = Callable[[Mapping[str, Any]], Answer | Awaitable[Answer]]


class Control:
    """Verbs of one rig. `handle` raises RigError for what is refused."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self._path = rig.bench.dir / "control.sock"
        self._peers = Peers()
        self._server: asyncio.Server | None = None
        self._verbs: Mapping[str, Verb] = {
            "plug_in": self._plug_in,
            "plug_out": self._plug_out,
            "pause": lambda q: self._vehicle(q, "pause"),
            "resume": lambda q: self._vehicle(q, "resume"),
            "swipe": self._swipe,
            "pilot": self._pilot,
            "ws": self._ws,
            "diode_fail": lambda q: self._error({"error": "DiodeFault", **q}),
            "error": self._error,
            "grid": self._grid,
            "load": self._load,
            "fault": self._fault,
            "state": lambda _: self.rig.state(),
            "help": lambda _: self._help(),
        }

    async def handle(self, line: bytes) -> Answer:
        """The answer to one line."""
        number: Any = None
        try:
            question = json.loads(line)
            if not isinstance(question, dict):
                raise RigError("a JSON object is needed")  # noqa: TRY301
            number = question.get("id")
            answer = {"ok": True, **await self._do(question)}
        except (RigError, ValueError, RecursionError) as error:
            answer = {"ok": False, "error": str(error) or type(error).__name__}
        return answer if number is None else {**answer, "id": number}

    async def _do(self, question: Mapping[str, Any]) -> Answer:
        name = question.get("verb")
        if not isinstance(name, str) or name not in self._verbs:
            raise RigError(f"unknown verb {name!r}; use one of {sorted(VERBS)}")
        known = {"verb", "id", *KEYS.get(name, question)}
        if unknown := sorted(question.keys() - known):
            raise RigError(f"{name} takes no {unknown[0]!r}; it takes {VERBS[name]}")
        answer = self._verbs[name](question)
        done = answer if isinstance(answer, dict) else await answer
        if name not in ("state", "help"):
            facts = {k: v for k, v in question.items() if k not in ("verb", "id")}
            self.rig.trace.event("verb", verb=name, args=facts)
        return done

    # -- arguments --------------------------------------------------------------

    def _evse(self, question: Mapping[str, Any]) -> EvseRig:
        """The EVSE of `connector`; the first one when it is left out."""
        number = question.get("connector", min(self.rig.evses))
        if isinstance(number, bool) or not isinstance(number, int):
            raise RigError(f"connector={number!r} must be an EVSE number")
        return self.rig.evse(number)

    # -- verbs ------------------------------------------------------------------

    def _plug_in(self, question: Mapping[str, Any]) -> Answer:
        evse = self._evse(question)
        kind = question.get("ev", "chademo")
        taken = ("verb", "id", "connector", "ev")
        options = {k: v for k, v in question.items() if k not in taken}
        options.setdefault("seed", self.rig.seed + evse.id)
        if kind == "iso15118":
            options = {**dataclasses.asdict(evse.v2g), **options}
        try:
            ev = self.rig.make_ev(kind, **options)
        except (TypeError, ValueError) as error:
            raise RigError(f"plug_in: {error}") from error
        evse.plug_in(ev)
        return {"connector": evse.id, "ev": ev.kind}

    def _plug_out(self, question: Mapping[str, Any]) -> Answer:
        evse = self._evse(question)
        return {"connector": evse.id, "forced": evse.plug_out()}

    def _vehicle(self, question: Mapping[str, Any], what: str) -> Answer:
        evse = self._evse(question)
        if evse.ev is None:
            raise RigError(f"connector {evse.id} has no vehicle; plug_in first")
        if what == "pause":
            evse.ev.pause()
        else:
            evse.ev.resume()
        return {"connector": evse.id}

    def _swipe(self, question: Mapping[str, Any]) -> Answer:
        token = question.get("token")
        listed = question.get("connectors", sorted(self.rig.evses))
        text = isinstance(token, str) and token.isascii() and token.isprintable()
        if not text or not 2 <= len(str(token)) <= 36:
            raise RigError("swipe: token must be 2 to 36 characters, e.g. 04A2B3C4")
        if not isinstance(listed, list) or not listed:
            raise RigError("swipe: connectors must be a list of EVSE numbers")
        evses = [self._evse({"connector": number}) for number in listed]
        evse = next((e for e in evses if e.waiting()), evses[0])
        self.rig.swipe(evse.id, str(token))
        return {"connector": evse.id}

    def _pilot(self, question: Mapping[str, Any]) -> Answer:
        evse = self._evse(question)
        state = question.get("state")
        if not isinstance(state, str) or state not in tuple("ABCDEF"):
            raise RigError(f"pilot: state={state!r} must be one of A to F")
        setter = getattr(evse.ev, "set_pilot", None)
        if setter is None:
            raise RigError(
                f"connector {evse.id} has no external vehicle; plug_in ev=external"
            )
        contactor = question.get("contactor")
        if contactor is not None and not isinstance(contactor, bool):
            raise RigError(f"pilot: contactor={contactor!r} must be true or false")
        power_w = None
        if "power_w" in question:
            power_w = _number(question, "power_w", 0.0, -22_000, 22_000)
        setter(state, contactor, power_w)
        return {"connector": evse.id, "state": state}

    async def _ws(self, question: Mapping[str, Any]) -> Answer:
        up = _flag(question, "up", None)
        return await self.rig.link.set(up, str(question.get("how", "cut")))

    def _error(self, question: Mapping[str, Any]) -> Answer:
        name = question.get("error")
        if not isinstance(name, str) or name not in ERRORS:
            raise RigError(f"unknown error {name!r}; use one of {sorted(ERRORS)}")
        evse, on = self._evse(question), _flag(question, "on", True)
        device, kind, args = ERRORS[name]
        self._set(f"evse{evse.id}-{device}", kind, on, dict(args) if on else {})
        return {"connector": evse.id, "error": name, "on": on}

    def _fault(self, question: Mapping[str, Any]) -> Answer:
        device, kind = str(question.get("device")), str(question.get("kind"))
        on = _flag(question, "on", True)
        if device == "all" and not on:
            for faults in self.rig.devices().values():
                faults.active.clear()
            return {"device": device, "on": on}
        taken = ("verb", "id", "device", "kind", "on")
        args = {k: v for k, v in question.items() if k not in taken}
        self._set(device, kind, on, args)
        return {"device": device, "kind": kind, "on": on}

    def _set(self, device: str, kind: str, on: bool, args: dict[str, Any]) -> None:
        """A fault of the hardware, or of the vehicle model as device `evseN-ev`."""
        for evse in self.rig.evses.values():
            if device == f"evse{evse.id}-ev":
                if evse.ev is None:
                    raise RigError(f"connector {evse.id} has no vehicle; plug_in first")
                try:
                    evse.ev.fault(kind, on, **args)
                except (TypeError, ValueError) as error:
                    raise RigError(f"{device}: {error}") from error
                return
        self.rig.fault(device, kind, on, args)

    def _grid(self, question: Mapping[str, Any]) -> Answer:
        grid = self.rig.grid
        grid_hz = _number(question, "frequency_hz", grid.frequency_hz, 0, 100)
        grid_v = _number(question, "voltage_v", grid.voltage_v, 0, 400)
        grid.frequency_hz, grid.voltage_v = grid_hz, grid_v
        return {"frequency_hz": grid_hz, "voltage_v": grid_v}

    def _load(self, question: Mapping[str, Any]) -> Answer:
        watts = _number(question, "power_w", None, -100_000, 100_000)
        self.rig.grid.house_load_w = watts
        return {"power_w": watts}

    def _help(self) -> Answer:
        return {
            "verbs": dict(VERBS),
            "errors": sorted(ERRORS),
            "devices": {n: dict(f.kinds) for n, f in self.rig.devices().items()}
            | {
                f"evse{n}-ev": {"...": "the vehicle model's own kinds"}
                for n in self.rig.evses
            },
        }

    # -- the socket -------------------------------------------------------------

    async def open(self) -> None:
        """Open control.sock, replacing what a dead rig left."""
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(
            self._converse, str(self._path), limit=LINE_MAX
        )

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._peers.end()
        self._path.unlink(missing_ok=True)

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with self._peers.serving(writer), contextlib.suppress(OSError):
            while True:
                try:
                    line = await reader.readline()
                except ValueError:  # longer than LINE_MAX: the rest cannot be told
                    writer.write(b'{"ok":false,"error":"line too long"}\n')
                    await writer.drain()
                    return
                if not line:
                    return
                answer = await self.handle(line)
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()


def _flag(question: Mapping[str, Any], key: str, default: bool | None) -> bool:
    value = question.get(key, default)
    if not isinstance(value, bool):
        raise RigError(f"{key}={value!r} must be true or false")
    return value


def _number(
    question: Mapping[str, Any],
    key: str,
    default: float | None,
    low: float,
    high: float,
) -> float:
    value = question.get(key, default)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not low <= value <= high:
        raise RigError(f"{key}={value!r} must be a number from {low} to {high}")
    return float(value)
