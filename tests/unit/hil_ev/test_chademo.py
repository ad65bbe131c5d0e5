"""The CHAdeMO vehicle through whole sessions against a scripted station."""

import itertools

import pytest

from hil.ev.catalog import make
from hil.ev.chademo import ChademoEv
from hil.ev.chademo_traits import FAULTS
from tests.unit.hil_ev.station import Station

PERMITTED, OPEN, V2H = 0x01, 0x08, 0x80


def station(**kw) -> Station:
    ev = make("chademo", **kw)
    assert isinstance(ev, ChademoEv)
    return Station(ev)


def running(**kw) -> Station:
    bench = station(**kw)
    bench.start()
    bench.run(5.0)
    return bench


def test_sleeps_until_d1() -> None:
    bench = station()
    bench.run(2.0)
    assert bench.sent == []
    assert bench.given.proximity
    assert not bench.given.permission


def test_frames_come_every_100_ms_in_order() -> None:
    bench = station()
    bench.d1 = True
    bench.run(5.0)
    times = [at for at, frame_id, _ in bench.sent if frame_id == 0x100]
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert len(times) >= 45
    assert min(gaps) >= 0.09
    assert max(gaps) <= 0.11
    order = [frame_id for _, frame_id, _ in bench.sent][:7]
    assert order == [0x100, 0x101, 0x102, 0x110, 0x200, 0x201, 0x700]
    offset_s = bench.sent[2][0] - bench.sent[0][0]
    assert offset_s == pytest.approx(0.02, abs=0.006)


def test_permission_needs_a_station_that_talks_and_fits() -> None:
    for change in ({"talks": False}, {"available_v": 300}):
        bench = station()
        for name, value in change.items():
            setattr(bench, name, value)
        bench.d1 = True
        bench.run(10.0)
        assert not bench.given.permission, change
        assert not bench.newest(0x102)[5] & PERMITTED


def test_start_order_and_times() -> None:
    bench = station(k_delay_s=1.0)
    bench.d1 = True
    bench.run(0.9)
    assert not bench.given.permission
    bench.run(0.3)
    assert bench.given.permission
    bench.run(0.2)
    assert bench.newest(0x102)[5] & (PERMITTED | OPEN | V2H) == PERMITTED | OPEN | V2H
    bench.run(3.0)
    assert not bench.given.contactor_closed  # without d2
    bench.d2 = True
    bench.run(0.4)
    assert not bench.given.contactor_closed
    bench.run(0.4)
    assert bench.given.contactor_closed
    assert not bench.newest(0x102)[5] & OPEN


def test_contactor_waits_for_the_lock() -> None:
    bench = station()
    bench.locked = False
    bench.d1 = bench.d2 = True
    bench.run(5.0)
    assert not bench.given.contactor_closed


def test_request_ramps_20_a_per_s_and_follows_the_available_current() -> None:
    bench = station()
    bench.available_a = 60
    bench.start()
    first = bench.ev.request_a
    bench.run(1.0)
    assert bench.ev.request_a - first == pytest.approx(20.0, abs=0.5)
    bench.run(3.0)
    assert bench.newest(0x102)[3] == 60
    bench.available_a = 0
    bench.run(0.25)
    assert bench.newest(0x102)[3] == 0
    bench.available_a = 15
    bench.run(1.2)
    assert bench.newest(0x102)[3] == 15


def test_discharge_limit_ramps_and_discharging_empties_the_battery() -> None:
    bench = running(soc=60.0)
    assert 0xFF - bench.newest(0x200)[0] == 60
    bench.available_a, bench.wish_a = 0, -20.0
    before = bench.ev.battery.soc_pct
    bench.run(60.0)
    assert bench.ev.phase == "energised"
    assert bench.ev.battery.soc_pct < before - 0.2
    assert bench.ev.state()["energy_out_wh"] > 100.0


def test_charging_fills_the_battery() -> None:
    bench = running(soc=60.0)
    before = bench.ev.battery.soc_pct
    bench.run(30.0)
    assert bench.ev.battery.soc_pct > before
    assert bench.ev.state()["energy_in_wh"] > 100.0


def test_first_soc_values_are_false_then_percent() -> None:
    bench = station(soc=60.0)
    bench.d1 = True
    bench.run(3.0)
    shown = [data[6] for _, frame_id, data in bench.sent if frame_id == 0x102]
    assert shown[0] == 3
    assert set(shown[1:15]) == {1}
    assert set(shown[15:]) == {60}


def test_station_stop() -> None:
    bench = running()
    bench.stop_control, bench.wish_a = True, 0.0
    assert bench.run(1.0, lambda: not bench.newest(0x102)[5] & PERMITTED)
    assert bench.ev.phase in ("stopping", "weld_check")
    bench.charging = False
    assert bench.run(4.0, lambda: bool(bench.newest(0x102)[5] & OPEN))
    assert not bench.given.contactor_closed
    assert bench.ev.state()["opened_under_load"] == 0
    bench.d2 = False
    bench.run(0.5)
    bench.d1 = False
    bench.run(1.0)
    count = len(bench.sent)
    bench.run(1.0)
    assert len(bench.sent) == count
    assert bench.ev.state()["stop_reason"] == "station_stopped"


