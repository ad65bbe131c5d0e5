"""A serial-line CAN adapter (Lawicel ASCII protocol), device side. Pure.

Bytes from the host in; answers and CAN frames out. Must never pass a frame while the
channel is closed or set to another bit rate than its bus.
"""

from __future__ import annotations

from dataclasses import dataclass

CR, BELL = b"\r", b"\a"
BITRATES = {
    b"0": 10_000, b"1": 20_000, b"2": 50_000, b"3": 100_000, b"4": 125_000,
    b"5": 250_000, b"6": 500_000, b"7": 800_000, b"8": 1_000_000,
}  # fmt: skip
LINE_MAX = 64


@dataclass(frozen=True, slots=True)
class Frame:
    ident: int
    data: bytes
    extended: bool = False

    def bits(self) -> int:
        """Length on the bus in bits, with the interframe space, without stuffing."""
        return (67 if self.extended else 47) + 8 * len(self.data)


class Slcan:
    """One adapter on a bus of `bitrate`."""

    def __init__(self, bitrate: int) -> None:
        self.bus_bitrate = bitrate
        self.set_bitrate: int | None = None
        self.open = False
        self.listen_only = False
        self.bus_off = False
        self.errors = 0
        self._line = b""

    @property
    def live(self) -> bool:
        """Frames pass: open, at the right bit rate, and the bus is well."""
        return self.open and self.set_bitrate == self.bus_bitrate and not self.bus_off

    def receive(self, data: bytes) -> tuple[bytes, list[Frame]]:
        """Bytes from the host: what to answer, and the frames put on the bus."""
        out, frames = b"", []
        self._line += data
        while CR in self._line:
            line, _, self._line = self._line.partition(CR)
            answer, frame = self._command(line)
            self.errors += answer == BELL
            out += answer
            if frame is not None:
                frames.append(frame)
        if len(self._line) > LINE_MAX:
            self._line = b""
            self.errors += 1
            out += BELL
        return out, frames

    def _command(self, line: bytes) -> tuple[bytes, Frame | None]:
        head, rest = line[:1], line[1:]
        if head in (b"t", b"T"):
            return self._transmit(line)
        if head == b"":
            return CR, None
        if head == b"S":
            if self.open or rest not in BITRATES:
                return BELL, None
            self.set_bitrate = BITRATES[rest]
            return CR, None
        if head in (b"O", b"L"):
            if self.open or self.set_bitrate is None:
                return BELL, None
            self.open, self.listen_only = True, head == b"L"
            return CR, None
        if head == b"C":
            was_open, self.open = self.open, False
            return (CR if was_open else BELL), None
        if head == b"F":
            return (b"F80\r" if self.bus_off else b"F00\r"), None
        fixed = {b"V": b"V1013\r", b"v": b"v0107\r", b"N": b"NRIG1\r"}
        if head in fixed and not rest:
            return fixed[head], None
        if head in (b"Z", b"X", b"M", b"m", b"s", b"W"):
            return (BELL if self.open else CR), None
        return BELL, None

    def _transmit(self, line: bytes) -> tuple[bytes, Frame | None]:
        frame = parse(line)
        if frame is None or not self.open or self.listen_only or self.bus_off:
            return BELL, None
        answer = b"Z\r" if frame.extended else b"z\r"
        return answer, frame if self.live else None

    def encode(self, frame: Frame) -> bytes:
        """A frame heard on the bus, for the host; b"" while the channel is not live."""
        return encode(frame) if self.live else b""


def encode(frame: Frame) -> bytes:
    """The ASCII line of a frame."""
    head = f"T{frame.ident:08X}" if frame.extended else f"t{frame.ident:03X}"
    return f"{head}{len(frame.data)}{frame.data.hex().upper()}\r".encode()


def parse(line: bytes) -> Frame | None:
    """A `t` or `T` line without its CR; None if it is malformed."""
    extended = line[:1] == b"T"
    at = 9 if extended else 4
    try:
        ident = int(line[1:at], 16)
        length = int(line[at : at + 1])
        data = bytes.fromhex(line[at + 1 :].decode("ascii"))
    except ValueError:
        return None
    top = 0x1FFF_FFFF if extended else 0x7FF
    if length > 8 or len(data) != length or not 0 <= ident <= top:
        return None
    return Frame(ident, data, extended)
