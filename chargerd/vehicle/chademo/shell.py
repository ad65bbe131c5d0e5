"""The CHAdeMO door's shell: the vehicle's CAN bus, the timer and the log.

Feeds the sans-I/O sequence and puts its frames on the bus. Never decides: a bus that
fails is told to the sequence, garbage is counted there, a flood is cut here.
"""

from __future__ import annotations

import asyncio
from collections import deque

import structlog

from chargerd.clock import Clock
from chargerd.config import Chademo
from chargerd.model import VehicleOffer, VehicleState
from chargerd.vehicle.chademo.sequence import Counters, Sequence
from chargerd.vehicle.chademo.view import Ratings
from firmware_bridge.api import CanBus
from firmware_bridge.units import BridgeError

log = structlog.get_logger(__name__)

INBOX_FRAMES = 64  # a vehicle sends about 8 frames in 100 ms; older ones are dropped
FRAMES_PER_TURN = 16
IDLE_S = 1.0


class ChademoDoor:
    """`model.VehicleDoor` for one connector. `offer` and `state` never wait."""

    def __init__(
        self, config: Chademo, ratings: Ratings, bus: CanBus, clock: Clock
    ) -> None:
        self._sequence = Sequence(config, ratings)
        self._bus = bus
        self._clock = clock
        self._inbox: deque[tuple[int, bytes, float]] = deque(maxlen=INBOX_FRAMES)
        self._wake = asyncio.Event()
        self._shown = VehicleState()
        self._bus_ok = True
        self.dropped = 0  # frames lost because they came faster than we read
        bus.subscribe(self._heard)

    def offer(self, offer: VehicleOffer) -> None:
        """The station's word of this tick; frames due go out at once."""
        idle = self._sequence.next_timer() is None
        self._sequence.command(offer, self._clock.now().mono)
        self._flush()
        if idle and self._sequence.next_timer() is not None:
            self._wake.set()  # the timer loop slept without a deadline

    def state(self) -> VehicleState:
        return self._sequence.state()

    @property
    def counters(self) -> Counters:
        return self._sequence.counters

    async def run(self) -> None:
        """Run the timer until cancelled. The bus is run by whoever owns it."""
        while True:
            await self._pause()
            now_mono = self._clock.now().mono
            for _ in range(min(FRAMES_PER_TURN, len(self._inbox))):
                frame_id, data, at_mono = self._inbox.popleft()
                self._sequence.receive(frame_id, data, min(at_mono, now_mono))
            self._sequence.on_timer(now_mono)
            self._flush()

    async def _pause(self) -> None:
        """Until frames are there or a timer is due; always lets the others run."""
        if self._inbox:
            await asyncio.sleep(0)
            return
        self._wake.clear()
        due_mono = self._sequence.next_timer()
        wait_s = IDLE_S
        if due_mono is not None:
            wait_s = max(0.0, due_mono - self._clock.now().mono)
        try:
            async with asyncio.timeout(wait_s):
                await self._wake.wait()
        except TimeoutError:
            return

    def _heard(self, frame_id: int, data: bytes, at_mono: float) -> None:
        if len(self._inbox) == INBOX_FRAMES:
            self.dropped += 1
        self._inbox.append((frame_id, data, at_mono))
        self._wake.set()

    def _flush(self) -> None:
        """Frames out, in order; the state's changes into the log."""
        frames = self._sequence.to_send()
        try:
            for frame_id, data in frames:
                self._bus.send(frame_id, data)
        except BridgeError as error:
            self._bus_is(False, str(error))
        else:
            if frames:
                self._bus_is(True)
        self._report()

    def _bus_is(self, ok: bool, error: str = "") -> None:
        self._sequence.bus(ok, self._clock.now().mono)
        if ok != self._bus_ok:
            log.warning("chademo_send", ok=ok, error=error)
        self._bus_ok = ok

    def _report(self) -> None:
        """One line a change of phase, with the cause when it ended."""
        state = self._sequence.state()
        before, self._shown = self._shown, state
        if state.phase is before.phase and state.stop_cause == before.stop_cause:
            return
        log.info(
            "chademo_phase",
            phase=state.phase.value,
            was=before.phase.value,
            stop_cause=state.stop_cause,
            faults=sorted(state.faults),
            soc_pct=state.soc_pct,
            d1_operations=self._sequence.counters.d1_operations,
        )
