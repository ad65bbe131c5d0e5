"""The S2 resource manager's core: one session with a customer energy manager (CEM).

Pure: texts, reports and times in; texts and signals out. FRBC: the vehicle is a storage
with modes; PEBC: the EVSE keeps within an envelope. Must never follow an instruction of
a session that is over, or of a control type that is not selected.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID

from s2python import common, frbc, pebc
from s2python.version import S2_VERSION

from chargerd.clock import Now
from chargerd.config import Evse
from chargerd.config_grid_servers import S2
from chargerd.grid import s2_words as words
from chargerd.grid import windows
from chargerd.grid.s2_instructions import (
    FARTHEST_S,
    MOST,
    MOST_PARTS,
    Instruction,
    Instructions,
    Part,
)
from chargerd.grid.s2_tell import Teller
from chargerd.grid.s2_words import FRBC, PEBC, Bad, Json, Words
from chargerd.grid.windows import Window
from chargerd.model import DispatchSignal, EvseReport

SET, LIMIT = "s2.set", "s2.limit"
LATE_S = 5.0  # the clocks of both sides differ


class Manager:
    """Of one EVSE. `to_send` collects texts; the shell sends them in order."""

    def __init__(
        self, config: S2, station: str, evse: Evse, new_id: Callable[[], UUID]
    ) -> None:
        self._config, self._station, self._evse = config, station, evse
        self._new_id = new_id
        self._ids = words.ids(station, evse.id)
        self._words = Words(evse, self._ids, new_id)
        self.instructions = Instructions(config.hold_s)
        self.to_send: list[str] = []
        self.over = False  # the CEM ended the session
        self.control = ""  # the selected ControlType; "" = none
        self._agreed = self._answered_nobody = False
        self._constraints: UUID | None = None
        self._report: EvseReport | None = None
        self._teller = Teller(config, evse, self._words)
        self._told = windows.Told()
        self._dirty = False
        self.refused: Counter[str] = Counter()
        self.accepted = self.sessions = 0

    # -- the session -----------------------------------------------------------------

    def begin(self, now: Now) -> None:
        """A new socket."""
        self.end(now)
        self.over = False
        self.sessions += 1
        self._send(self._words.handshake())

    def end(self, now: Now) -> None:
        """The socket is gone: so is all that was asked over it."""
        self.to_send.clear()
        self.instructions = Instructions(self._config.hold_s)
        self._agreed, self.control, self._constraints = False, "", None
        self._answered_nobody = False
        self._dirty = True

    def receive(self, text: str, now: Now) -> None:
        """One message."""
        about = ""
        try:
            message = words.read(text)
            about = str(getattr(message, "message_id", ""))
            if about:
                self._heed(message, now)
            else:
                self._heard_status(message)
        except Bad as bad:
            self.refused[bad.reason] += 1
            about = bad.about or about
            # What has no id is answered once a session: at a second such answer a CEM
            # made of s2-python 0.11 breaks the session off.
            if about or not self._answered_nobody:
                self._answered_nobody = self._answered_nobody or not about
                label = str(bad)[:200]
                self._send(self._words.reception(about or _NOBODY, bad.status, label))

    def _heard_status(self, message: Any) -> None:
        if message.status is not common.ReceptionStatusValues.OK:
            self.refused[f"told {message.status.value}"] += 1

    def _heed(self, message: Any, now: Now) -> None:
        """Raises Bad. The reception is told before what follows from it."""
        about = str(message.message_id)
        match message:
            case common.Handshake():
                if message.role is not common.EnergyManagementRole.CEM:
                    raise Bad("role", "INVALID_CONTENT", "we are the RM")
                self._ok(about)
            case common.HandshakeResponse():
                self._agree(message, about)
            case common.SelectControlType():
                self._select(message.control_type.value, about, now)
            case frbc.FRBCInstruction():
                self._take(self._frbc(message, now), about, now)
            case pebc.PEBCInstruction():
                self._take(self._pebc(message, now), about, now)
            case common.RevokeObject():
                self._revoke(message, about, now)
            case common.SessionRequest():
                self._ok(about)
                self.over = True
            case _:
                raise Bad("unexpected", "INVALID_CONTENT", "not for a RM")

    def _agree(self, message: Any, about: str) -> None:
        if message.selected_protocol_version != S2_VERSION:
            raise Bad("version", "INVALID_CONTENT", f"we speak {S2_VERSION}")
        self._ok(about)
        self._agreed = True
        self._send(self._words.details(self._config.name, self._station))

    def _select(self, control: str, about: str, now: Now) -> None:
        if not self._agreed:
            raise Bad("order", "INVALID_CONTENT", "no version is agreed upon")
        if control not in (FRBC, PEBC, "NO_SELECTION"):
            raise Bad("control type", "INVALID_CONTENT", f"{control} is not offered")
        self._ok(about)
        self._drop(now)
        self.control = "" if control == "NO_SELECTION" else control
        self._teller.forget()
        if control == PEBC:
            self._constraints = self._new_id()
            self._send(self._words.constraints(self._constraints, now.utc))

    def _drop(self, now: Now) -> None:
        for ident in self.instructions.clear():
            self._say_status(ident, "ABORTED", now)
        self._dirty = True

    def _ok(self, about: str) -> None:
        self._send(self._words.reception(about, "OK"))

    def _send(self, message: Json) -> None:
        self.to_send.append(json.dumps(message, allow_nan=False))

    def _say_status(self, ident: UUID, status: str, now: Now) -> None:
        self._send(self._words.instruction_status(ident, status, now.utc))

    # -- instructions ----------------------------------------------------------------

    def _take(self, instruction: Instruction, about: str, now: Now) -> None:
        if self.instructions.parts + len(instruction.parts) > MOST_PARTS:
            raise Bad("flood", "TEMPORARY_ERROR", f"over {MOST_PARTS} parts together")
        self._ok(about)
        self.instructions.add(instruction)
        self.accepted += 1
        self._say_status(instruction.id, "ACCEPTED", now)
        self._dirty = True

    def _at(self, message: Any, control: str, now: Now) -> float:
        """What every instruction must be like; its time."""
        if self.control != control:
            raise Bad("control type", "INVALID_CONTENT", f"{control} is not selected")
        if self.instructions.known(message.id):
            raise Bad("replayed", "INVALID_CONTENT", "the instruction's id was used")
        if len(self.instructions) >= MOST:
            raise Bad("flood", "TEMPORARY_ERROR", f"over {MOST} instructions")
        at_mono = now.mono_at(message.execution_time)
        if now.mono - at_mono > self._config.hold_s:
            raise Bad("stale", "INVALID_CONTENT", "its time is long past")
        if at_mono - now.mono > FARTHEST_S:
            raise Bad("range", "INVALID_CONTENT", "its time is over two days away")
        if at_mono - LATE_S <= now.mono:
            return now.mono  # "as soon as possible"
        return at_mono

    def _frbc(self, message: Any, now: Now) -> Instruction:
        at_mono = self._at(message, FRBC, now)
        mode, factor = self._ids.mode(message.operation_mode), _number(message)
        able = self._teller.able
        if message.actuator_id != self._ids.actuator or not mode or able is None:
            raise Bad("unknown", "INVALID_CONTENT", "no such actuator or mode")
        power_w = {
            words.IDLE: 0.0,
            words.CHARGE: factor * able.charge_w,
            words.DISCHARGE: (factor - 1.0) * able.discharge_w,
        }[mode]
        if mode != words.IDLE and able.soc_pct is None:
            raise Bad("unknown", "INVALID_CONTENT", "no vehicle for this mode")
        part = Part(0.0, math.inf, power_w)
        return Instruction(
            message.id, "FRBC.Instruction", at_mono, (part,), mode, factor
        )

    def _pebc(self, message: Any, now: Now) -> Instruction:
        at_mono = self._at(message, PEBC, now)
        if message.power_constraints_id != self._constraints:
            raise Bad("stale", "INVALID_CONTENT", "other power constraints")
        envelopes = {e.commodity_quantity.value: e for e in message.power_envelopes}
        envelope = envelopes.get(self._words.quantity)
        if envelope is None or len(message.power_envelopes) != 1:
            raise Bad("unit", "INVALID_CONTENT", f"{self._words.quantity} is needed")
        parts, end_s = [], 0.0
        for element in envelope.power_envelope_elements:
            start_s, end_s = end_s, end_s + element.duration.root / 1000.0
            parts += self._envelope(element, start_s, end_s)
        if not end_s or end_s > FARTHEST_S:
            raise Bad("range", "INVALID_CONTENT", "an envelope of no or endless length")
        return Instruction(message.id, "PEBC.Instruction", at_mono, tuple(parts))

    def _envelope(self, element: Any, start_s: float, end_s: float) -> list[Part]:
        """An envelope that leaves 0 W out is also a wish."""
        low_w, high_w = float(element.lower_limit), float(element.upper_limit)
        evse = self._evse
        if not -evse.discharge_w <= low_w <= high_w <= evse.charge_w:
            raise Bad("range", "INVALID_CONTENT", "limits beyond the constraints")
        caps = Part(start_s, end_s, None, max(0.0, high_w), min(0.0, low_w))
        wish_w = high_w if high_w < 0.0 else low_w if low_w > 0.0 else None
        return [caps, *([] if wish_w is None else [Part(start_s, end_s, wish_w)])]

    def _revoke(self, message: Any, about: str, now: Now) -> None:
        ident = UUID(str(message.object_id))
        if not self.instructions.revoke(ident):
            raise Bad("unknown", "INVALID_CONTENT", "no such instruction")
        self._ok(about)
        self._say_status(ident, "REVOKED", now)
        self._dirty = True

    # -- what follows ----------------------------------------------------------------

    def report(self, report: EvseReport) -> None:
        """Keeps the newest."""
        if report.snapshot.evse_id == self._evse.id:
            self._report = report

    def tick(self, now: Now) -> list[DispatchSignal]:
        """Several times a second: status to the CEM, and what is to be followed."""
        for ident, status in list(self.instructions.tick(now.mono)):
            self._say_status(ident, status, now)
            self._dirty = True
        if self._agreed and self._report is not None:
            active = self.instructions.active
            mode = None if active is None else (active.mode, active.factor)
            for message in self._teller.tick(
                self._report, mode, now, storage=self.control == FRBC
            ):
                self._send(message)
        if not self._dirty:
            return []
        self._dirty = False
        return self._signals(now)

    def _signals(self, now: Now) -> list[DispatchSignal]:
        asked: dict[str, list[Window]] = {}
        for window in self.instructions.windows():
            asked.setdefault(LIMIT if window.caps else SET, []).append(window)
        evse_id, until_mono = self._evse.id, now.mono + FARTHEST_S
        found = {
            (source, evse_id): windows.compose(
                source, evse_id, several, until_mono, now
            )
            for source, several in asked.items()
        }
        return self._told.all(found, now)

    def status(self) -> dict[str, Any]:
        """For people."""
        active = self.instructions.active
        return {
            "agreed": self._agreed,
            "control": self.control,
            "instruction": "" if active is None else f"{active.kind} {active.mode}",
            "waiting": len(self.instructions),
            "accepted": self.accepted,
            "sessions": self.sessions,
            "refused": dict(self.refused),
        }


_NOBODY = "00000000-0000-0000-0000-000000000000"


def _number(message: Any) -> float:
    factor = float(message.operation_mode_factor)
    if not 0.0 <= factor <= 1.0:
        raise Bad("range", "INVALID_CONTENT", "operation_mode_factor is not in 0..1")
    return factor