def test_a_second_session_starts_clean() -> None:
    bench = running()
    bench.status_bits = 0x02
    bench.run(5.0)
    bench.status_bits, bench.d1, bench.d2 = 0, False, False
    bench.charging, bench.stop_control = False, True
    bench.run(2.0)
    bench.start()
    assert bench.ev.state()["stop_reason"] == ""


@pytest.mark.parametrize(
    ("change", "reason", "bit", "within_s"),
    [
        ({"talks": False}, "station_silent", None, 1.2),
        ({"status_bits": 0x02}, "station_malfunction", None, 0.3),
        ({"status_bits": 0x08}, "battery_incompatible", None, 0.3),
        ({"status_bits": 0x10}, "station_system_malfunction", None, 0.3),
        ({"wish_a": 90.0}, "too_much_charge", 2, 5.5),
        ({"wish_a": -75.0}, "too_much_discharge", 2, 5.5),
        ({"wish_a": 40.0}, "too_little_charge", 2, 5.5),
        ({"voltage_offset_v": 20}, "voltage_reported_wrong", 4, 5.5),
        ({"d2": False}, "d2_lost", None, 0.2),
        ({"d1": False}, "d1_lost", None, 0.2),
    ],
)
def test_the_car_stops_by_itself(change, reason, bit, within_s) -> None:
    bench = running()
    assert bench.ev.request_a == pytest.approx(75.0, abs=1.0)
    for name, value in change.items():
        setattr(bench, name, value)
    assert bench.run(within_s, lambda: bench.ev.state()["stop_reason"] != "")
    assert bench.ev.state()["stop_reason"] == reason
    bench.run(0.2)
    assert bench.newest(0x102)[4] == (0 if bit is None else 1 << bit)
    assert not bench.newest(0x102)[5] & PERMITTED
    assert bench.run(2.5, lambda: not bench.given.contactor_closed)


def test_another_voltage_is_borne_while_the_station_matches_it() -> None:
    bench = station()
    bench.d1 = True
    bench.run(2.0)
    bench.d2, bench.voltage_offset_v = True, -300
    bench.run(8.0)
    assert bench.ev.phase == "energised"


def test_101_says_the_longest_time_and_the_estimate() -> None:
    bench = station(soc=50.0, capacity_wh=1_000.0, max_minutes=90)
    bench.d1 = True
    bench.run(1.0)
    assert bench.newest(0x101) == bytes([0, 0xFF, 90, 60, 0, 10, 0, 0])


def test_a_gap_in_the_steps_is_not_made_up_for() -> None:
    bench = station()
    bench.d1 = True
    bench.run(1.0)
    bench.sent.clear()
    bench.now_s += 5.0
    bench.run(0.2)
    assert sum(frame_id == 0x100 for _, frame_id, _ in bench.sent) <= 3


@pytest.mark.parametrize("wish_a", [66.0, 75.0, 84.0])
def test_small_deviations_are_borne(wish_a) -> None:
    bench = running()
    bench.wish_a = wish_a
    bench.run(8.0)
    assert bench.ev.phase == "energised"


def test_a_deviation_that_ends_in_time_is_forgotten() -> None:
    bench = running()
    for _ in range(3):
        bench.wish_a = 40.0
        bench.run(4.0)
        bench.wish_a = 75.0
        bench.run(1.0)
    assert bench.ev.phase == "energised"


def test_pause_and_resume_keep_the_session() -> None:
    bench = running()
    bench.ev.pause()
    bench.run(5.0)
    assert bench.newest(0x102)[3] == 0
    assert bench.newest(0x200)[0] == 0xFF
    assert bench.given.contactor_closed
    bench.ev.resume()
    bench.run(4.0)
    assert bench.newest(0x102)[3] == 75


def test_no_discharge_below_the_level() -> None:
    bench = running(soc=30.0, min_level_pct=35.0)
    assert bench.newest(0x200)[0] == 0xFF
    assert bench.newest(0x200)[6] == 35
    assert bench.newest(0x102)[3] == 75


def test_no_discharge_when_the_station_cannot() -> None:
    bench = station()
    bench.discharge_ok = False
    bench.start()
    bench.run(4.0)
    assert bench.newest(0x200)[0] == 0xFF


def test_old_guideline_has_no_201_and_levels_in_tenths_of_kwh() -> None:
    bench = station(profile="guideline_1_0", capacity_wh=22_200.0, max_level_pct=80.0)
    bench.d1 = True
    bench.run(2.0)
    assert 0x201 not in {frame_id for _, frame_id, _ in bench.sent}
    assert bench.newest(0x200)[6:] == bytes([22, 178])
    assert bench.newest(0x101)[5:7] == bytes([222, 0])


