"""Hostile ECHONET Lite: what is refused is counted by reason and changes nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargerd.grid.echonet_frame import MAX_BYTES, Esv
from chargerd.model import OperationMode
from tests.unit.grid.test_echonet import (
    HEMS,
    NEIGHBOUR,
    ONE,
    ask,
    command,
    node,
    value,
)

GET_MODE = bytes.fromhex("1081000105ff01027e016201da00")
MALFORMED = [
    b"",
    b"\x10",
    b"\x10\x82" + GET_MODE[2:],  # arbitrary format
    b"\x90\x81" + GET_MODE[2:],
    GET_MODE[:-1],
    GET_MODE + b"\x00",
    GET_MODE[:10] + b"\x99" + GET_MODE[11:],  # no such service
    GET_MODE[:11] + b"\xff" + GET_MODE[12:],  # promises 255 properties
    bytes.fromhex("1081000105ff01027e016101daff43"),  # promises 255 bytes
    bytes.fromhex("1081000105ff01027e016e01da0143"),  # SetGet without a second list
    GET_MODE + bytes(MAX_BYTES),
]


@pytest.mark.parametrize("data", MALFORMED)
def test_malformed(data: bytes) -> None:
    at = node()
    work = at.receive(data, HEMS, 100.0)
    assert (work.outs, work.signals) == ([], [])
    assert at.status()["refused"] == {"malformed": 1}


@given(st.binary(max_size=40), st.sampled_from([HEMS, NEIGHBOUR]))
def test_nothing_that_comes_breaks_the_node(data: bytes, host: str) -> None:
    at = node()
    for candidate in (data, GET_MODE[:10] + data, GET_MODE[:4] + data):
        at.receive(candidate, host, 100.0)
    assert value(at, 0xC5) == (7000).to_bytes(4, "big")


@given(st.binary(min_size=1, max_size=4), st.integers(0x80, 0xFF))
def test_no_setting_asks_for_more_than_the_evse_can(edt: bytes, epc: int) -> None:
    at = node()
    ask(at, Esv.SETC, (epc, edt))
    for mode in (0x42, 0x43, 0x46):
        for method in (0, 3):
            work = command(at, dc=method, dd=method, da=mode)
            for segment in (s for signal in work.signals for s in signal.segments):
                if segment.mode is OperationMode.EXTERNAL_SETPOINT:
                    assert -6000.0 <= (segment.setpoint_w or 0.0) <= 7000.0


def test_a_flood_of_strangers_leaves_the_controller_its_say() -> None:
    at = node(requests_per_s=5)
    for number in range(2000):
        ask(at, Esv.GET, (0xDA, b""), host=f"192.168.2.{number % 250}")
    assert at.status()["refused"]["flood"] > 1900
    (signal,) = command(at, da=0x43).signals
    assert signal.segments[0].setpoint_w == -6000.0


def test_a_flood_by_the_controller_is_cut() -> None:
    at = node(requests_per_s=5)
    signals = [s for _ in range(500) for s in command(at, da=0x43).signals]
    assert len(signals) == 20  # four seconds' worth
    assert at.status()["refused"] == {"flood": 480}
    assert command(at, now=101.0, da=0x44).signals


def test_nobody_commands_unless_named() -> None:
    at = node(controllers=[])
    assert command(at, da=0x43).signals == []
    assert at.status()["refused"] == {"unauthorised": 1}


def test_a_repeated_command_only_holds_as_long_as_a_new_one() -> None:
    """UDP repeats; the protocol has no way to tell a repeat from a new wish."""
    at = node(hold_s=60)
    command(at, da=0x43)
    (signal,) = command(at, now=110.0, da=0x43).signals
    assert signal.valid_until_mono == 170.0


def test_amplification_is_bounded() -> None:
    """The most that one datagram can make us answer still fits one datagram."""
    at = node()
    work = ask(at, Esv.GET, *(((0x83, b""),) * 60), target=ONE)
    assert max(len(out.data) for out in work.outs) <= MAX_BYTES
