"""Driver of the control-pilot MCU (docs/protocol-mcu.md): `api.Pilot`.

Owns the 100 ms heartbeat, the fall to safe pins when a lease ends, and the rule that
contactors which fell open stay open until the daemon itself has ordered them open.
A reading is replaced by a whole one only: what a board told once, it goes on telling.
Never sends a contactor bit outside a lease. Not verified on hardware.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from firmware_bridge.api import PilotOutputs, PilotReading, Reading, SerialPort
from firmware_bridge.health import Stats
from firmware_bridge.units import BridgeError
from firmware_bridge.wire import chargebyte as wire

PERIOD_S = 0.1  # both frames, at least this often
TICK_S = 0.02
CONTACTOR_GRACE_S = 0.08  # after a lease: the stage's current goes first (no welding)
MCU_TIMEOUT_S = 0.3  # the MCU opens its contactors by itself after this gap
LOST_S = 0.5  # without a valid ChargeState
OPEN_LOST_S = 0.75  # then open: by now the daemon has taken the stage's current away
RELAY_NEW_S = 0.5  # an open relay stays open until the daemon has seen that it is
WELD_S = 0.5  # mirror contact still closed this long after the order to open
_PASSING_REASONS = ("", "communication timeout")  # over when the host has spoken
_NAMED_REASONS = (
    "residual",
    "over-temperature",
    "emergency stop",
    "proximity",
    "control pilot diode",
)

T = TypeVar("T")


class ChargebytePilot:
    """`api.Pilot` over a serial port."""

    def __init__(
        self,
        port: SerialPort,
        stats: Stats,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._port = port
        self._stats = stats
        self._clock = clock
        self._framer = wire.Framer()
        self._pins = PilotOutputs()
        self._valid_until_mono = -math.inf
        self._must_open = True  # until an order to open: MCU fell safe, or may have
        self._sent = b""
        self._tried_mono = -math.inf
        self._sent_mono = -math.inf
        self._open_since_mono: float | None = None
        self._state_mono = -math.inf
        self._temperatures: tuple[wire.Temperatures, float] | None = None
        self._chademo: tuple[wire.ChademoState, float] | None = None
        self._grid: tuple[wire.GridState, float] | None = None  # a board with the relay
        self._grid_since_mono = math.inf  # first heard of
        self._reading: Reading[PilotReading] | None = None
        port.subscribe(self._on_bytes)

    def drive(self, pins: PilotOutputs, valid_until_mono: float) -> None:
        """New lease; a change goes out at once. BridgeError: pins out of range."""
        wire.encode_charge_control(pins)  # refuses before anything is changed
        now = self._clock()
        self._notice_lapses(now)
        self._pins, self._valid_until_mono = pins, valid_until_mono
        if not (pins.close_dc or pins.close_ac):
            self._must_open = False
        self._refresh(now)

    def reading(self) -> Reading[PilotReading] | None:
        return self._reading

    def stop(self) -> None:
        """End the lease and send the safe frames now (the daemon is leaving)."""
        now = self._clock()
        self._valid_until_mono = min(self._valid_until_mono, now - CONTACTOR_GRACE_S)
        self._refresh(now)

    async def run(self) -> None:
        while True:
            self.on_timer(self._clock())
            await asyncio.sleep(TICK_S)

    def on_timer(self, now_mono: float) -> None:
        """Heartbeat, lease end, loss of the MCU."""
        self._notice_lapses(now_mono)
        self._refresh(now_mono)

    def _notice_lapses(self, now: float) -> None:
        if (
            now >= self._valid_until_mono
            or now - self._sent_mono > MCU_TIMEOUT_S
            or now - self._state_mono > OPEN_LOST_S
        ):
            self._must_open = True

    def _outputs(self, now: float) -> PilotOutputs | None:
        """Pins to send now; None = silence, the grace of a lease that just ended."""
        if now < self._valid_until_mono:
            if self._must_open:
                return replace(
                    self._pins, close_dc=False, close_ac=False, form_grid=False
                )
            return self._pins
        closed = self._pins.close_dc or self._pins.close_ac
        if closed and now < self._valid_until_mono + CONTACTOR_GRACE_S:
            return None
        # Lock and grid relay stay as they were: an island ends, and nothing closes.
        return PilotOutputs(lock=self._pins.lock, open_grid=self._pins.open_grid)

    def _refresh(self, now: float) -> None:
        pins = self._outputs(now)
        if pins is None:
            return
        data = wire.encode_charge_control(pins) + wire.encode_chademo_control(pins)
        if self._grid is not None:
            new = now - self._grid_since_mono < RELAY_NEW_S
            open_grid = pins.open_grid or (new and self._grid[0].relay_open)
            data += wire.encode_grid_control(replace(pins, open_grid=open_grid))
        # Half a tick early rather than late: 100 ms is what the MCU was promised.
        if data == self._sent and now - self._tried_mono < PERIOD_S - TICK_S / 2:
            return
        self._tried_mono, self._sent = now, data
        try:
            self._port.send(data)
        except BridgeError as error:
            self._stats.failed(str(error))
            return
        self._sent_mono = now
        if pins.close_dc or pins.close_ac:
            self._open_since_mono = None
        elif self._open_since_mono is None:
            self._open_since_mono = now

    def _on_bytes(self, data: bytes, at_mono: float) -> None:
        bad = self._framer.bad
        for frame in self._framer.receive(data):
            if frame.com == wire.Com.CHARGE_STATE:
                self._on_state(wire.decode_charge_state(frame.data), at_mono)
            elif frame.com == wire.Com.TEMPERATURES:
                self._temperatures = wire.decode_temperatures(frame.data), at_mono
            elif frame.com == wire.Com.CHADEMO_STATE:
                self._chademo = wire.decode_chademo_state(frame.data), at_mono
            elif frame.com == wire.Com.GRID_STATE:
                self._grid = wire.decode_grid_state(frame.data), at_mono
                self._grid_since_mono = min(self._grid_since_mono, at_mono)
        if self._framer.bad > bad:
            self._stats.failed("pilot frame with a wrong CRC or end mark")

    def _on_state(self, state: wire.ChargeState, now: float) -> None:
        self._state_mono = now
        self._stats.answered(now)
        if state.safe_state:
            self._must_open = True
        chademo = _fresh(self._chademo, now)
        heat = _fresh(self._temperatures, now)
        grid = _fresh(self._grid, now)
        told = (self._chademo, chademo), (self._temperatures, heat), (self._grid, grid)
        if any(young is None and held is not None for held, young in told):
            return  # half of what this board tells is no reading: "no plug" is a word
        held = self._must_open and (self._pins.close_dc or self._pins.close_ac)
        lapsed = held and not state.safe_state
        value = PilotReading(
            pilot_state=state.pilot_state,
            duty=state.duty,
            dc_closed=state.contactors[0],
            ac_closed=state.contactors[1],
            emergency_stop=state.emergency_stop,
            safe_state=state.safe_state or held,
            safe_state_reason="lease lapsed" if lapsed else state.safe_state_reason,
            cable_limit_a=state.cable_limit_a,
            faults=_faults(state, chademo, heat) | self._weld(state, now),
            chademo_proximity=chademo is not None and chademo.proximity,
            chademo_permission=chademo is not None and chademo.permission,
            grid_open=None if grid is None else grid.relay_open,
            locked=None if chademo is None else chademo.locked,
            temperature_c=None if heat is None else heat.hottest_c,
        )
        self._reading = Reading(value, now)

    def _weld(self, state: wire.ChargeState, now: float) -> frozenset[str]:
        opened = self._open_since_mono
        if opened is None or now - opened < WELD_S or True not in state.contactors[:2]:
            return frozenset()
        return frozenset({"EVSEContactorFault"})


def _fresh(held: tuple[T, float] | None, now: float) -> T | None:
    return held[0] if held is not None and now - held[1] <= LOST_S else None


def _faults(
    state: wire.ChargeState,
    chademo: wire.ChademoState | None,
    heat: wire.Temperatures | None,
) -> frozenset[str]:
    """Names of chargerd.faults."""
    reason = state.safe_state_reason
    unnamed = state.safe_state and not reason.startswith(_NAMED_REASONS)
    found = {
        "PilotFault": state.cp_short
        or state.pilot_invalid
        or (unnamed and reason not in _PASSING_REASONS),
        "DiodeFault": state.diode_fault,
        "ProximityFault": state.proximity_invalid or reason.startswith("proximity"),
        "GroundFailure": state.rcm_tripped or reason.startswith("residual"),
        "ConnectorLockFailure": chademo is not None and chademo.lock_fault,
        "CableOverTempStop": reason.startswith("over-temperature")
        or (heat is not None and heat.charging_stopped),
    }
    return frozenset(name for name, present in found.items() if present)
