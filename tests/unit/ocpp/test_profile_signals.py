"""Blocks K and Q: what the profiles ask, as dispatch signals in time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from chargerd.model import OperationMode, SessionPhase
from chargerd.ocpp.blocks.desk import stamp
from chargerd.ocpp.effects import CallError
from chargerd.ocpp.profiles import Supply, parse_period
from tests.unit.ocpp.profile_kit import (
    BOTH,
    DROOP,
    central,
    install,
    local,
    profile,
    running,
    segment,
)
from tests.unit.ocpp.station_rig import Rig, config

P = SessionPhase


def test_a_frequency_curve_becomes_the_heart_s() -> None:
    """Q08: setpoint = v2xBaseline + v2xFreqWattCurve at the measured frequency."""
    rig, _ = running()
    assert install(rig, profile(periods=local(*DROOP))) == {"status": "Accepted"}
    held = segment(rig)
    assert held.mode is OperationMode.LOCAL_FREQUENCY
    assert held.setpoint_w == 500.0
    assert held.curve.at(49.9) == pytest.approx(-5000.0)
    asked = {"evseId": 1, "duration": 600}
    answer = rig.call("GetCompositeSchedule", asked)
    assert isinstance(answer, dict)
    (period,) = answer["schedule"]["chargingSchedulePeriod"]
    assert period["operationMode"] == "LocalFrequency"
    assert period["v2xBaseline"] == 500.0
    assert period["v2xFreqWattCurve"][0] == {"frequency": 49.8, "power": -10_000.0}


def test_an_afrr_signal_moves_the_baseline_for_30_s() -> None:
    rig, _ = running()
    ask = {"timestamp": rig.time(), "signal": 50}
    refused = rig.call("AFRRSignal", ask)
    assert isinstance(refused, dict)
    assert refused["statusInfo"]["reasonCode"] == "NoSignalWattCurve"
    curve = [{"signal": -100, "power": -4000.0}, {"signal": 100, "power": 4000.0}]
    made = profile(periods=local(*DROOP, v2xSignalWattCurve=curve))
    assert install(rig, made) == {"status": "Accepted"}
    ask = {"timestamp": rig.time(), "signal": 50}
    assert rig.call("AFRRSignal", ask) == {"status": "Accepted"}
    assert segment(rig).setpoint_w == 2500.0
    rig.pass_s(10)
    ask = {"timestamp": rig.time(), "signal": -100}
    assert rig.call("AFRRSignal", ask) == {"status": "Accepted"}
    assert segment(rig).setpoint_w == -3500.0
    signal = rig.signal("ocpp.tx")
    assert signal.at(rig.now.mono + 29.0).setpoint_w == -3500.0
    assert signal.at(rig.now.mono + 31.0).setpoint_w == 500.0  # nobody has to end it
    rig.pass_s(31)
    assert segment(rig).setpoint_w == 500.0


@pytest.mark.parametrize("offset_s", [-31.0, 31.0])
def test_an_afrr_signal_of_another_time_is_refused(offset_s: float) -> None:
    rig, _ = running()
    curve = [{"signal": 0, "power": 0.0}, {"signal": 100, "power": 4000.0}]
    install(rig, profile(periods=local(*DROOP, v2xSignalWattCurve=curve)))
    at = stamp(rig.now.utc + timedelta(seconds=offset_s))
    answer = rig.call("AFRRSignal", {"timestamp": at, "signal": 50})
    assert isinstance(answer, dict)
    assert answer["status"] == "Rejected"
    assert segment(rig).setpoint_w == 500.0


@pytest.mark.req("K01.FR.07", "K04.FR.01")
@BOTH
def test_a_limit_becomes_a_contract(version: str) -> None:
    rig, _ = running(version)
    assert install(rig, profile())["status"] == "Accepted"
    held = segment(rig)
    assert (held.limit_w, held.discharge_limit_w, held.setpoint_w) == (
        3000.0,
        0.0,
        None,
    )
    assert held.mode is OperationMode.CHARGING_ONLY


@pytest.mark.req("K01.FR.04", "K28.FR.06", "K28.FR.14", "K28.FR.15")
def test_a_negative_setpoint_becomes_a_wish_to_discharge() -> None:
    rig, tx = running()
    made = profile(
        purpose="TxProfile",
        kind="Dynamic",
        periods=central(-7000.0, dischargeLimit=-7500.0),
        schedule={"duration": 60},
        transactionId=tx,
    )
    assert install(rig, made) == {"status": "Accepted"}
    signal = rig.signal("ocpp.tx")
    assert signal.valid_until_mono == pytest.approx(rig.now.mono + 60)
    held = segment(rig)
    assert (held.mode, held.setpoint_w) == (OperationMode.CENTRAL_SETPOINT, -7000.0)
    rig.pass_s(30)
    update = {"chargingProfileId": 10, "scheduleUpdate": {"setpoint": -4000.0}}
    assert rig.call("UpdateDynamicSchedule", update) == {"status": "Accepted"}
    assert segment(rig).setpoint_w == -4000.0
    assert rig.signal("ocpp.tx").valid_until_mono == pytest.approx(rig.now.mono + 60)
    rig.pass_s(61)
    assert segment(rig) is None  # the lease ended, nobody renewed it
    update["scheduleUpdate"] = {}
    rig.call("UpdateDynamicSchedule", update)
    assert segment(rig).setpoint_w == -4000.0  # eligible again (K28)


@pytest.mark.req("K28.FR.13")
def test_expired_dynamic_profile_falls_to_the_next_level() -> None:
    rig, _ = running()
    install(rig, profile(1))
    made = profile(
        2, kind="Dynamic", periods=central(-5000.0), stackLevel=1,
        schedule={"duration": 30},
    )  # fmt: skip
    assert install(rig, made)["status"] == "Accepted"
    assert segment(rig).setpoint_w == -5000.0
    rig.pass_s(31)
    assert segment(rig).limit_w == 3000.0


@pytest.mark.req("K01.FR.51")
@BOTH
def test_amperes_use_the_configured_voltage(version: str) -> None:
    conf = config(evse={"ac_phases": 3, "ac_voltage_v": 230})
    rig, _ = running(version, conf)
    install(rig, profile(unit="A", periods=[{"startPeriod": 0, "limit": 16.0}]))
    assert segment(rig).limit_w == pytest.approx(16 * 230 * 3)


def test_phase_values_of_a_transaction_add_up() -> None:
    rig, tx = running(conf=config(evse={"ac_phases": 3}))
    plan = central(-1000.0, setpoint_L2=-2000.0, setpoint_L3=-3000.0)
    made = profile(purpose="TxProfile", kind="Relative", periods=plan, transactionId=tx)
    assert install(rig, made) == {"status": "Accepted"}
    assert segment(rig).setpoint_w == -6000.0


@pytest.mark.req("K01.FR.147", "K08.FR.09")
def test_the_lowest_limit_of_the_phases_holds_for_each() -> None:
    """Nothing here can drive phases apart; the composite schedule tells them."""
    rig, tx = running(conf=config(evse={"ac_phases": 3}))
    plan = [{"startPeriod": 0, "limit": 1500.0, "limit_L2": 1000.0, "limit_L3": 1200.0}]
    made = profile(purpose="TxProfile", kind="Relative", periods=plan, transactionId=tx)
    assert install(rig, made) == {"status": "Accepted"}
    assert segment(rig).limit_w == 3000.0
    cap = [{"startPeriod": 0, "limit": 3300.0}]
    install(rig, profile(11, purpose="ChargingStationMaxProfile", periods=cap), 0)
    answer = rig.call("GetCompositeSchedule", {"evseId": 1, "duration": 60})
    assert isinstance(answer, dict)
    (period,) = answer["schedule"]["chargingSchedulePeriod"]
    told = [period[name] for name in ("limit", "limit_L2", "limit_L3")]
    assert told == [1100.0, 1000.0, 1100.0]


def test_the_station_maximum_is_told_for_the_station_and_each_evse() -> None:
    rig = Rig(config(evses=2)).boot()
    install(rig, profile(purpose="ChargingStationMaxProfile"), 0)
    assert {(s.source, s.evse_id) for s in rig.signals()} == {
        ("ocpp.site", 0), ("ocpp.site", 1), ("ocpp.site", 2)
    }  # fmt: skip
    assert segment(rig, "ocpp.site", 0).discharge_limit_w is None
    assert segment(rig, "ocpp.site", 0).setpoint_w is None


def test_a_schedule_is_sent_ahead_and_renewed() -> None:
    rig = Rig().boot()
    plan = [{"startPeriod": n * 600, "limit": 1000.0 + n} for n in range(20)]
    install(rig, profile(periods=plan))
    signal = rig.signal("ocpp.tx")
    starts = [s.start_mono - rig.now.mono for s in signal.segments]
    assert starts == pytest.approx([n * 600 for n in range(6)])
    for minute in range(0, 190, 7):
        expected = 1000.0 + min(minute // 10, 19)
        assert segment(rig).limit_w == expected, minute
        assert rig.signal("ocpp.tx").valid_until_mono > rig.now.mono + 60
        rig.pass_s(420)


def test_fast_schedules_are_cut_at_200_segments() -> None:
    rig = Rig().boot()
    plan = [{"startPeriod": n, "limit": float(n)} for n in range(1024)]
    install(rig, profile(periods=plan))
    assert len(rig.signal("ocpp.tx").segments) == 200
    for _ in range(60):
        rig.pass_s(15)
        offset = rig.now.mono - 1000.0
        assert segment(rig).limit_w == min(int(offset), 1023)


@pytest.mark.req("K01.FR.13")
def test_a_gap_says_nothing_and_the_schedule_comes_back() -> None:
    rig = Rig().boot()
    install(rig, profile(kind="Recurring", schedule={"duration": 3600}))
    assert segment(rig).limit_w == 3000.0
    rig.pass_s(3601)
    assert segment(rig) is None
    rig.pass_s(82_799)
    assert segment(rig).limit_w == 3000.0


@pytest.mark.req("K01.FR.10")
def test_a_profile_without_end_is_a_renewed_lease() -> None:
    rig = Rig().boot()
    install(rig, profile())
    first = rig.signal("ocpp.tx")
    assert first.valid_until_mono == pytest.approx(rig.now.mono + 86_400)
    rig.pass_s(86_000)
    assert rig.signal("ocpp.tx").valid_until_mono > rig.now.mono + 43_000
    assert len(rig.signals()) < 6


def test_nothing_is_sent_twice() -> None:
    rig, _ = running()
    install(rig, profile())
    count = len(rig.signals())
    rig.run_s(5)
    rig.link(up=False)
    rig.link()
    assert len(rig.signals()) == count


@pytest.mark.req("K28.FR.08", "K28.FR.10")
def test_pull_at_the_interval_and_after_a_failure() -> None:
    rig, _ = running()
    install(rig, profile(kind="Dynamic", periods=central(0.0), dynUpdateInterval=60))
    rig.pass_s(59)
    assert rig.payloads("PullDynamicScheduleUpdate") == []
    rig.pass_s(2)
    pull = rig.last("PullDynamicScheduleUpdate")
    rig.answer(pull, CallError("InternalError"))
    rig.pass_s(29)
    assert len(rig.payloads("PullDynamicScheduleUpdate")) == 1
    rig.pass_s(2)
    pull = rig.last("PullDynamicScheduleUpdate")
    rig.answer(pull, {"status": "Accepted", "scheduleUpdate": {"setpoint": -3000.0}})
    assert segment(rig).setpoint_w == -3000.0
    rig.pass_s(59)
    assert len(rig.payloads("PullDynamicScheduleUpdate")) == 2


@pytest.mark.req("K01.FR.100")
@pytest.mark.parametrize(
    ("periods", "name"), [(None, "limit_w"), (central(3000.0), "setpoint_w")]
)
def test_limit_at_soc(periods: Any, name: str) -> None:
    rig, _ = running()
    cap = {"limitAtSoC": {"soc": 80, "limit": 500.0}}
    made = profile(periods=periods, schedule=cap)
    assert install(rig, made) == {"status": "Accepted"}
    assert getattr(segment(rig), name) == 3000.0
    rig.observe(P.ENERGY, authorised=True, soc=80.0)
    assert getattr(segment(rig), name) == 500.0
    rig.observe(P.ENERGY, authorised=True, soc=79.0)
    assert getattr(segment(rig), name) == 3000.0


@pytest.mark.req("K01.FR.100")
@pytest.mark.parametrize(
    "periods",
    [local(*DROOP), [{"startPeriod": 0, "operationMode": "ExternalSetpoint"}]],
)
def test_limit_at_soc_bounds_what_others_set(periods: Any) -> None:
    """A setpoint that a frequency or an external system gives, too."""
    rig, _ = running()
    cap = {"limitAtSoC": {"soc": 80, "limit": 500.0}}
    made = profile(periods=periods, schedule=cap)
    assert install(rig, made) == {"status": "Accepted"}
    assert segment(rig).limit_w is None
    rig.observe(P.ENERGY, authorised=True, soc=80.0)
    assert segment(rig).limit_w == 500.0


@pytest.mark.req("K01.FR.42")
def test_relative_profiles_start_when_power_may_flow() -> None:
    rig = Rig().boot()
    plan = [{"startPeriod": 0, "limit": 1000.0}, {"startPeriod": 100, "limit": 2000.0}]
    install(rig, profile(kind="Relative", periods=plan))
    rig.observe(P.CONNECTED)
    rig.run_s(60)
    rig.observe(P.STARTING, authorised=True)
    rig.pass_s(50)
    rig.link(up=False)  # a look at all profiles begins nothing anew
    rig.pass_s(49)
    assert segment(rig).limit_w == 1000.0
    rig.pass_s(2)
    assert segment(rig).limit_w == 2000.0


def test_a_clock_step_moves_the_schedule() -> None:
    rig, _ = running()
    plan = [{"startPeriod": 0, "limit": 1000.0}, {"startPeriod": 600, "limit": 2000.0}]
    install(rig, profile(periods=plan))
    assert segment(rig).limit_w == 1000.0
    later = rig.now.utc.replace(minute=30)
    rig.now = type(rig.now)(rig.now.mono + 1.0, later)
    rig.observe(P.ENERGY, authorised=True)
    assert segment(rig).limit_w == 2000.0


@pytest.mark.parametrize("phases", [{}, {"numberPhases": 1}])
def test_a_discharge_limit_is_not_scaled_by_the_phases_of_charging(
    phases: dict[str, int],
) -> None:
    supply = Supply(230.0, 3)
    values = {
        "startPeriod": 0,
        "operationMode": "CentralSetpoint",
        "limit": 10.0,
        "dischargeLimit": -10.0,
        "setpoint": 0.0,
        **phases,
    }
    period = parse_period(values, "A", supply)
    assert period.discharge_limit_w == -6900.0
    assert period.limit_w == (2300.0 if phases else 6900.0)
