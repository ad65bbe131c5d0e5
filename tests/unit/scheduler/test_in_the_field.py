"""Stories of the field on the fake plant: devices that fail, starts in mid-session."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chargerd import config
from chargerd.clock import Now
from chargerd.model import (
    Contract,
    PromiseRequest,
    ResetRequest,
    ResumeRequest,
    SessionPhase,
    StartRequest,
    StopReason,
    StopRequest,
    VehiclePhase,
    VehicleState,
)
from chargerd.scheduler import month
from tests.unit.scheduler.stand import TOKEN, Stand

METER = config.Device(driver="x", at="serial:/dev/null")


@pytest.mark.parametrize("how", ["silent", "frozen"])
def test_an_evse_without_a_meter_gives_its_neighbour_no_room_of_the_house(
    how: str,
) -> None:
    """Its last reading stands still; what the site meter sees is the house alone."""
    site = config.Site(import_w=10_000, meter=METER)
    stand = Stand(2, site=site, with_site=True)
    stand.start(1)
    stand.start(2)
    stand.run(3.0)
    setattr(stand.bridge, how, {"meter1"})
    stand.run(5.0)
    assert stand.decision(1).power_w == 0.0
    stand.bridge.house_w = 6000.0
    stand.run(3.0)
    assert 3500.0 < stand.bridge.power_w[2] <= 4100.0


def test_what_a_session_gave_before_a_restart_is_not_counted_twice() -> None:
    owner = config.Owner(departure="", discharge_kwh_per_month=6.0)
    stand = Stand(owner=owner, discharged=month.Month("2026-11", 5500.0))
    stand.run(1.0)
    stand.plug()
    stand.run(1.0)
    stand.cycle.request(ResumeRequest(1, "of before", TOKEN, energy_out_wh=5000.0))
    stand.run(3.0)
    stand.setpoint(-3000.0)
    stand.run(5.0)
    assert stand.report().snapshot.session.energy_out_wh > 5000.0
    assert stand.decision().power_w == -3000.0


@pytest.mark.parametrize("then", ["reset", "card"])
def test_a_card_that_was_waited_for_is_not_missed_for_ever(then: str) -> None:
    stand = Stand()
    stand.run(1.0)
    stand.plug()
    for _ in range(125):
        stand.beat(1.0)
    assert "AuthorizationTimeout" in names(stand)
    if then == "reset":
        stand.cycle.request(ResetRequest(1, immediate=True))
        stand.run(0.5)
    else:
        stand.cycle.request(StopRequest(1, StopReason.LOCAL))
        stand.run(0.5)
        stand.cycle.request(StartRequest(1, TOKEN))
        stand.run(3.0)
    stand.unplug()
    stand.run(2.0)
    assert "AuthorizationTimeout" not in names(stand)


class Unset(Stand):
    """The time of day is not known yet."""

    trusted = False

    def now(self) -> Now:
        return replace(super().now(), trusted=self.trusted)


def test_the_owners_departure_holds_for_a_car_that_was_there_before_the_clock() -> None:
    """After each start: the central system tells the time a second later."""
    stand = Unset(owner=config.Owner(departure="07:30"))
    stand.plug()
    stand.start()
    assert stand.report().snapshot.session.promise is None
    stand.trusted = True
    stand.run(0.1)
    wish = stand.report().snapshot.session.promise
    assert wish is not None
    assert wish.departure_mono - stand.mono == pytest.approx(14.5 * 3600.0, abs=10.0)
    stand.cycle.request(PromiseRequest(1, None))
    stand.run(0.2)
    assert stand.report().snapshot.session.promise is None  # once told, it is his word


def test_a_contract_that_is_shown_during_a_safe_stop_starts_nothing() -> None:
    """The car comes when the sessions have been ended, before the daemon has."""
    stand = Stand()
    stand.run(1.0)
    stand.cycle.safe_stop("the service is being stopped")
    stand.run(1.0)
    vehicle = stand.vehicles[1]
    said, contract = vehicle.state, Contract("JPABCC123456789", "PEM")

    def state() -> VehicleState:
        seen = said()
        if seen.phase is not VehiclePhase.NONE:
            return replace(seen, contract=contract)
        return VehicleState("iso15118-2", VehiclePhase.HANDSHAKE, contract=contract)

    vehicle.state = state  # type: ignore[method-assign]
    stand.plug()
    for _ in range(40):
        stand.answer()
        stand.beat()
        assert not stand.bridge.commands[1].pins.close_dc
    assert stand.cycle.stopped()


def test_a_stage_that_fell_silent_under_current_holds_up_no_reset() -> None:
    """Its last word is no current for ever: the mirror contact is open."""
    stand = Stand()
    stand.start()
    telemetry = stand.bridge.telemetry
    last = telemetry(1).stage
    stand.bridge.telemetry = lambda n: replace(telemetry(n), stage=last)  # type: ignore[method-assign]
    stand.run(3.0)
    assert "StageLost" in names(stand)
    stand.cycle.request(ResetRequest(1, immediate=True))
    stand.run(3.0)
    session_id = stand.report().snapshot.session.id
    assert stand.phase() is SessionPhase.CONNECTED  # plugged in, it begins anew
    assert session_id
    stand.cycle.safe_stop("the service is being stopped")
    stand.run(2.0)
    assert stand.cycle.stopped()


def names(stand: Stand) -> list[str]:
    return [fault.name for fault in stand.report().snapshot.faults]
