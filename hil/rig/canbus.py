"""A CAN bus behind an slcan adapter on a pty, with the bus's own bit timing.

Frames follow each other as on a real bus: each takes its bits, both ways share it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic

from hil.rig.slcan import Frame, Slcan
from hil.rig.wires import Pty, WireLogger


class CanPort:
    """`on_frame(frame, at_mono)` gets what the daemon puts on the bus."""

    def __init__(
        self,
        path: Path,
        bitrate: int,
        on_frame: Callable[[Frame, float], None],
        log: WireLogger | None,
    ) -> None:
        self.adapter = Slcan(bitrate)
        self.pty = Pty(path, self._on_data, log=log)
        self._on_frame = on_frame
        self._free = 0.0

    def _on_data(self, data: bytes, now: float) -> None:
        answer, frames = self.adapter.receive(data)
        self.pty.send([(0.0, answer)])
        for frame in frames:
            self._occupy(frame, now)
            self._on_frame(frame, now)

    def put(self, frames: Sequence[Frame], delay_s: float = 0.0) -> None:
        """Frames of a device, `delay_s` from now, one after the other."""
        now = monotonic()
        chunks = []
        for frame in frames:
            done = self._occupy(frame, now + delay_s)
            chunks.append((done - now, self.adapter.encode(frame)))
        self.pty.send(chunks)

    def _occupy(self, frame: Frame, start: float) -> float:
        """The bus carries `frame`; returns when it is through."""
        self._free = max(start, self._free) + frame.bits() / self.adapter.bus_bitrate
        return self._free
