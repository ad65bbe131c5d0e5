"""Any split of any byte stream gives the same frames; frames survive garbage."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.wire import chargebyte, infypower
from firmware_bridge.wire.ascii_token import TokenFramer

frames = st.builds(
    chargebyte.encode_frame,
    st.integers(0, 255),
    st.binary(min_size=8, max_size=8),
)
streams = st.lists(st.one_of(frames, st.binary(max_size=30)), max_size=8).map(b"".join)
cuts = st.lists(st.integers(0, 250), max_size=12)


def split(data: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(cut, len(data)) for cut in at), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@settings(max_examples=150, deadline=None)
@given(streams, cuts)
def test_pilot_framer_any_split(data: bytes, at: list[int]) -> None:
    whole, parts = chargebyte.Framer(), chargebyte.Framer()
    expected = whole.receive(data)
    got = [frame for part in split(data, at) for frame in parts.receive(part)]
    assert got == expected
    assert parts.bad == whole.bad


@settings(max_examples=100, deadline=None)
@given(st.lists(frames, min_size=1, max_size=6))
def test_pilot_framer_finds_every_frame(sent: list[bytes]) -> None:
    found = chargebyte.Framer().receive(b"".join(sent))
    assert [chargebyte.encode_frame(f.com, f.data) for f in found] == sent


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200).map(lambda b: b.replace(b"!", b"\x02")), cuts)
def test_token_framer_any_split(data: bytes, at: list[int]) -> None:
    data = data + b"\x0204AABBCC\r\n"
    whole, parts = TokenFramer(), TokenFramer()
    expected = whole.receive(data)
    got = [token for part in split(data, at) for token in parts.receive(part)]
    assert got == expected
    assert expected[-1] == "04AABBCC"


@settings(max_examples=200, deadline=None)
@given(st.integers(0, (1 << 29) - 1), st.binary(max_size=8))
def test_can_decoder_never_raises(identifier: int, data: bytes) -> None:
    reply = infypower.decode_reply(identifier, data)
    if reply is not None:
        assert identifier >> 8 & 0xFF == infypower.CONTROLLER


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=8, max_size=8))
def test_state_decoders_never_raise(data: bytes) -> None:
    state = chargebyte.decode_charge_state(data)
    assert 0.0 <= state.duty <= 1.0
    chargebyte.decode_chademo_state(data)
    heat = chargebyte.decode_temperatures(data)
    assert all(-820 <= value <= 820 for value in heat.values_c)
