"""ISO 15118-20 services: discovery, details, selection, extras, check-in and -out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chargerd.model import EnergySchedule, Promise, SchedulePart
from chargerd.vehicle.iso15118.messages import common
from chargerd.vehicle.iso15118.secc.station import Energy
from tests.unit.vehicle_iso.secc.car20 import SETUP_20, Car


def at_services(**setup: Any) -> Car:
    car = Car(setup=replace(SETUP_20, **setup))
    car.to("service_discovery")
    return car


def discover(car: Car, *wanted: int) -> Any:
    ids = common.ServiceIDList(ServiceID=list(wanted)) if wanted else None
    return car.say(common.ServiceDiscoveryReq, SupportedServiceIDs=ids)


def sets(response: Any) -> dict[int, dict[str, int]]:
    return {
        each.ParameterSetID: {p.Name: p.intValue for p in each.Parameter}
        for each in response.ServiceParameterList.ParameterSet
    }


def test_services_in_the_stations_order() -> None:
    car = at_services(energies=(Energy.DC_BPT, Energy.MCS, Energy.AC), free=True)
    answer = discover(car)
    offered = answer.EnergyTransferServiceList.Service
    assert [each.ServiceID for each in offered] == [6, 8, 1]
    assert all(each.FreeService for each in offered)
    assert answer.VASList is None
    assert answer.ServiceRenegotiationSupported


def test_only_what_the_vehicle_can() -> None:
    car = at_services()
    offered = discover(car, 1, 2, 3).EnergyTransferServiceList.Service
    assert [each.ServiceID for each in offered] == [2, 1]


def test_nothing_in_common() -> None:
    assert discover(at_services(), 3, 4).ResponseCode == "FAILED_ServiceIDInvalid"


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        (1, {"Connector": 3, "EVSENominalVoltage": 230}),
        (2, {"Connector": 2}),
        (
            5,
            {
                "Connector": 3,
                "EVSENominalVoltage": 230,
                "BPTChannel": 1,
                "GeneratorMode": 1,
                "GridCodeIslandingDetectionMethod": 2,
            },
        ),
        (6, {"Connector": 2, "BPTChannel": 1, "GeneratorMode": 1}),
        (8, {"Connector": 1}),
        (9, {"Connector": 1, "BPTChannel": 1, "GeneratorMode": 1}),
    ],
)
def test_both_control_modes_dynamic_first(
    service: int, expected: dict[str, int]
) -> None:
    """[V2G20-2656]; without prices, and with the needs of the vehicle alone."""
    car = at_services()
    discover(car)
    found = sets(car.detail(service))
    common_part = {**expected, "MobilityNeedsMode": 1, "Pricing": 0}
    assert found == {
        1: {**common_part, "ControlMode": 2},
        2: {**common_part, "ControlMode": 1},
    }
    assert list(found) == [1, 2]


def test_one_phase() -> None:
    ratings = replace(SETUP_20.ratings, ac_phases=1)
    car = at_services(ratings=ratings)
    discover(car)
    assert sets(car.detail(1))[1]["Connector"] == 1


@pytest.mark.parametrize(("currency", "pricing"), [("EUR", 1), ("", 2)])
def test_prices_and_the_drivers_needs_are_sets_of_their_own(
    currency: str, pricing: int
) -> None:
    """MobilityNeedsMode 2 with dynamic control only [V2G20-2663]."""
    car = at_services()
    discover(car)
    now = car.plant.now
    part = SchedulePart(now, 10_000.0, 0.0, 0.3, 0.1)
    car.offer(
        schedule=EnergySchedule((part,), now + 7_200.0, currency),
        promise=Promise(now + 3_600.0, 80.0, 30.0),
    )
    found = {
        key: (value["ControlMode"], value["Pricing"], value["MobilityNeedsMode"])
        for key, value in sets(car.detail(6)).items()
    }
    assert found == {
        1: (2, 0, 1),
        2: (1, 0, 1),
        3: (2, pricing, 1),
        4: (1, pricing, 1),
        5: (2, 0, 2),
    }


@pytest.mark.parametrize("service", [3, 4, 7, 10, 65, 66, 65_535])
def test_details_of_what_is_not_offered(service: int) -> None:
    car = at_services()
    discover(car)
    assert car.detail(service).ResponseCode == "FAILED_ServiceIDInvalid"
    assert car.at == "failed"


def test_details_of_a_service_the_station_lacks() -> None:
    car = at_services(energies=(Energy.DC,))
    discover(car)
    assert car.detail(6).ResponseCode == "FAILED_ServiceIDInvalid"


@pytest.mark.parametrize(
    ("energy", "parameter_set", "code"),
    [
        (6, 1, "OK"),
        (6, 9, "FAILED_ServiceSelectionInvalid"),
        (6, 5, "FAILED_ServiceSelectionInvalid"),  # no promise: not offered
        (2, 1, "FAILED_ServiceSelectionInvalid"),  # its details were not asked for
        (3, 1, "FAILED_NoEnergyTransferServiceSelected"),
        (66, 1, "FAILED_NoEnergyTransferServiceSelected"),
    ],
)
def test_only_what_was_told_can_be_selected(
    energy: int, parameter_set: int, code: str
) -> None:
    """[V2G20-433]: the pair, not the id alone."""
    car = at_services()
    discover(car)
    car.detail(6)
    car.energy, car.parameter_set = energy, parameter_set
    assert car.select().ResponseCode == code


def test_a_value_added_service_that_is_not_offered() -> None:
    car = at_services()
    discover(car)
    car.detail()
    assert car.select([(65, 1)]).ResponseCode == "FAILED_ServiceSelectionInvalid"


# --- check-in and check-out -----------------------------------------------------------


def check_in(car: Car) -> Any:
    return car.say(
        common.VehicleCheckInReq, EVCheckInStatus="CheckIn", ParkingMethod="Manual"
    )


def check_out(car: Car) -> Any:
    return car.say(
        common.VehicleCheckOutReq, EVCheckOutStatus="CheckOut", CheckOutTime=1
    )


def test_a_vehicle_checks_in_and_out() -> None:
    car = at_services(parking=True)
    extras = discover(car).VASList.Service
    assert [each.ServiceID for each in extras] == [66]
    assert [each["IntendedService"] for each in sets(car.detail(66)).values()] == [1, 2]
    car.detail()
    assert car.select([(66, 1), (66, 2)]).ResponseCode == "OK"
    assert check_in(car).ResponseCode == "OK"
    car.energise()
    car.power("Stop")
    car.run(0.1)
    car.welding("Finished")
    assert check_out(car).EVSECheckOutStatus == "Scheduled"
    car.plant.ev_closed = False
    car.run(4.0)
    assert check_out(car).EVSECheckOutStatus == "Completed"


def test_no_check_in_where_it_is_not_offered() -> None:
    car = at_services()
    car.to("parameters_dc")
    assert check_in(car).ResponseCode == "FAILED_SequenceError"


@pytest.mark.parametrize("wanted", [(6, 66), (6,)])
def test_extras_only_for_those_who_want_them(wanted: tuple[int, ...]) -> None:
    answer = discover(at_services(parking=True), *wanted)
    assert (answer.VASList is not None) is (66 in wanted)
