"""Capture files: both formats, both byte orders, what lies below TCP and UDP."""

from __future__ import annotations

import io
import struct
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargerd.cli import pcap
from chargerd.cli.client import CliError
from tests.unit.cli import capture

TCP = capture.tcp(b"data", 7)
DATA = capture.from_car(b"data", 7)


def read(data: bytes) -> list[pcap.Segment]:
    return list(pcap.segments(io.BytesIO(data)))


def check(found: list[pcap.Segment]) -> None:
    (segment,) = found
    assert segment.data == b"data"
    assert segment.sequence == 7
    assert segment.tcp


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nano", [False, True])
def test_pcap(order: str, nano: bool) -> None:
    found = read(capture.pcap([DATA, DATA], order=order, nano=nano))
    check(found[:1])
    assert found[0].source == (capture.CAR, 50000)
    assert found[0].target == (capture.STATION, 61000)
    assert found[1].time_s == pytest.approx(100 + (1e-9 if nano else 1e-6), abs=1e-10)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("resolution", "tick_s"), [(None, 1e-6), (9, 1e-9), (3, 1e-3), (0x80 | 10, 2**-10)]
)
def test_pcapng(order: str, resolution: int | None, tick_s: float) -> None:
    found = read(capture.pcapng([DATA, DATA], order=order, resolution=resolution))
    check(found[:1])
    assert found[1].time_s == pytest.approx(tick_s)


def test_pcapng_sections_of_both_orders_and_a_simple_block() -> None:
    simple = capture.block(3, struct.pack("<I", len(DATA)) + DATA)
    data = capture.pcapng([DATA]) + simple + capture.pcapng([DATA], order=">")
    assert [segment.data for segment in read(data)] == [b"data"] * 3


@pytest.mark.parametrize(
    ("link", "packet"),
    [
        (1, capture.ethernet(capture.ipv6(6, TCP, "fe80::1", "fe80::2"), vlan=5)),
        (1, capture.ethernet(capture.ipv4(6, TCP), 0x0800)),
        (1, capture.ethernet(capture.ipv4(6, TCP) + bytes(6), 0x0800)),  # padded
        (101, capture.ipv6(6, TCP, "fe80::1", "fe80::2")),
        (101, capture.ipv4(6, TCP)),
        (113, bytes(14) + b"\x86\xdd" + capture.ipv6(6, TCP, "fe80::1", "fe80::2")),
        (276, b"\x86\xdd" + bytes(18) + capture.ipv6(6, TCP, "fe80::1", "fe80::2")),
        (
            101,  # hop-by-hop options before TCP
            capture.ipv6(0, b"\x06\x00" + bytes(6) + TCP, "fe80::1", "fe80::2"),
        ),
    ],
)
def test_what_lies_below(link: int, packet: bytes) -> None:
    check(read(capture.pcap([packet], link)))


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        capture.ethernet(b"", 0x0806),
        capture.ethernet(b"\x01" * 40, 0x88E1),  # HomePlug
        capture.ethernet(capture.ipv4(6, TCP, offset=5), 0x0800),  # a fragment
        capture.ethernet(capture.ipv6(58, bytes(8), "fe80::1", "fe80::2")),
        DATA[:40],
    ],
)
def test_other_traffic_is_passed_over(packet: bytes) -> None:
    check(read(capture.pcap([packet, DATA])))


def test_syn_counts_one() -> None:
    (segment,) = read(capture.pcap([capture.from_car(b"", 41, flags=2)]))
    assert (segment.sequence, segment.start, segment.end) == (42, True, False)


@pytest.mark.parametrize("cut", [1, 10, 17])
def test_a_file_still_being_written(cut: int) -> None:
    check(read(capture.pcap([DATA, DATA])[:-cut]))
    check(read(capture.pcapng([DATA]) + capture.pcapng([DATA])[28:][:-cut]))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "no capture file"),
        (b"%PDF-1.7", "no capture file"),
        (capture.pcap([DATA])[:10], "its own header"),
        (capture.pcap([DATA])[:24] + b"\xff" * 40, "at most 1 MiB"),
        (capture.pcapng([])[:10], "its own header"),
        (capture.pcapng([]) + struct.pack("<II", 6, 13) + bytes(13), "cannot be"),
        (capture.pcapng([]) + struct.pack("<II", 6, 1 << 30), "at most 1 MiB"),
        (capture.pcapng([]) + capture.block(6, b"\x09" * 20), "unknown interface"),
        (capture.pcapng([]) + capture.block(1, b""), "too short"),
        (capture.pcap([DATA], link=105), "link type 105"),
    ],
)
def test_files_that_cannot_be_read(data: bytes, text: str) -> None:
    with pytest.raises(CliError, match=text):
        read(data)


@settings(max_examples=100, deadline=None)
@given(st.booleans(), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255))))
def test_only_our_exception(new: bool, changes: list[tuple[int, int]]) -> None:
    make = capture.pcapng if new else capture.pcap
    data = bytearray(make([DATA, capture.from_station(b"answer", 9)]))
    for at, value in changes:
        data[at % len(data)] = value
    with suppress(CliError):
        read(bytes(data))
