"""The CAN adapter: what Lawicel adapters answer, and when frames pass."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.rig.slcan import Frame, Slcan, encode, parse

EXTENDED = Frame(0x02A33FF0, bytes.fromhex("1001000000000000"), extended=True)
LINE = b"T02A33FF081001000000000000"


@pytest.mark.parametrize(
    ("talk", "answer"),
    [
        (b"\r", b"\r"),
        (b"S4\r", b"\r"),
        (b"S9\r", b"\a"),
        (b"O\r", b"\a"),  # no bit rate yet
        (b"S4\rO\r", b"\r\r"),
        (b"S4\rL\r", b"\r\r"),
        (b"S4\rO\rO\r", b"\r\r\a"),
        (b"S4\rO\rS6\r", b"\r\r\a"),
        (b"C\r", b"\a"),
        (b"S4\rO\rC\r", b"\r\r\r"),
        (b"V\r", b"V1013\r"),
        (b"N\r", b"NRIG1\r"),
        (b"F\r", b"F00\r"),
        (b"Q\r", b"\a"),
        (b"S4\rO\r" + LINE + b"\r", b"\r\rZ\r"),
        (b"S4\rO\rt1002AABB\r", b"\r\rz\r"),
        (b"S4\rO\rt1002AA\r", b"\r\r\a"),
        (b"S4\rO\rt8002AABB\r", b"\r\r\a"),
        (LINE + b"\r", b"\a"),  # closed
        (b"x" * 100, b"\a"),
    ],
)
def test_answers(talk: bytes, answer: bytes) -> None:
    assert Slcan(125_000).receive(talk)[0] == answer


@pytest.mark.parametrize(
    ("setup", "passes"),
    [
        (b"S4\rO\r", True),
        (b"S6\rO\r", False),  # the bus runs at another bit rate
        (b"S4\r", False),
        (b"S4\rL\r", False),
        (b"S4\rO\rC\r", False),
    ],
)
def test_frames_pass_only_on_a_live_channel(setup: bytes, passes: bool) -> None:
    adapter = Slcan(125_000)
    adapter.receive(setup)
    _, frames = adapter.receive(LINE + b"\r")
    assert frames == ([EXTENDED] if passes else [])


def test_encode_is_silent_when_closed_or_bus_off() -> None:
    adapter = Slcan(125_000)
    assert adapter.encode(EXTENDED) == b""
    adapter.receive(b"S4\rO\r")
    assert adapter.encode(EXTENDED) == LINE + b"\r"
    adapter.bus_off = True
    assert adapter.encode(EXTENDED) == b""
    assert adapter.receive(LINE + b"\rF\r") == (b"\aF80\r", [])


@given(
    st.booleans().flatmap(
        lambda x: st.builds(
            Frame,
            st.integers(0, 0x1FFFFFFF if x else 0x7FF),
            st.binary(max_size=8),
            st.just(x),
        )
    )
)
def test_round_trip(frame: Frame) -> None:
    assert parse(encode(frame)[:-1]) == frame


@given(st.binary(max_size=80), st.integers(1, 7))
def test_any_bytes_any_split_do_no_harm(data: bytes, size: int) -> None:
    whole, parts = Slcan(500_000), Slcan(500_000)
    expected = whole.receive(data)[0]
    got = b"".join(
        parts.receive(data[i : i + size])[0] for i in range(0, len(data), size)
    )
    if len(data) <= 64:
        assert got == expected
