"""A capture's segments as V2G messages: streams put together, frames cut, EXI read.

Owns the reading of a foreign conversation: it begins anywhere, loses packets, speaks
TLS. Must never raise for what is in a capture: each line says what could not be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from chargerd.cli.pcap import Endpoint, Segment
from chargerd.vehicle.iso15118 import exi, sdp, v2gtp
from chargerd.vehicle.iso15118.errors import V2gError

SCHEMAS_OF_TYPE: dict[int, tuple[str, ...]] = {
    v2gtp.PayloadType.EXI: ("sap", "din", "iso2"),
    v2gtp.PayloadType.COMMON: ("common",),
    v2gtp.PayloadType.AC: ("ac",),
    v2gtp.PayloadType.DC: ("dc",),
    v2gtp.PayloadType.ACDP: ("acdp",),
    v2gtp.PayloadType.WPT: ("wpt",),
    v2gtp.PayloadType.SCHEDULE_RENEGOTIATION: ("common",),
    v2gtp.PayloadType.METERING_CONFIRMATION: ("common",),
    v2gtp.PayloadType.ACDP_STATUS: ("acdp",),
    v2gtp.PayloadType.PARKING_STATUS: ("common",),
}
ANY_SCHEMA = ("sap", "din", "iso2", "common", "dc", "ac", "acdp", "wpt")
ENVELOPE, IN_ENVELOPE = "V2G_Message", ("din", "iso2")
NO_ROOT = "the root element is none of the schema's"  # says nothing of the message
WAITING_MAX = 64  # segments kept for one that is missing
SYNC = b"\x01\xfe"
TLS_RECORDS = (b"\x14\x03", b"\x15\x03", b"\x16\x03", b"\x17\x03")

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reading:
    """One message read. `tolerated`: what a strict reader would have refused."""

    schema: str
    name: str
    value: Json
    tolerated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """One thing seen in a capture; `reading` or `text`, never both."""

    time_s: float
    source: Endpoint
    target: Endpoint
    text: str = ""
    reading: Reading | None = None
    data: bytes = b""


def read(data: bytes, schemas: Iterable[str]) -> Reading:
    """The first of `schemas` that reads `data`; V2gError with the reason of each."""
    schemas, second = tuple(schemas), None
    reasons: dict[str, list[str]] = {}
    for schema in schemas:
        try:
            found = exi.decode_noting(schema, data)
        except V2gError as error:
            text = str(error)
            if not text.endswith(NO_ROOT):
                reasons.setdefault(text.removeprefix(f"{schema}: "), []).append(schema)
            continue
        value = exi.to_json(found.message)
        reading = Reading(schema, _name(value), value, found.tolerated)
        if schema not in IN_ENVELOPE or ENVELOPE in value:
            return reading
        second = second or reading
    if second is not None:
        return second
    told = "; ".join(f"{', '.join(who)}: {why}" for why, who in reasons.items())
    raise V2gError(told or f"no message of {', '.join(schemas)}")


def read_frame(frame: v2gtp.Frame) -> Reading:
    """A message by its payload type, SDP too."""
    match frame.payload_type:
        case v2gtp.PayloadType.SDP_REQUEST:
            request = sdp.decode_request(v2gtp.pack(frame.payload_type, frame.payload))
            value = {"security": request.security.name, "transport": "TCP"}
            return Reading("sdp", "SDP request", {"SDP request": value})
        case v2gtp.PayloadType.SDP_RESPONSE:
            told = sdp.decode_response(v2gtp.pack(frame.payload_type, frame.payload))
            answer = {
                "address": str(told.address),
                "port": told.port,
                "security": told.security.name,
            }
            return Reading("sdp", "SDP response", {"SDP response": answer})
    schemas = SCHEMAS_OF_TYPE.get(frame.payload_type)
    if schemas is None:
        raise V2gError(f"payload type 0x{frame.payload_type:04x} is not read here")
    return read(frame.payload, schemas)


def _name(value: Json) -> str:
    """The message's own name: what is in the body, where there is one."""
    name = next(iter(value), "?")
    if name == ENVELOPE:
        return next(iter(value[name].get("Body") or {}), name)
    return name


