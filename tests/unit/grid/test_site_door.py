"""The site's shell before and without a broker; what a charger asks for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chargerd.grid import build
from chargerd.grid.errors import GridError
from chargerd.grid.site_door import FOR_EVER_S, SiteDoor
from chargerd.grid.site_member import Wish
from chargerd.grid.site_wish import House, Wishes
from chargerd.grid.site_words import Ask, Beacon, Lease, write
from chargerd.model import (
    EvseReport,
    OperationMode,
    Promise,
    Segment,
    SessionPhase,
    VehicleLimits,
)
from firmware_bridge.api import MeterReading, Reading, Telemetry
from tests.unit.grid.stand import Told, at, config, ports, report

SITE: dict[str, Any] = {
    "tls": False,
    "members": ["CS1", "CS2"],
    "coordinators": ["CS1"],
    "safe_w": 1400,
    "charge_w": 10_000,
}


def door(told: Told, **changes: Any) -> SiteDoor:
    made = build.build(config(site={**SITE, **changes}), ports(told)[0])[0]
    assert isinstance(made, SiteDoor)
    return made


def test_the_safe_limit_holds_before_there_is_a_broker() -> None:
    told = Told()
    door(told)
    (signal,) = told.signals
    limits = OperationMode.EXTERNAL_LIMITS
    safe = Segment(100.0, limits, limit_w=1400.0, discharge_limit_w=0.0)
    assert signal.evse_id == 0
    assert signal.segments == (safe,)
    assert signal.valid_until_mono == 100.0 + FOR_EVER_S


def test_two_doors_of_a_station_may_share_a_broker() -> None:
    """A broker throws out the older of two clients with one name."""
    given = config(
        site={**SITE, "site": "garage"}, mqtt={"tls": False, "prefix": "garage"}
    )
    doors: list[Any] = build.build(given, ports(Told())[0])
    assert len({made._link._face.identifier for made in doors}) == 2


def test_a_lease_is_a_signal_that_falls_by_itself() -> None:
    told = Told()
    site = door(told, members=["CS1"])
    told.mono = 121.0  # after the coordinator's first silence
    site._receive("site/coordinator/CS1/beacon", _beacon(site), False)
    assert site._member is not None
    assert site._lead is not None
    ask = site._member.ask(Wish(charge_w=9000.0, discharge_w=1.0), 121.0)
    site._receive("site/member/CS1/ask", write(ask), False)
    lease = Lease("CS1", ask.boot, 1, "CS1", ask.epoch, 9000.0, 0.0, 20.0)
    site._receive("site/member/CS1/lease", write(lease), False)
    high, safe = told.signals[-1].segments
    assert (high.start_mono, high.limit_w) == (121.0, 9000.0)
    assert (safe.start_mono, safe.limit_w) == (136.0, 1400.0)
    assert site.status()["member"]["charge_w"] == 9000.0
    assert site.status()["coordinator"]["given_charge_w"] == 9000.0


def _beacon(site: SiteDoor) -> bytes:
    assert site._lead is not None
    return write(site._lead.beacon(121.0))


@pytest.mark.parametrize(
    ("reason", "topic", "payload"),
    [
        ("malformed", "coordinator/CS1/beacon", write(Beacon("CS2", "e", 1.0, ""))),
        ("malformed", "coordinator/CS1/beacon", b"x" * 100_000),
        ("malformed", "member/CS2/ask", write(Ask("CS1", "b", 1, "", "", 0.0, 0, ""))),
        ("malformed", "member/CS1/lease", b"{}"),
        ("retained", "coordinator/CS1/beacon", write(Beacon("CS1", "e", 1.0, ""))),
        ("unknown", "member/CS1/more/lease", b"{}"),
    ],
)
def test_bad_messages_are_counted(reason: str, topic: str, payload: bytes) -> None:
    told = Told()
    site = door(told)
    site._receive(f"site/{topic}", payload, reason == "retained")
    assert site.status()["refused"] == {reason: 1}
    assert len(told.signals) == 1


def test_a_flood_on_one_topic_is_cut_off() -> None:
    site = door(Told())
    for number in range(100):
        ask = Ask("CS2", "b", number + 1, "", "", 0.0, 0, "")
        site._receive("site/member/CS2/ask", write(ask), False)
    assert site.status()["refused"] == {"flood": 90}


def test_a_station_that_has_no_part_in_the_site() -> None:
    with pytest.raises(GridError, match="neither in members"):
        door(Told(), members=["CS2"], coordinators=["CS3"])


def test_a_heart_that_refuses_is_told_at_the_start() -> None:
    with pytest.raises(GridError, match="refused the site's limit"):
        door(Told(accept=False))


def _with(
    phase: SessionPhase,
    limits: VehicleLimits | None,
    *,
    authorised: bool = True,
    forced: bool = False,
) -> EvseReport:
    given = report()
    session = replace(
        given.snapshot.session,
        phase=phase,
        authorised=authorised,
        promise=Promise(1.0, 80.0, forced=forced),
    )
    vehicle = replace(given.snapshot.vehicle, limits=limits)
    snapshot = replace(given.snapshot, session=session, vehicle=vehicle)
    return replace(given, snapshot=snapshot)


DC = VehicleLimits(100.0, 20.0, -10.0, voltage_max_v=400.0, discharge_allowed=True)
AC = VehicleLimits(100.0, charge_w=5000.0, discharge_w=-3000.0, discharge_allowed=True)
ENERGY = SessionPhase.ENERGY


@pytest.mark.parametrize(
    ("given", "charge_w", "must_w", "least_w", "discharge_w"),
    [
        (_with(ENERGY, None), 32 * 230.0, 0.0, 6 * 230.0, 0.0),
        (_with(ENERGY, DC), 7000.0, 0.0, 0.0, 4000.0),
        (_with(ENERGY, replace(DC, charge_a=5.0)), 5 * 400 / 0.94, 0.0, 0.0, 4000.0),
        (_with(ENERGY, replace(DC, discharge_allowed=False)), 7000.0, 0.0, 0.0, 0.0),
        (_with(ENERGY, AC), 5000.0, 0.0, 0.0, 3000.0),
        (_with(ENERGY, AC, forced=True), 5000.0, 5000.0, 0.0, 3000.0),
        (_with(ENERGY, AC, authorised=False), 0.0, 0.0, 0.0, 0.0),
        (_with(SessionPhase.FINISHED, AC), 0.0, 0.0, 0.0, 0.0),
    ],
)
def test_what_a_charger_asks_for(
    given: EvseReport,
    charge_w: float,
    must_w: float,
    least_w: float,
    discharge_w: float,
) -> None:
    wishes = Wishes(config().evse)
    wishes.report(given)
    wish = wishes.wish(100.0)
    assert wish.charge_w == pytest.approx(charge_w)
    assert (wish.must_w, wish.least_w) == (must_w, least_w)
    assert wish.discharge_w == pytest.approx(discharge_w)
    assert wish.power_w == -2990.0
    assert wishes.wish(104.0) == Wish()  # the cycle has not spoken for 4 s


def test_a_car_that_takes_less_asks_for_less() -> None:
    """It does not say so: it is on the pilot alone."""
    wishes = Wishes(config().evse)

    def wish_w(mono: float, taken_w: float, offered_w: float, session: str) -> float:
        given = _with(ENERGY, None)
        meter = MeterReading(taken_w, 0.0, 0.0)
        snapshot = replace(
            given.snapshot,
            now=at(mono),
            session=replace(given.snapshot.session, id=session),
            telemetry=Telemetry(meter=Reading(meter, mono)),
        )
        decision = replace(given.decision, power_w=offered_w)
        wishes.report(replace(given, snapshot=snapshot, decision=decision))
        return wishes.wish(mono).charge_w

    full_w = 32 * 230.0
    for mono in range(0, 62, 2):
        assert wish_w(100.0 + mono, 3000.0, 7000.0, "s1") == full_w
    assert wish_w(162.0, 2000.0, 7000.0, "s1") == pytest.approx(3800.0)  # peak 3 kW
    assert wish_w(164.0, 3700.0, 3800.0, "s1") == full_w  # it takes all: try more
    assert wish_w(166.0, 0.0, 7000.0, "s1") == pytest.approx(4570.0)
    assert wish_w(168.0, 0.0, 0.0, "s1") == full_w  # offered nothing: it tells nothing
    assert wish_w(170.0, 0.0, 7000.0, "s1") == full_w  # watched anew
    for mono in range(172, 234, 2):
        wish_w(float(mono), 3000.0, 7000.0, "s1")
    assert wish_w(234.0, 3000.0, 7000.0, "s1") == pytest.approx(3800.0)
    assert wish_w(236.0, 0.0, 7000.0, "s2") == full_w  # another car


def test_the_house_counts_with_its_peak() -> None:
    house = House(reserve_w=500.0)

    def free(grid_w: float | None, mono: float, age_s: float | None = 0.1) -> float:
        given = report(mono=mono, power_w=2000.0)
        site = replace(given.snapshot.site, grid_w=grid_w, meter_age_s=age_s)
        snapshot = replace(given.snapshot, site=site)
        return house.free_w([replace(given, snapshot=snapshot)], 3000.0, mono)

    assert free(6000.0, 1.0) == 10_000 - 1000 - 500  # 6 kW, 5 of it vehicles
    assert free(9000.0, 2.0) == 10_000 - 4000 - 500
    assert free(6000.0, 3.0) == 10_000 - 4000 - 500
    assert free(6000.0, 12.5) == 10_000 - 1000 - 500
    assert free(6000.0, 13.0, age_s=3.1) == 0.0
    assert free(None, 13.0) == 0.0
    assert house.free_w([], 0.0, 14.0) == 0.0
