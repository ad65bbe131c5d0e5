"""Q06: an external system's limits and setpoints, at the stage and as the CSMS sees
them. NotifyChargingLimit's schema has no `isDynamic`, so that it is not told."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.model import DispatchSignal, OperationMode, Priority, Segment
from tests.unit.ocpp.whole import Whole, conf

req = pytest.mark.req
NEAR = 200.0
EXTERNAL = "ChargingStationExternalConstraints"
LIMITS, SETPOINT = OperationMode.EXTERNAL_LIMITS, OperationMode.EXTERNAL_SETPOINT
VALUES = {
    LIMITS: ({"limit_w": 2000.0, "discharge_limit_w": -500.0},
             {"limit": 2000.0, "dischargeLimit": -500.0}),
    SETPOINT: ({"setpoint_w": -1500.0, "setpoint_var": 200.0},
               {"setpoint": -1500.0, "setpointReactive": 200.0}),
}  # fmt: skip


def profiles(whole: Whole) -> list[Any]:
    whole.rig.clear()
    whole._taken = 0
    asked = {"chargingProfilePurpose": EXTERNAL}
    whole.rig.call("GetChargingProfiles", {"requestId": 1, "chargingProfile": asked})
    return [
        made
        for report in whole.rig.payloads("ReportChargingProfiles")
        for made in report["chargingProfile"]
    ]


@pytest.mark.parametrize(
    ("mode", "several"),
    [
        pytest.param(LIMITS, True, marks=req("Q06.FR.01", "Q06.FR.10")),
        pytest.param(LIMITS, False, marks=req("Q06.FR.02", "Q06.FR.11")),
        pytest.param(SETPOINT, True, marks=req("Q06.FR.03", "Q06.FR.10")),
        pytest.param(SETPOINT, False, marks=req("Q06.FR.04", "Q06.FR.11")),
    ],
)
def test_what_an_external_system_sends_is_a_profile(
    mode: OperationMode, several: bool
) -> None:
    whole = Whole()
    whole.start()
    mono = whole.stand.mono
    fields, told = VALUES[mode]
    segments = [Segment(mono, mode, **fields)]
    if several:
        segments.append(Segment(mono + 300.0, mode, **fields))
    whole.rig.clear()
    whole._taken = 0
    whole.stand.cycle.signal(
        DispatchSignal("mqtt", 1, Priority.LOCAL, tuple(segments), mono, mono + 600.0)
    )
    whole.run(3.0)
    (notice,) = whole.rig.payloads("NotifyChargingLimit")
    assert notice["chargingLimit"]["chargingLimitSource"] == "EMS"
    (made,) = profiles(whole)
    assert made["chargingProfileKind"] == ("Absolute" if several else "Dynamic")
    (schedule,) = made["chargingSchedule"]
    assert notice["chargingSchedule"] == [schedule]
    periods = schedule["chargingSchedulePeriod"]
    assert [p["startPeriod"] for p in periods] == ([0, 300] if several else [0])
    assert {k: periods[0][k] for k in told} == told
    assert {p["operationMode"] for p in periods} == {mode.value}


@pytest.mark.parametrize(
    ("mode", "name", "field", "powers"),
    [
        pytest.param(LIMITS, "limit_w", "limit", (2000.0, 3000.0),
                     marks=req("Q06.FR.05", "Q06.FR.07", "Q06.FR.12")),
        pytest.param(SETPOINT, "setpoint_w", "setpoint", (-1500.0, 2500.0),
                     marks=req("Q06.FR.06", "Q06.FR.07", "Q06.FR.12")),
    ],
)  # fmt: skip
def test_a_value_may_change_at_any_time(
    mode: OperationMode, name: str, field: str, powers: tuple[float, float]
) -> None:
    whole = Whole()
    whole.start()
    times, notices = [], []
    for power_w in powers:
        whole.rig.clear()
        whole._taken = 0
        whole.external(mode=mode, seconds=600.0, **{name: power_w})
        whole.run(5.0)
        notices += whole.rig.payloads("NotifyChargingLimit")
        assert whole.power_w == pytest.approx(power_w, abs=NEAR)
        (made,) = profiles(whole)
        (period,) = made["chargingSchedule"][0]["chargingSchedulePeriod"]
        assert period[field] == power_w
        times.append(made["dynUpdateTime"])
    assert times[1] > times[0]
    assert len(notices) == 2  # the change is more than LimitChangeSignificance
    assert (
        notices[1]["chargingSchedule"][0]["chargingSchedulePeriod"][0][field]
        == (powers[1])
    )
    whole.rig.clear()
    whole._taken = 0
    whole.external(mode=mode, seconds=600.0, **{name: powers[1] * 1.01})
    whole.run(3.0)
    assert whole.rig.payloads("NotifyChargingLimit") == []


@req("Q06.FR.40", "Q06.FR.41")
def test_a_value_that_is_not_renewed_runs_out_and_comes_back() -> None:
    whole = Whole()
    whole.start()
    whole.external(mode=LIMITS, limit_w=2000.0, seconds=10.0)
    whole.run(5.0)
    (made,) = profiles(whole)
    assert made["chargingSchedule"][0]["duration"] == 10
    assert whole.power_w == pytest.approx(2000.0, abs=NEAR)
    whole.run(10.0)
    assert profiles(whole) == []
    assert whole.power_w == pytest.approx(6000.0, abs=NEAR)
    whole.external(mode=LIMITS, limit_w=1500.0, seconds=10.0)
    whole.run(5.0)
    assert len(profiles(whole)) == 1
    assert whole.power_w == pytest.approx(1500.0, abs=NEAR)


@req("Q06.FR.30", "Q06.FR.31")
@pytest.mark.parametrize(
    ("mode", "values", "total_w"),
    [
        (LIMITS, {"limit_w": 4000.0}, 4000.0),
        (SETPOINT, {"setpoint_w": -5000.0}, -5000.0),
        (SETPOINT, {"setpoint_w": 7000.0}, 7000.0),
    ],
)
def test_what_is_for_the_station_is_shared_by_its_evses(
    mode: OperationMode, values: dict[str, float], total_w: float
) -> None:
    whole = Whole(conf(evses=2))
    whole.start(1)
    whole.start(2)
    whole.external(mode=mode, evse_id=0, seconds=600.0, **values)
    whole.run(15.0)
    assert whole.grid_w == pytest.approx(total_w, abs=2 * NEAR)
    assert all(abs(w) > 500.0 for w in whole.stand.bridge.power_w.values())
