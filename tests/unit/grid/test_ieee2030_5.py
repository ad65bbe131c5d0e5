"""The IEEE 2030.5 core: modes to signals, lost servers, ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.grid.ieee2030_5_stand import Stand
from tests.unit.grid.openadr3_stand import sized
from tests.unit.grid.stand import report

SET, LIMIT, DROOP = "ieee2030_5.set", "ieee2030_5.limit", "ieee2030_5.droop"


@pytest.mark.parametrize(
    ("mode", "params", "expected"),
    [
        ("target_w", {"mode_enable": 1, "watts": 3000}, {SET: -3000.0}),
        ("target_w", {"mode_enable": 1, "watts": -2000}, {SET: 2000.0}),
        ("target_w", {"mode_enable": 1, "watts": 1e8}, {SET: -12_000.0}),
        ("fixed_w", {"WSetEna": 1, "WSetMod": 0, "WSet": 50.0}, {SET: -6000.0}),
        ("fixed_w", {"WSetEna": 1, "WSetMod": 0, "WSet": -25.0}, {SET: 3500.0}),
        ("p_lim", {"p_lim_mode_enable": 1, "p_lim_w": 25.0}, {LIMIT: (None, -3000.0)}),
        ("p_lim_inj", {"p_lim_watts": 0}, {LIMIT: (None, 0.0)}),
        ("p_lim_abs", {"p_lim_watts": 1500}, {LIMIT: (1500.0, None)}),
        ("pct_absorb", {"mode_enable": 1, "pct": 10.0}, {LIMIT: (1400.0, None)}),
        ("exp_lim", {"exp_lim_w": 500}, {LIMIT: (None, -500.0)}),
        ("gen_lim", {"gen_lim_w": 500}, {LIMIT: (None, -500.0)}),
        ("imp_lim", {"imp_lim_w": 500}, {LIMIT: (500.0, None)}),
        ("load_lim", {"load_lim_w": 500}, {LIMIT: (500.0, None)}),
        ("connect", {"connected": False}, {LIMIT: (0.0, 0.0)}),
        ("connect", {"connected": True}, {}),
        ("permit", {"permit": False}, {LIMIT: (0.0, 0.0)}),
    ],
)
def test_what_a_mode_asks(mode: str, params: Any, expected: dict[str, Any]) -> None:
    stand = Stand()
    stand.set(mode, **params)
    assert stand.asked() == expected
    assert stand.controls.status()["refused"] == {}


def test_delta_counts_from_what_is_done_now() -> None:
    stand = Stand()
    stand.controls.report(report(1, power_w=2000.0))
    stand.set("delta_w", delta_w_mode_enable=1, delta_w=500.0)
    stand.controls.report(report(1, power_w=1500.0))
    assert stand.asked() == {SET: 1500.0}


def test_droop_is_a_curve_around_the_nominal_frequency() -> None:
    """dBOF 36 mHz, kOF 0.05 of 50 Hz for the rating (IEEE 1547-2018's defaults)."""
    stand = Stand()
    stand.set(
        "droop",
        pf_mode_enable=1,
        pf_dbof=0.036,
        pf_dbuf=0.036,
        pf_kof=0.05,
        pf_kuf=0.05,
    )
    points = stand.asked()[DROOP]
    assert [w for _, w in points] == [-12_000.0, 0.0, 0.0, 12_000.0]
    assert [hz for hz, _ in points] == pytest.approx([47.464, 49.964, 50.036, 52.536])


def test_caps_count_together_and_a_later_wish_wins() -> None:
    stand = Stand()
    stand.set("p_lim_inj", p_lim_watts=4000)
    stand.set("exp_lim", exp_lim_w=2500)
    stand.set("imp_lim", imp_lim_w=3000)
    stand.set("fixed_w", WSet=10.0)
    stand.set("target_w", watts=700)
    assert stand.asked() == {LIMIT: (3000.0, -2500.0), SET: -700.0}


def test_a_mode_that_is_set_anew_is_the_later_wish() -> None:
    """py20305 does not take a mode back when another event comes before its end."""
    stand = Stand()
    stand.set("fixed_w", WSet=10.0)
    stand.set("target_w", watts=700)
    stand.set("fixed_w", WSet=20.0)
    assert stand.asked() == {SET: -2400.0}


@pytest.mark.parametrize(
    ("mode", "on", "off"),
    [
        ("target_w", {"watts": 1}, {"mode_enable": 0}),
        ("fixed_w", {"WSet": 1}, {"WSetEna": 0}),
        ("p_lim", {"p_lim_w": 1}, {"p_lim_mode_enable": 0}),
        ("connect", {"connected": False}, {"connected": True}),
    ],
)
def test_a_mode_is_taken_back(mode: str, on: Any, off: Any) -> None:
    stand = Stand()
    stand.set(mode, **on)
    assert stand.asked()
    stand.set(mode, **off)
    assert stand.asked() == {}
    assert stand.controls.status()["modes"] == []


def test_an_event_s_end_ends_it_though_nobody_says_so() -> None:
    """py20305 does not take opModConnect back."""
    stand = Stand()
    stand.set("connect", end_s=60.0, connected=False)
    assert stand.asked() == {LIMIT: (0.0, 0.0)}
    stand.mono += 60.0
    stand.say(heard_s=0.0)
    assert stand.asked() == {}
    stand.mono += 20.0
    stand.asked()
    assert stand.controls.status()["modes"] == []


@pytest.mark.parametrize("end_s", [-1.0, 0.0, 367 * 86_400.0])
def test_an_end_that_is_over_or_too_far_is_refused(end_s: float) -> None:
    stand = Stand()
    stand.set("imp_lim", end_s, imp_lim_w=500)
    assert stand.asked() == {}
    assert stand.controls.status()["refused"] == {"stale": 1}
    assert stand.controls.status()["accepted"] == 0
    stand.set("imp_lim", 600.0, imp_lim_w=500)
    assert stand.controls.status()["accepted"] == 1


def test_a_default_control_has_no_end() -> None:
    stand = Stand()
    stand.set("p_lim", end_s=None, p_lim_w=50.0)
    for _ in range(500):
        stand.mono += 10.0
        stand.say(heard_s=0.0)
        assert stand.asked() == {LIMIT: (None, -6000.0)}


def test_a_silent_server_ends_wishes_and_a_dead_process_caps() -> None:
    stand = Stand(hold_s=60)
    stand.set("target_w", end_s=None, watts=1000)
    stand.set("p_lim", end_s=None, p_lim_w=50.0)
    for _ in range(10):
        stand.mono += 10.0
        stand.say(heard_s=10.0 * (_ + 1))
        stand.asked()
    assert stand.asked() == {LIMIT: (None, -6000.0)}
    stand.controls.gone()
    stand.mono += 59.0
    assert LIMIT in stand.asked()
    stand.mono += 2.0
    assert stand.asked() == {}


def test_a_process_that_connects_anew_says_all_anew() -> None:
    stand = Stand()
    stand.set("p_lim", end_s=None, p_lim_w=50.0)
    stand.controls.gone()
    assert stand.asked() == {LIMIT: (None, -6000.0)}
    stand.say(connected=True, lfdi="x")
    assert stand.asked() == {}


def test_without_a_word_of_the_server_nothing_is_followed() -> None:
    stand = Stand(hold_s=60)
    stand.mono += 60.0
    stand.say(heard_s=None)
    stand.set("target_w", watts=1000)
    assert stand.asked() == {}


def test_what_the_process_is_told_of_the_station() -> None:
    stand = Stand()
    stand.controls.report(sized(1))
    stand.controls.report(sized(2))
    seen = stand.controls.seen()
    assert seen["power_w"] == -5980.0
    assert (seen["charge_w"], seen["discharge_w"]) == (14_000, 12_000)
    assert (seen["soc_pct"], seen["capacity_wh"], seen["up_w"]) == (55.0, 80_000, 6000)
    stand.controls.report(replace(sized(2), flexibility=None))
    assert stand.controls.seen()["up_w"] == 3000  # of those that say so
