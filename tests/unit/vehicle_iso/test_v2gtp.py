"""V2GTP: whole frames from any split, caps before memory, ignored and broken frames."""

from __future__ import annotations

import pytest

from chargerd.vehicle.iso15118 import v2gtp
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.v2gtp import Frame, Framer, PayloadType, pack


def drain(framer: Framer) -> list[Frame]:
    return list(iter(framer.next_frame, None))


def test_bytes_of_the_standard() -> None:
    assert pack(PayloadType.EXI, b"\x80\x40").hex() == "01fe8001000000028040"


def test_coalesced_and_cut_frames() -> None:
    stream = pack(0x8001, b"one") + pack(0x8004, b"") + pack(0x8002, b"three")
    framer = Framer()
    framer.receive(stream[:-2])
    assert drain(framer) == [Frame(0x8001, b"one"), Frame(0x8004, b"")]
    framer.receive(stream[-2:])
    assert drain(framer) == [Frame(0x8002, b"three")]


def test_unknown_type_is_ignored_and_not_kept() -> None:
    framer = Framer()
    head = pack(0xA000, b"x" * 60_000)
    framer.receive(head[:5_000])
    assert drain(framer) == []
    assert framer.waiting == 0
    framer.receive(head[5_000:] + pack(0x8001, b"then"))
    assert drain(framer) == [Frame(0x8001, b"then")]
    assert framer.ignored == 1


@pytest.mark.parametrize("payload_type", [0x9000, 0x9001, 0x8000, 0x8105, 0xFFFF])
def test_types_of_other_places_are_ignored(payload_type: int) -> None:
    framer = Framer()
    framer.receive(pack(payload_type, b"ab"))
    assert drain(framer) == []
    assert framer.ignored == 1


@pytest.mark.parametrize(
    "bad",
    [b"\x02", b"\x01\xff", b"\x00\xfe\x80\x01\x00\x00\x00\x00", b"GET / HTTP/1.1\r\n"],
)
def test_bad_sync_ends_the_stream_after_the_good_frames(bad: bytes) -> None:
    framer = Framer()
    framer.receive(pack(0x8001, b"good") + bad)
    assert framer.next_frame() == Frame(0x8001, b"good")
    for _ in range(2):
        with pytest.raises(V2gError, match="close the connection"):
            framer.next_frame()
    framer.receive(pack(0x8001, b"more"))
    with pytest.raises(V2gError):
        framer.next_frame()


@pytest.mark.parametrize("payload_type", [*v2gtp.CAPS, 0xA000])
def test_caps_hold_at_both_sides_before_a_payload_byte(payload_type: int) -> None:
    cap = v2gtp.CAPS.get(payload_type, v2gtp.IGNORED_CAP_BYTES)
    head = bytes((1, 0xFE)) + payload_type.to_bytes(2, "big")
    framer = Framer()
    framer.receive(head + cap.to_bytes(4, "big"))
    assert framer.next_frame() is None
    framer = Framer()
    framer.receive(head + (cap + 1).to_bytes(4, "big"))
    with pytest.raises(V2gError, match=f"at most {cap}"):
        framer.next_frame()


@pytest.mark.parametrize(
    ("datagram", "text"),
    [
        (b"", "no header"),
        (b"\x01\xfe\x90\x00\x00\x00\x00", "no header"),
        (b"\x01\xfd\x90\x00\x00\x00\x00\x00", "begins 01fd"),
        (pack(0x9000, b"ab") + b"c", "says 2 bytes and has 3"),
        (pack(0x9000, b"ab")[:-1], "says 2 bytes and has 1"),
    ],
)
def test_datagrams_that_are_not_one_frame(datagram: bytes, text: str) -> None:
    with pytest.raises(V2gError, match=text):
        v2gtp.unpack(datagram)
