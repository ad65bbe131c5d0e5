"""Hostile Modbus: whatever comes is refused or bounded, and never half followed."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from chargerd.grid.errors import GridError
from chargerd.grid.sunspec_modbus import Stream
from chargerd.grid.sunspec_points import BASE, END
from chargerd.model import OperationMode
from tests.unit.grid.test_sunspec import BY_NAME, ask, order, raw, server

FIRST = BY_NAME["704.PFWInjEna"].address
LAST = BY_NAME["715.OpCtl"].address


@given(st.binary(max_size=300))
def test_any_bytes_leave_the_server_whole(data: bytes) -> None:
    at, stream = server(), Stream()
    try:
        for request in stream.feed(data):
            at.serve(request, 100.0, may_write=True)
    except GridError:
        pass
    assert raw(at, "702.WMaxRtg") == 6000


@given(
    st.integers(FIRST, LAST),
    st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=40),
    st.booleans(),
)
def test_no_write_asks_for_more_than_the_evse_can(
    address: int, words: list[int], enabled: bool
) -> None:
    at = server()
    if enabled:
        order(at, WSet=1000, WSetEna=1)
    head = struct.pack(">BHHB", 16, address, len(words), 2 * len(words))
    answer, signals = ask(at, head + struct.pack(f">{len(words)}H", *words))
    assert signals == [] or answer[0] == 16
    for segment in (s for signal in signals for s in signal.segments):
        if segment.mode is OperationMode.EXTERNAL_SETPOINT:
            assert -6000.0 <= (segment.setpoint_w or 0.0) <= 6000.0
        else:
            assert -6000.0 <= (segment.discharge_limit_w or 0.0) <= 0.0
    for signal in signals:
        assert signal.valid_until_mono <= 100.0 + 86_400.0 + 900.0


@given(
    st.integers(BASE, END - 1), st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=8)
)
def test_a_reader_changes_nothing(address: int, words: list[int]) -> None:
    at = server()
    head = struct.pack(">BHHB", 16, address, len(words), 2 * len(words))
    pdu = head + struct.pack(f">{len(words)}H", *words)
    before = [raw(at, name) for name in ("704.WSetEna", "704.WSet", "704.WMaxLimPct")]
    answer, signals = ask(at, pdu, may_write=False)
    assert (answer, signals) == (b"\x90\x01", [])
    after = [raw(at, name) for name in ("704.WSetEna", "704.WSet", "704.WMaxLimPct")]
    assert before == after


def test_a_promise_of_bytes_that_never_come_keeps_little() -> None:
    """The most that one peer can make us keep is one request."""
    stream = Stream()
    assert stream.feed(struct.pack(">HHHB", 1, 0, 254, 1) + bytes(252)) == []
    assert len(stream._buffer) < 260


def test_commands_that_contradict_each_other_the_newest_holds() -> None:
    at = server()
    order(at, WSet=3000, WSetEna=1)
    (signal,) = order(at, now=100.1, WSet=-3000)
    assert signal.segments[0].setpoint_w == 3000.0
    assert signal.received_mono == 100.1
