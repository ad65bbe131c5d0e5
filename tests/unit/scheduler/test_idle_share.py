"""An idle EVSE takes no share of the connection."""

from __future__ import annotations

from chargerd import config
from tests.unit.scheduler.stand import Stand


def test_an_idle_evse_does_not_halve_what_the_others_promise_counts_on() -> None:
    """While EVSE 1 discharges, all of the connection may charge it again."""
    site = config.Site(import_w=6_000, export_w=20_000, export_permit="TEST")
    stand = Stand(2, site=site, with_site=True)
    stand.start(1)
    stand.setpoint(-3_000.0)
    stand.run(3.0)
    assert stand.decision(1).power_w == -3_000.0
    assert stand.decision(1).high_w >= 5_000.0  # the house takes 500 W
