"""Driver of InfyPower BEG1K075G modules on CAN, 1..N in parallel: `api.PowerStage`.

Owns the order of writes (current first), the change of direction through zero current,
the refresh before the modules forget, and the fall to off when a lease ends. `islands`:
the MCU's island line is wired to the modules' off-grid input [K]; without it they run
beside a grid only. Protocol from two public drivers, not verified on hardware.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from enum import Enum

from firmware_bridge.api import CanBus, Reading, StageMode, StageReading, StageSetpoint
from firmware_bridge.drivers.infypower_view import ModulesView
from firmware_bridge.health import Stats
from firmware_bridge.units import BridgeError, Range, finite
from firmware_bridge.wire import infypower as wire
from firmware_bridge.wire.infypower import Code

POLL_S = 0.05  # voltage and current: one fresh value per 20 Hz tick
STATE_POLL_S = 0.1
SLOW_POLL_S = 5.0
REFRESH_S = 0.2  # all setpoints again: the modules switch off after 10 s of silence [K]
RETRY_S = 0.1  # a refused or unanswered working mode
TICK_S = 0.01
SILENT_S = 1.0  # counted as one failure
LOST_S = 0.5  # unheard this long: nothing but off is sent, as it may be obeyed late
STILL_A = 1.0  # below this the direction may change
VOLTAGE_V = Range(150.0, 1000.0)  # setpoints below are not sent
CUTOFF_MIN_V = 200.0  # lowest working voltage of the module
MODULE_MAX_A = 73.3
OFF = StageSetpoint()

_MODE_BYTE = {StageMode.CHARGE: wire.RECTIFIER, StageMode.DISCHARGE: wire.INVERTER}


class Step(Enum):
    """Where a start stands; every stop goes straight to OFF."""

    OFF = "off"
    DRAIN = "drain"  # off is sent, the current must fall to zero
    MODE = "mode"  # the working mode is sent, every module must confirm it
    ON = "on"


class InfypowerBeg:
    """`api.PowerStage` over a CAN bus that carries one group of modules."""

    def __init__(
        self,
        bus: CanBus,
        stats: Stats,
        clock: Callable[[], float] = time.monotonic,
        poll_s: float = POLL_S,
        *,
        islands: bool = False,
    ) -> None:
        self._bus = bus
        self._stats = stats
        self._clock = clock
        self._islands = islands
        self._view = ModulesView()
        self._target = OFF
        self._valid_until_mono = -math.inf
        self._step = Step.OFF
        self._mode = StageMode.OFF  # the mode being started or running
        self._step_mono = -math.inf
        self._written: dict[Code, int] = {}  # setpoints the modules hold
        self._reactive = False  # a power factor was ever asked for
        self._refreshed_mono = -math.inf
        self._silence_mono = clock()  # silence counts from here
        self._due = dict.fromkeys(
            (Code.VOLTAGE, Code.CURRENT, Code.STATUS, Code.INVERTING), -math.inf
        ) | {Code.MODULES: -math.inf, Code.AMBIENT: -math.inf}
        self._period_s = {
            Code.VOLTAGE: poll_s,
            Code.CURRENT: poll_s,
            Code.STATUS: STATE_POLL_S,
            Code.INVERTING: STATE_POLL_S,
        }
        bus.subscribe(self._on_frame)

    def drive(self, setpoint: StageSetpoint, valid_until_mono: float) -> None:
        """New lease; changed items go on the wire before this returns.

        BridgeError: not finite or negative; the old lease then runs to its own end.
        """
        target = self._bounded(setpoint)
        self._target, self._valid_until_mono = target, valid_until_mono
        self._advance(self._clock())

    def reading(self) -> Reading[StageReading] | None:
        return self._view.reading()

    def stop(self) -> None:
        """End the lease: current 0 and off, now (the daemon is leaving)."""
        self._target, self._valid_until_mono = OFF, -math.inf
        self._switch_off()

    async def run(self) -> None:
        while True:
            self.on_timer(self._clock())
            await asyncio.sleep(TICK_S)

    def on_timer(self, now_mono: float) -> None:
        """Lease end, start steps, refresh and polls."""
        self._advance(now_mono)
        if now_mono - self._refreshed_mono >= REFRESH_S:
            self._refresh(now_mono)
        for code, due in self._due.items():
            if now_mono >= due:
                self._due[code] = now_mono + self._period_s.get(code, SLOW_POLL_S)
                self._poll(code)
        last = max(self._view.heard_mono, self._silence_mono)
        if now_mono - last > SILENT_S:
            self._silence_mono = now_mono
            self._stats.failed("no answer from the power stage for 1 s")

    def _poll(self, code: Code) -> None:
        """Broadcast; but each module's own state one by one where there are several."""
        own = code in (Code.STATUS, Code.INVERTING) and self._view.count > 1
        for module in self._view.addresses() if own else (wire.BROADCAST,):
            self._send(wire.READ, wire.encode_read(code), module)

    def _bounded(self, setpoint: StageSetpoint) -> StageSetpoint:
        """What may be sent: OFF below 150 V, a cut-off never under the module's own."""
        voltage_v = finite(setpoint.voltage_v, "stage voltage")
        current_a = finite(setpoint.current_a, "stage current")
        if voltage_v < 0 or current_a < 0:
            raise BridgeError(f"stage {voltage_v} V {current_a} A: must be magnitudes")
        if setpoint.mode is StageMode.DISCHARGE:
            voltage_v = max(voltage_v, CUTOFF_MIN_V)
        if setpoint.form_grid and not self._islands:
            raise BridgeError("stage: this module cannot make the house's voltage")
        if setpoint.mode is StageMode.OFF or voltage_v < VOLTAGE_V.low:
            return OFF
        wire.per_mille(setpoint.power_factor, "power factor")
        return StageSetpoint(
            setpoint.mode,
            min(voltage_v, VOLTAGE_V.high),
            min(current_a, MODULE_MAX_A * max(1, self._view.count)),
            power_factor=setpoint.power_factor,
        )

    def _advance(self, now: float) -> None:
        """One pass of the start sequence; called on every command, answer and tick."""
        alive = now - self._view.heard_mono <= LOST_S
        target = self._target if alive and now < self._valid_until_mono else OFF
        if target.mode is StageMode.OFF:
            if self._step is not Step.OFF:
                self._switch_off()
            return
        if self._step is Step.OFF or target.mode is not self._mode:
            self._mode = target.mode
            self._enter(Step.DRAIN, now)
            self._switch_off_writes()
            self._send(wire.READ, wire.encode_read(Code.CURRENT))
        if self._step is Step.DRAIN and self._view.still_since(
            self._step_mono, STILL_A
        ):
            self._enter(Step.MODE, now)
            self._ask_mode()
        if self._step is Step.MODE:
            if self._view.all_in(self._mode, self._step_mono):
                self._enter(Step.ON, now)
            elif now - self._step_mono >= RETRY_S:
                self._enter(Step.MODE, now)
                self._ask_mode()
        if self._step is Step.ON:
            self._write_setpoint(target)

    def _enter(self, step: Step, now: float) -> None:
        self._step, self._step_mono = step, now

    def _ask_mode(self) -> None:
        mode = wire.encode_write(Code.WORKING_MODE, _MODE_BYTE[self._mode])
        self._send(wire.WRITE, mode)
        self._poll(Code.INVERTING)

    def _switch_off(self) -> None:
        self._step, self._mode = Step.OFF, StageMode.OFF
        self._switch_off_writes()

    def _switch_off_writes(self) -> None:
        self._written.clear()
        self._write(Code.CURRENT, 0)
        self._write(Code.STATUS, wire.OFF)

    def _write_setpoint(self, target: StageSetpoint) -> None:
        """Only what changed, current first: it is what dispatch waits for."""
        volts = Code.VOLTAGE if target.mode is StageMode.CHARGE else Code.CUTOFF
        wanted = [
            (Code.CURRENT, wire.milli(target.current_a, "stage current")),
            (volts, wire.milli(target.voltage_v, "stage voltage")),
            (Code.STATUS, wire.ON),
        ]
        self._reactive = self._reactive or target.power_factor != 1.0
        if self._reactive:  # else the modules' own default holds
            share = wire.per_mille(target.power_factor, "power factor")
            wanted.append((Code.POWER_FACTOR, share))
        for code, value in wanted:
            if self._written.get(code) != value:
                self._write(code, value)

    def _refresh(self, now: float) -> None:
        self._refreshed_mono = now
        if self._step is Step.ON:
            for code, value in tuple(self._written.items()):
                self._write(code, value)
        else:
            self._switch_off_writes()

    def _write(self, code: Code, value: int) -> None:
        if self._send(wire.WRITE, wire.encode_write(code, value)):
            self._written[code] = value
        else:
            self._written.pop(code, None)  # the next tick tries again

    def _send(self, command: int, data: bytes, module: int = wire.BROADCAST) -> bool:
        try:
            self._bus.send(wire.frame_id(command, module), data, extended=True)
        except BridgeError as error:
            self._stats.failed(str(error))
            return False
        return True

    def _on_frame(self, frame_id: int, data: bytes, at_mono: float) -> None:
        reply = wire.decode_reply(frame_id, data)
        if reply is None:
            return
        self._stats.answered(at_mono)
        if reply.error != wire.OK:
            what = wire.ERROR_TEXTS.get(reply.error, f"error {reply.error}")
            self._stats.failed(f"module {reply.module} {reply.code:04X}: {what}")
            self._view.heard_mono = at_mono
            return
        self._view.receive(reply, at_mono)
        if self._step is Step.ON and self._view.any_not_in(self._mode, self._step_mono):
            self._stats.failed("a module left its working mode: stage off, start again")
            self._switch_off()
        if self._step is not Step.OFF:
            self._advance(at_mono)
