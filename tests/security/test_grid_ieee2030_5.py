"""Whatever the IEEE 2030.5 client process says, or a server through it: refused or
bounded, and it ends."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargerd.grid.ieee2030_5_modes import _READERS
from chargerd.scheduler.signals import check
from tests.security.anything import ATOMS, JSON
from tests.unit.grid.ieee2030_5_stand import Stand

KEYS = ("watts", "WSet", "p_lim_w", "p_lim_watts", "pct", "delta_w", "connected")
KEYS = (*KEYS, "permit", "exp_lim_w", "pf_dbof", "pf_dbuf", "pf_kof", "pf_kuf")


def bounded(stand: Stand) -> None:
    for signal in stand.controls.tick(stand.now):
        check(signal)
        assert signal.valid_until_mono <= stand.mono + 900.0
        for segment in signal.segments:
            assert abs(segment.setpoint_w or 0.0) <= 12_000.0
    json.dumps(stand.controls.status(), allow_nan=False)


@given(JSON)
def test_any_line(message: Any) -> None:
    stand = Stand()
    stand.controls.receive(message, stand.now)
    bounded(stand)


@given(
    st.sampled_from(sorted(_READERS)),
    st.dictionaries(st.sampled_from(KEYS), ATOMS, max_size=4),
    ATOMS,
)
def test_any_mode(mode: str, params: dict[str, Any], end_s: Any) -> None:
    stand = Stand()
    stand.controls.receive({"mode": mode, "params": params, "end_s": end_s}, stand.now)
    bounded(stand)
    stand.mono += 2000.0
    assert stand.asked() == {}


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"mode": "target_w", "params": {"watts": float("nan")}}, "malformed"),
        ({"mode": "target_w", "params": {"watts": 1e12}}, "range"),
        ({"mode": "p_lim", "params": {"p_lim_w": -1}}, "range"),
        ({"mode": "target_w", "params": {"watts": 1}, "end_s": -5}, "stale"),
        ({"mode": "target_w", "params": {"watts": 1}, "end_s": 1e12}, "stale"),
        ({"mode": "volt_var", "params": {}}, "mode"),
        ({"mode": "connect", "params": {"connected": "yes"}}, "malformed"),
        ({"mode": 5, "params": {}}, "malformed"),
        ([], "malformed"),
        ({"error": "no"}, "connection"),
    ],
)
def test_what_is_refused_is_counted(message: Any, reason: str) -> None:
    stand = Stand()
    stand.controls.receive(message, stand.now)
    assert stand.controls.status()["refused"] == {reason: 1}
    assert stand.asked() == {}


def test_a_server_heard_in_the_future_is_not_believed_longer() -> None:
    stand = Stand(hold_s=60)
    stand.set("target_w", end_s=None, watts=1000)
    stand.say(heard_s=-1e9)
    stand.mono += 61.0
    assert stand.asked() == {}
