"""The AC vehicles (basic, external) and the catalogue, with fake time."""

import itertools
from dataclasses import replace

import pytest

from hil.ev.base import Given, Seen
from hil.ev.basic import BasicEv, duty_to_current_a
from hil.ev.catalog import PROFILES, make
from hil.ev.external import ExternalEv

DT_S = 0.01


class Line:
    """An AC station that gives what the car wants while C and `live`."""

    def __init__(self, ev, duty: float = 1.0) -> None:
        self.ev, self.seen, self.now_s = ev, Seen(pilot_duty=duty), 5.0
        self.given = Given()

    def run(self, seconds: float, **change) -> Given:
        self.seen = replace(self.seen, **change)
        for _ in range(round(seconds / DT_S)):
            self.now_s += DT_S
            live = self.given.pilot_state in "CD" and change.get("ac_live", True)
            flow = self.given.ac_power_w if live else 0.0
            self.seen = replace(self.seen, ac_live=live, ac_power_w=flow)
            self.given = self.ev.step(self.now_s, DT_S, self.seen)
        return self.given


@pytest.mark.parametrize(
    ("duty", "amps"),
    [
        (0.0, 0.0),
        (0.05, 0.0),
        (0.079, 0.0),
        (0.08, 6.0),
        (0.10, 6.0),
        (0.50, 30.0),
        (0.85, 51.0),
        (0.90, 65.0),
        (0.96, 80.0),
        (0.97, 80.0),
        (0.98, 0.0),
        (1.0, 0.0),
    ],
)
def test_duty_table(duty, amps) -> None:
    assert duty_to_current_a(duty) == pytest.approx(amps)


def test_waits_in_b_then_draws_what_the_duty_allows() -> None:
    line = Line(make("basic", max_a=32.0))
    assert line.run(5.0).pilot_state == "B"
    assert line.run(0.5, pilot_duty=0.20).pilot_state == "B"
    assert line.run(1.0).pilot_state == "C"
    given = line.run(3.0)
    assert given.ac_power_w == pytest.approx(12.0 * 230.0)
    assert line.run(1.0, pilot_duty=0.10).ac_power_w == pytest.approx(6.0 * 230.0)
    assert line.run(5.0, pilot_duty=0.90).ac_power_w == pytest.approx(32.0 * 230.0)


def test_a_sleeper_wakes_after_a_long_state_f_only() -> None:
    line = Line(make("basic", asleep=True), duty=0.20)
    assert line.run(60.0).pilot_state == "B"
    assert line.ev.state()["phase"] == "asleep"
    line.run(0.3, pilot_duty=0.0)
    assert line.run(5.0, pilot_duty=0.20).pilot_state == "B"
    line.run(4.0, pilot_duty=0.0)
    assert line.run(2.0, pilot_duty=0.20).pilot_state == "C"


def test_five_percent_is_no_offer() -> None:
    line = Line(make("basic"), duty=0.05)
    assert line.run(30.0).pilot_state == "B"


def test_current_ramps_up() -> None:
    line = Line(make("basic", max_a=32.0, ramp_a_per_s=10.0), duty=0.50)
    powers = [line.run(0.1).ac_power_w for _ in range(60)]
    steps = [b - a for a, b in itertools.pairwise(powers)]
    assert max(steps) <= 10.0 * 0.1 * 230.0 + 1e-6
    assert powers[-1] == pytest.approx(30.0 * 230.0)


def test_lost_pwm_stops_within_3_s() -> None:
    line = Line(make("basic"), duty=0.30)
    assert line.run(5.0).ac_power_w > 0.0
    assert line.run(0.1, pilot_duty=1.0).ac_power_w == 0.0
    assert line.run(2.8).pilot_state == "B"


@pytest.mark.parametrize("change", [{"pilot_duty": 0.0}, {"ac_live": False}])
def test_state_f_or_a_dead_line_stops_within_100_ms(change) -> None:
    line = Line(make("basic"), duty=0.30)
    assert line.run(5.0).ac_power_w > 0.0
    assert line.run(0.1, **change).ac_power_w == 0.0


def test_pause_goes_to_b_and_resume_to_c() -> None:
    line = Line(make("basic"), duty=0.30)
    line.run(5.0)
    line.ev.pause()
    given = line.run(2.0)
    assert (given.pilot_state, given.ac_power_w) == ("B", 0.0)
    line.ev.resume()
    assert line.run(3.0).pilot_state == "C"


def test_a_full_car_stops_itself() -> None:
    line = Line(make("basic", soc=79.99, capacity_wh=1000, target_soc_pct=80.0), 0.30)
    line.run(10.0)
    assert line.given.pilot_state == "B"
    assert 80.0 <= line.ev.state()["soc_pct"] < 81.0


