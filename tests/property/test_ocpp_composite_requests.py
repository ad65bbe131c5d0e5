"""Any schema-valid profile: a valid answer, no exception, signals the cell takes."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chargerd.model import SessionPhase
from chargerd.scheduler.signals import check
from tests.unit.ocpp.station_rig import V21, V201, Rig, config, validator

NUMBERS = st.one_of(
    st.sampled_from([0, 0.0, -0.0, 1, -1, 1e308, -1e308, 5e-324, 1e15, 6000, -7000.5]),
    st.floats(allow_nan=False, allow_infinity=False),
)
WHOLE = st.one_of(st.integers(-3, 20), st.sampled_from([10**9, -(10**9), 10**15]))
TIMES = st.sampled_from(
    [
        "2026-11-23T08:00:00Z",
        "2026-11-23T07:59:00.123456+09:00",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "2026-11-23",
        "soon",
        "",
    ]
)
PURPOSES = st.sampled_from(
    ["ChargingStationMaxProfile", "TxDefaultProfile", "TxProfile", "PriorityCharging",
     "LocalGeneration", "ChargingStationExternalConstraints"]
)  # fmt: skip
KINDS = st.sampled_from(["Absolute", "Recurring", "Relative", "Dynamic"])
MODES = st.sampled_from(
    ["ChargingOnly", "CentralSetpoint", "CentralFrequency", "Idle", "LocalFrequency",
     "ExternalLimits", "LocalLoadBalancing"]
)  # fmt: skip


def some(**optional: Any) -> Any:
    """A dict with any of the optional keys."""
    return st.fixed_dictionaries({}, optional=optional)


POWER = {
    "limit": NUMBERS, "setpoint": NUMBERS, "dischargeLimit": NUMBERS,
    "limit_L2": NUMBERS, "setpoint_L2": NUMBERS, "setpointReactive": NUMBERS,
}  # fmt: skip
LIKELY = st.sampled_from(
    [
        {"limit": 3000.0},
        {"operationMode": "CentralSetpoint", "setpoint": -7000.0},
        {"operationMode": "CentralSetpoint", "setpoint": 2e6, "limit": 2e6},
        {"operationMode": "Idle"},
    ]
)
PERIODS = st.lists(
    st.tuples(some(operationMode=MODES, numberPhases=WHOLE, **POWER), WHOLE),
    min_size=1,
    max_size=4,
)


GOOD_TIMES = st.sampled_from(
    ["2026-11-23T08:00:00Z", "2026-11-23T07:59:00.123456+09:00", "0001-01-01T00:00:00Z"]
)


@st.composite
def charging_profiles(draw: st.DrawFn) -> dict[str, Any]:
    """Half of them plausible, so that many are accepted and act; half of them wild."""
    wild = draw(st.booleans())
    kind = draw(KINDS)
    anchored = kind in ("Absolute", "Recurring")
    schedule: dict[str, Any] = {
        "id": 1,
        "chargingRateUnit": draw(st.sampled_from(["W", "A"])),
    }
    profile: dict[str, Any] = {
        "id": draw(WHOLE),
        "stackLevel": draw(st.integers(0, 3)),
        "chargingProfilePurpose": draw(PURPOSES),
        "chargingProfileKind": kind,
        "chargingSchedule": [schedule],
    }
    if wild:
        plan = draw(PERIODS)
        periods = [{"startPeriod": start, **fields} for fields, start in plan]
        schedule |= draw(some(startSchedule=TIMES, duration=WHOLE))
        profile |= draw(
            some(
                recurrencyKind=st.sampled_from(["Daily", "Weekly"]),
                validFrom=TIMES,
                validTo=TIMES,
                maxOfflineDuration=WHOLE,
                dynUpdateInterval=WHOLE,
                dynUpdateTime=TIMES,
            )
        )
    else:
        plan = draw(st.lists(LIKELY, min_size=1, max_size=4))
        periods = [{"startPeriod": n * 7, **fields} for n, fields in enumerate(plan)]
        schedule |= draw(some(duration=st.integers(1, 10**8)))
        profile |= draw(
            some(
                maxOfflineDuration=st.integers(0, 30),
                invalidAfterOfflineDuration=st.booleans(),
                validFrom=GOOD_TIMES,
            )
        )
        if anchored:
            schedule["startSchedule"] = draw(GOOD_TIMES)
        if kind == "Recurring":
            profile["recurrencyKind"] = draw(st.sampled_from(["Daily", "Weekly"]))
        if kind == "Dynamic":
            periods = periods[:1]
            profile |= draw(some(dynUpdateInterval=st.integers(0, 9)))
    schedule["chargingSchedulePeriod"] = periods
    return profile


def valid(version: str, action: str, payload: dict[str, Any]) -> bool:
    found: bool = validator(version, f"{action}Request").is_valid(payload)
    return found


@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
@given(
    st.sampled_from([V21, V201]),
    st.lists(st.tuples(charging_profiles(), WHOLE), min_size=1, max_size=4),
    some(**POWER),
    st.integers(0, 10**9),
)
def test_no_profile_hurts(
    version: str,
    made: list[tuple[dict[str, Any], int]],
    update: dict[str, Any],
    duration: int,
) -> None:
    rig = Rig(config(evses=2), version=version).boot()
    rig.observe(SessionPhase.ENERGY, authorised=True)
    tx = rig.events()[-1]["transactionInfo"]["transactionId"]
    for profile, evse_id in made:
        if profile["chargingProfilePurpose"] == "TxProfile":
            profile["transactionId"] = tx
        for request_evse in (evse_id, 0, 1):
            request = {"evseId": request_evse, "chargingProfile": profile}
            if valid(version, "SetChargingProfile", request):
                rig.call("SetChargingProfile", request)
        request = {"chargingProfileId": profile["id"], "scheduleUpdate": update}
        if version == V21 and valid(version, "UpdateDynamicSchedule", request):
            rig.call("UpdateDynamicSchedule", request)
    for evse_id in (0, 1):
        rig.call("GetCompositeSchedule", {"evseId": evse_id, "duration": duration})
    rig.call("GetChargingProfiles", {"requestId": 1, "chargingProfile": {}})
    rig.link(up=False)
    rig.run_s(20, step_s=5)
    rig.link()
    again = rig.restarted()
    again.boot()
    for signal in rig.signals() + again.signals():
        check(signal)
        assert signal.valid_until_mono <= signal.received_mono + 86_400
        assert len(signal.segments) <= 200
