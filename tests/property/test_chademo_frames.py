"""Laws of the CHAdeMO codec: any bytes give a frame, None or ChademoError."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from chargerd.vehicle.chademo.frames import (
    ChademoError,
    DischargeLimits,
    StationDischarge,
    StationStatus,
    decode,
    encode,
    levels_pct,
    soc_pct,
)

BYTES = st.binary(min_size=0, max_size=12)
IDS = st.sampled_from([0x100, 0x101, 0x102, 0x103, 0x110, 0x200, 0x201, 0x700, 0x202])
WILD = st.floats(allow_nan=True, allow_infinity=True)
LEVEL = st.integers(0, 255)


@settings(max_examples=300)
@given(IDS | st.integers(0, 1 << 29), BYTES)
def test_any_bytes(frame_id: int, data: bytes) -> None:
    try:
        frame = decode(frame_id, data)
    except ChademoError:
        return
    if frame is None:
        return
    assert len(data) == 8
    for name in frame.__slots__:
        value = getattr(frame, name)
        if isinstance(value, float):
            assert math.isfinite(value)
            assert value <= 0.0 if name == "discharge_a" else value >= 0.0


@given(WILD, WILD, WILD)
def test_any_numbers_make_frames(a: float, b: float, c: float) -> None:
    for frame in (
        StationStatus(2, voltage_v=a, current_a=b, remaining_s=c),
        StationDischarge(a, b, c, a),
    ):
        frame_id, body = encode(frame)
        assert frame_id in (0x109, 0x208)
        assert len(body) == 8


@given(st.integers(0, 254))
def test_discharge_amperes_keep_their_size_and_change_their_sign(amperes: int) -> None:
    _, body = encode(StationDischarge(-float(amperes), 0.0, 0.0, 0.0))
    read = decode(0x200, bytes((body[0], *bytes(7))))
    assert isinstance(read, DischargeLimits)
    assert read.discharge_a == -amperes


@given(LEVEL, LEVEL, st.booleans(), st.none() | st.floats(1000.0, 200_000.0))
def test_levels_are_never_negative_and_ordered_like_their_bytes(
    low: int, high: int, has_201: bool, capacity_wh: float | None
) -> None:
    frame = DischargeLimits(0.0, 0.0, low, high)
    bottom, top = levels_pct(frame, has_201=has_201, capacity_wh=capacity_wh)
    if bottom is not None:
        assert bottom >= 0.0
    if bottom is not None and top is not None:
        assert top > 0.0
        assert (low <= high) == (bottom <= top)


@given(LEVEL, LEVEL)
def test_soc_is_a_percentage_or_unknown(constant: int, rate: int) -> None:
    soc = soc_pct(constant, rate)
    assert soc is None or 0.0 <= soc <= 100.0
