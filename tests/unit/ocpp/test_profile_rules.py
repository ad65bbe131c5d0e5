"""K01, K02, K04 to K07: which profile holds, from when, and until when."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from chargerd.model import SessionPhase
from chargerd.ocpp.profiles import Supply, delayed, parse_profile
from tests.unit.ocpp.profile_kit import (
    AC_DEVICES,
    BOTH,
    T0,
    install,
    profile,
    running,
    segment,
)
from tests.unit.ocpp.station_rig import START, V21, Rig, config

P = SessionPhase
DEFAULT, MAX = "TxDefaultProfile", "ChargingStationMaxProfile"


def at(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat()


def limit(power_w: float, **more: Any) -> list[dict[str, Any]]:
    return [{"startPeriod": 0, "limit": power_w, **more}]


def limits_at(rig: Rig, *seconds: float) -> list[float | None]:
    """The Tx limit at these seconds after now."""
    begin, found = rig.now.mono, []
    for second in seconds:
        rig.pass_s(begin + second - rig.now.mono)
        held = segment(rig)
        found.append(None if held is None else held.limit_w)
    return found


TIMES: list[Any] = [  # profile, seconds, limits, requirements
    pytest.param(
        profile(validFrom=at(60), validTo=at(120)),
        (59, 60, 119, 120), [None, 3000.0, 3000.0, None],
        id="validity", marks=pytest.mark.req("K01.FR.36", "K01.FR.37"),
    ),
    pytest.param(
        profile(schedule={"startSchedule": at(60)}), (59, 60, 90_000),
        [None, 3000.0, 3000.0],
        id="start in the future", marks=pytest.mark.req("K01.FR.30"),
    ),
    pytest.param(
        profile(periods=[{"startPeriod": n * 30, "limit": 100.0 + n} for n in range(3)],
                schedule={"duration": 50}),
        (0, 29, 30, 49, 50, 60, 70), [100.0, 100.0, 101.0, 101.0, None, None, None],
        id="a period lasts to the next, none beyond the duration",
        marks=pytest.mark.req("K01.FR.11", "K01.FR.12"),
    ),
    pytest.param(
        profile(kind="Recurring", schedule={"duration": 60}), (59, 60, 86_399, 86_400),
        [3000.0, None, None, 3000.0],
        id="recurring", marks=pytest.mark.req("K01.FR.13"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("made", "seconds", "expected"), TIMES)
def test_when_a_profile_holds(made: Any, seconds: Any, expected: Any) -> None:
    rig = Rig().boot()
    assert install(rig, made) == {"status": "Accepted"}
    assert limits_at(rig, *seconds) == expected


@pytest.mark.req("K01.FR.17", "K01.FR.07")
@BOTH
def test_the_higher_stack_level_overrules_while_it_runs(version: str) -> None:
    rig = Rig(version=version).boot()
    install(rig, profile(1, periods=limit(1000.0)))
    install(rig, profile(2, stackLevel=3, schedule={"duration": 60}))
    assert limits_at(rig, 0, 59, 60) == [3000.0, 3000.0, 1000.0]


@pytest.mark.req("K01.FR.14", "K01.FR.32", "K03.FR.03")
@BOTH
def test_a_default_of_evse_0_holds_for_all_and_is_not_copied(version: str) -> None:
    """It takes effect in a running transaction, too, which goes on."""
    rig, _ = running(version, config(evses=2))
    rig.clear()
    install(rig, profile(1), 0)
    assert segment(rig, evse_id=1).limit_w == segment(rig, evse_id=2).limit_w == 3000.0
    assert rig.events() == []
    for evse_id, found in ((0, 1), (1, 0)):
        rig.clear()
        request = {"requestId": 1, "evseId": evse_id, "chargingProfile": {}}
        rig.call("GetChargingProfiles", request)
        assert len(rig.payloads("ReportChargingProfiles")) == found


@pytest.mark.req("K01.FR.15", "K04.FR.01", "K09.FR.04")
@BOTH
def test_a_default_of_one_evse_is_its_own(version: str) -> None:
    rig = Rig(config(evses=2), version=version).boot()
    install(rig, profile(1), 2)
    assert segment(rig, evse_id=1) is None
    assert segment(rig, evse_id=2).limit_w == 3000.0
    request = {"requestId": 1, "evseId": 1, "chargingProfile": {}}
    assert rig.call("GetChargingProfiles", request) == {"status": "NoProfiles"}


@pytest.mark.req("K09.FR.05")
@BOTH
def test_evse_0_lists_the_stations_own_profiles(version: str) -> None:
    rig = Rig(config(evses=2), version=version).boot()
    install(rig, profile(1), 2)
    install(rig, profile(2, purpose=MAX), 0)
    request = {"requestId": 1, "evseId": 0, "chargingProfile": {}}
    rig.call("GetChargingProfiles", request)
    (told,) = rig.payloads("ReportChargingProfiles")
    assert (told["evseId"], told["chargingProfile"][0]["id"]) == (0, 2)


@pytest.mark.req("K02.FR.04", "K02.FR.05", "K02.FR.08")
@BOTH
def test_a_tx_profile_overrules_the_default_for_its_transaction(version: str) -> None:
    """When its schedule ends before the transaction, the default holds again."""
    rig, tx = running(version)
    install(rig, profile(1, periods=limit(1000.0)))
    made = profile(2, purpose="TxProfile", transactionId=tx, schedule={"duration": 60})
    install(rig, made)
    assert limits_at(rig, 0, 59, 60) == [3000.0, 3000.0, 1000.0]
    rig.observe(P.IDLE)
    rig.observe(P.ENERGY, authorised=True, session_id="next")
    assert segment(rig).limit_w == 1000.0
    rig.call("GetChargingProfiles", {"requestId": 1, "chargingProfile": {}})
    (told,) = rig.payloads("ReportChargingProfiles")
    assert told["chargingProfile"][0]["id"] == 1


@pytest.mark.req("K06.FR.01", "K01.FR.103")
@BOTH
def test_offline_a_tx_profile_goes_on(version: str) -> None:
    rig, tx = running(version)
    install(rig, profile(purpose="TxProfile", transactionId=tx))
    rig.link(up=False)
    assert limits_at(rig, 0, 90_000) == [3000.0, 3000.0]


@pytest.mark.req("K06.FR.02")
@BOTH
def test_offline_without_profiles_nothing_is_bound(version: str) -> None:
    rig, _ = running(version)
    rig.link(up=False)
    rig.pass_s(90_000)
    assert segment(rig) is None
    assert segment(rig, "ocpp.site") is None


@pytest.mark.req("K07.FR.01")
@BOTH
def test_a_transaction_that_begins_offline_uses_what_is_there(version: str) -> None:
    rig = Rig(version=version).boot()
    plan = [*limit(1000.0), {"startPeriod": 60, "limit": 2000.0}]
    install(rig, profile(kind="Relative", periods=plan))
    rig.link(up=False)
    rig.pass_s(500)
    rig.observe(P.ENERGY, authorised=True)
    assert limits_at(rig, 0, 59, 60) == [1000.0, 1000.0, 2000.0]


@pytest.mark.req("K04.FR.05", "K08.FR.04")
def test_the_station_stays_below_its_maximum_and_local_generation() -> None:
    """The caps go to the whole station and to each EVSE; generation comes on top."""
    rig = Rig(config(evses=2)).boot()
    install(rig, profile(1, purpose=MAX), 0)
    install(rig, profile(2, purpose="LocalGeneration", periods=limit(500.0)), 0)
    for evse_id in (0, 1, 2):
        assert segment(rig, "ocpp.site", evse_id).limit_w == 3500.0
    for evse_id in (0, 1):
        answer = rig.call("GetCompositeSchedule", {"evseId": evse_id, "duration": 9})
        assert isinstance(answer, dict)
        (period,) = answer["schedule"]["chargingSchedulePeriod"]
        assert period["limit"] == 3500.0


@pytest.mark.req("K01.FR.140")
@pytest.mark.parametrize("fewest", [MAX, DEFAULT])
def test_the_fewest_phases_are_told(fewest: str) -> None:
    rig = Rig(config(evse={"ac_phases": 1, "devices": AC_DEVICES})).boot()
    for number, purpose in enumerate((MAX, DEFAULT)):
        phases = 1 if purpose == fewest else 3
        plan = limit(10.0, numberPhases=phases)
        made = profile(number + 1, purpose=purpose, periods=plan, unit="A")
        assert install(rig, made, number)["status"] == "Accepted"
    answer = rig.call("GetCompositeSchedule", {"evseId": 1, "duration": 9})
    assert isinstance(answer, dict)
    (period,) = answer["schedule"]["chargingSchedulePeriod"]
    assert (period["numberPhases"], period["limit"]) == (1, 2300.0)


# Local time (K01.FR.90, .91). Oslo went to summer time on 2026-03-29 at 01:00 UTC.

OSLO = {"promise": {"timezone": "Europe/Oslo"}}
AT_2_45 = [*limit(1.0), {"startPeriod": 9_900, "limit": 2.0}]
BY_THE_HOUR = [{"startPeriod": hour * 3600, "limit": float(hour)} for hour in range(24)]


@pytest.mark.req("K01.FR.90")
@pytest.mark.parametrize("zone", ["Z", "-05:00", ""])
@pytest.mark.parametrize("day", ["2026-01-15", "2026-07-15"])
def test_local_time_ignores_zones_and_seasons(zone: str, day: str) -> None:
    """13:00 on the wall, winter and summer, whatever the text says of zones."""
    rig = Rig(
        config(vehicle=OSLO), utc=datetime.fromisoformat(f"{day}T13:00:00+01:00")
    ).boot()
    plan = {"useLocalTime": True, "startSchedule": f"2026-01-01T00:00:00{zone}"}
    made = profile(kind="Recurring", periods=BY_THE_HOUR, schedule=plan)
    assert install(rig, made) == {"status": "Accepted"}
    assert limits_at(rig, 0) == [13.0 if day == "2026-01-15" else 14.0]


@pytest.mark.req("K01.FR.91")
@pytest.mark.parametrize(
    ("begin", "periods", "expected"),
    [  # 02:00 is 03:00: skipped; 03:00 is 02:00: again
        ("2026-03-29T00:30:00+00:00", BY_THE_HOUR, [1.0, 3.0, 4.0]),
        ("2026-10-25T00:30:00+00:00", BY_THE_HOUR, [2.0, 2.0, 3.0]),
        ("2026-03-29T00:30:00+00:00", AT_2_45, [1.0, 2.0, 2.0]),
        ("2026-10-25T00:50:00+00:00", AT_2_45, [2.0, 1.0, 2.0]),
    ],
)
def test_local_time_follows_the_clock_change(
    begin: str, periods: Any, expected: Any
) -> None:
    rig = Rig(config(vehicle=OSLO), utc=datetime.fromisoformat(begin)).boot()
    plan = {"useLocalTime": True, "startSchedule": "2026-01-01T00:00:00Z"}
    install(rig, profile(kind="Recurring", periods=periods, schedule=plan))
    assert limits_at(rig, 0, 1860, 7200) == expected


# Random delays (K01.FR.92 to .97).

STEPS = [{"startPeriod": n * 600, "limit": 100.0 + n} for n in range(6)]


def starts(rig: Rig) -> list[float]:
    """When each period of STEPS begins, seconds from now."""
    answer = rig.call("GetCompositeSchedule", {"evseId": 1, "duration": 4000})
    assert isinstance(answer, dict)
    rows = answer["schedule"]["chargingSchedulePeriod"]
    return [row["startPeriod"] for row in rows]


def delayed_run(station: str = "CP1", session: str = "s1", **more: Any) -> list[float]:
    rig = Rig(config(station=station)).boot()
    rig.observe(P.ENERGY, authorised=True, session_id=session)
    plan = {"randomizedDelay": 300, "startSchedule": T0, **more}
    assert install(rig, profile(periods=STEPS, schedule=plan))["status"] == "Accepted"
    first = starts(rig)
    assert starts(rig) == first  # K01.FR.93: fixed for the transaction
    return first


@pytest.mark.req("K01.FR.92", "K01.FR.93", "K01.FR.94")
def test_starts_are_delayed_by_chance_but_for_the_first() -> None:
    found = delayed_run()
    assert found[0] == 0
    moved = [start - n * 600 for n, start in enumerate(found)]
    assert all(0 <= late <= 301 for late in moved)
    assert len(set(moved[1:])) == 5
    assert delayed_run("CP2") != found
    assert delayed_run(session="s2") != found
    ended = delayed_run(duration=3000)
    assert ended[-1] == 3000  # the end is not delayed: the rating from there on


@pytest.mark.req("K08.FR.06")
@pytest.mark.parametrize("version", [V21])
def test_without_a_transaction_there_is_no_delay(version: str) -> None:
    """As if a transaction with the default profile ran."""
    rig = Rig(version=version).boot()
    plan = {"randomizedDelay": 300}
    install(rig, profile(periods=STEPS, schedule=plan))
    assert starts(rig) == [0, 600, 1200, 1800, 2400, 3000]


@pytest.mark.req("K01.FR.97")
def test_a_period_whose_delay_leads_beyond_the_next_is_skipped() -> None:
    rig, _ = running()
    plan = [{"startPeriod": n, "limit": 100.0 + n} for n in range(200)]
    made = profile(periods=plan, schedule={"randomizedDelay": 3000, "duration": 3600})
    install(rig, made)
    answer = rig.call("GetCompositeSchedule", {"evseId": 1, "duration": 3600})
    assert isinstance(answer, dict)
    rows = answer["schedule"]["chargingSchedulePeriod"]
    told = [(row["startPeriod"], row["limit"]) for row in rows]
    assert told == sorted(told)
    assert 2 <= len(told) < 60
    assert told[-1][1] == 299.0  # nothing later could push the last one out
    left = delayed(parse_profile(made, 1, Supply(230.0, 1)), "seed").starts_s
    assert list(left) == sorted(set(left))
