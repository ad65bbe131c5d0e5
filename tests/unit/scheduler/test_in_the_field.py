"""Stories of the field on the fake plant: devices that fail, starts in mid-session."""

from __future__ import annotations

from chargerd import config
from tests.unit.scheduler.stand import Stand

METER = config.Device(driver="x", at="serial:/dev/null")


def test_an_evse_whose_meter_dies_gives_its_neighbour_no_room_of_the_house() -> None:
    """Its last reading stands still; what the site meter sees is the house alone."""
    site = config.Site(import_w=10_000, meter=METER)
    stand = Stand(2, site=site, with_site=True)
    stand.start(1)
    stand.start(2)
    stand.run(3.0)
    stand.bridge.silent = {"meter1"}
    stand.run(5.0)
    assert stand.decision(1).power_w == 0.0
    stand.bridge.house_w = 6000.0
    stand.run(3.0)
    assert 3500.0 < stand.bridge.power_w[2] <= 4100.0