# -- misbehaviours ---------------------------------------------------------------


def test_silent() -> None:
    bench = running()
    bench.ev.fault("silent", True)
    count = len(bench.sent)
    bench.run(1.0)
    assert len(bench.sent) == count
    bench.ev.fault("silent", False)
    bench.run(0.3)
    assert len(bench.sent) > count


def test_no_k() -> None:
    bench = running()
    bench.ev.fault("no_k", True)
    bench.run(0.1)
    assert not bench.given.permission
    assert bench.newest(0x102)[5] & PERMITTED


def test_wont_close() -> None:
    bench = station()
    bench.ev.fault("wont_close", True)
    bench.d1 = True
    bench.run(2.0)
    bench.d2 = True
    bench.run(6.0)
    assert not bench.given.contactor_closed
    assert bench.ev.state()["stop_reason"] == "contactor_did_not_close"
    assert bench.newest(0x102)[5] & 0x04


def test_weld() -> None:
    bench = running()
    bench.ev.fault("weld", True)
    bench.ev.fault("stop_now", True)
    bench.wish_a = 0.0
    bench.run(8.0)
    assert bench.given.contactor_closed
    assert bench.ev.state()["stop_reason"] == "weld"
    status = bench.newest(0x102)[5]
    assert not status & OPEN
    assert status & 0x04
    bench.d1 = bench.d2 = False
    bench.run(1.0)
    assert bench.given.contactor_closed
    bench.ev.fault("weld", False)
    bench.run(0.1)
    assert not bench.given.contactor_closed


def test_a_line_that_stays_live_fails_the_weld_check() -> None:
    bench = running()
    bench.holds_voltage = True
    bench.stop_control, bench.wish_a = True, 0.0
    bench.run(6.0)
    assert not bench.given.contactor_closed
    assert not bench.newest(0x102)[5] & OPEN


def test_over_request() -> None:
    bench = running()
    bench.ev.fault("over_request", True, amps=30)
    bench.run(3.0)
    assert bench.newest(0x102)[3] == 105


def test_soc_lie() -> None:
    bench = running(soc=60.0)
    bench.ev.fault("soc_lie", True, soc=12)
    bench.run(0.2)
    assert bench.newest(0x102)[6] == 12
    assert bench.ev.state()["soc_pct"] == pytest.approx(60.0, abs=1.0)


def test_discharge_forbidden() -> None:
    bench = running()
    bench.ev.fault("discharge_forbidden", True)
    bench.run(0.2)
    assert not bench.newest(0x102)[5] & V2H
    assert bench.newest(0x200)[0] == 0xFF
    assert bench.newest(0x102)[3] == 75


@pytest.mark.parametrize("n", range(5))
def test_fault_bit(n: int) -> None:
    bench = running()
    bench.ev.fault("fault_bit", True, n=n)
    bench.run(0.15)
    assert bench.newest(0x102)[4] == 1 << n
    assert not bench.given.permission
    bench.run(1.0)
    assert not bench.given.contactor_closed
    assert bench.ev.state()["opened_under_load"] == 0  # the request fell, current too


def test_contacts_that_open_under_load_are_counted() -> None:
    bench = running()
    bench.wish_a = 75.0
    bench.ev.fault("fault_bit", True, n=3)
    bench.run(1.0)
    assert not bench.given.contactor_closed
    assert bench.ev.state()["opened_under_load"] == 1


@pytest.mark.parametrize(("kind", "bit"), [("stop_now", 0x00), ("shift", 0x02)])
def test_the_car_ends_it(kind: str, bit: int) -> None:
    bench = running()
    bench.ev.fault(kind, True)
    bench.run(0.15)
    assert bench.newest(0x102)[5] & (PERMITTED | 0x02) == bit
    assert bench.run(3.0, lambda: bool(bench.newest(0x102)[5] & OPEN))


def test_slow() -> None:
    bench = station()
    bench.ev.fault("slow", True)
    bench.d1 = True
    bench.run(3.5)
    assert not bench.given.permission
    bench.run(1.0)
    assert bench.given.permission


@pytest.mark.parametrize(
    ("kind", "args"),
    [
        ("nonsense", {}),
        ("silent", {"x": 1}),
        ("fault_bit", {"n": 5}),
        ("soc_lie", {"soc": "x"}),
    ],
)
def test_unknown_faults_are_refused(kind: str, args: dict[str, int]) -> None:
    bench = station()
    with pytest.raises(ValueError, match=kind):
        bench.ev.fault(kind, True, **args)


def test_every_fault_can_be_set_and_cleared() -> None:
    bench = station()
    for kind in FAULTS:
        bench.ev.fault(kind, True)
        assert bench.ev.state()["faults"] == [kind]
        bench.ev.fault(kind, False)
    assert bench.ev.state()["faults"] == []