def test_energy_reaches_the_battery_less_the_losses() -> None:
    line = Line(make("basic"), duty=0.30)
    line.run(60.0)
    state = line.ev.state()
    assert state["ac_energy_in_wh"] == pytest.approx(58.0 / 3600 * 3680, rel=0.05)
    share = state["energy_in_wh"] / state["ac_energy_in_wh"]
    assert share == pytest.approx(0.92, abs=1e-3)


def test_three_phases() -> None:
    line = Line(make("basic", profile="three_phase"), duty=0.30)
    assert line.run(6.0).ac_power_w == pytest.approx(3 * 16.0 * 230.0)


def test_misbehaving_basic_cars() -> None:
    line = Line(make("basic", max_a=32.0), duty=0.10)
    line.ev.fault("ignore_duty", True)
    assert line.run(6.0).ac_power_w == pytest.approx(32.0 * 230.0)
    line.ev.fault("stuck_c", True)
    assert line.run(6.0, pilot_duty=1.0).pilot_state == "C"
    line.ev.fault("stuck_c", False)
    line.ev.fault("ignore_duty", False)
    assert line.run(3.0).pilot_state == "B"
    with pytest.raises(ValueError, match="nonsense"):
        line.ev.fault("nonsense", True)


def test_external_shows_what_it_is_told() -> None:
    ev = make("external", power_w=7_000.0)
    assert isinstance(ev, ExternalEv)
    line = Line(ev)
    for state in "ABEF":
        ev.set_pilot(state)
        given = line.run(0.1)
        assert (given.pilot_state, given.ac_power_w) == (state, 0.0)
    ev.set_pilot("C")
    assert line.run(0.1).ac_power_w == 7_000.0
    ev.pause()
    assert line.run(0.1).pilot_state == "B"
    ev.resume()
    assert line.run(0.1).pilot_state == "C"
    assert line.run(0.1, ac_live=False).ac_power_w == 0.0
    for wrong in ("G", "", "AB", "c"):
        with pytest.raises(ValueError, match="pilot state"):
            ev.set_pilot(wrong)


def test_external_feeds_in_and_closes_its_contactor() -> None:
    ev = make("external")
    assert isinstance(ev, ExternalEv)
    ev.set_pilot("C", power_w=-3_000.0)
    before_wh = ev.battery.stored_wh
    for step in range(200):
        seen = Seen(ac_live=True, ac_power_w=-3_000.0)
        assert ev.step(step * 0.05, 0.05, seen).ac_power_w == -3_000.0
    assert before_wh - ev.battery.stored_wh == pytest.approx(3_000 / 360, rel=0.02)
    assert ev.state()["ac_energy_in_wh"] == 0.0
    ev.set_pilot("C", contactor=True)
    given = ev.step(20.0, 0.05, Seen(ac_live=True, dc_current_a=10.0))
    assert (given.contactor_closed, given.ac_power_w) == (True, 0.0)
    assert given.emf_v > 300.0


@pytest.mark.parametrize("kind", sorted(PROFILES))
def test_catalogue(kind) -> None:
    for profile in ("", *PROFILES[kind]):
        ev = make(kind, soc=42, capacity_wh=30_000, profile=profile)
        assert ev.kind == kind
        assert ev.state()["soc_pct"] == 42.0
        assert ev.state()["capacity_wh"] == 30_000
        given = ev.step(1.0, 0.005, Seen())
        assert given.proximity == (kind == "chademo")
        assert given.pilot_state == ("A" if kind == "chademo" else "B")


@pytest.mark.parametrize(
    ("kind", "kw", "text"),
    [
        ("tesla", {}, "basic, chademo, external"),
        ("basic", {"k_delay_s": 1.0}, "k_delay_s.*max_a"),
        ("chademo", {"max_a": 1.0}, "max_a.*k_delay_s"),
        ("chademo", {"profile": "x"}, "real_times"),
        ("basic", {"soc": 120}, "soc"),
        ("basic", {"soc": "60"}, "soc"),
        ("basic", {"max_a": "x"}, "max_a"),
        ("basic", {"max_a": float("nan")}, "max_a"),
        ("basic", {"max_a": -1}, "max_a"),
        ("chademo", {"conector": 1}, "known are .*'connector'.*'soc'"),
        ("basic", {"phases": 0}, "phases"),
        ("chademo", {"protocol_number": 256}, "protocol_number"),
        ("chademo", {"protocol_number": 1.5}, "protocol_number"),
        ("chademo", {"k_delay_s": None}, "k_delay_s"),
        ("external", {"cells": 0}, "cells"),
        ("external", {"hot_c": 70}, "too_hot_c"),
        ("external", {"taper_from_pct": 100}, "taper_from_pct"),
    ],
)
def test_unknown_words_are_refused_with_the_list(kind, kw, text) -> None:
    with pytest.raises(ValueError, match=text):
        make(kind, **kw)


def test_an_explicit_key_wins_over_its_profile() -> None:
    ev = make("basic", profile="three_phase", max_a=6.0, cells=108)
    assert isinstance(ev, BasicEv)
    assert ev.max_a == 6.0
    assert ev.battery.cells == 108