def trace(segments: Iterable[Segment]) -> Iterator[Event]:
    """What was said, in the order of the capture."""
    streams: dict[tuple[Endpoint, Endpoint], Stream] = {}
    for segment in segments:
        key = (segment.source, segment.target)
        if not segment.tcp:
            if sdp.UDP_PORT in (segment.source[1], segment.target[1]):
                yield _datagram(segment)
            continue
        if segment.start or key not in streams:
            streams[key] = Stream(*key)
        yield from streams[key].take(segment)
    for stream in streams.values():
        yield from stream.finish()


def _datagram(segment: Segment) -> Event:
    try:
        reading = read_frame(v2gtp.unpack(segment.data))
    except V2gError as error:
        return _event(segment, text=f"UDP 15118: {error}", data=segment.data)
    return _event(segment, reading=reading, data=segment.data)


def _event(segment: Segment, **more: Any) -> Event:
    return Event(segment.time_s, segment.source, segment.target, **more)


@dataclass(slots=True)
class Stream:
    """One direction of a TCP connection."""

    source: Endpoint
    target: Endpoint
    next: int | None = None
    framer: v2gtp.Framer | None = None
    foreign: bool = False
    waiting: dict[int, Segment] = field(default_factory=dict)
    last: Segment | None = None

    def take(self, segment: Segment) -> Iterator[Event]:
        """A segment as captured: repeated, overtaken or in order."""
        self.last = segment
        if self.next is None or segment.start:
            self.next = segment.sequence
        if not segment.data:
            return
        self.waiting.setdefault(segment.sequence, segment)
        yield from self._in_order()
        if len(self.waiting) > WAITING_MAX:
            yield from self._skip()

    def finish(self) -> Iterator[Event]:
        """The capture ended: read what waits behind a gap, name what is cut off."""
        while self.waiting:
            yield from self._skip()

    def _in_order(self) -> Iterator[Event]:
        progress = True
        while progress and self.next is not None:
            progress = False
            for sequence in list(self.waiting):
                ahead = _ahead(sequence, self.next)
                segment = self.waiting[sequence]
                if ahead > 0:
                    continue
                del self.waiting[sequence]
                fresh = segment.data[-ahead:]
                if fresh:
                    self.next = (self.next + len(fresh)) & 0xFFFFFFFF
                    progress = True
                    yield from self._bytes(segment, fresh)

    def _skip(self) -> Iterator[Event]:
        """Give up the missing bytes: go on at the nearest segment that waits."""
        here = self.next or 0
        nearest = min(self.waiting, key=lambda sequence: _ahead(sequence, here))
        missing = _ahead(nearest, here)
        self.next = nearest
        self.framer = None
        if not self.foreign:
            text = f"{missing} bytes are missing in the capture"
            yield _event(self.waiting[nearest], text=text)
        yield from self._in_order()

    def _bytes(self, segment: Segment, data: bytes) -> Iterator[Event]:
        if self.framer is None:
            if not data.startswith(SYNC[: len(data)]):
                yield from self._foreign(segment, data)
                return
            self.framer, self.foreign = v2gtp.Framer(), False
        self.framer.receive(data)
        while True:
            try:
                frame = self.framer.next_frame()
            except V2gError as error:
                self.framer = None
                yield _event(segment, text=str(error), data=data)
                return
            if frame is None:
                return
            try:
                reading = read_frame(frame)
            except V2gError as error:
                text = f"payload type 0x{frame.payload_type:04x}: {error}"
                yield _event(segment, text=text, data=frame.payload)
                continue
            yield _event(segment, reading=reading, data=frame.payload)

    def _foreign(self, segment: Segment, data: bytes) -> Iterator[Event]:
        """Told once per stream, and only of TLS: a capture holds other traffic, too."""
        if not self.foreign and data.startswith(TLS_RECORDS):
            yield _event(segment, text="TLS: encrypted, not read")
        self.foreign = True


def _ahead(sequence: int, base: int) -> int:
    """Signed distance of two 32-bit sequence numbers."""
    return (sequence - base + 0x80000000 & 0xFFFFFFFF) - 0x80000000
