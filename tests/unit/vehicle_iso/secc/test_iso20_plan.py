"""ISO 15118-20 schedules: spans, prices, the vehicle's profile, renegotiation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargerd.model import EnergySchedule, Promise, SchedulePart
from chargerd.vehicle.iso15118.messages import common
from chargerd.vehicle.iso15118.secc import iso20_plan
from chargerd.vehicle.iso15118.secc.iso20_plan import Plan, Span
from chargerd.vehicle.iso15118.secc.iso20_services import Choice
from chargerd.vehicle.iso15118.secc.limits import Control
from chargerd.vehicle.iso15118.secc.station import Energy
from tests.unit.vehicle_iso.secc.car20 import SETUP_20, Car, r, value
from tests.unit.vehicle_iso.secc.plant import Plant

BOTH = Choice(Energy.DC_BPT, Control.SCHEDULED)
ONE_WAY = Choice(Energy.DC, Control.SCHEDULED)
T0 = 1_000.0


def schedule(
    *parts: tuple[float, ...], until: float = 7_200.0, currency: str = "EUR"
) -> EnergySchedule:
    """Parts of (start after T0, charge, discharge, buy, sell)."""
    made = tuple(SchedulePart(T0 + start, *rest) for start, *rest in parts)
    return EnergySchedule(made, T0 + until, currency)


# --- how a plan is made ---------------------------------------------------------------


def made(
    told: EnergySchedule | None,
    choice: Choice = BOTH,
    *,
    points: int = 1_024,
    duration_s: int = 86_400,
    after_s: float = 0.0,
    **plant: Any,
) -> list[tuple[float, ...]]:
    stand = Plant(setup=SETUP_20, now=T0 + after_s, stage_v=400.0, **plant)
    view = stand.view()
    view = replace(view, offer=replace(view.offer, schedule=told))
    plan = iso20_plan.make(choice, view, points=points, duration_s=duration_s)
    return [(s.duration_s, s.charge_w, s.discharge_w) for s in plan.spans]


TWO = schedule((0.0, 8_000.0, -4_000.0), (3_600.0, 5_000.0, 0.0))


def test_without_a_schedule_the_live_bounds_hold() -> None:
    assert made(None, charge_a=25.0, discharge_a=-10.0) == [
        (86_400, 10_000.0, -4_000.0)
    ]
    assert made(None, ONE_WAY, charge_a=25.0) == [(86_400, 10_000.0, 0.0)]


def test_before_anything_is_open_the_ratings_are_told() -> None:
    assert made(None, energise=False) == [(86_400, 20_000.0, -10_000.0)]


def test_the_schedules_parts() -> None:
    assert made(TWO) == [(3_600, 8_000.0, -4_000.0), (3_600, 5_000.0, 0.0)]
    assert made(TWO, ONE_WAY)[0] == (3_600, 8_000.0, 0.0)


def test_the_past_is_left_out_and_gaps_have_the_present_bounds() -> None:
    assert made(TWO, after_s=5_000.0) == [(2_200, 5_000.0, 0.0)]
    assert made(TWO, after_s=8_000.0) == [(86_400, 20_000.0, -10_000.0)]
    late = schedule((600.0, 8_000.0, 0.0))
    assert made(late, charge_a=10.0) == [
        (600, 4_000.0, -10_000.0),
        (6_600, 8_000.0, 0.0),
    ]


def test_the_present_part_is_inside_the_live_bounds_later_ones_inside_the_rating() -> (
    None
):
    wide = schedule((0.0, 90_000.0, -90_000.0), (60.0, 90_000.0, -90_000.0))
    assert made(wide, charge_a=10.0, discharge_a=-5.0)[:2] == [
        (60, 4_000.0, -2_000.0),
        (7_140, 20_000.0, -10_000.0),
    ]


def test_points_and_time_are_capped() -> None:
    many = schedule(*[(60.0 * n, 1_000.0 + n, 0.0) for n in range(50)])
    assert len(made(many, points=12)) == 12
    assert made(TWO, duration_s=4_000)[-1] == (400, 5_000.0, 0.0)
    assert made(TWO, duration_s=0) == [(1, 8_000.0, -4_000.0)]


@given(
    st.lists(
        st.tuples(st.floats(-4_000, 4_000), st.floats(0, 1e6), st.floats(-1e6, 0)),
        max_size=8,
    ),
    st.integers(12, 20),
    st.integers(1, 100_000),
    st.floats(0, 9_000),
)
def test_any_schedule_gives_a_whole_plan(
    parts: list[tuple[float, float, float]],
    points: int,
    duration_s: int,
    after_s: float,
) -> None:
    told = schedule(*sorted(parts))
    spans = made(told, points=points, duration_s=duration_s, after_s=after_s)
    assert 1 <= len(spans) <= points
    assert sum(span[0] for span in spans) <= duration_s
    for length, charge_w, discharge_w in spans:
        assert length >= 1
        assert 0.0 <= charge_w <= 20_000.0
        assert -10_000.0 <= discharge_w <= 0.0


# --- the vehicle's profile ------------------------------------------------------------

PLAN = Plan(0.0, 1_000, (Span(600, 10_000.0, -5_000.0), Span(600, 4_000.0, 0.0)))


@pytest.mark.parametrize(
    ("anchor_s", "profile", "good"),
    [
        (1_000, [(600, 10_000.0), (600, 4_000.0)], True),
        (1_000, [(600, 10_001.0)], True),  # a short integer is not exact
        (1_000, [(600, 10_100.0)], False),
        (1_000, [(601, 10_000.0)], False),  # into the second span
        (1_000, [(600, -5_000.0), (600, 0.0)], True),
        (1_000, [(600, 0.0), (600, -100.0)], False),
        (1_600, [(600, 4_000.0)], True),  # it begins in the second span
        (1_600, [(600, 10_000.0)], False),
        (0, [(600, 10_000.0), (600, 4_000.0)], True),  # no anchor: the plan's own
        (1_000, [(1_200, 4_000.0), (600, 99_000.0)], True),  # beyond the plan
        (1_000, [(0, 99_000.0), (600, 1_000.0)], True),  # lasts no time
    ],
)
def test_a_profile_stays_inside_the_plan(
    anchor_s: int, profile: list[tuple[int, float]], good: bool
) -> None:
    assert iso20_plan.fits(PLAN, anchor_s, profile) is good


def test_the_largest_profile_is_quick_work() -> None:
    """2048 entries against 1024 spans: each is looked at a few times, no more."""
    plan = Plan(0.0, 0, tuple(Span(1, 10.0, 0.0) for _ in range(1_024)))
    looked = 0

    class Counted(float):
        def __le__(self, other: float) -> bool:
            nonlocal looked
            looked += 1
            return super().__le__(other)

    assert iso20_plan.fits(plan, 0, [(1, Counted(5.0)) for _ in range(2_048)])
    assert looked < 5_000


def scheduled(at: str = "pre_charge") -> Car:
    car = Car(6, 2)
    car.to(at)
    return car


@pytest.mark.req("K18.FR.09")
def test_profiles_at_power_delivery() -> None:
    def code(car: Car, profile: common.EVPowerProfile | None) -> str:
        car.match()
        answer: str = car.power("Start", EVPowerProfile=profile).ResponseCode
        return answer

    for watts, tuple_id, expected in (
        ((5_000.0, -5_000.0), 1, "OK"),
        ((50_000.0,), 1, "FAILED_EVPowerProfileInvalid"),
        ((-50_000.0,), 1, "FAILED_EVPowerProfileInvalid"),
        ((5_000.0,), 2, "FAILED_ScheduleSelectionInvalid"),
    ):
        car = scheduled()
        assert code(car, car.profile(watts, tuple_id)) == expected
    assert code(scheduled(), None) == "FAILED_ScheduleSelectionInvalid"
    dynamic = Car(6, 1)
    dynamic.to("pre_charge")
    wrong = scheduled("setup").profile()
    assert code(dynamic, wrong) == "FAILED_ScheduleSelectionInvalid"
    dynamic = Car(6, 1)
    dynamic.to("pre_charge")
    assert code(dynamic, None) == "OK"


def test_phases_of_a_profile_are_summed() -> None:
    """[V2G20-1817]"""
    car = scheduled()
    car.match()
    entry = common.PowerScheduleEntry(
        Duration=60, Power=r(7_000.0), Power_L2=r(7_000.0), Power_L3=r(7_000.0)
    )
    profile = car.profile()
    profile.EVPowerProfileEntries.EVPowerProfileEntry = [entry]
    answer = car.power("Start", EVPowerProfile=profile)
    assert answer.ResponseCode == "FAILED_EVPowerProfileInvalid"  # 21 kW over 20


# --- on the wire ----------------------------------------------------------------------

PRICED = schedule(
    (0.0, 8_000.0, -4_000.0, 0.40, 0.10),
    (3_600.0, 5_000.0, -6_000.0, 0.20, 0.30),
)


def told(car: Car, **offer: Any) -> Any:
    """ScheduleExchangeRes of a car, its services chosen under this offer."""
    car.to("service_discovery")
    car.say(common.ServiceDiscoveryReq)
    car.saying = offer
    car.run()
    assert car.detail().ResponseCode == "OK"
    assert car.select().ResponseCode == "OK"
    car.parameters()
    return car.schedule(7_200)


def test_powers_carry_their_sign() -> None:
    """[V2G20-1034]: negative is discharge."""
    answer = told(Car(6, 2), schedule=TWO)
    (only,) = answer.Scheduled_SEResControlMode.ScheduleTuple
    assert only.ScheduleTupleID == 1
    charging = only.ChargingSchedule.PowerSchedule
    assert charging.TimeAnchor == answer.Header.TimeStamp
    entries = charging.PowerScheduleEntries.PowerScheduleEntry
    assert [value(each.Power) for each in entries] == [8_000.0, 5_000.0]
    assert sum(each.Duration for each in entries) == 7_200
    discharging = only.DischargingSchedule.PowerSchedule.PowerScheduleEntries
    powers = [value(each.Power) for each in discharging.PowerScheduleEntry]
    assert powers == [-4_000.0, 0.0]
    assert only.ChargingSchedule.AbsolutePriceSchedule is None
    assert answer.Dynamic_SEResControlMode is None


def test_one_way_has_no_discharging_schedule() -> None:
    (only,) = told(Car(2, 2), schedule=TWO).Scheduled_SEResControlMode.ScheduleTuple
    assert only.DischargingSchedule is None


def test_prices_in_money() -> None:
    answer = told(Car(6, 4), schedule=PRICED)
    (only,) = answer.Scheduled_SEResControlMode.ScheduleTuple
    buying = only.ChargingSchedule.AbsolutePriceSchedule
    assert buying.Currency == "EUR"
    assert buying.PriceAlgorithm == "urn:iso:std:iso:15118:-20:PriceAlgorithm:1-Power"
    stacks = buying.PriceRuleStacks.PriceRuleStack
    assert [value(each.PriceRule[0].EnergyFee) for each in stacks] == [0.4, 0.2]
    assert {value(each.PriceRule[0].PowerRangeStart) for each in stacks} == {0.0}
    selling = only.DischargingSchedule.AbsolutePriceSchedule
    fees = [
        value(s.PriceRule[0].EnergyFee) for s in selling.PriceRuleStacks.PriceRuleStack
    ]
    assert fees == [0.1, 0.3]


def test_prices_as_levels() -> None:
    plain = replace(PRICED, currency="")
    answer = told(Car(6, 3), schedule=plain)
    levels = answer.Dynamic_SEResControlMode.PriceLevelSchedule
    assert levels.NumberOfPriceLevels == 2
    entries = levels.PriceLevelScheduleEntries.PriceLevelScheduleEntry
    assert [each.PriceLevel for each in entries] == [1, 0]  # 0 is the cheapest
    assert answer.Dynamic_SEResControlMode.AbsolutePriceSchedule is None


def test_no_price_is_not_a_price_of_nothing() -> None:
    gap = schedule(
        (0.0, 8_000.0, 0.0, 0.4, None),  # type: ignore[arg-type]
        (3_600.0, 5_000.0, 0.0, None, None),  # type: ignore[arg-type]
    )
    answer = told(Car(6, 4), schedule=gap)
    (only,) = answer.Scheduled_SEResControlMode.ScheduleTuple
    buying = only.ChargingSchedule.AbsolutePriceSchedule
    (stack,) = buying.PriceRuleStacks.PriceRuleStack
    assert stack.Duration == 3_600
    assert only.DischargingSchedule.AbsolutePriceSchedule is None


def test_many_prices_fit_into_255_levels() -> None:
    many = schedule(
        *[(10.0 * n, 1_000.0, 0.0, 0.001 * n, 0.0) for n in range(600)], currency=""
    )
    levels = told(Car(6, 3), schedule=many).Dynamic_SEResControlMode.PriceLevelSchedule
    assert levels.NumberOfPriceLevels <= 255
    entries = levels.PriceLevelScheduleEntries.PriceLevelScheduleEntry
    order = [each.PriceLevel for each in entries]
    assert order == sorted(order)


def test_the_drivers_aims_where_the_station_knows_them() -> None:
    promise = Promise(T0 + 3_600.0, 80.0, 30.0)
    mode = told(Car(6, 5), promise=promise).Dynamic_SEResControlMode
    assert 3_500 <= mode.DepartureTime <= 3_600
    assert (mode.MinimumSOC, mode.TargetSOC) == (30, 80)
    # MinimumSOC is not above TargetSOC [V2G20-1640].
    odd = Promise(T0 - 5.0, 20.0, 30.0)
    mode = told(Car(6, 5), promise=odd).Dynamic_SEResControlMode
    assert (mode.DepartureTime, mode.MinimumSOC, mode.TargetSOC) == (0, 20, 20)
    plain = told(Car(6, 1), promise=promise).Dynamic_SEResControlMode
    assert plain.DepartureTime is None


def test_the_loop_tells_the_drivers_aims() -> None:
    car = Car(6, 5)
    told(car, promise=Promise(T0 + 3_600.0, 80.0, 30.0))
    car.energise()
    mode = car.loop().CLResControlMode
    assert (mode.MinimumSOC, mode.TargetSOC, mode.AckMaxDelay) == (30, 80, 30)
    assert mode.DepartureTime > 3_000


def test_the_wrong_control_mode_is_refused() -> None:
    car = Car(6, 2)
    car.to("schedule_dc")
    car.parameter_set = 1
    assert car.schedule().ResponseCode == "FAILED_WrongChargeParameter"


def test_needs_reach_the_heart() -> None:
    car = Car(6, 1)
    car.to("cable_check")
    needs = car.state.needs
    assert needs is not None
    assert (needs.energy, needs.dynamic, needs.by_station) == ("DC_BPT", True, False)
    assert (needs.target_wh, needs.max_wh, needs.min_wh) == (20e3, 30e3, -10e3)
    assert (needs.min_charge_w, needs.min_discharge_w) == (0.0, 0.0)
    assert car.state.departure_mono == car.plant.now + 3_600.0


# --- renegotiation --------------------------------------------------------------------


def wish(response: Any) -> str | None:
    status = response.EVSEStatus
    return None if status is None else str(status.EVSENotification)


def test_a_plan_that_is_out_of_date_for_some_seconds_is_asked_for_anew() -> None:
    car = Car(6, 2)
    car.energise()
    assert wish(car.loop(600)) is None
    car.plant.charge_a = 20.0  # 7.6 kW; 19 kW were told
    assert wish(car.loop(90)) is None
    assert wish(car.loop(20)) == "ScheduleRenegotiation"
    assert car.power("ScheduleRenegotiation").ResponseCode == "OK"
    assert car.at == "reschedule_dc"
    assert car.state.demand.close_dc
    answer = car.schedule()
    (only,) = answer.Scheduled_SEResControlMode.ScheduleTuple
    entry = only.ChargingSchedule.PowerSchedule.PowerScheduleEntries.PowerScheduleEntry
    assert value(entry[0].Power) == 7_600.0
    assert car.power("Start", EVPowerProfile=car.profile()).ResponseCode == "OK"
    car.plant.charge_a = 50.0
    assert wish(car.loop(500)) is None  # a plan is kept for 30 s
    assert car.state.demand.close_dc
    assert wish(car.loop(120)) == "ScheduleRenegotiation"


def test_a_short_dip_is_no_reason() -> None:
    car = Car(6, 2)
    car.energise()
    car.loop(600)
    for _ in range(3):
        car.plant.charge_a = 20.0
        assert wish(car.loop(60)) is None
        car.plant.charge_a = 50.0
        assert wish(car.loop(20)) is None


def test_in_dynamic_control_there_is_no_plan_to_renew() -> None:
    car = Car(6, 1)
    car.energise()
    car.plant.charge_a = 20.0
    assert wish(car.loop(120)) is None


@pytest.mark.parametrize(
    ("fresh", "moved"),
    [
        (TWO, False),
        (replace(TWO), False),  # the same words in a new value
        (schedule((3_600.0, 5_000.0, 0.0)), True),
        (schedule((0.0, 8_000.0, -4_000.0), (3_600.0, 6_000.0, 0.0)), True),
        (schedule((0.0, 8_000.0, -4_000.0), (1_800.0, 5_000.0, 0.0)), True),
        (replace(TWO, currency="USD"), True),
        (None, True),
        # It looks further ahead, and knows more of what comes then.
        (replace(TWO, until_mono=T0 + 9_000.0), False),
        (
            schedule(
                (100.0, 8_000.0, -4_000.0),
                (3_600.4, 5_000.0, 0.0),
                (7_200.0, 1_000.0, 0.0),
                until=8_100.0,
            ),
            False,
        ),
    ],
)
def test_when_two_schedules_are_not_the_same(
    fresh: EnergySchedule | None, moved: bool
) -> None:
    view = Plant(setup=SETUP_20, now=T0, stage_v=400.0).view()
    view = replace(view, offer=replace(view.offer, schedule=TWO))
    plan = iso20_plan.make(BOTH, view, points=12, duration_s=9_000)
    later = Plant(setup=SETUP_20, now=T0 + 100.0, stage_v=400.0).view()
    later = replace(later, offer=replace(later.offer, schedule=fresh))
    assert iso20_plan.moved(plan, BOTH, later) is moved


@pytest.mark.parametrize(
    ("after_s", "charge_w"),
    [(0.0, 10_000.0), (599.0, 10_000.0), (600.0, 4_000.0), (9_999.0, 4_000.0)],
)
def test_what_was_told_for_a_moment(after_s: float, charge_w: float) -> None:
    assert PLAN.at(after_s).charge_w == charge_w
    assert PLAN.end_mono == 1_200.0


def test_the_loop_may_move_the_departure() -> None:
    car = Car(6, 1)
    car.energise()
    car.loop(mode=leaving(car, 900))
    assert car.state.departure_mono == pytest.approx(car.plant.now + 900.0, abs=0.1)


def leaving(car: Car, seconds: int) -> Any:
    mode: Any = car.mode()
    mode.DepartureTime = seconds
    return mode


def test_an_ac_loop_tells_the_drivers_aims_too() -> None:
    car = Car(5, 5)
    told(car, promise=Promise(T0 + 3_600.0, 80.0, 30.0))
    car.energise()
    assert car.loop().CLResControlMode.TargetSOC == 80


def test_a_plan_that_has_run_out_is_out_of_date() -> None:
    car = Car(6, 2)
    car.to("schedule_dc")
    assert car.schedule(31).EVSEProcessing == "Finished"
    car.energise()
    assert wish(car.loop(100)) is None
    assert wish(car.loop(620)) == "ScheduleRenegotiation"
    assert car.power("ScheduleRenegotiation").ResponseCode == "OK"
    assert car.schedule(7_200).ResponseCode == "OK"
    assert car.power("Start").ResponseCode == "OK"
    assert wish(car.loop(100)) is None


@pytest.mark.req("K17.FR.09", "K16.FR.04")
def test_the_vehicle_may_ask_for_a_new_plan_with_new_limits() -> None:
    car = Car(6, 2)
    car.energise()
    car.loop(3)
    assert car.power("ScheduleRenegotiation").ResponseCode == "OK"
    assert car.parameters(EVMaximumChargeCurrent=40.0).ResponseCode == "OK"
    assert car.schedule().ResponseCode == "OK"
    assert car.at == "restart_dc"
    bad = car.power("Start", EVPowerProfile=car.profile((99_000.0,)))
    assert bad.ResponseCode == "FAILED_EVPowerProfileInvalid"
    assert car.state.stop_cause == "parameter"


def test_the_loop_goes_on_while_a_plan_is_renewed_on_a_side_stream() -> None:
    car = Car(6, 2)
    car.energise()
    car.power("ScheduleRenegotiation")
    assert car.loop(2).ResponseCode == "OK"
    car.schedule()
    assert car.loop(2).ResponseCode == "OK"
    assert car.at == "restart_dc"
    assert car.power("Start").ResponseCode == "OK"
    assert car.loop().ResponseCode == "OK"
    assert car.at == "loop_dc"


def test_no_renegotiation_before_power() -> None:
    car = scheduled()
    answer = car.power("ScheduleRenegotiation")
    assert answer.ResponseCode == "FAILED_ScheduleRenegotiation"
